"""The reconnect budget, the circuit and the slow start, under a clock that the tests turn by hand."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.smpp.backoff import BIND_TROUBLE, Backoff, Circuit, Reconnect, SlowStart, Trouble

MS, SECOND = 1_000_000, 1_000_000_000
ALL, PLAIN = Backoff(), Backoff(jitter=0.0)


def simulate(
    trouble: Trouble, seconds: int, random: float = 0.0, policy: Backoff | None = None
) -> list[float]:
    """Fail every attempt of an impatient caller; return when the attempts were, in seconds."""
    reconnect, now_ns, attempts = Reconnect(policy or Backoff(), lambda: random), 0, []
    while now_ns < seconds * SECOND:
        wait_ns = reconnect.wait_ns(now_ns)
        if wait_ns:
            now_ns += wait_ns
            continue
        reconnect.attempt(now_ns)
        attempts.append(now_ns / SECOND)
        reconnect.failed(trouble, now_ns)
    return attempts


def test_the_backoff_doubles_to_a_minute() -> None:
    """F38: 1, 2, 4 ... 60 s, and then every minute."""
    attempts = simulate(Trouble.CONNECT, 300, policy=PLAIN)
    gaps = [b - a for a, b in pairwise(attempts)]
    assert gaps == [1, 2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.parametrize("trouble", Trouble)
@pytest.mark.parametrize("random", [0.0, 0.5, 0.999])
def test_never_more_than_one_attempt_a_second(trouble: Trouble, random: float) -> None:
    """F38: whatever the trouble and the dice, the account as a whole tries once a second at most."""
    attempts = simulate(trouble, 600, random)
    assert all(b - a >= 1 for a, b in pairwise(attempts))
    if trouble not in (Trouble.CREDENTIALS, Trouble.ALREADY_BOUND):
        assert all(b - a <= 60 for a, b in pairwise(attempts))


def test_jitter_spreads_the_attempts_of_many() -> None:
    """Two accounts with other dice do not meet again and again."""
    assert simulate(Trouble.CONNECT, 300, 0.1) != simulate(Trouble.CONNECT, 300, 0.9)


@pytest.mark.parametrize("random", [0.0, 0.999])
def test_wrong_credentials_make_no_storm(random: float) -> None:
    """F39: one attempt in the first minute, ten in any hour at most; and it does not give up either."""
    attempts = simulate(Trouble.CREDENTIALS, 7200, random)
    assert sum(at < 60 for at in attempts) == 1
    for start in attempts:
        assert sum(start <= at < start + 3600 for at in attempts) <= 10
    assert len(attempts) >= 8


@pytest.mark.parametrize("status", [0x0E, 0x0F, 0x53])
def test_the_statuses_that_blame_the_credentials(status: int) -> None:
    """F39: password, system_id and system_type lock accounts out; 0x05 is another trouble."""
    assert BIND_TROUBLE[status] is Trouble.CREDENTIALS
    assert BIND_TROUBLE[5] is Trouble.ALREADY_BOUND
    assert 8 not in BIND_TROUBLE


def test_already_bound_pauses_one_bind_and_not_the_others() -> None:
    """F40: 60 to 300 s for the bind that was refused; the account may go on after its spacing."""
    reconnect = Reconnect(PLAIN, lambda: 0.0)
    assert [reconnect.pause_ns(times) // SECOND for times in (1, 2, 3, 4, 50)] == [60, 120, 240, 300, 300]
    reconnect.attempt(0)
    reconnect.failed(Trouble.ALREADY_BOUND, 0)
    assert reconnect.wait_ns(0) == SECOND


def test_trouble_that_comes_together_counts_once() -> None:
    """F43: ten binds lost in one instant wait as long as one."""
    reconnect = Reconnect(PLAIN, lambda: 0.0)
    for _ in range(10):
        reconnect.failed(Trouble.LOST, 0)
    assert reconnect.wait_ns(0) == SECOND
    reconnect.failed(Trouble.LOST, SECOND)
    assert reconnect.wait_ns(SECOND) == 2 * SECOND


def test_flapping_does_not_reset_the_backoff_and_stability_does() -> None:
    """F42: a bind that is accepted and lost again climbs on; one that lasted starts from the bottom."""
    reconnect, now_ns, gaps = Reconnect(PLAIN, lambda: 0.0), 0, []
    for _ in range(6):
        reconnect.attempt(now_ns)
        reconnect.bound()
        reconnect.failed(Trouble.LOST, now_ns + 1)
        gaps.append(reconnect.wait_ns(now_ns + 1) // SECOND)
        now_ns += reconnect.wait_ns(now_ns) + SECOND
    assert gaps == [1, 2, 4, 8, 16, 32]
    reconnect.bound()
    reconnect.stable()
    reconnect.failed(Trouble.LOST, now_ns)
    assert reconnect.wait_ns(now_ns) == SECOND


def test_lost_binds_do_not_shorten_a_wait_for_credentials() -> None:
    """F39: other trouble meanwhile leaves the longer wait in force; a changed account ends it."""
    reconnect = Reconnect(PLAIN, lambda: 0.0)
    reconnect.failed(Trouble.CREDENTIALS, 0)
    reconnect.failed(Trouble.LOST, SECOND)
    assert reconnect.wait_ns(0) == 61 * SECOND
    reconnect.reset(PLAIN)
    assert reconnect.wait_ns(0) == 0


@given(random=st.floats(0, 0.999), level=st.integers(1, 300))
@settings(deadline=None)
def test_any_number_of_failures_stays_in_range(random: float, level: int) -> None:
    """However long the trouble lasts, waits stay between their bounds."""
    reconnect, now_ns = Reconnect(Backoff(), lambda: random), 0
    for _ in range(level):
        reconnect.failed(Trouble.CONNECT, now_ns)
        assert 0.75 * SECOND <= reconnect.wait_ns(now_ns) <= 60 * SECOND
        now_ns += reconnect.wait_ns(now_ns)


def test_the_circuit_opens_after_repeated_failure() -> None:
    """F31: the third stuck window opens it, a minute later one may probe, and an answer closes it."""
    circuit = Circuit(PLAIN)
    assert [circuit.stuck(0), circuit.stuck(0), circuit.stuck(0)] == [False, False, True]
    assert circuit.wait_ns(0) == 60 * SECOND
    assert not circuit.stuck(SECOND)  # open already: other binds that get stuck do not lengthen it
    assert circuit.wait_ns(60 * SECOND) == 0
    assert circuit.stuck(61 * SECOND)
    assert circuit.wait_ns(61 * SECOND) == 120 * SECOND
    assert circuit.answered()
    assert circuit.closed
    assert not circuit.answered()
    assert not circuit.stuck(62 * SECOND)


def test_answers_in_between_keep_the_circuit_closed() -> None:
    """A window that is stuck now and then, with answers in between, is no reason to stop."""
    circuit = Circuit(PLAIN)
    for _ in range(10):
        assert not circuit.stuck(0)
        assert not circuit.stuck(0)
        circuit.answered()


def test_slow_start() -> None:
    """F42: nothing in the first second, then one until it is answered, then twice as many each step."""
    slow = SlowStart(Backoff(), 10 * SECOND)
    assert slow.allowed(10 * SECOND, 100) == 0
    assert slow.next_ns(10 * SECOND, 100) == 11 * SECOND
    assert slow.allowed(11 * SECOND - 1, 100) == 0
    assert slow.allowed(11 * SECOND, 100) == 1
    assert slow.allowed(100 * SECOND, 100) == 1
    assert slow.next_ns(100 * SECOND, 100) == -1
    slow.answered(100 * SECOND)
    slow.answered(101 * SECOND)
    now_ns, allowed = 100 * SECOND, []
    while now_ns > 0:
        allowed.append(slow.allowed(now_ns, 100))
        assert slow.allowed(slow.next_ns(now_ns, 100) - 1, 100) == allowed[-1] or allowed[-1] == 100
        now_ns = slow.next_ns(now_ns, 100)
    assert allowed == [2, 4, 8, 16, 32, 64, 100]
    assert slow.allowed(10**18, 65_536) == 65_536


def test_slow_start_can_be_turned_off() -> None:
    """Without quiet and ramp, the whole window is there at once."""
    slow = SlowStart(Backoff(quiet_ms=0, ramp_ms=0), 5)
    assert slow.allowed(5, 70) == 70
    assert slow.next_ns(5, 70) == -1
