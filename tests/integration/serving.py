"""`dispatcher serve` as a process of its own: its configuration, its log as it comes, its end."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from dispatcher.app import Dispatcher
from dispatcher.cli.config import toml_lines
from dispatcher.config import from_dict
from dispatcher.model import SendRequest
from dispatcher.simulator import Simulator
from tests.integration.house import SWIFT_TIMERS, accepted, until
from tests.test_architecture import ROOT

NOBODY = 65_534


@contextmanager
def place_for(uid: int | None) -> Iterator[Path]:
    """Make a folder that belongs to a user, where he can reach it; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="dispatcher-test-"))
    try:
        if uid is not None:
            os.chown(folder, uid, -1)
        yield folder
    finally:
        shutil.rmtree(folder)


def users() -> list[int | None]:
    """Return whom to run it as: who runs the tests, and, where that is root, an ordinary user."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return [None]
    probe = [*as_user(NOBODY), sys.executable, "-c", "import dispatcher._ext.gsm7"]
    can_read_us = subprocess.run(probe, cwd=ROOT, capture_output=True, check=False).returncode == 0
    return [None, NOBODY] if can_read_us else [None]


def as_user(uid: int | None) -> list[str]:
    """Return what to put before a command, so that it runs as a user without any rights of root."""
    if uid is None:
        return []
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--no-new-privs", "--"]


def data_for(folder: Path, *smscs: Simulator, **more: Any) -> dict[str, Any]:
    """Return plain tables: a carrier for each simulator; all go to c0 first. Ports: any that is free.

    Keywords are top-level tables; `carrier` holds keys for all carriers.
    """
    carrier = {"window": 50, "tps": 20_000.0, "timers": SWIFT_TIMERS, **more.pop("carrier", {})}
    carriers = {
        f"c{number}": {"host": "127.0.0.1", "port": smsc.port, "system_id": "bank", **carrier}
        for number, smsc in enumerate(smscs)
    }
    return {
        "store": str(folder / "store"),
        "carriers": carriers,
        "routes": [{"carriers": list(carriers)}],
        "http": {"port": 0},
        "admin": {"port": 0},
        "log": {"level": "debug"},
        **more,
    }


def write(folder: Path, data: dict[str, Any]) -> Path:
    """Write the configuration's file, in one step; return its path."""
    path = folder / "dispatcher.toml"
    (folder / "new").write_text("\n".join(toml_lines(data)) + "\n")
    return (folder / "new").rename(path)


async def fill(data: dict[str, Any], requests: list[SendRequest], uid: int | None = None) -> None:
    """Put messages into the store that a daemon will find: accepted, and its carriers not reached."""
    carriers = {
        name: {**carrier, "host": "127.0.0.1", "port": 1} for name, carrier in data["carriers"].items()
    }
    async with Dispatcher(from_dict({**data, "carriers": carriers})) as dispatcher:
        accepted(await dispatcher.send(requests))
    if uid is not None:
        for path in [Path(data["store"]), *Path(data["store"]).iterdir()]:
            os.chown(path, uid, -1)


class Served:
    """A running daemon: `lines` of its log so far, as objects."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self.raw: list[str] = []
        self._reading = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stderr is not None
        while line := (await self.process.stderr.readline()).decode():
            self.raw.append(line)
            if line.startswith("{"):
                self.lines.append(json.loads(line))

    def said(self, event: str) -> list[dict[str, Any]]:
        """Return what it logged so far of an event."""
        return [line for line in self.lines if line["event"] == event]

    async def says(self, event: str, count: int = 1) -> dict[str, Any]:
        """Wait until it has logged an event so often; return the last line of it."""
        await until(lambda: len(self.said(event)) >= count or self._reading.done(), event, 30)
        assert len(self.said(event)) >= count, f"it never said {event}: {self.raw[-20:]}"
        return self.said(event)[-1]

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end; return the exit code."""
        await self._reading
        return await self.process.wait()


def command(path: Path, program: str = "") -> list[str]:
    """Return the command that serves a configuration; `program`: Python that runs in the process before."""
    start = f"{program}\nimport sys; from dispatcher.__main__ import main; sys.exit(main())"
    python = [sys.executable, "-c", start] if program else [sys.executable, "-m", "dispatcher"]
    return [*python, "serve", "--config", str(path)]


@asynccontextmanager
async def serving(
    path: Path,
    *,
    uid: int | None = None,
    environ: dict[str, str] | None = None,
    program: str = "",
    wait_ready: bool = True,
) -> AsyncIterator[Served]:
    """Run the daemon on a configuration; at the end it is gone. `program`: see `command`."""
    process = await asyncio.create_subprocess_exec(
        *as_user(uid),
        *command(path, program),
        cwd=ROOT,
        env={**os.environ, **(environ or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    served = Served(process)
    try:
        if wait_ready:
            await served.says("ready")
        yield served
    finally:
        if process.returncode is None:
            process.kill()
        await served.ended()
