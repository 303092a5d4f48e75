"""Done now and then beside the path: ticks, snapshots, the projection, letting go of what is old."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any, Final

from dispatcher import recovery
from dispatcher.aftermath import TICK_S
from dispatcher.config import DAY_MS, Retention
from dispatcher.errors import OverloadedError
from dispatcher.model import TrafficClass
from dispatcher.pipeline import Pipeline
from dispatcher.store.journal import Journal
from dispatcher.store.projection import Projection
from dispatcher.store.retention import retain

SNAPSHOT_S: Final = 60.0
"""Between snapshots: a restart replays the events of about a minute."""
PROJECT_S: Final = 3.0
"""Between two foldings: most of what is sent is answered and reported by then, and costs one insert; pages
are written once for many. Whoever asks for a status does not wait for it: a look-up folds first."""
RETAIN_S: Final = 600.0
"""Between two looks for what is kept no longer: days are not counted by the second."""

STEP_MS: Final = 5_000
"""The wall clock jumps by more between two ticks: NTP slews what is less; a leap second is one."""

SLOW_S: Final = 5.0
"""A commit that takes longer is an alarm: clients wait for it."""
LASTING_S: Final = 10.0
"""What is over for less is not told: it may come again at once."""

log = logging.getLogger("dispatcher.upkeep")

Ask = Callable[..., Awaitable[Any]]
"""(call, arguments) -> its result, from the projection's own thread."""


class Upkeep:
    """The tasks of one dispatcher that is open."""

    def __init__(
        self,
        journal: Journal,
        pipeline: Pipeline,
        projection: Projection,
        ask: Ask,
        now_ms: Callable[[], int],
    ) -> None:
        self._journal = journal
        self._pipeline = pipeline
        self._projection = projection
        self._ask = ask
        self._now_ms = now_ms

    def work(self, kept: Callable[[], Retention]) -> tuple[Coroutine[Any, Any, None], ...]:
        """Return what is to run until it is cancelled. `kept`: how long what is kept, as of now."""
        return self._tick(), self._snapshots(), self._project(), self._retain(kept)

    async def snapshot(self) -> None:
        """Keep the book as it is, so that a restart need not read everything.

        It changes while it is written: what happens from here on is replayed on top of it. So what made the
        last piece what it is goes to the journal before that which makes the snapshot count (law 1): it may
        be waiting for company (commits.py), and a book that knows an end which no event tells would answer
        a carrier that told it already.
        """
        pipeline = self._pipeline
        pipeline.flush()
        lanes = (*pipeline.lanes.values(), *pipeline.leaving.values())
        marks = {str(queue.stream): queue.mark for lane in lanes for queue in lane.queues}
        with suppress(OverloadedError):  # a full disk: the one before it still counts
            await self._journal.save_snapshot(self._dumped(), self._journal.last_seq, marks)

    def _dumped(self) -> Iterator[bytes]:
        yield from recovery.framed(self._pipeline.book.dump())
        self._pipeline.flush()

    async def _tick(self) -> None:
        steps = Steps(self._now_ms(), time.monotonic_ns())
        journal, room, speed = self._journal, Lasting(len(TrafficClass)), Lasting(1)
        while True:
            await asyncio.sleep(TICK_S)
            now_s = time.monotonic()
            if (classes := room.look(journal.space.classes, now_s)) is not None:
                _tell_room(classes, journal.space.free)
            if (is_fast := speed.look(int(journal.waiting_s < SLOW_S), now_s)) is not None:
                _tell_speed(bool(is_fast))
            if step_ms := steps.look(self._now_ms(), time.monotonic_ns()):
                log.error(
                    "alarm: the wall clock was put %s by %.1f s; deadlines and schedules follow it",
                    "forward" if step_ms > 0 else "back",
                    abs(step_ms) / 1000,
                    extra={"event": "clock_stepped", "ms": step_ms},
                )
                if step_ms < 0:  # forward, what waits is due too early by that at most
                    self._pipeline.aftermath.put_back(-step_ms)
            self._pipeline.aftermath.tick()

    async def _snapshots(self) -> None:
        while True:
            await asyncio.sleep(SNAPSHOT_S)
            await self.snapshot()

    async def _project(self) -> None:
        """Fold what is new in the journal into the projection, in slices, at most a third of the time."""
        loop = asyncio.get_running_loop()
        while True:
            started_s, last_seq = loop.time(), self._journal.last_seq
            await self._ask(self._projection.catch_up)
            has_caught_up = self._projection.seq >= last_seq
            await asyncio.sleep(max(2 * (loop.time() - started_s), PROJECT_S if has_caught_up else 0.0))

    async def _retain(self, kept: Callable[[], Retention]) -> None:
        """Let go of what is kept no longer: texts, then events and messages, then what look-ups know."""
        while True:
            await asyncio.sleep(RETAIN_S)
            limits, now_ms = kept(), self._now_ms()
            with suppress(OverloadedError):  # a full disk: deleting needs some room, too
                await retain(self._journal, self._finished, limits, self._projection.seq, now_ms)
                while await self._ask(self._projection.trim, now_ms - limits.records_days * DAY_MS):
                    pass

    async def _finished(self, numbers: list[int]) -> set[int]:
        found: set[int] = await self._ask(self._projection.finished, numbers)
        return found


def _tell_room(classes: int, free_octets: int) -> None:
    taken = [each.name.lower() for each in TrafficClass if each < classes]
    is_over = len(taken) == len(TrafficClass)
    log.log(
        logging.INFO if is_over else logging.ERROR,
        "%s: %d MiB are free on the disk of the store: %s",
        "over" if is_over else "alarm",
        free_octets >> 20,
        f"{', '.join(taken)} accepted" if taken else "nothing new is accepted",
        extra={"event": "disk_room", "free_mib": free_octets >> 20, "classes": taken},
    )


def _tell_speed(is_fast: bool) -> None:
    level, text = (
        (logging.INFO, "over: the disk of the store is slow: no commit takes %.0f s any more")
        if is_fast
        else (logging.ERROR, "alarm: the disk of the store is slow: a commit takes more than %.0f s")
    )
    log.log(level, text, SLOW_S, extra={"event": "disk_fast" if is_fast else "disk_slow"})


class Lasting:
    """Finds when to tell of something that has a best value: what is worse at once, what is better when it
    has lasted."""

    def __init__(self, best: int) -> None:
        self._told = best
        self._since_s: float | None = None
        """Since when it is better than was told."""

    def look(self, value: int, now_s: float) -> int | None:
        """Return what to tell; None: nothing."""
        if value > self._told:
            self._since_s = now_s if self._since_s is None else self._since_s
            if now_s - self._since_s < LASTING_S:
                return None
        self._since_s = None
        if value == self._told:
            return None
        self._told = value
        return value


class Steps:
    """Finds steps of the wall clock: it is compared with the monotonic one from look to look (F12)."""

    def __init__(self, now_ms: int, now_ns: int) -> None:
        self._ahead_ms = now_ms - now_ns // 1_000_000

    def look(self, now_ms: int, now_ns: int) -> int:
        """Return by how many milliseconds the wall clock was put since the last look; 0: by STEP_MS at most.

        A slew never adds up to a step: only what lies between two looks counts.
        """
        before_ms, self._ahead_ms = self._ahead_ms, now_ms - now_ns // 1_000_000
        step_ms = self._ahead_ms - before_ms
        return step_ms if abs(step_ms) > STEP_MS else 0
