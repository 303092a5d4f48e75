"""Retention: texts go when their time has come and their message has ended, rows from the beginning only."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from dispatcher.store import retention
from dispatcher.store.journal import Journal
from dispatcher.store.projection import Projection
from dispatcher.store.retention import forget_texts, trim
from dispatcher.store.schema import JOURNAL
from tests.store.conftest import NOW_MS, commit, events, message, messages_of, opened, row_of, running

LATER_MS = NOW_MS + 1


class Ended:
    """As the projection: these have ended, or are not known."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = set(numbers)

    async def __call__(self, asked: list[int]) -> set[int]:
        """Return which of these."""
        return self.numbers & set(asked)


async def fill(journal: Journal, count: int = 20) -> None:
    """Two messages a row, each row followed by one of events."""
    for n in range(1, count + 1, 2):
        long = f"secret {n}" if n != 5 else "secret 5, " * 2_000  # beyond its page
        await commit(journal, row_of([message(n, text=long), message(n + 1, text="secret too")]))
        await commit(journal, events(n, n + 1))


def texts(rows: Sequence[object]) -> dict[int, str]:
    """What is left of them."""
    return {each.n: each.text for each in messages_of(rows)}  # type: ignore[arg-type]


def test_texts_go_when_their_message_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only texts go, only old ones, only of messages that have ended; again, it only looks at what is
    left."""
    monkeypatch.setattr(retention, "SLICE_OCTETS", 300)

    async def scene() -> None:
        async with running(tmp_path) as journal:
            await fill(journal)
            assert await forget_texts(journal, Ended(range(100)), NOW_MS) == 0
            assert (
                await forget_texts(journal, Ended([n for n in range(100) if n not in (6, 11)]), LATER_MS)
                == 18
            )
            assert await journal.mark("texts_seq") == 4  # the row of 5 and 6 is looked at again
            rows = await journal.read(1, 0, 1 << 20)
            assert {n: text for n, text in texts(rows).items() if text} == {6: "secret too", 11: "secret 11"}
            assert messages_of(rows)[2] == message(3, text="")
            assert await forget_texts(journal, Ended(range(100)), LATER_MS) == 2
            assert await journal.mark("texts_seq") == 20
            assert not any(texts(await journal.read(1, 0, 1 << 20)).values())
            assert (await journal.find([6]))[6] == message(6, text="")
            assert await forget_texts(journal, Ended(range(100)), LATER_MS) == 0

    asyncio.run(scene())
    asyncio.run(opened(tmp_path).close())  # copies the WAL out and begins it anew
    assert b"secret" not in (tmp_path / JOURNAL).read_bytes()


def test_rows_go_from_the_beginning_and_stop_at_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a snapshot, past a reader, before their time, or with a message that has not ended, nothing
    goes."""
    monkeypatch.setattr(retention, "SLICE_OCTETS", 300)
    all_ended = Ended(range(100))

    async def left(journal: Journal) -> list[int]:
        return [row.seq for row in await journal.rows(0, 1 << 20)]

    async def scene() -> None:
        async with running(tmp_path) as journal:
            await fill(journal)
            assert await trim(journal, all_ended, LATER_MS, 1000) == 0
            await journal.save_snapshot([b"state"], 16, {})
            assert await trim(journal, all_ended, NOW_MS, 1000) == 0
            assert await trim(journal, Ended([1, 2, 3, 4, 5]), LATER_MS, 1000) == 4
            assert await left(journal) == list(range(5, 21))
            assert await trim(journal, all_ended, LATER_MS, 7) == 3
            assert await trim(journal, all_ended, LATER_MS, 1000) == 9
            assert await left(journal) == [17, 18, 19, 20]
            await journal.save_snapshot([b"state"], 20, {})
            assert await trim(journal, all_ended, LATER_MS, 1000) == 0  # the one before it is kept, too
            await journal.save_snapshot([b"state"], 20, {})
            assert await trim(journal, all_ended, LATER_MS, 1000) == 3
            assert await left(journal) == [20]  # the newest stays: its seq is not given again
            await commit(journal, row_of([message(21)]))
            assert await left(journal) == [20, 21]
            assert (last_n(journal), await journal.find([5, 21])) == (21, {21: message(21)})

    asyncio.run(scene())


def last_n(journal: Journal) -> int:
    """As recovery asks for it."""
    reader = journal.reader()
    try:
        return reader.last_n()
    finally:
        reader.close()


def test_the_highest_number_outlives_its_row(tmp_path: Path) -> None:
    """A number that was given is not given again, though nothing is left of its message."""

    async def scene() -> None:
        async with running(tmp_path) as journal:
            assert last_n(journal) == 0
            await fill(journal, 10)
            await journal.save_snapshot([b"state"], 10, {})
            await trim(journal, Ended(range(100)), LATER_MS, 1000)
            assert [row.seq for row in await journal.rows(0, 1 << 20)] == [10]
            assert last_n(journal) == 10

    asyncio.run(scene())


def test_the_projection_says_what_may_go(tmp_path: Path) -> None:
    """With the projection's word for it, an open message keeps its row and what comes after it."""

    async def scene() -> None:
        async with running(tmp_path) as journal:
            await commit(journal, row_of([message(1)]))
            await commit(journal, events(1))
            await commit(journal, row_of([message(2)]))
            await commit(journal, events(1))
            projection = Projection(tmp_path, lambda *row: None)

            async def finished(numbers: list[int]) -> set[int]:
                projection.catch_up()
                return projection.finished(numbers)

            await journal.save_snapshot([b"state"], 4, {})
            assert await trim(journal, finished, LATER_MS, 4) == 2
            assert [row.seq for row in await journal.rows(0, 1 << 20)] == [3, 4]
            assert projection.lookup(1) is not None
            projection.close()

    asyncio.run(scene())
