"""After a repair nothing is sent again that may have been sent: what lost rows said is known, or in doubt."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dispatcher._ext.events import read_events
from dispatcher.app import Dispatcher
from dispatcher.config import Config
from dispatcher.model import Event, EventKind, Outcome, Reason, TrafficClass
from dispatcher.simulator import Simulator
from dispatcher.store.audit import audit
from dispatcher.store.projection import delete
from dispatcher.store.reader import Reader
from dispatcher.store.records import EVENTS_STREAM, StoredRow
from dispatcher.store.repair import repair
from dispatcher.store.schema import JOURNAL
from tests.integration.house import accepted, config_for, copies, events_of, kinds, outcomes, requests, run

MARKETING, AUTHORIZATION = TrafficClass.MARKETING, TrafficClass.AUTHORIZATION
DELIVERED = (Outcome.DELIVERED, Reason.RECEIPT)


def rows_of(store: Path) -> list[StoredRow]:
    """Return all rows of a journal."""
    reader = Reader(store, lambda *row: None)
    try:
        return reader.rows(0, 1 << 30)
    finally:
        reader.close()


def lose(store: Path, is_lost: Callable[[StoredRow], bool]) -> list[int]:
    """Damage rows of a journal at rest; return their seq."""
    path = store / JOURNAL
    octets, lost = bytearray(path.read_bytes()), []
    for row in rows_of(store):
        if is_lost(row):
            at = octets.index(row.body)
            octets[at + 1] ^= 0x55
            lost.append(row.seq)
    path.write_bytes(octets)
    return lost


def says(*wanted: EventKind) -> Callable[[StoredRow], bool]:
    """Return what finds rows of events in which one of these kinds stands."""
    return lambda row: (
        row.stream == EVENTS_STREAM and any(event.kind in wanted for event in read_events(row.body, Event))
    )


def trails(store: Path) -> dict[int, list[Event]]:
    """Return the events of each message, in order."""
    found: dict[int, list[Event]] = {}
    for row in rows_of(store):
        for event in read_events(row.body, Event) if row.stream == EVENTS_STREAM else ():
            found.setdefault(event.n, []).append(event)
    return found


async def sent(config: Config, waiting: int) -> None:
    """Send some messages of two classes to their end, one at a time, and leave some that wait."""
    async with Dispatcher(config) as dispatcher:
        for first, traffic_class in ((0, MARKETING), (1, AUTHORIZATION), (2, MARKETING)):
            accepted(await dispatcher.send(requests(1, traffic_class, first=first)))
            await outcomes(dispatcher, first + 1)
        await dispatcher.pause("c0")
        accepted(await dispatcher.send(requests(waiting, MARKETING, first=100)))
        await folded(dispatcher)


async def folded(dispatcher: Dispatcher) -> None:
    """Wait until the projection has read all."""
    while dispatcher.projection.seq < dispatcher.journal.last_seq:
        await dispatcher.status("00000000-0000-7000-8000-000000000001")  # a look-up folds first


@pytest.mark.parametrize(
    "lost", [(EventKind.FINISHED,), (EventKind.CLAIMED,), tuple(EventKind)], ids=["ends", "claims", "all"]
)
def test_what_the_projection_knows_is_put_back(tmp_path: Path, lost: tuple[EventKind, ...]) -> None:
    """F22: rows of events are lost and the projection had read them: all events are there again, in order, no
    message is in doubt, none is sent twice, and those that wait are sent once."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            config = config_for(tmp_path, smsc)
            await sent(config, 5)
            store = tmp_path / "store"
            before = trails(store)
            seqs = lose(store, says(*lost))
            assert seqs
            repaired = repair(store)
            assert repaired.doubtful == 0
            assert trails(store) == before
            assert repaired.known >= len(seqs)
            assert set(audit(store).wrong) <= {"damaged row"}  # several may have become one
            async with Dispatcher(config) as dispatcher:
                await dispatcher.resume("c0")
                assert set((await outcomes(dispatcher, 8)).values()) == {DELIVERED}
            assert set(copies(smsc).values()) == {1}

    run(scenario())


def test_what_nobody_knows_is_in_doubt(tmp_path: Path) -> None:
    """F22: the same without the projection: what was sent and what waits looks alike, so all of it counts as
    not answered: marketing is held and never sent again, a code is. What came behind the loss just waits."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            config = config_for(tmp_path, smsc, carrier={"receipt_timer_ms": 60_000})
            await sent(config, 5)
            store = tmp_path / "store"
            delete(store)
            lose(store, says(EventKind.CLAIMED, EventKind.SUBMITTED, EventKind.FINISHED, EventKind.RECEIPTED))
            repaired = repair(store)
            assert repaired.known == 0
            assert repaired.doubtful == 3
            async with Dispatcher(config) as dispatcher:
                await dispatcher.resume("c0")
                ended = await outcomes(dispatcher, 6)
                numbers = sorted(set(range(1, 9)) - ended.keys())
                assert len(numbers) == 2  # both are marketing, and held
                events = await events_of(dispatcher)
                for n in numbers:
                    assert kinds(events, n) == [EventKind.CLAIMED, EventKind.UNANSWERED]
            copied = copies(smsc)
            assert (copied["t0"], copied["t1"], copied["t2"]) == (1, 2, 1)
            assert all(copied[f"t{number}"] == 1 for number in range(100, 105))
            assert "damaged row" in audit(store).wrong or repaired.lost == []

    run(scenario())


def test_the_newest_rows_are_lost(tmp_path: Path) -> None:
    """F22: behind the last row that is whole the projection knows more: that is put back, too."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            config = config_for(tmp_path, smsc)
            async with Dispatcher(config) as dispatcher:
                accepted(await dispatcher.send(requests(3, MARKETING)))
                await outcomes(dispatcher, 3)
                await dispatcher.committed()
                await folded(dispatcher)
            store = tmp_path / "store"
            messages = max(row.seq for row in rows_of(store) if row.holds_messages)
            lose(store, lambda row: row.seq > messages)
            repaired = repair(store)
            assert (repaired.lost, repaired.doubtful) == ([], 0)
            assert audit(store).is_right
            async with Dispatcher(config) as dispatcher:
                assert set((await outcomes(dispatcher, 3)).values()) == {DELIVERED}
            assert set(copies(smsc).values()) == {1}

    run(scenario())
