"""What runs beside the dispatcher in a daemon: the protocol of a part, and the list of parts in their order.

To add one: give it `start`, `stop` and `reload`, and name it in `parts_of`. Imports stand at the top: aiohttp
takes 120 ms, which on the loop would be a stall; who imports this file means to serve.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from dispatcher import __version__
from dispatcher.app import Dispatcher, wall_ms
from dispatcher.config import Config
from dispatcher.credentials import secret_of_env, secret_of_file
from dispatcher.faces import KannelUser
from dispatcher.ingest.admin import AdminServer
from dispatcher.ingest.door import Door
from dispatcher.ingest.kannel import Kannel
from dispatcher.ingest.keys import KeyRing, keys_path
from dispatcher.ingest.more import documentation, sendsms
from dispatcher.ingest.server import HttpServer
from dispatcher.ingest.service import Route
from dispatcher.logs import Logs
from dispatcher.model import Message
from dispatcher.outcomes.service import Counters, Outcomes
from dispatcher.stalls import StallWatch
from dispatcher.store.deliveries import Deliveries
from dispatcher.survey import Survey, receivers


class Part(Protocol):
    """Something that runs beside the dispatcher, from `start` until `stop`."""

    async def start(self) -> object:
        """Begin. ConfigError, OSError: it cannot, and the process ends."""

    async def stop(self, limit_ms: int) -> None:
        """End within the limit; what is under way may come to its end."""

    async def reload(self, config: Config) -> None:
        """Take up a changed configuration. ConfigError, OSError: it cannot; nothing is changed."""


class Owner(Protocol):
    """What parts see of the daemon."""

    dispatcher: Dispatcher
    logs: Logs
    stalls: StallWatch
    on_reopen: list[Callable[[], None]]
    """Called on SIGUSR2: somebody has renamed files that are written."""

    @property
    def config(self) -> Config:
        """What is in force."""

    @property
    def folder(self) -> Path:
        """Where relative file names of the configuration start."""

    @property
    def stage(self) -> str:
        """starting, ready, draining or failed."""


def dispatcher_of(config: Config, folder: Path) -> Dispatcher:
    """Return the dispatcher of a daemon: with a journal of its own, or as one of several workers."""
    if config.kafka is None or config.kafka.mode == "source":
        return Dispatcher(config, folder=folder)
    from dispatcher.worker.journal import SharedJournal  # aiokafka takes a tenth of a second and 20 MB

    return Dispatcher(config, folder=folder, opened=SharedJournal.open_scratch)


def parts_of(owner: Owner) -> Sequence[Part]:
    """Return the parts in the order of their start; they stop in reverse.

    Called once the dispatcher is open.
    """
    config = owner.config
    survey = Survey(owner.dispatcher, lambda: owner.stage)
    survey.more.append(lambda: {"dispatcher_loop_stalls_total": [((), owner.stalls.stalls)]})
    telling = Telling(owner)
    survey.more.append(lambda: receivers(telling.counters()))
    admin = AdminServer(config.admin, survey, owner.dispatcher, version=__version__, folder=owner.folder)
    keys = KeyRing(keys_path(config.http, config.store, owner.folder))
    worker = None
    door: Door = owner.dispatcher
    if config.kafka is not None and config.kafka.mode == "journal":
        from dispatcher.worker.part import WorkerPart

        worker = WorkerPart(owner, config.kafka)
        door = worker.door
    http = HttpServer(
        door,
        config.http,
        keys,
        folder=owner.folder,
        more=more_routes(owner.dispatcher, config.http.kannel, owner.folder),
    )
    survey.more.append(http.samples)
    parts: list[Part] = [telling, admin, Front(owner, http)]
    if worker is not None:
        survey.more.append(worker.samples)
        survey.more_checks.append(worker.checks)
        parts[0] = worker
    elif config.kafka is not None:
        from dispatcher.kafka_part import KafkaPart  # aiokafka takes a tenth of a second and 20 MB

        kafka = KafkaPart(owner, config.kafka, lambda: telling.deliveries)
        survey.more.append(kafka.samples)
        survey.more_checks.append(kafka.checks)
        parts.insert(1, kafka)
    return parts


def more_routes(dispatcher: Dispatcher, users: Mapping[str, KannelUser], folder: Path) -> tuple[Route, ...]:
    """Return the pages beside /v1: the API's document, and Kannel's sendsms where it has users.

    ConfigError: a password cannot be read.
    """
    routes = documentation(__version__, with_kannel=bool(users))
    if not users:
        return routes
    lanes = dispatcher.pipeline.lanes

    def has_bind(message: Message) -> bool:
        return any(lanes[number].is_bound for number in message.carriers if number in lanes)

    passwords = {name: _password(f"http.kannel.{name}", user, folder) for name, user in users.items()}
    return (*routes, *sendsms(Kannel(users, passwords, has_bind, wall_ms)))


def _password(at: str, user: KannelUser, folder: Path) -> str:
    if user.password_env is not None:
        return secret_of_env(f"{at}.password_env", user.password_env)
    return secret_of_file(f"{at}.password_file", user.password_file or "", folder)


class Telling:
    """Webhooks, callbacks and files of events, and the file where their progress is kept."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._deliveries: Deliveries | None = None
        self._outcomes: Outcomes | None = None

    def __repr__(self) -> str:
        return f"<Telling: {self._outcomes!r}>"

    async def start(self) -> None:
        """Begin to tell. ConfigError: a secret cannot be read. StoreError: what is kept cannot be."""
        owner = self._owner
        self._deliveries = await Deliveries.open(Path(owner.config.store))
        self._outcomes = Outcomes(owner.dispatcher.feed, self._deliveries, owner.folder)
        await self._outcomes.start(owner.config)
        owner.on_reopen.append(self._outcomes.reopen)

    async def stop(self, limit_ms: int) -> None:
        """Let calls under way come back within the limit; the rest is told after the next start."""
        if self._outcomes is not None:
            await self._outcomes.stop(limit_ms)
        if self._deliveries is not None:
            await self._deliveries.close()

    async def reload(self, config: Config) -> None:
        """Take up changed webhooks and files; the others go on undisturbed."""
        if self._outcomes is not None:
            await self._outcomes.reload(config)

    @property
    def deliveries(self) -> Deliveries:
        """Where cursors are kept, once it has started."""
        assert self._deliveries is not None
        return self._deliveries

    def counters(self) -> Iterable[tuple[str, Counters]]:
        """Return what each receiver has counted."""
        return self._outcomes.counters() if self._outcomes is not None else ()


class Front:
    """The HTTP door, with the pages beside it."""

    def __init__(self, owner: Owner, server: HttpServer) -> None:
        self.server = server
        self._owner = owner

    def __repr__(self) -> str:
        return repr(self.server)

    async def start(self) -> None:
        """Listen. ConfigError, OSError: see HttpServer."""
        await self.server.start()

    async def stop(self, limit_ms: int) -> None:
        """Listen no more."""
        await self.server.stop(limit_ms)

    async def reload(self, config: Config) -> None:
        """Take up what can change while it listens. ConfigError: all stays."""
        owner = self._owner
        more = await asyncio.to_thread(more_routes, owner.dispatcher, config.http.kannel, owner.folder)
        await self.server.reload(config, more)
