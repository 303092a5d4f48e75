"""The book's tables: growth without a pause, what is kept and what is given up, hashes."""

import struct
import sys

import pytest

from dispatcher._ext.book import OUTCOMES, Book, Submission
from dispatcher._ext.events import EventBuffer, read_events
from dispatcher.model import Event, EventKind, Outcome, Reason

SEED = bytes(range(16))
M64 = 2**64 - 1


def new_book(events: EventBuffer | None = None, settled_max: int = 1000, parked_max: int = 1000) -> Book:
    """Return an empty one."""
    buffer = EventBuffer() if events is None else events  # an empty one is false
    return Book(buffer, seed=SEED, parked_max=parked_max, settled_max=settled_max)


def submit(book: Book, numbers: range, at_ms: int = 0, carrier: int = 1) -> None:
    """Claim and accept messages of one segment; the id of each is its number."""
    submissions = [Submission(None, n, 0, 1, 0, 0, b"") for n in numbers]
    assert book.claim(submissions, carrier, at_ms) == submissions
    ids: list[bytes | None] = [b"%d" % n for n in numbers]
    assert book.submitted(submissions, [0] * len(numbers), ids, carrier, at_ms) == ([], [])


def test_growth_is_never_the_work_of_one_call() -> None:
    """From 0 to 400,000 and back no operation touches more than a few rows: nothing is rehashed."""
    events = EventBuffer()
    book = new_book(events)
    for first in range(1, 400_000, 1000):
        submit(book, range(first, first + 1000), first)
        events.take()
    assert book.outstanding == 400_000
    assert book.expire(1, 2**62, 0, 1_000_000) == 400_000
    events.take()
    assert book.outstanding == 0
    assert 1 < book.work_max < 30


def test_rows_are_used_again() -> None:
    """However many pass through, memory is that of the most at once."""
    events = EventBuffer()
    book = new_book(events, settled_max=100)
    submit(book, range(1, 150_001), 0)
    before = book.octets
    for first in range(150_001, 450_001, 10_000):
        book.expire(1, 1, 0, 10_000)
        submit(book, range(first, first + 10_000), 0)
        events.take()
    assert (book.outstanding, book.octets) == (150_000, before)


def test_a_row_takes_less_than_64_octets() -> None:
    """48 for the row and 4 for its bucket, once the blocks are many."""
    events = EventBuffer()
    book = new_book(events)
    empty = book.octets
    for first in range(1, 1_000_001, 10_000):
        submit(book, range(first, first + 10_000))
        events.take()
    assert (book.octets - empty) / 1_000_000 < 64


def test_numbers_that_have_all_ended_are_given_up_and_still_known() -> None:
    """Spans of 32,768 ended messages shrink to a pointer, in the snapshot to 9 octets, and stay ended."""
    events = EventBuffer()
    book = new_book(events)
    for n in range(1, 3 * 32_768):
        assert book.finish(n, Outcome.EXPIRED, Reason.DEADLINE, 1, 0)
    assert book.finish(200_000, Outcome.EXPIRED, Reason.DEADLINE, 1, 0)
    pieces = list(book.dump())
    # the first span lacks n = 0, which no message has
    assert sum(len(piece) for piece in pieces) < 18 + 2 * (9 + 8192) + 2 * 9 + 100
    again = new_book()
    again.load(pieces)
    for looked_at in (book, again):
        assert all(looked_at.is_finished(n) for n in (1, 32_768, 98_303, 200_000))
        assert not any(looked_at.touched(n) for n in (0, 98_304, 199_999, 200_001, 10**9, 2**40))


def siphash128(seed: bytes, octets: bytes) -> bytes:
    """SipHash-2-4-128 from its paper, in Python's own integers."""
    k0, k1 = struct.unpack("<2Q", seed)
    v = [
        k0 ^ 0x736F6D6570736575,
        k1 ^ 0x646F72616E646F6D ^ 0xEE,
        k0 ^ 0x6C7967656E657261,
        k1 ^ 0x7465646279746573,
    ]

    def rotate(value: int, by: int) -> int:
        return (value << by | value >> (64 - by)) & M64

    def rounds(count: int) -> None:
        for _ in range(count):
            v[0] = (v[0] + v[1]) & M64
            v[1] = rotate(v[1], 13) ^ v[0]
            v[0] = rotate(v[0], 32)
            v[2] = (v[2] + v[3]) & M64
            v[3] = rotate(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & M64
            v[3] = rotate(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & M64
            v[1] = rotate(v[1], 17) ^ v[2]
            v[2] = rotate(v[2], 32)

    padded = octets + bytes(7 - len(octets) % 8) + bytes([len(octets) & 255])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xEE
    rounds(4)
    low = v[0] ^ v[1] ^ v[2] ^ v[3]
    v[1] ^= 0xDD
    rounds(4)
    return struct.pack("<2Q", low, v[0] ^ v[1] ^ v[2] ^ v[3])


def test_ids_are_kept_as_siphash() -> None:
    """Rows of a snapshot hold SipHash-2-4-128 of carrier and key; the oracle gives the paper's vectors."""
    assert siphash128(SEED, b"").hex() == "a3817f04ba25a8e66df67214c7550293"
    assert siphash128(SEED, b"\0").hex() == "da87c1d86b99af44347659119b22fc45"
    ids = [b"x" * length for length in range(1, 41)]
    book = new_book()
    submissions = [Submission(None, n, 0, 1, 0, 0, b"") for n in range(1, 41)]
    book.submitted(book.claim(submissions, 0x0201, 0), [0] * 40, list(ids), 0x0201, 0)
    (piece,) = [piece for piece in book.dump() if piece[:1] == b"I" and len(piece) > 1]
    rows = [piece[at : at + 36] for at in range(1, len(piece), 36)]
    expected = {siphash128(SEED, b"\1\2" + message_id) for message_id in ids}
    assert {row[:8] + row[12:20] for row in rows} == expected


def test_outcomes_reasons_and_kinds_are_the_model_s() -> None:
    """What the compiled modules count on is what dispatcher.model says."""
    bad = Outcome.UNDELIVERED
    states = [0, 0, Outcome.DELIVERED, Outcome.EXPIRED, bad, bad, 0, 0, Outcome.REJECTED, bad]
    assert bytes(states) == OUTCOMES
    assert (Outcome.UNKNOWN, max(Outcome), max(Reason) < 16) == (2, 6, True)
    events = EventBuffer()
    book = new_book(events)
    book.set_dialect(2, receipts=False)
    two = [Submission(None, n, 0, 1, 0, 0, b"") for n in (1, 2, 3)]
    book.submitted(book.claim(two[:1], 1, 0), [0], [None], 1, 0)
    book.submitted(book.claim(two[1:2], 2, 0), [0], [b"1"], 2, 0)
    book.submitted(book.claim(two[2:], 1, 0), [0], [b"2"], 1, 0)
    book.expire(1, 1, 1, 9)
    codes = [event.code for event in read_events(events.take()[1], Event) if event.kind == EventKind.FINISHED]
    reasons = [Reason.NO_SMSC_MESSAGE_ID, Reason.NO_RECEIPT_ASKED, Reason.NO_RECEIPT]
    assert codes == [Outcome.UNKNOWN << 16 | reason for reason in reasons]


def test_a_broken_contract_is_an_error_and_changes_nothing() -> None:
    """Numbers out of range, lists of unequal length, keys that are none."""
    events = EventBuffer()
    book = new_book(events)
    it = Submission(None, 1, 0, 1, 0, 0, b"")
    for call in (
        lambda: book.claim([it], 65_536, 0),
        lambda: book.claim([it], -1, 0),
        lambda: book.submitted([it], [], [None], 1, 0),
        lambda: book.settle(1, b"", 2, b"", 0),
        lambda: book.settle(1, b"a\0b", 2, b"", 0),
        lambda: book.settle(1, b"x" * 129, 2, b"", 0),
        lambda: book.settle(1, b"1", 10, b"", 0),
        lambda: book.finish(0, 3, 2, 1, 0),
        lambda: book.finish(2**40, 3, 2, 1, 0),
        lambda: book.finish(1, 0, 2, 1, 0),
        lambda: book.fail(it, 7, 2, 0),
        lambda: book.fail(it, 3, 16, 0),
        lambda: book.set_dialect(1, response_base=8),
        lambda: book.set_dialect(1, outcomes=b"1"),
        lambda: book.set_dialect(1, outcomes=bytes(9) + b"\7"),
        lambda: Book(events, seed=b"short", parked_max=1, settled_max=1),
        lambda: Book(events, seed=SEED, parked_max=0, settled_max=1),
        lambda: Book(events, seed=SEED, parked_max=1, settled_max=-1),
    ):
        with pytest.raises(ValueError, match=r".+"):
            call()
    assert (len(events), book.touched(1)) == (0, False)


def test_parked_receipts_are_let_go() -> None:
    """The octets of a parked receipt are freed when it matches, is given up, or the book goes."""
    key = b"kept-%d" % 1
    events = EventBuffer()
    book = new_book(events, parked_max=2)
    before = sys.getallocatedblocks()
    for _ in range(50):
        for number in range(100):
            book.settle(1, b"%d" % number, 2, b"", number)
        book.orphan(1000, 1000, 1000)
        events.take()
    assert sys.getallocatedblocks() - before < 50
    book.settle(1, key, 2, b"", 0)
    del book
    assert sys.getallocatedblocks() - before < 50


@pytest.mark.parametrize("segments", [2, 8, 9, 255])
def test_a_long_message_ends_with_its_last_segment(segments: int) -> None:
    """However many there are: FINISHED once, after the last receipt, with the worst end."""
    events = EventBuffer()
    book = new_book(events)
    every = [Submission(None, 1, segment, segments, 0, 0, b"") for segment in range(segments)]
    ids: list[bytes | None] = [b"%d" % it.segment for it in every]
    book.submitted(book.claim(every, 1, 0), [0] * segments, ids, 1, 0)
    for message_id in ids:
        assert not book.is_finished(1)
        assert message_id is not None
        book.settle(1, message_id, 5 if message_id == b"1" else 2, b"", 1)
    finished = [event for event in read_events(events.take()[1], Event) if event.kind == EventKind.FINISHED]
    assert [event.code for event in finished] == [Outcome.UNDELIVERED << 16 | Reason.RECEIPT]


def test_long_messages_that_have_ended_are_forgotten() -> None:
    """Beyond `settled_max` their rows are used again: memory is that of the most at once."""
    events = EventBuffer()
    book = new_book(events, settled_max=10)
    before = book.octets
    for n in range(1, 140_000):
        book.claim([Submission(None, n, 0, 2, 0, 0, b"")], 1, 0)
        book.finish(n, Outcome.EXPIRED, Reason.DEADLINE, 1, 0)
        events.take()
    assert book.octets == before


def test_what_another_has_is_left_without_a_trace() -> None:
    """Segments that are claimed, submitted, folded: none is known any more, no event says so, receipts of
    theirs match nothing, and their numbers are not taken up again; all others stay."""
    events = EventBuffer()
    book = new_book(events)
    submit(book, range(1, 101))
    long = [Submission(None, n, segment, 3, 1, 0, b"") for n in (200, 201) for segment in range(3)]
    book.claim(long, 1, 0)
    book.submitted(long[:1] + long[3:4], [0, 0], [b"a200", b"a201"], 1, 0)
    events.take()
    left = [*range(1, 101, 2), 200]
    book.leave(left)
    assert events.take()[0] == 0
    assert book.outstanding == 51
    assert book.awaiting(1)[0] + book.awaiting(1)[1] == 51
    assert [n for n, *_ in book.unsettled()] == [201, 201]
    assert [book.knows(1, key) for key in (b"1", b"2", b"a200", b"a201")] == [False, True, False, True]
    assert all(map(book.is_finished, left))
    assert not book.claim([Submission(None, 1, 0, 1, 0, 0, b"")], 1, 0)
    assert not book.settle(1, b"1", 2, b"", 5)  # parked
    assert book.settle(1, b"2", 2, b"", 5)
    assert {event.n for event in read_events(events.take()[1], Event)} == {0, 2}


def test_a_live_book_takes_events_of_others() -> None:
    """Replayed into a book that goes on, they lead it to where they stood; its counters stay."""
    events, others = EventBuffer(), EventBuffer()
    book, other = new_book(events), new_book(others)
    submit(book, range(1, 11))
    assert book.settle(1, b"3", 2, b"", 5)
    submit(other, range(50, 61))
    assert other.settle(1, b"55", 2, b"", 5)
    events.take()
    book.replay(others.take()[1])
    book.recovered(False)
    assert events.take()[0] == 0
    assert (book.outstanding, book.matched) == (19, 1)
    assert book.is_finished(55)
    assert book.settle(1, b"56", 2, b"", 5)
    assert book.settle(1, b"4", 2, b"", 5)
