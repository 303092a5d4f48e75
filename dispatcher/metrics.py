"""The one table of metrics: what /metrics shows, what dashboards and alerts may name; and quantiles.

Law: base units, `_total` for counters; a label has few values, none of them a number, a text or an id.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Final, NamedTuple

from dispatcher._ext.meters import BOUNDS_US

COUNTER: Final = "counter"
GAUGE: Final = "gauge"
HISTOGRAM: Final = "histogram"


class Metric(NamedTuple):
    """One row of the table. The name of a counter ends in _total."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


_C: Final = ("carrier",)
_CC: Final = ("carrier", "class")
_CB: Final = ("carrier", "bind")

METRICS: Final = {
    metric.name: metric
    for metric in (
        Metric("dispatcher_build_info", GAUGE, ("version", "python"), "Always 1; the labels say what runs."),
        Metric("dispatcher_uptime_seconds", GAUGE, (), "Since the process opened its store."),
        Metric("dispatcher_ready", GAUGE, ("check",), "1 where a check of /readyz is right."),
        # the door
        Metric(
            "dispatcher_messages_accepted_total", COUNTER, ("source", "class"), "Messages in the journal."
        ),
        Metric("dispatcher_messages_repeated_total", COUNTER, (), "Requests known by their key already."),
        Metric("dispatcher_messages_rejected_total", COUNTER, ("reason",), "Requests refused at the door."),
        Metric("dispatcher_http_messages_refused_total", COUNTER, ("code",), "Of HTTP, the door's own too."),
        # carriers, out
        Metric(
            "dispatcher_submits_total",
            COUNTER,
            ("carrier", "result"),
            "Segments by what became of their submit_sm: ok, refused, unanswered, unsent.",
        ),
        Metric("dispatcher_submits_ok_total", COUNTER, _CC, "Segments the carrier took, in time."),
        Metric(
            "dispatcher_submit_errors_total", COUNTER, ("carrier", "status"), "Refusals by command_status."
        ),
        Metric("dispatcher_throttles_total", COUNTER, _C, "ESME_RTHROTTLED and ESME_RMSGQFUL."),
        Metric("dispatcher_retries_total", COUNTER, _C, "Segments that wait to be sent again."),
        Metric("dispatcher_reroutes_total", COUNTER, _C, "Messages moved to this carrier."),
        Metric(
            "dispatcher_queue_seconds", HISTOGRAM, _CC, "From acceptance to the first write of a segment."
        ),
        Metric("dispatcher_submit_latency_seconds", HISTOGRAM, _C, "From submit_sm to its response."),
        # carriers, in
        Metric(
            "dispatcher_receipts_total",
            COUNTER,
            ("carrier", "state"),
            "Receipts that told something new, by message_state.",
        ),
        Metric("dispatcher_receipts_unmatched_total", COUNTER, _C, "Receipts that matched nothing yet."),
        Metric("dispatcher_receipts_orphaned_total", COUNTER, _C, "Of these, given up."),
        Metric(
            "dispatcher_receipts_odd_total", COUNTER, ("kind",), "duplicate, overruled, ambiguous, unmapped."
        ),
        Metric("dispatcher_delivery_seconds", HISTOGRAM, _C, "From the answer to the final receipt."),
        # outcomes
        Metric(
            "dispatcher_outcomes_total",
            COUNTER,
            ("class", "outcome", "reason"),
            "Messages that ended; class unknown: after a restart, without their record.",
        ),
        Metric("dispatcher_outcomes_corrected_total", COUNTER, (), "Outcomes that a later receipt changed."),
        Metric("dispatcher_end_to_end_seconds", HISTOGRAM, ("class",), "From acceptance to the outcome."),
        # what waits
        Metric("dispatcher_queue_messages", GAUGE, _CC, "Messages that wait for capacity, about."),
        Metric("dispatcher_queue_oldest_age_seconds", GAUGE, _CC, "Age of what waits longest."),
        Metric("dispatcher_scheduled_messages", GAUGE, (), "Waiting for a time: later, or a retry."),
        Metric("dispatcher_receipts_awaited", GAUGE, _CC, "Segments that await their receipt."),
        Metric("dispatcher_receipts_parked", GAUGE, (), "Receipts kept that match nothing yet."),
        # binds and rates
        Metric("dispatcher_carrier_paused", GAUGE, _C, "1 while nothing is sent to it on purpose."),
        Metric("dispatcher_carrier_alarm", GAUGE, ("carrier", "alarm"), "1 while an alarm stands."),
        Metric("dispatcher_bind_up", GAUGE, _CB, "1 while bound."),
        Metric("dispatcher_window_in_use", GAUGE, _CB, "Unanswered submit_sm."),
        Metric("dispatcher_window_room", GAUGE, _CB, "How many more it takes now."),
        Metric("dispatcher_rate_limit_per_second", GAUGE, _C, "Segments a second by contract."),
        Metric("dispatcher_rate_allowed_per_second", GAUGE, _C, "Segments a second that it takes just now."),
        Metric("dispatcher_connections_closed_total", COUNTER, ("carrier", "reason"), "Ends of connections."),
        Metric("dispatcher_session_octets_total", COUNTER, ("carrier", "direction"), "On the wire: in, out."),
        Metric(
            "dispatcher_session_odd_total",
            COUNTER,
            ("carrier", "kind"),
            "PDUs out of place: late, duplicate, unknown, mismatched, malformed.",
        ),
        # store
        Metric("dispatcher_store_up", GAUGE, (), "1: takes all; 0: full or failed."),
        Metric("dispatcher_store_commit_seconds", HISTOGRAM, (), "From taking a group until it is synced."),
        Metric("dispatcher_store_records_total", COUNTER, (), "Messages and events committed."),
        Metric("dispatcher_store_bytes_total", COUNTER, (), "Committed."),
        Metric("dispatcher_store_refused_total", COUNTER, (), "Batches turned away: the disk was full."),
        Metric("dispatcher_store_queue_batches", GAUGE, (), "Handed to the journal, not committed."),
        Metric("dispatcher_store_queue_bytes", GAUGE, (), "The same, in octets."),
        Metric("dispatcher_store_free_bytes", GAUGE, (), "Free on the disk."),
        Metric("dispatcher_store_classes_accepted", GAUGE, (), "Classes the disk has room for: 4 is all."),
        Metric("dispatcher_projection_lag_rows", GAUGE, (), "Of the journal, not yet in status and search."),
        Metric("dispatcher_snapshots_total", COUNTER, (), "Kept, so that a restart reads little."),
        Metric("dispatcher_snapshot_age_seconds", GAUGE, (), "Since the last one."),
        # what others count
        Metric("dispatcher_loop_stalls_total", COUNTER, (), "Turns of the loop over process.stall_ms."),
        Metric("dispatcher_http_requests_total", COUNTER, ("route", "status"), "Answered requests."),
        Metric("dispatcher_http_connections_total", COUNTER, ("result",), "accepted, refused, too_slow ..."),
        Metric(
            "dispatcher_webhook_deliveries_total",
            COUNTER,
            ("endpoint", "result"),
            "delivered: events; failed: calls; parked: events.",
        ),
        Metric("dispatcher_webhook_waiting", GAUGE, ("endpoint",), "Failed deliveries that are tried again."),
        Metric("dispatcher_webhook_up", GAUGE, ("endpoint",), "0 while it takes nothing, or is disabled."),
        Metric("dispatcher_webhook_lag_events", GAUGE, ("endpoint",), "Not delivered yet."),
        Metric(
            "dispatcher_kafka_records_total",
            COUNTER,
            ("topic", "result"),
            "In: accepted, repeated, dead, gone (deleted unread); out: written, failed.",
        ),
        Metric("dispatcher_kafka_lag_records", GAUGE, ("topic", "partition"), "In a topic, not taken yet."),
        Metric("dispatcher_kafka_partitions", GAUGE, ("topic",), "Partitions that are ours."),
        Metric("dispatcher_kafka_commits_total", COUNTER, ("topic",), "Commits of offsets."),
        Metric("dispatcher_kafka_up", GAUGE, ("topic",), "0 while it cannot be read, or written."),
        Metric("dispatcher_worker_indices", GAUGE, (), "Partitions of each topic that are this worker's."),
        Metric("dispatcher_worker_share", GAUGE, (), "Of each account's TPS that is this worker's."),
        Metric("dispatcher_worker_lease_age_seconds", GAUGE, (), "Since the group's coordinator was heard."),
        Metric("dispatcher_worker_rebalances_total", COUNTER, (), "Rebalances of the group."),
        Metric(
            "dispatcher_worker_strays_total",
            COUNTER,
            ("what",),
            "Receipts of others' messages: records written, receipts seen, matched to messages here.",
        ),
        Metric("dispatcher_worker_carried_total", COUNTER, (), "Messages written again, as they wait long."),
        Metric("dispatcher_worker_checkpoints_total", COUNTER, (), "Times that offsets moved on."),
    )
}

OTHERS_COUNT: Final = (
    "dispatcher_http_messages_refused_total",
    "dispatcher_loop_stalls_total",
    "dispatcher_http_requests_total",
    "dispatcher_http_connections_total",
    "dispatcher_webhook_deliveries_total",
    "dispatcher_webhook_waiting",
    "dispatcher_webhook_up",
    "dispatcher_webhook_lag_events",
    "dispatcher_kafka_records_total",
    "dispatcher_kafka_lag_records",
    "dispatcher_kafka_partitions",
    "dispatcher_kafka_commits_total",
    "dispatcher_kafka_up",
    "dispatcher_worker_indices",
    "dispatcher_worker_share",
    "dispatcher_worker_lease_age_seconds",
    "dispatcher_worker_rebalances_total",
    "dispatcher_worker_strays_total",
    "dispatcher_worker_carried_total",
    "dispatcher_worker_checkpoints_total",
)
"""Filled in by who puts the process together: see Survey.more."""

COMMIT_BOUNDS_S: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Upper bounds of the histogram of commits: an SSD's fsync takes 0.2 to 5 ms, a sick disk's seconds."""

SHOWN_EACH: Final = 4
"""Of twelve bounds a decade three are shown to Prometheus: 1, 2.2, 4.7."""
SHOWN_FROM: Final = 12
SHOWN_TO: Final = 12 * 8 + 1
"""From 1 ms to 10,000 s."""


def shown(counts: Sequence[int]) -> list[tuple[str, float]]:
    """Return the cumulative bins of a histogram as Prometheus wants them: (bound in seconds, how many)."""
    found, start, total = [], 0, 0
    for index in range(SHOWN_FROM, SHOWN_TO, SHOWN_EACH):
        total += sum(counts[start : index + 1])
        start = index + 1
        found.append((_BOUNDS_TEXT[index], float(total)))
    return [*found, ("+Inf", float(total + sum(counts[start:])))]


_BOUNDS_TEXT: Final = [repr(us / 1e6) for us in BOUNDS_US]
_EDGES_S: Final = [us / 1e6 for us in chain([0], BOUNDS_US)]


def quantile(counts: Sequence[int], share: float, edges: Sequence[float] = _EDGES_S) -> float:
    """Return a quantile of a histogram, `share` 0 to 1, in seconds; within its bin by a straight line.

    0 where nothing was counted. `edges`: 0 and the upper bounds of the bins; beyond the last there is none.
    """
    wanted = share * sum(counts)
    for index, count in enumerate(counts):
        if count and wanted <= count:
            below = edges[min(index, len(edges) - 1)]
            above = edges[min(index + 1, len(edges) - 1)]
            return below + (above - below) * wanted / count
        wanted -= count
    return 0.0
