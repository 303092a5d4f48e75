"""What tests of webhooks share: a receiver that is a real HTTP server, and a dispatcher that tells it."""

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from dispatcher.app import Dispatcher
from dispatcher.config import Config
from dispatcher.outcomes.service import Outcomes
from dispatcher.simulator import Simulator
from dispatcher.store.deliveries import Deliveries
from tests.integration.house import config_for

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
OLDER = "whsec_" + base64.b64encode(b"o" * 32).decode()

Answerer = Callable[["Call"], Awaitable[web.StreamResponse]]


class Call(NamedTuple):
    """One request that came."""

    path: str
    headers: dict[str, str]
    body: bytes
    request: web.Request

    @property
    def data(self) -> Any:
        """The event, or the events, that it tells."""
        return msgspec.json.decode(self.body)["data"]


async def fine(call: Call) -> web.StreamResponse:
    """Answer 204."""
    return web.Response(status=204)


class Listener:
    """Answers as told and remembers."""

    def __init__(self, answer: Answerer = fine) -> None:
        self.answer = answer
        self.calls: list[Call] = []
        self.port = 0

    @property
    def ids(self) -> list[str]:
        """The webhook-id of each call, in order."""
        return [call.headers["webhook-id"] for call in self.calls]

    async def hear(self, request: web.Request) -> web.StreamResponse:
        """Take one request."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = Call(request.path_qs, headers, await request.read(), request)
        self.calls.append(call)
        return await self.answer(call)


@asynccontextmanager
async def listening(answer: Answerer = fine) -> AsyncIterator[Listener]:
    """Listen on a free port of loopback."""
    listener = Listener(answer)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", listener.hear)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    listener.port = runner.addresses[0][1]
    try:
        yield listener
    finally:
        await runner.cleanup()


def told(folder: Path, smsc: Simulator, port: int, **more: Any) -> Config:
    """Return a configuration with one webhook, ``crm``, of a port here; keywords are its own."""
    (folder / "secret").write_text(f"{SECRET}\n")
    (folder / "older").write_text(f"{OLDER}\n")
    values = {
        "url": f"http://127.0.0.1:{port}/hook",
        "secret_files": ["secret"],
        "allow_private": True,
        "retry_first_ms": 20,
        "retry_most_ms": 50,
    }
    return config_for(
        folder, smsc, webhooks={"crm": values | more}, callbacks={"allow_private": True, "retry_first_ms": 20}
    )


@asynccontextmanager
async def telling(
    dispatcher: Dispatcher, config: Config, folder: Path, **more: Any
) -> AsyncIterator[Outcomes]:
    """Tell of what happens in a dispatcher that is open."""
    deliveries = await Deliveries.open(Path(config.store))
    outcomes = Outcomes(dispatcher.feed, deliveries, folder, **more)
    try:
        await outcomes.start(config)
        yield outcomes
    finally:
        await outcomes.stop(2_000)
        await deliveries.close()
