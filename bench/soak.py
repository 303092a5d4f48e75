"""The soak tier: the headline's rate for ten minutes. What grows: memory, the queue; is anything lost?

Slopes are least squares over the seconds after the first fifth, in which caches and allocators fill up. Some
memory grows by design, with every message: keys of repetition (a day) and counts per number (an hour).
$DISPATCHER_BENCH_SOAK_S makes it shorter or longer.
"""

import os
from collections.abc import Callable, Sequence
from statistics import linear_regression
from typing import Any, Final

import msgspec

from bench.daemon import CORE_AIM, SEGMENTS_PER_S, rows_of
from bench.machine import ROOT, describe_run, sentence
from bench.results import Result
from bench.tables import grid
from dispatcher.cli.load import trial
from dispatcher.cli.load.figures import Proof, Trial
from dispatcher.cli.load.stage import Options, Stage

SECONDS: Final = 600.0
QUICK_S: Final = 10.0
SLOPE_AIM_OCTETS: Final = 128.0
"""Of memory, a message: a key and a number are 60 to 100 octets in the tables that hold them."""


def measure(quick: bool, progress: Callable[[str], object] = print) -> Result:
    """Run the tier."""
    seconds = QUICK_S if quick else float(os.environ.get("DISPATCHER_BENCH_SOAK_S", SECONDS))
    return run_tier(seconds, SEGMENTS_PER_S, quick, progress)


def run_tier(seconds: float, rate: float, quick: bool, progress: Callable[[str], object]) -> Result:
    """Soak for so long at a rate. FailedError: something was lost or sent twice."""
    (ROOT / "build").mkdir(exist_ok=True)
    progress(f"{rate:,.0f} segments a second for {seconds:.0f} s")
    with Stage(Options(folder=ROOT / "build")) as house:
        found = trial.run(house, rate, seconds)
        progress("the ledgers are compared")
        proof = house.prove()
    return result_of(found, proof, quick)


def result_of(found: Trial, proof: Proof, quick: bool) -> Result:
    """Return the result of a soak that has ended well."""
    rows = rows_of("soak", found, CORE_AIM / SEGMENTS_PER_S * 1e9)
    slopes = slopes_of(found)
    return Result(
        tier="soak",
        run=describe_run("bench.run"),
        quick=quick,
        rounds=len(found.samples),
        method="slopes by least squares over the seconds; see bench/README.md",
        flows={
            "soak": msgspec.to_builtins(found),
            "slopes": slopes,
            "proof": msgspec.to_builtins(proof),
        },
        corpora={"soak": ""},
        rows=rows,
        absent={},
    )


def slopes_of(found: Trial) -> dict[str, float]:
    """Return memory in octets a second and a message, the queue in segments a second."""
    samples = found.samples[len(found.samples) // 5 :]
    at_s = [each.at_s for each in samples]
    memory = _slope(at_s, [each.memory_bytes for each in samples])
    messages_per_s = found.messages / found.seconds
    return {
        "memory_octets_per_s": memory,
        "memory_octets_a_message": memory / messages_per_s if messages_per_s else 0.0,
        "queue_per_s": _slope(at_s, [each.behind for each in samples]),
    }


def _slope(at_s: Sequence[float], values: Sequence[float]) -> float:
    return linear_regression(at_s, values).slope if len(values) > 1 else 0.0


def terminal(result: Result) -> str:
    """Return everything that was found."""
    return readme(result)


def readme(result: Result) -> str:
    """Return one table; then where and how."""
    flows: dict[str, Any] = result["flows"]
    slopes, found = flows["slopes"], msgspec.convert(flows["soak"], Trial)
    minutes = found.seconds / 60
    hour, per_message = slopes["memory_octets_per_s"] * 3600 / 2**20, slopes["memory_octets_a_message"]
    met = "met" if per_message <= SLOPE_AIM_OCTETS else "MISSED"
    queue, took = slopes["queue_per_s"], found.accepted
    lines = [
        ("lost, doubled, complaints of the audit", f"0, 0, 0 of {flows['proof']['segments']:,} segments"),
        ("refused", f"{found.refused:,} messages"),
        ("memory grows by", f"{hour:,.0f} MiB an hour, {per_message:,.0f} octets a message ({met})"),
        (
            "the queue grows by",
            f"{queue:+,.1f} segments a second, {queue / found.segments_per_s:+.3%} of all",
        ),
        ("of one core, first / last fifth", " / ".join(f"{share:.1%}" for share in _fifths(found))),
        ("answered, p50 / p99 / max", f"{took.p50:.1f} / {took.p99:.1f} / {took.max:.1f} ms"),
    ]
    head = (f"{found.segments_per_s:,.0f} segments a second for {minutes:.1f} minutes", "found")
    notes = sentence(result["run"]) + "."
    if result["quick"]:
        notes += " Quick run: seconds, not minutes. Not for quoting."
    return f"{grid(head, lines)}\n\n{notes}"


def _fifths(found: Trial) -> tuple[float, float]:
    """The daemon's share of a core in the first and the last fifth of the seconds."""
    shares = [each.daemon for each in found.samples]
    fifth = max(1, len(shares) // 5)
    return sum(shares[:fifth]) / fifth, sum(shares[-fifth:]) / fifth
