"""Results of the daemon tier as tables: the same in a terminal and for the README."""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import convert

from bench.machine import sentence
from bench.results import Result
from bench.tables import grid
from dispatcher.cli.load.figures import Ceiling, Latency, Trial
from dispatcher.cli.load.mix import CLASSES
from dispatcher.cli.load.report import ceiling

BUSY: Final = 0.15
"""Of one core, used by others: worth saying."""


def terminal(result: Result) -> str:
    """Return everything that was found."""
    return readme(result)


def readme(result: Result) -> str:
    """Return the Markdown tables: sustained, ceiling, posts; then where and how."""
    flows = result["flows"]
    parts = [_sustained(flows["sustained"])]
    if "ceiling" in flows:
        parts.append(_ceiling(flows["ceiling"]))
    return "\n\n".join([*parts, _posts(flows["posts"]), _notes(result)])


def _sustained(flow: dict[str, Any]) -> str:
    trial = convert(flow, Trial)
    core = max(each.daemon for each in trial.samples)
    memory = [trial.samples[at].memory_bytes / 2**20 for at in (0, -1)]
    lines = [
        ("messages", f"{trial.messages:,} in {trial.seconds:.0f} s; lost 0, doubled 0"),
        ("held", "yes" if trial.held else _why_not(trial)),
        ("of one core, mean / busiest second", f"{trial.core:.1%} / {core:.1%}"),
        ("CPU us a segment", f"{trial.cpu_us:.1f}"),
        ("commits a second, bytes a segment", f"{trial.commits_per_s:,.0f}, {trial.octets_a_segment:,.0f}"),
        ("memory, first and last second", f"{memory[0]:,.0f}, {memory[1]:,.0f} MiB"),
        ("after the last request until all is reported", f"{trial.drain_s:.1f} s"),
        ("ms from when it was meant to be sent", "p50 / p99 / p99.9 / max"),
        ("a request answered, all on disk", _latency(trial.accepted)),
        *((f"{name}, read by the carrier", _latency(trial.carrier[name])) for name in CLASSES),
    ]
    return grid((f"{trial.segments_per_s:,.0f} segments a second over HTTP", "found"), lines)


def _why_not(trial: Trial) -> str:
    behind = ", stopped as it was seconds behind" if trial.stopped else ""
    return f"NO: {trial.refused:,} refused, queue {trial.growth:+.1%}/s{behind}"


def _ceiling(flow: dict[str, Any]) -> str:
    return " ".join(ceiling(convert(flow, Ceiling))) + "."


def _latency(latency: Latency) -> str:
    return _ms([latency.p50, latency.p99, latency.p999, latency.max])


def _posts(flow: dict[str, Any]) -> str:
    head = ("single messages, 32 connections", "posts/s", "CPU us a post", "p50 / p99 / p99.9 / max")
    line = (
        "each durable when answered",
        f"{flow['per_s']:,.0f}",
        f"{flow['cpu_ns'] / 1e3:.0f}",
        _ms(flow["post_ms"]),
    )
    return grid(head, [line])


def _notes(result: Result) -> str:
    samples = convert(result["flows"]["sustained"], Trial).samples
    others = sum(each.others for each in samples) / len(samples)
    notes = (
        f"{sentence(result['run'])}. The daemon has one core; the clients and the simulated carrier share "
        "the other. Times count from when a request was meant to be sent. synchronous=FULL."
    )
    return notes if others < BUSY else f"{notes} Others used {others:.0%} of a core meanwhile."


def _ms(values: Sequence[float]) -> str:
    return " / ".join(f"{each:.1f}" for each in values) + " ms"
