"""A rehearsal on this machine: simulated carriers, the daemon, clients, each a process that can be killed.

For `make demo` and the benches. `core` pins a process to the first (0) or second (1) of the cores we may use.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from dispatcher.cli.top import fetch
from dispatcher.ingest.keys import make_key, save
from dispatcher.state import State

START_LIMIT_S: Final = 60.0
LEDGER: Final = "carriers.json"
"""What the simulated carriers have seen; written when they end."""
CONFIG: Final = "dispatcher.toml"
LOG: Final = "daemon.log"
"""All that the daemon says, over its restarts."""
_CPU_CLOCK: Final = 2
"""CPUCLOCK_SCHED of Linux: what clock_getcpuclockid(3) puts beside the number of a process."""


class Carriers:
    """Simulated carriers in one process: their port, and what they have seen."""

    def __init__(self, folder: Path, settings: str, core: int | None = None) -> None:
        (folder / "carriers.toml").write_text(settings, "utf-8")
        self.port, self._control = free_ports(2)
        self.process = subprocess.Popen(
            pinned(
                [
                    *(sys.executable, "-m", "dispatcher", "simulate", "--quiet"),
                    *("--config", str(folder / "carriers.toml"), "--ledger", str(folder / LEDGER)),
                    *("--port", str(self.port), "--control-port", str(self._control)),
                ],
                core,
            ),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        if not self.process.stdout.readline():
            raise SystemExit("the simulated carriers did not start")

    def accounts(self) -> dict[str, Any]:
        """Return what each account has seen: totals, binds, ..."""
        found: dict[str, Any] = get(f"http://127.0.0.1:{self._control}/state")["accounts"]
        return found

    def submits(self) -> int:
        """Return how many submit_sm have come."""
        return sum(int(account["totals"]["submits"]) for account in self.accounts().values())

    def binds(self) -> int:
        """Return how many binds there have been."""
        return sum(int(account["binds_seen"]) for account in self.accounts().values())

    def end(self) -> None:
        """End them; their ledger is written then."""
        end(self.process, signal.SIGTERM)


class Daemon:
    """``dispatcher serve`` on FOLDER/dispatcher.toml; it takes messages when this returns."""

    def __init__(self, folder: Path, http_port: int, admin_port: int, core: int | None = None) -> None:
        self.url = f"http://127.0.0.1:{http_port}"
        self._admin = f"http://127.0.0.1:{admin_port}"
        started_s = time.monotonic()
        with (folder / LOG).open("ab") as log:
            self.process = subprocess.Popen(
                pinned([sys.executable, "-m", "dispatcher", "serve", "--config", str(folder / CONFIG)], core),
                stdout=log,
                stderr=log,
            )
        while not self._has_started():
            if self.process.poll() is not None or time.monotonic() - started_s > START_LIMIT_S:
                self.process.kill()
                raise SystemExit(f"the daemon did not start:\n{(folder / LOG).read_text()[-2000:]}")
            time.sleep(0.02)
        self.start_s = time.monotonic() - started_s
        """From the start of the process until it takes messages."""

    def _has_started(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._admin}/startupz", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def state(self) -> State:
        """Return what the admin port says of everything."""
        return fetch(self._admin)

    def cpu_s(self) -> float:
        """Return the CPU time of the process so far, user and system."""
        return cpu_s(self.process.pid)

    def memory_bytes(self) -> int:
        """Return the resident memory of the process."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


def add_key(folder: Path, name: str) -> str:
    """Make an API key for the store of FOLDER, before its daemon starts; return its token."""
    (folder / "store").mkdir(mode=0o700, exist_ok=True)
    key, token = make_key(name, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    save(folder / "store" / "keys.json", (key,))
    return token


def waiting(state: State) -> int:
    """Return how many messages wait for a carrier."""
    return sum(queue.waiting for carrier in state.carriers for queue in carrier.queues.values())


def is_quiet(state: State) -> bool:
    """Return whether nothing waits, is in flight, awaits a receipt, or waits for its time."""
    in_flight = sum(carrier.in_use for carrier in state.carriers)
    return not (waiting(state) or in_flight or state.outstanding or state.scheduled)


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process so far, user and system, to the nanosecond. OSError: it has ended."""
    return time.clock_gettime(~pid << 3 | _CPU_CLOCK)


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody uses just now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def pinned(command: list[str], core: int | None) -> list[str]:
    """Return a command to run on one of the cores that we may use; None: on any."""
    if core is None:
        return command
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[core % len(cores)]), *command]


def end(process: "subprocess.Popen[Any]", how: signal.Signals, limit_s: float = 60.0) -> int:
    """Send a signal, wait; return the exit code."""
    process.send_signal(how)
    return process.wait(limit_s)


def get(url: str) -> dict[str, Any]:
    """Return the JSON at an address of ours."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def text(url: str) -> str:
    """Return the text at an address of ours."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        found: str = answer.read().decode()
        return found


def kill_all(processes: Sequence["subprocess.Popen[Any]"]) -> None:
    """Leave nothing behind; for those that have ended it does nothing."""
    for process in processes:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
