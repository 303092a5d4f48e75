"""How the token bucket divides a carrier's rate among the traffic classes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher._ext.bucket import Bucket
from dispatcher.errors import ConfigError

SECOND = 1_000_000_000
MS = 1_000_000
NONE = (0.0, 0.0, 0.0, 0.0)


def poll(bucket: Bucket, seconds: float, demand: tuple[int, int, int, int], start: int = 0) -> list[int]:
    """Ask each millisecond, highest class first, each class for its demand; returns the grants by class."""
    granted = [0, 0, 0, 0]
    for now in range(start, start + int(seconds * SECOND), MS):
        for traffic_class, n in enumerate(demand):
            if n:
                granted[traffic_class] += bucket.take(now, n, traffic_class)
    return granted


def test_lower_classes_leave_the_reserve_alone() -> None:
    """A campaign that fills the rate leaves the reserve free; an authorization burst takes it at once."""
    bucket = Bucket(0, 1000, reserved=(0.2, 0.0, 0.0, 0.0))
    assert poll(bucket, 3, (0, 0, 0, 100))[3] == pytest.approx(3 * 800, rel=0.02)
    assert bucket.take(3 * SECOND, 500, 0) >= 200
    assert sum(bucket.used(3 * SECOND)) <= 1000


def test_reserves_may_change() -> None:
    """From the change on the new reserve is kept; what cannot be is refused and changes nothing."""
    bucket = Bucket(0, 1000, reserved=NONE)
    assert poll(bucket, 2, (0, 0, 0, 100))[3] >= 1900
    bucket.set_reserved(2 * SECOND, (0.5, 0.0, 0.0, 0.0))
    with pytest.raises(ConfigError, match="reserved"):
        bucket.set_reserved(2 * SECOND, (0.5, 0.5, 0.0, 0.0))
    assert poll(bucket, 4, (0, 0, 0, 100), 3 * SECOND)[3] == pytest.approx(4 * 500, rel=0.02)


def test_a_reserve_that_is_used_is_not_kept_twice() -> None:
    """Once the owner uses its reserve, the lower class has all the rest and nothing is wasted."""
    bucket = Bucket(0, 1000, reserved=(0.2, 0.0, 0.0, 0.0))
    granted = [0, 0]
    for now in range(0, 10 * SECOND, 5 * MS):
        granted[0] += bucket.take(now, 1, 0)
        granted[1] += bucket.take(now, 100, 3)
    assert granted[0] == 2000
    assert sum(granted) >= 0.99 * 10_000


def test_each_class_is_protected_from_those_below() -> None:
    """Transactional cannot touch the reserve of authorization, service neither of the two."""
    bucket = Bucket(0, 1000, reserved=(0.2, 0.1, 0.0, 0.0), minimum=NONE)
    poll(bucket, 2, (0, 0, 100, 0))
    assert bucket.used(2 * SECOND)[2] == pytest.approx(700, abs=15)
    poll(bucket, 2, (0, 100, 100, 0), 2 * SECOND)
    assert sum(bucket.used(4 * SECOND)) == pytest.approx(800, abs=15)


@pytest.mark.parametrize("tps", [1, 3, 100, 20_000])
def test_the_lowest_class_is_never_starved(tps: int) -> None:
    """While authorization takes all it can, marketing still gets its minimum, even at one token a second."""
    bucket = Bucket(0, tps, minimum=(0.0, 0.0, 0.0, 0.05))
    seconds = 120 if tps <= 3 else 10
    granted = poll(bucket, seconds, (10**6, 0, 0, 10**6))
    assert granted[3] >= 0.045 * tps * seconds - 1
    assert granted[3] <= 0.06 * tps * seconds + 1
    assert sum(granted) >= 0.99 * tps * seconds - 1


def test_every_lower_class_gets_its_own_minimum() -> None:
    """With all four classes saturated, each lower one gets its minimum and the highest all the rest."""
    bucket = Bucket(0, 1000)
    granted = poll(bucket, 20, (10**6,) * 4)
    for traffic_class, part in ((1, 0.05), (2, 0.02), (3, 0.01)):
        assert granted[traffic_class] == pytest.approx(part * 20_000, rel=0.1)
    assert sum(granted) >= 0.99 * 20_000


def test_a_minimum_costs_nothing_while_its_class_is_quiet() -> None:
    """Nothing is held back for a class that does not ask: authorization alone gets the whole rate."""
    assert poll(Bucket(0, 1000), 10, (10**6, 0, 0, 0))[0] >= 9_900


def test_withdrawn_and_forgotten_demand_holds_nothing() -> None:
    """A class that was refused and asks for 0, or does not come back, no longer holds a token from others."""
    for withdraw in (True, False):
        bucket = Bucket(0, 1, minimum=(0.0, 0.0, 0.0, 0.5))
        poll(bucket, 4, (0, 0, 0, 5))
        if withdraw:
            bucket.take(4 * SECOND, 0, 3)
        granted = poll(bucket, 12, (5, 0, 0, 0), 4 * SECOND)[0]
        assert granted >= (11 if withdraw else 9)


def test_an_authorization_code_does_not_wait_behind_a_campaign() -> None:
    """Under a flood of marketing a lone code is granted at its first call, or one token's time later."""
    for tps in (100, 20_000):
        bucket, waited = Bucket(0, tps), []
        for ms in range(5000):
            now = ms * MS
            if ms % 50 == 49:
                ns = bucket.when(now, 1, 0)
                assert bucket.take(now + ns, 1, 0) == 1
                waited.append(ns)
            bucket.take(now, 10**6, 3)
        assert max(waited) <= SECOND // tps + MS


@given(
    tps=st.sampled_from([1, 3, 100, 5_000]),
    shares=st.tuples(*[st.floats(0, 0.24)] * 4),
    guaranteed=st.tuples(*[st.floats(0, 0.24)] * 4),
    demand=st.tuples(*[st.sampled_from([0, 1, 3, 10**6])] * 4),
)
@settings(max_examples=40, deadline=None)
def test_any_shares_keep_the_law_and_starve_nobody(
    tps: int,
    shares: tuple[float, float, float, float],
    guaranteed: tuple[float, float, float, float],
    demand: tuple[int, int, int, int],
) -> None:
    """With any shares and any demand, TPS holds, and a class with work and a minimum gets some."""
    bucket = Bucket(0, tps, reserved=shares, minimum=guaranteed)
    granted = [0, 0, 0, 0]
    for now in range(0, 6 * SECOND, 2 * MS):
        for traffic_class, n in enumerate(demand):
            granted[traffic_class] += bucket.take(now, n, traffic_class)
        assert sum(bucket.used(now)) <= tps
    for traffic_class, n in enumerate(demand):
        if n:
            due = guaranteed[traffic_class] * tps * 6
            assert granted[traffic_class] >= 0.88 * min(due, n * 3000) - 3
