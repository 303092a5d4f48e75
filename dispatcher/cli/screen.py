"""Two states of a dispatcher as one screen of 80 columns: what happens each second, and how fast.

Pure: `figures` takes the difference, `lines` writes it. `dispatcher top` shows them, and so may others.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from dispatcher.metrics import COMMIT_BOUNDS_S, quantile
from dispatcher.state import CLASSES, CarrierState, State, Times

NOTHING: Final = Times()
_COMMIT_EDGES_S: Final = (0.0, *COMMIT_BOUNDS_S)
CLASS_HEAD: Final = "class           waiting  oldest  wire p50     p99  end p50     p99   ended/s"
CARRIER_HEAD: Final = "carrier        binds      window   sent/s    limit throt/s    p50    p99  state"
MIB: Final = 1 << 20
GIB: Final = 1 << 30


class ClassFigures(Struct, frozen=True, gc=False):
    """One traffic class. Seconds are of what was written, or ended, in between; None: nothing was."""

    name: str
    waiting: int
    oldest_s: float
    wire_p50_s: float | None
    wire_p99_s: float | None
    outcome_p50_s: float | None
    outcome_p99_s: float | None
    ended_per_s: float


class CarrierFigures(Struct, frozen=True, gc=False):
    """One carrier."""

    name: str
    state: str
    """up, down or paused."""
    binds_up: int
    binds: int
    in_use: int
    window: int
    taken_per_s: float
    tps: float
    tps_max: float
    throttled_per_s: float
    answer_p50_s: float | None
    answer_p99_s: float | None
    alarms: list[str]


class Figures(Struct, frozen=True, gc=False):
    """What `dispatcher top --json` prints. Rates are a second's, over `seconds`."""

    version: str
    stage: str
    uptime_s: float
    seconds: float
    accepted_per_s: float
    refused_per_s: float
    submitted_per_s: float
    ended_per_s: float
    classes: list[ClassFigures]
    carriers: list[CarrierFigures]
    store: str
    commits_per_s: float
    commit_p99_s: float | None
    queue_appends: int
    free_octets: int
    lag_rows: int
    awaiting: int
    parked: int
    scheduled: int


def figures(before: State | None, now: State) -> Figures:
    """Return what happened between two states; `before` None, or of an earlier process: since the start."""
    if before is not None and before.uptime_s >= now.uptime_s:
        before = None
    seconds = max(now.uptime_s - (before.uptime_s if before else 0.0), 0.001)
    earlier = {carrier.name: carrier for carrier in before.carriers} if before else {}
    pairs = [(earlier.get(carrier.name), carrier) for carrier in now.carriers]
    classes = [_class(name, before, now, pairs, seconds) for name in CLASSES]
    commits = now.store.commits_within
    if before is not None:
        commits = [more - less for more, less in zip(commits, before.store.commits_within, strict=True)]
    return Figures(
        version=now.version,
        stage=now.stage,
        uptime_s=now.uptime_s,
        seconds=round(seconds, 3),
        accepted_per_s=(_accepted(now) - _accepted(before)) / seconds,
        refused_per_s=(_refused(now) - _refused(before)) / seconds,
        submitted_per_s=sum(_answered(after) - _answered(was) for was, after in pairs) / seconds,
        ended_per_s=(_ended(now) - _ended(before)) / seconds,
        classes=classes,
        carriers=[_carrier(was, after, seconds) for was, after in pairs],
        store=now.store.state,
        commits_per_s=sum(commits) / seconds,
        commit_p99_s=quantile(commits, 0.99, _COMMIT_EDGES_S) if sum(commits) else None,
        queue_appends=now.store.queue_appends,
        free_octets=now.store.free_octets,
        lag_rows=now.store.lag_rows,
        awaiting=now.outstanding,
        parked=now.parked,
        scheduled=now.scheduled,
    )


def lines(shown: Figures, width: int = 80, height: int = 24) -> list[str]:
    """Return the screen, at most so many lines; of carriers that do not fit, how many there are more."""
    rates = (
        f"accepted {_rate(shown.accepted_per_s)}  refused {_rate(shown.refused_per_s)}  "
        f"submitted {_rate(shown.submitted_per_s)}  ended {_rate(shown.ended_per_s)}"
    )
    store = (
        f"store {shown.store}: {_rate(shown.commits_per_s)} commits, p99 {_seconds(shown.commit_p99_s)}, "
        f"{shown.queue_appends:,} batches wait, {_octets(shown.free_octets)} free"
    )
    waiting = (
        f"awaiting receipts {shown.awaiting:,}, parked {shown.parked:,}, scheduled {shown.scheduled:,}, "
        f"search {shown.lag_rows:,} rows behind"
    )
    head = [
        f"dispatcher {shown.version}  {shown.stage}, up {_span(shown.uptime_s)}",
        rates,
        "",
        CLASS_HEAD,
        *map(_class_line, shown.classes),
        "",
        CARRIER_HEAD,
    ]
    tail = ["", store, waiting]
    room = max(1, height - len(head) - len(tail))
    carriers = list(_carrier_lines(shown.carriers))
    if len(carriers) > room:
        carriers = [*carriers[: room - 1], f"... and {len(carriers) - room + 1} more lines"]
    return [line[:width].rstrip() for line in [*head, *carriers, *tail]]


def _class(
    name: str,
    before: State | None,
    now: State,
    pairs: Iterable[tuple[CarrierState | None, CarrierState]],
    seconds: float,
) -> ClassFigures:
    queues = [(was.queues[name] if was else None, after.queues[name]) for was, after in pairs]
    waited = _sum(after.waited.since(then.waited if then else NOTHING) for then, after in queues)
    ended = (
        now.classes[name].ended_after.since(before.classes[name].ended_after if before else NOTHING).counts
    )
    count = now.classes[name].ended - (before.classes[name].ended if before else 0)
    return ClassFigures(
        name=name,
        waiting=sum(queue.waiting for _, queue in queues),
        oldest_s=max([queue.oldest_ms for _, queue in queues], default=0) / 1000,
        wire_p50_s=_quantile(waited, 0.5),
        wire_p99_s=_quantile(waited, 0.99),
        outcome_p50_s=_quantile(ended, 0.5),
        outcome_p99_s=_quantile(ended, 0.99),
        ended_per_s=count / seconds,
    )


def _state(now: CarrierState) -> str:
    """Return what stops a carrier: the operator before the circuit."""
    if now.switch != "on":
        return now.switch
    return "paused" if now.is_paused else "up" if now.is_bound else "down"


def _carrier(before: CarrierState | None, now: CarrierState, seconds: float) -> CarrierFigures:
    answers = now.answered_after.since(before.answered_after if before else NOTHING).counts
    return CarrierFigures(
        name=now.name,
        state=_state(now),
        binds_up=now.binds_up,
        binds=len(now.binds),
        in_use=now.in_use,
        window=now.window,
        taken_per_s=(_answered(now) - _answered(before)) / seconds,
        tps=now.tps,
        tps_max=now.tps_max,
        throttled_per_s=(now.throttles - (before.throttles if before else 0)) / seconds,
        answer_p50_s=_quantile(answers, 0.5),
        answer_p99_s=_quantile(answers, 0.99),
        alarms=now.alarms,
    )


def _class_line(its: ClassFigures) -> str:
    return (
        f"{its.name:<14}{its.waiting:>9,}{_seconds(its.oldest_s):>8}{_seconds(its.wire_p50_s):>10}"
        f"{_seconds(its.wire_p99_s):>8}{_seconds(its.outcome_p50_s):>9}{_seconds(its.outcome_p99_s):>8}"
        f"{its.ended_per_s:>10,.0f}"
    )


def _carrier_lines(carriers: Iterable[CarrierFigures]) -> Iterator[str]:
    for its in carriers:
        binds, window = f"{its.binds_up}/{its.binds}", f"{its.in_use}/{its.window}"
        yield (
            f"{its.name[:13]:<14}{binds:>6}{window:>12}{its.taken_per_s:>9,.0f}{its.tps:>9,.0f}"
            f"{its.throttled_per_s:>8,.0f}{_seconds(its.answer_p50_s):>7}{_seconds(its.answer_p99_s):>7}"
            f"  {its.state}"
        )
        if its.alarms:
            yield f"  alarms: {', '.join(its.alarms)}"


def _accepted(state: State | None) -> int:
    return sum(sum(counts.values()) for counts in state.accepted.values()) if state else 0


def _refused(state: State | None) -> int:
    return sum(state.refused.values()) if state else 0


def _answered(carrier: CarrierState | None) -> int:
    return carrier.answered_after.count if carrier else 0


def _ended(state: State | None) -> int:
    return sum(its.ended for its in state.classes.values()) if state else 0


def _sum(many: Iterable[Times]) -> list[int]:
    total: list[int] = []
    for each in many:
        total += [0] * (len(each.counts) - len(total))
        for index, count in enumerate(each.counts):
            total[index] += count
    return total


def _quantile(counts: Iterable[int], share: float) -> float | None:
    known = list(counts)
    return quantile(known, share) if any(known) else None


def _rate(per_s: float) -> str:
    return f"{per_s:,.0f}/s"


def _seconds(seconds: float | None) -> str:
    """Return a duration with two or three digits and its unit; - where there is none."""
    if seconds is None:
        return "-"
    if seconds < 0.01:
        return f"{seconds * 1000:.1f}ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    return f"{seconds:.1f}s" if seconds < 100 else _span(seconds)


def _span(seconds: float) -> str:
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole // 60 % 60:02}m"


def _octets(octets: int) -> str:
    return f"{octets / GIB:,.1f} GiB" if octets >= GIB else f"{octets / MIB:,.0f} MiB"
