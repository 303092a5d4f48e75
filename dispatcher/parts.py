"""What runs beside the dispatcher in a daemon: the protocol of a part, and the list of parts in their order.

To add one: give it `start`, `stop` and `reload`, or wrap it into `Fixed` where nothing of it can change while
it runs, and name it in `parts_of`.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dispatcher import __version__
from dispatcher.app import Dispatcher
from dispatcher.config import Config
from dispatcher.errors import ConfigError
from dispatcher.faces import ServerTls
from dispatcher.logs import Logs
from dispatcher.stalls import StallWatch

if TYPE_CHECKING:
    from dispatcher.outcomes.service import Counters, Outcomes
    from dispatcher.store.deliveries import Deliveries


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


def parts_of(owner: Owner) -> Sequence[Part]:
    """Return the parts in the order of their start; they stop in reverse.

    Called once the dispatcher is open. Imports stand here: aiohttp takes longer than all the rest.
    """
    from dispatcher.ingest.admin import AdminServer
    from dispatcher.survey import Survey, receivers

    config = owner.config
    context = server_context("admin.tls", config.admin.tls, owner.folder)
    survey = Survey(owner.dispatcher, lambda: owner.stage)
    survey.more.append(lambda: {"dispatcher_loop_stalls_total": [((), owner.stalls.stalls)]})
    telling = Telling(owner)
    survey.more.append(lambda: receivers(telling.counters()))
    admin = AdminServer(config.admin, survey, version=__version__, context=context)
    return [telling, Fixed(admin, config, "admin")]


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
        from dispatcher.outcomes.service import Outcomes
        from dispatcher.store.deliveries import Deliveries

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

    def counters(self) -> Iterable[tuple[str, Counters]]:
        """Return what each receiver has counted."""
        return self._outcomes.counters() if self._outcomes is not None else ()


class Server(Protocol):
    """A part whose settings are given once."""

    async def start(self) -> object:
        """See Part."""

    async def stop(self, limit_ms: int) -> None:
        """See Part."""


class Fixed:
    """A server whose sections of the configuration cannot change while it runs: a reload says so."""

    def __init__(self, server: Server, config: Config, *sections: str) -> None:
        self.server = server
        self._sections: dict[str, Any] = {name: getattr(config, name) for name in sections}

    def __repr__(self) -> str:
        return repr(self.server)

    async def start(self) -> None:
        """Start it."""
        await self.server.start()

    async def stop(self, limit_ms: int) -> None:
        """Stop it."""
        await self.server.stop(limit_ms)

    async def reload(self, config: Config) -> None:
        """ConfigError: one of its sections has changed."""
        for name, value in self._sections.items():
            if getattr(config, name) != value:
                raise ConfigError(f"{name}: it cannot change while the process runs; restart for that")


def server_context(at: str, tls: ServerTls | None, folder: Path) -> ssl.SSLContext | None:
    """Return the TLS context of a door of ours, None where it has none. ConfigError: a file is not right."""
    if tls is None:
        return None

    def path_of(name: str) -> str:
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        inside = Path(credentials, name) if credentials else folder / name
        return str(inside if inside.exists() else folder / name)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:  # without a password given, an encrypted key would ask the terminal for one
        key_file = path_of(tls.key_file) if tls.key_file is not None else None
        context.load_cert_chain(path_of(tls.certificate_file), key_file, lambda: "")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{at}.certificate_file, key_file: no certificate with its key: {error}") from None
    if tls.client_ca_file is not None:
        try:
            context.load_verify_locations(path_of(tls.client_ca_file))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{at}.client_ca_file: no certificates in PEM form: {error}") from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context
