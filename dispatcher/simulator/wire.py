"""What one connection puts on the wire, and when that may be believed.

Laws:

* octets leave in the order in which they were written, whatever slows, cuts or freezes them;
* a record (what the ledger is to be told) is told when the last octet that it stands for was handed to the
  kernel, never before; a connection that dies forgets the rest;
* nothing grows without bound: a peer that does not read loses its connection at HELD_MAX.

::

    write(octets, records) -> [frozen: held] -> [slow: trickled] -> transport -> settle: records are told
"""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

Record: TypeAlias = Callable[[], object]
"""Tells the ledger that something is on the wire."""

HELD_MAX: Final = 64 * 1024 * 1024
"""Octets that wait for one peer: a full window of receipts many times over."""

_SETTLE_S: Final = 0.002
_RESET_TRIES: Final = 50
"""A tenth of a second to hand octets to a peer that may not read."""

_SLOW_S: Final = 0.05
"""How often a slow wire writes, where a slice has at least one octet."""


class Wire:
    """The writing side of a connection."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._given = 0
        self._unsettled: deque[tuple[int, Sequence[Record]]] = deque()
        self._waiting: deque[tuple[bytes, Sequence[Record]]] = deque()
        self._held = 0
        self._timer: asyncio.TimerHandle | None = None
        self._settling = False
        self._gone = False
        self.frozen = False
        self.bytes_per_s = 0
        self.closed = False

    def write(self, octets: bytes, records: Sequence[Record] = ()) -> None:
        """Write; each record is told once all of `octets` left."""
        if self.closed or not (octets or records):
            return
        if self.frozen or self.bytes_per_s or self._waiting:
            self._waiting.append((octets, records))
            self._held += len(octets)
            if self._held > HELD_MAX:
                self.reset()
            elif self._timer is None:
                self._trickle()
            return
        self._hand_over(octets, records)

    def _hand_over(self, octets: bytes, records: Sequence[Record]) -> None:
        self._transport.write(octets)
        self._given += len(octets)
        if records:
            self._unsettled.append((self._given, records))
            if not self._settling:
                self._settling = True
                self._loop.call_soon(self._settle_soon)
        if self.unsent > HELD_MAX:
            self.reset()

    @property
    def unsent(self) -> int:
        """Octets that the kernel has not taken."""
        return self._held + self._transport.get_write_buffer_size()

    def _settle(self) -> None:
        """Tell the records of what has left by now."""
        gone = self._given - self._transport.get_write_buffer_size()
        while self._unsettled and self._unsettled[0][0] <= gone:
            for record in self._unsettled.popleft()[1]:
                record()

    def _settle_soon(self) -> None:
        """The transport writes at the end of a turn of the loop: look in the next, and until all left."""
        self._settling = False
        self._settle()
        if self._unsettled and not self._gone:
            self._settling = True
            self._loop.call_later(_SETTLE_S, self._settle_soon)

    def pace(self, frozen: bool, bytes_per_s: int) -> None:
        """Change how it writes."""
        self.frozen, self.bytes_per_s = frozen, bytes_per_s
        if self._timer is None:
            self._trickle()

    def _trickle(self) -> None:
        self._timer = None
        if self.closed or self.frozen:
            return
        rate = self.bytes_per_s
        wait_s = max(_SLOW_S, 1 / rate) if rate else 0.0
        budget = max(1, int(rate * wait_s)) if rate else self._held
        while self._waiting and (budget > 0 or not self._waiting[0][0]):
            octets, records = self._waiting.popleft()
            now, later = octets[:budget], octets[budget:]
            if later:
                self._waiting.appendleft((later, records))
                records = ()
            budget -= len(now)
            self._held -= len(now)
            self._hand_over(now, records)
        if self._waiting:
            self._timer = self._loop.call_later(wait_s, self._trickle)

    def close(self) -> None:
        """Close politely: what was handed over still goes out."""
        if not self.closed:
            self._end()
            self._transport.close()

    def reset(self) -> None:
        """Close by RST, once what was handed over has left, and soon if it does not."""
        if not self.closed:
            self._end()
            self._reset_when_empty(_RESET_TRIES)

    def _reset_when_empty(self, tries: int) -> None:
        self._settle()
        if tries and not self._gone and self._transport.get_write_buffer_size():
            self._loop.call_later(_SETTLE_S, self._reset_when_empty, tries - 1)
            return
        sock = self._transport.get_extra_info("socket")
        if sock is not None and not self._gone:  # a linger of 0 makes a RST of the FIN
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def lost(self, politely: bool) -> None:
        """The connection is gone. After a polite end all has left; else what was not told is not believed."""
        if politely:
            self._settle()
        self._gone = True
        self._unsettled.clear()
        self._end()

    def _end(self) -> None:
        self.closed = True
        self._waiting.clear()
        self._held = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
