"""The admin port: is it alive, is it ready, what does it do; and the switches of the carriers.

Apart from the door for messages, so that neither who sends nor how much reaches it. Whoever may come here
may pause a carrier: it stands on loopback unless the configuration says otherwise (faces.Admin).

::

    GET  /livez              the loop turns: nothing else is asked for
    GET  /startupz           the store is open, and what had happened before is known
    GET  /readyz  /healthz   messages may come; ?verbose lists the checks, as JSON where that is accepted
    GET  /version  /metrics  /v1/state
    POST /v1/carriers/NAME:pause  :resume  :drain
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Final, Protocol

import msgspec
from aiohttp import web

from dispatcher.config import Config
from dispatcher.errors import ConfigError, DispatcherError
from dispatcher.faces import Admin
from dispatcher.ingest import tls
from dispatcher.ingest.listener import check_fixed, listening
from dispatcher.ingest.metrics import CONTENT_TYPE, exposition
from dispatcher.ingest.problems import SERVER, Problem, respond
from dispatcher.state import Check, State

BODY_MAX: Final = 4096
"""Octets of a request's body: none is needed."""
SHUTDOWN_S: Final = 1.0
"""For what is being answered when we stop: none of it takes longer than a few milliseconds."""
BACKLOG: Final = 64
JSON: Final = "application/json"
CODES: Final = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}
TLS: Final = "admin.tls"
"""The section of the configuration, for errors."""

log = logging.getLogger("dispatcher.admin")


class Views(Protocol):
    """What is shown: `survey.Survey`."""

    @property
    def is_started(self) -> bool:
        """Whether the store is open."""

    def checks(self) -> list[Check]:
        """Return what readiness depends on, all of it."""

    def state(self) -> State:
        """Return everything as it is now."""


class Switches(Protocol):
    """What can be done to a carrier: the Dispatcher. ConfigError: there is none of that name."""

    async def pause(self, carrier: str, /) -> object:
        """Send nothing to it; receipts still come."""

    async def resume(self, carrier: str, /) -> object:
        """Send to it again."""

    async def drain(self, carrier: str, /) -> object:
        """Send nothing, and unbind when all is answered."""


class AdminServer:
    """Serves `views` and `switches` from `start` until `stop`. `folder`: where files of TLS are."""

    def __init__(
        self,
        admin: Admin,
        views: Views,
        switches: Switches | None = None,
        *,
        version: str = "",
        folder: Path | None = None,
    ) -> None:
        self.port = 0
        """The one that it listens on."""
        self._admin = admin
        self._views = views
        self._switches = switches
        self._version = version
        self._folder = folder or Path()
        self._runner: web.AppRunner | None = None
        self._context: ssl.SSLContext | None = None

    async def start(self) -> int:
        """Listen; return the port. OSError: it is taken. ConfigError: TLS cannot work."""
        context = self._context = None
        if self._admin.tls is not None:
            context = await asyncio.to_thread(tls.context_of, TLS, self._admin.tls, self._folder)
            self._context = context
        app = web.Application(client_max_size=BODY_MAX, middlewares=[_as_problems])
        app.on_response_prepare.append(_signed)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/startupz", self._startupz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/healthz", self._readyz)
        app.router.add_get("/version", self._version_of)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/v1/state", self._state)
        app.router.add_post("/v1/carriers/{name:[A-Za-z0-9_.-]+}:{action:pause|resume|drain}", self._switch)
        runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        site = web.TCPSite(runner, self._admin.host, self._admin.port, ssl_context=context, backlog=BACKLOG)
        try:
            with listening("admin", self._admin.host, self._admin.port):
                await site.start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self.port = runner.addresses[0][1]
        log.info("admin port: %s:%d", self._admin.host, self.port)
        return self.port

    async def reload(self, config: Config) -> None:
        """Take up a new certificate. ConfigError: it is unfit, or the address has changed; all stays."""
        check_fixed("admin", self._admin, config.admin)
        if self._context is not None and config.admin.tls is not None:
            await asyncio.to_thread(tls.reload, self._context, TLS, config.admin.tls, self._folder)
        self._admin = config.admin

    async def stop(self, limit_ms: int) -> None:
        """Listen no more; what is being answered may end within the limit."""
        runner, self._runner = self._runner, None
        if runner is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(runner.cleanup(), limit_ms / 1000)

    # ---- is it well ----

    async def _livez(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _startupz(self, request: web.Request) -> web.Response:
        if self._views.is_started:
            return web.Response(text="ok\n")
        return web.Response(status=503, text="starting\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        checks = self._views.checks()
        is_ready = all(check.is_ok for check in checks)
        status = 200 if is_ready else 503
        if "verbose" not in request.query:
            failed = ", ".join(check.name for check in checks if not check.is_ok)
            return web.Response(status=status, text="ok\n" if is_ready else f"not ready: {failed}\n")
        if JSON in request.headers.get("Accept", ""):
            return _json({"is_ready": is_ready, "checks": checks}, status)
        return web.Response(status=status, text=_listed(checks, is_ready))

    # ---- what it does ----

    async def _version_of(self, request: web.Request) -> web.Response:
        return _json({"version": self._version})

    async def _metrics(self, request: web.Request) -> web.Response:
        if not self._views.is_started:
            return web.Response(status=503, text="starting\n")
        body = await exposition(self._views.state(), self._views.checks())
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    async def _state(self, request: web.Request) -> web.Response:
        if not self._views.is_started:
            return web.Response(status=503, text="starting\n")
        return _json(self._views.state())

    # ---- switches ----

    async def _switch(self, request: web.Request) -> web.Response:
        """Do it. A browser, which sends Origin, has no business here: some page in it might."""
        if "Origin" in request.headers:
            return _problem(403, "forbidden", "not from a browser")
        if self._switches is None:
            return _problem(501, "not_implemented", "no switches are wired up")
        if not self._views.is_started:
            return _problem(503, "starting", "the dispatcher is not open")
        name, action = request.match_info["name"], request.match_info["action"]
        switch: dict[str, Callable[[str], Awaitable[object]]] = {
            "pause": self._switches.pause,
            "resume": self._switches.resume,
            "drain": self._switches.drain,
        }
        try:
            await switch[action](name)
        except ConfigError as error:
            return _problem(404, "not_found", str(error))
        except DispatcherError as error:
            return _problem(503, "not_now", str(error))
        log.warning("carrier %s by the admin port", action, extra={"carrier": name, "action": action})
        return _json({"carrier": name, "action": action})


async def _signed(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = SERVER


@web.middleware
async def _as_problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Say what aiohttp refuses by itself as RFC 9457 does: no such path, not this method."""
    try:
        return await handler(request)
    except web.HTTPClientError as error:
        code = CODES.get(error.status, "malformed")
        return _problem(error.status, code, error.reason, error.headers.get("Allow", ""))


def _problem(status: int, code: str, detail: str, allow: str = "") -> web.Response:
    title = HTTPStatus(status).phrase
    return respond(Problem(title=title, status=status, code=code, detail=detail), allow=allow)


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type=JSON)


def _listed(checks: Sequence[Check], is_ready: bool) -> str:
    lines = [f"[{'+' if check.is_ok else '-'}] {check.name}: {check.detail}" for check in checks]
    return "\n".join([*lines, "ready" if is_ready else "not ready", ""])
