"""The store tier: records a second and how long a commit takes, by its size; look-ups; recovery.

The measuring is bench/store.py's. Compared are prices in CPU time over the yardstick; latencies are the
disk's, and beside them stands what it takes for a sync of one page.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench import store
from bench.flows.house import yardstick_ns
from bench.machine import ROOT, describe_run, sentence
from bench.pipeline import row
from bench.results import Result, Row
from bench.tables import grid

RECORD_AIM_NS: Final = 400.0
"""CPU of a record in commits of 100."""
RECOVERY_AIM_NS: Final = 250.0
"""CPU of a message read and checked at a start: a million in a quarter of a second."""
LOOKUP_AIM_US: Final = 300.0
"""A status by message_id."""
READING: Final = ("recovery_rows", "recovery_messages_unpacked", "projection_messages", "audit_messages")


class Effort(NamedTuple):
    """How much is measured."""

    rounds: int
    seconds: float
    """Of each round, and of each latency."""
    records: tuple[int, ...]
    messages: int


FULL: Final = Effort(3, 2.0, (1, 10, 100, 1000), 1_000_000)
QUICK: Final = Effort(2, 0.3, (1, 100), 50_000)


def measure(quick: bool, progress: Callable[[str], object] = print) -> Result:
    """Run the tier."""
    (ROOT / "build").mkdir(exist_ok=True)
    return run_tier(QUICK if quick else FULL, quick, progress, ROOT / "build")


def run_tier(effort: Effort, quick: bool, progress: Callable[[str], object], folder: Path) -> Result:
    """Run it with so much effort, on the disk of a folder."""
    rows: list[Row] = []
    flows: dict[str, Any] = {"fsync": store.fsync(folder, 200)}
    yardstick = yardstick_ns()
    for records in effort.records:
        progress(f"commits of {records}")
        waits = store.one_by_one(folder, records, 1, effort.seconds)
        full = [store.at_full_rate(folder, records, 1, effort.seconds) for _ in range(effort.rounds)]
        flows[f"{records}"] = {"alone": waits, "full": full}
        target = RECORD_AIM_NS if records == 100 else 0
        prices = [each["cpu_us_a_record"] * 1e3 for each in full]
        rows.append(row(f"commits of {records}", "CPU a record", prices, yardstick, target=target))
    progress(f"reading {effort.messages:,} messages")
    flows["reading"] = found = store.reading(folder, effort.messages, 500)
    for name in READING:
        target = RECOVERY_AIM_NS if name == "recovery_rows" else 0
        prices = [found[f"{name}_cpu_us_each"] * 1e3]
        rows.append(row("reading", name, prices, yardstick, target=target))
    rows += [
        row("reading", name, [found[name] * 1e3], yardstick, ours=False)
        for name in ("lookup_us", "find_one_us")
    ]
    return Result(
        tier="store",
        run=describe_run("bench.run"),
        quick=quick,
        rounds=effort.rounds,
        method="CPU prices of the process; see bench/README.md",
        flows=flows,
        corpora=dict.fromkeys((each["corpus"] for each in rows), ""),
        rows=rows,
        absent={},
    )


def terminal(result: Result) -> str:
    """Return everything that was found."""
    return readme(result)


def readme(result: Result) -> str:
    """Return two tables: commits, reading; then where and how."""
    flows = result["flows"]
    prices = {(each["corpus"], each["side"]): each["median"] for each in result["rows"]}
    lines = [
        (
            records,
            f"{flow['alone']['p50_ms']:.2f} / {flow['alone']['p99_ms']:.2f}",
            f"{max(each['records_s'] for each in flow['full']):,}",
            f"{max(each['commits_s'] for each in flow['full']):,}",
            f"{prices[f'commits of {records}', 'CPU a record'] / 1e3:.2f}",
        )
        for records, flow in flows.items()
        if "alone" in flow
    ]
    head = (
        "records a commit",
        "alone, ms p50 / p99",
        "at full rate: records/s",
        "commits/s",
        "CPU us a record",
    )
    found = flows["reading"]
    reading = [(name.replace("_", " "), f"{found[f'{name}_s']:,}/s", f"{found[f'{name}_cpu_us_each']:.2f}")
               for name in READING]  # fmt: skip
    reading.append(("status by message_id", f"{found['lookup_us']:,.0f} us each", ""))
    reading.append(("a message by its number", f"{found['find_one_us']:,} us each", ""))
    sync = flows["fsync"]
    notes = (
        f"{sentence(result['run'])}. A sync of one page takes {sync['p50_ms']:.2f} ms, p99 "
        f"{sync['p99_ms']:.2f}. Journal: {found['octets_a_message']} bytes a message with its four events; "
        f"projection: {found['projection_octets_a_message']}."
    )
    if result["quick"]:
        notes += " Quick run: short spans, few messages. Not for quoting."
    return "\n\n".join([grid(head, lines), grid(("reading", "", "CPU us each"), reading), notes])
