"""Between runs: a carrier that is gone, a row that is damaged, a dispatcher that is opened again."""

import asyncio
from contextlib import suppress
from pathlib import Path
from random import Random

import apsw
import pytest

from dispatcher.app import Dispatcher
from dispatcher.config import Config, from_dict
from dispatcher.errors import StoreError
from dispatcher.model import Accepted, EventKind, Outcome, Reason, TrafficClass
from dispatcher.simulator import Simulator
from tests.integration.house import accepted, config_for, copies, outcomes, requests, run, until

PAGE = 4096
DELIVERED = (Outcome.DELIVERED, Reason.RECEIPT)


def test_what_waits_for_a_carrier_that_is_gone_goes_elsewhere(tmp_path: Path) -> None:
    """Renamed in the configuration: its messages take today's route and reach one outcome; cancel says no."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            nowhere = {"host": "127.0.0.1", "port": 1, "system_id": "bank"}
            store = str(tmp_path / "store")
            before = {"store": store, "carriers": {"old": nowhere}, "routes": [{"carriers": ["old"]}]}
            async with Dispatcher(from_dict(before)) as dispatcher:
                first = accepted(await dispatcher.send(requests(20, TrafficClass.SERVICE)))
            async with Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
                assert set((await outcomes(dispatcher, 20)).values()) == {DELIVERED}
                assert not await dispatcher.cancel(first[0].message_id)
            assert set(copies(smsc).values()) == {1}

    run(scenario())


def test_numbers_of_a_damaged_row_are_not_given_again(tmp_path: Path) -> None:
    """The newest messages cannot be read any more: new ones get new numbers, and their own outcomes."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            async with Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
                accepted(await dispatcher.send(requests(3)))
                await outcomes(dispatcher, 3)
            connection = apsw.Connection(str(tmp_path / "store" / "journal.db"))
            connection.execute("UPDATE journal SET body = zeroblob(length(body)) WHERE last = 3")
            connection.close()
            async with Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
                fresh = accepted(await dispatcher.send(requests(3, first=10)))
                assert [each.message.n for each in fresh] == [4, 5, 6]
                assert set((await outcomes(dispatcher, 6)).values()) == {DELIVERED}

    run(scenario())


def test_a_journal_with_many_damaged_pages_is_a_store_error(tmp_path: Path) -> None:
    """F22: wherever a start stumbles over damage, it says what may help; it is no fault inside."""
    said: list[str] = []

    async def write(config: Config) -> None:
        async with Dispatcher(config) as dispatcher:
            for number in range(20):
                accepted(await dispatcher.send(requests(500, first=500 * number)))
            await outcomes(dispatcher, 10_000)

    async def scenario() -> None:
        async with Simulator() as smsc:
            config = config_for(tmp_path, smsc)
            await write(config)
            path = tmp_path / "store" / "journal.db"
            whole = path.read_bytes()
            for seed in range(12):
                octets, chance = bytearray(whole), Random(seed)
                for page in chance.sample(range(1, len(octets) // PAGE), 30):
                    octets[page * PAGE : (page + 1) * PAGE] = chance.randbytes(PAGE)
                path.write_bytes(octets)
                with suppress(StoreError):  # some starts go round the damage
                    async with Dispatcher(config):
                        continue
                with pytest.raises(StoreError) as stopped:
                    await Dispatcher(config).open()
                said.append(str(stopped.value))

    run(scenario())
    assert said
    assert all("dispatcher repair" in each for each in said), said


def test_it_can_be_opened_again(tmp_path: Path) -> None:
    """After a close all works as before; between, and before the first time, it says that it is closed."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            dispatcher = Dispatcher(config_for(tmp_path, smsc))
            assert "never opened" in repr(dispatcher)
            with pytest.raises(RuntimeError, match="not open"):
                await dispatcher.send(requests(1))
            for turn in range(2):
                await dispatcher.open()
                with pytest.raises(RuntimeError, match="open already"):
                    await dispatcher.open()
                accepted(await dispatcher.send(requests(5, first=5 * turn)))
                await outcomes(dispatcher, 5 * (turn + 1))
                await dispatcher.close()
                assert "closed" in repr(dispatcher)
            for call in (dispatcher.status, dispatcher.cancel):
                with pytest.raises(RuntimeError, match="not open"):
                    await call("00000000-0000-7000-8000-000000000001")

    run(scenario())


def test_events_end_with_the_dispatcher(tmp_path: Path) -> None:
    """Whoever follows the events is let go by a close, and had all of them."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            seen: list[int] = []

            async def follow(dispatcher: Dispatcher) -> None:
                async for _, event in dispatcher.events():
                    if event.kind == EventKind.FINISHED:
                        seen.append(event.n)

            async with Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
                follower = asyncio.create_task(follow(dispatcher))
                verdicts = await dispatcher.send(requests(5))
                assert all(isinstance(each, Accepted) for each in verdicts)
                await until(lambda: len(seen) == 5)
            await asyncio.wait_for(follower, 5)
            assert sorted(seen) == [1, 2, 3, 4, 5]

    run(scenario())
