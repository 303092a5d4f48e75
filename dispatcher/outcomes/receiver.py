"""One receiver of events: reads at its own pace, calls, and writes down what came of it.

Law: a call's place is given to another one only when what came of it is written. So after a crash at most
`parallel` calls are made twice, with the same ids. Nothing here is on the path of a message.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Final, NamedTuple, Protocol

from dispatcher.delivery import Changes, Held, Moved, Place, Progress, Request, Waiting
from dispatcher.errors import StoreError
from dispatcher.outcomes.queue import Item, Policy, Queue

log = logging.getLogger("dispatcher.outcomes")

TICK_S: Final = 0.1
"""How often the clock is looked at, while something waits for a time."""
PROGRESS_S: Final = 1.0
"""How often a cursor is written that passed nothing but what nobody asked for."""
FAILED_S: Final = 1.0
"""Before what could not be written is written again."""

ADVICE: Final = {"address_forbidden": "the address is not public; allow_private = true lets it be called"}
"""By the word of a failure, for the log: what only a person can change."""


class Answer(NamedTuple):
    """What came of a call."""

    is_done: bool
    why: str = ""
    """A word of a closed list, or ``status_500``."""
    retry_after_ms: int = 0
    is_gone: bool = False
    """The receiver wants nothing any more."""


class Keeper(Protocol):
    """What is kept over restarts: store.deliveries.Deliveries."""

    async def load(self, receiver: str) -> tuple[Progress | None, list[Waiting]]:
        """Return how far a receiver has come, None if it is new, and what waits for it, in order."""

    async def save(self, receiver: str, changes: Changes) -> None:
        """Write changes, all or nothing."""

    async def held(self, receiver: str, key: Place) -> Held | None:
        """Return one delivery that is held."""

    async def forget(self, receiver: str) -> None:
        """Drop a receiver and all that is held for it."""

    async def requests(self) -> list[Request]:
        """Return what commands asked for, in order."""

    async def unpark(self, request: Request, now_ms: int) -> list[Waiting]:
        """Let parked deliveries wait again, and drop the request."""

    async def answered(self, number: int) -> None:
        """Drop a request: it is done."""

    async def trim(self, parked_before_ms: int) -> int:
        """Delete what was parked before a time."""


class Parcel(NamedTuple):
    """A delivery, ready to be made."""

    webhook_id: str
    url: str
    """Empty: the receiver's own."""
    body: bytes


class Channel(Protocol):
    """How a receiver is told."""

    name: str
    url: str
    """For which it may be disabled; empty: there is not one alone."""
    policy: Policy

    def read(self, after: Place, follow: bool) -> AsyncIterator[tuple[Place, list[Item]]]:
        """Yield what is to be told behind a cursor, each time with the cursor behind it; then, if asked, what
        is new."""

    def parcel(self, item: Item) -> Parcel:
        """Return the delivery of an item that has its events."""

    async def call(self, parcel: Parcel, attempt: int) -> Answer:
        """Make it. Never raises for what a receiver may do."""

    async def close(self) -> None:
        """Let go of connections."""


class Receiver:
    """See above. `first` is where it begins if it is new."""

    def __init__(
        self,
        channel: Channel,
        keeper: Keeper,
        now_ms: Callable[[], int],
        random: Callable[[], float],
        ended: Callable[["Receiver"], None] = lambda receiver: None,
    ) -> None:
        self.name = channel.name
        self.delivered = 0
        """Events that were told."""
        self.failed = 0
        """Calls that failed."""
        self.parked = 0
        """Deliveries given up since the start."""
        self.disabled = ""
        self.queue = Queue(channel.policy, random)
        self._channel = channel
        self._keeper = keeper
        self._now_ms = now_ms
        self._ended = ended
        """Told when a replay has come to its end."""
        self._until: Place = (0, 0)
        self._read: Place = (0, 0)
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._dirty = asyncio.Event()
        self._saved: list[asyncio.Future[None]] = []
        self._advised: set[str] = set()
        self._is_stopping = False
        self._is_read = False
        self._calls: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return f"<Receiver {self.name}{' disabled' if self.disabled else ''}: {self.queue!r}>"

    async def start(self, first: Place, end: Place, until: Place = (0, 0)) -> None:
        """Go on where it stopped, or begin at `first`; `end` is that of the journal, `until` of a replay."""
        progress, waiting = await self._keeper.load(self.name)
        if progress is None:
            progress = Progress(first, until=until)
            await self._keeper.save(self.name, Changes(progress))
        if progress.cursor > end:
            log.warning("receiver %s had come further than the journal: it begins at its end", self.name)
            progress = Progress(end)
        if progress.disabled and progress.url == self._channel.url:
            self.disabled = progress.disabled
            log.warning("receiver %s is disabled: %s", self.name, self.disabled)
        self._until = progress.until
        self._read = progress.cursor
        self.queue.restore(progress.cursor, progress.done, waiting)
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(each) for each in (self._reading(), self._running(), self._saving())]
        for task in self._tasks:
            task.add_done_callback(self._on_end)

    async def stop(self, limit_ms: int) -> None:
        """Let calls under way come back within a limit, write what came of them; the rest is told later."""
        if not self._tasks:
            return
        reading, running, saving = self._tasks
        self._tasks, self._is_stopping = [], True
        reading.cancel()
        running.cancel()
        if self._calls:
            await asyncio.wait(self._calls, timeout=limit_ms / 1000)
        for each in self._calls:
            each.cancel()
        saving.cancel()
        await asyncio.gather(reading, running, saving, *self._calls, return_exceptions=True)
        with suppress(StoreError):
            await self._save()
        await self._channel.close()

    def enable(self) -> None:
        """Go on after it was disabled."""
        self.disabled = ""
        self._dirty.set()
        self._wake.set()

    def resume(self, waiting: list[Waiting]) -> None:
        """Take up what was parked."""
        for each in waiting:
            self.queue.hold(each)
        self._wake.set()

    def _on_end(self, task: asyncio.Task[None]) -> None:
        """Say of a task that ended by a fault of ours: nobody waits for it."""
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("receiver %s tells nothing any more: a fault inside", self.name, exc_info=error)

    # ---- its three tasks ----

    async def _reading(self) -> None:
        is_replay = self._until != (0, 0)
        while not self._is_stopping:
            try:
                async for cursor, items in self._channel.read(self._read, follow=not is_replay):
                    for item in items:
                        if (not is_replay or item.key <= self._until) and not self.queue.is_known(item.key):
                            self.queue.push(item)
                    self._read = cursor
                    self.queue.read_to(cursor)
                    if items:
                        self._wake.set()
                    while not self.queue.has_room:
                        self._room.clear()
                        await self._room.wait()
                self._is_read = is_replay
                self._wake.set()
                return  # all is read, or the journal is closed
            except StoreError as error:
                log.error("receiver %s cannot read the journal: %s", self.name, error)
                await asyncio.sleep(FAILED_S)

    async def _running(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            while not self.disabled and (item := self.queue.take(self._now_ms())) is not None:
                task = loop.create_task(self._deliver(item))
                self._calls.add(task)
                task.add_done_callback(self._calls.discard)
            if self.queue.has_room:
                self._room.set()
            if self._is_read and not self.queue.open_events and not self.queue.held:
                self._ended(self)
                return
            timer = loop.call_later(TICK_S, self._wake.set) if self.queue.next_ms() else None
            await self._wake.wait()
            if timer is not None:
                timer.cancel()

    async def _saving(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._dirty.wait(), PROGRESS_S)
            self._dirty.clear()
            await self._save()

    async def _deliver(self, item: Item) -> None:
        events = len(item.parts) or item.events
        parcel = await self._parcel(item)
        if parcel is None:
            answer = Answer(True)  # it was trimmed meanwhile
        else:
            answer = await self._call(parcel, item.attempts + 1)
        now_ms = self._now_ms()
        if answer.is_done:
            self.delivered += events
            self.queue.succeed(item)
        elif answer.is_gone:
            self.disabled = f"the receiver said {answer.why}"
            log.error("receiver %s is disabled: %s; enable it by a command", self.name, self.disabled)
            self.queue.put_back(item, now_ms)
        else:
            self.failed += 1
            self._advise(answer.why)
            was_down = self.queue.is_down
            self.queue.fail(item, answer.why, now_ms, answer.retry_after_ms)
            if item.parked_ms:
                self.parked += 1
                log.error("receiver %s: a delivery is parked: %s", self.name, answer.why)
            if self.queue.is_down and not was_down:
                log.error("receiver %s is down: %s", self.name, answer.why)
        written = asyncio.get_running_loop().create_future()
        self._saved.append(written)
        self._dirty.set()
        self._wake.set()  # what waited for it may go before it is written
        await written
        self.queue.free(item)
        self._wake.set()

    def _advise(self, why: str) -> None:
        """Say what to do about a failure that does not pass by itself, once."""
        if why in ADVICE and why not in self._advised:
            self._advised.add(why)
            log.error("receiver %s: %s: %s", self.name, why, ADVICE[why])

    async def _call(self, parcel: Parcel, attempt: int) -> Answer:
        try:
            return await self._channel.call(parcel, attempt)
        except Exception as error:  # whatever a receiver makes a library raise, its place is given back
            log.error("receiver %s: a fault inside, %s", self.name, type(error).__name__)
            return Answer(False, "fault")

    async def _parcel(self, item: Item) -> Parcel | None:
        if item.parts:
            return self._channel.parcel(item)
        while True:
            try:
                held = await self._keeper.held(self.name, item.key)
                return None if held is None else Parcel(held.webhook_id, held.url, held.body)
            except StoreError as error:
                log.error("receiver %s: %s", self.name, error)
                await asyncio.sleep(FAILED_S)

    # ---- what is written ----

    async def _save(self) -> None:
        step = self.queue.step()
        waiting, self._saved = self._saved, []
        changes = Changes(
            Progress(
                step.cursor,
                step.done,
                self._until,
                self.disabled,
                self._channel.url if self.disabled else "",
            ),
            tuple(map(self._row, step.put)),
            tuple([_moved(item) for item in step.moved]),
            step.gone,
        )
        while True:
            try:
                await self._keeper.save(self.name, changes)
                break
            except StoreError as error:  # a full disk, say: nothing is lost, it is told again after a crash
                if self._is_stopping:
                    raise
                log.error("receiver %s: %s", self.name, error)
                await asyncio.sleep(FAILED_S)
        for item in step.put:
            item.events, item.parts = len(item.parts), []  # they stand in the store
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def _row(self, item: Item) -> Held:
        parcel = self._channel.parcel(item)
        return Held(
            item.key,
            parcel.webhook_id,
            tuple(item.messages),
            parcel.url,
            parcel.body,
            item.attempts,
            item.first_ms,
            item.due_ms,
            item.parked_ms,
            item.why,
        )


def _moved(item: Item) -> Moved:
    return Moved(item.key, item.attempts, item.first_ms, item.due_ms, item.parked_ms, item.why)
