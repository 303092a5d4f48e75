"""What a running dispatcher says of itself at one moment: values for the admin port, metrics and `top`.

Counters count from the start of the process; a rate is the difference of two states. Times end in their unit.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from dispatcher.model import TrafficClass

CLASSES: Final = tuple(each.name.lower() for each in TrafficClass)
"""Names of the traffic classes, most urgent first."""


class Times(Struct, frozen=True, gc=False):
    """A histogram of durations. `counts` by bin, up to the last that holds something: see _ext.meters."""

    counts: Sequence[int] = ()
    sum_us: int = 0

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.counts)

    def since(self, before: "Times") -> "Times":
        """Return what was added since an earlier state."""
        known = [*before.counts, *[0] * (len(self.counts) - len(before.counts))]
        counts = [now - then for now, then in zip(self.counts, known, strict=False)]
        return Times(counts, self.sum_us - before.sum_us)


class BindState(Struct, frozen=True, gc=False):
    """One bind of a carrier; `stage` is down, connecting, bound or retiring."""

    number: int
    kind: str
    stage: str
    window: int
    in_use: int
    room: int
    oldest_ms: int
    """Of the oldest unanswered request."""
    turned_away: int
    """deliver_sm that were sent back, as too many waited to be stored."""


class QueueState(Struct, frozen=True, gc=False):
    """What waits for one carrier in one traffic class."""

    waiting: int
    """Messages, about: of those in memory, segments."""
    oldest_ms: int
    """How long the one that waits longest has waited."""
    waited: Times
    """From acceptance, or from when it was to be sent, until a segment was written for the first time."""
    taken: int
    """Segments that the carrier took."""
    awaiting: int
    """Segments that await their receipt."""


class CarrierState(Struct, frozen=True, gc=False):
    """One carrier account."""

    name: str
    is_paused: bool
    is_bound: bool
    tps_max: float
    """As configured."""
    tps: float
    """As the carrier allows just now."""
    window: int
    """Over all binds, were they up."""
    throttles: int
    binds: list[BindState]
    queues: dict[str, QueueState]
    """By traffic class."""
    answered_after: Times
    receipts_after: Times
    """From the answer to the final receipt."""
    events: dict[str, int]
    """What was written into the journal of this carrier, by kind."""
    refusals: dict[str, int]
    """By command_status."""
    receipts: dict[str, int]
    """Those that told something new, by message_state."""
    alarms: list[str]
    sessions: dict[str, int]
    """Counters of the connections: octets_in, octets_out, late, unknown, malformed ..."""
    closed_by: dict[str, int]
    """Connections that ended, and attempts that came to nothing, by reason."""
    switch: str = "on"
    """What an operator wants of it: on, paused, draining, drained; leaving: it is configured no more."""

    @property
    def in_use(self) -> int:
        """Unanswered submit_sm."""
        return sum(bind.in_use for bind in self.binds)

    @property
    def binds_up(self) -> int:
        """How many binds are bound."""
        return sum(bind.stage == "bound" for bind in self.binds)


class ClassState(Struct, frozen=True, gc=False):
    """One traffic class, over all carriers."""

    outcomes: dict[str, dict[str, int]]
    """By outcome and reason."""
    ended_after: Times
    """From acceptance to the outcome; of messages that were to be sent later nothing is here."""

    @property
    def ended(self) -> int:
        """Messages that have their outcome."""
        return sum(sum(reasons.values()) for reasons in self.outcomes.values())


class StoreState(Struct, frozen=True, gc=False):
    """The journal and what is made of it."""

    state: str
    """ok, full (nothing new is taken) or failed."""
    commits: int
    records: int
    octets: int
    """Of what was committed."""
    commit_s: float
    commits_within: list[int]
    """By bins with the bounds of metrics.COMMIT_BOUNDS_S."""
    commit_waiting_s: float
    """How long the commit under way has taken."""
    refused: int
    queue_appends: int
    queue_octets: int
    free_octets: int
    classes_accepted: int
    """For how many traffic classes, most urgent first, the disk has room."""
    lag_rows: int
    """What the projection, from which status and search are answered, has not folded yet."""
    snapshots: int
    snapshot_age_s: float


class State(Struct, frozen=True, kw_only=True, gc=False):
    """Everything at one moment."""

    at_ms: int
    uptime_s: float
    version: str
    stage: str
    """running, draining, failed or closed."""
    accepted: dict[str, dict[str, int]]
    """Messages by source, which is an API key's name, and traffic class."""
    refused: dict[str, int]
    """At the door, by code."""
    repeated: int
    carriers: list[CarrierState]
    classes: dict[str, ClassState]
    """By traffic class; unknown: those that ended after a restart for want of their record."""
    store: StoreState
    scheduled: int
    outstanding: int
    """Segments that await a receipt."""
    parked: int
    """Receipts that match nothing yet."""
    receipts: dict[str, int]
    """matched, duplicate, overruled, ambiguous, unmatched, orphaned, unmapped; corrected outcomes."""
    more: dict[str, list[tuple[list[str], float]]]
    """What others count: metrics of the table, their values with labels."""


class Check(Struct, frozen=True, gc=False):
    """One thing that readiness depends on."""

    name: str
    is_ok: bool
    detail: str
