"""Results of the daemon tier as tables: the same in a terminal and for the README."""

from collections.abc import Sequence
from typing import Any

from bench.machine import sentence
from bench.results import Result
from bench.tables import grid


def terminal(result: Result) -> str:
    """Return everything that was found."""
    return readme(result)


def readme(result: Result) -> str:
    """Return the Markdown tables: sustained, posts, codes; then where and how."""
    flows = result["flows"]
    return "\n\n".join(
        [_sustained(flows["sustained"]), _posts(flows["posts"]), _codes(flows), _notes(result)]
    )


def _sustained(flow: dict[str, Any]) -> str:
    head = ("20,000 segments a second over HTTP", "found")
    first, last = flow["memory_bytes"]
    lines = [
        ("sent, accepted, reported", f"{flow['segments']:,} in {flow['seconds']:.0f} s; lost 0, doubled 0"),
        ("of one core, median of the seconds", f"{flow['core']:.1%}"),
        ("busiest second", f"{max(flow['cores']):.1%}"),
        ("a batch of 500 answered, p50 / p99 / p99.9 / max", _ms(flow["batch_ms"])),
        ("memory, after a fifth and at the end", f"{first / 2**20:.0f} / {last / 2**20:.0f} MiB"),
        ("waiting, first and last fifth / most", " / ".join(f"{each:,.0f}" for each in flow["waiting"])),
        ("after the last batch until all is reported", f"{flow['drain_s']:.1f} s"),
    ]
    return grid(head, lines)


def _posts(flow: dict[str, Any]) -> str:
    head = ("single messages, 32 connections", "posts/s", "CPU us a post", "p50 / p99 / p99.9 / max")
    line = (
        "each durable when answered",
        f"{flow['per_s']:,.0f}",
        f"{flow['cpu_ns'] / 1e3:.0f}",
        _ms(flow["post_ms"]),
    )
    return grid(head, [line])


def _codes(flows: dict[str, Any]) -> str:
    head = ("100 codes a second, while marketing waits", "carrier takes", "waiting",
            "accepted, p50 / p99 / p99.9 / max", "read by the carrier, p50 / p99 / p99.9 / max")  # fmt: skip
    lines = [
        (
            name,
            f"{flow['per_s']:,.0f}/s",
            f"{flow['waiting']:,}",
            _ms(flow["accept_ms"]),
            _ms(flow["wire_ms"]),
        )
        for name, flow in flows.items()
        if "wire_ms" in flow
    ]
    return grid(head, lines)


def _notes(result: Result) -> str:
    return (
        f"{sentence(result['run'])}. The daemon has one core; the clients and the simulated carrier share "
        "the other. Times count from when a request was meant to be sent. synchronous=FULL."
    )


def _ms(values: Sequence[float]) -> str:
    return " / ".join(f"{each:.1f}" for each in values) + " ms"
