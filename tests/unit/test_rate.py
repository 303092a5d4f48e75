"""The adaptive rate in a closed loop with a model SMSC: virtual time, seeded, the real bucket."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from smsc_model import MS, SECOND, Account, Limit

from dispatcher.errors import ConfigError
from dispatcher.smpp.rate import GROWTH, PROBE_LARGEST, STORM_NS, TRIM_NS, AdaptiveRate


def outage(start_s: int, end_s: int) -> Limit:
    """An SMSC that throttles everything between two times."""

    class Outage(Limit):
        def __call__(self, now: int, random: Random) -> bool:
            return not start_s * SECOND < now < end_s * SECOND

    return Outage(0)


def throttling(share: float) -> Limit:
    """An SMSC that throttles a share of everything, however slowly it comes."""

    class Share(Limit):
        def __call__(self, now: int, random: Random) -> bool:
            return random.random() >= share

    return Share(0)


@pytest.mark.parametrize("tps", [1, 3, 10, 100, 2000])
@pytest.mark.parametrize("rtt_ms", [20, 200, 500])
def test_a_storm_leaves_a_probe_and_ends_within_a_minute(tps: int, rtt_ms: int) -> None:
    """100 % throttled: at 5 % of nominal within 3 s and until the end; at 90 % again 60 s later."""
    step_ns = 4 * MS
    account = Account(tps, outage(10, 100), rtt_ns=rtt_ms * MS, step_ns=step_ns)
    account.run(10)
    storm = account.run(90)
    assert max(storm[3 * SECOND // step_ns :]) <= PROBE_LARGEST * tps
    assert min(storm) >= 0.01 * tps
    after = account.run(60)
    assert after[-1] >= 0.9 * tps
    sent_at_probe = [time for time in account.throttled if time > 14 * SECOND]
    assert len(sent_at_probe) <= 90 * 0.05 * tps + 1


def test_ten_minutes_of_storm_are_as_harmless_as_one() -> None:
    """The probe does not decay nor the loop speed up: after ten minutes it is back within 60 s as well."""
    account = Account(100, outage(5, 605), step_ns=20 * MS)
    account.run(605)
    assert account.run(60)[-1] >= 90
    assert len(account.throttled) <= 200 + 600 * 2


@pytest.mark.parametrize(("share", "low", "high"), [(0.01, 0.97, 1.0), (0.03, 0.93, 1.0), (0.1, 0.35, 0.7)])
@pytest.mark.parametrize("rtt_ms", [20, 100, 500])
def test_steady_throttling_reaches_a_steady_rate(share: float, low: float, high: float, rtt_ms: int) -> None:
    """Where a share is throttled whatever the rate, cuts and growth balance, far above the probe."""
    account = Account(1000, throttling(share), rtt_ns=rtt_ms * MS, step_ns=4 * MS)
    account.run(60)
    rates = account.run(60)
    assert low <= sum(rates) / len(rates) / 1000 <= high
    assert min(rates) >= 0.3 * 1000


@pytest.mark.parametrize("limit", [300, 700, 900])
@pytest.mark.parametrize("rtt_ms", [20, 100, 500])
def test_the_smscs_true_limit_is_found_and_used(limit: int, rtt_ms: int) -> None:
    """An SMSC that takes less than the contract says is used to 94 % or more, with few throttles."""
    account = Account(1000, Limit(limit), rtt_ns=rtt_ms * MS, step_ns=4 * MS)
    account.run(20)
    accepted, throttled = len(account.accepted), len(account.throttled)
    account.run(60)
    assert len(account.accepted) - accepted >= 0.94 * 60 * limit
    assert len(account.throttled) - throttled <= (0.2 if limit == 300 else 0.07) * 60 * limit


def test_a_limit_that_falls_is_followed_in_seconds() -> None:
    """When the SMSC's limit falls to a fifth, the rate is near it within 5 s; when it returns, in 20 s."""
    limit = Limit(1000)
    account = Account(1000, limit, step_ns=4 * MS)
    assert account.run(10)[-1] == 1000
    limit.tps = 200
    account.run(5)
    assert account.rate.tps(account.now) <= 1.5 * 200
    limit.tps = 1000
    assert account.run(20)[-1] >= 950


def test_order_is_kept_through_throttling() -> None:
    """Throttled segments go again before newer ones: none is overtaken by more than what was in flight."""
    account = Account(200, Limit(120), step_ns=4 * MS)
    account.run(30)
    numbers = [number for _, _, number in account.accepted]
    assert len(set(numbers)) == len(numbers)
    newest = 0
    for number in numbers:
        assert number >= newest - 2 * account.in_flight_max
        newest = max(newest, number)
    assert newest < len(numbers) + 2 * account.in_flight_max  # nothing was lost


def test_a_slowed_account_still_serves_its_classes_fairly() -> None:
    """While the SMSC takes a third: codes within the limit all go, marketing gets the rest, never nothing."""
    account = Account(300, Limit(100), step_ns=4 * MS)
    account.run(10, (1, 0, 0, 10**6))  # 250 codes a second asked for: more than the limit
    account.run(30, (1, 0, 0, 10**6))
    by_class = [sum(1 for _, owner, _ in account.accepted if owner == index) for index in range(4)]
    assert by_class[0] >= 0.85 * sum(by_class)
    assert by_class[3] >= 0.005 * sum(by_class)


def test_one_round_trip_makes_one_cut() -> None:
    """Many throttles of one window cut once, by their share; the next round may cut again."""
    rate = AdaptiveRate(0, 1000)
    for _ in range(900):
        rate.on_answers(10 * SECOND, 9 * SECOND, accepted=1)
    for _ in range(100):
        rate.on_answers(10 * SECOND, 9 * SECOND, throttled=1)
    assert rate.tps(10 * SECOND) == pytest.approx(1000 * 0.9 * 0.98)
    later = 10 * SECOND + TRIM_NS
    before = rate.tps(later)
    assert before == pytest.approx(882 + GROWTH * 1000)
    rate.on_answers(later, later - MS, accepted=19)
    rate.on_answers(later, later - MS, throttled=1)
    assert rate.tps(later) == pytest.approx(before * 0.95 * 0.98)


def test_one_full_mailbox_does_not_slow_the_rest() -> None:
    """A few ESME_RMSGQFUL among many answers change nothing; a share above 1 % slows as a throttle does."""
    rate = AdaptiveRate(0, 1000)
    for index in range(100):
        now = index * SECOND // 10
        rate.on_answers(now, now, accepted=100, queue_full=index % 2)
    assert rate.tps(10 * SECOND) == 1000
    rate.on_answers(10 * SECOND, 10 * SECOND, accepted=100, queue_full=40)
    assert rate.tps(10 * SECOND) < 980


def test_a_full_smsc_is_a_storm() -> None:
    """When nothing but ESME_RMSGQFUL comes for a second, the rate is at the probe."""
    rate = AdaptiveRate(0, 100)
    for index in range(12):
        now = SECOND + index * SECOND // 10
        rate.on_answers(now, now, queue_full=5)
    assert rate.tps(5 * SECOND) == rate.probe_tps == 2
    assert "resting at 2 of 100/s" in repr(rate)
    rate.on_answers(6 * SECOND, 6 * SECOND, accepted=1)
    assert rate.tps(7 * SECOND) == pytest.approx(7)
    assert "growing" in repr(rate)


def test_an_idle_hour_is_no_storm() -> None:
    """Throttles that are the first answers after a long silence trim; they are no storm."""
    rate = AdaptiveRate(0, 100)
    rate.on_answers(SECOND, SECOND, accepted=1)
    hour = 3600 * SECOND
    rate.on_answers(hour, hour, throttled=1)
    rate.on_answers(hour + STORM_NS // 2, hour, throttled=1)
    assert rate.tps(hour + STORM_NS // 2) > rate.probe_tps
    assert rate.is_slowed(hour)


def test_congestion_state_is_heard() -> None:
    """A congestion_state of 90 trims once a second, 80 stops the growth, less is nothing."""
    rate = AdaptiveRate(0, 1000)
    rate.on_congestion(SECOND, 79)
    assert rate.tps(SECOND) == 1000
    for _ in range(10):
        rate.on_congestion(SECOND, 95)
    assert rate.tps(SECOND) == 900
    for tenth in range(10, 31):
        rate.on_congestion(tenth * SECOND // 10, 85)
    assert rate.tps(4 * SECOND) == 900
    assert rate.tps(5 * SECOND) == pytest.approx(950)
    rate.on_congestion(5 * SECOND, 100)
    assert rate.tps(5 * SECOND) == pytest.approx(855)


@given(
    nominal=st.sampled_from([0.5, 1, 3, 100, 20_000]),
    plan=st.lists(
        st.tuples(
            st.integers(0, 3 * SECOND),
            st.integers(0, 5 * SECOND),
            st.integers(0, 50),
            st.integers(0, 50),
            st.integers(0, 50),
            st.integers(-5, 120),
        ),
        max_size=60,
    ),
)
@settings(max_examples=200, deadline=None)
def test_the_rate_stays_between_probe_and_nominal(
    nominal: float, plan: list[tuple[int, int, int, int, int, int]]
) -> None:
    """Whatever the answers, the rate is never below the probe, never above nominal, and never stuck."""
    rate, now = AdaptiveRate(0, nominal), 0
    for gap, age, accepted, throttled, queue_full, congestion_state in plan:
        now += gap
        rate.on_answers(now, max(0, now - age), accepted, throttled, queue_full)
        rate.on_congestion(now, congestion_state)
        assert rate.probe_tps <= rate.tps(now) <= nominal
        assert rate.tps(now + 10**15) <= nominal
    rate.on_answers(now, now, accepted=1)
    assert rate.tps(now + 21 * SECOND) == nominal == rate.nominal_tps


def test_a_rate_needs_a_nominal_tps() -> None:
    """A nominal rate of zero or less is refused with what was expected."""
    with pytest.raises(ConfigError, match="expected more than 0"):
        AdaptiveRate(0, 0)
