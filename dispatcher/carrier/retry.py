"""What becomes of a segment that was not accepted: one table from what happened to one decision.

Laws (PITFALLS 12, DESIGN law 3):

* throttles, errors of a session, and what never left, are no attempts;
* configuration errors pause the carrier and go to another one: they burn no messages;
* what the carrier calls our bug ends, loudly, and is never sent again;
* nothing is sent twice but after a submit without an answer, and then as the traffic class says;
* attempts are bounded, the deadline is kept, chance is an argument.

Pure: `decide` returns what is to be done and does nothing.
"""

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final, NamedTuple

from dispatcher.config import ClassPolicy
from dispatcher.model import Outcome, Reason
from dispatcher.smpp.constants import CommandStatus
from dispatcher.smpp.status import STATUSES, Disposition


class Cause(StrEnum):
    """What happened, where it was no refusal."""

    UNANSWERED = "unanswered"
    UNSENT = "unsent"


class Action(IntEnum):
    """What to do. A closed list."""

    NOW = 1
    """Again on this carrier, at the head of its lane."""
    LATER = 2
    """Again after `delay_ms`, on whichever carrier is fit then."""
    OTHER = 3
    """Now, on the next carrier of the route; all segments of the message go there."""
    HOLD = 4
    """Not again. Wait for a receipt until the receipt timer; without one the outcome is unknown."""
    FINISH = 5
    """The outcome and its reason."""


class Decision(NamedTuple):
    """What to do about one segment."""

    action: Action
    counts: bool = True
    """Whether it was an attempt."""
    delay_ms: int = 0
    outcome: Outcome | None = None
    reason: Reason | None = None
    pause_carrier: bool = False
    """Nothing more goes to this carrier until its circuit closes; an alarm."""
    dead_letter: bool = False
    """Keep the PDU for a human, and wake one."""


class Situation(NamedTuple):
    """Where a segment stands, what has just happened included."""

    attempts: int
    """That counted, over all carriers."""
    here: int
    """How often this same thing happened to it at this carrier, from 1."""
    carriers_tried: int
    """From 1."""
    carriers_left: int
    """Of its route, not yet tried."""
    unanswered: int
    """How often it was written and not answered."""
    left_ms: int
    """Until its deadline."""


@dataclass(slots=True)
class Trouble:
    """What has happened to one segment so far; lost in a restart, but for the attempts."""

    carrier: int
    """Where it was, or its siblings are."""
    tried: set[int] = field(default_factory=set)
    cause: object = None
    here: int = 0
    """How often this cause came in a row, at this carrier."""
    unanswered: int = 0


class Row(NamedTuple):
    """What a cause leads to, in the order of the fields; see `decide`."""

    counts: bool = True
    here_max: int = 0
    """Tries again on this carrier; 0: none."""
    delay_ms: int = 0
    """Before the first of them; doubled each time. 0: at once."""
    delay_most_ms: int = 0
    others_max: int = 0
    """Other carriers after that."""
    outcome: Outcome | None = None
    """At the end; None: wait for a carrier to be put right, as long as the deadline lasts."""
    reason: Reason = Reason.REFUSED
    pause_carrier: bool = False
    dead_letter: bool = False


ALWAYS: Final = 1_000_000_000
"""As often as the deadline allows."""
ALL: Final = 1_000_000
"""Every carrier of the route."""
WAIT_MS: Final = 60_000
"""Before a message is offered again to carriers that all need a human."""
JITTER: Final = 0.25
"""The most that a delay is lengthened by: what failed together does not come back together (F67)."""

ROWS: Final[dict[Disposition | Cause, Row]] = {
    Disposition.THROTTLE: Row(counts=False, here_max=ALWAYS),
    Disposition.SESSION: Row(counts=False, here_max=ALWAYS),
    Cause.UNSENT: Row(counts=False, here_max=ALWAYS),
    Disposition.RETRY_LATER: Row(
        here_max=2, delay_ms=30_000, delay_most_ms=120_000, others_max=ALL, outcome=Outcome.UNDELIVERED
    ),
    Disposition.OTHER_ROUTE: Row(others_max=1, outcome=Outcome.UNDELIVERED),
    Disposition.PERMANENT: Row(outcome=Outcome.REJECTED),
    Disposition.CONFIG: Row(counts=False, others_max=ALL, pause_carrier=True),
    Disposition.OUR_BUG: Row(outcome=Outcome.REJECTED, reason=Reason.OUR_BUG, dead_letter=True),
    Disposition.UNKNOWN: Row(others_max=1, outcome=Outcome.UNDELIVERED),
    Disposition.NOT_APPLICABLE: Row(others_max=1, outcome=Outcome.UNDELIVERED),
}
"""By what happened. UNANSWERED has no row: the traffic class decides, in `_unanswered`. Nor has OK."""

STATUS_ROWS: Final[dict[int, Row]] = {
    # One full mailbox, or the SMSC: this message steps back, 5 to 60 s, and is never given up for it.
    CommandStatus.ESME_RMSGQFUL: Row(counts=False, here_max=ALWAYS, delay_ms=5_000, delay_most_ms=48_000),
    # Not registered at this operator: true of the sender, not of the carrier.
    CommandStatus.ESME_RINVSRCADR: Row(others_max=ALL, outcome=Outcome.REJECTED),
    # The number may have been ported to where another carrier reaches it.
    CommandStatus.ESME_RINVDSTADR: Row(others_max=1, outcome=Outcome.REJECTED),
    CommandStatus.ESME_RX_P_APPN: Row(outcome=Outcome.UNDELIVERED),
    CommandStatus.ESME_RSUBMITFAIL: Row(
        here_max=1, delay_ms=5_000, delay_most_ms=5_000, others_max=1, outcome=Outcome.UNDELIVERED
    ),
    CommandStatus.ESME_RX_T_APPN: Row(
        here_max=3, delay_ms=30_000, delay_most_ms=120_000, others_max=ALL, outcome=Outcome.UNDELIVERED
    ),
    CommandStatus.ESME_RUNKNOWNERR: Row(
        here_max=1, delay_ms=5_000, delay_most_ms=5_000, others_max=1, outcome=Outcome.UNDELIVERED
    ),
    # This one message's validity is out of the SMSC's range: no reason to stop the others.
    CommandStatus.ESME_RINVEXPIRY: Row(others_max=ALL, outcome=Outcome.REJECTED),
}
"""By command_status, where one asks for more than its disposition says. A carrier that overrides the
disposition of a status means its row in ROWS."""


def decide(
    cause: Disposition | Cause,
    policy: ClassPolicy,
    at: Situation,
    *,
    command_status: int = 0,
    random: float = 0.0,
) -> Decision:
    """Return what becomes of a segment after `cause`; `random` is from 0 to below 1. ValueError: OK."""
    if cause is Disposition.OK:
        raise ValueError("an accepted segment is not tried again")
    if cause is Cause.UNANSWERED:
        return _unanswered(policy, at)
    row = row_of(cause, command_status)
    decision = _decide(row, policy, at, random)
    return decision._replace(counts=row.counts, pause_carrier=row.pause_carrier, dead_letter=row.dead_letter)


def row_of(cause: Disposition | Cause, command_status: int = 0) -> Row:
    """Return the row of a refusal: of its status, unless the carrier's profile judges that otherwise."""
    known = STATUSES.get(command_status)
    if known is not None and known.disposition is cause and command_status in STATUS_ROWS:
        return STATUS_ROWS[command_status]
    return ROWS[cause]


def _decide(row: Row, policy: ClassPolicy, at: Situation, random: float) -> Decision:
    if row.dead_letter:
        return _finish(row.outcome, row.reason)
    again, other = at.here <= row.here_max, at.carriers_tried <= row.others_max and at.carriers_left > 0
    if not again and not other and row.outcome is not None:
        return _finish(row.outcome, row.reason)
    if at.left_ms <= 0:
        return _finish(Outcome.EXPIRED, Reason.DEADLINE)
    if row.counts and at.attempts >= policy.attempts:
        return _finish(Outcome.UNDELIVERED, Reason.ATTEMPTS)
    if again and not row.delay_ms:
        return Decision(Action.NOW)
    if again:
        delay_ms = min(row.delay_ms << min(at.here - 1, 20), row.delay_most_ms)
        return _later(delay_ms, at, random)
    if other:
        return Decision(Action.OTHER)
    return _later(WAIT_MS, at, random)


def _unanswered(policy: ClassPolicy, at: Situation) -> Decision:
    """Law 3, here and nowhere else: it may have been taken, so that sending it again may double it."""
    if policy.on_unknown == "resend" and at.left_ms > 0 and at.attempts < policy.attempts:
        return Decision(Action.NOW)
    once = at.unanswered == 1 and at.attempts < policy.attempts
    if policy.on_unknown == "grace" and once and at.left_ms > policy.grace_ms:
        return Decision(Action.LATER, delay_ms=policy.grace_ms)
    return Decision(Action.HOLD)


def _finish(outcome: Outcome | None, reason: Reason) -> Decision:
    return Decision(Action.FINISH, outcome=outcome, reason=reason)


def _later(delay_ms: int, at: Situation, random: float) -> Decision:
    """Lengthen a delay by chance; the deadline, where it is sooner, ends it."""
    return Decision(Action.LATER, delay_ms=min(int(delay_ms * (1 + JITTER * random)), at.left_ms))
