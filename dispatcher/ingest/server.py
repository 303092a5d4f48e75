"""The HTTP server: connections, routes, keys, and one answer for every request.

Law: whatever comes, the answer is one of the table of problems or what was asked for; an exception here is
our bug, answered with 500 and told to the log without anything of the request.

aiohttp parses and frames; its application layer is not used: our routes are one table, and a request costs
half as much.
"""

import asyncio
import itertools
import logging
import os
import re
import ssl
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from dispatcher.config import Config
from dispatcher.errors import ConfigError
from dispatcher.faces import Http
from dispatcher.ingest import tls
from dispatcher.ingest.door import Door
from dispatcher.ingest.events import get_events
from dispatcher.ingest.gate import Gate, Link
from dispatcher.ingest.intake import ANYBODY, Caller, Intake, caller_of
from dispatcher.ingest.keys import KeyRing, keys_path
from dispatcher.ingest.listener import check_fixed, listening
from dispatcher.ingest.lookups import cancel_message, check_messages, find_messages, get_message
from dispatcher.ingest.malformed import Exchange, take_up
from dispatcher.ingest.messages import post_batch, post_message
from dispatcher.ingest.problems import SERVER, ProblemError, problem, respond
from dispatcher.ingest.service import Call, Route, Service

log = logging.getLogger("dispatcher.ingest.http")

TLS: Final = "http.tls"
"""The section of the configuration, for errors."""
LINE_MAX: Final = 8190
"""Octets of a request's line and of each header: what proxies allow."""
HEADERS_MAX: Final = 64
KEEPALIVE_S: Final = 86_400
"""Between requests: the gate looks after that. 0 would be at once."""
LINGER_S: Final = 2.0
"""How long a body that nobody wants is read, so that its sender sees the answer."""
BACKLOG: Final = 1024
READ_OCTETS: Final = 128 << 10
"""Of a body in memory before it is taken: a slice of lines."""
_REQUEST_ID: Final = re.compile(r"[!-~]{1,128}")
_mute: Final = logging.Logger("aiohttp.mute", logging.CRITICAL + 1)
"""aiohttp would log what it could not parse: a header with a key, a line with a number (law 11)."""

ROUTES: Final = (
    Route("POST", "/v1/messages", post_message),
    Route("GET", "/v1/messages", find_messages),
    Route("POST", "/v1/messages:batch", post_batch),
    Route("POST", "/v1/messages:check", check_messages),
    Route("GET", "/v1/messages/{id}", get_message),
    Route("POST", "/v1/messages/{id}:cancel", cancel_message),
    Route("GET", "/v1/events", get_events),
)


class HttpServer:
    """The door for messages on one address.

    `folder` is where relative file names of the configuration start; `more` are routes of other doors.
    """

    def __init__(
        self,
        door: Door,
        http: Http,
        keys: KeyRing,
        *,
        folder: Path | None = None,
        more: Sequence[Route] = (),
    ) -> None:
        self.http = http
        self.keys = keys
        self.intake = Intake(door, http)
        self.requests: Counter[tuple[str, int]] = Counter()
        """By route and status, since the start."""
        self.gate: Gate
        self.under_way = 0
        self.port = 0
        self._folder = folder or Path()
        self._table = Table((*ROUTES, *more))
        self._ids_begin, self._ids = os.urandom(4).hex(), itertools.count()
        self._service: Service
        self._door = door
        self._server: web.Server | None = None
        self._tls: ssl.SSLContext | None = None
        self._listener: asyncio.Server
        self._tasks: list[asyncio.Task[None]]

    def __repr__(self) -> str:
        return f"<HttpServer {self.http.host}:{self.port}, {self.under_way} requests under way>"

    async def start(self) -> int:
        """Listen; return the port. OSError: the address is taken. ConfigError: keys or certificates."""
        await self.keys.open()
        loop = asyncio.get_running_loop()
        self._service = Service(self._door, self.http, self.intake, asyncio.Event())
        self.gate = gate = Gate(self.http)
        server = web.Server(self._handle, request_factory=take_up)
        exchange = partial(
            Exchange,
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # None is meant to turn it off
            logger=_mute,
            auto_decompress=False,
            keepalive_timeout=KEEPALIVE_S,
            lingering_time=LINGER_S,
            max_line_size=LINE_MAX,
            max_field_size=LINE_MAX,
            max_headers=HEADERS_MAX,
            read_bufsize=READ_OCTETS,
        )
        secured: dict[str, Any] = {}
        if self.http.tls is not None:
            self._tls = await asyncio.to_thread(tls.context_of, TLS, self.http.tls, self._folder)
            secured = {"ssl": self._tls, "ssl_handshake_timeout": self.http.header_timeout_ms / 1000}
        with listening("http", self.http.host, self.http.port):
            self._listener = await loop.create_server(
                lambda: Link(gate, exchange()), self.http.host, self.http.port, backlog=BACKLOG, **secured
            )
        self._server = server
        self._tasks = [loop.create_task(gate.watch()), loop.create_task(self._warn_daily())]
        self.port = self._listener.sockets[0].getsockname()[1]
        log.info("messages on %s:%d", self.http.host, self.port, extra={"event": "http_port"})
        return self.port

    async def reload(self, config: Config, more: Sequence[Route] | None = None) -> None:
        """Take up changed limits, keys and certificates for requests and connections to come; `more`: routes
        of other doors, None: as they are. What is under way goes on as it began.

        ConfigError: a file is unfit, or a key has changed that cannot while we listen; all stays.
        """
        http = config.http
        check_fixed("http", self.http, http)
        keys, path = self.keys, keys_path(http, config.store, self._folder)
        if path != keys.path:
            keys = KeyRing(path)
            await keys.open()
        if self._tls is not None and http.tls is not None:
            await asyncio.to_thread(tls.reload, self._tls, TLS, http.tls, self._folder)
        self.http, self.keys = http, keys
        self._service = replace(self._service, http=http)
        self.gate.configure(http)
        self.intake.configure(http)
        if more is not None:
            self._table = Table((*ROUTES, *more))
        await self.tell_days()

    def certificate_days(self, now_s: float) -> float | None:
        """Return for how many days the certificate's file is still good (F45); None: there is no TLS.

        Reads the file: not on the loop. ConfigError: it cannot be read.
        """
        return None if self.http.tls is None else tls.days_left(self.http.tls, self._folder, now_s)

    def samples(self) -> dict[str, list[tuple[tuple[str, ...], float]]]:
        """Return what was counted, by name of a metric and its labels: for `Survey.more`. Any time."""
        connections = self.gate.counts if self.port else {}  # the admin port is there before us
        return {
            "dispatcher_http_requests_total": [
                ((route, str(status)), count) for (route, status), count in self.requests.items()
            ],
            "dispatcher_http_messages_refused_total": [
                ((code,), count) for code, count in self.intake.refused.items()
            ],
            "dispatcher_http_connections_total": [
                ((result,), count) for result, count in connections.items()
            ],
        }

    async def tell_days(self) -> None:
        """Say in the log that the certificate ends soon, if it does."""
        try:
            days = await asyncio.to_thread(self.certificate_days, time.time())
        except ConfigError as error:
            log.error("%s", error, extra={"event": "certificate_unreadable"})
            return
        if days is not None and days < tls.WARN_DAYS:
            log.warning(
                "the certificate of the HTTP door ends in %.1f days",
                days,
                extra={"event": "certificate_ends"},
            )

    async def _warn_daily(self) -> None:
        while self.http.tls is not None:
            await self.tell_days()
            await asyncio.sleep(tls.DAY_S)

    def drain(self) -> None:
        """Take no more messages: 503. What asks for a state is still answered."""
        self.intake.is_draining = True

    async def stop(self, limit_ms: int = 10_000) -> None:
        """Accept no connection any more, let requests end within the limit, close what is left."""
        if (server := self._server) is None:
            return
        self._server = None
        self.drain()
        self._listener.close()
        self._service.closing.set()
        server.pre_shutdown()
        await server.shutdown(limit_ms / 1000)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._listener.wait_closed()

    # ---- one request ----

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        link = self.gate.links.get(request.protocol)
        if link is not None:
            link.began()
        self.under_way += 1
        name, request_id = "none", self._request_id(request)
        response: web.StreamResponse
        try:
            route, argument = self._table.find(request.method, request.path)
            name = route.path
            caller = ANYBODY if route.is_public else await self._caller(request)
            response = await route.handler(Call(self._service, request, caller, request_id, argument))
        except ProblemError as error:
            response = respond(problem(error.refused, error.path), error.closes, error.allow)
        except ConnectionError:  # who asked is gone
            self.requests[name, 499] += 1
            raise
        except Exception as error:
            log.error("%s: %s", name, _where(error))
            response = respond(problem(ProblemError("internal", "a bug of ours; the log says where").refused))
            response.force_close()
        finally:
            self.under_way -= 1
            if link is not None:
                link.ended()
        self.requests[name, response.status] += 1
        if not response.prepared:
            response.headers["X-Request-Id"] = request_id
            response.headers["Server"] = SERVER
        if self.intake.is_draining:
            response.force_close()
        return response

    def _request_id(self, request: web.BaseRequest) -> str:
        """Return what a request calls itself, or a name that no other one has."""
        given = request.headers.get("X-Request-Id")
        if given is not None and _REQUEST_ID.fullmatch(given):
            return given
        return f"{self._ids_begin}{next(self._ids):08x}"

    async def _caller(self, request: web.BaseRequest) -> Caller:
        said = request.headers.get("Authorization")
        if said is None and not self.http.require_key:
            return ANYBODY
        scheme, _, token = (said or "").partition(" ")
        key = await self.keys.find(token.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            detail = "a key is expected: Authorization: Bearer dsk_..."
            raise ProblemError("unauthorized", detail, closes=request.can_read_body)
        return caller_of(key)


class Table:
    """Finds routes: by their whole path, or by what stands around {id}."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._exact = {(route.method, route.path): route for route in routes if "{id}" not in route.path}
        self._others: list[tuple[str, str, Route]] = []
        for route in routes:
            before, has_id, after = route.path.partition("{id}")
            if has_id:
                self._others.append((before, after, route))
        self._others.sort(key=lambda each: -len(each[1]))  # the longest end first

    def find(self, method: str, path: str) -> tuple[Route, str]:
        """Return the route and what stands for {id}. ProblemError: there is none."""
        if (route := self._exact.get((method, path))) is not None:
            return route, ""
        allowed = {route.method for route in self.routes if route.path == path}
        for before, after, route in self._others:
            middle = path[len(before) : len(path) - len(after)]
            if path.startswith(before) and path.endswith(after) and middle and "/" not in middle:
                if route.method == method:
                    return route, middle
                allowed.add(route.method)
        if allowed:
            methods = ", ".join(sorted(allowed))
            raise ProblemError("method_not_allowed", f"allowed here: {methods}", allow=methods)
        raise ProblemError("not_found", "no such path")


def _where(error: BaseException) -> str:
    """Say what happened where, and nothing of the values: they may be personal."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "nowhere"
    return f"{type(error).__name__} at {place}"
