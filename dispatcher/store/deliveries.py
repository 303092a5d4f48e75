"""What is held for receivers of events: cursors, deliveries that wait or are parked, requests of commands.

Law: a cursor moves together with what is held because of it, in one transaction; so after a crash a delivery
may be made twice, with the same id, and none is lost. The file is beside the journal and never in its way:
synchronous=NORMAL, so that no commit waits for the disk; a power cut takes back some commits, in order.

::

    deliveries = await Deliveries.open(folder)
    progress, waiting = await deliveries.load(name)
    await deliveries.save(name, changes)
    await deliveries.close()
"""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import apsw
import msgspec

from dispatcher import private
from dispatcher.delivery import Changes, Held, Place, Progress, Request, Standing, Waiting
from dispatcher.errors import StoreError
from dispatcher.store.schema import transaction

DELIVERIES: Final = "deliveries.db"
FORMAT: Final = 1
BUSY_MS: Final = 5_000
"""A command writes a row, the daemon a few: milliseconds."""
TRIM_ROWS: Final = 1_000
"""Deleted in one transaction."""

_TABLES: Final = """
CREATE TABLE receiver (
    name TEXT PRIMARY KEY,
    progress BLOB NOT NULL       -- delivery.Progress as JSON
) STRICT, WITHOUT ROWID;
CREATE TABLE held (              -- see delivery.Held
    receiver TEXT NOT NULL,
    seq INTEGER NOT NULL,
    place INTEGER NOT NULL,
    webhook_id TEXT NOT NULL,
    messages BLOB NOT NULL,      -- JSON
    url TEXT NOT NULL,
    body BLOB NOT NULL,
    attempts INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,
    due_ms INTEGER NOT NULL,
    parked_ms INTEGER NOT NULL,
    why TEXT NOT NULL,
    PRIMARY KEY (receiver, seq, place)
) STRICT;
CREATE INDEX held_parked ON held (parked_ms) WHERE parked_ms > 0;
CREATE TABLE request (           -- see delivery.Request
    number INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    receiver TEXT NOT NULL,
    webhook_id TEXT NOT NULL,
    since_ms INTEGER NOT NULL
) STRICT;
"""
_COLUMNS: Final = "seq, place, webhook_id, messages, url, body, attempts, first_ms, due_ms, parked_ms, why"
_OF: Final = "receiver = ? AND seq = ? AND place = ?"
_progress: Final = msgspec.json.Decoder(Progress).decode
_messages: Final = msgspec.json.Decoder(tuple[int, ...]).decode

_T = TypeVar("_T")
Connection: TypeAlias = apsw.Connection
"""For commands, which know nothing of apsw."""


class Deliveries:
    """The file and its one thread; all methods are for the loop. StoreError: it cannot be read or written."""

    def __init__(self, threads: ThreadPoolExecutor, connection: apsw.Connection) -> None:
        self._threads = threads
        self._connection = connection

    @classmethod
    async def open(cls, folder: Path) -> "Deliveries":
        """Open the file in the folder of a store, and make it where there is none."""
        threads = ThreadPoolExecutor(1, "deliveries")
        try:
            opened = asyncio.get_running_loop().run_in_executor(threads, connect, folder)
            return cls(threads, await opened)
        except BaseException:
            threads.shutdown(wait=False)
            raise

    async def close(self) -> None:
        """Close the file, after what is under way."""
        await self._ask(self._connection.close)
        self._threads.shutdown()

    async def load(self, receiver: str) -> tuple[Progress | None, list[Waiting]]:
        """Return how far a receiver has come, None if it is new, and what waits for it, in order."""
        return await self._ask(partial(_load, self._connection, receiver))

    async def save(self, receiver: str, changes: Changes) -> None:
        """Write changes, all or nothing."""
        await self._ask(partial(_save, self._connection, receiver, changes))

    async def held(self, receiver: str, key: Place) -> Held | None:
        """Return one delivery that is held, with its body."""
        found = await self._ask(partial(_select, self._connection, _OF, (receiver, *key)))
        return found[0][1] if found else None

    async def forget(self, receiver: str) -> None:
        """Drop a receiver and all that is held for it."""
        await self._ask(partial(_forget, self._connection, receiver))

    async def requests(self) -> list[Request]:
        """Return what commands asked for, in order."""
        return await self._ask(partial(_requests, self._connection))

    async def unpark(self, request: Request, now_ms: int) -> list[Waiting]:
        """Let parked deliveries of a receiver wait again, as if they were new; return them, in order."""
        return await self._ask(partial(_unpark, self._connection, request, now_ms))

    async def answered(self, number: int) -> None:
        """Drop a request: it is done."""
        await self._ask(partial(self._connection.execute, "DELETE FROM request WHERE number = ?", (number,)))

    async def trim(self, parked_before_ms: int) -> int:
        """Delete what was parked before a time; return how many."""
        total = 0
        while deleted := await self._ask(partial(_trim, self._connection, parked_before_ms)):
            total += deleted
        return total

    async def _ask(self, call: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except apsw.Error as error:
            raise StoreError(f"{DELIVERIES}: {error}") from error


# ---- for commands, beside a dispatcher that runs or without one ------------------------------------------


def connect(folder: Path) -> apsw.Connection:
    """Open the file for reading and writing, and make it. StoreError: it is of a newer format, or no such
    file."""
    path = folder / DELIVERIES
    private.make(path)
    try:
        connection = apsw.Connection(str(path))
        connection.set_busy_timeout(BUSY_MS)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA secure_delete=FAST")  # addresses of callbacks may hold numbers
        with transaction(connection):
            version = connection.pragma("user_version")
            if version == 0:
                connection.execute(_TABLES)
                connection.pragma("user_version", FORMAT)
        if version > FORMAT:
            raise StoreError(f"{path} has format {version}, of a newer version; this one knows {FORMAT}")
    except apsw.Error as error:
        why = "moved away, it is made anew, and webhooks go on with what happens from then on"
        raise StoreError(f"{path} cannot be opened: {error}; {why}") from error
    return connection


def standings(connection: apsw.Connection) -> list[Standing]:
    """Return all receivers that were ever told of something, by name."""
    found = []
    for name, octets in list(connection.execute("SELECT name, progress FROM receiver ORDER BY name")):
        progress = _progress(octets)
        query = (
            "SELECT count(*) FILTER (WHERE parked_ms = 0), count(*) FILTER (WHERE parked_ms > 0), "
            "coalesce(min(first_ms) FILTER (WHERE parked_ms = 0 AND first_ms > 0), 0) "
            "FROM held WHERE receiver = ?"
        )
        waiting, parked, oldest_ms = connection.execute(query, (name,)).get
        cursor = f"{progress.cursor[0]}-{progress.cursor[1]}"
        found.append(Standing(name, cursor, waiting, parked, progress.disabled, oldest_ms))
    return found


def parked(connection: apsw.Connection, receiver: str = "", most: int = 1000) -> list[tuple[str, Held]]:
    """Return what is parked, of one receiver or of all, each with its receiver's name, oldest first."""
    condition = "parked_ms > 0 AND (receiver = ?1 OR ?1 = '') ORDER BY parked_ms, seq, place LIMIT ?2"
    return _select(connection, condition, (receiver, most))


def count_parked(
    connection: apsw.Connection, receiver: str = "", webhook_id: str = "", since_ms: int = 0
) -> dict[str, int]:
    """Return how many are parked, by receiver: of one or all, one or all deliveries, parked since a time."""
    query = (
        "SELECT receiver, count(*) FROM held WHERE parked_ms > 0 AND (?1 = '' OR receiver = ?1) "
        "AND (?2 = '' OR webhook_id = ?2) AND parked_ms >= ?3 GROUP BY receiver ORDER BY receiver"
    )
    return dict(connection.execute(query, (receiver, webhook_id, since_ms)))


def ask(
    connection: apsw.Connection, kind: str, receiver: str, webhook_id: str = "", since_ms: int = 0
) -> None:
    """Ask something of a receiver: the dispatcher does it within a second, or at its next start."""
    statement = "INSERT INTO request (kind, receiver, webhook_id, since_ms) VALUES (?, ?, ?, ?)"
    connection.execute(statement, (kind, receiver, webhook_id, since_ms))


# ---- in the thread ---------------------------------------------------------------------------------------


def _load(connection: apsw.Connection, receiver: str) -> tuple[Progress | None, list[Waiting]]:
    octets = connection.execute("SELECT progress FROM receiver WHERE name = ?", (receiver,)).get
    query = (
        "SELECT seq, place, messages, url, attempts, first_ms, due_ms FROM held "
        "WHERE receiver = ? AND parked_ms = 0 ORDER BY seq, place"
    )
    waiting = [_waiting(row) for row in connection.execute(query, (receiver,))]
    return None if octets is None else _progress(octets), waiting


def _save(connection: apsw.Connection, receiver: str, changes: Changes) -> None:
    with transaction(connection):
        connection.execute(
            "INSERT OR REPLACE INTO receiver VALUES (?, ?)",
            (receiver, msgspec.json.encode(changes.progress)),
        )
        connection.executemany(
            f"INSERT OR REPLACE INTO held (receiver, {_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
            [_row(receiver, held) for held in changes.put],
        )
        connection.executemany(
            f"UPDATE held SET attempts = ?, first_ms = ?, due_ms = ?, parked_ms = ?, why = ? WHERE {_OF}",
            [(*moved[1:], receiver, *moved.key) for moved in changes.moved],
        )
        connection.executemany(f"DELETE FROM held WHERE {_OF}", [(receiver, *key) for key in changes.gone])


def _row(receiver: str, held: Held) -> tuple[Any, ...]:
    messages = msgspec.json.encode(held.messages)
    return (
        receiver, *held.key, held.webhook_id, messages, held.url, held.body, held.attempts, held.first_ms,
        held.due_ms, held.parked_ms, held.why,
    )  # fmt: skip


def _select(
    connection: apsw.Connection, condition: str, values: tuple[object, ...]
) -> list[tuple[str, Held]]:
    rows: Iterable[Any] = connection.execute(
        f"SELECT receiver, {_COLUMNS} FROM held WHERE {condition}", values
    )
    return [
        (receiver, Held((seq, place), webhook_id, _messages(messages), *more))
        for receiver, seq, place, webhook_id, messages, *more in rows
    ]


def _waiting(row: Any) -> Waiting:
    seq, place, messages, url, attempts, first_ms, due_ms = row
    return Waiting((seq, place), _messages(messages), url, attempts, first_ms, due_ms)


def _forget(connection: apsw.Connection, receiver: str) -> None:
    with transaction(connection):
        connection.execute("DELETE FROM receiver WHERE name = ?", (receiver,))
        connection.execute("DELETE FROM held WHERE receiver = ?", (receiver,))


def _requests(connection: apsw.Connection) -> list[Request]:
    query = "SELECT number, kind, receiver, webhook_id, since_ms FROM request ORDER BY number"
    return [Request(*row) for row in connection.execute(query)]


def _unpark(connection: apsw.Connection, request: Request, now_ms: int) -> list[Waiting]:
    where = "receiver = ?1 AND parked_ms > 0 AND (?2 = '' OR webhook_id = ?2) AND parked_ms >= ?3"
    values = (request.receiver, request.webhook_id, request.since_ms)
    with transaction(connection):
        query = (
            f"SELECT seq, place, messages, url, 0, 0, {now_ms} FROM held WHERE {where} ORDER BY seq, place"
        )
        found = [_waiting(row) for row in connection.execute(query, values)]
        again = f"UPDATE held SET parked_ms = 0, attempts = 0, first_ms = 0, due_ms = {now_ms} WHERE {where}"
        connection.execute(again, values)
        connection.execute("DELETE FROM request WHERE number = ?", (request.number,))
    return found


def _trim(connection: apsw.Connection, before_ms: int) -> int:
    rows = "SELECT rowid FROM held WHERE parked_ms > 0 AND parked_ms < ? LIMIT ?"
    with transaction(connection):
        connection.execute(f"DELETE FROM held WHERE rowid IN ({rows})", (before_ms, TRIM_ROWS))
        return connection.changes()
