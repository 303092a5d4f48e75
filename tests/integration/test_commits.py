"""When events are committed: at once, or gathered; who hears of it, and that a stop leaves nothing unsaid."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from dispatcher._ext.book import Submission
from dispatcher._ext.events import EventBuffer
from dispatcher.app import Dispatcher
from dispatcher.carrier.lane import CODES_CLAIM_SHARE, Lane
from dispatcher.carrier.queue import ClassQueue
from dispatcher.commits import Commits
from dispatcher.errors import StoreError
from dispatcher.model import EventKind, TrafficClass
from dispatcher.pipeline import Pipeline
from dispatcher.simulator import Simulator
from dispatcher.simulator.behaviour import Behaviour
from dispatcher.simulator.settings import parse
from tests.integration.house import accepted, config_for, requests, run, until
from tests.store.conftest import NOW_MS, running


def test_what_can_wait_is_gathered_and_goes_with_what_cannot(tmp_path: Path) -> None:
    """It is not handed over in its turn; what comes next takes it along, in one row, told in order."""

    async def scene() -> None:
        async with running(tmp_path) as journal:
            events, told = EventBuffer(), list[int]()
            commits = Commits(journal, events)
            events.add(EventKind.CLAIMED, 1, NOW_MS)
            commits.after(partial(told.append, 1), can_wait=True)
            await asyncio.sleep(0)
            assert (len(events), journal.queue_appends) == (1, 0)
            events.add(EventKind.CLAIMED, 2, NOW_MS)
            commits.after(partial(told.append, 2))
            await asyncio.sleep(0)
            assert (len(events), journal.queue_appends) == (0, 1)
            await until(lambda: told)
            assert told == [1, 2]
            assert [row.count for row in await journal.events(0, 1 << 20)] == [2]

    run(scene())


def test_what_can_wait_does_not_wait_for_long(tmp_path: Path) -> None:
    """Nothing else comes: it is committed by itself, and so is what is gathered after it."""

    async def scene() -> None:
        async with running(tmp_path) as journal:
            events, told = EventBuffer(), list[int]()
            commits = Commits(journal, events)
            for turn in (1, 2):
                events.add(EventKind.CLAIMED, turn, NOW_MS)
                commits.after(partial(told.append, turn), can_wait=True)
                await until(lambda turn=turn: told == list(range(1, turn + 1)))  # type: ignore[misc]
            assert [row.count for row in await journal.events(0, 1 << 20)] == [1, 1]

    run(scene())


def test_who_waits_is_told_that_it_never_comes(tmp_path: Path) -> None:
    """A journal that has failed: what is lost is called, and who awaits gets the error."""

    async def scene() -> None:
        failures: list[Exception] = []
        async with running(tmp_path, failures.append) as journal:
            events, lost = EventBuffer(), list[int]()
            commits = Commits(journal, events)
            (tmp_path / "journal.db").rename(tmp_path / "gone.db")
            (tmp_path / "journal.db").touch()  # another file: found out at the next checkpoint, or look
            while not failures:
                events.add(EventKind.CLAIMED, 1, NOW_MS)
                commits.after(partial(lost.append, 0), partial(lost.append, 1))
                await asyncio.sleep(0.01)
            commits.after(partial(lost.append, 0), partial(lost.append, 1))
            with pytest.raises(StoreError):
                await commits.wait()
            assert lost[-1] == 1

    run(scene())


def test_a_stop_acknowledges_what_has_come(tmp_path: Path) -> None:
    """Receipts whose commit is still gathered when the dispatcher is closed are answered before it
    unbinds."""

    async def scene() -> None:
        async with Simulator(parse({"receipts": {"delay_ms": 0}}, Behaviour)) as smsc:
            dispatcher = Dispatcher(config_for(tmp_path, smsc))
            async with dispatcher:
                await until(lambda: dispatcher.pipeline.lanes[1].is_bound)
                accepted(await dispatcher.send(requests(20)))
                while dispatcher.pipeline.book.matched < 20:
                    await asyncio.sleep(0)
            totals = smsc.ledger.of("bank")
            assert totals.acknowledged == {0: sum(totals.receipts.values())} == {0: 20}

    run(scene())


def test_a_flood_of_codes_is_claimed_many_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one for each answer: a claim is a commit. The last ones are claimed however few they are."""
    sizes: list[int] = []
    claim = Pipeline.claim

    def seen(pipeline: Pipeline, lane: Lane, queue: ClassQueue, batch: list[Submission]) -> None:
        sizes.append(len(batch))
        claim(pipeline, lane, queue, batch)

    monkeypatch.setattr(Pipeline, "claim", seen)

    async def scene() -> None:
        async with (
            Simulator() as smsc,
            Dispatcher(config_for(tmp_path, smsc, carrier={"window": 64})) as dispatcher,
        ):
            await until(lambda: dispatcher.pipeline.lanes[1].is_bound)
            accepted(await dispatcher.send(requests(1_000, traffic_class=TrafficClass.AUTHORIZATION)))
            await until(lambda: dispatcher.pipeline.book.matched == 1_000)

    run(scene())
    most = 2 * 64
    assert len(sizes) > 1
    assert min(sizes[:-1]) >= most // CODES_CLAIM_SHARE
