"""The dispatcher as a whole: what is started in which order, and stopped in reverse. Only this file knows all rooms.

::

    async with Dispatcher(config) as dispatcher:
        verdicts = await dispatcher.send([SendRequest(to="+491701234567", text="Your code is 4711", sender="Bank")])
"""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from dispatcher import recovery
from dispatcher._ext.book import Book
from dispatcher._ext.events import EventBuffer
from dispatcher.admission import Admission, number_of
from dispatcher.aftermath import TICK_S, Aftermath
from dispatcher.carrier.lane import Lane
from dispatcher.carrier.profile import Profile, load
from dispatcher.carrier.queue import ClassQueue
from dispatcher.config import Carrier, Config
from dispatcher.errors import ConfigError, DispatcherError, StoreError
from dispatcher.model import Accepted, Event, Refused, SendRequest, TrafficClass
from dispatcher.pipeline import Pipeline
from dispatcher.refusal import Code, Refusal
from dispatcher.routing.health import Health
from dispatcher.routing.rules import Router
from dispatcher.smpp.account import Account, Tls
from dispatcher.smpp.session import Timers
from dispatcher.store.journal import Journal

SNAPSHOT_S: Final = 60.0
"""Between snapshots: a restart replays the events of a minute."""
PARKED_MAX: Final = 200_000
"""Receipts without a message that are kept: a carrier's backlog of a bad night."""
SETTLED_MAX: Final = 1_000_000
"""Ids remembered after their end, 60 octets each: a duplicate receipt comes within minutes."""


class Dispatcher:
    """A dispatcher in this process: one event loop, one store. Use it as a context manager.

    `folder` is where relative file names of the configuration start. ConfigError: it can't work as configured.
    StoreError: the store is in use, of a newer version, or damaged beyond reading.
    """

    def __init__(self, config: Config, *, folder: Path | None = None, now_ms: Callable[[], int] | None = None) -> None:
        self.config = config
        self.failure: BaseException | None = None
        """Why it stopped by itself, if it did: the store failed."""
        self.failed = asyncio.Event()
        self._folder = folder or Path()
        self._now_ms = now_ms or wall_ms
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Dispatcher":
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # ---- what a program does ----

    async def send(self, requests: Sequence[SendRequest]) -> list[Accepted | Refused]:
        """Accept messages; when this returns, what is accepted is on disk. In order, a verdict for each."""
        return await self.pipeline.accept(requests)

    async def cancel(self, message_id: str | bytes) -> bool:
        """Take a message back that still waits. True: it ends as cancelled and is not sent; False: too late."""
        return await self.pipeline.cancel(_octets(message_id))

    async def history(self, after: tuple[int, int] = (0, 0)) -> AsyncIterator[Event]:
        """Yield every event since a cursor, in order, as far as there are any now."""
        ...
        yield
