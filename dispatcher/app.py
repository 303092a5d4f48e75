"""The dispatcher as a whole: what is started in which order, and stopped in reverse.

Only this file knows all rooms.

::

    async with Dispatcher(config) as dispatcher:
        request = SendRequest(to="+491701234567", text="Your code is 4711", sender="Bank")
        verdicts = await dispatcher.send([request])
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar
from uuid import UUID

from dispatcher import dry_run, recovery, reload, switches
from dispatcher._ext.events import read_events
from dispatcher.admission import number_of
from dispatcher.api import Checked, Cursor
from dispatcher.cancelling import cancel
from dispatcher.carrier.desk import Switch
from dispatcher.carrier.lane import Lane
from dispatcher.config import Config
from dispatcher.errors import ConfigError, StoreError
from dispatcher.feed import Feed
from dispatcher.gather import Gather
from dispatcher.model import Accepted, Event, Refused, SendRequest
from dispatcher.pipeline import Pipeline
from dispatcher.prepare import Prepared, prepare
from dispatcher.store.journal import Journal
from dispatcher.store.known import KnownKeys
from dispatcher.store.projection import Projection, Status
from dispatcher.upkeep import Upkeep

log = logging.getLogger("dispatcher.app")

SLICE: Final = 1_000
"""Requests admitted in one turn of the loop: a millisecond or two."""
LAST_COMMIT_S: Final = 1.0
"""For what has happened so far, before the binds go; a full disk may never take it."""
HISTORY_OCTETS: Final = 1 << 20
"""Of events in one read."""

_T = TypeVar("_T")


class Dispatcher:
    """A dispatcher in this process: one event loop, one store. Use it as a context manager.

    `folder` is where relative file names of the configuration start. ConfigError: it cannot work as
    configured. StoreError: the store is in use, of a newer version, or damaged beyond reading.
    """

    def __init__(
        self,
        config: Config,
        *,
        folder: Path | None = None,
        now_ms: Callable[[], int] | None = None,
        opened: Callable[..., Journal] | None = None,
    ) -> None:
        self.config = config
        self._opened = opened
        self.failure: BaseException | None = None
        """Why it stopped by itself: its store failed. Nothing is accepted or sent any more: leave."""
        self.journal: Journal
        self.pipeline: Pipeline
        self.feed: Feed
        """The events as they are told outside."""
        self._folder = folder or Path()
        self._now_ms = now_ms or wall_ms
        self.projection: Projection
        self._projector: ThreadPoolExecutor
        self._known: KnownKeys
        self._recaller: ThreadPoolExecutor
        self._is_open = False
        self._failed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._prepared: Prepared
        self._upkeep: Upkeep
        self._gather: Gather
        self._reloading = asyncio.Lock()
        self._corrupt: list[tuple[int, int, int, int]] = []

    def __repr__(self) -> str:
        state = "failed" if self.failure else "running" if self._is_open else "closed"
        if not hasattr(self, "pipeline"):
            return "<Dispatcher, never opened>"
        return f"<Dispatcher {state}: {self.pipeline.book!r}, {list(self.pipeline.lanes.values())!r}>"

    async def __aenter__(self) -> "Dispatcher":
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def is_open(self) -> bool:
        """Whether messages are accepted, or what was accepted is being brought to rest."""
        return self._is_open

    def _check_open(self) -> None:
        if not self._is_open:
            raise RuntimeError("the dispatcher is not open: use `async with`, or call `open()` first")

    # ---- what a program does ----

    async def send(self, requests: Sequence[SendRequest]) -> list[Accepted | Refused]:
        """Accept messages; return a verdict for each, in order. What is accepted is on disk by then.

        Many are taken in slices, between which the loop is free (law 12).
        """
        self._check_open()
        if len(requests) == 1:
            return [await self._gather.one(requests[0])]
        if len(requests) <= SLICE:
            return await self.pipeline.accept(requests)
        slices: list[asyncio.Task[list[Accepted | Refused]]] = []
        most = self.config.limits.batch_max
        for start in range(0, min(len(requests), most), SLICE):
            some = requests[start : min(start + SLICE, most)]
            slices.append(asyncio.get_running_loop().create_task(self.pipeline.accept(some)))
            await asyncio.sleep(0)
        taken = [verdict for verdicts in await asyncio.gather(*slices) for verdict in verdicts]
        return taken + self.pipeline.admission.too_many(requests[most:])

    @property
    def batch_max(self) -> int:
        """Messages that `send` takes in one call."""
        return self.config.limits.batch_max

    def is_known(self, request: SendRequest) -> bool:
        """See Admission.is_known."""
        return self.pipeline.admission.is_known(request)

    async def cancel(self, message_id: str, n: int | None = None) -> bool:
        """Take back a message that still waits. True: it ends as cancelled; False: too late, or unknown.

        `n`: its number, where its id does not say it. ValueError: no UUID.
        """
        self._check_open()
        return await cancel(self.pipeline, UUID(message_id).bytes, n)

    async def check(self, requests: Sequence[SendRequest]) -> list[Checked | Refused]:
        """Say what would become of each, in order, and accept none: alphabet, segments, route, price."""
        self._check_open()
        return await dry_run.check(self.pipeline, self.config, requests)

    async def events(self, after: Cursor = (0, 0)) -> AsyncIterator[tuple[Cursor, Event]]:
        """Yield every event after a cursor, with its own, in order; then new ones, until it is closed."""
        self._check_open()
        while self._is_open:
            async for cursor, event in self.history(after):
                after = cursor
                yield cursor, event
            await self.journal.wait_for_events(max(after[0], self._seen_seq))

    async def history(self, after: Cursor = (0, 0)) -> AsyncIterator[tuple[Cursor, Event]]:
        """Yield the events after a cursor that are durable now, in order, each with its own cursor."""
        self._check_open()
        seq, seen = after
        self._seen_seq = self.journal.last_seq
        rows = await self.journal.events(seq - 1, HISTORY_OCTETS)
        while rows:
            for row in rows:
                skip = seen if row.seq == seq else 0
                for index, event in enumerate(read_events(row.body, Event), 1):
                    if index > skip:
                        yield (row.seq, index), event
            rows = await self.journal.events(rows[-1].seq, HISTORY_OCTETS)

    async def status(self, message_id: str, n: int | None = None) -> Status | None:
        """Return what is known of a message, its events included; None: nothing. `n`: see `cancel`.
        ValueError: no UUID."""
        self._check_open()
        octets = UUID(message_id).bytes
        found = await self._ask(self.projection.lookup, number_of(octets) if n is None else n)
        return found if found is not None and found.message_id == octets else None

    async def find(
        self,
        *,
        client_ref: str | None = None,
        to: str | None = None,
        source: str | None = None,
        most: int = 100,
        before_n: int = 1 << 62,
    ) -> list[Status]:
        """Return messages by the sender's name for them or by number (digits of E.164), newest first;
        `source`: only of this one."""
        self._check_open()
        if client_ref is not None:
            return await self._ask(self.projection.by_client_ref, client_ref, most, before_n, source)
        if to is None or not to.isdecimal():
            raise ValueError("give a client_ref, or to: the digits of a number")
        return await self._ask(self.projection.by_number, to, most, before_n, source)

    # ---- what an operator does ----

    async def reload(self, config: Config, folder: Path | None = None) -> list[str]:
        """Take up a changed configuration, all of it or nothing; return what has changed, in words.

        Binds are renewed only where their account has changed, one at a time. A carrier that is gone gets no
        more messages, what waits for it goes elsewhere, and it unbinds once its receipts are in. ConfigError:
        the new one cannot work, or wants another store; the old one stays in force.
        """
        self._check_open()
        async with self._reloading:
            folder = self._folder if folder is None else folder
            if Path(config.store) != Path(self.config.store):
                raise ConfigError("store: it cannot move while the dispatcher runs; restart for that")
            new = await prepare(config, folder, self.journal.carriers)
            self._check_open()  # it may have been closed meanwhile
            old, self._prepared = self._prepared, new
            reload.take_up(self.pipeline, old.config, new)
            self.config, self._folder = config, folder
            for lane in list(self.pipeline.leaving.values()):
                await switches.turn_lane(self.pipeline, lane, Switch.ON)
            return reload.changes(old, new)

    async def pause(self, carrier: str) -> None:
        """Send nothing more to a carrier until `resume`; what has another carrier goes there. Binds stay.

        It holds over a restart. ConfigError: no carrier has that name.
        """
        self._check_open()
        await switches.turn(self.pipeline, carrier, Switch.PAUSED)

    async def drain(self, carrier: str) -> None:
        """The same, and it unbinds once everything is answered."""
        self._check_open()
        await switches.turn(self.pipeline, carrier, Switch.DRAINING)

    async def resume(self, carrier: str) -> None:
        """End a pause or a drain that an operator began. A circuit that is open stays so."""
        self._check_open()
        await switches.turn(self.pipeline, carrier, Switch.ON)

    def switches(self) -> dict[str, str]:
        """Return of each carrier what the operator wants: on, paused, draining, drained; or leaving."""
        self._check_open()
        return switches.states(self.pipeline)

    def _lanes(self) -> list[Lane]:
        return [*self.pipeline.lanes.values(), *self.pipeline.leaving.values()]

    async def _recall(self, key_hashes: list[int], up_to_n: int) -> dict[int, tuple[int, int]]:
        """Return what the store knows of keys; those of later messages than that are known already."""
        find, loop = self._known.find, asyncio.get_running_loop()
        from_n = self.pipeline.admission.oldest_key_n
        found = await loop.run_in_executor(self._recaller, find, key_hashes, up_to_n, from_n)
        if found is None:  # just after a start, say; a number that was given and not written never comes
            await self._ask(self.projection.refresh)
            found = await loop.run_in_executor(self._recaller, find, key_hashes, 0, from_n)
        return found or {}

    async def _ask(self, call: Callable[..., _T], *arguments: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._projector, call, *arguments)

    async def trails(self, numbers: Sequence[int]) -> dict[int, bytes]:
        """See Projection.trails."""
        return await self._ask(self.projection.trails, numbers)

    def leave_in_projection(self, numbers: Sequence[int]) -> None:
        """See Projection.leave; nobody waits for it."""
        asyncio.get_running_loop().run_in_executor(self._projector, self.projection.leave, numbers)

    async def committed(self) -> None:
        """Wait until all that has happened so far is on disk."""
        await self.pipeline.committed()

    async def wait_failed(self) -> BaseException:
        """Wait until it stops by itself; return why."""
        await self._failed.wait()
        assert self.failure is not None
        return self.failure

    # ---- start and stop ----

    async def open(self) -> None:
        """Open the store, recover, begin to connect. When this returns, messages are accepted.

        RuntimeError: it is open.
        """
        if self._is_open:
            raise RuntimeError("the dispatcher is open already")
        if self._opened is None and self.config.kafka is not None and self.config.kafka.mode == "journal":
            raise ConfigError(
                'kafka.mode: with "journal", `dispatcher serve` runs a worker; a program cannot'
            )
        loop, folder = asyncio.get_running_loop(), Path(self.config.store)
        began_s = time.monotonic()
        self.journal = await loop.run_in_executor(
            None,
            partial(self._opened or Journal.open, folder, clock_ms=self._now_ms, on_corrupt=self._on_corrupt),
        )
        self._projector = ThreadPoolExecutor(1, "projection")
        self._recaller = ThreadPoolExecutor(1, "recall")
        try:
            self._build(await prepare(self.config, self._folder, self.journal.carriers))
            await self.journal.ask(partial(recovery.restore, self.journal, self.pipeline))
            self.projection = await self._ask(Projection, folder, self._on_corrupt)
            self._known = await loop.run_in_executor(self._recaller, KnownKeys, folder)
            self.journal.start(loop, on_failure=self._on_failure)
            await recovery.recover(self.pipeline, began_s)
            self.pipeline.may_bind = self._opened is None
            for lane in self.pipeline.lanes.values():
                if lane.switch is not Switch.DRAINING and self.pipeline.may_bind:
                    lane.pool.begin()
                lane.look()
        except BaseException:
            if hasattr(self, "pipeline"):
                await asyncio.gather(*(lane.pool.close(0) for lane in self.pipeline.lanes.values()))
            await self.journal.close()
            self._projector.shutdown()
            self._recaller.shutdown()
            raise
        if self.journal.state == "full":
            log.error("the disk of the store has no room for its reserve: no message is accepted")
        self._upkeep = Upkeep(self.journal, self.pipeline, self.projection, self._ask, self._now_ms)
        self._tasks = [loop.create_task(each) for each in self._upkeep.work(lambda: self.config.retention)]
        self._is_open = True

    async def close(self, limit_ms: int = 10_000) -> None:
        """Stop accepting, let answers come, unbind, write what is left; what waits goes on after a start."""
        loop = asyncio.get_running_loop()
        tasks, self._tasks = self._tasks, []
        if not tasks:
            return
        self.feed.is_closed = True
        self.pipeline.is_closing = True
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.failure is None:
            with suppress(StoreError, TimeoutError):
                # What came is acknowledged before we unbind.
                await asyncio.wait_for(self.pipeline.committed(), LAST_COMMIT_S)
        await asyncio.gather(*(lane.close(limit_ms) for lane in self._lanes()))
        if self.failure is None:
            await self.pipeline.settle()
            for lane in self._lanes():
                lane.give_back()  # its claim was under way
            await self.pipeline.settle()
            await self._upkeep.snapshot()
        self._is_open = False
        await loop.run_in_executor(self._recaller, self._known.close)
        self._recaller.shutdown()
        await self._ask(self.projection.close)
        self._projector.shutdown()
        await self.journal.close()

    def _build(self, prepared: Prepared) -> None:
        """Put the rooms together."""
        self.feed = Feed(self.journal, self.journal.carrier_names)
        self.pipeline = reload.assemble(prepared, self.journal, self._on_failure, self._now_ms)
        self.pipeline.recall = self._recall
        self._gather = Gather(self.pipeline.accept)
        self._prepared = prepared

    def _on_corrupt(self, seq: int, stream: int, first: int, last: int) -> None:
        """Told in a reader's thread of a damaged row: its neighbours go on."""
        if (damaged := (seq, stream, first, last)) not in self._corrupt:
            self._corrupt.append(damaged)
            log.error("row %d of the journal is damaged (stream %d, messages %d to %d)", *damaged)

    def _on_failure(self, error: BaseException) -> None:
        if self.failure is None:
            self.failure = error
            self.pipeline.is_closing = True
            for lane in self._lanes():
                lane.pause(True)
            self._failed.set()


def wall_ms() -> int:
    """Return UTC in milliseconds."""
    return time.time_ns() // 1_000_000
