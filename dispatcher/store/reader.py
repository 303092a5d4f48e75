"""Reading the journal, on a connection of its own: rows of a stream, all rows in order, messages by number.

Law: what is returned is what was written. Each row is checked by its CRC; a bad one is reported and left out,
and its neighbours go on.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from dispatcher.model import Message
from dispatcher.store.records import StoredRow, checksum, unpack_messages
from dispatcher.store.schema import open_reader

OnCorrupt = Callable[[int, int, int, int], None]
"""Called with seq, stream, first and last of a row that is damaged, as far as they can be read; 0 where
not."""

SLICE_OCTETS: Final = 4 << 20
"""Of bodies in memory at a time while all of the journal is read."""

_COLUMNS: Final = "seq, at_ms, stream, first, last, count, body, crc"


class Reader:
    """Not for two threads at a time. StoreError: there is no journal, or of another format."""

    def __init__(self, folder: Path, on_corrupt: OnCorrupt, vfs: str | None = None) -> None:
        self._connection = open_reader(folder, vfs)
        self._on_corrupt = on_corrupt

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @property
    def bounds(self) -> tuple[int, int]:
        """The seq of the oldest row and of the newest; (1, 0) where there is none."""
        low, high = self._connection.execute(
            "SELECT coalesce(min(seq), 1), coalesce(max(seq), 0) FROM journal"
        ).get
        return low, high

    def stream(self, stream: int, after_n: int, most_octets: int) -> list[StoredRow]:
        """Return the next rows of a stream of messages that hold numbers above `after_n`, in order.

        At least one row if there is any, and no more once their bodies have `most_octets`.
        """
        query = f"SELECT {_COLUMNS} FROM journal WHERE stream = ? AND last > ? ORDER BY last"
        return self._some(query, (stream, after_n), most_octets)

    def events(self, after_seq: int, most_octets: int) -> list[StoredRow]:
        """Return the next rows of events after a seq, in order; how many, as `stream`."""
        query = f"SELECT {_COLUMNS} FROM journal WHERE stream = 0 AND last = 0 AND seq > ? ORDER BY seq"
        return self._some(query, (after_seq,), most_octets)

    def rows(self, after_seq: int, most_octets: int) -> list[StoredRow]:
        """Return the next rows of all streams after a seq, in order; how many, as `stream`."""
        return self._some(
            f"SELECT {_COLUMNS} FROM journal WHERE seq > ? ORDER BY seq", (after_seq,), most_octets
        )

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

    def newest(self, count: int, since_ms: int) -> Iterator[StoredRow]:
        """Yield the rows of messages that were written since a time, oldest first: of the newest, so many as
        hold `count` messages."""
        query = "SELECT seq, count FROM journal WHERE last > 0 AND at_ms >= ? ORDER BY seq DESC"
        oldest_seq = held = 0
        for seq, its_count in self._connection.execute(query, (since_ms,)):
            oldest_seq, held = seq, held + its_count
            if held >= count:
                break
        query = f"SELECT {_COLUMNS} FROM journal WHERE last > 0 AND seq >= ? ORDER BY seq"
        while held and (rows := self._some(query, (oldest_seq,), SLICE_OCTETS)):
            yield from rows
            oldest_seq = rows[-1].seq + 1

    @property
    def last_n(self) -> int:
        """The highest number of a message."""
        return int(self._connection.execute("SELECT coalesce(max(last), 0) FROM journal").get)

    def spans(self, stream: int) -> Iterator[tuple[int, int, int]]:
        """Yield (first, last, count) of the rows of a stream of messages, in order; bodies are not read."""
        query = "SELECT first, last, count FROM journal WHERE stream = ? ORDER BY last"
        yield from self._connection.execute(query, (stream,))

    def numbers_of(self, kind: str) -> dict[str, int]:
        """Return the numbers of all named streams or carriers."""
        return dict(self._connection.execute("SELECT name, number FROM name WHERE kind = ?", (kind,)))

    def _holding(self, n: int) -> Iterator[StoredRow]:
        """Yield the rows that may hold a number: at most one a stream."""
        for stream in self.numbers_of("stream").values():
            query = f"SELECT {_COLUMNS} FROM journal WHERE stream = ? AND last >= ? ORDER BY last LIMIT 1"
            yield from (row for row in self._some(query, (stream, n), 0) if row.first <= n)

    def _some(self, query: str, values: tuple[int, ...], most_octets: int) -> list[StoredRow]:
        rows: list[StoredRow] = []
        octets = 0
        for seq, at_ms, stream, first, last, count, body, crc in self._connection.execute(query, values):
            row = StoredRow(seq, at_ms, stream, first, last, count, body)
            if checksum(row) != crc:
                self._on_corrupt(row.seq, row.stream, row.first, row.last)
                continue
            rows.append(row)
            octets += len(row.body)
            if octets >= most_octets:
                break
        return rows
