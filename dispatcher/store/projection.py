"""The projection: one row a message, folded from the journal, for status and search.

Law: it says what the journal says, up to the row that it notes in the same transaction. It can be deleted at
any time and is then made again; so it is synced now and then only. A slice of the journal is folded in memory
first: a message that lives briefly costs one insert.

What SQLite is given is little: a message is its record and its trail, as they stand in the journal; what
finds it by recipient or reference is an entry among many of one row. What a hash finds is compared before it
is told.
"""

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from dispatcher import private
from dispatcher._ext.events import read_events
from dispatcher._ext.fold import KEYS_PART, PART, Fold, find, hash_of_recipient, hash_of_ref, ids_of
from dispatcher._ext.trails import last_state
from dispatcher.errors import StoreError
from dispatcher.model import Event, Message, Outcome
from dispatcher.store.reader import OnCorrupt, Reader
from dispatcher.store.records import EVENTS_STREAM, unpack_messages
from dispatcher.store.schema import transaction
from dispatcher.store.states import FINISHED, state_after

PROJECTION: Final = "projection.db"
FORMAT: Final = 3
"""Of the tables; one of another format is made again."""
SLICE_OCTETS: Final = 16 << 20
"""Of the journal in one transaction: some 50,000 messages with their events."""
LOOKUP_SLICES: Final = 4
"""What a look-up folds first, at most: some seconds of full load, a second or two of work."""
CACHE_KIB: Final = 65_536
"""Of the tables in memory: hashes come in no order."""
PAGE_OCTETS: Final = 16_384
"""A slice writes megabytes: with pages of 4 KiB a message costs a quarter more CPU, in system calls."""
CHECKPOINT_PAGES: Final = 4_096
"""64 MB of WAL before it is copied: pages of hashes are written again and again, and copied once."""
STATEMENT_ROWS: Final = 100
"""In one statement: between two, the thread may have to wait for the loop's turn to end."""
STATEMENT_KEYS: Final = 500
"""The same of what is small."""
TRIM_ROWS: Final = 1_000
"""Deleted in one transaction."""

N_MAX: Final = 1 << 40
"""Numbers of messages are below it."""

_TABLES: Final = """
CREATE TABLE message (
    n INTEGER PRIMARY KEY,
    accepted_ms INTEGER NOT NULL,
    has_ended INTEGER NOT NULL,
    record BLOB NOT NULL,        -- the message as in the journal, without text and callback
    trail BLOB NOT NULL          -- its events, back to back
) STRICT;
CREATE TABLE lookup (
    id INTEGER PRIMARY KEY,      -- where recipients and references of some messages are: see Fold.lookups
    entries BLOB NOT NULL
) STRICT;
CREATE TABLE key (
    part INTEGER NOT NULL,       -- a span of n: however many there are, new ones go to few pages
    hash INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (part, hash, n)
) STRICT, WITHOUT ROWID;
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('seq', 0);
"""


class Status(msgspec.Struct, frozen=True, gc=False):
    """What is known of a message. `outcome`, `reason`, `finished_ms` are 0 until it has ended; `trail` are
    its events."""

    n: int
    message_id: bytes
    to: str
    sender: str
    client_ref: str | None
    source: str
    traffic_class: int
    carrier: int
    segments: int
    accepted_ms: int
    outcome: int
    reason: int
    finished_ms: int
    key_hash: int
    body_hash: int
    trail: bytes

    @property
    def state(self) -> str:
        """Where it stands: waiting, in_flight, in_doubt, awaiting_receipt or finished."""
        return FINISHED if self.outcome else state_after(self.segments, self.events)

    @property
    def events(self) -> list[Event]:
        """What has happened to it, in order."""
        return read_events(self.trail, Event)

    def __repr__(self) -> str:
        """Say nothing personal (law 11): it may end in a log."""
        outcome = Outcome(self.outcome).name.lower() if self.outcome else "no outcome yet"
        return f"<Status {self.n}: {outcome}, {self.segments} segments>"


class Projection:
    """The projection of a store; for one process, and one thread at a time.

    StoreError: there is no journal, or what is there cannot be read (`dispatcher rebuild` makes it again).
    """

    def __init__(self, folder: Path, on_corrupt: OnCorrupt) -> None:
        self._path = folder / PROJECTION
        self._on_corrupt = on_corrupt
        self._reader = Reader(folder, on_corrupt)
        self._connection = self._open()
        self.seq: int = self._connection.execute("SELECT value FROM meta WHERE key = 'seq'").get
        """The row of the journal that it has come to."""

    def close(self) -> None:
        """Close both files."""
        self._connection.close()
        self._reader.close()

    # ---- folding ----

    def catch_up(self, most_rows: int = 1 << 60) -> int:
        """Fold the next slice of the journal, of at most so many rows; return how many. 0: it has caught
        up."""
        rows = self._reader.rows(self.seq, SLICE_OCTETS)[:most_rows]
        fold = Fold()
        for row in rows:
            try:
                if row.holds_messages:
                    fold.add_messages(row.body, row.count)
                elif row.stream == EVENTS_STREAM:
                    fold.add_events(row.body)
            except StoreError:  # its CRC is right: written by a program that is wrong, and no reason to stop
                self._on_corrupt(row.seq, row.stream, row.first, row.last)
        if rows:
            fold.close()
            try:
                with transaction(self._connection):
                    self._write(fold.inserts, STATEMENT_ROWS, 5, _insert)
                    self._write(fold.updates, STATEMENT_ROWS, 3, _update)
                    self._write(fold.lookups, STATEMENT_ROWS, 2, _find)
                    self._write(fold.keys, STATEMENT_KEYS, 3, _know)
                    self._connection.execute("UPDATE meta SET value = ? WHERE key = 'seq'", (rows[-1].seq,))
            except apsw.CorruptError as error:
                raise self._damaged(error) from error
            self.seq = rows[-1].seq
        return len(rows)

    def _write(
        self, rows: Callable[[int], list[Any]], most: int, columns: int, statement: Callable[[str], str]
    ) -> None:
        """Many rows a statement: the thread waits for the GIL once, and not at every row."""
        while values := rows(most):
            self._connection.execute(statement(_values(columns, len(values) // columns)), values)

    # ---- looking up ----

    def lookup(self, n: int) -> Status | None:
        """Return a message by its number, or None."""
        self.refresh()
        return next(iter(self._read([n], 1, lambda message: True)), None)

    def by_client_ref(
        self, client_ref: str, most: int, before_n: int = 1 << 62, source: str | None = None
    ) -> list[Status]:
        """Return messages by the sender's name for them, newest first, from below a number on; `source`:
        only of this one."""
        return self._newest(
            hash_of_ref(client_ref), most, before_n, source, lambda each: each.client_ref == client_ref
        )

    def by_number(
        self, to: str, most: int, before_n: int = 1 << 62, source: str | None = None
    ) -> list[Status]:
        """The same by their number, digits of E.164."""
        return self._newest(hash_of_recipient(to), most, before_n, source, lambda each: each.to == to)

    def _newest(
        self, key: int, most: int, before_n: int, source: str | None, is_meant: Callable[[Message], bool]
    ) -> list[Status]:
        """Look from part to part, the newest first."""
        self.refresh()
        is_theirs = is_meant if source is None else lambda each: each.source == source and is_meant(each)
        found: list[Status] = []
        part = min(before_n, N_MAX) // PART + 1
        while len(found) < most and (part := self._part_before(part)) >= 0:
            numbers = {n for n in self._numbers(part, key) if n < before_n}
            found += self._read(sorted(numbers, reverse=True), most - len(found), is_theirs)
        return found

    def _part_before(self, part: int) -> int:
        """Return the last part before one; -1: there is none."""
        first_id, _ = ids_of(part, 0)
        rows = self._ask("SELECT max(id) FROM lookup WHERE id < ?", first_id)
        return -1 if rows[0][0] is None else rows[0][0] // ids_of(1, 0)[0]

    def _numbers(self, part: int, key: int) -> list[int]:
        """Return the messages of a part that have a hash."""
        rows = self._ask("SELECT entries FROM lookup WHERE id BETWEEN ? AND ?", *ids_of(part, key))
        return [n for (entries,) in rows for n in find(entries, part, key)]

    def _read(self, numbers: list[int], most: int, is_meant: Callable[[Message], bool]) -> list[Status]:
        """Return the first messages of these that are meant."""
        found: list[Status] = []
        for n in numbers:
            for record, trail in self._ask("SELECT record, trail FROM message WHERE n = ?", n):
                if is_meant(message := message_of(record)):
                    found.append(_status(message, trail))
            if len(found) == most:
                break
        return found

    def _ask(self, query: str, *values: int) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(query, values).fetchall()
        except apsw.CorruptError as error:
            raise self._damaged(error) from error

    def finished(self, numbers: Iterable[int]) -> set[int]:
        """Return which of these have an outcome, or are not known any more."""
        query = "SELECT 1 FROM message WHERE n = ? AND has_ended = 0"
        return {n for n in numbers if self._connection.execute(query, (n,)).get is None}

    def trails(self, numbers: Iterable[int]) -> dict[int, bytes]:
        """Return the events of those of these messages that have not ended, as of the end of the journal."""
        while self.seq < self._reader.bounds[1] and self.catch_up():
            pass
        query = "SELECT trail FROM message WHERE n = ? AND has_ended = 0"
        rows = ((n, self._connection.execute(query, (n,)).get) for n in numbers)
        return {n: trail for n, trail in rows if trail is not None}

    def leave(self, numbers: Iterable[int]) -> None:
        """Take these for ended, so that they are kept no longer than others: they are another's by now."""
        with transaction(self._connection):
            values = [(n,) for n in numbers]
            self._connection.executemany("UPDATE message SET has_ended = 1 WHERE n = ?", values)

    def count(self) -> int:
        """Return how many messages are in it."""
        found: int = self._connection.execute("SELECT count(*) FROM message").get
        return found

    def trim(self, before_ms: int) -> int:
        """Delete some of the oldest messages, if they were accepted before that time and have ended; return
        how many."""
        oldest = f"SELECT n, accepted_ms, has_ended, record FROM message ORDER BY n LIMIT {TRIM_ROWS}"
        old = f"SELECT n, record FROM ({oldest}) WHERE accepted_ms < ? AND has_ended"
        with transaction(self._connection):
            gone: list[tuple[int, bytes]] = self._ask(old, before_ms)
            messages = [message_of(record) for _, record in gone]
            keys = [(each.n // KEYS_PART, signed(each.key_hash), each.n) for each in messages]
            self._connection.executemany("DELETE FROM key WHERE part = ? AND hash = ? AND n = ?", keys)
            self._connection.executemany("DELETE FROM message WHERE n = ?", [(n,) for n, _ in gone])
            lowest: int = self._connection.execute("SELECT coalesce(min(n), 0) FROM message").get
            # Entries go by the part: hashes of what is gone find nothing.
            self._connection.execute("DELETE FROM lookup WHERE id < ?", (ids_of(lowest // PART, 0)[0],))
        return len(gone)

    def refresh(self) -> None:
        """Fold what is new, within reason."""
        for _ in range(LOOKUP_SLICES):
            if self.seq >= self._reader.bounds[1] or not self.catch_up():
                break

    # ---- the file ----

    def _damaged(self, error: apsw.Error) -> StoreError:
        return StoreError(f"{self._path} is damaged ({error}): `dispatcher rebuild` makes it anew")

    def _open(self) -> apsw.Connection:
        """Open it, and begin anew where it is not this journal's projection, or not one that can be read."""
        try:
            connection = _connect(self._path)
            if self._belongs(connection):
                return connection
            connection.close()
        except (apsw.NotADBError, apsw.CorruptError):
            pass
        delete(self._path.parent)
        connection = _connect(self._path)
        with transaction(connection):
            connection.execute(_TABLES)
            connection.execute("INSERT INTO meta VALUES ('journal', ?)", (self._reader.mark("id"),))
            connection.pragma("user_version", FORMAT)
        return connection

    def _belongs(self, connection: apsw.Connection) -> bool:
        if connection.pragma("user_version") != FORMAT:
            return False
        marks = dict(connection.execute("SELECT key, value FROM meta"))
        low, high = self._reader.bounds
        return bool(marks["journal"] == self._reader.mark("id") and low - 1 <= marks["seq"] <= high)


def delete(folder: Path) -> None:
    """Delete the projection of a store."""
    for suffix in ("", "-wal", "-shm"):
        (folder / f"{PROJECTION}{suffix}").unlink(missing_ok=True)


def _connect(path: Path) -> apsw.Connection:
    private.make(path)
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA page_size={PAGE_OCTETS}")  # of a new file
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA secure_delete=ON")  # what is trimmed is gone from the file
    connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
    connection.wal_autocheckpoint(CHECKPOINT_PAGES)
    return connection


def message_of(record: bytes) -> Message:
    """Return the message of a record, which has no text."""
    return unpack_messages(record, 1)[0]


def _status(message: Message, trail: bytes) -> Status:
    carrier, code, finished_ms = last_state(trail)
    return Status(
        message.n,
        message.message_id,
        message.to,
        message.sender,
        message.client_ref,
        message.source,
        message.traffic_class,
        carrier or next(iter(message.carriers), 0),
        message.segments,
        message.accepted_ms,
        code >> 16,
        code & 0xFFFF,
        finished_ms,
        message.key_hash,
        message.body_hash,
        trail,
    )


@cache
def _values(columns: int, rows: int) -> str:
    row = f"({','.join('?' * columns)})"
    return ",".join([row] * rows)


def _insert(values: str) -> str:
    return f"INSERT OR IGNORE INTO message VALUES {values}"


def _find(values: str) -> str:
    return f"INSERT OR IGNORE INTO lookup VALUES {values}"


def _know(values: str) -> str:
    return f"INSERT OR IGNORE INTO key VALUES {values}"


def _update(values: str) -> str:
    """Append to trails."""
    return f"""
        WITH new (n, has_ended, trail) AS (VALUES {values})
        UPDATE message SET
            trail = CAST(message.trail || new.trail AS BLOB),
            has_ended = max(message.has_ended, new.has_ended)
        FROM new WHERE message.n = new.n"""


def signed(value: int) -> int:
    """Return an unsigned 64-bit number as SQLite keeps it."""
    return value - (1 << 64) if value >= 1 << 63 else value


def unsigned(value: int) -> int:
    """Return it again."""
    return value + (1 << 64) if value < 0 else value
