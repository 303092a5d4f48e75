"""Results of the latency tier as a table: the same in a terminal and for the README."""

from typing import Any

from bench.latency import P99_AIM_MS
from bench.machine import sentence
from bench.results import Result
from bench.tables import grid


def terminal(result: Result) -> str:
    """Return everything that was found."""
    return readme(result)


def readme(result: Result) -> str:
    """Return a row a way of saturating; then where and how."""
    head = ("100 codes a second, while marketing saturates", "carrier takes", "durably accepted, ms",
            "at the carrier, ms", "p99 under 5 ms", "codes")  # fmt: skip
    lines = [_line(name, flow) for name, flow in result["flows"].items()]
    notes = (
        f"{sentence(result['run'])}. p50 / p99 / greatest from when a code was meant to be sent; of the "
        "library until it is handed to the pool, which writes at the end of the same turn; of the daemon, "
        "by single posts, until the simulated carrier has read it."
    )
    if result["quick"]:
        notes += " Quick run: short spans. Not for quoting."
    return f"{grid(head, lines)}\n\n{notes}"


def _line(name: str, flow: dict[str, Any]) -> tuple[str, ...]:
    accepted, wire = _ms(flow, "accept"), _ms(flow, "wire")
    met = "met" if wire[1] <= P99_AIM_MS else "MISSED"
    return name, f"{flow['per_s']:,.0f}/s", _joined(accepted), _joined(wire), met, f"{flow['codes']:,}"


def _ms(flow: dict[str, Any], what: str) -> list[float]:
    """The library's flow tells nanoseconds, the daemon's milliseconds and p99.9, too."""
    if f"{what}_ns" in flow:
        return [ns / 1e6 for ns in flow[f"{what}_ns"]]
    values: list[float] = flow[f"{what}_ms"]
    return [*values[:2], values[3]]


def _joined(values: list[float]) -> str:
    return " / ".join(f"{each:.1f}" for each in values)
