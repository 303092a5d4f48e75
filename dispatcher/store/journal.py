"""The journal of one process: appended by one thread, read by another, and never waited for on the loop.

::

    journal = Journal.open(folder, clock_ms=clock_ms)     lock, format, room on the disk
    reader = journal.reader()                             recovery: read it all
    journal.start(loop, on_failure=leave)                 from now on it is written
    journal.append([Row(stream, first, last, count, body)], done)
    rows = await journal.read(stream, after_n, most_octets)
    await journal.close()
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import apsw

from dispatcher.errors import OverloadedError, StoreError
from dispatcher.model import Message
from dispatcher.store import names, snapshot
from dispatcher.store.checkpoint import Checkpointer
from dispatcher.store.lock import Lock
from dispatcher.store.metrics import Metrics
from dispatcher.store.reader import OnCorrupt, Reader
from dispatcher.store.records import Row, StoredRow
from dispatcher.store.schema import (
    JOURNAL,
    check_index,
    check_left_alone,
    damaged,
    open_checkpointer,
    open_writer,
    settle,
)
from dispatcher.store.space import RESERVE_OCTETS, Space
from dispatcher.store.writer import FULL_RETRY_AFTER_MS, Append, Done, Job, Writer

__all__ = ["Journal", "Row", "StoredRow"]

LOW_OCTETS: Final = 1 << 30
"""Free octets below which marketing is refused: a minute of messages at full rate, texts, events and
projection."""

SLICE_PARTS: Final = 16
"""Parts of an old snapshot that are deleted at a time: 4 MiB."""

_T = TypeVar("_T")


class Journal:
    """See above; `open` makes it. All methods are for the thread of the loop."""

    def __init__(
        self,
        folder: Path,
        lock: Lock,
        connection: apsw.Connection,
        clock_ms: Callable[[], int],
        space: Space,
        on_corrupt: OnCorrupt,
        vfs: str | None,
    ) -> None:
        self.folder = folder
        self.space = space
        self.queue_octets = 0
        """Handed over, and not told to be done."""
        self.queue_appends = 0
        self.snapshots = 0
        """Saved since the opening."""
        self.snapshot_ms = 0
        """When the last of these was whole; 0: none was."""
        self.last_seq = 0
        """Of the last committed row: whoever has read up to here has read all."""
        self._lock = lock
        self._connection = connection
        self._on_corrupt = on_corrupt
        self._vfs = vfs
        self._reader = self.reader()
        self._numbers = {kind: self._reader.numbers_of(kind) for kind in ("stream", "carrier")}
        self._names = {number: name for name, number in self._numbers["carrier"].items()}
        self.last_seq = self._reader.bounds[1]
        self._inode = (folder / JOURNAL).stat().st_ino
        self.is_copy = _is_copy(connection, self._inode)
        """Whether the file was copied, or restored, since it was last open: an old state, whose messages may
        have been sent already. A restored image of a whole machine is not seen."""
        self._checkpointer = Checkpointer(connection, open_checkpointer(folder, vfs), self._check)
        self._writer = Writer(connection, clock_ms, space, self._checkpointer)
        self._threads = ThreadPoolExecutor(1, "journal reader")
        self._followers: list[tuple[int, asyncio.Future[None]]] = []
        self._changes: set[asyncio.Future[Any]] = set()
        self._is_failed = False
        self._clock_ms = clock_ms
        self._loop: asyncio.AbstractEventLoop
        self._on_failure: Callable[[Exception], None]

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        clock_ms: Callable[[], int],
        on_corrupt: OnCorrupt = lambda seq, stream, first, last: None,
        reserve_octets: int = RESERVE_OCTETS,
        low_octets: int = LOW_OCTETS,
        free_octets: Callable[[], int] | None = None,
        vfs: str | None = None,
    ) -> "Journal":
        """Open the journal of a store, and make it where there is none; for one process at a time.

        Parameters:
            folder: of the store.
            clock_ms: the wall clock, UTC.
            on_corrupt: told, in the reader's thread, of each damaged row.
            reserve_octets, low_octets, free_octets: see Space.
            vfs: name of a registered VFS of apsw, for faults in tests.

        StoreError: in use, of a newer format, no journal or one that was deleted, or it cannot be opened.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = Lock(folder)
        try:
            check_left_alone(folder)
            connection = open_writer(folder, vfs)
            space = Space(folder, reserve_octets, low_octets, free_octets)
            try:
                settle(connection)
            except apsw.FullError:
                space.give_up()
                settle(connection)
            check_index(connection)
            return cls(folder, lock, connection, clock_ms, space, on_corrupt, vfs)
        except (apsw.CorruptError, apsw.SQLError) as error:
            lock.release()
            raise damaged(folder, error) from error
        except apsw.Error as error:
            lock.release()
            raise StoreError(f"{folder / JOURNAL} cannot be opened: {error}") from error
        except BaseException:
            lock.release()
            raise

    def __repr__(self) -> str:
        metrics = self.metrics
        return (
            f"<Journal {self.state}: {metrics.commits} commits of {metrics.records} records, "
            f"{self.queue_appends} appends ({self.queue_octets} octets) waiting>"
        )

    # ---- writing ----

    def start(self, loop: asyncio.AbstractEventLoop, *, on_failure: Callable[[Exception], None]) -> None:
        """Start the thread that writes; `on_failure` is called once, on the loop, when nothing can be
        written."""
        self._loop, self._on_failure = loop, on_failure
        self._writer.start(loop, self._committed, self._failed)

    def append(self, rows: Sequence[Row], done: Done, *, is_first: bool = False) -> None:
        """Hand over rows for one commit; `done` is called on the loop.

        With None: the commit has returned, synced. With OverloadedError: nothing of it was written, because
        it holds messages and the disk is full; rows of events alone are never refused. `is_first`: it may be
        written before what was handed over earlier and is of other streams; its events depend on none of it.
        StoreError: the journal has failed.
        """
        if self._is_failed:
            raise self._failure()
        octets = sum([len(row.body) for row in rows])
        append = Append(rows, partial(self._done, octets, done), octets, is_first)
        self.queue_octets += octets
        self.queue_appends += 1
        if self.space.is_full and append.is_new:
            error = OverloadedError("the disk of the store is full", FULL_RETRY_AFTER_MS)
            self._loop.call_soon(append.done, error)
        else:
            self._writer.put(append)

    def stream(self, name: str) -> int:
        """Return the number of a stream of messages, from 1; a new name gets the next one."""
        return self._number("stream", name)

    def carrier(self, name: str) -> int:
        """Return the number of a carrier, from 1; a new name gets the next one."""
        number = self._number("carrier", name)
        self._names[number] = name
        return number

    @property
    def carriers(self) -> Mapping[str, int]:
        """The numbers of all carriers that there ever were, by name."""
        return self._numbers["carrier"]

    @property
    def carrier_names(self) -> dict[int, str]:
        """Their names by number: this very dictionary, as it grows. Not to be changed."""
        return self._names

    async def note(self, key: str, value: int) -> None:
        """Note a number about the store, durably; see `mark`. OverloadedError, StoreError: as `run`."""
        statement = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
        await self.run(lambda connection: connection.execute(statement, (key, value)).get)

    def carrier_name(self, number: int) -> str:
        """Return the name of a carrier; KeyError where there is none of that number."""
        return self._names[number]

    async def save_snapshot(self, chunks: Iterable[bytes], seq: int, marks: dict[str, int]) -> None:
        """Save what all events up to row `seq` add up to; the one before it is kept, older ones are deleted.

        `chunks` are asked for as they are written: 256 KiB of them at a time. OverloadedError: the disk is
        full, and the snapshot is not whole.
        """
        number = await self.run(snapshot.newest) + 1
        part = 0
        for part, piece in enumerate(snapshot.pieces(chunks), 1):
            await self.run(partial(snapshot.write_piece, snapshot=number, part=part, body=piece))
        head = snapshot.Head(seq, self._clock_ms(), marks, part)
        await self.run(partial(snapshot.write_head, snapshot=number, head=head))
        self.snapshots += 1
        self.snapshot_ms = self._clock_ms()
        while await self.run(partial(snapshot.delete_old, most=SLICE_PARTS)):
            pass

    async def run(self, change: Callable[[apsw.Connection], _T]) -> _T:
        """Do a small change in the writer's thread, in a transaction between two commits, and return its
        result.

        OverloadedError: the disk is full, and nothing was changed. StoreError: the journal has failed.
        """
        if self._is_failed:
            raise self._failure()
        future: asyncio.Future[_T] = self._loop.create_future()
        results: list[_T] = []

        def done(error: Exception | None) -> None:
            self._loop.call_soon_threadsafe(_settle, future, results, error)

        self._changes.add(future)
        future.add_done_callback(self._changes.discard)
        self._writer.put(Job(lambda connection: results.append(change(connection)), done))
        return await future

    def _number(self, kind: str, name: str) -> int:
        numbers = self._numbers[kind]
        if (number := numbers.get(name)) is None:
            number = numbers[name] = len(numbers) + 1
            self._writer.put(
                Job(partial(names.add, kind=kind, number=number, name=name), _nothing, is_vital=True)
            )
        return number

    # ---- reading ----

    def reader(self) -> Reader:
        """Return a reader of its own, for another thread or before the start; the caller closes it."""
        return Reader(self.folder, self._on_corrupt, self._vfs)

    async def read(self, stream: int, after_n: int, most_octets: int) -> list[StoredRow]:
        """See Reader.stream."""
        return await self.ask(partial(self._reader.stream, stream, after_n, most_octets))

    async def find(self, numbers: Iterable[int]) -> dict[int, Message]:
        """See Reader.find."""
        return await self.ask(partial(self._reader.find, list(numbers)))

    async def around(self, numbers: Iterable[int]) -> dict[int, Message]:
        """See Reader.around."""
        return await self.ask(partial(self._reader.around, list(numbers)))

    async def seq_at(self, at_ms: int) -> int:
        """See Reader.seq_at."""
        return await self.ask(partial(self._reader.seq_at, at_ms))

    async def events(self, after_seq: int, most_octets: int) -> list[StoredRow]:
        """See Reader.events."""
        return await self.ask(partial(self._reader.events, after_seq, most_octets))

    async def rows(self, after_seq: int, most_octets: int) -> list[StoredRow]:
        """See Reader.rows."""
        return await self.ask(partial(self._reader.rows, after_seq, most_octets))

    async def mark(self, key: str) -> int:
        """See Reader.mark."""
        return await self.ask(partial(self._reader.mark, key))

    async def snapshot_seqs(self) -> list[int]:
        """Return up to which rows the kept snapshots reach, newest first."""
        return await self.ask(self._reader.snapshot_seqs)

    async def wait_for_events(self, after_seq: int) -> None:
        """Return when a row after that one is committed."""
        if self.last_seq <= after_seq:
            future: asyncio.Future[None] = self._loop.create_future()
            self._followers.append((after_seq, future))
            await future

    async def ask(self, call: Callable[[], _T]) -> _T:
        """Call what reads in a thread of its own. StoreError: it cannot, for damage say."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except apsw.CorruptError as error:
            raise damaged(self.folder, error) from error
        except apsw.Error as error:
            raise StoreError(f"{self.folder / JOURNAL} cannot be read: {error}") from error

    # ---- state ----

    @property
    def state(self) -> Literal["ok", "full", "failed"]:
        """What it takes: "full": new messages are refused until there is room. "failed": the process has to
        be started anew."""
        if self._is_failed:
            return "failed"
        return "full" if self.space.is_full else "ok"

    @property
    def metrics(self) -> Metrics:
        """Counters since the opening."""
        return self._writer.metrics

    @property
    def waiting_s(self) -> float:
        """How long the commit under way has taken so far; 0 while there is none."""
        return self._writer.waiting_s

    def accepts(self, traffic_class: int) -> bool:
        """Say whether there is room on the disk for new messages of a class."""
        return traffic_class < self.space.classes and not self._is_failed

    async def close(self) -> None:
        """Write what was handed over, unless it has failed, and let others have the store."""
        for _, future in self._followers:
            if not future.done():
                future.set_result(None)  # nothing more will come
        await asyncio.get_running_loop().run_in_executor(None, self._close)

    def _close(self) -> None:
        self._writer.stop()
        self._checkpointer.close()
        self._threads.shutdown()
        self._reader.close()
        if self._writer.error is None:  # the last one that closes copies the WAL, and deletes it
            self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
        self._connection.close()
        self._lock.release()

    # ---- on the loop, from the writer ----

    def _committed(self, seq: int) -> None:
        self.last_seq = seq
        waiting = self._followers
        if waiting:
            self._followers = [each for each in waiting if each[0] >= seq]
            for after_seq, future in waiting:
                if after_seq < seq and not future.done():
                    future.set_result(None)

    def _done(self, octets: int, done: Done, error: Exception | None) -> None:
        self.queue_octets -= octets
        self.queue_appends -= 1
        done(error)

    def _failed(self, error: Exception) -> None:
        self._is_failed = True
        for future in [*self._changes, *(future for _, future in self._followers)]:
            if not future.done():
                future.set_exception(self._failure())
        self._on_failure(error)
        self._writer.tell(self._writer.undone(), self._failure())

    def _failure(self) -> StoreError:
        return StoreError(f"the journal of {self.folder} has failed: {self._writer.error}")

    def _check(self) -> None:
        """In the writer's thread: SQLite does not see that its file was taken away."""
        if (self.folder / JOURNAL).stat().st_ino != self._inode:
            raise StoreError(f"{self.folder / JOURNAL} is another file than the one that was opened")


def _is_copy(connection: apsw.Connection, inode: int) -> bool:
    """Compare the file's number with the one that it notes at each opening, and note it."""
    noted = connection.execute("SELECT value FROM meta WHERE key = 'inode'").get
    if noted != inode:
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('inode', ?)", (inode,))
    return noted not in (None, inode)


def _settle(future: asyncio.Future[_T], results: list[_T], error: Exception | None) -> None:
    if not future.done():
        future.set_result(results[-1]) if error is None else future.set_exception(error)


def _nothing(error: Exception | None) -> None:
    """Nobody waits."""
