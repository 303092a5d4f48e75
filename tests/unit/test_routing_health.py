"""Which carrier is fit: binds, the circuit breaker, slowness, failover and return. Time is a number."""

import pytest

from dispatcher.routing.health import (
    PAUSE_MOST_MS,
    PAUSE_MS,
    PROBE_ANSWER_MS,
    PROBES,
    SAMPLES_MIN,
    SLOW_PROBE_MS,
    SPAN_MS,
    STABLE_MS,
    CarrierHealth,
    Health,
)
from dispatcher.smpp.status import Disposition

OK, BAD = Disposition.OK, Disposition.PERMANENT
START = 1_000_000


def is_broken(carrier: CarrierHealth) -> bool:
    """Ask anew each time: mypy takes a property for a constant."""
    return carrier.broken


def is_slow(carrier: CarrierHealth) -> bool:
    """As `is_broken`."""
    return carrier.slow


def two(limit_ms: int = 2_000) -> Health:
    """Return two carriers, both bound for long."""
    health = Health({1: limit_ms, 2: limit_ms})
    for number in (1, 2):
        health[number].bound(True, START - STABLE_MS)
    return health


def answer(
    carrier: CarrierHealth, disposition: Disposition, times: int, now_ms: int, latency_ms: int = 50
) -> None:
    """Let a carrier answer alike several times."""
    for _ in range(times):
        carrier.answered(disposition, latency_ms, now_ms)


def test_the_first_carrier_of_a_route_that_is_fit_is_picked() -> None:
    """In its order; one that is down is passed over; with none, nothing is."""
    health = two()
    assert health.pick((1, 2), START) == 1
    assert health.pick((2, 1), START) == 2
    health[1].bound(False, START)
    assert health.pick((1, 2), START) == 2
    health[2].bound(False, START)
    assert health.pick((1, 2), START) is None
    assert health.pick((), START) is None
    assert health.pick((9, 1), START) is None  # 9 is not configured any more


def test_a_carrier_comes_back_when_it_was_stable() -> None:
    """At once only where there is no other; a bind that is reported again does not start anew."""
    health = two()
    health[1].bound(False, START)
    health[1].bound(True, START + 1_000)
    assert health.pick((1, 2), START + 1_000) == 2
    assert health.pick((1,), START + 1_000) == 1
    health[1].bound(True, START + 5_000)
    assert health.pick((1, 2), START + 1_000 + STABLE_MS - 1) == 2
    assert health.pick((1, 2), START + 1_000 + STABLE_MS) == 1


def test_a_carrier_that_refuses_everything_is_paused_at_the_twentieth_answer() -> None:
    """F70: at most as many messages are burnt; an alarm stands; messages go elsewhere, or wait."""
    health = two()
    answer(health[1], BAD, SAMPLES_MIN - 1, START)
    assert health.pick((1, 2), START) == 1
    assert not is_broken(health[1])
    answer(health[1], BAD, 1, START)
    assert is_broken(health[1])
    assert health.pick((1, 2), START) == 2
    assert health.pick((1,), START + PAUSE_MS - 1) is None
    assert repr(health[1]) == "<CarrierHealth broken, 50 ms>"


@pytest.mark.parametrize(
    "disposition",
    [
        Disposition.OTHER_ROUTE,
        Disposition.PERMANENT,
        Disposition.UNKNOWN,
        Disposition.CONFIG,
        Disposition.OUR_BUG,
    ],
)
def test_abnormal_refusals_break_the_circuit(disposition: Disposition) -> None:
    """Whatever says that most messages cannot go."""
    carrier = two()[1]
    answer(carrier, disposition, SAMPLES_MIN, START)
    assert is_broken(carrier)


@pytest.mark.parametrize("disposition", [Disposition.THROTTLE, Disposition.SESSION, Disposition.RETRY_LATER])
def test_other_refusals_do_not(disposition: Disposition) -> None:
    """A throttle slows, a temporary error is tried again."""
    carrier = two()[1]
    answer(carrier, disposition, 1000, START)
    assert not is_broken(carrier)


def test_half_of_the_answers_is_not_over_half() -> None:
    """A poor list of numbers does not stop a carrier; one more refusal does."""
    carrier = two()[1]
    answer(carrier, OK, 50, START)
    answer(carrier, BAD, 50, START)
    assert not is_broken(carrier)
    answer(carrier, BAD, 1, START)
    assert is_broken(carrier)


def test_the_window_slides() -> None:
    """What is older than it counts no more: neither the good nor the bad answers."""
    carrier = two()[1]
    answer(carrier, OK, 1000, START)
    answer(carrier, BAD, SAMPLES_MIN, START + SPAN_MS - 1_000)
    assert not is_broken(carrier)
    answer(carrier, BAD, 1, START + SPAN_MS)
    assert is_broken(carrier)
    carrier = two()[1]
    for second in range(100):
        answer(carrier, BAD, 1, START + second * 1_000)
    assert not is_broken(carrier)  # ten in any ten seconds are too few to judge


def test_answers_out_of_order_and_after_a_long_silence() -> None:
    """A clock that stands still or an hour without traffic breaks nothing."""
    carrier = two()[1]
    answer(carrier, BAD, SAMPLES_MIN - 1, START)
    answer(carrier, BAD, 1, START + 3_600_000)
    assert not is_broken(carrier)
    answer(carrier, BAD, SAMPLES_MIN - 2, START + 3_599_999)
    assert not is_broken(carrier)
    answer(carrier, BAD, 1, START + 3_600_000)
    assert is_broken(carrier)


def test_after_the_pause_a_few_probes_decide() -> None:
    """PROBES messages go and no more; when all are well, the circuit closes and counts from zero."""
    health = two()
    answer(health[1], BAD, SAMPLES_MIN, START)
    now = START + PAUSE_MS
    assert [health.pick((1, 2), now) for _ in range(PROBES + 1)] == [1] * PROBES + [2]
    answer(health[1], OK, PROBES - 1, now)
    assert is_broken(health[1])
    answer(health[1], OK, 1, now)
    assert not is_broken(health[1])
    assert health.pick((1, 2), now) == 1
    answer(health[1], BAD, SAMPLES_MIN - 1, now)
    assert not is_broken(health[1])


def test_a_failed_probe_pauses_for_twice_as_long() -> None:
    """Up to ten minutes; answers to what was sent before the pause say nothing."""
    carrier = two()[1]
    answer(carrier, BAD, SAMPLES_MIN, START)
    answer(carrier, BAD, 500, START + 100)
    now, pause_ms = START, PAUSE_MS
    for _ in range(10):
        assert carrier.fit(True, now + pause_ms - 1) == 0
        assert carrier.fit(True, now + pause_ms) == 2
        now += pause_ms
        answer(carrier, BAD, 1, now)
        pause_ms = min(pause_ms * 2, PAUSE_MOST_MS)
    assert pause_ms == PAUSE_MOST_MS


def test_a_batch_orders_each_route_once_and_hears_of_what_changes() -> None:
    """The same for all of a millisecond; a slow carrier's probe is one message; the next time looks again."""
    health = Health({1: 2000, 2: 2000})
    health[2].bound(True, 0)
    assert [health.order((1, 2), 5_000, True) for _ in range(3)] == [(2, 1)] * 3
    health[1].bound(True, 5_000)
    health[2].hold(True)
    assert health.order((1, 2), 5_001, True) == (1, 2)
    health[2].hold(False)
    health[1].bound(False, 5_001)
    health[2].waiting(10_000)
    probed = [health.order((2,), 9_000, True), health[2]._slow_probed_ms]
    assert probed == [(2,), 9_000]
    assert health.order((1, 2), 9_001, True) == (2, 1)
    health.retire(2)
    assert health.order((1,), 9_001, True) == (1,)


def test_probes_without_an_answer_are_given_up() -> None:
    """A carrier that swallows them is probed again."""
    health = two()
    answer(health[1], BAD, SAMPLES_MIN, START)
    now = START + PAUSE_MS
    for _ in range(PROBES):
        assert health.pick((1,), now) == 1
    assert health.pick((1,), now + PROBE_ANSWER_MS - 1) is None
    assert health.pick((1,), now + PROBE_ANSWER_MS) == 1


def test_a_configuration_error_pauses_at_once() -> None:
    """The retry table says so; it need not wait for twenty."""
    health = two()
    health[1].pause(START)
    assert health.pick((1, 2), START) == 2


def test_a_carrier_that_slows_tenfold_loses_its_codes_within_thirty_answers() -> None:
    """F65: from 500 ms to 5 s; other classes stay, for they have no hurry."""
    health = two()
    answer(health[1], OK, 1000, START, 500)
    assert not is_slow(health[1])
    answers = 0
    while not is_slow(health[1]):
        answer(health[1], OK, 1, START, 5_000)
        answers += 1
    assert 2 <= answers <= 30
    health.pick((1,), START)  # the probe of this second
    assert health.pick((1, 2), START + 10) == 2
    assert health.pick((1, 2), START + 10, urgent=False) == 1
    assert health.pick((1,), START + 10) == 1
    assert repr(health[1]).startswith("<CarrierHealth up, slow, ")


def test_what_is_slow_is_judged_by_what_is_usual() -> None:
    """Five times the usual, but never under half a second; the configured limit in any case."""
    fast = CarrierHealth(2_000)
    answer(fast, OK, 1000, START, 20)
    answer(fast, OK, 200, START, 450)
    assert not is_slow(fast)
    answer(fast, OK, 200, START, 600)
    assert is_slow(fast)
    always = CarrierHealth(2_000)
    answer(always, OK, 1000, START, 1_900)
    assert not is_slow(always)
    answer(always, OK, 200, START, 2_100)
    assert is_slow(always)


def test_a_slow_carrier_is_probed_and_returns_with_hysteresis() -> None:
    """A message a second looks; it is fast again only well below what made it slow."""
    health = two()
    answer(health[1], OK, 100, START, 100)
    answer(health[1], OK, 100, START, 5_000)
    assert is_slow(health[1])
    assert health.pick((1, 2), START) == 1
    assert health.pick((1, 2), START + SLOW_PROBE_MS - 1) == 2
    assert health.pick((1, 2), START + SLOW_PROBE_MS) == 1
    answer(health[1], OK, 1000, START, 480)
    assert is_slow(health[1])
    answer(health[1], OK, 200, START, 100)
    assert not is_slow(health[1])


def test_a_carrier_that_answers_nothing_is_slow_too() -> None:
    """The age of the oldest submit counts, since no latency comes."""
    carrier = two()[1]
    answer(carrier, OK, 100, START, 100)
    carrier.waiting(400)
    assert not is_slow(carrier)
    carrier.waiting(5_000)
    assert is_slow(carrier)


def test_answers_of_one_read_count_as_if_they_had_come_one_by_one() -> None:
    """Counts and averages are the same, so that a driver need not call for each."""
    one, many = two()[1], two()[1]
    for latency_ms, times in ((100, 300), (700, 40), (3_000, 20)):
        answer(one, OK, times, START, latency_ms)
        many.answered(OK, latency_ms, START, times)
        assert repr(one) == repr(many)
    many.answered(BAD, 50, START, 360)
    assert not is_broken(many)
    many.answered(BAD, 50, START, 1)
    assert is_broken(many)


def test_the_quick_answer_is_the_slow_one() -> None:
    """`fit_from_ms` never says that a carrier is fit when `fit` does not."""
    carrier = two()[1]

    def quick(now_ms: int) -> bool:
        return now_ms >= carrier.fit_from_ms

    assert quick(START)
    assert not quick(START - 1)
    answer(carrier, OK, 200, START, 5_000)
    assert not quick(START)
    answer(carrier, OK, 200, START, 50)
    assert quick(START)
    answer(carrier, BAD, 500, START)
    assert not quick(START + PAUSE_MS)
    answer(carrier, OK, PROBES, START + PAUSE_MS)
    assert quick(START + PAUSE_MS)
    carrier.waiting(60_000)
    assert not quick(START + PAUSE_MS)
    answer(carrier, OK, 200, START + PAUSE_MS, 50)
    carrier.bound(False, START + PAUSE_MS)
    assert not quick(START + 10 * PAUSE_MS)
    carrier.bound(True, START + 10 * PAUSE_MS)
    assert not quick(START + 10 * PAUSE_MS + STABLE_MS - 1)
    assert quick(START + 10 * PAUSE_MS + STABLE_MS)


def test_a_new_message_waits_for_the_best_carrier() -> None:
    """order: fit before unstable, for urgent ones unstable before slow, broken and unknown ones last."""
    health = Health({1: 100, 2: 100, 3: 100})
    assert health.order((1, 2), 0, True) == (1, 2)
    health[2].bound(True, 0)
    assert health.order((9, 1, 2), 1, True) == (2, 9, 1)
    health[1].bound(True, 20_000)
    assert health.order((1, 2), 20_000, True) == (2, 1)
    assert health.order((1, 2), 30_000, True) == (1, 2)
    assert health.fit_from_ms > 30_000, "the third is down"
    health[2].waiting(5_000)
    health[1].bound(False, 40_000)
    health[1].bound(True, 40_000)
    assert health.order((2, 1), 40_000, True) == (2, 1), "a probe"
    assert health.order((2, 1), 40_001, True) == (1, 2)
    assert health.order((2, 1), 40_001, False) == (2, 1), "slow is ordinary for what is not urgent"
    health[1].pause(40_002)
    assert health.order((1, 2), 40_002, True) == (2, 1)
    assert health.order((1, 2), 40_002 + 31_000, True) == (2, 1), "broken ones are probed by their lanes"


def test_a_clock_that_is_put_back() -> None:
    """F12: a pause and the time until a carrier counts as stable last as long as they would have."""
    day_ms = 86_400_000
    now_ms = START + day_ms
    health = Health({1: 2_000, 2: 2_000})
    health[1].bound(True, now_ms - STABLE_MS)
    health[1].pause(now_ms)
    health[2].bound(True, now_ms)
    health.put_back(day_ms)
    assert health[1].fit(True, START + PAUSE_MS - 1) == 0
    assert health[1].fit(True, START + PAUSE_MS) == 2
    assert health[2].fit(True, START + STABLE_MS - 1) == 1
    assert health[2].fit(True, START + STABLE_MS) == 2
    answer(health[2], BAD, SAMPLES_MIN, START)
    assert is_broken(health[2])
