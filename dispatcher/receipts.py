"""What the book is taught about a carrier, and the receipts that it leaves to Python.

Law (F83): a receipt is believed if esm_class or its TLVs say that it is one; one that only looks like it, if
it bears the id of a segment that awaits one. What is none, or cannot be understood, is not lost: it is kept
whole, as a message. Plan: the book (``dispatcher._ext.book``) reads and correlates by the million; here stand
the meaning of a message_state, and the few deliver_sm whose words it does not understand.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from dispatcher._ext.book import Book
from dispatcher._ext.session import Incoming
from dispatcher.model import Outcome
from dispatcher.smpp.constants import Tlv
from dispatcher.smpp.dialect import (
    ACCEPTED,
    DELETED,
    DELIVERED,
    EXPIRED,
    REJECTED,
    SKIPPED,
    UNDELIVERABLE,
    Dialect,
)
from dispatcher.smpp.receipt_text import Kind, parse, recognise

_STATES: Final = 10
ID_MAX: Final = 128
"""Octets of an id; SMPP allows 64. What is longer is no id."""

_OUTCOMES: Final = {
    DELIVERED: Outcome.DELIVERED,
    EXPIRED: Outcome.EXPIRED,
    DELETED: Outcome.UNDELIVERED,
    UNDELIVERABLE: Outcome.UNDELIVERED,
    REJECTED: Outcome.REJECTED,
    SKIPPED: Outcome.UNDELIVERED,
    ACCEPTED: Outcome.UNKNOWN,  # where the dialect calls it final at all: taken, but never delivered
}


def outcomes(dialect: Dialect) -> bytes:
    """Return the outcome of each message_state, an octet each; 0: something better may follow."""
    table = bytearray(_STATES)
    for state, outcome in _OUTCOMES.items():
        if dialect.is_final(state):
            table[state] = outcome
    if not dialect.handset_receipts:
        table[DELIVERED] = Outcome.UNKNOWN  # the SMSC has it; whether the handset has, nobody will say
    return bytes(table)


def teach(book: Book, carrier: int, dialect: Dialect, *, receipts: bool = True) -> None:
    """Tell the book how a carrier writes; `receipts`: whether its profile asks for them."""
    response_base, receipt_base, tlv_base, flags = dialect.notation
    book.set_dialect(
        carrier,
        response_base=response_base,
        receipt_base=receipt_base,
        tlv_base=tlv_base,
        flags=flags,
        outcomes=outcomes(dialect),
        words=dict(dialect.words),
        own_words=bool(dialect.states),
        receipts=receipts,
    )


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
