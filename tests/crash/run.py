"""A run: a simulated carrier here, a dispatcher in a child that is killed again and again, then lives."""

import asyncio
import itertools
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from dispatcher.simulator import Simulator
from dispatcher.store.audit import audit
from dispatcher.store.states import FINISHED
from tests.crash import child, scene
from tests.crash.client import Client
from tests.crash.points import POINTS
from tests.crash.reconcile import Account, Carriers
from tests.crash.scene import Scene
from tests.crash.store import Stored

MESSAGES: Final = 160
"""Between two kills: enough for every point to be reached."""
MESSAGES_MOST: Final = 40 * MESSAGES
"""Of a run."""
FEWER: Final = 4
"""A point that was not reached (a busy machine does more at a time) is tried again so much earlier."""
CHILD_S: Final = 90.0
QUIET_S: Final = 20.0
KILLED: Final = -9

Kill = tuple[str, int]
"""A fail-point, and at which hit; "instant" and milliseconds."""


@dataclass
class Report:
    """What came of a run. It is well without complaints."""

    name: str
    kills: list[Kill]
    seed: int
    complaints: list[str] = field(default_factory=list)
    account: Account = field(default_factory=Account)
    missed: int = 0
    """Kills whose point was not reached."""
    messages: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        kills = " ".join(f"{name}:{hits}" for name, hits in self.kills)
        text = "\n".join(f"  {complaint}" for complaint in self.complaints[:20])
        return f"{self.name} (--seed {self.seed} --only {kills}): {len(self.complaints)} complaints\n{text}"


def chosen(names: Sequence[str], random: Random, disk_ms: int = 0) -> list[Kill]:
    """Return kills at these points, each at a hit that every run reaches."""
    slower = 1 + disk_ms // 2
    return [
        (
            name,
            random.randint(1, -(-POINTS[name].hits // slower))
            if name in POINTS
            else random.randint(300, 900),
        )
        for name in names
    ]


async def crash(
    name: str,
    kills: list[Kill],
    seed: int,
    folder: Path,
    *,
    throttled: float = 0.0,
    break_ms: int = 0,
    pause_ms: int = 10,
    disk_ms: int = 0,
) -> Report:
    """Run, kill, reconcile. Keywords: see Scene."""
    report = Report(name, kills, seed)
    started_s = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    now_ms = time.time_ns() // 1_000_000
    its = Scene(
        seed,
        MESSAGES_MOST,
        now_ms,
        throttled=throttled,
        break_ms=break_ms,
        pause_ms=pause_ms,
        disk_ms=disk_ms,
    )
    async with Simulator(settings=scene.settings(its)) as smsc:
        msgspec.structs.replace(its, port=smsc.port).save(folder)
        breaking = asyncio.create_task(_break(smsc, break_ms, report.account))
        sent = 0
        for number, (point, hits) in enumerate(kills, 1):
            code, said = 0, ""
            while not code and hits:
                sent += MESSAGES
                code, said = await _child(folder, sent, (point, hits), seed)
                hits //= FEWER
            if not code:
                report.missed += 1
                continue
            if code != KILLED:
                report.complaints.append(f"start {number} for {point} ended with exit code {code}: {said}")
                break
            await _quiet(smsc)
            copied = _copy(folder, number)
            stored = Stored(copied)
            found = report.account.after_kill(_client(folder), Carriers(smsc.ledger), stored)
            found += audit(copied).named if stored.is_made else []
            report.complaints += [f"kill {number} at {point}: {each}" for each in found]
        code, said = await _child(folder, sent + MESSAGES, None, seed)
        if code:
            report.complaints.append(f"the last start ended with exit code {code}: {said}")
        await _quiet(smsc)
        breaking.cancel()
        copied = _copy(folder, len(kills) + 1)
        stored = Stored(copied)
        stored.project(copied)
        report.messages = len(stored.ids)
        report.complaints += report.account.at_end(_client(folder), Carriers(smsc.ledger), stored)
        audited = audit(copied)
        report.complaints += audited.named
        if audited.accepted != audited.states[FINISHED] or audited.accepted != len(stored.ids):
            report.complaints.append(f"the audit differs: {audited}")
    if not report.complaints:
        shutil.rmtree(folder)
    report.seconds = time.monotonic() - started_s
    return report


async def _child(folder: Path, until: int, kill: Kill | None, seed: int) -> tuple[int, str]:
    """Run a child to its end; return its exit code and what it said last."""
    arguments = [sys.executable, "-m", child.__name__, str(folder), str(until)]
    if kill is not None:
        arguments += [kill[0], str(kill[1])]
    process = await asyncio.create_subprocess_exec(
        *arguments,
        env=os.environ | {"CRASH_LOOP": "uvloop" if seed % 2 else "asyncio"},
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, said = await asyncio.wait_for(process.communicate(), CHILD_S)
    except TimeoutError:
        process.kill()
        _, said = await process.communicate()
        return 1, f"still there after {CHILD_S} s: {said.decode()[-2000:]}"
    assert process.returncode is not None
    return process.returncode, said.decode()[-2000:]


async def _break(smsc: Simulator, break_ms: int, account: Account) -> None:
    """Reset connections, one carrier after the other."""
    for name in itertools.cycle(scene.ACCOUNTS) if break_ms else ():
        await asyncio.sleep(break_ms / 1000)
        account.breaks += smsc.account(name).act("disconnect")["binds"]


async def _quiet(smsc: Simulator) -> None:
    """Wait until the carriers have read all that the dead one wrote."""
    end_s = time.monotonic() + QUIET_S
    while smsc.connections:
        assert time.monotonic() < end_s, "connections of a dead process stay"
        await asyncio.sleep(0.005)


def _copy(folder: Path, number: int) -> Path:
    """Return a copy of the store: looking at the journal itself would recover it."""
    target = folder / f"copy-{number}"
    target.mkdir()
    for path in (folder / "store").glob("*.db*"):
        shutil.copy(path, target)
    return target


def _client(folder: Path) -> Client:
    client = Client(folder)
    client.close()
    return client
