"""Receivers of webhooks on real sockets, and a dispatcher that tells them."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web
from standardwebhooks.webhooks import Webhook

from dispatcher.app import Dispatcher
from dispatcher.config import Config
from dispatcher.outcomes.service import Outcomes
from dispatcher.outcomes.webhook import Resolver
from dispatcher.simulator import Simulator
from dispatcher.store.deliveries import Deliveries
from tests.integration.house import Clock, config_for, until

SECRET = "whsec_" + base64.b64encode(b"the first secret, 32 octets long").decode()
NEWER = "whsec_" + base64.b64encode(b"the newer secret, 32 octets long").decode()
SWIFT = {"retry_first_ms": 20, "retry_most_ms": 100}

Reply = Callable[["Call"], Awaitable[web.StreamResponse | int] | web.StreamResponse | int]


class Call(NamedTuple):
    """One request that came."""

    path: str
    """With its query."""
    headers: dict[str, str]
    body: bytes

    @property
    def webhook_id(self) -> str:
        """The header."""
        return self.headers["webhook-id"]

    @property
    def data(self) -> Any:
        """What it tells: one event, or a list."""
        return json.loads(self.body)["data"]

    def verify(self, secret: str = SECRET) -> Any:
        """Return the body, as the package of Standard Webhooks verifies it. WebhookVerificationError."""
        return Webhook(secret).verify(self.body, self.headers)


class Listener:
    """A receiver: `calls` that came, each answered by `reply`."""

    def __init__(self, reply: Reply = lambda call: 204) -> None:
        self.calls: list[Call] = []
        self.reply = reply
        self.in_flight = 0
        self.most_in_flight = 0
        self.port = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def ids(self) -> list[str]:
        """The webhook-id of each call, in order."""
        return [call.webhook_id for call in self.calls]

    async def __aenter__(self) -> "Listener":
        self._runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def came(self, count: int) -> list[Call]:
        """Wait for so many calls."""
        await until(lambda: len(self.calls) >= count, f"{count} calls")
        return self.calls

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = Call(request.raw_path, headers, await request.read())
        self.calls.append(call)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            reply = self.reply(call)
            if isinstance(reply, Awaitable):
                reply = await reply
        finally:
            self.in_flight -= 1
        return web.Response(status=reply) if isinstance(reply, int) else reply


def hook(listener: Listener, **more: Any) -> dict[str, Any]:
    """Return the table of a webhook that tells a listener."""
    return {"url": listener.url, "secret_files": ["secret"], "allow_private": True, **SWIFT, **more}


def hooks_config(folder: Path, smsc: Simulator, **tables: Any) -> Config:
    """Return a configuration; the file of the secret lies in its folder."""
    (folder / "secret").write_text(SECRET + "\n")
    return config_for(folder, smsc, **tables)


@asynccontextmanager
async def telling(
    dispatcher: Dispatcher,
    folder: Path,
    clock: Clock | None = None,
    resolver: Resolver | None = None,
    limit_ms: int = 1_000,
) -> AsyncIterator[Outcomes]:
    """Tell what happens in a dispatcher, as its configuration says."""
    deliveries = await Deliveries.open(Path(dispatcher.config.store))
    outcomes = Outcomes(
        dispatcher.feed, deliveries, folder, now_ms=clock or Clock(), chance=lambda: 0.0, resolver=resolver
    )
    await outcomes.start(dispatcher.config)
    try:
        yield outcomes
    finally:
        await outcomes.stop(limit_ms)
        await deliveries.close()


async def never(call: Call) -> int:
    """Reply nothing."""
    await asyncio.Event().wait()
    return 500
