"""/metrics: a state as Prometheus reads it, made when it asks for it and not before.

Law: the table in dispatcher.metrics says what there is; this file fills it in, and nothing else is shown.
"""

import asyncio
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from prometheus_client import ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from dispatcher.metrics import COMMIT_BOUNDS_S, COUNTER, HISTOGRAM, METRICS, shown
from dispatcher.state import CarrierState, Check, State, Times

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
SLICE: Final = 200
"""Values that are written out in one turn of the loop: about a millisecond."""
SESSION_ODD: Final = ("late", "duplicate", "unknown", "mismatched", "malformed")
RECEIPT_ODD: Final = ("duplicate", "overruled", "ambiguous", "unmapped")

Values = Iterable[tuple[Sequence[str], float | Times]]
"""Labels, in the table's order, and what is shown for them."""
_Fill = Callable[[State], Values]


async def exposition(state: State, checks: Sequence[Check]) -> bytes:
    """Return all metrics in the text format; the loop is free in between (law 12)."""
    parts, size = [], 0
    for family in families(state, checks):
        samples = family.samples
        for start in range(0, max(1, len(samples)), SLICE):
            family.samples = samples[start : start + SLICE]
            text = generate_latest(_One(family))
            parts.append(text if not start else text.split(b"\n", 2)[2])  # HELP and TYPE stand once
            size += len(family.samples)
            if size >= SLICE:
                size = 0
                await asyncio.sleep(0)
    return b"".join(parts)


def families(state: State, checks: Sequence[Check]) -> Iterator[Metric]:
    """Yield every metric of the table, and those of the process."""
    yield _family("dispatcher_build_info", [((state.version, platform.python_version()), 1)])
    yield _family("dispatcher_ready", [((check.name,), check.is_ok) for check in checks])
    for name, fill in _FILLED.items():
        yield _family(name, fill(state))
    yield _commits(state)
    for name, values in state.more.items():
        yield _family(name, values)
    yield from ProcessCollector(registry=None).collect()


class _One:
    """A registry of one family: so that each is written out alone."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        """Yield it."""
        yield self._family


def _family(name: str, values: Values) -> Metric:
    """Return a metric of the table with these values. KeyError: the table does not know it."""
    row = METRICS[name]
    if row.kind == HISTOGRAM:
        histogram = HistogramMetricFamily(row.name, row.help, labels=row.labels)
        for labels, times in values:
            assert isinstance(times, Times)
            histogram.add_metric(labels, shown(times.counts), times.sum_us / 1e6)
        return histogram
    kind = CounterMetricFamily if row.kind == COUNTER else GaugeMetricFamily
    family = kind(row.name, row.help, labels=row.labels)
    for labels, value in values:
        assert not isinstance(value, Times)
        family.add_metric(labels, value)
    return family


def _commits(state: State) -> Metric:
    row = METRICS["dispatcher_store_commit_seconds"]
    histogram, total, buckets = HistogramMetricFamily(row.name, row.help), 0, []
    bounds = [*map(repr, COMMIT_BOUNDS_S), "+Inf"]
    for bound, count in zip(bounds, state.store.commits_within, strict=True):
        total += count
        buckets.append((bound, float(total)))
    histogram.add_metric((), buckets, state.store.commit_s)
    return histogram


def _one(read: Callable[[State], float]) -> _Fill:
    return lambda state: [((), read(state))]


def _of_carriers(read: Callable[[CarrierState], float | Times]) -> _Fill:
    return lambda state: [((carrier.name,), read(carrier)) for carrier in state.carriers]


def _named(read: Callable[[CarrierState], dict[str, int]]) -> _Fill:
    """By carrier and what the carrier's own table says."""
    return lambda state: [
        ((carrier.name, name), value) for carrier in state.carriers for name, value in read(carrier).items()
    ]


def _of_queues(field: str, scale: float = 1) -> _Fill:
    def fill(state: State) -> Values:
        for carrier in state.carriers:
            for name, queue in carrier.queues.items():
                value = getattr(queue, field)
                yield (carrier.name, name), value if isinstance(value, Times) else value * scale

    return fill


def _of_binds(read: Callable[[Any], float]) -> _Fill:
    return lambda state: [
        ((carrier.name, str(bind.number)), read(bind)) for carrier in state.carriers for bind in carrier.binds
    ]


def _accepted(state: State) -> Values:
    for source, counts in state.accepted.items():
        for name, count in counts.items():
            yield (source, name), count


def _outcomes(state: State) -> Values:
    for name, its in state.classes.items():
        for outcome, reasons in its.outcomes.items():
            for reason, count in reasons.items():
                yield (name, outcome, reason), count


def _results(carrier: CarrierState) -> dict[str, int]:
    events = carrier.events
    return {
        "ok": events["submitted"],
        "refused": events["refused"],
        "unanswered": events["unanswered"],
        "unsent": events["unsent"],
    }


def _octets(carrier: CarrierState) -> dict[str, int]:
    return {"in": carrier.sessions["octets_in"], "out": carrier.sessions["octets_out"]}


_FILLED: Final[dict[str, _Fill]] = {
    "dispatcher_uptime_seconds": _one(lambda state: state.uptime_s),
    "dispatcher_messages_accepted_total": _accepted,
    "dispatcher_messages_repeated_total": _one(lambda state: state.repeated),
    "dispatcher_messages_rejected_total": lambda state: [
        ((code,), count) for code, count in state.refused.items()
    ],
    "dispatcher_submits_total": _named(_results),
    "dispatcher_submits_ok_total": _of_queues("taken"),
    "dispatcher_submit_errors_total": _named(lambda carrier: carrier.refusals),
    "dispatcher_throttles_total": _of_carriers(lambda carrier: carrier.throttles),
    "dispatcher_retries_total": _of_carriers(lambda carrier: carrier.events["retry"]),
    "dispatcher_reroutes_total": _of_carriers(lambda carrier: carrier.events["rerouted"]),
    "dispatcher_queue_seconds": _of_queues("waited"),
    "dispatcher_submit_latency_seconds": _of_carriers(lambda carrier: carrier.answered_after),
    "dispatcher_receipts_total": _named(lambda carrier: carrier.receipts),
    "dispatcher_receipts_unmatched_total": _of_carriers(lambda carrier: carrier.events["parked"]),
    "dispatcher_receipts_orphaned_total": _of_carriers(lambda carrier: carrier.events["orphaned"]),
    "dispatcher_receipts_odd_total": lambda state: [((kind,), state.receipts[kind]) for kind in RECEIPT_ODD],
    "dispatcher_delivery_seconds": _of_carriers(lambda carrier: carrier.receipts_after),
    "dispatcher_outcomes_total": _outcomes,
    "dispatcher_outcomes_corrected_total": _one(lambda state: state.receipts["corrected"]),
    "dispatcher_end_to_end_seconds": lambda state: [
        ((name,), its.ended_after) for name, its in state.classes.items() if name != "unknown"
    ],
    "dispatcher_queue_messages": _of_queues("waiting"),
    "dispatcher_queue_oldest_age_seconds": _of_queues("oldest_ms", 0.001),
    "dispatcher_scheduled_messages": _one(lambda state: state.scheduled),
    "dispatcher_receipts_awaited": _of_queues("awaiting"),
    "dispatcher_receipts_parked": _one(lambda state: state.parked),
    "dispatcher_carrier_paused": _of_carriers(lambda carrier: carrier.is_paused),
    "dispatcher_carrier_alarm": _named(lambda carrier: dict.fromkeys(carrier.alarms, 1)),
    "dispatcher_bind_up": _of_binds(lambda bind: bind.stage == "bound"),
    "dispatcher_window_in_use": _of_binds(lambda bind: bind.in_use),
    "dispatcher_window_room": _of_binds(lambda bind: bind.room),
    "dispatcher_rate_limit_per_second": _of_carriers(lambda carrier: carrier.tps_max),
    "dispatcher_rate_allowed_per_second": _of_carriers(lambda carrier: carrier.tps),
    "dispatcher_connections_closed_total": _named(lambda carrier: carrier.closed_by),
    "dispatcher_session_octets_total": _named(_octets),
    "dispatcher_session_odd_total": _named(
        lambda carrier: {kind: carrier.sessions[kind] for kind in SESSION_ODD}
    ),
    "dispatcher_store_up": _one(lambda state: state.store.state == "ok"),
    "dispatcher_store_records_total": _one(lambda state: state.store.records),
    "dispatcher_store_bytes_total": _one(lambda state: state.store.octets),
    "dispatcher_store_refused_total": _one(lambda state: state.store.refused),
    "dispatcher_store_queue_batches": _one(lambda state: state.store.queue_appends),
    "dispatcher_store_queue_bytes": _one(lambda state: state.store.queue_octets),
    "dispatcher_store_free_bytes": _one(lambda state: state.store.free_octets),
    "dispatcher_store_classes_accepted": _one(lambda state: state.store.classes_accepted),
    "dispatcher_projection_lag_rows": _one(lambda state: state.store.lag_rows),
    "dispatcher_snapshots_total": _one(lambda state: state.store.snapshots),
    "dispatcher_snapshot_age_seconds": _one(lambda state: state.store.snapshot_age_s),
}
