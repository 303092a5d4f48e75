"""A daemon for benches: `dispatcher serve` on the first core, on a fresh store; bench/clients/http.py and the
simulated carrier on the second. For what dispatcher/cli/load has not: posts one by one, codes.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

import msgspec

from bench.arena import FailedError
from bench.clients.http import CLIENT, Answer, Task
from bench.flows.house import percentile
from bench.machine import ROOT
from dispatcher.cli import rig
from dispatcher.store.audit import audit

QUIET_LIMIT_S: Final = 120.0
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


def shares_ms(values_ms: list[float]) -> list[float]:
    """Return p50, p99, p99.9 and the greatest, in milliseconds."""
    return [percentile([int(each * 1e6) for each in values_ms], share) / 1e6 for share in SHARES]


def agree(
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


def quiet(daemon: rig.Daemon) -> None:
    """Wait until all is reported."""
    end_s = monotonic() + QUIET_LIMIT_S
    while not rig.is_quiet(state := daemon.state()):
        if monotonic() > end_s:
            raise FailedError(f"not quiet after {QUIET_LIMIT_S:.0f} s: {state}")
        sleep(0.2)


def settle() -> None:
    """Binds start slowly: nothing for a second, then twice as many every quarter of one."""
    sleep(4.0)


def port(daemon: rig.Daemon) -> int:
    """Return that of the HTTP door."""
    return int(daemon.url.rpartition(":")[2])
