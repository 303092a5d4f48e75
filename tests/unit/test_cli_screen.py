"""The screen of `dispatcher top`: two states to figures, figures to lines."""

from typing import Any

import msgspec
import pytest

from dispatcher._ext.meters import BOUNDS_US, Histogram
from dispatcher.cli.screen import figures, lines
from dispatcher.metrics import METRICS, quantile, shown
from dispatcher.state import (
    CLASSES,
    BindState,
    CarrierState,
    ClassState,
    QueueState,
    State,
    StoreState,
    Times,
)


def times(*ms: int) -> Times:
    """Return the histogram of durations in milliseconds."""
    histogram = Histogram()
    for each in ms:
        histogram.observe(each * 1000)
    return Times(histogram.counts(), histogram.sum_us)


NONE = Times()
BINDS = (
    BindState(1, "transceiver", "bound", 10, 4, 6, 0, 0),
    BindState(2, "transceiver", "down", 10, 0, 0, 0, 0),
)


def carrier(name: str = "c0", waited: Times = NONE, answered: Times = NONE, **more: Any) -> CarrierState:
    """Return a carrier of which codes alone are sent."""
    queues = {each: QueueState(0, 0, Times(), 0, 0) for each in CLASSES}
    queues["authorization"] = QueueState(7, 2_500, waited, 0, 0)
    values: dict[str, Any] = {
        "is_paused": False, "is_bound": True, "tps_max": 100.0, "tps": 80.0, "window": 20, "throttles": 0,
        "binds": [*BINDS],
        "receipts_after": Times(), "events": {}, "refusals": {}, "receipts": {}, "alarms": [], "sessions": {},
        "closed_by": {},
    }  # fmt: skip
    return CarrierState(name=name, queues=queues, answered_after=answered, **(values | more))


def state(uptime_s: float, accepted: int, carriers: list[CarrierState], ended: int = 0, **more: Any) -> State:
    """Return a state; `more` are commits by bin, receipts, more."""
    classes = {name: ClassState({}, Times()) for name in [*CLASSES, "unknown"]}
    classes["authorization"] = ClassState({"delivered": {"receipt": ended}}, times(*[40] * ended))
    store = StoreState(
        "ok", 5, 0, 0, 0.0, more.get("commits", [0] * 14), 0.0, 0, 3, 0, 5 << 30, 4, 12, 0, 0.0
    )
    return State(
        at_ms=0, uptime_s=uptime_s, version="1.2", stage="running", refused={}, repeated=0,
        accepted={"core": {name: accepted if name == "service" else 0 for name in CLASSES}},
        carriers=carriers, classes=classes, store=store, scheduled=1, outstanding=2, parked=3,
        receipts=more.get("receipts", {}), more=more.get("more", {}),
    )  # fmt: skip


def test_rates_and_latencies_are_those_between_two_states() -> None:
    """What came before is taken out: counts over the seconds, quantiles of the difference alone."""
    old, fresh = [5_000] * 100, [2] * 99 + [9]
    before = state(10, 1_000, [carrier(waited=times(*old), answered=times(*old))], ended=10)
    after = state(
        12,
        1_500,
        [carrier(waited=times(*old, *fresh), answered=times(*old, *fresh), throttles=6)],
        ended=30,
        commits=[0, 0, 10, *[0] * 11],
    )
    found = figures(before, after)
    assert (found.seconds, found.accepted_per_s, found.submitted_per_s, found.ended_per_s) == (2, 250, 50, 10)
    codes = found.classes[0]
    assert (codes.name, codes.waiting, codes.oldest_s, codes.ended_per_s) == ("authorization", 7, 2.5, 10)
    assert codes.wire_p50_s == pytest.approx(0.002, rel=0.15)
    assert codes.wire_p99_s == pytest.approx(0.002, rel=0.15)
    assert codes.outcome_p99_s == pytest.approx(0.04, rel=0.2)
    assert found.classes[3].wire_p50_s is None
    (its,) = found.carriers
    assert (its.binds_up, its.binds, its.in_use, its.throttled_per_s, its.state) == (1, 2, 4, 3, "up")
    assert found.commits_per_s == 5
    assert found.commit_p99_s == pytest.approx(0.002, rel=0.05)


def test_after_a_restart_figures_are_since_the_start() -> None:
    """Counters that begin anew never give a negative rate."""
    found = figures(state(500, 9_000, [carrier()]), state(2, 100, [carrier()]))
    assert (found.seconds, found.accepted_per_s) == (2, 50)
    assert figures(None, state(2, 100, [carrier()])) == found


def test_a_screen_fits_the_terminal() -> None:
    """80 columns and 24 lines hold it, whatever the numbers; carriers that do not fit are counted."""
    many = [carrier(f"carrier-{number}", alarms=["unreachable"] * (number == 0)) for number in range(30)]
    found = lines(figures(None, state(2, 10**9, many)))
    assert len(found) == 24
    assert max(map(len, found)) <= 80
    assert any("and 21 more" in line for line in found), found
    assert any("alarms: unreachable" in line for line in found)


def test_a_screen_says_what_matters() -> None:
    """Each class, each carrier, the store, what waits."""
    text = "\n".join(
        lines(figures(None, state(3_723, 100, [carrier(waited=times(4)), carrier("c1", is_bound=False)])))
    )
    for words in ("up 1h02m", *CLASSES, "c0", "1/2", "4/20", "down", "store ok", "5.0 GiB free", "parked 3"):
        assert words in text, (words, text)


def test_figures_are_plain_json() -> None:
    """What --json prints can be read by anyone."""
    plain = msgspec.json.decode(msgspec.json.encode(figures(None, state(2, 100, [carrier()]))))
    assert plain["classes"][0]["name"] == "authorization"


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99, 1.0])
def test_quantiles_are_right_within_a_bin(share: float) -> None:
    """Against the sorted list: never further off than the bin is wide."""
    values_us = [round(100 * 1.003**step) for step in range(5_000)]
    histogram = Histogram()
    for us in values_us:
        histogram.observe(us)
    true = sorted(values_us)[max(0, round(share * len(values_us)) - 1)] / 1e6
    assert quantile(histogram.counts(), share) == pytest.approx(true, rel=0.25)
    assert quantile([], share) == 0.0


def test_what_prometheus_sees_is_cumulative() -> None:
    """Bounds grow, counts never fall, the last one is all, and each is the count up to its bound."""
    values_us = [50, 999, 1000, 1001, 20_000, 5 * 10**9, 10**12]
    histogram = Histogram()
    for us in values_us:
        histogram.observe(us)
    found = shown(histogram.counts())
    assert [bound for bound, _ in found][:5] == ["0.001", "0.0022", "0.0047", "0.01", "0.022"]
    assert found[-1] == ("+Inf", 7.0)
    for bound, count in found[:-1]:
        assert count == sum(us <= float(bound) * 1e6 for us in values_us), bound
    assert float(found[-2][0]) == BOUNDS_US[96] / 1e6


def test_the_table_of_metrics_keeps_its_rules() -> None:
    """Base units, counters end in _total, no label that could hold a number or an id."""
    for metric in METRICS.values():
        assert metric.name.startswith("dispatcher_")
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert (metric.kind == "histogram") <= metric.name.endswith("_seconds"), metric.name
        assert not {"to", "text", "message_id", "client_ref", "number"} & set(metric.labels)
        assert metric.help
