"""What a session is told and what it tells: timers, the bind, and the events; values, no behaviour.

Import them from dispatcher.smpp.session.
"""

from typing import Final, Literal, NamedTuple, TypeAlias

from dispatcher._ext.pdu import Pdu
from dispatcher.errors import Recoverable
from dispatcher.smpp.constants import INTERFACE_VERSION, Command


class Timers(NamedTuple):
    """Every timer of a session, in milliseconds; 0 turns one off."""

    session_init_ms: int = 10_000
    """Connected but not bound for so long: give up."""
    response_ms: int = 30_000
    """A request unanswered for so long has an unknown outcome."""
    enquire_link_ms: int = 30_000
    """Silence both ways for so long: ask whether the peer is alive. Some carriers forbid under 10 s."""
    enquire_response_ms: int = 15_000
    """An enquire_link unanswered for so long, and nothing else heard: the peer is dead. Heard, but unanswered
    twice running: dead as well."""
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


class Lapsed(NamedTuple):
    """A request made with `exchange.ask` ran out of time."""

    command_id: int
    handle: object


class Nacked(NamedTuple):
    """A generic_nack. About a request of ours, that one failed; about none, the peer lost track: recycle."""

    command_status: int
    sequence_number: int
    ours: bool


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
    | Lapsed
    | Nacked
    | Malformed
    | Unbound
    | Failed
)
