"""The book's way back: snapshots of a book that goes on, broken ones, events that no book wrote."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher._ext.book import Book, Submission
from dispatcher._ext.events import EventBuffer, read_events
from dispatcher.errors import StoreError
from dispatcher.model import Event, EventKind, Outcome, Reason
from tests.ext.test_book_tables import new_book, submit


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


@pytest.mark.parametrize("until", [b"N", b"W"])
def test_what_ended_while_a_snapshot_was_taken_is_no_work(until: bytes) -> None:
    """A segment ends between two tables of a snapshot: a restart takes up only the rest."""
    events = EventBuffer()
    book = new_book(events)
    submit(book, range(1, 2))
    claimed, ended, _ = (Submission(None, 2, segment, 3, 0, 0, b"") for segment in range(3))
    if until == b"W":
        book.claim([ended], 1, 0)
    events.take()
    pieces = book.dump()
    taken = []
    for piece in pieces:
        taken.append(piece)
        if piece[:1] == until:
            break
    book.claim([claimed], 1, 1)
    book.fail(ended, Outcome.REJECTED, Reason.REFUSED, 1)
    again = new_book()
    again.load(taken + list(pieces))
    again.replay(events.take()[1])
    again.recovered()
    assert [segment for _, segment, *_ in again.unsettled()] == [0, 2]
    assert again.unsettled() == book.unsettled()
