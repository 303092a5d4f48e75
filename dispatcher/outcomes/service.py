"""All receivers of one dispatcher: started, stopped and changed together. Commands' requests are heard here.

::

    outcomes = Outcomes(dispatcher.feed, await Deliveries.open(store), folder)
    await outcomes.start(config)
    await outcomes.reload(config)
    await outcomes.stop(5_000)          before the dispatcher is closed

Law: one receiver's trouble is its own. They share the reading thread of the journal and one small file.
A webhook that is new begins with what happens from now on; one that was there before goes on where it
stopped, also when the configuration did not name it for a while.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from aiohttp.abc import AbstractResolver

from dispatcher.api import Called, Cursor, EventOut
from dispatcher.config import DAY_MS, Config
from dispatcher.delivery import Request
from dispatcher.errors import StoreError
from dispatcher.faces import EventFile, Webhook
from dispatcher.model import EventKind
from dispatcher.outcomes import callbacks
from dispatcher.outcomes.callbacks import CallbackChannel
from dispatcher.outcomes.event_file import FileWriter
from dispatcher.outcomes.receiver import Keeper, Receiver
from dispatcher.outcomes.secrets import secrets_of
from dispatcher.outcomes.webhook import WebhookChannel

log = logging.getLogger("dispatcher.outcomes")

POLL_S: Final = 0.5
"""Between two looks for requests of commands: a person waits for the answer."""
TRIM_POLLS: Final = 7_200
"""Between two looks for what is parked for too long: an hour."""
CHANGE_MS: Final = 1_000
"""For calls under way when a receiver's configuration changes; longer ones are made again."""
REPLAY: Final = "/replay"
"""Behind the name of a webhook: the receiver that tells it once more."""


class Feed(Protocol):
    """Where events come from: feed.Feed."""

    @property
    def end(self) -> Cursor:
        """The cursor behind all that is durable now."""

    async def cursor_at(self, at_ms: int) -> Cursor:
        """Return the cursor before the first event that was written at a time or later."""

    def read(
        self, after: Cursor, kinds: Iterable[EventKind], *, follow: bool = True
    ) -> AsyncIterator[tuple[Cursor, list[EventOut]]]:
        """Yield events behind a cursor."""

    def calls(
        self, after: Cursor, kinds: Iterable[EventKind], *, follow: bool = True
    ) -> AsyncIterator[tuple[Cursor, list[Called]]]:
        """Yield events behind a cursor of messages that have a callback."""


class Counters(NamedTuple):
    """Of one receiver, for metrics: since the start, but for waiting, lag and what is behind them."""

    delivered: int
    """Events."""
    failed: int
    """Calls, or writes."""
    parked: int
    waiting: int
    """Deliveries that failed and are tried again."""
    open_events: int
    """Read, and not told yet."""
    is_disabled: bool
    is_down: bool


class Outcomes:
    """See above. `folder` is where relative file names start."""

    def __init__(
        self,
        feed: Feed,
        keeper: Keeper,
        folder: Path,
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        chance: Callable[[], float] = random.random,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self.receivers: dict[str, Receiver] = {}
        self.files: dict[str, FileWriter] = {}
        self._feed = feed
        self._keeper = keeper
        self._folder = folder
        self._now_ms = now_ms
        self._chance = chance
        self._resolver = resolver
        self._config: Config | None = None
        self._secrets: dict[str, tuple[bytes, ...]] = {}
        self._task: asyncio.Task[None] | None = None
        self._endings: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Outcomes {[*self.receivers.values(), *self.files.values()]!r}>"

    async def start(self, config: Config) -> None:
        """Begin to tell. ConfigError: a secret cannot be read. StoreError: what is held cannot be."""
        await self.reload(config)
        self._task = asyncio.get_running_loop().create_task(self._listen())

    async def stop(self, limit_ms: int) -> None:
        """Let calls under way come back within a limit; what was not told is told after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, *self._endings, return_exceptions=True)
        stops = [each.stop(limit_ms) for each in self.receivers.values()]
        await asyncio.gather(*stops, *(each.stop() for each in self.files.values()))
        self.receivers, self.files = {}, {}

    async def reload(self, config: Config) -> None:
        """Take a new configuration: what did not change goes on undisturbed. Raises as start, before anything
        is changed."""
        loop = asyncio.get_running_loop()
        secrets = await loop.run_in_executor(None, secrets_of, config.webhooks, self._folder)
        before, self._config = self._config, config
        old_secrets, self._secrets = self._secrets, secrets
        webhooks = {} if before is None else before.webhooks
        files = {} if before is None else before.event_files
        for name in set(webhooks) | set(config.webhooks):
            webhook = config.webhooks.get(name)
            if webhook != webhooks.get(name) or secrets.get(name) != old_secrets.get(name):
                is_replayed = name + REPLAY in self.receivers or webhooks.get(name) is None
                await self._stop(name, name + REPLAY)
                if webhook is not None:
                    await self._begin(name, webhook)
                    if is_replayed and (await self._keeper.load(name + REPLAY))[0] is not None:
                        await self._begin(name + REPLAY, webhook)
        for name in set(files) | set(config.event_files):
            if config.event_files.get(name) != files.get(name):
                await self._change_file(name, config.event_files.get(name))
        if before is None or before.callbacks != config.callbacks:
            await self._stop(callbacks.NAME)
            channel = CallbackChannel(config.callbacks, self._feed, self._now_ms, self._resolver)
            receiver = Receiver(channel, self._keeper, self._now_ms, self._chance)
            await receiver.start(self._feed.end, self._feed.end)
            self.receivers[callbacks.NAME] = receiver

    def reopen(self) -> None:
        """Open the event files anew: somebody else has renamed them."""
        for each in self.files.values():
            each.reopen()

    def counters(self) -> Iterator[tuple[str, Counters]]:
        """Yield what each receiver has done, by name."""
        for name, each in self.receivers.items():
            queue = each.queue
            yield (
                name,
                Counters(
                    each.delivered, each.failed, each.parked, queue.held, queue.open_events,
                    bool(each.disabled), queue.is_down,
                ),
            )  # fmt: skip
        for name, file in self.files.items():
            yield f"file/{name}", Counters(file.written, file.failed, 0, 0, 0, False, file.is_failing)

    # ---- inside ----

    async def _begin(self, name: str, webhook: Webhook) -> None:
        secrets = self._secrets[name.removesuffix(REPLAY)]
        channel = WebhookChannel(name, webhook, secrets, self._feed, self._now_ms, self._resolver)
        receiver = Receiver(channel, self._keeper, self._now_ms, self._chance, self._replayed)
        await receiver.start(self._feed.end, self._feed.end)
        self.receivers[name] = receiver

    async def _stop(self, *names: str) -> None:
        for name in names:
            if (receiver := self.receivers.pop(name, None)) is not None:
                await receiver.stop(CHANGE_MS)

    async def _change_file(self, name: str, file: EventFile | None) -> None:
        if (writer := self.files.pop(name, None)) is not None:
            await writer.stop()
        if file is not None:
            writer = FileWriter(f"file/{name}", self._folder / file.path, file, self._feed, self._keeper)
            await writer.start(self._feed.end)
            self.files[name] = writer

    async def _listen(self) -> None:
        """Do what commands ask for; now and then let go of what is parked for too long."""
        polls = 0
        while True:
            with suppress(StoreError):
                for request in await self._keeper.requests():
                    await self._do(request)
                if polls % TRIM_POLLS == 0 and self._config is not None:
                    kept_ms = self._config.retention.events_days * DAY_MS
                    await self._keeper.trim(self._now_ms() - kept_ms)
            polls += 1
            await asyncio.sleep(POLL_S)

    async def _do(self, request: Request) -> None:
        receiver = self.receivers.get(request.receiver)
        if receiver is None:
            log.warning("asked to %s %s, which is not configured", request.kind, request.receiver)
        elif request.kind == "resend":
            receiver.resume(await self._keeper.unpark(request, self._now_ms()))
        elif request.kind == "enable":
            receiver.enable()
        elif request.kind == "replay":
            await self._replay(request)
        await self._keeper.answered(request.number)

    async def _replay(self, request: Request) -> None:
        assert self._config is not None
        webhook = self._config.webhooks.get(request.receiver)
        if webhook is None:
            log.warning("only webhooks can be replayed; %s is none", request.receiver)
            return
        name = request.receiver + REPLAY
        await self._stop(name)
        await self._keeper.forget(name)
        secrets = self._secrets[request.receiver]
        channel = WebhookChannel(name, webhook, secrets, self._feed, self._now_ms, self._resolver)
        receiver = Receiver(channel, self._keeper, self._now_ms, self._chance, self._replayed)
        first = await self._feed.cursor_at(request.since_ms)
        await receiver.start(first, self._feed.end, until=self._feed.end)
        self.receivers[name] = receiver

    def _replayed(self, receiver: Receiver) -> None:
        async def end() -> None:
            await self._stop(receiver.name)
            await self._keeper.forget(receiver.name)
            log.info("%s is done: %d events", receiver.name, receiver.delivered)

        task = asyncio.get_running_loop().create_task(end())
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)
