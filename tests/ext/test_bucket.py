"""The token bucket against its laws: the window, the use, the waits. No clock: every time is an argument."""

from bisect import bisect_left
from collections import deque
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher._ext.bucket import NEVER, TPS_MAX, Bucket, spin
from dispatcher.errors import ConfigError

SECOND = 1_000_000_000
MS = 1_000_000
RATES = (1, 3, 100, 20_000, 1_000_000)
ALONE = (0.0, 0.0, 0.0, 0.0)

# Gaps between calls: dense, around a slot, around the pace, around the second, and long idle times.
gaps = st.one_of(
    st.integers(0, 3 * MS),
    st.sampled_from([0, 1, MS - 1, MS, MS + 1, SECOND - MS, SECOND - 1, SECOND, SECOND + 1, 1001 * MS]),
    st.integers(0, 2 * SECOND),
    st.integers(0, 10**15),
)
wanted = st.one_of(st.integers(0, 5), st.integers(0, 2_000_000), st.just(10**15))
calls = st.lists(st.tuples(gaps, wanted, st.integers(0, 3)), min_size=1, max_size=120)


def most_in_a_second(grants: list[tuple[int, int]]) -> int:
    """The slow, obvious oracle: the fullest half-open span of one second, over grants (time, tokens)."""
    times = [time for time, _ in grants]
    most = 0
    for index, (time, _) in enumerate(grants):
        first = bisect_left(times, time - SECOND + 1)
        most = max(most, sum(tokens for _, tokens in grants[first : index + 1]))
    return most


@pytest.mark.parametrize("tps", RATES)
@given(start=st.integers(0, 10**18), plan=calls)
@settings(max_examples=80, deadline=None)
def test_no_span_of_a_second_holds_more_than_the_tps(
    tps: int, start: int, plan: list[tuple[int, int, int]]
) -> None:
    """Whatever the times, amounts and classes of the calls, no sliding second holds more than TPS tokens."""
    bucket, now, grants = Bucket(start, tps), start, []
    for gap, n, traffic_class in plan:
        now += gap
        granted = bucket.take(now, n, traffic_class)
        assert 0 <= granted <= n
        grants.append((now, granted))
    assert most_in_a_second(grants) <= tps


@pytest.mark.parametrize("tps", RATES)
@given(step=st.integers(1, 3 * MS), offset=st.integers(0, SECOND), idle=st.integers(0, 10**13))
@settings(max_examples=12, deadline=None)
def test_a_greedy_poller_never_passes_the_tps(tps: int, step: int, offset: int, idle: int) -> None:
    """Polled at any even pace, before and after an idle time, the fullest second holds at most TPS tokens."""
    bucket, grants = Bucket(0, tps), []
    for start in (offset, offset + 2 * SECOND + idle):
        for index in range(min(3000, 2 * SECOND // step)):
            now = start + index * step
            grants.append((now, bucket.take(now, 10**9, index % 4)))
    recent: deque[tuple[int, int]] = deque()
    total = 0
    for now, granted in grants:
        recent.append((now, granted))
        total += granted
        while recent[0][0] <= now - SECOND:
            total -= recent.popleft()[1]
        assert total <= tps


@pytest.mark.parametrize("tps", RATES)
@pytest.mark.parametrize("traffic_class", [0, 3])
def test_at_least_99_percent_is_used_when_polled_every_millisecond(tps: int, traffic_class: int) -> None:
    """While there is work, a poll each millisecond grants 99 % of the rate or more, over a minute."""
    bucket = Bucket(5 * SECOND, tps)
    granted = spin(bucket, 6 * SECOND, MS, 60_000, 10**9, traffic_class)
    assert 0.99 * 60 * tps <= granted <= 60 * tps + min(tps, 1 + tps // 50)


@given(tps=st.integers(1, 5000), seed=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_calls_that_come_a_little_late_lose_nothing(tps: int, seed: int) -> None:
    """Polls up to 4 ms late (the loop may stall that long) still use 98.9 % of any rate over 20 seconds."""
    bucket, late, granted = Bucket(0, tps), Random(seed), 0
    for index in range(5000):
        granted += bucket.take(index * 4 * MS + late.randrange(4 * MS), 10**9, 0)
    assert granted >= 0.989 * 20 * tps - 1


def test_after_idle_time_it_flows_and_does_not_burst() -> None:
    """After an hour of idleness only one token and 20 ms of flow go at once, not a second's worth."""
    bucket = Bucket(0, 1000, reserved=ALONE)
    assert bucket.take(3600 * SECOND, 10**9, 0) == 21
    assert bucket.take(3600 * SECOND + MS, 10**9, 0) == 1


def test_tokens_are_spread_over_the_second() -> None:
    """Three a second go a third of a second apart, not three at once."""
    bucket, times = Bucket(0, 3), []
    for now in range(0, 10 * SECOND, MS):
        times += [now] * bucket.take(now, 5, 0)
    assert all(b - a > 300 * MS for a, b in pairwise(times))
    assert len(times) >= 30


@given(
    tps=st.sampled_from([0.05, 0.5, 1, 3, 100, 20_000, 1_000_000]),
    plan=calls,
    n=st.integers(1, 2_000_000),
    traffic_class=st.integers(0, 3),
)
@settings(max_examples=300, deadline=None)
def test_when_is_the_first_moment_that_grants(
    tps: float, plan: list[tuple[int, int, int]], n: int, traffic_class: int
) -> None:
    """Fewer than n are granted before `when` has passed, and at least one is granted then.

    Only authorization may find its own reserve free again a little earlier than told.
    """
    bucket, now = Bucket(0, tps), 0
    for gap, amount, asking in plan:
        now += gap
        bucket.take(now, amount, asking)
    for other in {0, 1, 2, 3} - {traffic_class}:
        bucket.take(now, 0, other)  # nobody else earns a minimum meanwhile
    ns = bucket.when(now, n, traffic_class)
    assert 0 <= ns < NEVER
    if ns > 1 and traffic_class > 0:
        assert bucket.take(now + ns - 1, n, traffic_class) < n
    else:
        assert bucket.take(now + ns, n, traffic_class) >= 1


@given(tps=st.sampled_from([0.05, 0.5, 1, 3, 100, 20_000]), traffic_class=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_who_sleeps_until_when_always_gets_a_token(tps: float, traffic_class: int) -> None:
    """A caller that sleeps exactly as long as told gets at least one token at each call, at the full rate."""
    bucket, now, granted, calls = Bucket(0, tps), 0, 0, 0
    while calls < 200:
        now += bucket.when(now, 1, traffic_class)
        got = bucket.take(now, 1, traffic_class)
        assert got == 1
        granted, calls = granted + got, calls + 1
    assert granted / (now / SECOND) >= 0.985 * tps


@given(
    plan=calls,
    tps=st.sampled_from([3, 100, 20_000]),
    kept=st.lists(st.booleans(), min_size=120, max_size=120),
)
@settings(max_examples=200, deadline=None)
def test_given_back_tokens_do_not_break_the_law(
    plan: list[tuple[int, int, int]], tps: int, kept: list[bool]
) -> None:
    """Tokens returned with the time of their taking can be taken again, and what is sent stays within TPS."""
    bucket, now, sent = Bucket(0, tps), 0, []
    pending: list[tuple[int, int, int]] = []
    for (gap, n, traffic_class), keep in zip(plan, kept, strict=False):
        now += gap
        granted = bucket.take(now, n, traffic_class)
        if keep:
            sent.append((now, granted))
            for taken_ns, amount, owner in pending:
                bucket.give_back(taken_ns, amount, owner)
            pending.clear()
        else:
            pending.append((now, granted, traffic_class))
    assert most_in_a_second(sent) <= tps


def test_giving_back_makes_room_at_once() -> None:
    """A whole second's tokens, given back, may be taken again in the same second; no more if twice."""
    bucket = Bucket(0, 100, reserved=ALONE)
    taken = [(now, bucket.take(now, 10, 0)) for now in range(SECOND, 2 * SECOND, MS)]
    now = 2 * SECOND - MS
    assert sum(n for _, n in taken) == 100
    assert bucket.take(now, 1, 0) == 0
    for time, n in taken * 2:
        bucket.give_back(time, n, 0)
    assert bucket.used(now) == (0, 0, 0, 0)
    assert bucket.take(now, 10**9, 0) == 3
    bucket.give_back(now + SECOND, 1, 0)  # not yet
    bucket.give_back(now - 5 * SECOND, 1, 0)  # long ago
    bucket.give_back(now, -5, 0)
    assert bucket.used(now) == (3, 0, 0, 0)


@given(
    plan=st.lists(
        st.tuples(st.integers(0, 700 * MS), st.sampled_from([0, 0.3, 1, 7, 100, 5000])), max_size=60
    )
)
@settings(max_examples=150, deadline=None)
def test_changing_the_rate_keeps_the_law(plan: list[tuple[int, float]]) -> None:
    """Through any changes of the rate, each second holds at most the rate in force at its last grant."""
    bucket, now, grants = Bucket(0, 100), 0, [(0, 0)]
    for gap, tps in plan:
        now += gap
        bucket.set_rate(now, tps)
        assert bucket.tps == tps
        granted = bucket.take(now, 10**9, 0)
        if granted:
            last_second = sum(n for time, n in grants if time > now - SECOND)
            assert last_second + granted <= max(1, tps)
        grants.append((now, granted))


def test_a_rate_of_zero_pauses() -> None:
    """Nothing is granted at rate 0, `when` says never, and the flow resumes without a burst."""
    bucket = Bucket(0, 1000, reserved=ALONE)
    bucket.set_rate(0, 0)
    assert spin(bucket, 0, MS, 5000, 100, 0) == 0
    assert bucket.when(5 * SECOND, 1, 0) == NEVER
    bucket.set_rate(6 * SECOND, 1000)
    assert bucket.take(6 * SECOND, 100, 0) == 0
    assert bucket.take(6 * SECOND + MS, 100, 0) == 1


def test_huge_times_do_not_overflow() -> None:
    """The largest rate, every reserve spent, a century of idleness and the last int64 moment: all sane."""
    bucket = Bucket(0, TPS_MAX, reserved=(0.9, 0.0, 0.0, 0.0))
    assert bucket.take(1, 2**63 - 1, 0) == pytest.approx(0.9 * TPS_MAX, rel=0.001)
    assert bucket.when(1, 2**63 - 1, 3) > 0
    assert bucket.take(2 * SECOND, 2**63 - 1, 0) > 0
    assert bucket.take(2**61, 1, 3) == 1
    assert bucket.take(2**63 - 1, 1, 3) == 1
    assert bucket.when(2**63 - 1, 2**63 - 1, 3) < NEVER
    assert bucket.take(5, 1, 3) == 1  # a time that went back counts as the latest
    slow = Bucket(0, 0.001)
    assert slow.take(0, 1, 0) == 1
    assert slow.when(0, 1, 0) == pytest.approx(1000 * SECOND, rel=0.001)
    assert slow.take(2**61, 5, 0) == 1


@pytest.mark.parametrize("tps", [-1, TPS_MAX + 1, float("nan")])
def test_a_rate_that_cannot_be_is_refused(tps: float) -> None:
    """A negative, too large or undefined rate is a ConfigError that says what was expected."""
    with pytest.raises(ConfigError, match="expected 0"):
        Bucket(0, tps)


@pytest.mark.parametrize("parts", [(0.1,), (0.5, 0.5, 0.0, 0.0), (-0.1, 0.0, 0.0, 0.0)])
def test_shares_that_cannot_be_are_refused(parts: tuple[float, ...]) -> None:
    """Shares must be four, not negative, and leave something to share."""
    with pytest.raises(ConfigError, match="four shares"):
        Bucket(0, 1, reserved=parts)
    with pytest.raises(ConfigError, match="four shares"):
        Bucket(0, 1, minimum=parts)


def test_wrong_calls_are_errors() -> None:
    """A traffic_class outside 0 to 3 or a negative start is a broken contract, not a grant."""
    bucket = Bucket(0, 1)
    for call in (bucket.take, bucket.when, bucket.give_back):
        with pytest.raises(ValueError, match="traffic_class"):
            call(0, 1, 4)
    with pytest.raises(ValueError, match="monotonic"):
        Bucket(-1, 1)
    assert repr(bucket) == "<Bucket 0 of 1 in the last second, pace 1/s>"
