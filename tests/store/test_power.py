"""Power cuts and torn files: whatever is left, what was acknowledged is there, and the store opens without
repair."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

import apsw
import pytest

from dispatcher.store import checkpoint
from dispatcher.store.schema import JOURNAL, PAGE_OCTETS
from tests.store.conftest import commit, message, messages_of, opened, row_of, running
from tests.store.faults import Disk, Step, after_power_cut

CUTS = int(os.environ.get("DISPATCHER_CUTS", "60"))
"""How many points to cut at; 1,000 and more is the long form."""
SEED = int(os.environ.get("DISPATCHER_SEED", "1"))
WAL = f"{JOURNAL}-wal"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> list[Step]:
    """What SQLite asked of a disk while 120 batches were committed and copied out of the WAL in small
    steps."""
    disk = Disk("recorded")
    patch = pytest.MonkeyPatch()
    patch.setattr(checkpoint, "STEP_PAGES", 8)
    patch.setattr(checkpoint, "LARGE_PAGES", 32)

    async def scene() -> None:
        async with running(tmp_path_factory.mktemp("recorded"), vfs="recorded") as journal:
            other = journal.stream("2")
            for n in range(1, 241, 2):
                await commit(
                    journal, row_of([message(n)]), row_of([message(n + 1, text="x" * 40 * n)], other)
                )
                disk.mark(n + 1)

    asyncio.run(scene())
    patch.undo()
    assert {("write", JOURNAL), ("sync", JOURNAL), ("sync", WAL)} <= {step[:2] for step in disk.log}
    return disk.log


def numbers_in(folder: Path, is_copy: bool | None = None) -> set[int]:
    """Open a store as after a restart and return the numbers of all messages in it."""
    corrupt: list[int] = []
    journal = opened(folder, on_corrupt=lambda seq, stream, first, last: corrupt.append(seq))
    assert is_copy in (None, journal.is_copy)
    reader = journal.reader()
    found = {each.n for each in messages_of(reader.rows(0, 1 << 30))}
    reader.close()
    asyncio.run(journal.close())
    assert not corrupt
    return found


@pytest.mark.parametrize("cut", range(CUTS))
def test_f09_nothing_acknowledged_is_lost_when_the_power_goes(
    log: list[Step], cut: int, tmp_path: Path
) -> None:
    """F09, F27: cut anywhere, checkpoints included, with unsynced writes lost, torn and out of order."""
    random = Random(SEED * 1_000_003 + cut)
    at = random.randrange(len(log))
    acknowledged = max((step.offset for step in log[:at] if step.kind == "mark"), default=0)
    after_power_cut(log, at, random, tmp_path)
    found = numbers_in(tmp_path)
    assert set(range(1, acknowledged + 1)) <= found, f"seed {SEED}, cut {cut} at step {at}"
    assert len(found) % 2 == 0  # batches of two, whole or not at all


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A store as kill -9 leaves it: 40 messages acknowledged, all of them in the WAL; and the WAL's
    length."""
    folder, copy = tmp_path_factory.mktemp("running"), tmp_path_factory.mktemp("left")

    async def scene() -> None:
        async with running(folder) as journal:
            for n in range(1, 41):
                await commit(journal, row_of([message(n)]))
            for name in (JOURNAL, WAL):
                shutil.copy(folder / name, copy / name)

    asyncio.run(scene())
    return copy, (copy / WAL).stat().st_size


@pytest.mark.parametrize("tail", ["garbage", "zeros", "an old frame", "half a frame"])
def test_f23_a_torn_tail_costs_nothing(left: tuple[Path, int], tail: str, tmp_path: Path) -> None:
    """F23: what was written after the last commit, in whatever state, is cut off."""
    folder = shutil.copytree(left[0], tmp_path / "store")
    frame = (folder / WAL).read_bytes()[32 : 32 + 24 + PAGE_OCTETS]
    octets = {
        "garbage": Random(SEED).randbytes(10_000),
        "zeros": bytes(10_000),
        "an old frame": frame,
        "half a frame": frame[: len(frame) // 2],
    }[tail]
    with (folder / WAL).open("ab") as file:
        file.write(octets)
    assert numbers_in(folder) == set(range(1, 41))


@pytest.mark.parametrize("cut", range(CUTS))
def test_f23_a_cut_file_keeps_all_before_the_cut(left: tuple[Path, int], cut: int, tmp_path: Path) -> None:
    """F23: of a WAL that is cut short every whole commit is there, and no half of one."""
    folder = shutil.copytree(left[0], tmp_path / "store")
    at = Random(SEED * 1_000_003 + cut).randrange(left[1])
    wal = (folder / WAL).read_bytes()
    os.truncate(folder / WAL, at)
    left_out = sum(commits(wal)) - sum(commits(wal[:at]))
    assert numbers_in(folder) == set(range(1, 41 - left_out))
    assert apsw.Connection(str(folder / JOURNAL)).pragma("integrity_check") == "ok"


def commits(wal: bytes) -> Iterator[bool]:
    """Of each whole frame: does it end a commit? Octets 4 to 8 of its header say how large the file then
    is."""
    frame = 24 + PAGE_OCTETS
    for at in range(32, len(wal) - frame + 1, frame):
        yield wal[at + 4 : at + 8] != bytes(4)
