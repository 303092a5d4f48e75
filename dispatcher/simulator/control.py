"""The control port: a very small HTTP server on loopback, to look at the simulator and to change it.

::

    GET   /state                     accounts, binds, behaviours, totals
    GET   /ledger  /ledger?token=T   the ledger, or one message's part of it
    GET   /schema                    the JSON Schema of the settings
    PATCH /accounts/NAME             a merge patch of the behaviour -> the behaviour
    POST  /accounts/NAME:ACTION      see `actions.py`; parameters as a JSON object
    PATCH /tls                       a merge patch of TLS, null for none: for connections to come
    POST  /reset                     forget the ledger and the receipts to come
    POST  /listen  /refuse           take connections; have them refused

Laws: every size and every wait is bounded; one request a connection; an answer is JSON, an error says what
was wrong and changed nothing.

Sixty lines on asyncio streams instead of a web framework: the simulator starts in a few milliseconds, depends
on nothing, and nobody but its owner may speak to this port (a browser may not: a request with an Origin is
refused, and so is a Host that is not this machine's name for itself).
"""

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from dispatcher.errors import ConfigError
from dispatcher.simulator.actions import perform
from dispatcher.simulator.settings import schema

if TYPE_CHECKING:
    from dispatcher.simulator.smsc import Simulator

HEAD_OCTETS_MAX: Final = 8192
"""Request line and headers: a script's are a few hundred."""

BODY_OCTETS_MAX: Final = 65_536
"""A whole behaviour is two kilobytes."""

REQUEST_S: Final = 5.0
"""For a whole request: it comes from this machine."""

CONNECTIONS_MAX: Final = 32

_REASONS: Final = {
    200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
                   408: "Request Timeout", 413: "Content Too Large", 411: "Length Required",
                   431: "Request Header Fields Too Large", 500: "Internal Server Error",
                   503: "Service Unavailable"}  # fmt: skip
_LINE: Final = re.compile(rb"([A-Z]{3,7}) (/[!-~]*) HTTP/1\.[01]")
_HOST: Final = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?", re.IGNORECASE)


class _RefusedError(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class Control:
    """The control port of a simulator."""

    def __init__(self, simulator: "Simulator", request_s: float = REQUEST_S) -> None:
        self._simulator = simulator
        self.request_s = request_s
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self.port = 0

    async def start(self, port: int) -> None:
        """Listen on loopback."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=HEAD_OCTETS_MAX)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close, whatever is being asked."""
        if self._server is not None:
            self._server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            status, answer = await self._answer(reader)
            head = (
                f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(answer)}\r\nConnection: close\r\n\r\n"
            )
            writer.write(head.encode("ascii") + answer)
            async with asyncio.timeout(self.request_s):
                await writer.drain()
        except (OSError, TimeoutError):
            pass  # whoever asked is gone
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, bytes]:
        try:
            if len(self._tasks) > CONNECTIONS_MAX:
                raise _RefusedError(503, f"more than {CONNECTIONS_MAX} requests at a time")
            async with asyncio.timeout(self.request_s):
                method, target, body = await _read(reader)
            found = await self._do(method, target, body)
            return 200, found if isinstance(found, bytes) else json.dumps(found).encode()
        except _RefusedError as error:
            return error.status, json.dumps({"error": str(error)}).encode()
        except ConfigError as error:
            return 400, json.dumps({"error": str(error)}).encode()
        except TimeoutError:
            return 408, b'{"error": "the request took too long"}'

    async def _do(self, method: str, target: str, body: bytes) -> Any:
        simulator = self._simulator
        parts = urlsplit(target)
        path = unquote(parts.path)
        match method, path.split("/")[1:]:
            case "GET", ["state"]:
                return simulator.state()
            case "GET", ["ledger"]:
                token = parse_qs(parts.query, keep_blank_values=True).get("token", [None])[0]
                return simulator.ledger.json(token)
            case "GET", ["schema"]:
                return schema()
            case "PATCH", ["accounts", name]:
                self._known(name).change(_object(body))
                return simulator.state()["accounts"][name]["behaviour"]
            case "PATCH", ["tls"]:
                await simulator.secure(None if body == b"null" else _object(body))
                return simulator.state()["tls"]
            case "POST", ["accounts", name_and_action] if ":" in name_and_action:
                name, _, action = name_and_action.rpartition(":")
                return perform(self._known(name).inner, action, _object(body))
            case "POST", ["reset"]:
                simulator.reset()
            case "POST", ["listen"]:
                await simulator.listen()
            case "POST", ["refuse"]:
                simulator.refuse_connections()
            case _, ["state" | "ledger" | "schema" | "reset" | "listen" | "refuse" | "tls"] | ["accounts", _]:
                raise _RefusedError(405, f"{method} is not for {path}")
            case _:
                raise _RefusedError(404, f"nothing is at {path}")
        return {}

    def _known(self, name: str) -> Any:
        if name not in self._simulator.accounts:
            known = ", ".join(sorted(self._simulator.accounts)) or "none yet: nobody has bound"
            raise _RefusedError(404, f"no account {name!r}; there are {known}")
        return self._simulator.account(name)


async def _read(reader: asyncio.StreamReader) -> tuple[str, str, bytes]:
    """Return method, target and body of one request."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise _RefusedError(431, f"the head is longer than {HEAD_OCTETS_MAX} octets") from None
    except asyncio.IncompleteReadError:
        raise _RefusedError(400, "the request ends early") from None
    first, *lines = head[:-4].split(b"\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        raise _RefusedError(400, "this is no HTTP/1.1 request")
    headers: dict[str, str] = {}
    for each in lines:
        name, colon, value = each.decode("latin-1").partition(":")
        if not colon or name != name.strip() or name.lower() in headers:
            raise _RefusedError(400, f"bad or repeated header {name[:40]!r}")
        headers[name.lower()] = value.strip()
    if "origin" in headers or not _HOST.fullmatch(headers.get("host", "localhost")):
        raise _RefusedError(403, "browsers and other hosts are not served")
    if "transfer-encoding" in headers:
        raise _RefusedError(411, "send a Content-Length")
    length = headers.get("content-length", "0")
    if not re.fullmatch(r"[0-9]{1,12}", length):
        raise _RefusedError(400, "bad Content-Length")
    if int(length) > BODY_OCTETS_MAX:
        raise _RefusedError(413, f"the body is longer than {BODY_OCTETS_MAX} octets")
    try:
        body = await reader.readexactly(int(length))
    except asyncio.IncompleteReadError:
        raise _RefusedError(400, "the body ends early") from None
    return line[1].decode("ascii"), line[2].decode("ascii"), body


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise _RefusedError(400, f"the body is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise _RefusedError(400, "the body is no JSON object")
    return value
