"""Connections: how many, from where, and how long they may take (F90).

aiohttp times neither the headers of a request nor a client that does not read. So a `Link` stands between the
socket and aiohttp's protocol: it counts, notes when something began, and one look a second over all of them
closes what is overdue. Times of bodies are the business of who reads them.
"""

import asyncio
import resource
from collections import Counter
from typing import Any, Final

from dispatcher.faces import Http
from dispatcher.ingest.problems import raw

LOOK_S: Final = 0.5
"""Between two looks for what is overdue: some 50 ns a connection."""
FILES_SPARE: Final = 16
"""Of the limit of open files, left for those we cannot refuse: binds that come back, the store, a reload."""
NEVER: Final = float("inf")
RETRY_MS: Final = 1_000
"""What those are told for whom there is no place: connections end all the time."""
ALL_FULL: Final = raw("overloaded", "too many connections are open", RETRY_MS)
ADDRESS_FULL: Final = raw("too_many_connections", "too many connections from your address are open", RETRY_MS)
TOO_SLOW: Final = raw("too_slow", "the request did not come in time")


class Gate:
    """All connections of one server."""

    def __init__(self, http: Http) -> None:
        self.links: dict[object, Link] = {}
        """By aiohttp's protocol of it."""
        self.counts: Counter[str] = Counter()
        """Since the start: accepted, refused, too_slow, not_reading."""
        self._addresses: Counter[str] = Counter()
        self._loop = asyncio.get_running_loop()
        self.configure(http)

    def configure(self, http: Http) -> None:
        """Take up changed limits; connections that are open stay so."""
        self.header_s = http.header_timeout_ms / 1000
        self.idle_s = 2 * http.body_timeout_ms / 1000
        self._all_max = http.connections_max
        self._one_max = http.connections_of_one_max

    def admits(self, address: str, file: int = 0) -> bytes:
        """Count a connection in; return what it is told if there are too many, else nothing.

        `file` is the number of its socket: the kernel gives the lowest that is free, so a high one says that
        few are left (F13).
        """
        if len(self.links) >= self._all_max or file >= _files_max() - FILES_SPARE:
            refusal = ALL_FULL
        elif self._addresses[address] >= self._one_max:
            refusal = ADDRESS_FULL
        else:
            refusal = b""
        self._addresses[address] += 1
        self.counts["refused" if refusal else "accepted"] += 1
        return refusal

    def left(self, address: str) -> None:
        """Count it out."""
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]

    async def watch(self) -> None:
        """Close what is overdue, for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            now_s = self._loop.time()
            for link in list(self.links.values()):
                if now_s >= link.due_s or now_s >= link.read_due_s:
                    link.end(now_s)


class Link(asyncio.Protocol):
    """One connection, in front of aiohttp's protocol of it."""

    def __init__(self, gate: Gate, inner: Any) -> None:
        self._gate = gate
        self._inner = inner
        self._transport: asyncio.Transport
        self._address = ""
        self._is_refused = False
        self._is_busy = False
        self._has_begun = False
        """Octets of a request came, and it is not whole yet."""
        self.due_s = NEVER
        """When it is overdue."""
        self.read_due_s = NEVER
        """The same of its reading what we write."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let it in, or say that there are too many."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]  # uvloop's is no subclass
        peer = transport.get_extra_info("peername")
        self._address = peer[0] if isinstance(peer, tuple) else ""
        sock = transport.get_extra_info("socket")
        if refusal := self._gate.admits(self._address, sock.fileno() if sock is not None else 0):
            self._is_refused = True
            self._transport.write(refusal)
            self._transport.close()
            return
        self._gate.links[self._inner] = self
        self.due_s = self._now_s + self._gate.header_s
        self._inner.connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Count it out."""
        self._gate.left(self._address)
        if not self._is_refused:
            self._gate.links.pop(self._inner, None)
            self._inner.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """Note when a request begins."""
        if self._is_refused:
            return
        if not self._is_busy and not self._has_begun:
            self._has_begun = True
            self.due_s = min(self.due_s, self._now_s + self._gate.header_s)
        self._inner.data_received(data)

    def eof_received(self) -> bool:
        """Let who has asked all he wanted read the answers; else let the transport close."""
        is_plain = self._transport.get_extra_info("sslcontext") is None  # TLS knows no half connection
        return is_plain and not self._is_refused and bool(self._inner.eof_received())

    def pause_writing(self) -> None:
        """It does not read as fast as we write: it has some time to."""
        self.read_due_s = self._now_s + self._gate.idle_s
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """It has read."""
        self.read_due_s = NEVER
        self._inner.resume_writing()

    def began(self) -> None:
        """The headers of a request are whole, its handler runs."""
        self._is_busy, self._has_begun = True, False
        self.due_s = NEVER

    def ended(self) -> None:
        """The request was answered; another may come."""
        self._is_busy = False
        self.due_s = self._now_s + (0 if self._inner.is_last else self._gate.idle_s)

    def end(self, now_s: float) -> None:
        """Close what is overdue; who was slow with a request is told so."""
        if now_s >= self.read_due_s:
            self._gate.counts["not_reading"] += 1
            self._transport.abort()
            return
        if self._has_begun:
            self._gate.counts["too_slow"] += 1
            self._transport.write(TOO_SLOW)
        self.due_s = NEVER
        self._transport.close()

    @property
    def _now_s(self) -> float:
        return self._gate._loop.time()


def _files_max() -> int:
    """Return the limit of open files as of now: it can be raised from outside."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if most != resource.RLIM_INFINITY else 1 << 30
