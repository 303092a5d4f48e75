"""What lies in the journal: tails longer than memory, restarts, the stream of events, damaged rows."""

import asyncio
import os
import sqlite3
from itertools import pairwise
from pathlib import Path

import pytest

from dispatcher.__main__ import run as main
from dispatcher.api import Cursor
from dispatcher.app import Dispatcher
from dispatcher.model import Event, EventKind, Outcome, Reason, Refused, TrafficClass
from dispatcher.simulator import Behaviour, Simulator
from dispatcher.store import writer
from dispatcher.store.deliveries import connect
from tests.integration.house import (
    accepted,
    config_for,
    copies,
    events_of,
    outcomes,
    request,
    requests,
    run,
    until,
)

DELIVERED = (Outcome.DELIVERED, Reason.RECEIPT)
MARKETING = TrafficClass.MARKETING
NOBODY = 65534


def in_memory(dispatcher: Dispatcher) -> int:
    """Segments in the heads of all queues."""
    return sum(len(queue) for lane in dispatcher.pipeline.lanes.values() for queue in lane.queues)


@pytest.mark.parametrize("restart", [False, True])
def test_a_backlog_beyond_memory(tmp_path: Path, restart: bool) -> None:
    """Law 9, F68: 5,000 waiting, 200 in memory: read in order, none lost or doubled, also over a restart."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            port = smsc.port
            config = config_for(tmp_path, smsc, limits={"lane_max": 200})
        dispatcher = Dispatcher(config)
        await dispatcher.open()
        for first in range(0, 5000, 100):
            accepted(await dispatcher.send(requests(100, MARKETING, first)))
        assert 100 <= in_memory(dispatcher) <= 400
        if restart:
            await dispatcher.close()
            dispatcher = Dispatcher(config)
            await dispatcher.open()
        async with Simulator(port=port) as smsc:
            ended = await outcomes(dispatcher, 5000)
            assert set(ended.values()) == {DELIVERED}
            assert smsc.ledger.tokens == [f"t{number}" for number in range(5000)], "out of order"
            assert set(copies(smsc).values()) == {1}
            queue = dispatcher.pipeline.lanes[1].queues[MARKETING]
            assert (queue.messages, queue.is_behind) == (0, False)
            await dispatcher.close()

    run(scenario())


def test_memory_is_bounded_by_the_heads(tmp_path: Path) -> None:
    """F68: 50,000 wait, the heads hold no more than lane_max and one read; the rest is numbers."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            config = config_for(tmp_path, smsc, limits={"lane_max": 1000})
        async with Dispatcher(config) as dispatcher:
            for first in range(0, 50_000, 5000):
                accepted(await dispatcher.send(requests(5000, MARKETING, first)))
            queue = dispatcher.pipeline.lanes[1].queues[MARKETING]
            await until(lambda: not queue.is_loading)
            assert in_memory(dispatcher) <= 1000 + 5000
            assert 50_000 - 6000 <= queue.tail_count <= 50_000
            assert len(queue.skip) + len(queue._expiring) < 100

    run(scenario())


def test_new_ones_do_not_overtake_a_tail(tmp_path: Path) -> None:
    """While something of a class is in the journal only, what comes waits behind it."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            config = config_for(tmp_path, smsc, limits={"lane_max": 100}, carrier={"tps": 1000})
            async with Dispatcher(config) as dispatcher:
                for first in range(0, 1500, 50):
                    accepted(await dispatcher.send(requests(50, MARKETING, first)))
                await outcomes(dispatcher, 1500)
                assert smsc.ledger.tokens == [f"t{number}" for number in range(1500)]

    run(scenario())


def test_a_damaged_row_costs_only_itself(tmp_path: Path) -> None:
    """A flipped octet in a tail is found by CRC and reported; all other messages are delivered."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            port = smsc.port
            config = config_for(tmp_path, smsc, limits={"lane_max": 100})
        async with Dispatcher(config) as dispatcher:
            for first in range(0, 1000, 100):
                accepted(await dispatcher.send(requests(100, MARKETING, first)))
        with sqlite3.connect(tmp_path / "store" / "journal.db") as connection:
            rows = connection.execute("SELECT seq, first, last FROM journal WHERE last > 0 ORDER BY seq")
            middle, first_n, last_n = rows.fetchall()[5]
            connection.execute("UPDATE journal SET body = zeroblob(length(body)) WHERE seq = ?", (middle,))
        connection.close()
        lost = last_n - first_n + 1
        async with Simulator(port=port) as smsc, Dispatcher(config) as dispatcher:
            ended = await outcomes(dispatcher, 1000 - lost)
            assert set(ended.values()) == {DELIVERED}
            assert (middle, first_n, last_n) in {
                (seq, low, high) for seq, _, low, high in dispatcher._corrupt
            }
            queue = dispatcher.pipeline.lanes[1].queues[MARKETING]
            await until(lambda: not queue.is_behind)
            assert queue.messages == 0

    run(scenario())


# ---- stop and start ----


@pytest.mark.parametrize("moment", [0, 100, 1000, 1900])
def test_close_and_open(tmp_path: Path, moment: int) -> None:
    """Closed with work under way, opened again: nothing lost, nothing doubled, one outcome each."""

    async def scenario() -> None:
        async with Simulator(Behaviour(latency_ms=5)) as smsc:
            config = config_for(tmp_path, smsc, carrier={"window": 20})
            async with Dispatcher(config) as dispatcher:
                batch = requests(1990) + [request(n, text=f"{'x' * 400} t{n}") for n in range(1990, 2000)]
                accepted(await dispatcher.send(batch))
                await until(lambda: len(smsc.ledger.tokens) >= moment)
            async with Dispatcher(config) as dispatcher:
                ended = await outcomes(dispatcher, 2000)
                assert set(ended.values()) == {DELIVERED}
            assert len(smsc.ledger.tokens) == 2000
            assert {len(smsc.ledger.copies(f"t{n}")) for n in range(1990)} == {1}
            assert {len(smsc.ledger.copies(f"t{n}")) for n in range(1990, 2000)} == {3}

    run(scenario())


def test_finished_messages_are_no_backlog_after_a_restart(tmp_path: Path) -> None:
    """What has ended does not count as waiting: the door is open at once."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            config = config_for(tmp_path, smsc, classes={"marketing": {"backlog_max": 100}})
            async with Dispatcher(config) as dispatcher:
                for first in range(0, 500, 50):
                    accepted(await dispatcher.send(requests(50, MARKETING, first)))
                    await outcomes(dispatcher, first + 50)
            async with Dispatcher(config) as dispatcher:
                accepted(await dispatcher.send(requests(50, MARKETING, 500)))
                await outcomes(dispatcher, 550)
            assert set(copies(smsc).values()) == {1}

    run(scenario())


# ---- events ----


def test_the_stream_of_events(tmp_path: Path) -> None:
    """In order, each with a cursor; from any cursor on the rest; the same after a restart."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            async with Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
                accepted(await dispatcher.send(requests(30)))
                await outcomes(dispatcher, 30)
                await dispatcher.committed()
                whole = [pair async for pair in dispatcher.history()]
            assert all(earlier < later for (earlier, _), (later, _) in pairwise(whole))
            orders = {n: [EventKind(e.kind) for _, e in whole if e.n == n] for n in range(1, 31)}
            assert {tuple(order) for order in orders.values()} == {
                (EventKind.CLAIMED, EventKind.SUBMITTED, EventKind.RECEIPTED, EventKind.FINISHED)
            }
            async with Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
                again = [pair async for pair in dispatcher.history()]
                assert again[: len(whole)] == whole
                for index in (0, 1, len(whole) // 2, len(whole) - 1):
                    rest = [pair async for pair in dispatcher.history(whole[index][0])]
                    assert rest == again[index + 1 :]

    run(scenario())


def test_following_live(tmp_path: Path) -> None:
    """events() yields what is there, waits, and yields what comes: no gap, no repetition."""

    async def scenario() -> None:
        async with Simulator() as smsc, Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
            seen: list[tuple[Cursor, Event]] = []

            async def follow() -> None:
                async for pair in dispatcher.events():
                    seen.append(pair)  # noqa: PERF401 - it never ends

            follower = asyncio.ensure_future(follow())
            for first in range(0, 100, 10):
                accepted(await dispatcher.send(requests(10, first=first)))
                await outcomes(dispatcher, first + 10)
            events = await events_of(dispatcher)
            await until(lambda: len(seen) == len(events))
            assert [event for _, event in seen] == events
            follower.cancel()
            await asyncio.gather(follower, return_exceptions=True)

    run(scenario())


def test_a_disk_that_runs_low_is_told_to_operators_and_to_those_who_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """F20: an alarm in the log at each step, once; a refusal says that it is the disk, and what to wait."""
    monkeypatch.setattr(writer, "IDLE_S", 0.01)
    caplog.set_level("INFO", logger="dispatcher.upkeep")

    def told() -> list[object]:
        return [each.__dict__["classes"] for each in caplog.records if hasattr(each, "classes")]

    async def scenario() -> None:
        async with Simulator() as smsc, Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
            space = dispatcher.journal.space
            monkeypatch.setattr(space, "_free_octets", lambda: space._low_octets - 1)
            await until(lambda: told() == [["authorization", "transactional", "service"]], "first alarm")
            (refused,) = await dispatcher.send([request(1, MARKETING)])
            assert isinstance(refused, Refused)
            assert (refused.code, refused.retry_after_ms) == ("overloaded", 5_000)
            assert refused.detail.startswith("the disk of the store has too little room")
            accepted(await dispatcher.send([request(2)]))
            monkeypatch.setattr(space, "_free_octets", lambda: 0)
            await until(lambda: told()[1:] == [[]], "second alarm")
            assert (
                caplog.records[-1]
                .getMessage()
                .endswith("0 MiB are free on the disk of the store: nothing new is accepted")
            )
            await outcomes(dispatcher, 1)

    run(scenario())


def test_nobody_else_reads_a_store(tmp_path: Path) -> None:
    """Law 11: whatever folder and mask allow, its owner alone reads numbers and texts; what root makes
    anew belongs to whom the folder belongs to."""
    store = tmp_path / "store"
    store.mkdir(mode=0o755)

    async def scenario() -> None:
        async with Simulator() as smsc, Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
            accepted(await dispatcher.send(requests(3)))
            await outcomes(dispatcher, 3)
            await dispatcher.find(to="79000000001")
            connect(store).close()
            looked_at()

    def looked_at() -> None:
        found = [each for each in store.iterdir() if each.name not in ("lock",)]
        assert {"journal.db", "journal.db-wal", "projection.db", "deliveries.db"} <= {f.name for f in found}
        assert [each.name for each in found if each.stat().st_mode & 0o077] == []

    before = os.umask(0o002)
    try:
        run(scenario())
    finally:
        os.umask(before)
    if os.geteuid() == 0:
        for each in (store, *store.iterdir()):
            os.chown(each, NOBODY, NOBODY)
        assert main(["rebuild", str(store)]) == 0
        assert {each.stat().st_uid for each in store.iterdir()} == {NOBODY}
