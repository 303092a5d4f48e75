"""The one thread that writes the journal: group commits, and small jobs between them.

Law: what was handed over is told to be done only after the commit that holds it has returned, synced. All
that was handed over while a commit ran becomes the next one; if it is long, what may go first has one of its
own before it. A full disk is expected: new messages are
refused, events wait and are tried again. Any other error is the end: nothing is written and no fsync is
called any more, because what a failed fsync left behind nobody knows; whoever waits is told so, and
the journal is opened anew in a new process.
"""

import asyncio
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from queue import Empty, SimpleQueue
from time import perf_counter, sleep
from typing import Final, NamedTuple

import apsw
from msgspec.structs import astuple

from dispatcher.errors import OverloadedError
from dispatcher.store.checkpoint import Checkpointer
from dispatcher.store.metrics import Metrics
from dispatcher.store.records import EVENTS_STREAM, Row, StoredRow, checksum, join
from dispatcher.store.schema import transaction
from dispatcher.store.space import Space

GROUP_OCTETS_MAX: Final = 4 << 20
"""Of one commit, but for the last append in it: some 20 ms; what comes after it waits so long at most."""
FIRST_OCTETS: Final = 64 << 10
"""A group is divided above it: below, a second sync takes longer than writing the rest."""
IDLE_S: Final = 1.0
"""How often the disk is looked at, and the WAL copied, when nothing is to be written."""
FULL_RETRY_S: Final = 0.2
"""How often events are tried again when even the reserve is used up."""
FULL_RETRY_AFTER_MS: Final = 5_000
"""What those are told who are refused because the disk is full: somebody has to make room."""

SWITCH_INTERVAL_S: Final = 0.0001
"""How soon a busy loop lets the writer go on, of the whole process. Beside a loop that is never idle, in
turns of 0.3 ms with an append each, an append waits p50 391 ms and p99 1,039 ms at Python's 5 ms, 73 and 323
at 0.5 ms, 3 and 15 at 0.1 ms, at which the loop turns 13 % less often and the writer commits all the more; on
one core nothing changes (2026-11-24, two shared x86-64 cores; `python -m bench.store`)."""

Done = Callable[[Exception | None], None]


class Append(NamedTuple):
    """Rows of one commit, and who is told on the loop when it has returned: with None, or OverloadedError."""

    rows: Sequence[Row]
    done: Done
    octets: int
    is_first: bool = False
    """Whether it may overtake what was handed over before and is of other streams."""

    @property
    def is_new(self) -> bool:
        """Whether it holds messages, which may be refused, and not only events, which may not."""
        return any(row.stream != EVENTS_STREAM for row in self.rows)


class Job(NamedTuple):
    """Something else to be written, in a transaction of its own, at its place in the order.

    `done` is called in the writer's thread, with None or OverloadedError; a vital one is tried until there is
    room.
    """

    run: Callable[[apsw.Connection], None]
    done: Done
    is_vital: bool = False


class Writer:
    """Owns the connection that writes, from `start` until it has ended.

    Parameters:
        connection: see schema.open_writer. clock_ms: the wall clock. space: the disk; only this thread calls
        it from `start` on. tend: called in this thread after each commit, with True once a second; what it
        raises is the end, too.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        clock_ms: Callable[[], int],
        space: Space,
        checkpointer: Checkpointer,
    ) -> None:
        self.metrics = Metrics()
        self.error: Exception | None = None
        """What ended it, if not `close`."""
        self._connection = connection
        self._clock_ms = clock_ms
        self._space = space
        self._checkpointer = checkpointer
        self._seq: int = connection.execute("SELECT coalesce(max(seq), 0) FROM journal").get
        self._queue: SimpleQueue[Append | Job | None] = SimpleQueue()
        self._held: list[Append] = []
        """Events that the full disk did not take."""
        self._group: list[Append] = []
        """Being committed."""
        self._rest: list[Append] = []
        """To be committed after it."""
        self._thread = threading.Thread(target=self._run, name="journal writer", daemon=True)
        self._looked_s = self._started_s = 0.0
        self._loop: asyncio.AbstractEventLoop
        self._on_failure: Callable[[Exception], None]
        self._on_commit: Callable[[int], None]

    def start(
        self,
        loop: asyncio.AbstractEventLoop,
        on_commit: Callable[[int], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        """Start the thread; on the loop, on_commit(seq of the last row) follows every commit, before its
        `done`s."""
        self._loop, self._on_commit, self._on_failure = loop, on_commit, on_failure
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._thread.start()

    def put(self, item: Append | Job) -> None:
        """Hand over; from any thread, never blocks."""
        self._queue.put(item)

    def stop(self) -> None:
        """Write what was handed over so far, and end; blocks until then."""
        if self._thread.ident is not None:
            self._queue.put(None)
            self._thread.join()

    @property
    def waiting_s(self) -> float:
        """How long the commit under way has taken so far, or the disk has been full; 0 while there is
        none."""
        started_s = self._started_s
        return perf_counter() - started_s if started_s else 0.0

    def undone(self) -> list[Append]:
        """After a failure: return all that was handed over and will never be written."""
        undone = self._group + self._rest + self._held
        self._group, self._rest, self._held = [], [], []
        with suppress(Empty):
            while True:
                if isinstance(item := self._queue.get_nowait(), Append):
                    undone.append(item)
        return undone

    # ---- the thread ----

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except Exception as error:  # whatever it is: nothing more may be written
            self.error = error
            self._checkpointer.stop()
            self._tell(self._on_failure, error)

    def _turn(self) -> bool:
        """Write one group, and the job after it; return whether to go on."""
        group, job, goes_on = self._collect()
        if self._space.is_full:
            group = self._refuse(group)
        first, self._rest = divided(group)
        if first:
            self._group = first
            self._commit(first)
        if self._rest:
            self._group, self._rest = self._rest, []
            self._commit(self._group)
        self._group = []
        if job is not None and self._held and not job.is_vital:  # a snapshot may know what is held
            job.done(OverloadedError("the disk of the store is full", FULL_RETRY_AFTER_MS))
        elif job is not None:
            self._do(job)
        now_s = perf_counter()
        if now_s - self._looked_s >= IDLE_S:
            self._looked_s = now_s
            self._space.look()
            self._checkpointer.tend(is_due=True)
        else:
            self._checkpointer.tend(is_due=False)
        return goes_on

    def _collect(self) -> tuple[list[Append], Job | None, bool]:
        """Take what waits, in order: appends up to the first job, or up to GROUP_OCTETS_MAX."""
        group, octets = self._held, sum(append.octets for append in self._held)
        self._held = []
        try:
            item = self._queue.get(timeout=FULL_RETRY_S if group else IDLE_S)
            while isinstance(item, Append):
                group.append(item)
                octets += item.octets
                if octets >= GROUP_OCTETS_MAX:
                    return group, None, True
                item = self._queue.get_nowait()
        except Empty:
            return group, None, True
        return group, item, item is not None

    def _commit(self, group: list[Append]) -> None:
        started_s = self._started_s = perf_counter()
        rows = self._number(join([row for append in group for row in append.rows]))
        try:
            if rows:
                self._insert(rows)
        except apsw.FullError:
            self._space.give_up()
            self.metrics.full += 1
            events = self._group = self._refuse(group)
            if len(events) == len(group):
                self._held = events
            elif events:
                self._commit(events)
            return
        finally:
            self._started_s = 0.0
        self._checkpointer.check()  # an fsync of the same file that failed there is as bad as one here
        self._seq += len(rows)
        self.metrics.committed(rows, len(group), perf_counter() - started_s)
        self._tell(self._deliver, group, self._seq, None)

    def _number(self, rows: list[Row]) -> list[StoredRow]:
        at_ms = self._clock_ms()
        return [StoredRow(seq, at_ms, *astuple(row)) for seq, row in enumerate(rows, self._seq + 1)]

    def _insert(self, rows: list[StoredRow]) -> None:
        """One statement is one transaction, and the thread waits for the GIL once and not at every row."""
        values: list[int | bytes] = []
        for row in rows:
            values += (*astuple(row), checksum(row))
        self._connection.execute(_insertion(len(rows)), values)

    def _refuse(self, group: list[Append]) -> list[Append]:
        """Turn new messages away, and return the rest."""
        refused = [append for append in group if append.is_new]
        if refused:
            self.metrics.refused += len(refused)
            error = OverloadedError("the disk of the store is full", FULL_RETRY_AFTER_MS)
            self._tell(self._deliver, refused, 0, error)
        return [append for append in group if not append.is_new]

    def _do(self, job: Job) -> None:
        try:
            with transaction(self._connection):
                job.run(self._connection)
        except apsw.FullError:
            self._space.give_up()
            if not job.is_vital:
                job.done(OverloadedError("the disk of the store is full", FULL_RETRY_AFTER_MS))
                return
            sleep(FULL_RETRY_S)
            self._do(job)
            return
        job.done(None)

    def _tell(self, call: Callable[..., None], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self._loop.call_soon_threadsafe(call, *arguments)

    def _deliver(self, group: list[Append], seq: int, error: Exception | None) -> None:
        if error is None:
            self._on_commit(seq)
        self.tell(group, error)

    def tell(self, group: list[Append], error: Exception | None) -> None:
        """On the loop: call what waits for a group; what one of them raises is not the others' business."""
        for append in group:
            try:
                append.done(error)
            except Exception as raised:
                context = {"message": "a callback of the journal failed", "exception": raised}
                self._loop.call_exception_handler(context)


def divided(group: list[Append]) -> tuple[list[Append], list[Append]]:
    """Return what goes first, and the rest; a short group is not divided. Within a stream the order stays."""
    if not any(append.is_first for append in group) or sum(append.octets for append in group) < FIRST_OCTETS:
        return group, []
    first: list[Append] = []
    rest: list[Append] = []
    passed: set[int] = set()
    for append in group:
        streams = {row.stream for row in append.rows} - {EVENTS_STREAM}
        if append.is_first and streams.isdisjoint(passed):
            first.append(append)
        else:
            rest.append(append)
            passed |= streams
    return first, rest


@cache
def _insertion(rows: int) -> str:
    columns = "seq, at_ms, stream, first, last, count, body, crc"
    return f"INSERT INTO journal ({columns}) VALUES {','.join(['(?,?,?,?,?,?,?,?)'] * rows)}"
