"""What a trial needs: carrier, daemon and client, each a process; a store on a disk; meters; the proof.

The daemon has the first of the cores that we may use for itself; the carrier and the client share the second,
or have the second and the third where there are so many. Pinned, so that a run can be repeated.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from array import array
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec

from dispatcher.cli import rig
from dispatcher.cli.load.client import Answer, Task
from dispatcher.cli.load.figures import Proof
from dispatcher.state import State
from dispatcher.store.audit import audit

QUIET_LIMIT_S: Final = 120.0
"""For all that is under way to be reported, after the last request."""
STATE_TRIES: Final = 5
WARM_LIMIT_S: Final = 30.0
RAMP_LIMIT_S: Final = 4.0
"""Until a bind takes its whole window, with 2 s to spare for a busy machine."""
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
transceivers = {binds}
window = {window}
tps = 1000000
[[routes]]
carriers = ["bank"]
"""


class FailedError(Exception):
    """Something was lost, or a process did not do what it should: there are no figures."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to set the stage."""

    folder: Path
    """Under it the store is made, on the disk that is measured."""
    binds: int = 4
    window: int = 250
    receipt_delay_ms: float = 100
    more: str = ""
    """TOML behind the configuration: for a bench of something in particular."""


class Used:
    """CPU time of a process, in seconds."""

    def __init__(self, process: "subprocess.Popen[Any]") -> None:
        self._pid = process.pid

    def cpu_s(self) -> float:
        """Return what it has used; of a process that has ended, nothing."""
        try:
            return rig.cpu_s(self._pid)
        except OSError:
            return 0.0


class Carrier:
    """dispatcher.cli.load.carrier on its core."""

    def __init__(self, delay_ms: float) -> None:
        command = [sys.executable, "-m", "dispatcher.cli.load.carrier", str(delay_ms)]
        self.process = subprocess.Popen(
            rig.pinned(command, 1), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.used = Used(self.process)
        if not (line := self._line()):
            raise FailedError("the simulated carrier did not start")
        self.port = int(line)

    def totals(self) -> dict[str, Any]:
        """Return what it has counted."""
        return self._ask("")

    def came_ns(self, path: Path) -> "array[int]":
        """Return when each message came, by its number; 0: none did. The file is made on the way."""
        self._ask(str(path))
        came_ns = array("q")
        came_ns.frombytes(path.read_bytes())
        path.unlink()
        return came_ns

    def _ask(self, line: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        totals: dict[str, Any] = json.loads(self._line())
        return totals

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


class Stage:
    """A context: everything runs within, nothing of it is left behind. FailedError, OSError, SystemExit."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._processes: list[subprocess.Popen[Any]] = []
        self.first = 0
        """Number of the next message."""
        self.segments = 0
        """Accepted so far, as clients say."""

    def __enter__(self) -> "Stage":
        self.folder = Path(tempfile.mkdtemp(prefix="dispatcher-bench-", dir=self._options.folder))
        try:
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        rig.kill_all(self._processes)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> None:
        options = self._options
        self.carrier = Carrier(options.receipt_delay_ms)
        self._processes.append(self.carrier.process)
        http_port, admin_port = rig.free_ports(2)
        ports = {"http_port": http_port, "admin_port": admin_port, "port": self.carrier.port}
        config = _CONFIG.format(**ports, binds=options.binds, window=options.window) + options.more
        (self.folder / rig.CONFIG).write_text(config, "utf-8")
        self.key = rig.add_key(self.folder, "bench")
        self.http_port = http_port
        self.daemon = rig.Daemon(self.folder, http_port, admin_port, core=0)
        self._processes.append(self.daemon.process)
        self._warm()

    def client(self, segments_per_s: float, seconds: float) -> "subprocess.Popen[str]":
        """Start a client on the last of the three cores; its messages go on from `first`."""
        task = Task(port=self.http_port, segments_per_s=segments_per_s, seconds=seconds, first=self.first)
        command = [sys.executable, "-m", "dispatcher.cli.load.client", msgspec.json.encode(task).decode()]
        core = 2 if len(os.sched_getaffinity(0)) > 2 else 1
        client = subprocess.Popen(
            rig.pinned(command, core),
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"DISPATCHER_KEY": self.key},
        )
        self._processes.append(client)
        return client

    def answer(self, client: "subprocess.Popen[str]") -> Answer:
        """Wait for a client; return what it says."""
        told, _ = client.communicate()
        if client.returncode:
            raise FailedError(f"the client ended with exit code {client.returncode}")
        answer = msgspec.json.decode(told, type=Answer)
        self.first += answer.sent
        self.segments += answer.segments
        return answer

    def state(self) -> State:
        """Return the daemon's state; one that is overloaded may take a while, and is asked again."""
        for _ in range(STATE_TRIES):
            try:
                return self.daemon.state()
            except TimeoutError:
                continue
        raise FailedError("the daemon does not tell its state")

    def quiet(self) -> State:
        """Wait until nothing is under way; return the state then."""
        end_s = time.monotonic() + QUIET_LIMIT_S
        while not rig.is_quiet(state := self.state()):
            if time.monotonic() > end_s:
                raise FailedError(f"after {QUIET_LIMIT_S:.0f} s {rig.waiting(state):,} messages still wait")
            time.sleep(0.05)
        return state

    def prove(self) -> Proof:
        """End the daemon well; compare what client, carrier and store say. FailedError: they differ."""
        if code := rig.end(self.daemon.process, signal.SIGTERM):
            raise FailedError(f"the daemon ended with exit code {code}")
        totals = self.carrier.totals()
        proof = Proof(
            self.segments,
            totals["submits"],
            totals["responses"].get("0", 0),
            totals["acknowledged"].get("0", 0),
            sum(audit(self.folder / "store").wrong.values()),
        )
        if len({proof.segments, proof.submits, proof.responses, proof.acknowledged}) > 1 or proof.complaints:
            raise FailedError(f"the ledgers do not agree: {proof}")
        return proof

    def _warm(self) -> None:
        """Binds start slowly: nothing for a second, then twice as many every quarter of one."""
        end_s = time.monotonic() + WARM_LIMIT_S
        while sum(each.binds_up for each in self.daemon.state().carriers) < self._options.binds:
            if time.monotonic() > end_s:
                raise FailedError("the binds do not come up")
            time.sleep(0.05)
        full = self._options.binds * self._options.window
        end_s = time.monotonic() + RAMP_LIMIT_S
        while time.monotonic() < end_s:
            binds = [bind for carrier in self.daemon.state().carriers for bind in carrier.binds]
            if sum(bind.room for bind in binds) >= full:
                break
            time.sleep(0.05)
