"""The history of results: a line of JSON for each full run of a tier, appended and never changed.

    python -m bench.run --history       append what bench/results/ holds, write the table of bench/README.md
    python -m bench.history             print that table

A line holds date, machine, commit, and of each of our rows the median in nanoseconds; what is said of a tier
in a line comes from HEADLINES. The file is in the repository; bench/results/ is not.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench.machine import ROOT
from bench.results import Result
from bench.tables import grid

FILE: Final = ROOT / "bench" / "history.jsonl"


def append(result: Result, path: Path = FILE) -> str:
    """Append a result; return what was done. A quick run, or one that is there, is not appended."""
    line = line_of(result)
    if result["quick"]:
        return f"{result['tier']}: a quick run is no history"
    if any((each["tier"], each["date"]) == (line["tier"], line["date"]) for each in read(path)):
        return f"{result['tier']} of {line['date']} is there already"
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return f"{result['tier']} of {line['date']} was appended"


def line_of(result: Result) -> dict[str, Any]:
    """Return what is kept of a result."""
    run, machine = result["run"], result["run"]["machine"]
    return {
        "tier": result["tier"],
        "date": run["date"],
        "commit": run.get("commit", ""),
        "machine": f"{machine['cpu']}, {machine['cores']} cores, {machine['python']}",
        "load": machine["load"],
        "said": _said(result),
        "ns": {
            f"{row['corpus']}: {row['side']}": round(row["median"], 1)
            for row in result["rows"]
            if row["ours"]
        },
    }


def read(path: Path = FILE) -> list[dict[str, Any]]:
    """Return all lines, the oldest first."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def table(path: Path = FILE) -> str:
    """Return the history as Markdown, the newest first."""
    head = ("date", "tier", "commit", "found", "machine, load")
    lines = [
        (each["date"], each["tier"], each["commit"], each["said"], f"{each['machine']}, {each['load']}")
        for each in reversed(read(path))
    ]
    return grid(head, lines)


def _said(result: Result) -> str:
    say = HEADLINES.get(result["tier"])
    return say(result) if say is not None else _first_row(result)


def _first_row(result: Result) -> str:
    found = next(row for row in result["rows"] if row["ours"])
    return f"{found['corpus']}, {found['side']}: {found['median']:,.0f} ns"


def _daemon(result: Result) -> str:
    sustained, best = result["flows"]["sustained"], result["flows"].get("ceiling", {}).get("trial")
    ceiling = f"; ceiling {best['segments_per_s']:,.0f}/s" if best else ""
    codes = sustained["carrier"]["authorization"]
    return (
        f"{sustained['segments_per_s']:,.0f}/s {'held' if sustained['held'] else 'NOT held'} at "
        f"{sustained['core']:.1%} of a core, codes p99 {codes['p99']:.1f} ms{ceiling}"
    )


def _pipeline(result: Result) -> str:
    flows = [(name, flow) for name, flow in result["flows"].items() if "whole_seconds" in flow]
    return "; ".join(
        f"{name}: {flow['segments'] / flow['seconds']:,.0f}/s, {flow['cpu_ns'] / 1e3:.2f} us"
        for name, flow in flows
    )


def _latency(result: Result) -> str:
    def p99(flow: dict[str, Any]) -> float:
        return float(flow["wire_ms"][1] if "wire_ms" in flow else flow["wire_ns"][1] / 1e6)

    return "codes p99 " + "; ".join(f"{name} {p99(flow):.1f} ms" for name, flow in result["flows"].items())


def _soak(result: Result) -> str:
    slopes = result["flows"]["slopes"]
    return (
        f"{result['flows']['soak']['seconds']:.0f} s: memory {slopes['memory_octets_a_message']:,.0f} octets "
        f"a message, queue {slopes['queue_per_s']:+,.1f} segments a second, lost 0"
    )


HEADLINES: Final[dict[str, Callable[[Result], str]]] = {
    "daemon": _daemon,
    "pipeline": _pipeline,
    "latency": _latency,
    "soak": _soak,
}
"""What is said of a tier in one line; of others, their first figure."""

if __name__ == "__main__":
    print(table())
