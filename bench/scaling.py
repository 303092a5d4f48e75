"""The scaling tier: what a segment costs when there is more of something. It should cost the same.

More waiting, up to a million; more outstanding receipts, up to five million; more carriers; more binds of
one; one core for all instead of two. CPU time of the dispatcher's process, embedded, as in the pipeline tier;
each series over its own first point, so that only the shape counts.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from bench.arena import FailedError
from bench.flows.house import Job, new_store
from bench.machine import describe_run, sentence
from bench.pipeline import Effort as Backlogged
from bench.pipeline import backlog, flow, row, smsc, tell_of
from bench.results import Result, Row
from bench.tables import grid

RATIO_AIM: Final = 1.25
"""The dearest point of a series over its first."""


class Effort(NamedTuple):
    """How much is measured."""

    backlog: int
    """0: none."""
    outstanding: tuple[int, ...]
    carriers: tuple[int, ...]
    binds: tuple[int, ...]
    warm_s: float
    span_s: float
    slice_s: float
    cores: tuple[int, ...] = (1, 0)
    """Where the simulator runs: 1, on the second core; 0, on the dispatcher's."""


CORES: Final = {1: "two: the simulator has its own", 0: "one for all"}
FULL: Final = Effort(1_000_000, (0, 100_000, 1_000_000, 5_000_000), (1, 4, 16, 64), (1, 4, 16, 64), 2, 10, 1)
QUICK: Final = Effort(100_000, (0, 50_000), (1, 8), (1, 16), 0.5, 2, 0.5)


def measure(quick: bool, progress: Callable[[str], object] = print) -> Result:
    """Run the tier."""
    return run_tier(QUICK if quick else FULL, quick, progress)


def run_tier(effort: Effort, quick: bool, progress: Callable[[str], object]) -> Result:
    """Run all series with so much effort."""
    rows: list[Row] = []
    flows: dict[str, Any] = {}
    job = Job(warm_s=effort.warm_s, span_s=effort.span_s, slice_s=effort.slice_s)

    def note(series: str, point: str, found: dict[str, Any], yardstick: float) -> None:
        rows.append(row(series, point, found["cpu_ns_rounds"], yardstick))
        flows.setdefault(series, []).append(
            {"point": point, "per_s": found["segments"] / found["seconds"], **_memory(found)}
        )

    if effort.backlog:
        progress(f"backlog, up to {effort.backlog:,}")
        some = Backlogged((), effort.warm_s, 0, effort.span_s / 2, effort.slice_s, effort.backlog, 0)
        found = backlog(some, job)
        for level in reversed(found["levels"]):
            note("messages waiting", f"{level['level']:,}", level, found["yardstick_ns"])
    progress(f"outstanding receipts, up to {max(effort.outstanding):,}")
    found = outstanding(msgspec.structs.replace(job, levels=effort.outstanding))
    for level in found["levels"]:
        note("outstanding receipts", f"{level['level']:,}", level, found["yardstick_ns"])
    for carriers in effort.carriers:
        progress(f"{carriers} carriers")
        found = flow("rate", msgspec.structs.replace(job, carriers=carriers))
        note("carriers, 4 binds x 250 each", str(carriers), found, found["yardstick_ns"])
    for binds in effort.binds:
        progress(f"{binds} binds")
        found = flow("rate", msgspec.structs.replace(job, binds=binds))
        note("binds of one carrier x 250", str(binds), found, found["yardstick_ns"])
    for place in effort.cores:
        progress(f"cores: {CORES[place]}")
        found = flow("rate", job, place)
        note("cores", CORES[place], found, found["yardstick_ns"])
    return Result(
        tier="scaling",
        run=describe_run("bench.run"),
        quick=quick,
        rounds=max(len(each["rounds"]) for each in rows),
        method="CPU prices, each series over its first point; see bench/README.md",
        flows=flows,
        corpora=dict.fromkeys((each["corpus"] for each in rows), ""),
        rows=rows,
        absent={},
    )


def outstanding(job: Job) -> dict[str, Any]:
    """Run the flow; what went to the quiet account has no receipt, all else has one."""
    with smsc() as some, new_store() as store:
        told = tell_of("outstanding", msgspec.structs.replace(job, port=some.port, store=store), some)
        loud, quiet = (some.totals(account) for account in ("bank", "silent"))
        answered = [each["responses"].get("0", 0) for each in (loud, quiet)]
        reported = loud["acknowledged"].get("0", 0)
        if told["refused"] or answered != [told["accepted"] - told["quiet"], told["quiet"]]:
            raise FailedError(f"{told['accepted']} accepted, but the ledgers say {loud}, {quiet}")
        if reported != answered[0] or quiet["acknowledged"]:
            raise FailedError(f"{reported} of {answered[0]} were reported, of the quiet ones {quiet}")
    return told


def _memory(found: dict[str, Any]) -> dict[str, int]:
    return {"memory_bytes": found["memory_bytes"]} if "memory_bytes" in found else {}


def terminal(result: Result) -> str:
    """Return everything that was found."""
    return readme(result)


def readme(result: Result) -> str:
    """Return a row a point; then where and how."""
    prices = {(row["corpus"], row["side"]): row["median"] for row in result["rows"]}
    head = ("more of", "", "CPU us a segment", "of the first point", "segments/s", "memory, MiB")
    lines = []
    for series, points in result["flows"].items():
        first = prices[series, points[0]["point"]]
        for point in points:
            price = prices[series, point["point"]]
            missed = " MISSED" if price > RATIO_AIM * first else ""
            memory = f"{point['memory_bytes'] / 2**20:,.0f}" if "memory_bytes" in point else ""
            lines.append(
                (series, point["point"], f"{price / 1e3:.2f}", f"{price / first:.0%}{missed}",
                 f"{point['per_s']:,.0f}", memory)
            )  # fmt: skip
    notes = (
        f"{sentence(result['run'])}. Medians of slices of a span; a price of more than {RATIO_AIM:.0%} of "
        "its series' first is marked. Embedded, durable, one receipt a segment; the ledgers agree."
    )
    if result["quick"]:
        notes += " Quick run: short spans, small numbers. Not for quoting."
    return f"{grid(head, lines)}\n\n{notes}"
