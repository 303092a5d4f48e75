"""Results of the pipeline tier as tables: the same in a terminal and for the README."""

from typing import Any, Final

from bench.machine import sentence
from bench.pipeline import AIM_NS, SKETCH_NS, stage_prices
from bench.results import Result
from bench.tables import grid

BUSY: Final = 0.15
"""Of one core, used by others during a flow: worth saying."""
LOOP: Final = "MainThread"
WRITER: Final = "journal writer"


def terminal(result: Result) -> str:
    """Return everything that was found."""
    return readme(result)


def readme(result: Result) -> str:
    """Return the Markdown tables: rates, backlog; last the stages, which stand in bench/README.md."""
    flows = result["flows"]
    parts = [rates(flows), backlog(flows), stages(flows)]
    return "\n\n".join([*parts, "\n".join(notes(result))])


def rates(flows: dict[str, Any]) -> str:
    """Return a row a pair of binds and window."""
    head = ("binds x window", "segments/s", "first accept to last outcome", "CPU us a segment",
            "loop + writer + rest", "commits/s", "octets a segment", "accept p50 / p99", "simulator us",
            "lost", "others, of a core")  # fmt: skip
    lines = [
        (
            name,
            f"{flow['segments'] / flow['seconds']:,.0f}",
            f"{flow['whole_segments'] / flow['whole_seconds']:,.0f}/s of {flow['whole_segments']:,}",
            f"{flow['cpu_ns'] / 1e3:.2f}",
            " + ".join(f"{ns / 1e3:.2f}" for ns in _threads(flow)),
            f"{flow['commits'] / flow['seconds']:,.0f}",
            f"{flow['octets'] / flow['segments']:,.0f}",
            f"{_ms(flow['accept_p50_ns'])} / {_ms(flow['accept_p99_ns'])}",
            f"{flow['smsc_ns'] / 1e3:.2f}",
            f"{flow['accepted'] - flow['proof']['finished']:,} of {flow['accepted']:,}",
            f"{flow['others']:.0%}",
        )
        for name, flow in flows.items()
        if "whole_seconds" in flow
    ]
    return grid(head, lines)


def backlog(flows: dict[str, Any]) -> str:
    """Return a row a level, and what a restart took."""
    flow = flows["backlog"]
    empty = flow["levels"][-1]["cpu_ns"]
    head = ("messages waiting", "CPU us a segment", "of that at 0", "segments/s", "draining, CPU us",
            "draining, segments/s")  # fmt: skip
    lines = []
    for level in flow["levels"]:
        draining = level.get("draining")
        lines.append(
            (
                f"{level['backlog']:,.0f}",
                f"{level['cpu_ns'] / 1e3:.2f}",
                f"{level['cpu_ns'] / empty:.0%}",
                f"{level['segments'] / level['seconds']:,.0f}",
                f"{draining['cpu_ns'] / 1e3:.2f}" if draining else "",
                f"{draining['segments'] / draining['seconds']:,.0f}" if draining else "",
            )
        )
    filled = flow["filled"]
    first, last = filled["cpu_ns_rounds"][0], filled["cpu_ns_rounds"][-1]
    said = (
        f"Accepting {filled['accepted']:,} while the carrier is down: {first / 1e3:.2f} us of CPU a message "
        f"at first, {last / 1e3:.2f} at last, and {filled['memory_bytes'] / 2**20:,.0f} MiB more than the "
        f"{filled['empty_bytes'] / 2**20:,.0f} MiB of the empty process. Then kill -9, and a start: "
        f"accepting {flow['accepting_ns'] / 1e9:.2f} s, first submit {flow['submitting_ns'] / 1e9:.2f} s "
        f"after the process was started. "
        f"Lost: {flow['accepted'] - flow['proof']['finished']:,} of {flow['accepted']:,}. When all of these "
        f"are finished, a start takes {flow['history']['accepting_ns'] / 1e9:.2f} s and "
        f"{flow['history']['resident_bytes'] / 2**20:,.0f} MiB."
    )
    return f"{grid(head, lines)}\n\n{said}"


def stages(flows: dict[str, Any]) -> str:
    """Return the sketch beside what was measured."""
    prices = stage_prices(flows)
    lines = [
        (stage, what, f"{sketch / 1e3:.1f}", f"{prices[stage] / 1e3:.2f}")
        for stage, (what, sketch) in SKETCH_NS.items()
    ]
    lines.append(("all", "", f"{AIM_NS / 1e3:.1f}", f"{sum(prices.values()) / 1e3:.2f}"))
    return grid(("stage", "what", "sketch, us", "measured, us"), lines)


def notes(result: Result) -> list[str]:
    """Return what must stand beside any of these figures."""
    busy = [f"{name} ({flow['others']:.0%})" for name, flow in result["flows"].items() if _is_busy(flow)]
    lines = [
        f"{sentence(result['run'])}.",
        "Durable (synchronous=FULL, the disk of the checkout), one receipt and one outcome a segment; the",
        "dispatcher has one core, the simulator the other. us: CPU microseconds of the dispatcher's process.",
    ]
    if busy:
        lines.append(f"Others used a good part of a core meanwhile: {', '.join(busy)}.")
    if result["quick"]:
        lines.append("Quick run: short spans, a small backlog. Not for quoting.")
    return lines


def _is_busy(flow: dict[str, Any]) -> bool:
    return float(flow.get("others", 0)) > BUSY


def _threads(flow: dict[str, Any]) -> tuple[float, float, float]:
    """Loop, writer, the rest; the reader and the checkpoints are the rest."""
    loop, writer = flow["threads_ns"][LOOP], flow["threads_ns"][WRITER]
    return loop, writer, flow["cpu_ns"] - loop - writer


def _ms(ns: float) -> str:
    return f"{ns / 1e6:.1f} ms"
