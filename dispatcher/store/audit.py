"""The proof: accepted = waiting + in flight + in doubt + awaiting receipt + finished, from the journal alone.

Law: nothing here is shared with the code that sends: records are read with struct, states are kept in plain
Python. It reads a store whether or not a process runs on it, up to the row that was the newest when it began.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import Final

import apsw
import msgspec

from dispatcher.errors import StoreError
from dispatcher.model import WHOLE, EventKind, Message, Outcome, Reason, TrafficClass
from dispatcher.store.reader import Reader
from dispatcher.store.records import EVENTS_STREAM, StoredRow, unpack_messages
from dispatcher.store.states import FINISHED, state_of

SLICE_OCTETS: Final = 4 << 20
SHOWN: Final = 20
"""Of what is wrong, named one by one; all of it is counted."""

_EVENT: Final = Struct("<BBHIQqB")
_LATE: Final = 1 << 16
_INTERMEDIATE: Final = 1 << 8


class Audit(msgspec.Struct):
    """What was counted. All is right where `wrong` is empty."""

    rows: int = 0
    events: int = 0
    accepted: int = 0
    states: Counter[str] = msgspec.field(default_factory=Counter)
    """Messages by state; they add up to `accepted`."""
    classes: dict[str, Counter[str]] = msgspec.field(default_factory=dict)
    """The same, by traffic class."""
    carriers: dict[str, Counter[str]] = msgspec.field(default_factory=dict)
    """The same, by carrier: the last one tried, or the first of the route."""
    outcomes: Counter[str] = msgspec.field(default_factory=Counter)
    reasons: Counter[str] = msgspec.field(default_factory=Counter)
    segments: int = 0
    parked: int = 0
    """Receipts that matched nothing when they came."""
    of_the_past: int = 0
    """Events of messages whose acceptance has been trimmed."""
    wrong: Counter[str] = msgspec.field(default_factory=Counter)
    named: list[str] = msgspec.field(default_factory=list)
    """The first of what is wrong."""

    def complain(self, what: str, where: str) -> None:
        """Note that something is wrong."""
        self.wrong[what] += 1
        if len(self.named) < SHOWN:
            self.named.append(f"{what}: {where}")

    @property
    def is_right(self) -> bool:
        """Whether nothing is wrong, and the sum holds."""
        return not self.wrong and sum(self.states.values()) == self.accepted


def audit(folder: Path) -> Audit:
    """Read a store and count. StoreError: there is none, or it cannot be read at all."""
    result = Audit()

    def damaged(seq: int, stream: int, first: int, last: int) -> None:
        holds = "events" if stream == EVENTS_STREAM else f"messages {first} to {last} of stream {stream}"
        result.complain("damaged row", f"{seq} ({holds if last or not stream else 'unreadable'})")

    reader = Reader(folder, damaged)
    try:
        ledger = _Ledger(result, reader.mark("trimmed_n"))
        end, seq = reader.bounds[1], 0
        while seq < end and (rows := reader.rows(seq, SLICE_OCTETS)):
            for row in rows:
                if row.seq <= end:
                    ledger.take(row)
            seq = rows[-1].seq
        names = {number: name for name, number in reader.numbers_of("carrier").items()}
        ledger.count(names)
        for complaint in reader.check():
            result.complain("damaged file", complaint)
    except apsw.Error as error:
        raise StoreError(f"{folder} is damaged beyond reading: {error}; try `dispatcher repair`") from error
    finally:
        reader.close()
    return result


class _Open:
    """A message that has not finished."""

    __slots__ = ("carrier", "segments", "traffic_class")

    def __init__(self, message: Message) -> None:
        self.traffic_class = message.traffic_class
        self.carrier = message.carriers[0] if message.carriers else 0
        self.segments: list[int] = [EventKind.UNSENT] * message.segments
        """The last that happened to each; UNSENT for nothing yet."""

    @property
    def state(self) -> str:
        return state_of(self.segments)


_Finished = tuple[int, int, int]
"""Traffic class, carrier, code."""


class _Ledger:
    """Every message and what has become of it, row by row."""

    def __init__(self, result: Audit, trimmed_n: int) -> None:
        self._result = result
        self._trimmed_n = trimmed_n
        self._messages: dict[int, _Open | _Finished] = {}
        self._ends: dict[_Finished, _Finished] = {}
        """Each once: millions have few."""

    def take(self, row: StoredRow) -> None:
        """Take one row into account."""
        self._result.rows += 1
        try:
            if row.stream == EVENTS_STREAM:
                self._take_events(row)
            elif row.holds_messages:
                self._take_messages(row)
        except StoreError as error:
            self._result.complain("unreadable row", f"{row.seq}: {error}")

    def _take_messages(self, row: StoredRow) -> None:
        for message in unpack_messages(row.body, row.count):
            if message.n in self._messages:
                self._result.complain("accepted twice", f"message {message.n} in row {row.seq}")
                continue
            if not row.first <= message.n <= row.last:
                self._result.complain("out of the bounds of its row", f"message {message.n} in row {row.seq}")
            self._result.accepted += 1
            self._result.segments += message.segments
            self._messages[message.n] = _Open(message)

    def _take_events(self, row: StoredRow) -> None:
        count = 0
        for kind, segment, carrier, code, n, _ in _events(row.body):
            count += 1
            if kind in (EventKind.PARKED, EventKind.ORPHANED):
                self._result.parked += kind == EventKind.PARKED
                continue
            known = self._messages.get(n)
            where = f"message {n}, segment {segment}, in row {row.seq}"
            if known is None:
                if n <= self._trimmed_n:
                    self._result.of_the_past += 1
                else:
                    self._result.complain(f"{_name(kind)} of an unknown message", where)
            elif isinstance(known, _Open):
                self._happens(n, known, kind, segment, carrier, code, where)
            elif kind == EventKind.CORRECTED:
                self._end(n, known[0], carrier or known[1], code)
            elif kind in (EventKind.FINISHED, EventKind.CLAIMED):
                self._result.complain(f"{_name(kind)} after it had finished", where)
        self._result.events += count
        if count != row.count:
            self._result.complain("miscounted row", f"{row.seq} says {row.count} events and holds {count}")

    def _happens(
        self, n: int, message: _Open, kind: int, segment: int, carrier: int, code: int, where: str
    ) -> None:
        message.carrier = carrier or message.carrier
        if kind == EventKind.FINISHED:
            self._end(n, message.traffic_class, message.carrier, code)
            return
        if kind == EventKind.CORRECTED:
            self._result.complain("CORRECTED before it had finished", where)
        elif segment != WHOLE and segment >= len(message.segments):
            self._result.complain(f"{_name(kind)} of a segment that it does not have", where)
        elif kind == EventKind.RETRY and segment != WHOLE:
            if message.segments[segment] == EventKind.UNANSWERED:
                message.segments[segment] = EventKind.UNSENT
        elif kind == EventKind.REROUTED:
            message.segments = [EventKind.UNSENT] * len(message.segments)
        elif kind in _FOLLOWS:
            is_late = kind == EventKind.SUBMITTED and code & _LATE
            is_passing = kind == EventKind.RECEIPTED and code & _INTERMEDIATE
            for index in range(len(message.segments)) if segment == WHOLE else (segment,):
                before = message.segments[index]
                if before not in _FOLLOWS[kind] and not is_late:
                    self._result.complain(f"{_name(kind)} after {_name(before)}", where)
                if not (
                    is_passing or (is_late and before == EventKind.CLAIMED)
                ):  # another attempt is on its way
                    message.segments[index] = kind

    def _end(self, n: int, traffic_class: int, carrier: int, code: int) -> None:
        end = (traffic_class, carrier, code)
        self._messages[n] = self._ends.setdefault(end, end)

    def count(self, carriers: dict[int, str]) -> None:
        """Count all messages by what they are in."""
        result = self._result
        tally: Counter[tuple[int, int, str, int]] = Counter()
        for known in self._messages.values():
            if isinstance(known, _Open):
                tally[known.traffic_class, known.carrier, known.state, 0] += 1
            else:
                tally[known[0], known[1], FINISHED, known[2]] += 1
        for (traffic_class, carrier, state, code), number in tally.items():
            result.states[state] += number
            name = TrafficClass(traffic_class).name.lower()
            result.classes.setdefault(name, Counter())[state] += number
            result.carriers.setdefault(carriers.get(carrier, f"number {carrier}"), Counter())[state] += number
            if state == FINISHED:
                result.outcomes[_named(Outcome, code >> 16)] += number
                result.reasons[_named(Reason, code & 0xFFFF)] += number


_FOLLOWS: Final[dict[int, set[int]]] = {
    EventKind.CLAIMED: {EventKind.UNSENT, EventKind.REFUSED, EventKind.UNANSWERED},
    EventKind.SUBMITTED: {EventKind.CLAIMED, EventKind.RECEIPTED},
    EventKind.REFUSED: {EventKind.CLAIMED},
    EventKind.UNANSWERED: {EventKind.CLAIMED, EventKind.RECEIPTED},
    EventKind.UNSENT: {EventKind.CLAIMED},
    EventKind.RECEIPTED: {*EventKind},
    EventKind.FAILED: {*EventKind},
}
"""What may be the last before an event of a segment, UNSENT being nothing: what is not claimed is not
sent."""


def _events(body: bytes) -> Iterator[tuple[int, int, int, int, int, int]]:
    """Yield kind, segment, carrier, code, n, at_ms of each record, as dispatcher.model.Event lays them
    out."""
    at = 0
    while at < len(body):
        if at + _EVENT.size > len(body):
            raise StoreError(f"octet {at}: the record is cut")
        *fields, tail = _EVENT.unpack_from(body, at)
        yield tuple(fields)
        at += _EVENT.size + tail


def _name(kind: int) -> str:
    return EventKind(kind).name if kind in EventKind._value2member_map_ else f"event of kind {kind}"


def _named(kind: type[Outcome] | type[Reason], value: int) -> str:
    return kind(value).name.lower() if value in kind._value2member_map_ else f"number {value}"
