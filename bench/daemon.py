"""The daemon tier: `dispatcher serve` on one core, clients over HTTP and the simulated carrier on the other.

Three flows: a day's mix at 20,000 segments a second in NDJSON batches; single posts, as fast as they are
answered; codes at fixed times while marketing saturates their carrier. A flow counts only if ledgers agree.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import monotonic, sleep
from typing import Any, Final, NamedTuple

import msgspec

from bench.arena import FailedError
from bench.clients.http import CLIENT, Answer, Task
from bench.flows.house import percentile, yardstick_ns
from bench.machine import ROOT, describe_run
from bench.pipeline import row
from bench.results import Result, Row
from dispatcher.cli import rig
from dispatcher.cli.demo import traffic
from dispatcher.cli.demo.proof import Seen
from dispatcher.store.audit import audit

SEGMENTS_PER_S: Final = 20_000
CORE_AIM: Final = 0.30
"""Of one core, at that rate."""
CODES_AIM_MS: Final = 10.0
"""p99 from asked for to read by the carrier."""
QUIET_LIMIT_S: Final = 120.0
CODES_PER_S: Final = 100
SATURATION: Final = 1.25
"""Marketing offered, of what the carrier takes."""
SHARES: Final = (0.5, 0.99, 0.999, 1)

_SIMULATOR: Final = """\
ledger = "{ledger}"
times = true
tokens_max = 3000000
[accounts.bank]
receipts = {{ delay_ms = 100 }}
"""
_CONFIG: Final = """\
store = "store"
[http]
port = {http_port}
[admin]
port = {admin_port}
[log]
level = "error"
[carriers.bank]
host = "127.0.0.1"
port = {port}
system_id = "bank"
transceivers = 4
window = 250
tps = {tps}
[[routes]]
carriers = ["bank"]
"""


class Effort(NamedTuple):
    """How long things are measured, in seconds."""

    sustained_s: float
    posts_s: float
    codes_s: float


FULL: Final = Effort(60, 10, 20)
QUICK: Final = Effort(5, 2, 3)


def measure(quick: bool, progress: Callable[[str], object] = print) -> Result:
    """Run the tier."""
    effort = QUICK if quick else FULL
    flows: dict[str, Any] = {}
    rows: list[Row] = []
    progress(f"sustained, {SEGMENTS_PER_S:,} segments a second")
    flows["sustained"] = found = sustained(effort)
    rows.append(
        row(
            "sustained", "CPU", found["cpu_ns_rounds"], yardstick_ns(), target=CORE_AIM / SEGMENTS_PER_S * 1e9
        )
    )
    progress("single posts")
    flows["posts"] = found = posts(effort)
    rows.append(row("posts", "CPU", [found["cpu_ns"]], yardstick_ns()))
    for name, tps in (("codes, 2,000 TPS", 2_000), ("codes, 15,000 TPS", 15_000)):
        progress(name)
        flows[name] = found = codes(effort, tps)
        rows.append(row(name, "p50", [found["wire_ms"][0] * 1e6], yardstick_ns(), ours=False))
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


def sustained(effort: Effort) -> dict[str, Any]:
    """A day's mix, every batch at its time."""
    with stage() as (folder, carriers, daemon, key):
        _settle()
        per_s = SEGMENTS_PER_S / (traffic.BATCH * 25 / len(traffic.PATTERN))
        task = Task(what="batches", port=_port(daemon), seconds=effort.sustained_s, per_s=per_s)
        used = Used(daemon)
        client = start(task, key)
        while client.poll() is None:
            sleep(1.0)
            used.look()
        answer = result(client)
        found = used.found()
        begun_s = monotonic()
        _quiet(daemon)
        drain_s = monotonic() - begun_s
        segments = answer.accepted * 25 // len(traffic.PATTERN)
        found["proof"] = _agree(folder, carriers, daemon, segments, answer)
    batch_ms = [percentile([int(each * 1e6) for each in answer.latency_ms], share) / 1e6 for share in SHARES]
    return found | {
        "segments": segments,
        "seconds": answer.seconds,
        "core": median(found["cores"]),
        "batch_ms": batch_ms,
        "drain_s": drain_s,
        "cpu_ns_rounds": [core / SEGMENTS_PER_S * 1e9 for core in found["cores"]],
    }


def posts(effort: Effort) -> dict[str, Any]:
    """One message a request, 32 connections."""
    with stage() as (folder, carriers, daemon, key):
        _settle()
        cpu_s = daemon.cpu_s()
        client = start(Task(what="posts", port=_port(daemon), seconds=effort.posts_s, connections=32), key)
        answer = result(client)
        cpu_s = daemon.cpu_s() - cpu_s
        _quiet(daemon)
        proof = _agree(folder, carriers, daemon, answer.accepted, answer)
    post_ms = [percentile([int(each * 1e6) for each in answer.latency_ms], share) / 1e6 for share in SHARES]
    return {
        "posts": answer.accepted,
        "per_s": answer.accepted / answer.seconds,
        "cpu_ns": cpu_s / answer.accepted * 1e9,
        "post_ms": post_ms,
        "proof": proof,
    }


def codes(effort: Effort, tps: float) -> dict[str, Any]:
    """Codes by single posts, while marketing is offered beyond what their carrier takes."""
    with stage(tps=tps, ledger="tokens") as (folder, carriers, daemon, key):
        _settle()
        seconds = effort.codes_s + 2
        flood = Task(
            what="marketing", port=_port(daemon), seconds=seconds, per_s=tps * SATURATION / 250, batch=250
        )
        marketing = start(flood, key)
        sleep(2.0)
        submits = carriers.submits()
        client = start(Task(what="codes", port=_port(daemon), seconds=effort.codes_s, per_s=CODES_PER_S), key)
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
    accept_ns = [int(each * 1e6) for each in answer.latency_ms]
    return {
        "codes": len(wire_ns),
        "per_s": submits / answer.seconds,
        "waiting": waiting,
        "accept_ms": [percentile(accept_ns, share) / 1e6 for share in SHARES],
        "wire_ms": [percentile(wire_ns, share) / 1e6 for share in SHARES],
    }


# ---- what they stand on ----


class Used:
    """What the daemon uses, looked at once a second."""

    def __init__(self, daemon: rig.Daemon) -> None:
        self._daemon = daemon
        self._last = (monotonic(), daemon.cpu_s())
        self._cores: list[float] = []
        self._memory: list[int] = []
        self._waiting: list[int] = []

    def look(self) -> None:
        """Take one more reading."""
        now = (monotonic(), self._daemon.cpu_s())
        self._cores.append((now[1] - self._last[1]) / (now[0] - self._last[0]))
        self._last = now
        self._memory.append(self._daemon.memory_bytes())
        self._waiting.append(rig.waiting(self._daemon.state()))

    def found(self) -> dict[str, Any]:
        """Return shares of a core, and memory and queue in the first and last fifth of the span."""
        fifth = max(1, len(self._memory) // 5)
        return {
            "cores": self._cores,
            "memory_bytes": [
                median(self._memory[fifth : 2 * fifth] or self._memory),
                median(self._memory[-fifth:]),
            ],
            "waiting": [median(self._waiting[:fifth]), median(self._waiting[-fifth:]), max(self._waiting)],
        }


@contextmanager
def stage(
    tps: float = 1_000_000, ledger: str = "counts"
) -> Iterator[tuple[Path, rig.Carriers, rig.Daemon, str]]:
    """A fresh store on the disk of the checkout, carriers on the second core, the daemon on the first."""
    (ROOT / "build").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-daemon-", dir=ROOT / "build"))
    processes: list[subprocess.Popen[Any]] = []
    try:
        carriers = rig.Carriers(folder, _SIMULATOR.format(ledger=ledger), core=1)
        processes.append(carriers.process)
        ports = rig.free_ports(2)
        config = _CONFIG.format(http_port=ports[0], admin_port=ports[1], port=carriers.port, tps=tps)
        (folder / rig.CONFIG).write_text(config, "utf-8")
        key = rig.add_key(folder, "bench")
        daemon = rig.Daemon(folder, ports[0], ports[1], core=0)
        processes.append(daemon.process)
        yield folder, carriers, daemon, key
    finally:
        rig.kill_all(processes)
        shutil.rmtree(folder, ignore_errors=True)


def start(task: Task, key: str) -> "subprocess.Popen[str]":
    """Start a client on the second core."""
    command = rig.pinned([sys.executable, "-m", CLIENT, msgspec.json.encode(task).decode()], 1)
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ | {"DISPATCHER_KEY": key}
    )


def result(client: "subprocess.Popen[str]") -> Answer:
    """Wait for a client; return what it says."""
    told, _ = client.communicate()
    if client.returncode:
        raise FailedError(f"a client ended with exit code {client.returncode}")
    return msgspec.json.decode(told, type=Answer)


def _agree(
    folder: Path, carriers: rig.Carriers, daemon: rig.Daemon, segments: int, answer: Answer
) -> dict[str, Any]:
    """Compare the client, the carrier and the store, or there are no figures."""
    if rig.end(daemon.process, signal.SIGTERM):
        raise FailedError("the daemon did not end well")
    totals = carriers.accounts()["bank"]["totals"]
    ledger = [totals["submits"], *(totals[each].get("0", 0) for each in ("responses", "acknowledged"))]
    complaints = sum(audit(folder / "store").wrong.values())
    if {segments, *ledger} != {segments} or answer.refused or complaints:
        raise FailedError(
            f"{segments} segments accepted, {answer.refused} refused, {complaints} complaints of the audit, "
            f"but the ledger says {json.dumps(totals)}"
        )
    return {"segments": segments, "ledger": ledger, "complaints": complaints}


def _quiet(daemon: rig.Daemon) -> None:
    end_s = monotonic() + QUIET_LIMIT_S
    while not rig.is_quiet(state := daemon.state()):
        if monotonic() > end_s:
            raise FailedError(f"not quiet after {QUIET_LIMIT_S:.0f} s: {state}")
        sleep(0.2)


def _settle() -> None:
    """Binds start slowly: nothing for a second, then twice as many every quarter of one."""
    sleep(4.0)


def _port(daemon: rig.Daemon) -> int:
    return int(daemon.url.rpartition(":")[2])
