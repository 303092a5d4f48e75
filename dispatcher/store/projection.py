"""The projection: one row a message, folded from the journal, for status and search.

Law: it says what the journal says, up to the row that it notes in the same transaction. It can be deleted at
any time and is then made again; so it is synced now and then only. A slice of the journal is folded in memory
first: a message that lives briefly costs one insert.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from dispatcher._ext.events import read_events
from dispatcher._ext.trails import add_trails, last_state
from dispatcher.errors import StoreError
from dispatcher.model import Event, Message, Outcome
from dispatcher.store.reader import OnCorrupt, Reader
from dispatcher.store.records import EVENTS_STREAM, unpack_messages
from dispatcher.store.schema import transaction
from dispatcher.store.states import FINISHED, state_after

PROJECTION: Final = "projection.db"
FORMAT: Final = 2
"""Of the tables; one of another format is made again."""
SLICE_OCTETS: Final = 16 << 20
"""Of the journal in one transaction: some 50,000 messages with their events, 100 MB while it is folded."""
LOOKUP_SLICES: Final = 4
"""What a look-up folds first, at most: some seconds of full load, a second or two of work."""
CACHE_KIB: Final = 65_536
"""Of the indexes in memory: their entries come in no order."""
STATEMENT_ROWS: Final = 100
"""In one statement: between two, the thread may have to wait for the loop's turn to end."""
TRIM_ROWS: Final = 1_000
"""Deleted in one transaction."""

_TABLES: Final = """
CREATE TABLE message (
    n INTEGER PRIMARY KEY,
    message_id BLOB NOT NULL,
    recipient INTEGER NOT NULL,  -- digits of E.164, which begin with no 0
    sender TEXT NOT NULL,
    client_ref TEXT,
    source TEXT NOT NULL,
    traffic_class INTEGER NOT NULL,
    carrier INTEGER NOT NULL,    -- the last one that was tried; before that the first of its route, 0 if none
    segments INTEGER NOT NULL,
    accepted_ms INTEGER NOT NULL,
    outcome INTEGER NOT NULL,    -- 0: none yet
    reason INTEGER NOT NULL,
    finished_ms INTEGER NOT NULL,
    key_hash INTEGER NOT NULL,   -- as a signed number
    body_hash INTEGER NOT NULL,  -- the same
    trail BLOB NOT NULL          -- its events, back to back
) STRICT;
CREATE INDEX message_recipient ON message (recipient);
CREATE INDEX message_client_ref ON message (client_ref) WHERE client_ref IS NOT NULL;
CREATE INDEX message_key_hash ON message (key_hash) WHERE key_hash != 0;
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('seq', 0);
"""
_COLUMNS: Final = (
    "n, message_id, recipient, sender, client_ref, source, traffic_class, carrier, segments, accepted_ms, "
    "outcome, reason, finished_ms, key_hash, body_hash, trail"
)


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
        accepted: dict[int, Message] = {}
        trails: dict[int, bytes] = {}
        for row in rows:
            try:
                if row.holds_messages:
                    accepted.update((each.n, each) for each in unpack_messages(row.body, row.count))
                elif row.stream == EVENTS_STREAM:
                    add_trails(row.body, trails)
            except StoreError:  # its CRC is right: written by a program that is wrong, and no reason to stop
                self._on_corrupt(row.seq, row.stream, row.first, row.last)
        if rows:
            inserts = [_row(each, trails.pop(each.n, b"")) for each in accepted.values()]
            updates = [(n, trail, *_state(trail)) for n, trail in trails.items()]
            try:
                with transaction(self._connection):
                    self._insert(inserts)
                    self._update(updates)
                    self._connection.execute("UPDATE meta SET value = ? WHERE key = 'seq'", (rows[-1].seq,))
            except apsw.CorruptError as error:
                raise self._damaged(error) from error
            self.seq = rows[-1].seq
        return len(rows)

    def _insert(self, rows: Sequence[tuple[Any, ...]]) -> None:
        for some in _batched(rows):
            values = _values(16, len(some))
            self._connection.execute(
                f"INSERT OR IGNORE INTO message ({_COLUMNS}) VALUES {values}", _flat(some)
            )

    def _update(self, rows: Sequence[tuple[Any, ...]]) -> None:
        for some in _batched(rows):
            self._connection.execute(_update(len(some)), _flat(some))

    # ---- looking up ----

    def lookup(self, n: int) -> Status | None:
        """Return a message by its number, or None."""
        self.refresh()
        return next(iter(self._some("n = ?", (n,), 1)), None)

    def by_client_ref(
        self, client_ref: str, most: int, before_n: int = 1 << 62, source: str | None = None
    ) -> list[Status]:
        """Return messages by the sender's name for them, newest first, from below a number on; `source`:
        only of this one."""
        return self._newest("client_ref = ?", client_ref, most, before_n, source)

    def by_number(
        self, to: str, most: int, before_n: int = 1 << 62, source: str | None = None
    ) -> list[Status]:
        """The same by their number, digits of E.164."""
        return self._newest("recipient = ?", int(to), most, before_n, source)

    def _newest(
        self, condition: str, value: int | str, most: int, before_n: int, source: str | None
    ) -> list[Status]:
        self.refresh()
        if source is None:
            return self._some(f"{condition} AND n < ?", (value, before_n), most)
        return self._some(f"{condition} AND n < ? AND source = ?", (value, before_n, source), most)

    def finished(self, numbers: Iterable[int]) -> set[int]:
        """Return which of these have an outcome, or are not known any more."""
        query = "SELECT 1 FROM message WHERE n = ? AND outcome = 0"
        return {n for n in numbers if self._connection.execute(query, (n,)).get is None}

    def count(self) -> int:
        """Return how many messages are in it."""
        found: int = self._connection.execute("SELECT count(*) FROM message").get
        return found

    def trim(self, before_ms: int) -> int:
        """Delete some of the oldest messages, if they were accepted before that time and have ended; return
        how many."""
        oldest = f"SELECT n, accepted_ms, outcome FROM message ORDER BY n LIMIT {TRIM_ROWS}"
        old = f"SELECT n FROM ({oldest}) WHERE accepted_ms < ? AND outcome != 0"
        with transaction(self._connection):
            self._connection.execute(f"DELETE FROM message WHERE n IN ({old})", (before_ms,))
            return self._connection.changes()

    def refresh(self) -> None:
        """Fold what is new, within reason."""
        for _ in range(LOOKUP_SLICES):
            if self.seq >= self._reader.bounds[1] or not self.catch_up():
                break

    def _some(self, condition: str, values: tuple[int | str, ...], most: int) -> list[Status]:
        query = f"SELECT {_COLUMNS} FROM message WHERE {condition} ORDER BY n DESC LIMIT ?"
        try:
            return [_status(*row) for row in self._connection.execute(query, (*values, most))]
        except apsw.CorruptError as error:
            raise StoreError(
                f"{self._path} is damaged: `dispatcher rebuild` makes it anew ({error})"
            ) from error

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
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA secure_delete=ON")  # what is trimmed is gone from the file
    connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
    return connection


def _row(message: Message, trail: bytes) -> tuple[Any, ...]:
    carrier, outcome, reason, finished_ms = _state(trail)
    if not carrier and message.carriers:
        carrier = message.carriers[0]
    return (
        message.n,
        message.message_id,
        int(message.to),
        message.sender,
        message.client_ref,
        message.source,
        message.traffic_class,
        carrier,
        message.segments,
        message.accepted_ms,
        outcome,
        reason,
        finished_ms,
        signed(message.key_hash),
        signed(message.body_hash),
        trail,
    )


def _state(trail: bytes) -> tuple[int, int, int, int]:
    """Carrier, outcome, reason, finished_ms."""
    carrier, code, at_ms = last_state(trail)
    return carrier, code >> 16, code & 0xFFFF, at_ms


def _status(*columns: Any) -> Status:
    n, message_id, recipient, *middle, key_hash, body_hash, trail = columns
    return Status(*(n, message_id, str(recipient), *middle, unsigned(key_hash), unsigned(body_hash), trail))


def _batched(rows: Sequence[tuple[Any, ...]]) -> Iterable[list[tuple[Any, ...]]]:
    iterator = iter(rows)
    while some := list(islice(iterator, STATEMENT_ROWS)):
        yield some


def _flat(rows: Iterable[tuple[Any, ...]]) -> list[Any]:
    return list(chain.from_iterable(rows))


@cache
def _values(columns: int, rows: int) -> str:
    row = f"({','.join('?' * columns)})"
    return ",".join([row] * rows)


@cache
def _update(rows: int) -> str:
    """Append to trails; what the new events do not say stays as it was."""
    return f"""
        WITH new (n, trail, carrier, outcome, reason, finished_ms) AS (VALUES {_values(6, rows)})
        UPDATE message SET
            trail = CAST(message.trail || new.trail AS BLOB),
            carrier = iif(new.carrier, new.carrier, message.carrier),
            outcome = iif(new.outcome, new.outcome, message.outcome),
            reason = iif(new.outcome, new.reason, message.reason),
            finished_ms = iif(new.outcome, new.finished_ms, message.finished_ms)
        FROM new WHERE message.n = new.n"""


def signed(value: int) -> int:
    """Return an unsigned 64-bit number as SQLite keeps it."""
    return value - (1 << 64) if value >= 1 << 63 else value


def unsigned(value: int) -> int:
    """Return it again."""
    return value + (1 << 64) if value < 0 else value
