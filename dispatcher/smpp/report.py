"""What a pool tells its owner: results, alarms, its state; and who is told.

Import these from dispatcher.smpp.pool.
"""

from enum import StrEnum
from typing import Any, Final, NamedTuple, Protocol

from dispatcher._ext.session import Incoming
from dispatcher.smpp.connection import Connection

COUNTERS: Final = (
    "octets_in",
    "octets_out",
    "pushed",
    "answered",
    "received",
    "late",
    "duplicate",
    "unknown",
    "mismatched",
    "malformed",
    "enquiries",
)
"""Of the exchange, summed over all connections of the account."""


class Alarm(StrEnum):
    """What needs a human, or soon may."""

    CREDENTIALS = "credentials"
    ALREADY_BOUND = "already_bound"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TLS = "tls"
    UNSTABLE = "unstable"
    STUCK = "stuck"
    CIRCUIT = "circuit"
    MALFORMED = "malformed"
    UNMATCHED = "unmatched"


class Owner(Protocol):
    """Who owns a pool: the lane of a carrier. Everything comes in batches; nothing here may raise."""

    def on_answers(self, handles: list[Any], statuses: list[int], ids: list[bytes | None]) -> None:
        """Take answers: three lists of equal length, in the order of arrival."""

    def on_late(self, late: list[tuple[Any, int, bytes | None]]) -> None:
        """Take answers to what was reported as unanswered."""

    def on_unanswered(self, handles: list[Any]) -> None:
        """Take what has an unknown outcome."""

    def on_unsent(self, handles: list[Any]) -> None:
        """Take what never left: it may be submitted again, and is no duplicate then."""

    def on_incoming(self, source: Connection, incoming: list[Incoming]) -> None:
        """Take receipts and messages; give both back to `Pool.acknowledge` once they are stored."""

    def on_room(self) -> None:
        """Learn that there may be more room. (After answers there is, too.)"""

    def on_alarm(self, kind: Alarm, detail: str) -> None:
        """Learn of trouble, once; `detail` is for humans and holds no personal data."""

    def on_clear(self, kind: Alarm) -> None:
        """Learn that the trouble is over."""


class BindState(NamedTuple):
    """One bind, for metrics and for operators."""

    number: int
    command_id: int
    stage: str
    generation: int
    window: int
    in_flight: int
    room: int
    oldest_ms: int
    """Age of the oldest unanswered request; 0: none."""
    unacknowledged: int
    turned_away: int
    last_reason: str


class PoolState(NamedTuple):
    """The account at one moment."""

    generation: int
    room: int
    binds: tuple[BindState, ...]
    alarms: dict[Alarm, str]
    counters: dict[str, int]
    closed_by: dict[str, int]
    """How often connections ended, by reason."""


class Alarms:
    """Alarms that stand, each told to the owner once, and once when it is over."""

    def __init__(self, owner: Owner) -> None:
        self.standing: dict[Alarm, str] = {}
        self._owner = owner

    def ring(self, kind: Alarm, detail: str) -> None:
        """Raise an alarm, if it does not stand already."""
        if kind not in self.standing:
            self.standing[kind] = detail
            self._owner.on_alarm(kind, detail)

    def clear(self, *kinds: Alarm) -> None:
        """End alarms, if they stand."""
        for kind in kinds:
            if self.standing.pop(kind, None) is not None:
                self._owner.on_clear(kind)
