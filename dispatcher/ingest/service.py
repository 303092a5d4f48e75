"""What every handler of a request has at hand, and how it reads a body.

A body is read to its limit and no further, and in time: who trickles it is told so (F90, F91).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from dispatcher.faces import Http
from dispatcher.ingest.door import Door
from dispatcher.ingest.intake import Caller, Intake
from dispatcher.ingest.problems import ProblemError

BODY_OCTETS_PER_S: Final = 4096
"""What a body must come at, on average, once its time is over: a modem does."""
JSON_TYPES: Final = ("application/json", "application/octet-stream", "")
NDJSON: Final = "application/x-ndjson"
NDJSON_TYPES: Final = (NDJSON, "application/ndjson", "application/jsonl", "application/x-jsonlines")


@dataclass(slots=True, frozen=True)
class Service:
    """Shared by all requests of one server."""

    door: Door
    http: Http
    intake: Intake
    closing: asyncio.Event
    """Set when streams must end."""


@dataclass(slots=True)
class Call:
    """One request, and who asks."""

    service: Service
    request: web.BaseRequest
    caller: Caller
    request_id: str
    argument: str = ""
    """What stands for {id} in its path."""

    def query(self, name: str) -> str | None:
        """Return a parameter of the query. ProblemError: it stands there twice, and one would be lost."""
        found = self.request.query.getall(name, ())
        if len(found) > 1:
            raise ProblemError("duplicate_key", "it stands in the query twice", path=name)
        return found[0] if found else None


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


@dataclass(slots=True, frozen=True)
class Route:
    """One row of the table of routes. `path` may hold one {id}."""

    method: str
    path: str
    handler: Handler
    is_public: bool = False
    """Whoever comes may ask: it looks after that itself."""


async def read_body(call: Call) -> bytes:
    """Return the whole body. ProblemError: it is too large, too slow, or compressed."""
    request, limit = call.request, call.service.http.body_max_bytes
    too_large = f"a body has up to {limit:,} octets; application/x-ndjson may have any length"
    check_encoding(request)
    if (request.content_length or 0) > limit:
        raise ProblemError("too_large", too_large, closes=True)
    await go_on(request)
    if request.content.is_eof():  # it came with its headers, as small ones do: nothing is to be waited for
        whole: bytes = request.content.read_nowait()
        if len(whole) > limit:
            raise ProblemError("too_large", too_large, closes=True)
        return whole
    body = bytearray()
    loop = asyncio.get_running_loop()
    start_s = loop.time() + call.service.http.body_timeout_ms / 1000
    try:
        while True:
            async with asyncio.timeout_at(start_s + len(body) / BODY_OCTETS_PER_S):
                octets = await request.content.readany()
            if not octets:
                return bytes(body)
            body += octets
            if len(body) > limit:
                raise ProblemError("too_large", too_large, closes=True)
    except TimeoutError:
        raise ProblemError("too_slow", "the body did not come in time", closes=True) from None


def check_encoding(request: web.BaseRequest) -> None:
    """ProblemError: the body is compressed, and could be any size."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ProblemError("media_type", "bodies are taken uncompressed", closes=True)


async def go_on(request: web.BaseRequest) -> None:
    """Tell a client that waits with its body to send it."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # or aiohttp takes it for the answer
