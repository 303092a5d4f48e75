"""The latency tier: codes, at times fixed before, while marketing takes all that their carrier gives.

Through the library, at an account that leaves the machine idle and flat out (bench/flows/latency.py); and by
single posts to the daemon, read by the carrier. A code that comes late is not forgiven: its time counts from
when it was meant to be sent.
"""

import signal
from collections.abc import Callable
from time import sleep
from typing import Any, Final, NamedTuple

import msgspec

from bench.arena import FailedError
from bench.clients.http import Task
from bench.flows.house import Job, yardstick_ns
from bench.machine import describe_run
from bench.pipeline import flow, row
from bench.results import Result, Row
from bench.served import port, result, settle, shares_ms, stage, start
from dispatcher.cli import rig
from dispatcher.cli.demo.proof import Seen

P99_AIM_MS: Final = 5.0
"""From the intended send to read by the carrier."""
FLAT_OUT: Final = Job().tps
CODES_PER_S: Final = 100
SATURATION: Final = 1.25
"""Marketing offered, of what the carrier takes."""
TPS: Final = (2_000, 15_000)
"""Of the daemon's carrier."""


class Effort(NamedTuple):
    """How long codes are sent, in seconds, through the library and to the daemon."""

    library_s: float
    daemon_s: float
    tps: tuple[float, ...] = TPS
    warm_s: float = 2.0
    """Of marketing alone, before the first code."""
    library_tps: tuple[float, ...] = (2_000, FLAT_OUT)


FULL: Final = Effort(20, 20)
QUICK: Final = Effort(3, 3)


def measure(quick: bool, progress: Callable[[str], object] = print) -> Result:
    """Run the tier."""
    return run_tier(QUICK if quick else FULL, quick, progress)


def run_tier(effort: Effort, quick: bool, progress: Callable[[str], object]) -> Result:
    """Run it with so much effort."""
    flows: dict[str, Any] = {}
    rows: list[Row] = []
    for tps in effort.library_tps:
        name = f"library, {tps:,.0f} TPS" if tps < FLAT_OUT else "library, flat out"
        progress(name)
        flows[name] = found = flow("latency", Job(tps=tps, span_s=effort.library_s, warm_s=effort.warm_s))
        rows.append(row(name, "p50", found["wire_ns"][:1], found["yardstick_ns"], ours=False))
    for tps in effort.tps:
        progress(name := f"daemon, {tps:,.0f} TPS")
        flows[name] = found = by_post(effort.daemon_s, tps, effort.warm_s)
        rows.append(row(name, "p50", [found["wire_ms"][0] * 1e6], yardstick_ns(), ours=False))
    return Result(
        tier="latency",
        run=describe_run("bench.run"),
        quick=quick,
        rounds=1,
        method="nothing is compared: what the clock says depends on who else works; see bench/README.md",
        flows=flows,
        corpora=dict.fromkeys((each["corpus"] for each in rows), ""),
        rows=rows,
        absent={},
    )


def by_post(codes_s: float, tps: float, warm_s: float) -> dict[str, Any]:
    """Codes by single posts, while marketing is offered beyond what their carrier takes."""
    with stage(tps=tps, ledger="tokens") as (folder, carriers, daemon, key):
        settle()
        seconds = codes_s + warm_s
        flood = Task(
            what="marketing", port=port(daemon), seconds=seconds, per_s=tps * SATURATION / 250, batch=250
        )
        marketing = start(flood, key)
        sleep(warm_s)
        submits = carriers.submits()
        client = start(Task(what="codes", port=port(daemon), seconds=codes_s, per_s=CODES_PER_S), key)
        answer = result(client)
        submits = carriers.submits() - submits
        flooded = result(marketing)
        waiting = rig.waiting(daemon.state())
        if rig.end(daemon.process, signal.SIGTERM):
            raise FailedError("the daemon did not end well")
        carriers.end()
        seen = msgspec.json.decode((folder / rig.LEDGER).read_bytes(), type=Seen).tokens
    wire_ns = []
    for number, asked_us in enumerate(answer.asked_us):
        copies = seen[f"c{number}"].copies  # KeyError: a code was lost
        wire_ns.append(max(0, min(copy.came_us for copy in copies) - asked_us) * 1000)
    if answer.refused or flooded.refused or not waiting:
        raise FailedError(
            f"{answer.refused} codes refused, {flooded.refused} of marketing, {waiting} waiting"
        )
    return {
        "codes": len(wire_ns),
        "per_s": submits / answer.seconds,
        "waiting": waiting,
        "accept_ms": shares_ms(answer.latency_ms),
        "wire_ms": shares_ms([each / 1e6 for each in wire_ns]),
    }
