"""Reading the journal, on a connection of its own: rows of a stream, all rows in order, messages by number.

Law: what is returned is what was written. Each row is checked by its CRC; a bad one is reported and left out,
and its neighbours go on.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from struct import error as struct_error
from typing import Final

import apsw

from dispatcher.model import Message
from dispatcher.store import names, snapshot
from dispatcher.store.records import EVENTS_STREAM, StoredRow, checksum, unpack_messages
from dispatcher.store.schema import open_reader
from dispatcher.store.snapshot import Snapshot

OnCorrupt = Callable[[int, int, int, int], None]
"""Called with seq, stream, first and last of a row that is damaged, as far as they can be read; 0 where
not."""

SLICE_OCTETS: Final = 4 << 20
"""Of bodies in memory at a time while all of the journal is read."""

SALVAGED_MAX: Final = 10_000_000
"""Rows that are looked for, where nothing tells how many there are: an hour."""
NAMED_MAX: Final = 100
"""Rows after the last whole one that are named as missing: a damaged seq may say that there are many."""
_BY_SEQ: Final = "seq = ?"


class _DisorderError(Exception):
    """Rows are not where they should be: a page of the file is damaged, and SQLite does not see it."""


_DAMAGED: Final = (apsw.CorruptError, apsw.IOError, UnicodeDecodeError, _DisorderError)
"""What is raised for pages that make no sense, or cannot be read."""


class Reader:
    """Not for two threads at a time. StoreError: there is no journal, or of another format."""

    def __init__(self, folder: Path, on_corrupt: OnCorrupt, vfs: str | None = None) -> None:
        self._connection = open_reader(folder, vfs)
        self._on_corrupt = on_corrupt
        self._reported: set[int] = set()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @property
    def bounds(self) -> tuple[int, int]:
        """The seq of the oldest row and of the newest; (1, 0) where there is none."""
        query = "SELECT coalesce(min(seq), 1), coalesce(max(seq), 0) FROM journal"
        try:
            low, high = self._connection.execute(query).get
        except _DAMAGED:
            low, high = self._connection.execute(f"{query} INDEXED BY journal_stream").get
        return low, high

    def stream(self, stream: int, after_n: int, most_octets: int) -> list[StoredRow]:
        """Return the next rows of a stream of messages that hold numbers above `after_n`, in order.

        At least one row if there is any, and no more once their bodies have `most_octets`.
        """
        try:
            condition = "stream = ? AND last > ? ORDER BY last"
            return self._some(condition, (stream, after_n), most_octets, after_n, _last)
        except _DAMAGED:
            return self._salvage(0, lambda row: row.stream == stream and row.last > after_n, most_octets)

    def events(self, after_seq: int, most_octets: int) -> list[StoredRow]:
        """Return the next rows of events after a seq, in order; how many, as `stream`."""
        try:
            condition = "stream = 0 AND last = 0 AND seq > ? ORDER BY seq"
            return self._some(condition, (after_seq,), most_octets, after_seq, _seq)
        except _DAMAGED:
            return self._salvage(after_seq, lambda row: row.stream == EVENTS_STREAM, most_octets)

    def rows(self, after_seq: int, most_octets: int) -> list[StoredRow]:
        """Return the next rows of all streams after a seq, in order; how many, as `stream`.

        The journal has no gaps: what is not found here is damaged, and reported.
        """
        _, high = self.bounds
        try:
            rows = self._some("seq > ? ORDER BY seq", (after_seq,), most_octets, after_seq)
        except _DAMAGED:
            return self._salvage(after_seq, lambda row: True, most_octets)
        low = self._first_seq()  # after the reading: it may be trimmed meanwhile, as it may have grown
        end = rows[-1].seq if rows else high
        if end - max(low, after_seq + 1) + 1 > len(rows):
            whole_high = self._last_whole_seq()
            found = {row.seq for row in rows}
            for seq in range(max(low, after_seq + 1), min(end, whole_high + NAMED_MAX) + 1):
                if seq not in found:
                    self._report(seq, 0, 0, 0)
        return rows

    def seq_at(self, at_ms: int) -> int:
        """Return the first row that was written at that time or later; behind the newest, if none was.

        Times grow with the rows, but for a clock that was set back.
        """
        low, high = self.bounds
        query = "SELECT at_ms FROM journal WHERE seq >= ? ORDER BY seq LIMIT 1"
        while low <= high:
            middle = (low + high) // 2
            found: int | None = self._connection.execute(query, (middle,)).get
            if found is None or found >= at_ms:
                high = middle - 1
            else:
                low = middle + 1
        return low

    def event_rows(self, after_seq: int) -> Iterator[StoredRow]:
        """Yield all rows of events after a seq, in order, up to the end as it is then."""
        while rows := self.events(after_seq, SLICE_OCTETS):
            yield from rows
            after_seq = rows[-1].seq

    def find(self, numbers: Iterable[int]) -> dict[int, Message]:
        """Return messages by their numbers; those that are not there are left out."""
        wanted = set(numbers)
        found: dict[int, Message] = {}
        for n in sorted(wanted):
            if n not in found:
                for row in self._holding(n):
                    for message in unpack_messages(row.body, row.count):
                        if message.n in wanted:
                            found[message.n] = message
                    if n in found:
                        break
        return found

    def snapshot(self) -> Snapshot | None:
        """Return the newest snapshot that is whole, or None."""
        return snapshot.load(self._connection)

    def newest(self, count: int, since_ms: int) -> Iterator[StoredRow]:
        """Yield the rows of messages that were written since a time, oldest first: of the newest, so many as
        hold `count` messages."""
        query = "SELECT seq, at_ms, count FROM journal WHERE last > 0 ORDER BY seq DESC"
        oldest_seq = held = 0
        for seq, at_ms, its_count in self._connection.execute(query):
            if at_ms < since_ms or held >= count:
                break
            oldest_seq, held = seq, held + its_count
        condition = "last > 0 AND seq >= ? ORDER BY seq"
        while held and (rows := self._some(condition, (oldest_seq,), SLICE_OCTETS)):
            yield from rows
            oldest_seq = rows[-1].seq + 1

    def snapshot_seqs(self) -> list[int]:
        """Return up to which rows the kept snapshots reach, newest first."""
        return snapshot.seqs(self._connection)

    def last_n(self) -> int:
        """Return the highest number that any message ever had; 0 before the first."""
        highest = max(self.mark("trimmed_n"), self.mark("last_n"))
        for stream in self.numbers_of("stream").values():
            newest = self._some("stream = ? ORDER BY last DESC", (stream,), 0)  # the first that is whole
            highest = max([highest, *(row.last for row in newest)])
            query = "SELECT max(last) FROM journal INDEXED BY journal_stream WHERE stream = ? AND last < ?"
            with suppress(*_DAMAGED):  # a damaged row still had these numbers
                highest = max(highest, self._connection.execute(query, (stream, 1 << 40)).get or 0)
        return highest

    def mark(self, key: str) -> int:
        """Return a number that the journal notes about itself, 0 where it has not."""
        found: int | None = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).get
        return found or 0

    def check(self) -> list[str]:
        """Return what SQLite finds wrong with the file: it reads all of it."""
        try:
            found = [text for (text,) in self._connection.execute("PRAGMA integrity_check(20)")]
        except _DAMAGED as error:
            return [str(error)]
        return [] if found == ["ok"] else found

    def spans(self, stream: int, after_n: int = 0) -> Iterator[tuple[int, int, int]]:
        """Yield (first, last, count) of the rows of a stream that hold numbers above `after_n`, in order."""
        query = "SELECT first, last, count FROM journal WHERE stream = ? AND last > ? ORDER BY last"
        yield from self._connection.execute(query, (stream, after_n))

    def numbers_of(self, kind: str) -> dict[str, int]:
        """Return the numbers of all streams or carriers by name; see names.load."""
        return names.load(self._connection, kind)

    def _holding(self, n: int) -> Iterator[StoredRow]:
        """Yield the rows that may hold a number: at most one a stream."""
        for stream in self.numbers_of("stream").values():
            yield from (row for row in self.stream(stream, n - 1, 0) if row.first <= n)

    def _some(
        self,
        condition: str,
        values: tuple[int, ...],
        most_octets: int,
        after: int = -1,
        index: Callable[[StoredRow], int] | None = None,
    ) -> list[StoredRow]:
        """Return rows that are whole, and report the others. _DisorderError: their pages are in no order.

        Parameters:
            after: what the seq of the first is above, or what `index` says of it.
            index: what grows from row to row, where they are found by the index; a row that seems damaged may
                then be wrong in the index only.
        """
        rows: list[StoredRow] = []
        octets = 0
        query = f"SELECT seq, at_ms, stream, first, last, count, body, crc FROM journal WHERE {condition}"
        for seq, at_ms, stream, first, last, count, body, crc in self._connection.execute(query, values):
            row = StoredRow(seq, at_ms, stream, first, last, count, body)
            if not _is_whole(row, crc):
                if index is not None:
                    raise _DisorderError
                self._report(seq, stream, first, last)
                continue
            before, after = after, (index or _seq)(row)
            if after <= before:
                raise _DisorderError
            rows.append(row)
            octets += len(row.body)
            if octets >= most_octets:
                break
        return rows

    def _salvage(
        self, after_seq: int, wanted: Callable[[StoredRow], bool], most_octets: int
    ) -> list[StoredRow]:
        """The same where a page of the file is damaged: row by row, each as far as it can be reached.
        Slow."""
        rows: list[StoredRow] = []
        octets = 0
        high = self._last_whole_seq()
        for seq in range(max(self._first_seq(), after_seq + 1), high + 1):
            try:
                found = self._some(_BY_SEQ, (seq,), 0)
            except _DAMAGED:
                found = []
            if not found:
                self._report(seq, 0, 0, 0)
            elif wanted(found[0]):
                rows += found
                octets += len(found[0].body)
                if octets >= most_octets:
                    break
        return rows

    def _first_seq(self) -> int:
        try:
            return self.mark("trimmed_seq") + 1
        except _DAMAGED:
            return self.bounds[0]

    def _last_whole_seq(self) -> int:
        """The seq of the newest row that is whole: a damaged seq may be any number."""
        try:
            return self._some("seq > 0 ORDER BY seq DESC", (), 0)[0].seq
        except (*_DAMAGED, IndexError):
            low, high = self.bounds
            return min(high, low + SALVAGED_MAX)

    def _report(self, seq: int, stream: int, first: int, last: int) -> None:
        if seq not in self._reported:
            self._reported.add(seq)
            self._on_corrupt(seq, stream, first, last)


def _seq(row: StoredRow) -> int:
    return row.seq


def _last(row: StoredRow) -> int:
    return row.last


def _is_whole(row: StoredRow, crc: int) -> bool:
    try:
        return checksum(row) == crc
    except (TypeError, struct_error):  # something else stands where a number, or the body, should
        return False
