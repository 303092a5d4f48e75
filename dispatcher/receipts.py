"""What the book is taught about a carrier, and what it leaves to Python.

Law: a receipt is believed if esm_class or its TLVs say that it is one; one that only looks like it, if its id
is known. Plan: the book (``dispatcher._ext.book``) reads and correlates by the million; here stand the
meaning of a message_state, and the few deliver_sm whose text it does not understand.
"""

from typing import Final

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
_ERR_OCTETS_MAX: Final = 64
"""Of a carrier's error, in an event: the same as in the book."""

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


def take(book: Book, carrier: int, incoming: Incoming, dialect: Dialect, at_ms: int) -> bool:
    """Book a deliver_sm that the book has left to Python, if it is a receipt; False: it is a message."""
    text = incoming.short_message or b""
    tlvs: dict[int, bytes] = {}
    if incoming.receipted_message_id is not None:
        tlvs[Tlv.RECEIPTED_MESSAGE_ID] = incoming.receipted_message_id
    if incoming.message_state is not None:
        tlvs[Tlv.MESSAGE_STATE] = bytes([min(incoming.message_state, 255)])
    kind = recognise(incoming.esm_class, text, tlvs)
    receipt = parse(text, tlvs, dialect)
    if kind in (Kind.MESSAGE, Kind.LOOKS_LIKE) or receipt.message_id is None or receipt.state is None:
        return False
    key = dialect.key_of_receipt(receipt.message_id, receipt.id_from_tlv)
    err = receipt.err if receipt.err is not None and len(receipt.err) <= _ERR_OCTETS_MAX else b""
    try:
        book.settle(carrier, key, receipt.state, err, at_ms, kind is Kind.INTERMEDIATE)
    except ValueError:  # no id: empty, or longer than any
        return False
    return True
