"""The pipeline tier: the whole dispatcher through the library, from accept to outcome, on a real store.

Each flow is a process of its own on one core; the simulated SMSC has the other. A flow's figures count only
if nothing was lost or sent twice: what was accepted, what the journal says of it, and the simulator's ledger
must agree. Compared between two results are prices in CPU time; what the clock says depends on who else
works.
"""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from statistics import median
from time import monotonic, monotonic_ns, sleep
from typing import Any, Final, NamedTuple

import msgspec

from bench.arena import FailedError, Smsc, busy_s, children_s, killed, run, smsc_of
from bench.flows.house import Job, new_store
from bench.flows.stages import STAGES
from bench.machine import describe_run
from bench.results import Result, Row
from bench.timing import Spread, ratios

AIM_NS: Final = 5_000
"""CPU of a segment, all in all: 200,000 segments a second on one core."""
SKETCH_NS: Final[dict[str, tuple[str, float]]] = {
    "accept": ("validate, normalise, route, encode, id; its record, packed", 2_000),
    "journal": ("join, CRC, WAL twice, fsync", 800),
    "claim": ("an event, before it may be written", 100),
    "submit": ("lane, window, submit_sm", 400),
    "answer": ("match, id into the book, event", 200),
    "receipt": ("parse, match, events, outcome, response", 800),
    "loop": ("event loop, sockets, callbacks, and what is not measured alone", 700),
}
"""What each stage was thought to cost before its structures were chosen."""
LIMIT_S: Final = 600


class Effort(NamedTuple):
    """How much is measured."""

    pairs: tuple[tuple[int, int], ...]
    warm_s: float
    span_s: float
    level_s: float
    slice_s: float
    backlog: int
    stages: int
    """Segments through the stages."""


FULL: Final = Effort(((4, 250), (10, 1000)), 3, 20, 10, 1, 1_000_000, 400_000)
QUICK: Final = Effort(((4, 250),), 0.5, 3, 1, 0.5, 100_000, 100_000)


def measure(quick: bool, progress: Callable[[str], object] = print) -> Result:
    """Run the tier."""
    return run_tier(QUICK if quick else FULL, quick, progress)


def run_tier(effort: Effort, quick: bool, progress: Callable[[str], object]) -> Result:
    """Run all flows with so much effort."""
    flows: dict[str, Any] = {}
    rows: list[Row] = []
    first = Job(binds=effort.pairs[0][0], window=effort.pairs[0][1], warm_s=effort.warm_s)
    for binds, window in effort.pairs:
        name = f"{binds} x {window}"
        progress(name)
        job = Job(
            binds=binds, window=window, warm_s=effort.warm_s, span_s=effort.span_s, slice_s=effort.slice_s
        )
        flows[name] = found = flow("rate", job)
        rows.append(row(name, "CPU", found["cpu_ns_rounds"], found["yardstick_ns"], target=AIM_NS))
        rows.append(row(name, "clock", found["clock_ns_rounds"], found["yardstick_ns"], ours=False))
    progress("stages")
    flows["stages"] = stages = _stages(effort)
    rows += [row("stages", stage, stages["stages"][stage], stages["yardsticks_ns"]) for stage in STAGES]
    progress(f"backlog {effort.backlog:,}")
    flows["backlog"] = found = backlog(effort, first)
    for level in found["levels"]:
        name = f"backlog {level['level']:,}"
        rows.append(row(name, "CPU", level["cpu_ns_rounds"], found["yardstick_ns"], target=AIM_NS))
    rows += [
        row("restart", side, [found[f"{side}_ns"]], found["yardstick_ns"], ours=False)
        for side in ("accepting", "submitting")
    ]
    return Result(
        tier="pipeline",
        run=describe_run("bench.run"),
        quick=quick,
        rounds=max(len(each["rounds"]) for each in rows),
        method="spans cut into slices; compared are CPU prices; see bench/README.md",
        flows=flows,
        corpora=dict.fromkeys((each["corpus"] for each in rows), ""),
        rows=rows,
        absent={},
    )


def flow(name: str, job: Job, place: int = 1) -> dict[str, Any]:
    """Run a flow against a simulator; return what it says, once the ledger agrees. `place`: its core."""
    with smsc(place) as some, new_store() as store:
        return _run(name, msgspec.structs.replace(job, port=some.port, store=store), some)


def _stages(effort: Effort) -> dict[str, Any]:
    with new_store() as store:
        told: dict[str, Any] = json.loads(run(_command("stages", Job(store=store, messages=effort.stages))))
    return told


def backlog(effort: Effort, job: Job) -> dict[str, Any]:
    """Fill a store while the carrier is down, kill -9, start again, drain; start once more."""
    with smsc() as some, new_store() as store:
        job = msgspec.structs.replace(job, store=store, messages=effort.backlog)
        filled = json.loads(killed(_command("fill", job)))
        levels = (effort.backlog * 9 // 10, effort.backlog // 10)
        job = msgspec.structs.replace(
            job, port=some.port, levels=levels, span_s=effort.level_s, slice_s=effort.slice_s
        )
        drained = _run("drain", job, some)
        history = json.loads(run(_command("start", job)))
    if not drained["found"] == filled["accepted"] == effort.backlog:
        raise FailedError(f"{filled['accepted']} accepted, {drained['found']} found")
    return {**drained, "filled": filled, "history": history}


def _run(name: str, job: Job, smsc: Smsc) -> dict[str, Any]:
    told = tell_of(name, job, smsc)
    told["ledger"] = _agree(smsc, told)
    return told


def tell_of(name: str, job: Job, smsc: Smsc) -> dict[str, Any]:
    """Run a flow; return what it says, and what simulator and others used. Nothing is proven."""
    smsc_s, used_s, others_s, begun_s = smsc.cpu_s, children_s(), busy_s(), monotonic()
    told: dict[str, Any] = json.loads(run(_command(name, job), LIMIT_S))
    smsc_s = smsc.cpu_s - smsc_s
    others_s = busy_s() - others_s - (children_s() - used_s) - smsc_s
    told["smsc_ns"] = smsc_s / told["accepted"] * 1e9
    told["others"] = max(0.0, others_s / (monotonic() - begun_s))
    return told


def _agree(smsc: Smsc, told: dict[str, Any]) -> dict[str, Any]:
    """Compare verdicts, journal and ledger."""
    proof, accepted = told["proof"], told["accepted"]
    for _ in range(100):  # it hears of the last acknowledgement a moment later
        totals = smsc.totals("bank")
        ledger = [totals["submits"], *(totals[each].get("0", 0) for each in ("responses", "acknowledged"))]
        if {accepted, *proof.values(), *ledger} == {accepted} and not told["refused"]:
            return totals
        sleep(0.01)
    raise FailedError(
        f"{accepted} accepted, {told['refused']} refused, {proof}, but the ledger says {totals}"
    )


def smsc(place: int = 1) -> AbstractContextManager[Smsc]:
    """Run our simulator, with totals only, on the second core or the first."""
    return smsc_of([sys.executable, "-m", "bench.clients.smsc"], place)


def _command(name: str, job: Job) -> list[str]:
    job = msgspec.structs.replace(job, begun_ns=monotonic_ns())
    return [sys.executable, "-m", "bench.flows", name, msgspec.json.encode(job).decode()]


def row(
    corpus: str,
    side: str,
    values: Sequence[float],
    yardstick: float | Sequence[float],
    *,
    ours: bool = True,
    target: float = 0,
) -> Row:
    """Return a row of the result; values and yardstick in nanoseconds, round by round."""
    yardsticks = [yardstick] * len(values) if isinstance(yardstick, float) else list(yardstick)
    spread, rounds = Spread.of(values), ratios(list(values), yardsticks)
    found = Row(
        corpus=corpus,
        side=side,
        version="",
        ours=ours,
        median=spread.median,
        min=spread.min,
        max=spread.max,
        rounds=list(values),
        yardstick=rounds,
        ratio=median(rounds),
        ratio_min=min(rounds),
        ratio_max=max(rounds),
    )
    if target:
        found["target"] = target
    return found


def stage_prices(flows: dict[str, Any]) -> dict[str, float]:
    """Return what each stage of SKETCH_NS costs, nanoseconds a segment; the loop has the rest."""
    best = {stage: min(rounds) for stage, rounds in flows["stages"]["stages"].items()}
    prices = {"accept": best.pop("admit") + best.pop("pack"), **best}
    whole = min(_rates(flows), key=lambda flow: float(flow["cpu_ns"]))
    return {**prices, "loop": whole["cpu_ns"] - sum(prices.values())}


def _rates(flows: dict[str, Any]) -> Iterable[dict[str, Any]]:
    return [flow for flow in flows.values() if "whole_seconds" in flow]
