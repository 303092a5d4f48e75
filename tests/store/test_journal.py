"""The journal over real files: what is appended is read again, in order, grouped as it came."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import apsw
import pytest

from dispatcher._ext.events import read_events
from dispatcher.errors import StoreError
from dispatcher.store.journal import Journal, Row
from dispatcher.store.reader import Reader
from dispatcher.store.schema import JOURNAL
from tests.store.conftest import NOW_MS, commit, events, message, messages_of, opened, row_of, running

ROOT = Path(__file__).parents[2]


def test_what_is_committed_is_read_in_order(tmp_path: Path) -> None:
    """Rows of a stream come back in order of n, from after a number, and stop once the octets are reached."""

    async def scene() -> None:
        async with running(tmp_path) as journal:
            for n in range(1, 31, 3):
                await commit(journal, row_of([message(n), message(n + 1), message(n + 2)]))
            rows = await journal.read(1, 0, 1 << 20)
            assert [(row.first, row.last, row.count) for row in rows] == [
                (n, n + 2, 3) for n in range(1, 31, 3)
            ]
            assert [row.seq for row in rows] == list(range(1, 11))
            assert {row.at_ms for row in rows} == {NOW_MS}
            assert messages_of(rows) == [message(n) for n in range(1, 31)]
            assert [row.first for row in await journal.read(1, 4, 1)] == [4]  # 5 and 6 are in it
            assert [row.first for row in await journal.read(1, 6, 1)] == [7]
            assert [row.first for row in await journal.read(1, 6, len(rows[2].body) + 1)] == [7, 10]
            assert await journal.read(1, 30, 1) == []
            assert await journal.read(2, 0, 1) == []

    asyncio.run(scene())


def test_appends_of_one_turn_are_one_commit(tmp_path: Path) -> None:
    """A thousand appends while the thread is busy become few commits, a row a stream, with events last."""

    async def scene() -> Journal:
        async with running(tmp_path) as journal:
            for n in range(1, 1001):
                journal.append([row_of([message(n)], 1 + n % 2), events(n)], lambda error: None)
            await commit(journal, events(7))
            rows = await journal.events(0, 1 << 30)
            assert sum(row.count for row in rows) == 1001
            assert journal.metrics.commits < 50
            assert journal.metrics.records == 2001
            assert (journal.queue_appends, journal.queue_octets) == (0, 0)
            for stream in (1, 2):
                found = [each.n for each in messages_of(await journal.read(stream, 0, 1 << 30))]
                assert found == [n for n in range(1, 1001) if 1 + n % 2 == stream]
            reader = journal.reader()
            accepted: set[int] = set()
            for row in reader.rows(0, 1 << 30):
                if row.stream:
                    accepted.update(each.n for each in messages_of([row]))
                else:
                    assert {event[4] for event in read_events(row.body, tuple)} <= accepted
            reader.close()
            return journal

    asyncio.run(scene())


def test_what_may_go_first_does_not_wait_for_a_long_commit(tmp_path: Path) -> None:
    """Of what waits together it has a commit of its own before the rest, if that is long; never before what
    its own stream holds already. The rest is told after it, in order."""

    async def scene() -> None:
        async with running(tmp_path) as journal:
            free, told = threading.Event(), list[str]()

            def hand_over(name: str, *rows: Row, is_first: bool = False) -> None:
                journal.append(rows, lambda error: told.append(name), is_first=is_first)

            async def together(long: str) -> list[tuple[int, int]]:
                free.clear()
                told.clear()
                before, seq = journal.metrics.commits, journal.last_seq
                blocked = asyncio.create_task(journal.run(lambda connection: free.wait()))
                await asyncio.sleep(0)
                n = 100 * (seq + 1)
                hand_over("rest", row_of([message(n, text=long)], 1), events(n))
                hand_over("first", row_of([message(n + 1)], 2), events(n + 1), is_first=True)
                hand_over("both", row_of([message(n + 2)], 1), row_of([message(n + 3)], 3))
                hand_over("blocked", row_of([message(n + 4)], 3), is_first=True)
                hand_over("too", row_of([message(n + 5)], 2), is_first=True)
                free.set()
                await blocked
                await commit(journal, events(n))
                assert journal.metrics.commits - before in (1 + bool(long), 2 + bool(long))
                rows = [row for row in await journal.rows(seq, 1 << 20) if row.stream]
                return [(row.stream, row.first - n) for row in rows]

            assert await together("x" * 100_000) == [(2, 1), (1, 0), (3, 3)]
            assert told == ["first", "too", "rest", "both", "blocked"]
            assert await together("") == [(1, 0), (2, 1), (3, 3)]
            assert told == ["rest", "first", "both", "blocked", "too"]

    asyncio.run(scene())


def test_messages_are_found_by_number(tmp_path: Path) -> None:
    """find looks into the row of every stream that may hold a number; unknown numbers are left out."""

    async def scene() -> None:
        async with running(tmp_path) as journal:
            other = journal.stream("2")
            odd, even = [message(n) for n in range(1, 100, 2)], [message(n) for n in range(2, 101, 2)]
            await commit(journal, row_of(odd), row_of(even, other))
            await commit(journal, row_of([message(200)], other))
            assert await journal.find([1, 50, 99, 100, 200, 150, 999]) == {
                n: message(n) for n in (1, 50, 99, 100, 200)
            }
            assert await journal.find([]) == {}

    asyncio.run(scene())


def test_a_store_survives_its_process(tmp_path: Path) -> None:
    """What was committed is there after closing; numbers of rows go on, names keep their numbers."""

    async def scene(n: int) -> list[int]:
        async with running(tmp_path) as journal:
            assert (journal.stream("b"), journal.carrier("mts"), journal.carrier_name(1)) == (2, 1, "mts")
            await commit(journal, row_of([message(n)]))
            return [row.seq for row in await journal.read(1, 0, 1 << 20)]

    assert asyncio.run(scene(1)) == [1]
    assert asyncio.run(scene(2)) == [1, 2]


def test_f15_a_second_process_is_refused_at_once(tmp_path: Path) -> None:
    """F15: opening a store that is open is a StoreError that says so; after closing it opens."""
    journal = opened(tmp_path)
    with pytest.raises(StoreError, match="is in use by another process"):
        opened(tmp_path)
    asyncio.run(journal.close())
    asyncio.run(opened(tmp_path).close())


HOLDER = """
import asyncio, sys
from pathlib import Path
from tests.store.conftest import commit, message, row_of, running

async def main():
    async with running(Path(sys.argv[1])) as journal:
        await commit(journal, row_of([message(1)]))
        print("committed", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def test_f15_kill_9_leaves_no_lock_and_loses_nothing(tmp_path: Path) -> None:
    """F15: while the other process lives, its pid is named; killed, its lock is gone and its commit is
    there."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"committed\n"
        with pytest.raises(StoreError, match=rf"in use by another process \(pid {holder.pid}\)"):
            opened(tmp_path)
        holder.kill()
    journal = opened(tmp_path)
    reader = journal.reader()
    assert messages_of(reader.rows(0, 1)) == [message(1)]
    reader.close()
    asyncio.run(journal.close())


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        (
            "PRAGMA user_version = 2",
            "has format 2, written by a newer version of this program; this one knows 1",
        ),
        ("PRAGMA application_id = 7", r"is not a journal of this program \(application id 0x7\)"),
    ],
)
def test_what_is_no_journal_of_ours_is_refused(statement: str, complaint: str, tmp_path: Path) -> None:
    """A newer format and a foreign database are refused, for writing and for reading, and left as they
    are."""
    asyncio.run(opened(tmp_path).close())
    with apsw.Connection(str(tmp_path / JOURNAL)) as connection:
        connection.execute(statement)
    connection.close()
    before = (tmp_path / JOURNAL).read_bytes()
    with pytest.raises(StoreError, match=complaint):
        opened(tmp_path)
    with pytest.raises(StoreError, match=complaint):
        Reader(tmp_path, lambda *row: None)
    assert (tmp_path / JOURNAL).read_bytes() == before


def test_a_text_file_is_no_journal(tmp_path: Path) -> None:
    """A file that SQLite cannot read is named; a folder without one, too, for reading."""
    with pytest.raises(StoreError, match="holds no journal"):
        Reader(tmp_path, lambda *row: None)
    (tmp_path / JOURNAL).write_text("no database at all " * 1000)
    with pytest.raises(StoreError, match="is no SQLite file"):
        opened(tmp_path)


def test_a_follower_waits_for_the_next_commit(tmp_path: Path) -> None:
    """wait_for_events returns at once where there is something new, and else with the commit that brings
    it."""

    async def scene() -> None:
        async with running(tmp_path) as journal:
            await commit(journal, events(1))
            await journal.wait_for_events(0)
            seq = journal.last_seq
            waiter = asyncio.create_task(journal.wait_for_events(seq))
            await asyncio.sleep(0)
            assert not waiter.done()
            await commit(journal, events(2))
            await waiter
            assert [row.seq for row in await journal.events(seq, 1 << 20)] == [seq + 1]

    asyncio.run(scene())


@pytest.mark.parametrize("left", ["reserve", "projection.db", "journal.db-wal", "journal.damaged"])
def test_a_deleted_journal_is_not_begun_anew(tmp_path: Path, left: str) -> None:
    """What is left of a store says that there was a journal: opening it is refused, with a way on, and leaves
    everything as it is; an empty folder is a new store."""
    (tmp_path / left).write_bytes(b"left")
    with pytest.raises(StoreError, match=rf"journal.db is gone, and {left} .* put it back"):
        Journal.open(tmp_path, clock_ms=lambda: 0)
    assert not (tmp_path / JOURNAL).exists()
    (tmp_path / left).unlink()
    Journal.open(tmp_path, clock_ms=lambda: 0)._lock.release()
    assert (tmp_path / JOURNAL).exists()


def test_who_reads_a_store_takes_no_lock_from_its_writer(tmp_path: Path) -> None:
    """Our lock on the file says that it is in use; the closing of any descriptor of ours would drop it."""

    def locks() -> list[str]:
        place = f":{(tmp_path / JOURNAL).stat().st_ino} "
        return [line for line in Path("/proc/locks").read_text().splitlines() if place in line]

    async def scene() -> None:
        async with running(tmp_path) as journal:
            await commit(journal, row_of([message(1)]))
            assert locks()
            journal.reader().close()
            assert locks()

    asyncio.run(scene())
