"""Snapshots: the newest that is whole is loaded; torn and damaged ones are not; two are kept."""

import asyncio
from pathlib import Path

import apsw
import pytest

from dispatcher.errors import OverloadedError
from dispatcher.store import snapshot
from dispatcher.store.journal import Journal
from dispatcher.store.schema import JOURNAL
from dispatcher.store.snapshot import PIECE_OCTETS, Snapshot
from tests.store.conftest import NOW_MS, commit, events, running
from tests.store.faults import Disk

LARGE = bytes(range(256)) * (3 * PIECE_OCTETS // 256) + b"rest"


def save(folder: Path, chunks: list[bytes], seq: int) -> None:
    """Save one, in a process of its own so to speak."""

    async def scene() -> None:
        async with running(folder) as journal:
            await journal.save_snapshot(chunks, seq, {"n": seq * 10})

    asyncio.run(scene())


def load(folder: Path) -> Snapshot | None:
    """Load after a restart."""

    async def scene() -> Snapshot | None:
        async with running(folder) as journal:
            return await journal.ask(journal.reader().snapshot)

    return asyncio.run(scene())


def change(folder: Path, statement: str) -> None:
    """Damage the file while nobody has it."""
    connection = apsw.Connection(str(folder / JOURNAL))
    connection.execute(statement)
    connection.close()


def test_the_newest_is_loaded_and_two_are_kept(tmp_path: Path) -> None:
    """Octets, row and marks come back; of three the oldest is deleted."""
    assert load(tmp_path) is None
    save(tmp_path, [b"old"], 1)
    save(tmp_path, [b"middle"], 2)
    save(tmp_path, [LARGE[:1000], b"", LARGE[1000:]], 3)
    loaded = load(tmp_path)
    assert loaded is not None
    assert (loaded.seq, loaded.at_ms, loaded.marks, b"".join(loaded.chunks)) == (3, NOW_MS, {"n": 30}, LARGE)
    assert max(map(len, loaded.chunks)) == PIECE_OCTETS
    connection = apsw.Connection(str(tmp_path / JOURNAL))
    assert snapshot.seqs(connection) == [3, 2]
    assert connection.execute("SELECT count(DISTINCT id) FROM snapshot").get == 2
    connection.close()


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM snapshot WHERE id = 2 AND part = 0",
        "DELETE FROM snapshot WHERE id = 2 AND part = 3",
        "DELETE FROM snapshot WHERE id = 2 AND part = 5",
        "UPDATE snapshot SET body = zeroblob(length(body)) WHERE id = 2 AND part = 2",
        "UPDATE snapshot SET body = zeroblob(length(body)) WHERE id = 2 AND part = 0",
    ],
)
def test_a_torn_or_damaged_one_is_not_used(damage: str, tmp_path: Path) -> None:
    """F27: without its head, a piece, or a right CRC, the one before it is loaded."""
    save(tmp_path, [b"old"], 1)
    save(tmp_path, [LARGE, b"tail"], 2)
    change(tmp_path, damage)
    loaded = load(tmp_path)
    assert loaded is not None
    assert (loaded.seq, loaded.chunks) == (1, [b"old"])
    save(tmp_path, [b"new"], 3)
    loaded = load(tmp_path)
    assert loaded is not None
    assert loaded.seq == 3


def test_commits_go_on_between_its_pieces(tmp_path: Path) -> None:
    """Each piece is a transaction of its own, in its turn with the appends."""

    async def scene() -> None:
        async with running(tmp_path) as journal:
            told: list[int] = []
            seen: list[int] = []

            def chunks() -> list[bytes]:
                seen.append(len(told))
                return [b"x" * PIECE_OCTETS]

            def supply(journal: Journal) -> object:
                for n in range(1, 11):
                    journal.append([events(n)], lambda error, n=n: told.append(n))  # type: ignore[misc]
                    yield from chunks()

            await journal.save_snapshot(supply(journal), 1, {})  # type: ignore[arg-type]
            assert seen == list(range(10))

    asyncio.run(scene())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_full_disk_ends_a_snapshot_and_nothing_else(tmp_path: Path) -> None:
    """F19: no room for a snapshot is an OverloadedError; the journal goes on, the one before is loaded."""
    disk = Disk("full for snapshots")

    def refuse(kind: str, file: str) -> None:
        if kind == "write":
            raise apsw.FullError("a fault of the test")

    async def scene() -> None:
        async with running(tmp_path, vfs=disk.name) as journal:
            await journal.save_snapshot([b"first"], 1, {})
            disk.fault = refuse
            with pytest.raises(OverloadedError):
                await journal.save_snapshot([b"second"], 2, {})
            disk.fault = lambda kind, file: None
            await commit(journal, events(1))
            loaded = await journal.ask(journal.reader().snapshot)
            assert loaded is not None
            assert loaded.chunks == [b"first"]

    asyncio.run(scene())
