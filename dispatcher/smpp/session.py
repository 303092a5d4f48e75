"""The state machine of one SMPP session, for both roles: states, what may come in each, timers.

Sans I/O, like the compiled exchange below it: octets are handed in and out, time is an argument in monotonic
nanoseconds. The exchange moves what comes by the million; this file sees the rest: binds, unbinds,
enquire_link, generic_nack, and whatever a peer should not have sent.

Law: what a peer sends never raises. It gives an event, an answer on the wire, or both; which, the tables say.

::

    OPEN ──bind──> BINDING ──bind_resp 0──> BOUND_TX | BOUND_RX | BOUND_TRX ──unbind──> UNBINDING ──> CLOSED
                                                  any state ──trouble, close()──> CLOSED
"""

from collections.abc import Iterator
from enum import Enum
from typing import Final, Literal

from dispatcher._ext.pdu import Pdu
from dispatcher._ext.session import Exchange
from dispatcher.errors import LocalProtocolError, Recoverable
from dispatcher.smpp.constants import COMMAND_LENGTH_MAX, RESPONSE_BIT, Command, CommandStatus
from dispatcher.smpp.events import (
    DEFAULT_TIMERS,
    Bind,
    BindRefused,
    BindRequest,
    Bound,
    Event,
    Failed,
    Lapsed,
    Malformed,
    Nacked,
    Request,
    Response,
    Timers,
    Unanswered,
    Unbound,
)

__all__ = [
    "BIND_STATES",
    "BOUND",
    "DEFAULT_TIMERS",
    "Bind",
    "BindRefused",
    "BindRequest",
    "Bound",
    "Event",
    "Failed",
    "Lapsed",
    "Malformed",
    "Nacked",
    "Request",
    "Response",
    "Session",
    "State",
    "Timers",
    "Unanswered",
    "Unbound",
]

NANOSECONDS_PER_MS: Final = 1_000_000


ENQUIRIES_MISSED_MAX: Final = 2
"""Enquiries that a peer may leave unanswered, one after the other, while it is heard otherwise."""


class State(Enum):
    """Where a session stands (SMPP 3.4, 2.2)."""

    OPEN = "open"
    BINDING = "binding"
    BOUND_TX = "bound_tx"
    BOUND_RX = "bound_rx"
    BOUND_TRX = "bound_trx"
    UNBINDING = "unbinding"
    CLOSED = "closed"


class _Asked(Enum):
    """The handles of our own requests; that of a bind is the State that it leads to."""

    ENQUIRE_LINK = "enquire_link"
    UNBIND = "unbind"


BIND_STATES: Final = {
    Command.BIND_TRANSMITTER: State.BOUND_TX,
    Command.BIND_RECEIVER: State.BOUND_RX,
    Command.BIND_TRANSCEIVER: State.BOUND_TRX,
}
BOUND: Final = frozenset(BIND_STATES.values())
_RECEIVING: Final = frozenset({State.BOUND_RX, State.BOUND_TRX})
_TRANSMITTING: Final = frozenset({State.BOUND_TX, State.BOUND_TRX})
_LIVE: Final = BOUND | {State.UNBINDING}

# Which requests may come, in which states (SMPP 3.4, 2.3). Others are answered with ESME_RINVBNDSTS.
_ANY: Final = {Command.UNBIND: BOUND | {State.BINDING, State.UNBINDING}}
ESME_MAY_GET: Final[dict[int, frozenset[State]]] = _ANY | {
    Command.OUTBIND: frozenset({State.OPEN}),
    Command.DELIVER_SM: _RECEIVING | {State.UNBINDING},
    Command.DATA_SM: _RECEIVING,
    Command.ALERT_NOTIFICATION: _RECEIVING,
}
SMSC_MAY_GET: Final[dict[int, frozenset[State]]] = (
    _ANY
    | dict.fromkeys(BIND_STATES, frozenset({State.OPEN}))
    | dict.fromkeys(
        (
            Command.SUBMIT_SM,
            Command.SUBMIT_MULTI,
            Command.DATA_SM,
            Command.QUERY_SM,
            Command.CANCEL_SM,
            Command.REPLACE_SM,
        ),
        _TRANSMITTING,
    )
)


class Session:
    """One session. `exchange` is the hot part: push, answer and the take_ functions are called on it."""

    def __init__(
        self,
        *,
        smsc: bool = False,
        window: int = 10,
        timers: Timers = DEFAULT_TIMERS,
        limit: int = COMMAND_LENGTH_MAX,
        sequence_number: int = 1,
        now_ns: int,
    ) -> None:
        self.exchange = Exchange(window=window, smsc=smsc, limit=limit, sequence_number=sequence_number)
        self.state = State.OPEN
        self.can_push = False
        """Whether submit_sm (as SMSC: deliver_sm) may be pushed now; the window has its own `room`."""
        self.timers = timers
        self._smsc = smsc
        self._since_ns = now_ns
        """When the state was entered."""
        self._asked_ns = -1
        """When the enquire_link in flight was sent; -1: none is."""
        self._missed = 0
        """Enquiries unanswered since the last answered one."""
        self._partial = (-1, -1)
        """Where in the stream the unfinished PDU begins, and when it was first seen."""

    def __repr__(self) -> str:
        role = "SMSC" if self._smsc else "ESME"
        return f"<Session {role} {self.state.value} {self.exchange!r}>"

    # ---- what we do ----

    def bind(self, bind: Bind, now_ns: int) -> None:
        """Ask to bind. LocalProtocolError: not OPEN, or a field that SMPP forbids."""
        self._expect(State.OPEN)
        fields = bind._asdict()
        command_id = fields.pop("command_id")
        if command_id not in BIND_STATES:
            raise LocalProtocolError(f"command_id 0x{command_id:08x} is no bind", "command_id")
        self.exchange.ask(command_id, BIND_STATES[command_id], now_ns, **fields)
        self._enter(State.BINDING, now_ns)

    def accept(
        self, request: Pdu, now_ns: int, system_id: bytes = b"", interface_version: int | None = 0x34
    ) -> None:
        """As SMSC: accept a bind; without an interface_version its TLV is left out, as 3.3 does."""
        tlvs = () if interface_version is None else ((0x0210, interface_version),)
        self.exchange.say(
            Pdu(request.command_id | RESPONSE_BIT, request.sequence_number, 0, tlvs, system_id=system_id)
        )
        self._enter(BIND_STATES[request.command_id], now_ns)

    def refuse(self, request: Pdu, command_status: int) -> None:
        """Answer a request, a bind say, with an error."""
        self.exchange.say(Pdu(request.command_id | RESPONSE_BIT, request.sequence_number, command_status))

    def unbind(self, now_ns: int) -> None:
        """Ask to unbind; nothing is pushed any more, answers are still taken. Unbound follows."""
        if self.state in BOUND:
            self.exchange.ask(Command.UNBIND, _Asked.UNBIND, now_ns)
            self._enter(State.UNBINDING, now_ns)

    def enquire(self, now_ns: int) -> None:
        """Ask whether the peer is alive, if not asked already."""
        if self._asked_ns < 0:
            self.exchange.ask(Command.ENQUIRE_LINK, _Asked.ENQUIRE_LINK, now_ns)
            self._asked_ns = now_ns

    def close(self, now_ns: int, unsent: int = 0) -> tuple[list[object], list[object]]:
        """End it: return the handles that went unanswered, and those whose PDU never left (see Exchange)."""
        self._enter(State.CLOSED, now_ns)
        return self.exchange.abandon(unsent)

    # ---- what comes ----

    def react(self, now_ns: int) -> list[Event]:
        """Return what the octets fed since the last call mean; call it after every read."""
        exchange = self.exchange
        others = exchange.take_others()
        events = [event for pdu, handle in others for event in self._other(pdu, handle, now_ns)]
        if exchange.pending and self._partial[0] != exchange.octets_in - exchange.pending:
            self._partial = (exchange.octets_in - exchange.pending, now_ns)
        if exchange.lost is not None and self.state is not State.CLOSED:
            exchange.say(Pdu(Command.GENERIC_NACK, 0, exchange.lost.command_status))
            events.append(Failed("framing_lost", str(exchange.lost)))
            self._enter(State.CLOSED, now_ns)
        return events

    def _other(self, pdu: Pdu | Recoverable, handle: object, now_ns: int) -> Iterator[Event]:
        if isinstance(pdu, Recoverable):
            yield Malformed(pdu)
            if pdu.partial is not None and pdu.partial.is_response:  # broken, and an answer all the same
                yield from self._response(pdu.partial, handle, now_ns)
        elif pdu.command_id == Command.GENERIC_NACK:
            ours = handle is not None
            yield Nacked(pdu.command_status, pdu.sequence_number, ours)
            if ours and handle is not self.exchange:  # it fails a request of `ask`
                yield from self._response(pdu, handle, now_ns)
        elif pdu.is_response:
            yield from self._response(pdu, handle, now_ns)
        else:
            yield from self._request(pdu, now_ns)

    def _response(self, pdu: Pdu, handle: object, now_ns: int) -> Iterator[Event]:
        if isinstance(handle, State):
            if self.state is not State.BINDING:
                return
            if pdu.command_status == CommandStatus.ESME_ROK:
                self._enter(handle, now_ns)
                yield Bound(pdu)
            else:
                self._enter(State.OPEN, now_ns)
                yield BindRefused(pdu.command_status)
        elif handle is _Asked.ENQUIRE_LINK:  # whatever it says, it is a sign of life
            self._asked_ns, self._missed = -1, 0
        elif handle is _Asked.UNBIND:
            if self.state is not State.CLOSED:
                self._enter(State.CLOSED, now_ns)
                yield Unbound(by_peer=False)
        else:
            yield Response(pdu, handle)

    def _request(self, pdu: Pdu, now_ns: int) -> Iterator[Event]:
        allowed = (SMSC_MAY_GET if self._smsc else ESME_MAY_GET).get(pdu.command_id)
        if allowed is None or self.state not in allowed:
            status = CommandStatus.ESME_RINVCMDID if allowed is None else CommandStatus.ESME_RINVBNDSTS
            if pdu.command_id in (Command.OUTBIND, Command.ALERT_NOTIFICATION):  # these have no response
                self.exchange.say(Pdu(Command.GENERIC_NACK, pdu.sequence_number, status))
            elif self._smsc and pdu.command_id in BIND_STATES and self.state in _LIVE:
                self.refuse(pdu, CommandStatus.ESME_RALYBND)
            else:
                self.refuse(pdu, status)
        elif pdu.command_id == Command.UNBIND:
            self.exchange.say(pdu.response())
            self._enter(State.CLOSED, now_ns)
            yield Unbound(by_peer=True)
        elif pdu.command_id in BIND_STATES:
            yield BindRequest(pdu)
        else:
            yield Request(pdu)

    # ---- what time brings ----

    def poll(self, now_ns: int) -> list[Event]:
        """Return what time has brought by `now_ns`; call it at `deadline_ns` at the latest."""
        timers, exchange = self.timers, self.exchange
        if self.state is State.CLOSED:
            return []
        if self.state in (State.OPEN, State.BINDING) and self._due(
            self._since_ns, timers.session_init_ms, now_ns
        ):
            return [self._fail("bind_timeout", now_ns)]
        if self.state is State.UNBINDING and self._due(self._since_ns, timers.unbind_ms, now_ns):
            return [self._fail("unbind_timeout", now_ns)]
        if self._asked_ns >= 0 and self._due(self._asked_ns, timers.enquire_response_ms, now_ns):
            self._missed += 1
            if exchange.heard_ns <= self._asked_ns or self._missed >= ENQUIRIES_MISSED_MAX:
                return [self._fail("dead", now_ns)]
            self._asked_ns = -1
        if exchange.pending and self._due(self._partial[1], timers.partial_pdu_ms, now_ns):
            return [self._fail("partial_pdu", now_ns)]
        if self._smsc and self._due(max(exchange.heard_ns, self._since_ns), timers.inactivity_ms, now_ns):
            return [self._fail("inactive", now_ns)]
        events: list[Event] = []
        if timers.response_ms and exchange.oldest_ns >= 0:
            given_up = exchange.expire(now_ns - timers.response_ms * NANOSECONDS_PER_MS)
            pushed = Command.DELIVER_SM if self._smsc else Command.SUBMIT_SM
            handles = [handle for command_id, handle in given_up if command_id == pushed]
            if handles:
                events.append(Unanswered(handles))
            events += [
                Lapsed(command_id, handle)
                for command_id, handle in given_up
                if command_id != pushed and not isinstance(handle, State | _Asked)
            ]
        idle_since = max(exchange.heard_ns, exchange.said_ns, self._since_ns)
        if self.state in BOUND and self._due(idle_since, timers.enquire_link_ms, now_ns):
            self.enquire(now_ns)
        return events

    @property
    def deadline_ns(self) -> int:
        """When `poll` has something to do next, if nothing else happens; -1 for never."""
        timers, exchange = self.timers, self.exchange
        idle_since = max(exchange.heard_ns, exchange.said_ns, self._since_ns)
        waits = [
            (self._since_ns, timers.session_init_ms, self.state in (State.OPEN, State.BINDING)),
            (self._since_ns, timers.unbind_ms, self.state is State.UNBINDING),
            (self._asked_ns, timers.enquire_response_ms, self._asked_ns >= 0),
            (self._partial[1], timers.partial_pdu_ms, exchange.pending > 0),
            (max(exchange.heard_ns, self._since_ns), timers.inactivity_ms, self._smsc),
            (exchange.oldest_ns, timers.response_ms, exchange.oldest_ns >= 0),
            (idle_since, timers.enquire_link_ms, self.state in BOUND and self._asked_ns < 0),
        ]
        due = [since + ms * NANOSECONDS_PER_MS for since, ms, runs in waits if runs and ms]
        return min(due, default=-1) if self.state is not State.CLOSED else -1

    # ---- helpers ----

    @staticmethod
    def _due(since_ns: int, timer_ms: int, now_ns: int) -> bool:
        return timer_ms > 0 and now_ns - since_ns >= timer_ms * NANOSECONDS_PER_MS

    def _fail(
        self,
        reason: Literal["bind_timeout", "dead", "partial_pdu", "unbind_timeout", "inactive"],
        now_ns: int,
    ) -> Failed:
        self._enter(State.CLOSED, now_ns)
        return Failed(reason)

    def _expect(self, state: State) -> None:
        if self.state is not state:
            raise LocalProtocolError(f"the session is {self.state.value}, not {state.value}")

    def _enter(self, state: State, now_ns: int) -> None:
        self.state = state
        self._since_ns = now_ns
        self.can_push = state in (_RECEIVING if self._smsc else _TRANSMITTING)
        if state is not State.UNBINDING:  # until it is answered, the peer may go on
            self.exchange.receives = state in (_TRANSMITTING if self._smsc else _RECEIVING)
