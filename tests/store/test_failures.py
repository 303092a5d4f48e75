"""Disks that fail, fill up or are slow: what is told, what goes on, and what is there afterwards."""

import asyncio
import shutil
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest

from dispatcher.errors import OverloadedError, StoreError
from dispatcher.model import TrafficClass
from dispatcher.store import checkpoint, writer
from dispatcher.store.journal import Journal
from dispatcher.store.schema import JOURNAL
from dispatcher.store.space import RESERVE
from tests.store.conftest import commit, events, message, messages_of, opened, row_of, running
from tests.store.faults import Disk
from tests.store.test_power import WAL, numbers_in


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something is so; the time limit of the test is the limit."""
    while not condition():
        await asyncio.sleep(0.001)


def io_error(code: int) -> apsw.IOError:
    """What SQLite is to see: SQLITE_IOERR with an extended code."""
    error = apsw.IOError("a fault of the test")
    setattr(error, "extendedresult", code)  # noqa: B010 - apsw reads it, its stub lacks it
    return error


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("thread", ["journal writer", "journal checkpoint"])
@pytest.mark.parametrize("kind", ["sync", "write"])
def test_f21_an_error_of_the_disk_is_the_end(
    kind: str, thread: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F21: a failed fsync or write is told once; nothing is synced by that thread any more, nobody told it is
    done."""
    monkeypatch.setattr(checkpoint, "STEP_PAGES", 4)
    disk = Disk(f"failing {kind} in {thread}")
    failures: list[Exception] = []
    done: list[int] = []
    undone: list[int] = []
    failed_at: list[int] = []
    after: list[tuple[str, str]] = []

    def fail_once(step: str, file: str) -> None:
        mine = threading.current_thread().name
        if failed_at:
            after.append((step, mine))
        elif step == kind and mine == thread:
            failed_at.append(len(done))
            raise io_error(apsw.SQLITE_IOERR_FSYNC if kind == "sync" else apsw.SQLITE_IOERR_WRITE)

    def note(n: int, error: Exception | None) -> None:
        if error is None:
            done.append(n)
        else:
            assert isinstance(error, StoreError)
            undone.append(n)

    async def scene() -> None:
        async with running(tmp_path, vfs=disk.name, on_failure=failures.append) as journal:
            await commit(journal, row_of([message(1)]))
            disk.fault = fail_once
            for n in range(2, 2000):
                with suppress(StoreError):
                    journal.append([row_of([message(n)]), events(n)], partial(note, n))
                await asyncio.sleep(0)
            await until(lambda: bool(failures))
            assert journal.state == "failed"
            assert not journal.accepts(TrafficClass.AUTHORIZATION)
            with pytest.raises(StoreError, match="has failed"):
                journal.append([events(1)], lambda error: done.append(1))
            with pytest.raises(StoreError, match="has failed"):
                await journal.save_snapshot([b""], 1, {})
            assert journal.queue_appends == 0

    asyncio.run(scene())
    assert len(failures) == 1
    assert isinstance(failures[0], apsw.IOError)
    assert [step for step, mine in after if mine == thread] == []
    assert len([step for step, mine in after if step == "sync"]) <= 2  # of one step that the other was in
    assert undone
    assert {1, *done} <= numbers_in(tmp_path)


@pytest.mark.parametrize("how", ["moved away", "replaced"])
def test_f25_a_store_that_is_taken_away_is_the_end(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F25: the file is gone, or another stands in its place: SQLite would write on into nothing, we stop."""
    monkeypatch.setattr(writer, "IDLE_S", 0.0)
    failures: list[Exception] = []

    async def scene() -> None:
        async with running(tmp_path / "store", on_failure=failures.append) as journal:
            await commit(journal, row_of([message(1)]))
            (tmp_path / "store" / JOURNAL).rename(tmp_path / "elsewhere")
            if how == "replaced":
                shutil.copy(tmp_path / "elsewhere", tmp_path / "store" / JOURNAL)
            await until(lambda: bool(failures))
            assert journal.state == "failed"

    asyncio.run(scene())
    assert len(failures) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_f25_a_store_that_becomes_read_only_is_the_end(tmp_path: Path) -> None:
    """F25: a file system that is remounted read-only answers writes so."""
    disk = Disk("read-only")
    failures: list[Exception] = []

    def refuse(step: str, file: str) -> None:
        raise apsw.ReadOnlyError("a fault of the test")

    async def scene() -> None:
        async with running(tmp_path, vfs=disk.name, on_failure=failures.append) as journal:
            disk.fault = refuse
            journal.append([events(1)], told.append)
            await until(lambda: bool(failures))

    told: list[Exception | None] = []
    asyncio.run(scene())
    assert len(failures) == 1
    assert [type(error) for error in told] == [StoreError]


def test_f24_a_slow_disk_blocks_nobody(tmp_path: Path) -> None:
    """F24: while an fsync hangs, append returns and the queue is there to be seen; then all is told, in
    order."""
    disk = Disk("slow")
    gate, hangs = threading.Event(), threading.Event()
    done: list[int] = []

    def hang(step: str, file: str) -> None:
        if step == "sync" and file == WAL:
            hangs.set()
            assert gate.wait(60)

    async def scene() -> None:
        async with running(tmp_path, vfs=disk.name) as journal:
            await commit(journal, events(1))
            disk.fault = hang
            before = journal.metrics.commits
            for n in range(1, 501):
                journal.append([row_of([message(n)])], lambda error, n=n: done.append(n))  # type: ignore[misc]
                if n == 1:
                    await until(hangs.is_set)
            await asyncio.sleep(0)
            assert (journal.queue_appends, journal.metrics.commits, done) == (500, before, [])
            assert journal.queue_octets > 500 * 50
            assert journal.waiting_s >= 0
            gate.set()
            await until(lambda: len(done) == 500)
            assert done == list(range(1, 501))
            assert journal.metrics.commits == before + 2
            assert (journal.queue_appends, journal.queue_octets) == (0, 0)

    asyncio.run(scene())


class Volume:
    """A disk of a given size, for the files of one store: what would make them larger than that is
    refused."""

    def __init__(self, folder: Path, disk: Disk, octets: int) -> None:
        self.folder = folder
        self.octets = octets
        self.fulls = 0
        disk.fault = self.fault

    @property
    def free(self) -> int:
        """Octets that are left."""
        return max(0, self.octets - sum(path.stat().st_size for path in self.folder.iterdir()))

    def fault(self, kind: str, file: str) -> None:
        """Refuse to write where there is no room for a page."""
        if kind == "write" and self.free < 4096:
            self.fulls += 1
            raise apsw.FullError("a fault of the test")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_f19_a_full_disk_refuses_the_new_and_carries_on_with_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F19: messages are refused, events go on from the reserve; with room again all goes on, without a
    restart."""
    monkeypatch.setattr(writer, "IDLE_S", 0.01)
    disk = Disk("full")
    volume = Volume(tmp_path, disk, 1 << 40)
    told: Counter[str] = Counter()
    kept: list[int] = []

    def note(error: Exception | None, n: int) -> None:
        if error is None:
            kept.append(n)
        else:
            assert isinstance(error, OverloadedError)
            assert error.retryable
            assert error.retry_after_ms > 0
        told["ok" if error is None else "refused"] += 1

    async def scene() -> None:
        options: dict[str, Any] = {"reserve_octets": 1 << 20, "free_octets": lambda: volume.free}
        async with running(tmp_path, vfs=disk.name, **options) as journal:
            assert (tmp_path / RESERVE).stat().st_size == 1 << 20
            volume.octets -= volume.free - 100_000
            n = 0
            while not told["refused"]:
                n += 1
                journal.append([row_of([message(n, text="x" * 2000)])], lambda error, n=n: note(error, n))  # type: ignore[misc]
                journal.append([events(n)], lambda error: None)
                await until(lambda: journal.queue_appends == 0)
            assert journal.state == "full"
            assert not journal.accepts(TrafficClass.AUTHORIZATION)
            assert (tmp_path / RESERVE).stat().st_size == 0
            fulls = volume.fulls
            for _ in range(50):  # events go on, and are not refused
                await commit(journal, events(1, 2, 3))
            with pytest.raises(OverloadedError):
                await commit(journal, row_of([message(n)]), events(n))
            assert volume.fulls == fulls
            volume.octets += 10 << 20
            await until(lambda: journal.state == "ok")
            assert (tmp_path / RESERVE).stat().st_size == 1 << 20
            await commit(journal, row_of([message(n)]))
            kept.append(n)
            found = messages_of(await journal.read(1, 0, 1 << 30))
            assert [each.n for each in found] == kept
            assert sum(row.count for row in await journal.events(0, 1 << 30)) == n + 150

    asyncio.run(scene())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_f19_without_any_room_events_wait_and_are_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F19: with the reserve used up, events are held, in order, and written when there is room."""
    monkeypatch.setattr(writer, "FULL_RETRY_S", 0.01)
    monkeypatch.setattr(writer, "IDLE_S", 0.01)
    disk = Disk("quite full")
    volume = Volume(tmp_path, disk, 1 << 40)
    done: list[int] = []

    async def scene() -> None:
        async with running(
            tmp_path, vfs=disk.name, reserve_octets=0, free_octets=lambda: volume.free
        ) as journal:
            volume.octets = 0
            for n in range(1, 11):
                journal.append([events(n)], lambda error, n=n: done.append(n))  # type: ignore[misc]
            await until(lambda: volume.fulls > 3)
            assert (done, journal.queue_appends, journal.state) == ([], 10, "full")
            journal.carrier("late")
            volume.octets = 1 << 40
            await until(lambda: len(done) == 10)
            rows = await journal.events(0, 1 << 30)
            assert b"".join(row.body for row in rows) == b"".join(events(n).body for n in range(1, 11))
            await until(lambda: journal.state == "ok")

    asyncio.run(scene())
    assert done == list(range(1, 11))
    journal = opened(tmp_path)
    assert journal.carrier_name(1) == "late"
    asyncio.run(journal.close())


def test_f19_nothing_overtakes_events_that_are_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F19: what fits where events do not may know of them, as a snapshot does: it is refused."""
    monkeypatch.setattr(writer, "FULL_RETRY_S", 0.01)
    is_full = True
    insert = writer.Writer._insert
    done: list[int] = []

    def inserted(self: writer.Writer, rows: list[Any]) -> None:
        if is_full:
            raise apsw.FullError("a fault of the test")
        insert(self, rows)

    monkeypatch.setattr(writer.Writer, "_insert", inserted)

    async def scene() -> None:
        nonlocal is_full
        async with running(tmp_path) as journal:
            journal.append([events(1)], lambda error: done.append(1))
            with pytest.raises(OverloadedError):
                await journal.note("small", 1)
            assert not done
            is_full = False
            await until(lambda: done == [1])
            await journal.note("small", 1)
            assert await journal.mark("small") == 1

    asyncio.run(scene())


def test_f20_low_space_refuses_by_urgency(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F20: below the mark marketing, below half of it all but authorization, below a quarter all."""
    monkeypatch.setattr(writer, "IDLE_S", 0.001)
    free = [1000]

    async def seen(journal: Journal, octets: int, expected: list[TrafficClass]) -> None:
        free[0] = octets
        await until(lambda: [each for each in TrafficClass if journal.accepts(each)] == expected)
        await asyncio.sleep(0.01)  # it stays so
        assert (journal.space.free, [each for each in TrafficClass if journal.accepts(each)]) == (
            octets,
            expected,
        )

    async def scene() -> None:
        options: dict[str, Any] = {"reserve_octets": 0, "low_octets": 1000, "free_octets": lambda: free[0]}
        async with running(tmp_path, **options) as journal:
            every = list(TrafficClass)
            await seen(journal, 1000, every)
            await seen(journal, 999, every[:3])
            await seen(journal, 500, every[:3])
            await seen(journal, 499, every[:1])
            await seen(journal, 250, every[:1])
            await seen(journal, 249, [])
            assert journal.state == "ok"  # nothing has failed yet: what is handed over is written
            await commit(journal, row_of([message(1)]))
            await seen(journal, 1000, every)

    asyncio.run(scene())


def test_one_bad_callback_costs_only_itself(tmp_path: Path) -> None:
    """What `done` raises goes to the loop's handler; the others of its group are told all the same."""
    complaints: list[str] = []
    done: list[int] = []

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: complaints.append(context["message"]))
        async with running(tmp_path) as journal:
            journal.append([events(1)], lambda error: done.append(1))
            journal.append([events(2)], lambda error: 1 / 0)  # type: ignore[arg-type]
            journal.append([events(3)], lambda error: done.append(3))
            await commit(journal, events(4))

    asyncio.run(scene())
    assert (done, complaints) == ([1, 3], ["a callback of the journal failed"])


def test_f28_a_copy_of_a_running_store_is_a_whole_store(tmp_path: Path) -> None:
    """F28: files copied while the writer goes on hold every commit up to then, and say that they are a
    copy."""
    copied = (10, 20, 30, 40)

    async def scene() -> None:
        async with running(tmp_path / "store") as journal:
            assert not journal.is_copy
            for n in range(1, 50):
                await commit(journal, row_of([message(n)]))
                if n in copied:
                    (tmp_path / str(n)).mkdir()
                    for name in (JOURNAL, WAL):
                        shutil.copy(tmp_path / "store" / name, tmp_path / str(n) / name)

    asyncio.run(scene())
    for n in copied:
        assert numbers_in(tmp_path / str(n), is_copy=True) == set(range(1, n + 1))
        assert numbers_in(tmp_path / str(n), is_copy=False) == set(range(1, n + 1))
    assert numbers_in(tmp_path / "store", is_copy=False) == set(range(1, 50))
