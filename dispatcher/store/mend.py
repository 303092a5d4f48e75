"""What lost rows of events said, as far as it is known from elsewhere; and who is in doubt where it is not.

Law: a repaired store sends nothing again of which it cannot be sure that it was not sent. An event that is
missing stood in a row that is lost; so it is put back into one, at a place where it may have stood.

Two sources. The projection has a trail of events for each message, up to the row that it has come to: what a
trail has and the journal has not is put back, in its order. For lost rows behind that, nobody knows: what
would be sent now, was accepted before the row, and has no event behind it, counts as claimed by that row.
The next start judges it as a submit that was not answered: by the policy of its class.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, NamedTuple

import apsw

from dispatcher._ext.events import EventBuffer, read_events
from dispatcher.errors import StoreError
from dispatcher.model import WHOLE, Event, EventKind, Message
from dispatcher.store.projection import PROJECTION
from dispatcher.store.records import EVENTS_STREAM, StoredRow, unpack_messages

_ASK: Final = "SELECT trail FROM message WHERE n = ? AND message_id = ?"
_SENDABLE: Final = (0, EventKind.UNSENT, EventKind.REFUSED, EventKind.RETRY)
"""The last of a segment, 0 being nothing: after these it goes out as soon as it is due."""
_NEVER_MS: Final = 1 << 62


class Mended(NamedTuple):
    """Rows to be put in the place of lost ones, and what they mean."""

    rows: list[StoredRow]
    known: int
    """Events that the projection has kept."""
    doubtful: int
    """Messages that count as claimed now."""


class _Open(NamedTuple):
    """A message that was not finished when a row was lost: its events, with the seq of their row."""

    seq: int
    message: Message
    events: list[tuple[int, Event]]


def mend(rows: Iterable[StoredRow], lost: Sequence[int], folder: Path, is_tail_lost: bool) -> Mended:
    """Return what can be said of lost rows. `rows` are those that are whole, in order, `lost` the seq of the
    others; `is_tail_lost`: newer ones may be lost, too."""
    found, times = _concerned(rows, lost)
    with closing(_Trails(folder)) as trails:
        tail = times[-1][0] + 1 if times else 1
        if is_tail_lost or trails.seq >= tail:
            lost = [*lost, tail]  # one row for all that came behind
        unknown = lost[-1] if lost and (is_tail_lost or lost[-1] > trails.seq) else 0
        at = bisect_right(times, (unknown, 0))
        next_ms = times[at][1] if at < len(times) else _NEVER_MS
        buffers: dict[int, EventBuffer] = defaultdict(EventBuffer)
        known = doubtful = 0
        for each in found.values() if lost else ():
            for seq, event in trails.missing(each, lost):
                _put(buffers[seq], event)
                each.events.append((seq, event))
                known += 1
            each.events.sort(key=lambda placed: placed[0])  # stable: those of one row are in order
            if unknown > each.seq and each.message.send_after_ms <= next_ms:
                claims = list(_claims(each, unknown, times[at - 1][1]))
                for event in claims:
                    _put(buffers[unknown], event)
                doubtful += bool(claims)
    made = []
    for seq, buffer in sorted(buffers.items()):
        at_ms = times[max(0, bisect_right(times, (seq, 0)) - 1)][1]
        made.append(StoredRow(seq, at_ms, EVENTS_STREAM, 0, 0, *buffer.take()))
    return Mended(made, known, doubtful)


def _concerned(
    rows: Iterable[StoredRow], lost: Sequence[int]
) -> tuple[dict[int, _Open], list[tuple[int, int]]]:
    """Return the messages that lost rows may tell of, and of each row its seq and when it was written."""
    found: dict[int, _Open] = {}
    times: list[tuple[int, int]] = []
    for row in rows:
        times.append((row.seq, row.at_ms))
        with suppress(StoreError):  # its CRC is right: written by a program that was wrong
            if row.holds_messages:
                for message in unpack_messages(row.body, row.count):
                    found[message.n] = _Open(row.seq, message, [])
            elif row.stream == EVENTS_STREAM:
                for event in read_events(row.body, Event):
                    if (known := found.get(event.n)) is None:
                        continue
                    known.events.append((row.seq, event))
                    if event.kind == EventKind.FINISHED and not _between(lost, known.seq, row.seq):
                        del found[event.n]
    return found, times


def _between(lost: Sequence[int], first: int, last: int) -> bool:
    """Whether a row is lost between two."""
    at = bisect_right(lost, first)
    return at < len(lost) and lost[at] < last


class _Trails:
    """The projection of the damaged store, if it can be read."""

    def __init__(self, folder: Path) -> None:
        self.seq = 0
        """The row that it has come to; 0: there is none that can be used."""
        self._connection: apsw.Connection | None = None
        with suppress(apsw.Error):
            connection = apsw.Connection(str(folder / PROJECTION), flags=apsw.SQLITE_OPEN_READWRITE)
            self._connection = connection
            if all(line == "ok" for (line,) in connection.execute("PRAGMA quick_check")):
                self.seq = connection.execute("SELECT value FROM meta WHERE key = 'seq'").get or 0

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()

    def missing(self, known: _Open, lost: Sequence[int]) -> Iterator[tuple[int, Event]]:
        """Yield the events of a message that the journal has no more, each with a lost row where it may have
        stood: behind the one before it, before the one that follows."""
        found = None
        if self.seq and self._connection is not None:
            values = (known.message.n, known.message.message_id)
            found = self._connection.execute(_ASK, values).get
        if found is None:
            return
        kept = [placed for placed in known.events if placed[0] <= self.seq]
        behind, at = known.seq, 0
        placed: list[tuple[int, Event]] = []
        for event in read_events(found, Event):
            if at < len(kept) and kept[at][1] == event:
                behind, at = kept[at][0], at + 1
                continue
            place = bisect_right(lost, behind)
            if place == len(lost) or lost[place] > self.seq:
                return  # it is not this journal's: what it says is not taken
            placed.append((lost[place], event))
            behind = lost[place] - 1
        if at == len(kept):
            yield from placed


def _claims(known: _Open, lost: int, at_ms: int) -> Iterator[Event]:
    """Yield a CLAIMED for each segment that would be sent and about which nothing is known since a row."""
    message = known.message
    carrier = message.carriers[0] if message.carriers else 0
    last, attempts, seqs = [0] * message.segments, [0] * message.segments, [0] * message.segments
    for seq, event in known.events:
        carrier = event.carrier or carrier
        for segment in range(message.segments) if event.segment == WHOLE else (event.segment,):
            last[segment], seqs[segment] = event.kind, seq
            if event.kind == EventKind.REROUTED:
                last[segment] = 0
            elif event.kind in (EventKind.CLAIMED, EventKind.UNSENT):
                attempts[segment] = event.code & 0xFFFF
            elif event.kind == EventKind.FINISHED:
                return
    tail = bytes((message.segments, message.traffic_class))
    for segment in range(message.segments):
        if last[segment] in _SENDABLE and seqs[segment] <= lost:
            code = attempts[segment] + 1
            yield Event(EventKind.CLAIMED, segment, carrier, code, message.n, at_ms, tail)


def _put(buffer: EventBuffer, event: Event) -> None:
    buffer.add(event.kind, event.n, event.at_ms, event.segment, event.carrier, event.code, event.tail)
