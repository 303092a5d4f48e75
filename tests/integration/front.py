"""A whole dispatcher behind its HTTP door, for tests: real sockets, real store, simulated carrier."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import aiohttp

from dispatcher.app import Dispatcher
from dispatcher.faces import Http
from dispatcher.ingest.keys import KeyRing, load, make_key, save
from dispatcher.ingest.server import HttpServer
from dispatcher.simulator import Simulator
from tests.integration.house import Clock, config_for


class Front:
    """One dispatcher, its server, and a client with a key."""

    def __init__(self, dispatcher: Dispatcher, server: HttpServer, smsc: Simulator, keys: Path) -> None:
        self.dispatcher = dispatcher
        self.server = server
        self.smsc = smsc
        self.keys = keys
        self.client: aiohttp.ClientSession
        self.url = f"http://127.0.0.1:{server.port}"

    async def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any, Any]:
        """POST JSON; return status, body and headers."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Content-Type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        async with self.client.post(self.url + path, data=data, headers=given) as response:
            return response.status, await response.json(content_type=None), response.headers

    async def get(self, path: str, **query: Any) -> tuple[int, Any]:
        """GET; return status and body."""
        async with self.client.get(self.url + path, params=query) as response:
            return response.status, await response.json(content_type=None)


def add_key(path: Path, name: str = "core", **more: Any) -> str:
    """Add a key to a file; return its token."""
    key, token = make_key(name, "2026-11-24T00:00:00Z", **more)
    save(path, (*load(path), key))
    return token


def bearer(token: str) -> dict[str, str]:
    """Return the header that shows a key."""
    return {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def front(
    folder: Path, *, http: dict[str, Any] | None = None, clock: Clock | None = None, **more: Any
) -> AsyncIterator[Front]:
    """Open all of it. `http`: keys of its section; others as `config_for`."""
    keys = folder / "keys.json"
    token = add_key(keys)
    async with Simulator() as smsc, Dispatcher(config_for(folder, smsc, **more), now_ms=clock) as dispatcher:
        server = HttpServer(cast(Any, dispatcher), Http(**({"port": 0} | (http or {}))), KeyRing(keys))
        await server.start()
        house = Front(dispatcher, server, smsc, keys)
        async with aiohttp.ClientSession(headers=bearer(token)) as house.client:
            try:
                yield house
            finally:
                await server.stop()


def body(number: int, **more: Any) -> dict[str, Any]:
    """Return a message in JSON whose text ends with the token t<number>."""
    return {
        "to": f"+7900{number:07d}",
        "text": f"Your code is 4711 t{number}",
        "sender": "Bank",
    } | more
