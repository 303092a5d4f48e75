"""The daemon tier: `dispatcher serve` on one core, clients over HTTP and the simulated carrier on the other.

The headline, a day's mix at 20,000 segments a second in NDJSON batches, and the ceiling, the highest rate
that is held: both are `dispatcher bench` (dispatcher/cli/load), from a checkout. Then single posts, as fast
as they are answered. All count only if the ledgers agree.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from bench.clients.http import Task
from bench.flows.house import yardstick_ns
from bench.machine import ROOT, describe_run
from bench.pipeline import row
from bench.results import Result, Row
from bench.served import agree, port, quiet, result, settle, shares_ms, stage, start
from dispatcher.cli.load import ceiling, trial
from dispatcher.cli.load.figures import Trial
from dispatcher.cli.load.stage import Options, Stage

SEGMENTS_PER_S: Final = 20_000
CORE_AIM: Final = 0.15
"""Of one core, at that rate."""
CEILING_AIM: Final = 200_000
"""Segments a second, two cores, the simulator and the client sharing them."""


class Effort(NamedTuple):
    """How long things are measured, in seconds."""

    sustained_s: float
    short_s: float
    """Each rate on the way to the ceiling."""
    ceiling_s: float
    """The ceiling itself; 0: it is not searched."""
    posts_s: float


FULL: Final = Effort(60, 5, 30, 10)
QUICK: Final = Effort(5, 2, 3, 2)


def measure(quick: bool, progress: Callable[[str], object] = print) -> Result:
    """Run the tier."""
    return run_tier(QUICK if quick else FULL, quick, progress)


def run_tier(
    effort: Effort, quick: bool, progress: Callable[[str], object], rate: float = SEGMENTS_PER_S
) -> Result:
    """Run it with so much effort."""
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    progress(f"sustained, {rate:,.0f} segments a second")
    with Stage(Options(folder=build)) as house:
        found = trial.run(house, rate, effort.sustained_s)
        rows = rows_of("sustained", found, CORE_AIM / SEGMENTS_PER_S * 1e9)
        flows: dict[str, Any] = {"sustained": msgspec.to_builtins(found) | {"held": found.held}}
        if effort.ceiling_s:
            progress("the ceiling")
            best = ceiling.find(ceiling.on(house, progress), rate, effort.short_s, effort.ceiling_s)
            flows["ceiling"] = msgspec.to_builtins(best)
            if best.trial is not None:
                rows += rows_of("ceiling", best.trial, 1e9 / CEILING_AIM)
                ns = [1e9 / best.trial.segments_per_s]
                rows.append(row("ceiling", "clock", ns, best.trial.yardstick_ns, ours=False))
        flows["proof"] = msgspec.to_builtins(house.prove())
    progress("single posts")
    flows["posts"] = posted = posts(effort.posts_s)
    rows.append(row("posts", "CPU", [posted["cpu_ns"]], yardstick_ns()))
    return Result(
        tier="daemon",
        run=describe_run("bench.run"),
        quick=quick,
        rounds=max(len(each["rounds"]) for each in rows),
        method="compared are CPU prices; see bench/README.md",
        flows=flows,
        corpora=dict.fromkeys((each["corpus"] for each in rows), ""),
        rows=rows,
        absent={},
    )


def rows_of(name: str, found: Trial, target_ns: float) -> list[Row]:
    """Return the price of a segment, second by second; none of a trial that nothing came of."""
    prices = [each.daemon / each.reported * 1e9 for each in found.samples if each.reported]
    return [row(name, "CPU", prices, found.yardstick_ns, target=target_ns)] if prices else []


def posts(seconds: float) -> dict[str, Any]:
    """One message a request, 32 connections."""
    with stage() as (folder, carriers, daemon, key):
        settle()
        cpu_s = daemon.cpu_s()
        client = start(Task(what="posts", port=port(daemon), seconds=seconds, connections=32), key)
        answer = result(client)
        cpu_s = daemon.cpu_s() - cpu_s
        quiet(daemon)
        proof = agree(folder, carriers, daemon, answer.accepted, answer)
    return {
        "posts": answer.accepted,
        "per_s": answer.accepted / answer.seconds,
        "cpu_ns": cpu_s / answer.accepted * 1e9,
        "post_ms": shares_ms(answer.latency_ms),
        "proof": proof,
    }
