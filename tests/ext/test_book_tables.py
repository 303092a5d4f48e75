"""The book's tables: growth without a pause, what is kept and what given up, hashes, broken snapshots."""

import random
import struct
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher._ext.book import OUTCOMES, Book, Submission
from dispatcher._ext.events import EventBuffer, read_events
from dispatcher.errors import StoreError
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


def busy_book() -> tuple[Book, EventBuffer]:
    """Return a book with something in every table."""
    events = EventBuffer()
    book = new_book(events)
    for n in range(1, 60):
        segments = 1 + n % 11
        submissions = [Submission(None, n, segment, segments, n % 4, 0, b"") for segment in range(segments)]
        claimed = book.claim(submissions[: n % 4], 1, n)
        ids: list[bytes | None] = [b"%d-%d" % (n, it.segment) for it in claimed[: n % 3]]
        book.submitted(claimed[: n % 3], [0] * len(ids), ids, 1, n)
        book.settle(1, b"%d-0" % (n * 2), n % 10, b"err", n)
    return book, events


def test_a_snapshot_brings_everything_back() -> None:
    """Dumped, loaded and dumped again, the same rows are there, in pieces of at most 1 MiB."""
    book, _ = busy_book()
    pieces = list(book.dump())
    assert all(len(piece) <= 1 << 20 for piece in pieces)
    again = new_book()
    again.load(pieces)
    again.recovered()
    assert again.unsettled() == book.unsettled()
    assert (again.outstanding, again.parked) == (book.outstanding, book.parked)
    size = {b"I": 36, b"W": 36}
    for tag, octets in size.items():
        rows = [
            sorted(
                piece[at : at + octets]
                for piece in some
                for at in range(1, len(piece), octets)
                if piece[:1] == tag
            )
            for some in (pieces, again.dump())
        ]
        assert rows[0] == rows[1] != []
    assert next(again.dump()) == pieces[0]


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_broken_snapshot_is_refused_and_harms_nothing(data: st.DataObject) -> None:
    """Cut, overwritten, out of order: StoreError, or a book that can be worked with; never a crash."""
    book, _ = busy_book()
    pieces = list(book.dump())
    index = data.draw(st.integers(0, len(pieces) - 1))
    damage = data.draw(st.sampled_from(["cut", "flip", "tag", "swap", "lose"]))
    piece = pieces[index]
    if damage == "cut":
        pieces[index] = piece[: data.draw(st.integers(0, len(piece)))]
    elif damage == "flip":
        at = data.draw(st.integers(0, len(piece) - 1))
        pieces[index] = piece[:at] + bytes([piece[at] ^ 1 << data.draw(st.integers(0, 7))]) + piece[at + 1 :]
    elif damage == "tag":
        pieces[index] = data.draw(st.sampled_from([b"", b"X", b"N", b"F", b"P", b"I"])) + piece[1:]
    elif damage == "swap":
        pieces.reverse()
    else:
        del pieces[index]
    again = new_book()
    try:
        again.load(pieces)
    except StoreError:
        return
    again.recovered()
    again.unsettled()
    again.expire(1, 2**62, 0, 1000)
    again.orphan(2**62, 0, 1000)
    list(again.dump())


def test_a_snapshot_of_another_version_is_refused() -> None:
    """So is one without its beginning, and one for a book that has begun."""
    pieces = list(new_book().dump())
    with pytest.raises(StoreError, match="version"):
        new_book().load([b"S\2" + pieces[0][2:]])
    with pytest.raises(StoreError):
        new_book().load([b"I"])
    book, _ = busy_book()
    with pytest.raises(RuntimeError, match="new"):
        book.load(pieces)


@pytest.mark.parametrize(
    "event",
    [
        Event(EventKind.CLAIMED, 0, 1, 1, 1, 0, b""),
        Event(EventKind.CLAIMED, 2, 1, 1, 1, 0, b"\2\0"),
        Event(EventKind.CLAIMED, 0, 1, 1, 0, 0, b"\1\0"),
        Event(EventKind.CLAIMED, 0, 1, 1, 2**40, 0, b"\1\0"),
        Event(EventKind.SUBMITTED, 1, 1, 1 << 8, 1, 0, b"1"),
        Event(EventKind.SUBMITTED, 0, 1, 1 << 8 | 4, 1, 0, b"1"),
        Event(EventKind.FINISHED, 255, 1, 7 << 16 | 1, 1, 0, b""),
        Event(EventKind.FAILED, 1, 1, 3 << 16 | 1, 1, 0, b"\1"),
        Event(EventKind.PARKED, 255, 1, 2, 0, 0, b""),
        Event(EventKind.PARKED, 255, 1, 10, 0, 0, b"1"),
        Event(EventKind.ORPHANED, 255, 1, 2, 0, 0, b"x" * 200),
    ],
)
def test_events_that_no_book_writes_are_refused(event: Event) -> None:
    """A body with one is a StoreError that says where it stands."""
    events = EventBuffer()
    events.add(EventKind.CORRECTED, 1, 0)
    events.add(**event._asdict())
    with pytest.raises(StoreError, match="octet 25 of a body"):
        new_book().replay(events.take()[1])


def test_any_events_can_be_replayed() -> None:
    """Events that no book wrote in this order leave a book that can be worked with."""
    chance = random.Random(1)
    for _ in range(200):
        events = EventBuffer()
        for _ in range(30):
            kind = chance.choice(list(EventKind))
            tail = {EventKind.CLAIMED: b"\3\1", EventKind.REROUTED: b"\3\1", EventKind.FAILED: b"\3"}.get(
                kind, b"1"
            )
            code = {
                EventKind.SUBMITTED: 3 << 8 | 1,
                EventKind.FAILED: 3 << 16 | 4,
                EventKind.FINISHED: 2 << 16 | 4,
            }
            segment, n = chance.randrange(3), chance.randrange(1, 4)
            events.add(kind, n, 0, segment, chance.randrange(3), code.get(kind, 2), tail)
        book = new_book(settled_max=chance.choice([0, 1, 100]))
        assert book.replay(events.take()[1]) == 30
        book.recovered()
        assert all(not book.is_finished(n) for n, *_ in book.unsettled())
        book.expire(1, 2**62, 0, 100)


def test_a_book_that_is_being_recovered_is_not_worked_with() -> None:
    """Live calls would be lost to the recovery: RuntimeError until `recovered`."""
    book = new_book()
    book.replay(b"")
    it = Submission(None, 1, 0, 1, 0, 0, b"")
    for call in (
        lambda: book.claim([it], 1, 0),
        lambda: book.submitted([], [], [], 1, 0),
        lambda: book.receipted([], 1, 0),
        lambda: book.finish(1, 3, 2, 1, 0),
        lambda: book.expire(1, 0, 0, 1),
        lambda: next(book.dump()),
    ):
        with pytest.raises(RuntimeError, match="recovered"):
            call()
    book.recovered()
    assert book.claim([it], 1, 0) == [it]


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


def test_a_receipt_that_matched_while_a_snapshot_was_taken_is_not_parked_again() -> None:
    """PARKED and SUBMITTED after the first piece, the row in a later one: nothing is left parked."""
    events = EventBuffer()
    book = new_book(events)
    pieces = book.dump()
    taken = [next(pieces)]
    book.settle(1, b"1", 2, b"", 0)
    submissions = [Submission(None, 1, 0, 1, 0, 0, b"")]
    book.submitted(book.claim(submissions, 1, 1), [0], [b"1"], 1, 1)
    again = new_book()
    again.load(taken + list(pieces))
    again.replay(events.take()[1])
    again.recovered()
    assert (again.parked, again.outstanding, again.is_finished(1)) == (0, 0, True)


def test_what_was_submitted_while_a_snapshot_was_taken_has_one_id() -> None:
    """Its claim in the first pieces, its row in none, its work gone: still an ordinary message."""
    events = EventBuffer()
    book = new_book(events)
    it = Submission(None, 1, 0, 1, 0, 0, b"")
    book.claim([it], 1, 0)
    events.take()
    pieces = book.dump()
    taken = [next(pieces) for _ in range(2)]  # the seed and the numbers; no row of ids is in use
    book.submitted([it], [0], [b"1"], 1, 1)
    taken += [piece for piece in pieces if piece[:1] != b"I"]
    again = new_book(events)
    again.load(taken)
    again.replay(events.take()[1])
    again.recovered()
    assert again.expire(1, 2, 2, 9) == 1
    assert [event.kind for event in read_events(events.take()[1], Event)] == [EventKind.FINISHED]
