"""The daemon as a command sees it: its address, a key, one connection, and what its answers mean.

The standard library's client: it is imported in a tenth of aiohttp's time, and a command asks one thing after
the other. Every request of ours may be repeated: what sends carries a key of its own for that.
"""

import argparse
import os
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from dispatcher.cli.exits import CommandError, Exit
from dispatcher.faces import LOOPBACK

DEFAULT_URL: Final = "http://127.0.0.1:8080"
ANSWER_S: Final = 60.0
"""Without an octet of an answer: a commit on a busy disk takes seconds, a dead host says nothing."""
RETRY_MS: Final = 1_000
"""To wait where an answer does not say how long."""
JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"


class UnreachableError(CommandError):
    """The daemon cannot be reached, or the connection broke: what was asked may have been done."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Exit.UNAVAILABLE)


class Answer(NamedTuple):
    """What came back, whole."""

    status: int
    retry_after_ms: int
    body: bytes

    @property
    def is_temporary(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in (429, 503)

    def json(self) -> Any:
        """Return the body's value. UnreachableError: it is no JSON, so that no dispatcher said it."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            raise UnreachableError(f"answer {self.status} is no JSON: is this a dispatcher?") from None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add where the daemon is and who asks."""
    group = parser.add_argument_group("the daemon")
    group.add_argument("--url", metavar="URL", help=f"its address ($DISPATCHER_URL, else {DEFAULT_URL})")
    group.add_argument("--key-file", metavar="FILE", type=Path, help="holds the API key ($DISPATCHER_KEY)")
    group.add_argument("--ca-file", metavar="FILE", type=Path, help="PEM: who signed its certificate")
    group.add_argument(
        "--allow-plain", action="store_true", help="send key and texts unencrypted to another host"
    )


def connect(given: argparse.Namespace) -> "Remote":
    """Return the daemon that the options name; CommandError: they cannot be right."""
    url = given.url or os.environ.get("DISPATCHER_URL") or DEFAULT_URL
    key = os.environ.get("DISPATCHER_KEY", "")
    if given.key_file is not None:
        key = given.key_file.read_text("utf-8").partition("\n")[0]
    key = key.strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise CommandError("the API key has a character that no key has", Exit.USAGE)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
        raise CommandError(f"--url: expected something like {DEFAULT_URL}", Exit.USAGE)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK and not given.allow_plain:
        why = "http:// sends key and texts unencrypted: say https://, or --allow-plain"
        raise CommandError(f"--url: {why}", Exit.USAGE)
    return Remote(url.rstrip("/"), key, given.ca_file)


class Remote:
    """A daemon behind one connection, which is made when it is needed."""

    def __init__(self, url: str, key: str = "", ca_file: Path | None = None) -> None:
        self.url = url
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._ca_file = ca_file
        self._connection: HTTPConnection | None = None

    def __repr__(self) -> str:
        return f"<Remote {self.url}>"

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Return the whole answer. UnreachableError: there was none."""
        fresh = self._connection is None
        try:
            return self._ask(method, path, body, headers or {})
        except UnreachableError:
            if fresh:
                raise
        return self._ask(method, path, body, headers or {})  # the daemon had closed an idle connection

    def lines(self, path: str) -> Iterator[bytes]:
        """Yield the lines of an answer as they come. CommandError: there is none, or it breaks off."""
        connection = self._open()
        try:
            connection.request("GET", self._path + path, headers={**self._headers, "Accept": NDJSON})
            response = connection.getresponse()
            if response.status != 200:
                raise refusal(Answer(response.status, 0, response.read()))
            if connection.sock is not None:
                connection.sock.settimeout(None)  # hours may pass without an event
            while line := response.readline():
                yield line
        except (OSError, HTTPException) as error:
            raise self._unreachable(error) from None
        finally:
            self.close()

    def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @property
    def _path(self) -> str:
        return urlsplit(self.url).path

    def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        connection = self._open()
        try:
            connection.request(method, self._path + path, body, {**self._headers, **headers})
            response = connection.getresponse()
            return Answer(response.status, _milliseconds(response.getheader("Retry-After")), response.read())
        except (OSError, HTTPException) as error:
            self.close()
            raise self._unreachable(error) from None
        except BaseException:  # Ctrl-C: what is half read is of no use
            self.close()
            raise

    def _open(self) -> HTTPConnection:
        if self._connection is None:
            parts = urlsplit(self.url)
            assert parts.hostname is not None
            if parts.scheme == "https":
                import ssl

                context = ssl.create_default_context(cafile=self._ca_file)
                self._connection = HTTPSConnection(
                    parts.hostname, parts.port, timeout=ANSWER_S, context=context
                )
            else:
                self._connection = HTTPConnection(parts.hostname, parts.port, timeout=ANSWER_S)
        return self._connection

    def _unreachable(self, error: Exception) -> UnreachableError:
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        hint = "; is `dispatcher serve` running?" if isinstance(error, ConnectionRefusedError) else ""
        return UnreachableError(f"{self.url}: {said}{hint}")


CODES: Final = {
    401: Exit.PERMISSION,
    403: Exit.PERMISSION,
    404: Exit.NO,
    429: Exit.TEMPORARY,
    503: Exit.TEMPORARY,
}
"""Exit codes of statuses; other 4xx are wrong data, other 5xx a daemon that does not work."""


def refusal(answer: Answer) -> CommandError:
    """Return what an answer that is no success means for the user."""
    code = CODES.get(answer.status, Exit.DATA if 400 <= answer.status < 500 else Exit.UNAVAILABLE)
    try:
        problem = msgspec.json.decode(answer.body)
        if not isinstance(problem, dict):
            raise msgspec.DecodeError
    except msgspec.DecodeError:
        return CommandError(f"answer {answer.status}, and no word why: is this a dispatcher?", code)
    where = f"{problem['path']}: " if problem.get("path") else ""
    said = problem.get("detail") or problem.get("title") or f"answer {answer.status}"
    named = f" ({problem['code']})" if problem.get("code") else ""
    hint = "; give a key in $DISPATCHER_KEY or --key-file" if answer.status == 401 else ""
    return CommandError(f"{where}{said}{named}{hint}", code)


def _milliseconds(seconds: str | None) -> int:
    return int(seconds) * 1000 if seconds is not None and seconds.isdecimal() else RETRY_MS
