"""The slow, obvious twin of the book: lists and dicts, one rule after the other. The oracle of its tests."""

from dataclasses import dataclass, field
from struct import pack

from dispatcher._ext.book import Submission
from dispatcher.model import WHOLE, Event, EventKind, Outcome, Reason
from dispatcher.receipts import outcomes
from dispatcher.smpp.dialect import Dialect
from dispatcher.smpp.receipt_text import Kind, parse, recognise

INTERMEDIATE = 256
LATE = 1 << 16
End = tuple[int, int]
"""(outcome, reason)."""


@dataclass
class Row:
    """An id that was given to a segment."""

    carrier: int
    key: bytes
    n: int
    segment: int
    traffic_class: int
    at_ms: int
    shared: bool
    outcome: int = 0
    """0: it awaits a receipt."""


@dataclass
class Early:
    """A receipt that matched nothing."""

    carrier: int
    key: bytes
    code: int
    err: bytes
    at_ms: int

    @property
    def tail(self) -> bytes:
        """As in its event."""
        return self.key + (b"\0" + self.err if self.err else b"")


@dataclass
class Work:
    """A segment that is not submitted."""

    carrier: int
    state: int = 0
    attempts: int = 0
    due_ms: int = 0
    command_status: int = 0


def wins(outcome: int, known: int) -> bool:
    """Whether the first replaces the second."""
    return outcome not in (0, known) and (outcome == Outcome.DELIVERED or known == Outcome.UNKNOWN)


def worst(ends: list[End | None]) -> End:
    """The end of a message: the first of the highest outcome."""
    return max((end for end in ends if end), key=lambda end: end[0])


@dataclass
class Twin:
    """What a Book should be."""

    dialects: dict[int, Dialect]
    asked: dict[int, bool]
    parked_max: int
    settled_max: int
    events: list[Event] = field(default_factory=list)
    works: dict[tuple[int, int], Work] = field(default_factory=dict)
    folds: dict[int, list[End | None]] = field(default_factory=dict)
    closed: list[int] = field(default_factory=list)
    touched: set[int] = field(default_factory=set)
    ended: set[int] = field(default_factory=set)
    awaiting: list[Row] = field(default_factory=list)
    settled: list[Row] = field(default_factory=list)
    parked: list[Early] = field(default_factory=list)
    finished: list[tuple[int, int, int]] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)

    def count(self, name: str) -> None:
        """One more of a counter."""
        self.counters[name] = self.counters.get(name, 0) + 1

    def put(
        self,
        kind: int,
        n: int,
        at_ms: int,
        segment: int = WHOLE,
        carrier: int = 0,
        code: int = 0,
        tail: bytes = b"",
    ) -> None:
        """Note an event."""
        self.events.append(Event(kind, segment, carrier, code, n, at_ms, tail))

    # ---- out ----

    def touch(self, it: Submission, carrier: int) -> Work | None:
        """The work of a segment, if it needs any."""
        if it.n not in self.touched:
            self.touched.add(it.n)
            self.works |= {(it.n, segment): Work(carrier) for segment in range(it.segments)}
            if it.segments > 1:
                self.folds[it.n] = [None] * it.segments
        return self.works.get((it.n, it.segment))

    def claim(
        self, submissions: list[Submission], attempts: list[int], carrier: int, at_ms: int
    ) -> list[Submission]:
        """As Book.claim; `attempts` as they were before."""
        claimed = []
        for it, before in zip(submissions, attempts, strict=True):
            if self.touch(it, carrier) is not None:
                self.works[it.n, it.segment] = Work(carrier, EventKind.CLAIMED, before + 1, at_ms)
                tail = bytes([it.segments, it.traffic_class])
                self.put(EventKind.CLAIMED, it.n, at_ms, it.segment, carrier, before + 1, tail)
                claimed.append(it)
        return claimed

    def answered(
        self, it: Submission, status: int, message_id: bytes | None, carrier: int, at_ms: int
    ) -> bool:
        """One of Book.submitted; True: refused, and to be decided upon."""
        if status == 0:
            self.accept(it, message_id, carrier, at_ms, False)
            return False
        self.put(EventKind.REFUSED, it.n, at_ms, it.segment, carrier, status)
        work = self.works.get((it.n, it.segment))
        if work:
            self.works[it.n, it.segment] = Work(carrier, EventKind.REFUSED, work.attempts, 0, status)
        return bool(work)

    def came_back(self, kind: int, it: Submission, attempts: int, carrier: int, at_ms: int) -> bool:
        """One of Book.unanswered and Book.unsent; `attempts` as they are after."""
        self.put(kind, it.n, at_ms, it.segment, carrier, attempts if kind == EventKind.UNSENT else 0)
        if (it.n, it.segment) not in self.works:
            return False
        since_ms = at_ms if kind == EventKind.UNANSWERED else 0
        self.works[it.n, it.segment] = Work(carrier, kind, attempts, since_ms)
        return True

    def retry(self, it: Submission, due_ms: int, at_ms: int) -> bool:
        """As Book.retry."""
        if (it.n, it.segment) not in self.works:
            return False
        self.works[it.n, it.segment] = Work(it.carrier, EventKind.RETRY, it.attempts, due_ms)
        self.put(EventKind.RETRY, it.n, at_ms, it.segment, it.carrier, 0, pack("<q", due_ms))
        return True

    def reroute(self, it: Submission, carrier: int, at_ms: int) -> None:
        """As Book.reroute."""
        if it.n in self.ended:
            return
        self.put(EventKind.REROUTED, it.n, at_ms, WHOLE, carrier, 0, bytes([it.segments, it.traffic_class]))
        self.touch(it, carrier)
        for segment in range(it.segments):
            if work := self.works.get((it.n, segment)):
                self.works[it.n, segment] = Work(carrier, EventKind.REROUTED, work.attempts)

    def late(self, it: Submission, status: int, message_id: bytes | None, carrier: int, at_ms: int) -> bool:
        """As Book.late."""
        if status or self.has_ended(it.n, it.segment):
            return False
        self.accept(it, message_id, carrier, at_ms, True)
        self.forget()
        return True

    def accept(self, it: Submission, message_id: bytes | None, carrier: int, at_ms: int, late: bool) -> None:
        """ESME_ROK."""
        message_id = b"" if message_id is None or len(message_id) > 128 else message_id
        code = it.segments << 8 | it.traffic_class | (LATE if late else 0)
        self.put(EventKind.SUBMITTED, it.n, at_ms, it.segment, carrier, code, message_id)
        work = self.works.pop((it.n, it.segment), None)
        second = work is None or (late and work.state == EventKind.CLAIMED)
        key = self.dialects[carrier].key_of_response(message_id)
        its = (carrier, key, it.n, it.segment)
        rows = self.awaiting + self.settled if second and self.asked[carrier] else []
        known = [row for row in rows if (row.carrier, row.key, row.n, row.segment) == its]
        if second and not known and it.n not in self.folds and it.n not in self.ended:
            self.folds[it.n] = [None] * it.segments
        if not key or not self.asked[carrier]:
            if not self.has_ended(it.n, it.segment):
                reason = Reason.NO_SMSC_MESSAGE_ID if self.asked[carrier] else Reason.NO_RECEIPT_ASKED
                self.end(it.n, it.segment, Outcome.UNKNOWN, reason, carrier, at_ms)
            return
        if known:
            row = known[0]
        else:
            shared = second or it.segments > 1 or it.n in self.folds
            row = Row(carrier, key, it.n, it.segment, it.traffic_class, at_ms, shared)
            self.awaiting.append(row)
        mine = [early for early in self.parked if (early.carrier, early.key) == (carrier, key)]
        for early in sorted(mine, key=lambda early: (early.at_ms, early.code)):
            self.parked.remove(early)
            self.count("matched")
            self.apply(row, early.code, early.err, at_ms)

    # ---- in ----

    def receipted(
        self, text: bytes, tlvs: dict[int, bytes], esm_class: int, carrier: int, at_ms: int
    ) -> bool:
        """One of Book.receipted, read by the functions for Python; False: Python decides."""
        dialect = self.dialects[carrier]
        kind = recognise(esm_class, text, tlvs)
        read = parse(text, tlvs, dialect)
        if kind is Kind.MESSAGE or not read.message_id or read.state is None or len(read.message_id) > 128:
            return False
        key = dialect.key_of_receipt(read.message_id, read.id_from_tlv)
        err = tlvs.get(0x0423) or read.err or b""
        code = read.state | (INTERMEDIATE if kind is Kind.INTERMEDIATE else 0)
        if not key:
            return False
        err = err if len(err) <= 64 else b""
        sure = kind is not Kind.LOOKS_LIKE
        if not self.settle(carrier, key, code, err, at_ms, sure) and not sure:
            return False
        if read.unmapped:
            self.count("unmapped")
        return True

    def best(self, carrier: int, key: bytes) -> Row | None:
        """What an id stands for."""
        for rows in (self.awaiting, self.settled):
            mine = [row for row in rows if (row.carrier, row.key) == (carrier, key)]
            if mine:
                if rows is self.awaiting and len(mine) > 1:
                    self.count("ambiguous")
                return max(mine, key=lambda row: (row.at_ms, row.n, row.segment))
        return None

    def settle(self, carrier: int, key: bytes, code: int, err: bytes, at_ms: int, park: bool = True) -> bool:
        """As Book.settle."""
        if row := self.best(carrier, key):
            self.count("matched")
            self.apply(row, code, err, at_ms)
            return True
        if not park:
            return False
        if any((each.carrier, each.key, each.code) == (carrier, key, code) for each in self.parked):
            self.count("duplicate")
            return False
        if len(self.parked) >= self.parked_max:
            self.give_up(self.parked[0], at_ms)
        early = Early(carrier, key, code, err, at_ms)
        self.parked.append(early)
        self.count("unmatched")
        self.put(EventKind.PARKED, 0, at_ms, WHOLE, carrier, code, early.tail)
        return False

    def give_up(self, early: Early, at_ms: int) -> None:
        """A parked receipt becomes an orphan."""
        self.parked.remove(early)
        self.count("orphaned")
        self.put(EventKind.ORPHANED, 0, at_ms, WHOLE, early.carrier, early.code, early.tail)

    def orphan(self, before_ms: int, now_ms: int, budget: int) -> int:
        """As Book.orphan."""
        old = [early for early in self.parked if early.at_ms < before_ms][:budget]
        for early in old:
            self.give_up(early, now_ms)
        return len(old)

    def apply(self, row: Row, code: int, err: bytes, at_ms: int) -> None:
        """A receipt about an id."""
        outcome = 0 if code & INTERMEDIATE else outcomes(self.dialects[row.carrier])[code & 255]
        first = row in self.awaiting
        if not first and not wins(outcome, row.outcome):
            self.count("duplicate" if outcome in (0, row.outcome) else "overruled")
            return
        self.put(EventKind.RECEIPTED, row.n, at_ms, row.segment, row.carrier, code, err)
        if outcome == 0:
            return
        self.settle_row(row, outcome)
        if row.n in self.folds or row.n not in self.ended:
            self.end(row.n, row.segment, outcome, Reason.RECEIPT, row.carrier, at_ms)
        elif not row.shared and (outcome == Outcome.DELIVERED or not first):
            self.correct(row.n, (outcome, Reason.RECEIPT), row.carrier, at_ms)

    def settle_row(self, row: Row, outcome: int) -> None:
        """It waits for no receipt."""
        if row in self.awaiting:
            self.awaiting.remove(row)
            self.settled.append(row)
        row.outcome = outcome

    # ---- ends ----

    def has_ended(self, n: int, segment: int) -> bool:
        """Whether a segment has its end."""
        return self.folds[n][segment] is not None if n in self.folds else n in self.ended

    def finish(self, n: int, outcome: int, reason: int, carrier: int, at_ms: int) -> bool:
        """As Book.finish."""
        if n in self.ended:
            return False
        self.put(EventKind.FINISHED, n, at_ms, WHOLE, carrier, outcome << 16 | reason)
        self.close(n, outcome, reason)
        return True

    def fail(self, it: Submission, outcome: int, reason: int, at_ms: int) -> bool:
        """As Book.fail."""
        if self.touch(it, it.carrier) is None:
            return False
        self.end_unreceipted(it.n, it.segment, outcome, reason, it.carrier, at_ms)
        return it.n in self.ended

    def expire(self, carrier: int, before_ms: int, now_ms: int, budget: int) -> int:
        """As Book.expire."""
        expired = 0
        while expired < budget:
            row = next((row for row in self.awaiting if row.carrier == carrier), None)
            if row is None or row.at_ms >= before_ms:
                break
            self.settle_row(row, Outcome.UNKNOWN)
            if not self.has_ended(row.n, row.segment):
                self.end_unreceipted(row.n, row.segment, Outcome.UNKNOWN, Reason.NO_RECEIPT, carrier, now_ms)
            expired += 1
        return expired

    def end_unreceipted(
        self, n: int, segment: int, outcome: int, reason: int, carrier: int, at_ms: int
    ) -> None:
        """One segment ends without a receipt."""
        if n in self.folds:
            tail = bytes([len(self.folds[n])])
            self.put(EventKind.FAILED, n, at_ms, segment, carrier, outcome << 16 | reason, tail)
        self.end(n, segment, outcome, reason, carrier, at_ms)

    def end(self, n: int, segment: int, outcome: int, reason: int, carrier: int, at_ms: int) -> None:
        """One segment ends, or is found to have ended otherwise."""
        ends = self.folds.get(n)
        if ends is None:
            self.finish_message(n, (outcome, reason), carrier, at_ms)
            return
        known = ends[segment]
        if known is None:
            ends[segment] = (outcome, reason)
            self.works.pop((n, segment), None)
            if None not in ends:
                self.finish_message(n, worst(ends), carrier, at_ms)
        elif wins(outcome, known[0]):
            before = worst(ends)
            ends[segment] = (outcome, reason)
            if None not in ends and worst(ends)[0] != before[0]:
                self.correct(n, worst(ends), carrier, at_ms)
        else:
            self.count("duplicate" if outcome == known[0] else "overruled")

    def finish_message(self, n: int, end: End, carrier: int, at_ms: int) -> None:
        """All its segments have ended."""
        self.put(EventKind.FINISHED, n, at_ms, WHOLE, carrier, end[0] << 16 | end[1])
        self.finished.append((n, *end))
        self.close(n, *end)

    def correct(self, n: int, end: End, carrier: int, at_ms: int) -> None:
        """The outcome is now this."""
        self.count("corrected")
        self.put(EventKind.CORRECTED, n, at_ms, WHOLE, carrier, end[0] << 16 | end[1])

    def close(self, n: int, outcome: int, reason: int) -> None:
        """No segment is open any more."""
        self.touched.add(n)
        self.ended.add(n)
        for n_segment in [each for each in self.works if each[0] == n]:
            del self.works[n_segment]
        if n in self.folds:
            self.folds[n] = [end or (outcome, reason) for end in self.folds[n]]
            self.closed.append(n)

    def forget(self) -> None:
        """The oldest of what has ended, beyond the bound."""
        while len(self.settled) > self.settled_max:
            self.settled.pop(0)
        while len(self.closed) > self.settled_max:
            del self.folds[self.closed.pop(0)]

    # ---- looking on ----

    def unsettled(self) -> list[tuple[int, int, int, int, int, int, int]]:
        """As Book.unsettled."""
        return sorted(
            (n, segment, int(work.state), work.attempts, work.due_ms, work.carrier, work.command_status)
            for (n, segment), work in self.works.items()
        )

    def classes(self, carrier: int) -> tuple[int, ...]:
        """As Book.awaiting."""
        mine = [row.traffic_class for row in self.awaiting if row.carrier == carrier]
        return tuple(mine.count(traffic_class) for traffic_class in range(4))
