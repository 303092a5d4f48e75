"""The asyncio shell of a session: a transport on one side, its owner on the other.

Laws:

* results reach the owner in batches, once a read; one write per read, and one per turn of the loop for
  whatever else was pushed, however many pushed;
* while the transport cannot write, nothing is pushed: its buffer never holds more than one turn's write;
* one timer, that sleeps until the session has something to do, or could get something to do; before it judges
  what has come too late, what has come is read: a process that stood still may be the one that is late;
* at the end, whatever ended it, `on_closed` says once which requests went unanswered and which never left.
"""

import asyncio
import ssl
from collections.abc import Callable
from time import monotonic_ns
from typing import Any, Final, Protocol, cast

from dispatcher._ext.session import Incoming
from dispatcher.smpp.dial import tls_cause, tls_trouble
from dispatcher.smpp.session import Event, Failed, Session, State, Unbound

ANSWERS_OCTETS_MAX: Final = 1_048_576
"""Answers (to enquire_link, say) that pile up for a peer that asks and does not read; then it is cut off."""
GOODBYE_S: Final = 1.0
"""For the last octets to leave when we close; a healthy peer takes them at once."""
SECOND_LOOK_NS: Final = 1_000_000
"""Between a timer and its judgement: a turn of the loop, which reads. uvloop calls timers before it reads."""
STOOD_NS: Final = 50_000_000
"""A timer that is later than this: the process stood still, or was very busy (F08)."""
STOOD_NS_MAX: Final = 1_000_000_000
"""At most so much of the time that it stood is given to the peer at a time."""
LOOKS_MAX: Final = 3
"""So often at most: a process that is always late must judge at last."""


class Owner(Protocol):
    """Who owns a connection. None of these may raise."""

    def on_answers(
        self, connection: "Connection", handles: list[Any], statuses: list[int], ids: list[bytes | None]
    ) -> None:
        """Take the answers to what was pushed."""

    def on_late(self, connection: "Connection", late: list[tuple[Any, int, bytes | None]]) -> None:
        """Take answers that came after their request was reported as unanswered."""

    def on_incoming(self, connection: "Connection", incoming: list[Incoming]) -> None:
        """Take what came in; `connection.answer` it once it is stored."""

    def on_events(self, connection: "Connection", events: list[Event]) -> None:
        """Take what else happened. Of Failed and Unbound the end follows by itself."""

    def on_room(self, connection: "Connection") -> None:
        """Learn that writing is possible again."""

    def on_closed(
        self, connection: "Connection", reason: str, unanswered: list[Any], unsent: list[Any]
    ) -> None:
        """Take what is left: requests of unknown outcome, and requests that never left."""


class Connection(asyncio.BufferedProtocol):
    """A session on a transport."""

    def __init__(self, session: Session, owner: Owner, clock: Callable[[], int] = monotonic_ns) -> None:
        self.session = session
        self.exchange = session.exchange
        self.reason = ""
        """Why it ended; empty while it lives."""
        self._owner = owner
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._paused_at = -1
        """Octets unwritten when the transport asked to pause; -1: it did not."""
        self._flush_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._longest_sleep_ns = min((ms for ms in session.timers if ms), default=0) * 1_000_000
        """What happens now cannot fall due sooner: so it is enough to look again after it."""
        self._due_ns = self._looks = 0
        """When the timer is to go off; how often it went off for what is to be judged."""
        self.unacknowledged = 0
        """How much of what came in waits for its answer."""

    def __repr__(self) -> str:
        paused = ", paused" if self._paused_at >= 0 else ""
        return f"<Connection {self.reason or 'open'}{paused} {self.session!r}>"

    # ---- what the owner does ----

    @property
    def room(self) -> int:
        """How many requests may be pushed now."""
        if self._paused_at >= 0 or not self.session.can_push or self.reason:
            return 0
        return self.exchange.room

    def push(self, handles: list[Any], frames: list[bytes], start: int = 0, most: int = 65_536) -> int:
        """Push as many of frames[start:] as there is room for, at most `most`; see Exchange.push."""
        if self._paused_at >= 0 or not self.session.can_push or self.reason:
            return 0
        pushed = self.exchange.push(handles, frames, start, self._clock(), most)
        if pushed:
            self.wrote()
        return pushed

    def answer(
        self, incoming: list[Incoming], command_status: int = 0, message_ids: list[bytes] | None = None
    ) -> bool:
        """Answer what came in; False: the connection is gone, the peer will send it again."""
        if self.reason:
            return False
        self.unacknowledged -= len(incoming)
        self.exchange.answer(incoming, command_status, message_ids)
        self.wrote()
        return True

    def wrote(self) -> None:
        """See to it that what is unwritten is written soon, whoever pushed, asked or said it."""
        if self.exchange.unwritten and not self._flush_due and self._paused_at < 0:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def close(self, reason: str, *, abort: bool = False) -> None:
        """End it: report what is left, let the last octets leave (`abort`: drop them)."""
        if self.reason:
            return
        transport, now_ns = self._transport, self._clock()
        abort = abort or self._paused_at >= 0
        unsent = 0
        if transport is not None and not abort:
            self._flush()
            abort = self._paused_at >= 0
        if transport is not None and abort and transport.get_extra_info("sslcontext") is None:
            unsent = transport.get_write_buffer_size()  # of TLS nobody knows what is inside
        self.reason = reason
        left = self.session.close(now_ns, unsent)
        if self._timer is not None:
            self._timer.cancel()
        if transport is not None and abort:
            transport.abort()
        elif transport is not None:
            transport.close()
            self._timer = self._loop.call_later(GOODBYE_S, transport.abort)
        self._owner.on_closed(self, reason, *left)

    # ---- what the transport does ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport: it asks to pause as soon as the kernel does not take all of a write."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=1, low=0)  # at 0, TLS would pause for ever
        if self.reason:
            self._transport.abort()
        else:
            self.wrote()
            self._set_timer(self._clock())

    def get_buffer(self, sizehint: int) -> memoryview:
        """Say where the next read goes."""
        return self.exchange.buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """Parse what was read, hand it to the owner, write at once what that brought about.

        The peer then works on this connection while we read the next, and the loop need not turn again.
        """
        if self.reason:
            return
        self._flush_due = True
        try:
            self._read(nbytes)
        finally:
            self._flush()

    def _read(self, nbytes: int) -> None:
        exchange, owner, now_ns = self.exchange, self._owner, self._clock()
        exchange.read(nbytes, now_ns)
        handles, statuses, ids = exchange.take_answers()
        if handles:
            owner.on_answers(self, handles, statuses, ids)
        if late := exchange.take_late():
            owner.on_late(self, late)
        if events := self.session.react(now_ns):
            self._happened(events)
        if (incoming := exchange.take_incoming()) and not self._ended():
            self.unacknowledged += len(incoming)
            owner.on_incoming(self, incoming)
        if self._ended():
            return
        if 0 <= self._paused_at < exchange.unwritten - ANSWERS_OCTETS_MAX:
            self.close("flooded", abort=True)
        elif self.session.state is State.CLOSED and not exchange.in_flight:
            self.close("unbound_by_peer")  # and now all is answered that was in flight

    def eof_received(self) -> None:
        """Let the transport close: half a connection is none."""

    def connection_lost(self, exc: BaseException | None) -> None:
        """End it. What the transport still held may have left in part: it counts as gone."""
        if self._timer is not None:
            self._timer.cancel()
        self._transport = None
        if isinstance(exc, ssl.SSLError):
            self.close(f"{tls_trouble(exc)}: {tls_cause(exc)}")
        else:
            self.close("lost" if exc is None else f"lost: {type(exc).__name__}")

    def pause_writing(self) -> None:
        """Keep what comes in the exchange."""
        self._paused_at = self.exchange.unwritten

    def resume_writing(self) -> None:
        """Go on."""
        self._paused_at = -1
        if not self.reason:
            self.wrote()
            self._owner.on_room(self)

    # ---- helpers ----

    def _ended(self) -> bool:
        return bool(self.reason)

    def _flush(self) -> None:
        self._flush_due = False
        if self._paused_at < 0 and self._transport is not None and not self.reason:
            octets = self.exchange.outgoing(self._clock())
            if octets:
                self._transport.write(octets)

    def _set_timer(self, now_ns: int) -> None:
        if self._longest_sleep_ns:
            deadline_ns, again_ns = self.session.deadline_ns, now_ns + self._longest_sleep_ns
            until_ns = again_ns if deadline_ns < 0 else min(deadline_ns, again_ns)
            # A millisecond late rather than early: loops count in milliseconds.
            self._due_ns = max(until_ns, now_ns) + 1_000_000
            self._looks = 0
            self._timer = self._loop.call_later((self._due_ns - now_ns) / 1e9, self._look)

    def _look(self) -> None:
        """Let the loop read, and the peer have what of its time went by while we stood still; then judge."""
        now_ns = self._clock()
        stood_ns = now_ns - self._due_ns
        if self._looks == LOOKS_MAX or (self._looks and stood_ns < STOOD_NS):
            self._poll(now_ns)
            return
        self._looks += 1
        self._due_ns = now_ns + min(max(stood_ns, SECOND_LOOK_NS), STOOD_NS_MAX)
        self._timer = self._loop.call_later((self._due_ns - now_ns) / 1e9, self._look)

    def _poll(self, now_ns: int) -> None:
        oldest_ns, response_ms = self.exchange.oldest_ns, self.session.timers.response_ms
        if self._paused_at >= 0 and response_ms and 0 <= oldest_ns <= now_ns - response_ms * 1_000_000:
            # It does not read. Ended now, what never left is told from what went unanswered.
            self.close("stuck", abort=True)
            return
        if events := self.session.poll(now_ns):
            self._happened(events)
        if not self.reason:
            self._set_timer(now_ns)
            self.wrote()

    def _happened(self, events: list[Event]) -> None:
        """Tell the owner; what ends the session ends the connection."""
        self._owner.on_events(self, events)
        for event in events:
            if isinstance(event, Failed):
                # A peer that lost framing is told so; one that does not answer would not listen.
                self.close(event.reason, abort=event.reason not in ("framing_lost", "unbind_timeout"))
            elif isinstance(event, Unbound) and event.by_peer and self.exchange.in_flight:
                # What is in flight may still be answered.
                self._loop.call_later(self.session.timers.unbind_ms / 1000, self.close, "unbound_by_peer")
            elif isinstance(event, Unbound):
                self.close("unbound_by_peer" if event.by_peer else "unbound")
