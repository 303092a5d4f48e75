"""What the stateful tests of the book play with: dialects, ids, words; how a book is made."""

from typing import Any

from hypothesis import HealthCheck
from hypothesis import strategies as st

from dispatcher._ext.book import Book
from dispatcher._ext.events import EventBuffer
from dispatcher._ext.pdu import Pdu, encode
from dispatcher._ext.session import Exchange, Incoming
from dispatcher.model import Outcome, Reason
from dispatcher.receipts import teach
from dispatcher.smpp.constants import Command, Tlv
from dispatcher.smpp.dialect import ACCEPTED, Dialect

SEED = bytes(range(16))
LARGE = 1_000_000
RULES: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "max_examples": 250,
    "stateful_step_count": 60,
}

DIALECTS = {
    1: Dialect(),
    2: Dialect(id_notation="response_hex", fold_case=True),
    3: Dialect(states={"FAILED": 5, "DELIVRD": ACCEPTED}, accepted_is_final=True, strip_zeros=True),
    4: Dialect(),
}
ASKED = {1: True, 2: True, 3: True, 4: False}
"""Whether a carrier is asked for receipts."""

IDS = [b"1", b"2", b"3", b"0A", b"10", b"ff", b"0255", b"id-4", b"x" * 65, b"y" * 129, b"", b" 3 ", None]
RESPONSE_IDS = st.sampled_from([b"1", b"1", b"1", b"1", b"2", b"2", *IDS])
RECEIPT_IDS = st.sampled_from([b"1", b"1", b"1", *IDS[:9], b"16", b"4", b"nobody's"])
WORDS = st.sampled_from(
    ["DELIVRD", "delivrd", "UNDELIV", "EXPIRED", "REJECTD", "ACCEPTD", "ENROUTE", "UNKNOWN", "FAILED", "odd"]
)
CARRIERS = st.sampled_from([1, 1, 1, 1, *DIALECTS])
PICK = st.integers(0, 10**6)
STATUSES = st.sampled_from([0, 0, 0, 0, 0x58, 0x0B])
BAD = st.sampled_from([Outcome.UNKNOWN, Outcome.EXPIRED, Outcome.UNDELIVERED, Outcome.REJECTED])
REASONS = st.sampled_from([Reason.DEADLINE, Reason.REFUSED, Reason.UNANSWERED, Reason.ATTEMPTS])
COUNTERS = (
    "matched",
    "duplicate",
    "overruled",
    "ambiguous",
    "corrected",
    "unmatched",
    "orphaned",
    "unmapped",
)
TRIES = st.lists(PICK, min_size=1, max_size=5)


def new_book(events: EventBuffer, settled_max: int, parked_max: int, seed: bytes = SEED) -> Book:
    """Return a book that knows DIALECTS."""
    book = Book(events, seed=seed, parked_max=parked_max, settled_max=settled_max)
    for carrier, dialect in DIALECTS.items():
        teach(book, carrier, dialect, receipts=ASKED[carrier])
    return book


def incoming(text: bytes, tlvs: dict[int, bytes], esm_class: int) -> Incoming:
    """Return a deliver_sm as an exchange gives it."""
    exchange = Exchange()
    exchange.receives = True
    pdu = Pdu(
        Command.DELIVER_SM,
        1,
        0,
        tuple((tag, value[0] if tag == Tlv.MESSAGE_STATE else value) for tag, value in tlvs.items()),
        esm_class=esm_class,
        source_addr=b"79990000000",
        destination_addr=b"BANK",
        short_message=text,
    )
    exchange.feed(encode(pdu), 0)
    (only,) = exchange.take_incoming()
    return only
