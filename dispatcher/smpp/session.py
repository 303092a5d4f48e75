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
from typing import Final, Literal, NamedTuple, TypeAlias

from dispatcher._ext.pdu import Pdu
from dispatcher._ext.session import Exchange
from dispatcher.errors import LocalProtocolError, Recoverable
from dispatcher.smpp.constants import (
    COMMAND_LENGTH_MAX,
    INTERFACE_VERSION,
    RESPONSE_BIT,
    Command,
    CommandStatus,
)

NANOSECONDS_PER_MS: Final = 1_000_000


class State(Enum):
    """Where a session stands (SMPP 3.4, 2.2)."""

    OPEN = "open"
    BINDING = "binding"
    BOUND_TX = "bound_tx"
    BOUND_RX = "bound_rx"
    BOUND_TRX = "bound_trx"
    UNBINDING = "unbinding"
    CLOSED = "closed"


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
    Command.DELIVER_SM: _RECEIVING,
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


class Timers(NamedTuple):
    """Every timer of a session, in milliseconds; 0 turns one off."""

    session_init_ms: int = 10_000
    """Connected but not bound for so long: give up."""
    response_ms: int = 30_000
    """A request unanswered for so long has an unknown outcome."""
    enquire_link_ms: int = 30_000
    """Silence both ways for so long: ask whether the peer is alive. Some carriers forbid under 10 s."""
    enquire_response_ms: int = 15_000
    """An enquire_link unanswered for so long: the peer is dead."""
    inactivity_ms: int = 0
    """As SMSC: no request of the peer for so long: unbind it."""
    partial_pdu_ms: int = 30_000
    """A PDU begun but not completed for so long: the peer is broken."""
    unbind_ms: int = 5_000
    """An unbind unanswered for so long: close all the same."""


DEFAULT_TIMERS: Final = Timers()


class Bind(NamedTuple):
    """What a bind says (SMPP 3.4, 4.1). Sizes are checked when sent: system_id 15, password 8 octets."""

    system_id: bytes
    password: bytes = b""
    system_type: bytes = b""
    command_id: int = Command.BIND_TRANSCEIVER
    interface_version: int = INTERFACE_VERSION
    addr_ton: int = 0
    addr_npi: int = 0
    address_range: bytes = b""


# ---- events: what a caller must know; answers and incoming PDUs are taken from the exchange in batches ----


class Bound(NamedTuple):
    """The bind was accepted; `response` is the bind response (as SMSC: the bind request)."""

    response: Pdu


class BindRefused(NamedTuple):
    """The bind was refused; the peer will close, or we should."""

    command_status: int


class BindRequest(NamedTuple):
    """As SMSC: the peer wants to bind. Answer with `accept` or `refuse`."""

    request: Pdu


class Request(NamedTuple):
    """A request other than deliver_sm (as SMSC: submit_sm), allowed here; answer with `exchange.say`."""

    request: Pdu


class Response(NamedTuple):
    """The answer to a request made with `exchange.ask`, with the handle given then."""

    response: Pdu
    handle: object


class Unanswered(NamedTuple):
    """These pushed requests ran out of time: their outcome is unknown. The session goes on, for now."""

    handles: list[object]


class Nacked(NamedTuple):
    """A generic_nack. With a request of ours, that request failed; without, the peer lost track: recycle."""

    command_status: int
    sequence_number: int


class Malformed(NamedTuple):
    """A PDU that could not be read, its frame intact. The negative response is on its way."""

    error: Recoverable


class Unbound(NamedTuple):
    """The session is over politely: close the connection."""

    by_peer: bool


class Failed(NamedTuple):
    """The session is over: close the connection. `reason` is one of a few words, for metrics."""

    reason: Literal["bind_timeout", "dead", "framing_lost", "partial_pdu", "unbind_timeout", "inactive"]
    detail: str = ""


Event: TypeAlias = (
    Bound
    | BindRefused
    | BindRequest
    | Request
    | Response
    | Unanswered
    | Nacked
    | Malformed
    | Unbound
    | Failed
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
        now_ns: int,
    ) -> None:
        self.exchange = Exchange(window=window, smsc=smsc, limit=limit)
        self.state = State.OPEN
        self.timers = timers
        self._smsc = smsc
        self._since_ns = now_ns
        """When the state was entered."""
        self._asked_ns = -1
        """When the enquire_link in flight was sent; -1: none is."""
        self._partial = (-1, -1)
        """octets_in and the time when a PDU was first seen unfinished."""

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
            self.exchange.ask(Command.UNBIND, None, now_ns)
            self._enter(State.UNBINDING, now_ns)

    def enquire(self, now_ns: int) -> None:
        """Ask whether the peer is alive, if not asked already."""
        if self._asked_ns < 0:
            self.exchange.ask(Command.ENQUIRE_LINK, None, now_ns)
            self._asked_ns = now_ns

    @property
    def can_push(self) -> bool:
        """Whether submit_sm (as SMSC: deliver_sm) may be pushed now; the window has its own `room`."""
        return self.state in (_RECEIVING if self._smsc else _TRANSMITTING)

    def close(self, now_ns: int, unsent: int = 0) -> tuple[list[object], list[object]]:
        """End it: return the handles that went unanswered, and those whose PDU never left (see Exchange)."""
        self._enter(State.CLOSED, now_ns)
        return self.exchange.abandon(unsent)

    # ---- what comes ----

    def react(self, now_ns: int) -> list[Event]:
        """Return what the octets fed since the last call mean; call it after every read."""
        events = [
            event for pdu, handle in self.exchange.take_others() for event in self._other(pdu, handle, now_ns)
        ]
        if self.exchange.lost is not None and self.state is not State.CLOSED:
            self.exchange.say(Pdu(Command.GENERIC_NACK, 0, self.exchange.lost.command_status))
            events.append(Failed("framing_lost", str(self.exchange.lost)))
            self._enter(State.CLOSED, now_ns)
        return events

    def _other(self, pdu: Pdu | Recoverable, handle: object, now_ns: int) -> Iterator[Event]:
        if isinstance(pdu, Recoverable):
            yield Malformed(pdu)
        elif pdu.command_id == Command.GENERIC_NACK:
            yield Nacked(pdu.command_status, pdu.sequence_number)
            if isinstance(handle, State):  # the bind itself was not understood
                yield BindRefused(pdu.command_status)
        elif pdu.is_response:
            yield from self._response(pdu, handle, now_ns)
        else:
            yield from self._request(pdu, now_ns)

    def _response(self, pdu: Pdu, handle: object, now_ns: int) -> Iterator[Event]:
        match pdu.command_id & ~RESPONSE_BIT:
            case Command.BIND_TRANSMITTER | Command.BIND_RECEIVER | Command.BIND_TRANSCEIVER:
                if self.state is not State.BINDING:
                    return
                if pdu.command_status == CommandStatus.ESME_ROK and isinstance(handle, State):
                    self._enter(handle, now_ns)
                    yield Bound(pdu)
                else:
                    self._enter(State.OPEN, now_ns)
                    yield BindRefused(pdu.command_status)
            case Command.ENQUIRE_LINK:
                self._asked_ns = -1
            case Command.UNBIND:
                self._enter(State.CLOSED, now_ns)
                yield Unbound(by_peer=False)
            case _:
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
            return [self._fail("dead", now_ns)]
        if exchange.pending:
            if self._partial[0] != exchange.octets_in - exchange.pending:
                self._partial = (exchange.octets_in - exchange.pending, now_ns)
            elif self._due(self._partial[1], timers.partial_pdu_ms, now_ns):
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
            (exchange.heard_ns, timers.partial_pdu_ms, exchange.pending > 0),
            (idle_since, timers.inactivity_ms, self._smsc and self.state in BOUND),
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
        self.exchange.receives = state in (_TRANSMITTING if self._smsc else _RECEIVING)
