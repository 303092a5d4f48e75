"""What a running dispatcher says of itself, collected where it stands: its state, and whether it is ready.

Law: reading costs the path nothing but a millisecond or two of the loop, and changes nothing.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

from dispatcher import __version__
from dispatcher.app import Dispatcher
from dispatcher.carrier.lane import Lane
from dispatcher.carrier.queue import ClassQueue
from dispatcher.model import EventKind, Outcome, Reason
from dispatcher.smpp.constants import VENDOR_STATUS_FIRST, VENDOR_STATUS_LAST, Command, MessageState
from dispatcher.smpp.report import BindState as Bind
from dispatcher.smpp.status import STATUSES, status
from dispatcher.state import (
    CLASSES,
    BindState,
    CarrierState,
    Check,
    ClassState,
    QueueState,
    State,
    StoreState,
    Times,
)
from dispatcher.switches import states as switches_of

COMMIT_S_MAX: Final = 10.0
"""A commit that takes longer than this: the disk hangs, and nobody is told yes meanwhile."""
LAG_ROWS_MAX: Final = 100_000
"""Minutes of full load: status and search answer about the past, and retention waits."""
STATES: Final = {code: name.lower() for name, code in vars(MessageState).items() if name.isupper()}
KINDS: Final = {Command.BIND_RECEIVER: "receiver", Command.BIND_TRANSMITTER: "transmitter"}
BOOK_COUNTERS: Final = (
    "matched",
    "duplicate",
    "overruled",
    "ambiguous",
    "unmatched",
    "orphaned",
    "unmapped",
    "corrected",
)

Samples = Mapping[str, Sequence[tuple[Sequence[str], float]]]
"""By name of a metric of the table: its values, each with its labels in the table's order."""


class Receiver(Protocol):
    """What a webhook or an event file has counted: outcomes.service.Counters."""

    @property
    def delivered(self) -> int:
        """Events."""

    @property
    def failed(self) -> int:
        """Calls, or writes."""

    @property
    def parked(self) -> int:
        """Events."""

    @property
    def waiting(self) -> int:
        """Deliveries that are tried again."""

    @property
    def open_events(self) -> int:
        """Not told yet."""

    @property
    def is_disabled(self) -> bool:
        """Whether it wants no more."""

    @property
    def is_down(self) -> bool:
        """Whether it fails all the time."""


class Survey:
    """Looks at a dispatcher. `stage` says what the process is about, where there is one around it.

    `more` are called for what others count: webhooks, HTTP, stalls of the loop; `more_checks` for what else
    readiness depends on.
    """

    def __init__(self, dispatcher: Dispatcher, stage: Callable[[], str] | None = None) -> None:
        self.more: list[Callable[[], Samples]] = []
        self.more_checks: list[Callable[[], Iterable[Check]]] = []
        self._dispatcher = dispatcher
        self._stage = stage or self._own_stage
        self._started_s = time.monotonic()

    @property
    def is_started(self) -> bool:
        """Whether the store was opened, and what had happened before is known."""
        return self._dispatcher.is_open

    def checks(self) -> list[Check]:
        """Say what readiness depends on, all of it."""
        dispatcher, stage = self._dispatcher, self._stage()
        is_working = dispatcher.is_open and stage in ("running", "ready")
        checks = [Check("stage", is_working, stage if dispatcher.is_open else "starting")]
        if not dispatcher.is_open:
            return checks
        journal, lanes = dispatcher.journal, dispatcher.pipeline.lanes.values()
        bound = sum(lane.is_bound for lane in lanes)
        waiting_s, lag = journal.waiting_s, journal.last_seq - dispatcher.projection.seq
        return [
            *checks,
            Check("carriers", bound > 0, f"{bound} of {len(lanes)} bound"),
            Check(
                "store",
                journal.state != "failed" and waiting_s < COMMIT_S_MAX,
                f"{journal.state}, a commit has taken {waiting_s:.1f} s",
            ),
            Check("disk", journal.accepts(0), f"{journal.space.free >> 20} MiB free: {self._classes()}"),
            Check("projection", lag <= LAG_ROWS_MAX, f"{lag} rows behind"),
            *(check for checks_of in self.more_checks for check in checks_of()),
        ]

    def state(self) -> State:
        """Return everything as it is now. RuntimeError: the dispatcher is not open."""
        if not self._dispatcher.is_open:
            raise RuntimeError("the dispatcher is not open")
        pipeline, book = self._dispatcher.pipeline, self._dispatcher.pipeline.book
        refusals: dict[int, dict[str, int]] = {}
        for (number, code), count in pipeline.counters.refusals.items():
            of_carrier = refusals.setdefault(number, {})
            of_carrier[status_name(code)] = of_carrier.get(status_name(code), 0) + count
        now_ms = pipeline.now_ms()
        more: dict[str, list[tuple[list[str], float]]] = {}
        for samples in self.more:
            more |= {
                name: [(list(labels), value) for labels, value in some] for name, some in samples().items()
            }
        return State(
            at_ms=now_ms,
            uptime_s=round(time.monotonic() - self._started_s, 3),
            version=__version__,
            stage=self._stage(),
            accepted={
                source: dict(zip(CLASSES, counts, strict=True))
                for source, counts in book.intake.sources.items()
            },
            refused=dict(pipeline.counters.refused),
            repeated=pipeline.counters.repeated,
            carriers=[
                self._carrier(lane, refusals.get(number, {}), now_ms)
                for number, lane in (pipeline.lanes | pipeline.leaving).items()
            ],
            classes={name: self._class(number) for number, name in enumerate([*CLASSES, "unknown"])},
            store=self._store(now_ms),
            scheduled=len(pipeline.aftermath.schedule),
            outstanding=book.outstanding,
            parked=book.parked,
            receipts={name: getattr(book, name) for name in BOOK_COUNTERS},
            more=more,
        )

    def _own_stage(self) -> str:
        dispatcher = self._dispatcher
        if dispatcher.failure is not None:
            return "failed"
        if not dispatcher.is_open:
            return "closed"
        return "draining" if dispatcher.pipeline.is_closing else "running"

    def _classes(self) -> str:
        taken = [name for number, name in enumerate(CLASSES) if self._dispatcher.journal.accepts(number)]
        return ", ".join(taken) + " accepted" if taken else "nothing new is accepted"

    def _carrier(self, lane: Lane, refusals: dict[str, int], now_ms: int) -> CarrierState:
        book, pool = self._dispatcher.pipeline.book, lane.pool.snapshot()
        kinds, states = book.kinds(lane.number), book.states(lane.number)
        taken, awaiting = book.taken(lane.number), book.awaiting(lane.number)
        return CarrierState(
            name=lane.name,
            is_paused=lane.is_paused,
            is_bound=lane.is_bound,
            switch=switches_of(self._dispatcher.pipeline)[lane.name],
            tps_max=lane.rate.nominal_tps,
            tps=lane.rate.tps(time.monotonic_ns()),
            window=lane.window,
            throttles=lane.throttles,
            binds=[_bind(bind) for bind in pool.binds],
            queues={
                name: _queue(queue, taken[number], awaiting[number], now_ms)
                for number, (name, queue) in enumerate(zip(CLASSES, lane.queues, strict=True))
            },
            answered_after=Times(lane.answered_after.counts(), lane.answered_after.sum_us),
            receipts_after=Times(*book.receipts_after(lane.number)),
            events={kind.name.lower(): kinds[kind] for kind in EventKind},
            refusals=refusals,
            receipts={STATES[state]: count for state, count in enumerate(states) if count},
            alarms=[alarm.value for alarm in pool.alarms],
            sessions=pool.counters,
            closed_by=dict(pool.closed_by),
        )

    def _class(self, traffic_class: int) -> ClassState:
        book = self._dispatcher.pipeline.book
        outcomes: dict[str, dict[str, int]] = {}
        for (outcome, reason), count in book.ends(traffic_class).items():
            outcomes.setdefault(Outcome(outcome).name.lower(), {})[Reason(reason).name.lower()] = count
        return ClassState(outcomes, Times(*book.ended_after(traffic_class)))

    def _store(self, now_ms: int) -> StoreState:
        journal = self._dispatcher.journal
        metrics = journal.metrics
        return StoreState(
            state=journal.state,
            commits=metrics.commits,
            records=metrics.records,
            octets=metrics.octets,
            commit_s=round(metrics.commit_s, 6),
            commits_within=list(metrics.commits_within),
            commit_waiting_s=round(journal.waiting_s, 6),
            refused=metrics.refused,
            queue_appends=journal.queue_appends,
            queue_octets=journal.queue_octets,
            free_octets=journal.space.free,
            classes_accepted=sum(journal.accepts(each) for each in range(len(CLASSES))),
            lag_rows=max(0, journal.last_seq - self._dispatcher.projection.seq),
            snapshots=journal.snapshots,
            snapshot_age_s=max(0, now_ms - journal.snapshot_ms) / 1000 if journal.snapshot_ms else 0.0,
        )


def receivers(counted: Iterable[tuple[str, Receiver]]) -> Samples:
    """Return what webhooks and event files have counted, by name, for `Survey.more`."""
    results, waiting, up, lag = [], [], [], []
    for name, its in counted:
        results += [((name, result), getattr(its, result)) for result in ("delivered", "failed", "parked")]
        waiting.append(((name,), its.waiting))
        up.append(((name,), int(not (its.is_down or its.is_disabled))))
        lag.append(((name,), its.open_events))
    return {
        "dispatcher_webhook_deliveries_total": results,
        "dispatcher_webhook_waiting": waiting,
        "dispatcher_webhook_up": up,
        "dispatcher_webhook_lag_events": lag,
    }


def status_name(code: int) -> str:
    """Return a command_status as a label: its name, a vendor's number, or "other": labels have an end."""
    if code in STATUSES or VENDOR_STATUS_FIRST <= code <= VENDOR_STATUS_LAST:
        return status(code).name
    return "other"


def _bind(bind: Bind) -> BindState:
    return BindState(
        bind.number,
        KINDS.get(bind.command_id, "transceiver"),
        bind.stage,
        bind.window,
        bind.in_flight,
        bind.room,
        bind.oldest_ms,
        bind.turned_away,
    )


def _queue(queue: ClassQueue, taken: int, awaiting: int, now_ms: int) -> QueueState:
    waited = Times(queue.waited.counts(), queue.waited.sum_us)
    return QueueState(queue.messages + len(queue.claimed), _oldest_ms(queue, now_ms), waited, taken, awaiting)


def _oldest_ms(queue: ClassQueue, now_ms: int) -> int:
    """Return the age of what stands foremost: the tail in the journal came later."""
    since = [
        oldest.since_ms or oldest.message.accepted_ms
        for oldest in (queue.claimed.oldest, queue.waiting.oldest)
        if oldest is not None
    ]
    return max(0, now_ms - min(since)) if since else 0
