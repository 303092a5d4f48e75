"""Receipts in unusual words: what the compiled book does not read by itself is read here.

Law (F83): nothing that a subscriber wrote is taken for a receipt, unless it bears the id of a segment that
awaits one; and nothing that is none, or cannot be understood, is lost: it is kept whole, as a message.
"""

from collections.abc import Iterable
from typing import NamedTuple

from dispatcher._ext.book import Book
from dispatcher._ext.session import Incoming
from dispatcher.smpp.constants import Tlv
from dispatcher.smpp.dialect import Dialect
from dispatcher.smpp.receipt_text import Kind, parse, recognise

ID_MAX = 128
"""Octets of an id; SMPP allows 64. What is longer is no id."""


class Odd(NamedTuple):
    """What became of unusual deliver_sm."""

    messages: list[Incoming]
    """To be kept: from subscribers, or not understood."""
    unreadable: int
    """How many of them were receipts without an id or a state."""
    unmapped: list[bytes]
    """Words of stat that the dialect does not know."""


def settle_odd(book: Book, dialect: Dialect, carrier: int, odd: Iterable[Incoming], now_ms: int) -> Odd:
    """Settle the receipts among them."""
    found = Odd([], 0, [])
    for incoming in odd:
        tlvs = {}
        if incoming.receipted_message_id is not None:
            tlvs[Tlv.RECEIPTED_MESSAGE_ID] = incoming.receipted_message_id
        if incoming.message_state is not None:
            tlvs[Tlv.MESSAGE_STATE] = bytes([incoming.message_state])
        text = incoming.short_message or b""
        kind = recognise(incoming.esm_class, text, tlvs)
        said = parse(text, tlvs, dialect)
        key = dialect.key_of_receipt(said.message_id, said.id_from_tlv) if said.message_id else b""
        state = said.state if 0 < len(key) <= ID_MAX and b"\0" not in key else None
        if kind is Kind.MESSAGE or (
            kind is Kind.LOOKS_LIKE and (state is None or not book.knows(carrier, key))
        ):
            found.messages.append(incoming)
        elif state is None:
            found.messages.append(incoming)
            found = found._replace(unreadable=found.unreadable + 1)
        else:
            if said.unmapped:
                found.unmapped.append(said.stat or b"")
            book.settle(carrier, key, state, said.err or b"", now_ms, kind is Kind.INTERMEDIATE)
    return found
