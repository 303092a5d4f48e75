"""The book against its slow twin: everything that can happen to segments, in any order, restarts included."""

from collections import Counter
from collections.abc import Callable, Iterator

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dispatcher._ext.book import Book, Submission
from dispatcher._ext.events import EventBuffer, read_events
from dispatcher.model import Event, EventKind, Outcome
from dispatcher.smpp.constants import EsmClass, Tlv
from tests.ext.book_twin import Twin
from tests.ext.book_world import (
    ASKED,
    BAD,
    CARRIERS,
    DIALECTS,
    LARGE,
    PICK,
    REASONS,
    RECEIPT_IDS,
    RESPONSE_IDS,
    RULES,
    STATUSES,
    TRIES,
    WORDS,
    incoming,
    new_book,
)

MANY = 9
"""Segments: so few that many things happen to each."""


class Against(RuleBasedStateMachine):
    """All calls of a book in any order, beside the twin; every event that it writes must be the twin's."""

    settled_max, parked_max = LARGE, 3

    def aged(self, events: list[Event]) -> list[Event]:
        """Events of things that grow old, in an order that means something."""
        return events

    def __init__(self) -> None:
        super().__init__()
        self.buffer = EventBuffer()
        self.book = new_book(self.buffer, self.settled_max, self.parked_max)
        self.twin = Twin(DIALECTS, ASKED, self.parked_max, self.settled_max)
        self.log = b""
        self.written: list[Event] = []
        self.now = 1_000
        self.segments: list[Submission] = []
        self.flying: list[Submission] = []  # claimed and not yet answered, given up or not
        self.given_up: list[Submission] = []

    def same(self, sort: Callable[[list[Event]], list[Event]] = list) -> None:
        """Take the events of one call, and compare them."""
        count, body = self.buffer.take()
        events = read_events(body, Event)
        assert count == len(events)
        assert sort(events) == sort(self.twin.events)
        self.twin.events.clear()
        self.twin.finished.clear()
        self.log += body
        self.written += events

    def some(self, among: list[Submission], picks: list[int]) -> list[Submission]:
        """Pick several, each once."""
        found: list[Submission] = []
        for pick in picks:
            if among and (it := among[pick % len(among)]) not in found:
                found.append(it)
        return found

    @rule(ahead=st.integers(0, 3))
    def time_passes(self, ahead: int) -> None:
        """Or stands still."""
        self.now += ahead

    @precondition(lambda self: len(self.segments) < MANY)
    @rule(segments=st.sampled_from([1, 1, 1, 1, 2, 3, 9]), traffic_class=st.integers(0, 3))
    def accept(self, segments: int, traffic_class: int) -> None:
        """A new message."""
        n = self.segments[-1].n + 1 if self.segments else 1
        for segment in range(segments):
            self.segments.append(Submission(None, n, segment, segments, traffic_class, 0, b""))

    @rule(carrier=CARRIERS, picks=TRIES)
    def claim(self, carrier: int, picks: list[int]) -> None:
        """Any segments that do not fly, new ones or not, ended ones too."""
        some = self.some([it for it in self.segments if it not in self.flying], picks)
        attempts = [it.attempts for it in some]
        expected = self.twin.claim(some, attempts, carrier, self.now)
        assert self.book.claim(some, carrier, self.now) == expected
        assert all(it.claimed and it.carrier == carrier for it in expected)
        assert [it.attempts - (it in expected) for it in some] == attempts
        self.flying += expected
        self.same()

    @precondition(lambda self: self.flying)
    @rule(picks=TRIES, data=st.data())
    def answers(self, picks: list[int], data: st.DataObject) -> None:
        """submit_sm_resp for some that fly, all of one carrier."""
        some = self.some(self.flying, picks)
        some = [it for it in some if it.carrier == some[0].carrier]
        carrier = some[0].carrier
        statuses = [data.draw(STATUSES) for _ in some]
        ids = [data.draw(RESPONSE_IDS) for _ in some]
        answers = list(zip(some, statuses, ids, strict=True))
        refused = [each for each in answers if self.twin.answered(*each, carrier, self.now)]
        expected = refused, list(self.twin.finished)
        assert self.book.submitted(some, statuses, ids, carrier, self.now) == expected
        self.twin.forget()
        self.flying = [it for it in self.flying if it not in some]
        self.same()

    @precondition(lambda self: self.flying)
    @rule(picks=TRIES, unsent=st.booleans())
    def break_(self, picks: list[int], unsent: bool) -> None:
        """A connection ends: unanswered, or never sent."""
        some = self.some(self.flying, picks)
        some = [it for it in some if it.carrier == some[0].carrier]
        carrier = some[0].carrier
        after = [it.attempts - unsent for it in some]
        got = (self.book.unsent if unsent else self.book.unanswered)(some, carrier, self.now)
        kind = EventKind.UNSENT if unsent else EventKind.UNANSWERED
        pairs = zip(some, after, strict=True)
        assert got == [it for it, count in pairs if self.twin.came_back(kind, it, count, carrier, self.now)]
        assert [it.attempts for it in some] == after
        self.flying = [it for it in self.flying if it not in some]
        self.given_up += [] if unsent else some
        self.same()

    @precondition(lambda self: self.given_up)
    @rule(pick=PICK, status=STATUSES, message_id=RESPONSE_IDS, carrier=CARRIERS)
    def late_answer(self, pick: int, status: int, message_id: bytes | None, carrier: int) -> None:
        """An answer to one that was given up, and may fly again by now, or have an id already."""
        it = self.given_up.pop(pick % len(self.given_up))
        if not self.tells_apart(it, carrier):
            return
        expected = self.twin.late(it, status, message_id, carrier, self.now)
        assert self.book.late(it, status, message_id, carrier, self.now) == expected
        self.same()

    def tells_apart(self, it: Submission, carrier: int) -> bool:
        """Whether a restart can: not two ids of one segment at one carrier, which swap their receipts."""
        return True

    @precondition(lambda self: self.segments)
    @rule(pick=PICK, ahead=st.integers(0, 9))
    def retry(self, pick: int, ahead: int) -> None:
        """Any segment that does not fly is put off."""
        it = self.segments[pick % len(self.segments)]
        if it not in self.flying:
            expected = self.twin.retry(it, self.now + ahead, self.now)
            assert self.book.retry(it, self.now + ahead, self.now) == expected
            self.same()

    @precondition(lambda self: self.segments)
    @rule(pick=PICK, carrier=CARRIERS)
    def reroute(self, pick: int, carrier: int) -> None:
        """Any message goes elsewhere."""
        it = self.segments[pick % len(self.segments)]
        self.twin.reroute(it, carrier, self.now)
        self.book.reroute(it, carrier, self.now)
        self.same()

    @rule(carrier=CARRIERS, data=st.data(), count=st.integers(1, 4))
    def receipts(self, carrier: int, data: st.DataObject, count: int) -> None:
        """deliver_sm: known or unknown ids, early, late, again; with TLVs, text or both; or no receipts."""
        batch = []
        left = []
        for _ in range(count):
            text, tlvs = b"", dict[int, bytes]()
            if data.draw(st.booleans()):
                text = b"id:%s stat:%s" % (data.draw(RECEIPT_IDS), data.draw(WORDS).encode())
                text += data.draw(st.sampled_from([b"", b" err:042", b" err:" + b"7" * 65]))
            if data.draw(st.booleans()):
                tlvs[Tlv.RECEIPTED_MESSAGE_ID] = (data.draw(RECEIPT_IDS) or b"")[:64]
            if data.draw(st.booleans()):
                tlvs[Tlv.MESSAGE_STATE] = bytes([data.draw(st.sampled_from([1, 2, 2, 3, 5, 6, 7, 8, 9, 12]))])
            if data.draw(st.booleans()):
                tlvs[Tlv.NETWORK_ERROR_CODE] = b"\3\0\x2a"
            esm_class = data.draw(
                st.sampled_from([0, EsmClass.DELIVERY_RECEIPT, EsmClass.INTERMEDIATE_NOTIFICATION])
            )
            batch.append(incoming(text, tlvs, esm_class))
            left.append(not self.twin.receipted(text, tlvs, esm_class, carrier, self.now))
        self.twin.forget()
        expected = [each for each, is_left in zip(batch, left, strict=True) if is_left]
        assert self.book.receipted(batch, carrier, self.now) == expected
        self.same()

    @precondition(lambda self: self.twin.awaiting or self.twin.settled)
    @rule(pick=PICK, state=st.sampled_from([1, 2, 2, 3, 5, 6, 8]), intermediate=st.booleans())
    def known_receipt(self, pick: int, state: int, intermediate: bool) -> None:
        """A receipt for an id that was given, read by Python."""
        rows = self.twin.awaiting + self.twin.settled
        row = rows[pick % len(rows)]
        code = state | intermediate * 256
        assert self.twin.settle(row.carrier, row.key, code, b"e", self.now)
        self.twin.forget()
        assert self.book.knows(row.carrier, row.key)
        assert self.book.settle(row.carrier, row.key, state, b"e", self.now, intermediate)
        self.same()

    @precondition(lambda self: self.segments)
    @rule(pick=PICK, outcome=BAD, reason=REASONS)
    def fail(self, pick: int, outcome: int, reason: int) -> None:
        """A segment ends badly, whatever it was doing."""
        it = self.segments[pick % len(self.segments)]
        expected = self.twin.fail(it, outcome, reason, self.now)
        self.twin.forget()
        assert self.book.fail(it, outcome, reason, self.now) == expected
        self.same()

    @precondition(lambda self: self.segments)
    @rule(pick=PICK, outcome=st.sampled_from([Outcome.EXPIRED, Outcome.CANCELLED]), reason=REASONS)
    def finish(self, pick: int, outcome: int, reason: int) -> None:
        """A whole message ends."""
        it = self.segments[pick % len(self.segments)]
        expected = self.twin.finish(it.n, outcome, reason, it.carrier, self.now)
        self.twin.forget()
        assert self.book.finish(it.n, outcome, reason, it.carrier, self.now) == expected
        self.same()

    @rule(carrier=CARRIERS, age=st.integers(0, 9), budget=st.integers(0, 4))
    def expire(self, carrier: int, age: int, budget: int) -> None:
        """The receipt timer."""
        expected = self.twin.expire(carrier, self.now - age, self.now, budget)
        self.twin.forget()
        assert self.book.expire(carrier, self.now - age, self.now, budget) == expected
        self.same(self.aged)

    @rule(age=st.integers(0, 9), budget=st.integers(0, 3))
    def orphan(self, age: int, budget: int) -> None:
        """Parked receipts grow old."""
        expected = self.twin.orphan(self.now - age, self.now, budget)
        assert self.book.orphan(self.now - age, self.now, budget) == expected
        self.same(self.aged)

    # ---- what must always hold ----

    @invariant()
    def it_looks_the_same(self) -> None:
        """All that can be seen of the book is as in the twin."""
        book, twin = self.book, self.twin
        assert book.unsettled() == twin.unsettled()
        assert (book.outstanding, book.parked) == (len(twin.awaiting), len(twin.parked))
        for carrier in DIALECTS:
            assert book.awaiting(carrier) == twin.classes(carrier)
        for n in {it.n for it in self.segments}:
            assert (book.touched(n), book.is_finished(n)) == (n in twin.touched, n in twin.ended)
        for name in (
            "matched",
            "duplicate",
            "overruled",
            "ambiguous",
            "corrected",
            "unmatched",
            "orphaned",
            "unmapped",
        ):
            assert (name, getattr(book, name)) == (name, twin.counters.get(name, 0))

    @invariant()
    def nothing_is_lost_and_nothing_ends_twice(self) -> None:
        """Told from the events and the book alone, without the twin."""
        finished = Counter(event.n for event in self.written if event.kind == EventKind.FINISHED)
        assert all(count == 1 for count in finished.values())
        ended = set[int]()
        for event in self.written:
            if event.kind == EventKind.CORRECTED:
                assert event.n in ended
            assert not (event.kind == EventKind.CLAIMED and event.n in ended)
            if event.kind == EventKind.FINISHED:
                ended.add(event.n)
        working = {(n, segment) for n, segment, *_ in self.book.unsettled()}
        assert not any(n in ended for n, _ in working)
        failed = {(event.n, event.segment) for event in self.written if event.kind == EventKind.FAILED}
        submitted = {(event.n, event.segment) for event in self.written if event.kind == EventKind.SUBMITTED}
        for it in self.segments:
            if self.book.touched(it.n) and it.n not in ended:
                place = (it.n, it.segment)
                assert (place in working) + (place in failed or place in submitted) == 1


class Bounded(Against):
    """The same with next to no memory of what has ended: what is forgotten changes no outcome wrongly."""

    settled_max, parked_max = 2, 1


class Restarted(Against):
    """The same, and now and then the process ends; the book comes back from events and perhaps a snapshot.

    A snapshot loses the order of one millisecond: what grows old is taken at once, in any.
    """

    settled_max, parked_max = LARGE, LARGE

    def aged(self, events: list[Event]) -> list[Event]:
        """See above."""
        return sorted(events)

    def __init__(self) -> None:
        super().__init__()
        self.expired_before = dict.fromkeys(DIALECTS, 0)
        self.dumping: Iterator[bytes] | None = None
        self.pieces: list[bytes] = []
        self.dumped_from = 0

    def tells_apart(self, it: Submission, carrier: int) -> bool:
        """See Against."""
        rows = self.twin.awaiting + self.twin.settled
        return all(row.carrier != carrier for row in rows if (row.n, row.segment) == (it.n, it.segment)) and (
            it not in self.flying or it.carrier != carrier
        )

    def expire(self, carrier: int, age: int, budget: int) -> None:
        """The receipt timer, for all that it concerns."""
        self.expired_before[carrier] = max(self.expired_before[carrier], self.now - age)
        Against.expire(self, carrier, age, LARGE)

    def orphan(self, age: int, budget: int) -> None:
        """Parked receipts grow old, all that do."""
        Against.orphan(self, age, LARGE)

    orphan = rule(age=st.integers(0, 9), budget=st.just(0))(orphan)
    expire = rule(carrier=CARRIERS, age=st.integers(0, 9), budget=st.just(0))(expire)

    @rule()
    def begin_snapshot(self) -> None:
        """Its first piece; the rest is taken while things go on."""
        self.dumping, self.dumped_from = self.book.dump(), len(self.log)
        self.pieces = [next(self.dumping)]

    @precondition(lambda self: self.dumping)
    @rule(pieces=st.integers(1, 4))
    def go_on_with_snapshot(self, pieces: int) -> None:
        """Some more pieces."""
        for _, piece in zip(range(pieces), self.dumping or (), strict=False):
            self.pieces.append(piece)

    @precondition(lambda self: self.dumping)
    @rule()
    def restart_from_snapshot(self) -> None:
        """The snapshot as of several moments, and the events since its first piece."""
        self.pieces += self.dumping or ()
        book = new_book(self.buffer, self.settled_max, self.parked_max, bytes(16))
        book.load(iter(self.pieces))
        self.restart(book, self.log[self.dumped_from :])
        self.dumping = None

    @rule(seed=st.binary(min_size=16, max_size=16))
    def restart_from_events(self, seed: bytes) -> None:
        """All events, from the first, under any seed."""
        self.restart(new_book(self.buffer, self.settled_max, self.parked_max, seed), self.log)

    def restart(self, book: Book, body: bytes) -> None:
        """Go on with a recovered book."""
        assert book.replay(body) == len(read_events(body, Event))
        book.recovered()
        self.book, self.dumping = book, None
        self.twin.counters.clear()
        for carrier, before_ms in self.expired_before.items():
            book.expire(carrier, before_ms, self.now, LARGE)
        self.same(self.aged)


TestAgainstTheTwin, TestWithLittleMemory, TestRestarted = (
    Against.TestCase,
    Bounded.TestCase,
    Restarted.TestCase,
)
TestAgainstTheTwin.settings = TestWithLittleMemory.settings = TestRestarted.settings = settings(**RULES)
