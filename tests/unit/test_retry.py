"""What becomes of a segment: every status of the table, every class, every law of retrying."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.carrier.retry import (
    ALWAYS,
    JITTER,
    ROWS,
    STATUS_ROWS,
    WAIT_MS,
    Action,
    Cause,
    Decision,
    Situation,
    decide,
)
from dispatcher.config import Classes, ClassPolicy
from dispatcher.model import Outcome, Reason, TrafficClass
from dispatcher.smpp.status import NOT_AN_ATTEMPT, STATUSES, Disposition

CLASSES = Classes()
FRESH = Situation(attempts=1, here=1, carriers_tried=1, carriers_left=2, unanswered=0, left_ms=3_600_000)
CAUSES = [*(each for each in Disposition if each is not Disposition.OK), *Cause]
STATUS_IDS = [code for code, row in STATUSES.items() if row.disposition is not Disposition.OK]


def after(command_status: int, at: Situation = FRESH, policy: ClassPolicy = CLASSES.service) -> Decision:
    """Return the decision for a status as the standard table judges it."""
    return decide(STATUSES[command_status].disposition, policy, at, command_status=command_status)


def walk(command_status: int, carriers: int = 3) -> tuple[list[Action], Decision]:
    """Let every submit of one segment end in the same status; return what was done, and the end of it."""
    done: list[Action] = []
    attempts, here, tried = 0, 0, 1
    while True:
        here += 1
        at = Situation(attempts + 1, here, tried, carriers - tried, 0, 3_600_000)
        decision = after(command_status, at)
        attempts += decision.counts
        done.append(decision.action)
        if decision.action is Action.FINISH or len(done) == 30:
            return done, decision
        if decision.action is Action.OTHER:
            tried, here = tried + 1, 0


def test_every_disposition_and_cause_has_a_row_or_a_reason() -> None:
    """A new disposition cannot be forgotten."""
    assert set(ROWS) == set(CAUSES) - {Cause.UNANSWERED}
    with pytest.raises(ValueError, match="accepted"):
        decide(Disposition.OK, CLASSES.service, FRESH)


@pytest.mark.parametrize("command_status", STATUS_IDS, ids=hex)
def test_every_status_ends_as_its_action_says(command_status: int) -> None:
    """Against the words of the status table: what is rejected, failed, our bug, or waits for a human."""
    row = STATUSES[command_status]
    done, end = walk(command_status)
    if row.disposition in NOT_AN_ATTEMPT:
        assert set(done) <= {Action.NOW, Action.LATER}
    elif row.disposition is Disposition.OUR_BUG:
        assert done == [Action.FINISH]
        assert end == Decision(
            Action.FINISH, outcome=Outcome.REJECTED, reason=Reason.OUR_BUG, dead_letter=True
        )
    elif end.action is Action.FINISH:
        rejected = row.disposition is Disposition.PERMANENT or command_status in (0x0A, 0x62)
        failed = "finish as failed" in row.action
        expected = Outcome.REJECTED if rejected and not failed else Outcome.UNDELIVERED
        assert end.outcome is expected
        if "finish as rejected" in row.action:
            assert end.outcome is Outcome.REJECTED
        assert end.reason in (Reason.REFUSED, Reason.ATTEMPTS)
    else:
        assert row.disposition is Disposition.CONFIG
        assert end.pause_carrier


@pytest.mark.parametrize(
    ("command_status", "expected"),
    [
        (0x14, "LATER LATER LATER LATER LATER"),  # one full mailbox: as long as the deadline lasts
        (0x58, "NOW NOW NOW NOW NOW"),
        (0x04, "NOW NOW NOW NOW NOW"),
        (0x08, "LATER LATER OTHER FINISH"),  # 30 s, twice, then another one, until the attempts are spent
        (0x64, "LATER LATER LATER FINISH"),
        (0x45, "LATER OTHER LATER FINISH"),
        (0xFF, "LATER OTHER LATER FINISH"),
        (0xFE, "OTHER FINISH"),
        (0x0B, "OTHER FINISH"),
        (0x65, "FINISH"),
        (0x66, "FINISH"),
        (0x0A, "OTHER OTHER FINISH"),
        (0x48, "OTHER OTHER LATER LATER LATER"),
        (0x01, "FINISH"),
        (0x0C, "OTHER FINISH"),
    ],
)
def test_the_steps_of_a_status(command_status: int, expected: str) -> None:
    """On three carriers that all say the same, with the four attempts of service messages."""
    done, _ = walk(command_status)
    assert " ".join(action.name for action in done[:5]) == expected


def test_an_unknown_status_tries_one_other_carrier() -> None:
    """The vendors' range too: it burns neither the message nor the other carriers."""
    one = decide(Disposition.UNKNOWN, CLASSES.service, FRESH, command_status=0x42E)
    assert one.action is Action.OTHER
    two = decide(Disposition.UNKNOWN, CLASSES.service, FRESH._replace(carriers_tried=2), command_status=0x42E)
    assert (two.action, two.outcome, two.reason) == (Action.FINISH, Outcome.UNDELIVERED, Reason.REFUSED)


def test_a_carrier_that_judges_a_status_otherwise_is_believed() -> None:
    """0x45 as permanent ends at once, though the standard row would pause and go elsewhere."""
    decision = decide(Disposition.PERMANENT, CLASSES.service, FRESH, command_status=0x45)
    assert (decision.action, decision.outcome) == (Action.FINISH, Outcome.REJECTED)
    quota = decide(Disposition.CONFIG, CLASSES.service, FRESH, command_status=0x14)
    assert (quota.action, quota.pause_carrier) == (Action.OTHER, True)


@pytest.mark.parametrize("cause", [Disposition.THROTTLE, Disposition.SESSION, Cause.UNSENT])
def test_what_is_no_attempt_goes_to_the_head(cause: Disposition | Cause) -> None:
    """However often it happens; only the deadline ends it."""
    for policy in (CLASSES[number] for number in TrafficClass):
        for times in (1, 7, 1000):
            at = FRESH._replace(attempts=times, here=times)
            assert decide(cause, policy, at) == Decision(Action.NOW, counts=False)
        late = decide(cause, policy, FRESH._replace(left_ms=0))
        assert (late.action, late.outcome, late.reason) == (
            Action.FINISH,
            Outcome.EXPIRED,
            Reason.DEADLINE,
        )


def test_a_full_queue_backs_this_message_off_from_5_to_60_s() -> None:
    """Doubled each time, jitter included; never an attempt."""
    for random in (0.0, 0.5, 0.999):
        delays = []
        for times in range(1, 12):
            at = FRESH._replace(here=times)
            decision = decide(
                Disposition.THROTTLE, CLASSES.authorization, at, command_status=0x14, random=random
            )
            assert (decision.action, decision.counts) == (Action.LATER, False)
            delays.append(decision.delay_ms)
        assert delays == sorted(delays)
        assert 5_000 <= delays[0] < 6_250
        assert 48_000 <= delays[-1] <= 60_000


@pytest.mark.parametrize("command_status", [0x03, 0x15, 0x43, 0x48, 0x101, 0x103, 0x104])
def test_a_configuration_error_burns_no_message(command_status: int) -> None:
    """It pauses the carrier, goes to the others, and then waits: it is never an attempt and never final."""
    at = FRESH._replace(attempts=100)
    assert after(command_status, at) == Decision(Action.OTHER, counts=False, pause_carrier=True)
    alone = after(command_status, at._replace(carriers_left=0, carriers_tried=3, here=50))
    assert (alone.action, alone.counts, alone.pause_carrier) == (Action.LATER, False, True)
    assert alone.delay_ms == WAIT_MS
    late = after(command_status, at._replace(carriers_left=0, left_ms=-1))
    assert late.outcome is Outcome.EXPIRED


def test_a_sender_that_is_not_registered_pauses_nobody() -> None:
    """It says something about the sender at this carrier."""
    assert not after(0x0A).pause_carrier
    assert not after(0x62).pause_carrier


# ---- unanswered: law 3 ----


def test_authorization_resends_at_once_while_its_deadline_lasts() -> None:
    """Up to its attempts; then a receipt may still come."""
    policy = CLASSES.authorization
    for times in range(1, policy.attempts):
        at = FRESH._replace(attempts=times, unanswered=times, left_ms=1)
        assert decide(Cause.UNANSWERED, policy, at) == Decision(Action.NOW)
    spent = FRESH._replace(attempts=policy.attempts, unanswered=policy.attempts)
    assert decide(Cause.UNANSWERED, policy, spent).action is Action.HOLD
    assert decide(Cause.UNANSWERED, policy, FRESH._replace(unanswered=1, left_ms=0)).action is Action.HOLD


@pytest.mark.parametrize("policy", [CLASSES.transactional, CLASSES.service], ids=["transactional", "service"])
def test_transactional_and_service_wait_a_grace_and_resend_once(policy: ClassPolicy) -> None:
    """30 s for a late receipt, without jitter: it is a promise; not past the deadline; never a third time."""
    once = FRESH._replace(unanswered=1)
    assert decide(Cause.UNANSWERED, policy, once, random=0.9) == Decision(Action.LATER, delay_ms=30_000)
    assert decide(Cause.UNANSWERED, policy, once._replace(left_ms=30_000)).action is Action.HOLD
    assert decide(Cause.UNANSWERED, policy, once._replace(unanswered=2, attempts=2)).action is Action.HOLD
    assert decide(Cause.UNANSWERED, policy, once._replace(attempts=policy.attempts)).action is Action.HOLD


def test_marketing_is_never_sent_twice() -> None:
    """It holds at the first submit without an answer."""
    at = FRESH._replace(unanswered=1)
    assert decide(Cause.UNANSWERED, CLASSES.marketing, at) == Decision(Action.HOLD)


situations = st.builds(
    Situation,
    attempts=st.integers(1, 25),
    here=st.integers(1, 100),
    carriers_tried=st.integers(1, 8),
    carriers_left=st.integers(0, 7),
    unanswered=st.integers(1, 25),
    left_ms=st.integers(-(10**6), 31 * 86_400_000),
)


@given(
    st.sampled_from(CAUSES),
    st.sampled_from([0, *STATUSES, 0x42E]),
    st.sampled_from(list(TrafficClass)),
    situations,
    st.floats(0, 1, exclude_max=True),
)
def test_the_laws_hold_wherever_a_segment_stands(
    cause: Disposition | Cause, command_status: int, traffic_class: TrafficClass, at: Situation, random: float
) -> None:
    """Nothing is sent after its deadline or beyond its attempts; waits end in time; an end has a reason."""
    policy = CLASSES[traffic_class]
    decision = decide(cause, policy, at, command_status=command_status, random=random)
    sends_again = decision.action in (Action.NOW, Action.LATER, Action.OTHER)
    if sends_again:
        assert at.left_ms > 0
        assert 0 <= decision.delay_ms <= at.left_ms
        assert not decision.counts or at.attempts < policy.attempts
    assert (decision.action is Action.LATER) == (decision.delay_ms > 0)
    assert (
        (decision.action is Action.FINISH) == (decision.outcome is not None) == (decision.reason is not None)
    )
    if decision.action is Action.OTHER:
        assert at.carriers_left > 0
    if decision.action is Action.HOLD:
        assert cause is Cause.UNANSWERED
    if cause is Cause.UNANSWERED:
        assert decision.counts
        assert decision.action in (Action.NOW, Action.LATER, Action.HOLD)
    assert not decision.pause_carrier or cause is Disposition.CONFIG


def test_delays_are_spread() -> None:
    """What failed in the same second does not come back in one: F67."""
    for command_status, row in STATUS_ROWS.items():
        if row.here_max and row.delay_ms:
            disposition = STATUSES[command_status].disposition
            delays = {
                decide(disposition, CLASSES.service, FRESH, command_status=command_status, random=step / 100)
                for step in range(100)
            }
            assert len(delays) == 100
            assert max(each.delay_ms for each in delays) <= row.delay_ms * (1 + JITTER)
    assert ROWS[Disposition.THROTTLE].here_max == ALWAYS


def test_rows_of_statuses_know_their_status() -> None:
    """Each is one of the standard, and asks for something that its disposition does not."""
    for command_status, row in STATUS_ROWS.items():
        assert row != ROWS[STATUSES[command_status].disposition], hex(command_status)
        assert re.match(r"ESME_", STATUSES[command_status].name)
