"""What the book is taught of a dialect, and the deliver_sm that it leaves to Python."""

import pytest

from dispatcher._ext.book import OUTCOMES, Book, Submission
from dispatcher._ext.events import EventBuffer, read_events
from dispatcher._ext.pdu import Pdu, encode
from dispatcher._ext.session import Exchange, Incoming
from dispatcher.model import Event, EventKind, Outcome, Reason
from dispatcher.receipts import outcomes, settle_odd, teach
from dispatcher.smpp.constants import Command, EsmClass, Tlv
from dispatcher.smpp.dialect import ACCEPTED, DELIVERED, Dialect

PAIRS = [
    (b"38601fa", b"0059113978"),
    (b"6aad5", b"0000436949"),
    (b"18d0e03a", b"0416342074"),
    (b"1d305b4c", b"0489708364"),
    (b"70BA8A69", b"1891273321"),
]
"""Of the same message, from real carriers: the id in submit_sm_resp and in the receipt (PITFALLS 78, F75)."""


def deliver(text: bytes, esm_class: int = EsmClass.DELIVERY_RECEIPT, **tlvs: int | bytes) -> Incoming:
    """Return a deliver_sm as an exchange gives it."""
    tags = tuple((getattr(Tlv, name.upper()), value) for name, value in tlvs.items())
    pdu = Pdu(
        Command.DELIVER_SM, 1, 0, tags, esm_class=esm_class, destination_addr=b"BANK", short_message=text
    )
    exchange = Exchange()
    exchange.receives = True
    exchange.feed(encode(pdu), 0)
    return exchange.take_incoming()[0]


def book_with(dialect: Dialect, message_id: bytes) -> tuple[Book, EventBuffer]:
    """Return a book with message 1 submitted to carrier 1, and its buffer, empty."""
    events = EventBuffer()
    book = Book(events, seed=bytes(16), parked_max=10, settled_max=10)
    teach(book, 1, dialect)
    book.submitted(book.claim([Submission(None, 1, 0, 1, 1, 0, b"")], 1, 0), [0], [message_id], 1, 0)
    events.take()
    return book, events


def take(book: Book, carrier: int, incoming: Incoming, dialect: Dialect, at_ms: int) -> bool:
    """Settle one deliver_sm that the book left to Python; False: it is a message, and kept."""
    return settle_odd(book, dialect, carrier, [incoming], at_ms).messages == []


@pytest.mark.parametrize(("response", "receipt"), PAIRS)
def test_ids_of_two_notations_meet(response: bytes, receipt: bytes) -> None:
    """Hexadecimal in the response, decimal in the receipt: matched (F75); as they are, they are strangers."""
    book, _ = book_with(Dialect(id_notation="response_hex"), response)
    assert book.receipted([deliver(b"id:%s stat:DELIVRD err:000" % receipt)], 1, 1) == []
    assert book.is_finished(1)
    book, _ = book_with(Dialect(), response)
    assert book.receipted([deliver(b"id:%s stat:DELIVRD err:000" % receipt)], 1, 1) == []
    assert (book.is_finished(1), book.parked) == (False, 1)


def test_the_table_of_outcomes_follows_the_dialect() -> None:
    """By default the book's; final ACCEPTD, and DELIVRD of the SMSC alone, are not delivered."""
    assert outcomes(Dialect()) == OUTCOMES
    assert outcomes(Dialect(accepted_is_final=True))[ACCEPTED] == Outcome.UNKNOWN
    assert outcomes(Dialect(handset_receipts=False))[DELIVERED] == Outcome.UNKNOWN


def test_a_later_receipt_is_better_than_not_knowing() -> None:
    """UNKNOWN for want of a receipt is corrected by any final state, a bad end by DELIVRD (F76, F78)."""
    book, events = book_with(Dialect(), b"1")
    assert book.expire(1, 1, 1, 9) == 1
    for word in (b"ENROUTE", b"UNDELIV", b"EXPIRED", b"DELIVRD", b"UNDELIV", b"DELIVRD"):
        book.receipted([deliver(b"id:1 stat:%s err:1" % word)], 1, 2)
    said = [
        (event.kind, event.code >> 16)
        for event in read_events(events.take()[1], Event)
        if event.segment == 255
    ]
    assert said == [
        (EventKind.FINISHED, Outcome.UNKNOWN),
        (EventKind.CORRECTED, Outcome.UNDELIVERED),
        (EventKind.CORRECTED, Outcome.DELIVERED),
    ]
    assert (book.matched, book.duplicate, book.overruled, book.corrected) == (6, 2, 2, 2)


def test_a_subscriber_s_text_is_no_receipt_unless_its_id_is_known() -> None:
    """Anyone can text "id:1 stat:DELIVRD" (F83): left to Python, but for a known id."""
    book, _ = book_with(Dialect(), b"1")
    strange = deliver(b"id:2 stat:DELIVRD", 0)
    assert book.receipted([strange], 1, 1) == [strange]
    assert not take(book, 1, strange, Dialect(), 1)
    assert (book.parked, book.is_finished(1)) == (0, False)
    assert book.receipted([deliver(b"id:1 stat:DELIVRD", 0)], 1, 1) == []
    assert book.is_finished(1)


def test_a_receipt_in_ucs2_is_read_in_python() -> None:
    """A text of which every second octet is NUL is left to Python, which finds id, state and error in it."""
    book, events = book_with(Dialect(), b"77")
    wide = deliver("id:77 stat:UNDELIV err:009".encode("utf-16-be"))
    assert book.receipted([wide], 1, 1) == [wide]
    assert take(book, 1, wide, Dialect(), 1)
    receipted, finished = read_events(events.take()[1], Event)
    assert (receipted.kind, receipted.code, receipted.tail) == (EventKind.RECEIPTED, 5, b"009")
    assert finished.code >> 16 == Outcome.UNDELIVERED


@pytest.mark.parametrize(
    "text",
    [b"", b"Hello", b"id: stat:DELIVRD", b"id:" + b"7" * 129 + b" stat:DELIVRD", b"stat:DELIVRD", b"id:7"],
)
def test_a_receipt_that_says_too_little_is_nobody_s(text: bytes) -> None:
    """Without an id or a state, whatever esm_class says: left to Python, which takes it for none."""
    book, events = book_with(Dialect(), b"1")
    poor = deliver(text)
    assert book.receipted([poor], 1, 1) == [poor]
    assert not take(book, 1, poor, Dialect(), 1)
    assert len(events) == 0


def test_an_unknown_word_is_counted_and_not_final() -> None:
    """FAILED means nothing until the dialect says what: not final, counted; then it is."""
    book, _ = book_with(Dialect(), b"1")
    book.receipted([deliver(b"id:1 stat:FAILED")], 1, 1)
    assert (book.unmapped, book.is_finished(1)) == (1, False)
    book, _ = book_with(Dialect(states={"FAILED": 5}), b"1")
    book.receipted([deliver(b"id:1 stat:FAILED")], 1, 1)
    assert (book.unmapped, book.is_finished(1)) == (0, True)


def test_tlvs_win_over_the_text() -> None:
    """Id and state of the TLVs count, the text's are not looked at; the error is network_error_code."""
    book, events = book_with(Dialect(), b"1")
    tlvs: dict[str, int | bytes] = {
        "receipted_message_id": b"1",
        "message_state": 5,
        "network_error_code": b"\3\0\1",
    }
    book.receipted([deliver(b"id:9 stat:DELIVRD err:7", 0, **tlvs)], 1, 1)
    receipted, _ = read_events(events.take()[1], Event)
    assert (receipted.n, receipted.code, receipted.tail) == (1, 5, b"\3\0\1")


def test_an_id_that_was_given_twice_stands_for_the_newest() -> None:
    """F60: the newest message without a final state gets the receipt; the doubt is counted."""
    book, events = book_with(Dialect(), b"1")
    for n, at_ms in ((2, 20), (3, 10)):
        again = book.claim([Submission(None, n, 0, 1, 1, 0, b"")], 1, at_ms)
        book.submitted(again, [0], [b"1"], 1, at_ms)
    events.take()
    for word in (b"ACCEPTD", b"DELIVRD", b"UNDELIV", b"DELIVRD", b"DELIVRD"):
        book.receipted([deliver(b"id:1 stat:%s" % word)], 1, 30)
    receipted = [event for event in read_events(events.take()[1], Event) if event.kind == EventKind.RECEIPTED]
    assert [(event.n, event.code) for event in receipted] == [(2, 6), (2, 2), (3, 5), (1, 2)]
    assert (book.ambiguous, book.duplicate) == (3, 1)


def test_a_receipt_that_comes_first_waits_for_the_response() -> None:
    """F73: parked under its key, applied with its error in the call that names the id."""
    events = EventBuffer()
    book = Book(events, seed=bytes(16), parked_max=10, settled_max=10)
    teach(book, 1, Dialect(id_notation="response_hex"))
    claimed = book.claim([Submission(None, 1, 0, 1, 1, 0, b"")], 1, 0)
    early = [deliver(b"id:0000000255 stat:UNDELIV err:042")] * 3
    assert book.receipted(early, 1, 1) == []
    assert (book.parked, book.duplicate) == (1, 2)
    bad = (Outcome.UNDELIVERED, Reason.RECEIPT)
    assert book.submitted(claimed, [0], [b"FF"], 1, 2) == ([], [(1, *bad)])
    said = read_events(events.take()[1], Event)
    assert [EventKind(event.kind).name for event in said] == (
        ["CLAIMED", "PARKED", "SUBMITTED", "RECEIPTED", "FINISHED"]
    )
    parked, receipted = said[1], said[3]
    assert (parked.tail, receipted.tail, book.parked) == (b"255\x00042", b"042", 0)
