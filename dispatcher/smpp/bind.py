"""One bind of a pool, from one connection to the next: what its events mean for the account.

It decides nothing about when to connect: the pool does. It knows when its window is stuck, when the peer has
lost track, how much it may send so soon after binding, and how to leave politely.
"""

import asyncio
from collections.abc import Callable
from enum import Enum
from ssl import SSLContext
from typing import Any, Final, NamedTuple, Protocol

from dispatcher._ext.pdu import Pdu
from dispatcher._ext.session import Incoming
from dispatcher.smpp.account import Account
from dispatcher.smpp.backoff import BIND_TROUBLE, SlowStart, Trouble
from dispatcher.smpp.connection import Connection
from dispatcher.smpp.constants import Command, CommandStatus
from dispatcher.smpp.dial import NotReached, dial
from dispatcher.smpp.session import (
    BindRefused,
    Bound,
    Event,
    Malformed,
    Nacked,
    Request,
    Session,
    Unanswered,
)
from dispatcher.smpp.status import status

MALFORMED_MAX: Final = 5
"""Broken PDUs with nothing sound between them: framing is lost, though every length was legal."""
_DESYNCHRONISED: Final = (
    CommandStatus.ESME_ROK,
    CommandStatus.ESME_RINVCMDLEN,
    CommandStatus.ESME_RINVCMDID,
)
_UNANSWERABLE: Final = (Command.OUTBIND, Command.ALERT_NOTIFICATION)


class Stage(Enum):
    """Where a bind stands for the pool."""

    DOWN = "down"
    CONNECTING = "connecting"
    BOUND = "bound"
    RETIRING = "retiring"


_BOUND: Final = Stage.BOUND  # a look-up less, where it counts


class NotBound(NamedTuple):
    """An attempt came to nothing."""

    trouble: Trouble
    detail: str
    tls: bool = False


class Hub(Protocol):
    """What a bind tells its pool."""

    def bound(self, bind: "Bind") -> None:
        """It is bound."""

    def stable(self, bind: "Bind") -> None:
        """It has lasted."""

    def down(self, bind: "Bind", reason: str, stable: bool) -> None:
        """It was bound and is no more."""

    def closed(self, connection: Connection) -> None:
        """A connection ended; its counters stand still now."""

    def answers(self, handles: list[Any], statuses: list[int], ids: list[bytes | None]) -> None:
        """Answers came."""

    def late(self, late: list[tuple[Any, int, bytes | None]]) -> None:
        """Late answers came."""

    def unanswered(self, handles: list[Any]) -> None:
        """Their outcome is unknown."""

    def unsent(self, handles: list[Any]) -> None:
        """They never left."""

    def incoming(self, source: Connection, incoming: list[Incoming]) -> None:
        """To be stored and acknowledged."""

    def room(self) -> None:
        """There may be more room."""

    def malformed(self, detail: str) -> None:
        """A PDU could not be read, or a nack came that concerns the whole stream."""


class Bind:
    """A place for one bind. `number` tells it from the others in metrics."""

    def __init__(self, number: int, command_id: int, hub: Hub, clock: Callable[[], int]) -> None:
        self.number = number
        self.command_id = command_id
        self.generation = 0
        self.stage = Stage.DOWN
        self.removed = False
        """Not part of the account any more: it retires and does not come back."""
        self.retry_ns = self.tried_ns = self.already_bound = 0
        """Not to be tried before; last tried; refused as already bound so many times running."""
        self.connection: Connection | None = None
        self.turned_away = 0
        """deliver_sm sent back because too many were waiting to be stored."""
        self.last_reason = ""
        self._hub = hub
        self._clock = clock
        self._slow: SlowStart | None = None
        """Of a new bind; None once it allows the whole window."""
        self._proven = False
        """Something was answered since it was bound."""
        self._account: Account | None = None
        self._settled: asyncio.Future[NotBound | None] | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._malformed = 0
        self._stable = False

    def __repr__(self) -> str:
        name = {1: "receiver", 2: "transmitter", 9: "transceiver"}[self.command_id]
        stage = f"{self.stage.value} generation {self.generation}"
        return f"<Bind {self.number} {name} {stage} {self.connection!r}>"

    # ---- what the pool does ----

    @property
    def in_flight(self) -> int:
        """How many submits are unanswered."""
        return self.connection.exchange.in_flight if self.connection is not None else 0

    def room(self, now_ns: int) -> int:
        """How many submits may be pushed now."""
        connection = self.connection
        if connection is None or not connection.exchange.room or self.stage is not _BOUND:
            return 0  # the full ones first: the pool asks all, for every read
        room = connection.room
        if not room or self._slow is None:
            return room
        exchange = connection.exchange
        allowed = self._slow.allowed(now_ns, exchange.window)
        return max(0, min(room, allowed - exchange.in_flight))

    async def open(self, account: Account, context: SSLContext | None, generation: int) -> NotBound | None:
        """Connect and bind; None: it is bound."""
        self._account, self.generation = account, generation
        self.stage, self.tried_ns = Stage.CONNECTING, self._clock()
        self._settled = asyncio.get_running_loop().create_future()
        try:
            made = await dial(
                account.host,
                account.port,
                self._connect,
                context=context,
                server_hostname=account.tls.server_hostname if account.tls else None,
                timeout_ms=account.connect_timeout_ms,
                tcp_user_timeout_ms=account.tcp_user_timeout_ms,
            )
            if isinstance(made, NotReached):
                self.stage, self.last_reason = Stage.DOWN, made.reason
                return NotBound(
                    Trouble.CONNECT, f"{made.reason}: {made.detail}", made.reason.startswith("tls")
                )
            self.connection = made
            if made.reason:  # it was closed as soon as it was open
                self.on_closed(made, made.reason, [], [])
            else:
                made.session.bind(account.bind(self.command_id), self._clock())
                made.wrote()
            return await self._settled
        except asyncio.CancelledError:
            self.abort("closed")
            self.stage = Stage.DOWN
            raise

    def retire(self, limit_ms: int) -> None:
        """Leave politely: push no more, wait for answers up to `limit_ms`, unbind, close."""
        if self.stage is Stage.BOUND:
            self.stage = Stage.RETIRING
            self._later(limit_ms, self._unbind)
            self._unbind_when_idle()

    def abort(self, reason: str) -> None:
        """Leave now."""
        if self.connection is not None:
            self.connection.close(reason, abort=True)

    def push(self, handles: list[Any], frames: list[bytes], start: int, most: int) -> int:
        """Push at most `most`; the pool has asked for `room`."""
        return self.connection.push(handles, frames, start, most) if self.connection is not None else 0

    # ---- what the connection does ----

    def on_answers(
        self, connection: Connection, handles: list[Any], statuses: list[int], ids: list[bytes | None]
    ) -> None:
        """Pass on; the first one speeds up the slow start."""
        self._malformed = 0
        if not self._proven:
            self._proven = True
            if self._slow is not None:
                now_ns = self._clock()
                waits = self._slow.next_ns(now_ns, connection.exchange.window) < 0
                self._slow.answered(now_ns)
                if waits:
                    self._ramp(now_ns)
        self._hub.answers(handles, statuses, ids)
        self._unbind_when_idle()

    def on_late(self, connection: Connection, late: list[tuple[Any, int, bytes | None]]) -> None:
        """Pass on."""
        self._hub.late(late)

    def on_incoming(self, connection: Connection, incoming: list[Incoming]) -> None:
        """Pass on what there is room for; what is too much comes again later."""
        assert self._account is not None
        self._malformed = 0
        excess = connection.unacknowledged - self._account.incoming_max
        if excess > 0:
            keep = max(0, len(incoming) - excess)
            self.turned_away += len(incoming) - keep
            connection.answer(incoming[keep:], CommandStatus.ESME_RX_T_APPN)
            incoming = incoming[:keep]
        if incoming:
            self._hub.incoming(connection, incoming)

    def on_room(self, connection: Connection) -> None:
        """Pass on."""
        self._hub.room()

    def on_events(self, connection: Connection, events: list[Event]) -> None:
        """See what each means for the bind."""
        for event in events:
            if isinstance(event, Bound):
                self._bound()
            elif isinstance(event, BindRefused):
                trouble = BIND_TROUBLE.get(event.command_status, Trouble.REFUSED)
                self._settle(NotBound(trouble, status(event.command_status).name))
                connection.close("bind_refused")
            elif isinstance(event, Unanswered):
                self._unanswered(connection, event.handles)
            elif isinstance(event, Nacked):
                if not event.ours or event.command_status in _DESYNCHRONISED:
                    self._hub.malformed(f"generic_nack {status(event.command_status).name}")
                    connection.close("nacked")
            elif isinstance(event, Malformed):
                self._malformed += 1
                self._hub.malformed(f"command 0x{event.error.command_id:08x}: {event.error}")
                if self._malformed >= MALFORMED_MAX:
                    connection.close("framing_lost")
            elif isinstance(event, Request):
                self._refuse(connection, event.request)

    def on_closed(
        self, connection: Connection, reason: str, unanswered: list[Any], unsent: list[Any]
    ) -> None:
        """Hand back what is left, and let the pool decide when to come again."""
        was_bound = self.stage in (Stage.BOUND, Stage.RETIRING)
        self.stage, self.last_reason, self.connection = Stage.DOWN, reason, None
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._slow, self._malformed = None, 0
        self._hub.closed(connection)
        if unanswered:
            self._hub.unanswered(unanswered)
        if unsent:
            self._hub.unsent(unsent)
        if was_bound:
            self._hub.down(self, reason, self._stable)
        else:
            if self._account is not None and self._account.tls and reason.startswith("lost"):
                reason += ", behind a good TLS handshake: perhaps it wants (another) certificate of ours"
            self._settle(NotBound(Trouble.REFUSED, reason, reason.startswith("tls")))

    # ---- helpers ----

    def _connect(self) -> Connection:
        assert self._account is not None
        session = Session(window=self._account.window, timers=self._account.timers, now_ns=self._clock())
        return Connection(session, self, self._clock)

    def _settle(self, outcome: NotBound | None) -> None:
        if self._settled is not None and not self._settled.done():
            self._settled.set_result(outcome)

    def _bound(self) -> None:
        assert self._account is not None
        now_ns = self._clock()
        self.stage, self.already_bound, self.retry_ns = Stage.BOUND, 0, 0
        self._slow = SlowStart(self._account.backoff, now_ns)
        self._stable = self._proven = False
        self._settle(None)
        self._hub.bound(self)
        self._later(self._account.backoff.stable_ms, self._lasted)
        self._ramp(now_ns)

    def _lasted(self) -> None:
        self._stable = True
        self._hub.stable(self)

    def _ramp(self, now_ns: int) -> None:
        """Wake the pool when the slow start allows more."""
        if self._slow is None or self.connection is None:
            return
        window = self.connection.exchange.window
        next_ns = self._slow.next_ns(now_ns, window)
        if next_ns < 0:
            if self._slow.allowed(now_ns, window) >= window:
                self._slow = None
            self._hub.room()
        else:
            self._later((next_ns - now_ns) // 1_000_000 + 1, self._ramped)

    def _ramped(self) -> None:
        self._hub.room()
        self._ramp(self._clock())

    def _later(self, delay_ms: int, call: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self._timers = [timer for timer in self._timers if timer.when() > loop.time()]
        self._timers.append(loop.call_later(delay_ms / 1000, call))

    def _unanswered(self, connection: Connection, handles: list[Any]) -> None:
        """Report; with no answer to anything since the oldest was written, the window is stuck."""
        self._hub.unanswered(handles)
        oldest_ns = self._clock() - connection.session.timers.response_ms * 1_000_000
        if connection.exchange.answered_ns <= oldest_ns:
            connection.close("stuck", abort=True)
        else:
            self._unbind_when_idle()
            self._hub.room()

    def _refuse(self, connection: Connection, request: Pdu) -> None:
        """Answer what nobody here serves: data_sm, say."""
        if request.command_id not in _UNANSWERABLE:
            connection.session.refuse(request, CommandStatus.ESME_RINVCMDID)
            connection.wrote()

    def _unbind_when_idle(self) -> None:
        if self.stage is Stage.RETIRING and not self.in_flight:
            self._unbind()

    def _unbind(self) -> None:
        if self.connection is not None:
            self.connection.session.unbind(self._clock())
            self.connection.wrote()
