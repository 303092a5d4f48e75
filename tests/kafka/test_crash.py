"""The daemon is killed, and brokers stop and start, in the middle of messages: nothing is lost, each has one
outcome, and what is doubled is within the bound. Ledgers: of the producer, of the carrier, of the topic.
"""

import asyncio
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dispatcher.simulator import Simulator
from tests.integration.house import copies, run, until
from tests.integration.serving import serving, write
from tests.kafka.brokers import Broker
from tests.kafka.house import CLASSES, ask, data_with, kafka_table, make_topics, message, outcomes_of, produce

WINDOW = 50
"""Of the one bind: so many segments may be unanswered when it breaks, and be sent again."""


def ended_once(told: list[dict[str, Any]], expected: set[str]) -> None:
    """Check that what was told is one outcome a message: a repetition has the same id."""
    by_id = {each["id"]: each for each in told}
    finished = Counter(each["client_ref"] for each in by_id.values() if each["type"] == "message.finished")
    assert set(finished) == expected
    assert set(finished.values()) == {1}


def test_f96_the_daemon_is_killed_in_the_middle(crashable: str, fresh: str, tmp_path: Path) -> None:
    """F96: kill -9 in the middle of 20,000 messages, records polled and not committed: started again it goes
    on; lost 0, doubled at most one window, one outcome each."""
    count, address = 20_000, crashable

    async def scenario() -> None:
        table = kafka_table(address, fresh)
        await make_topics(table)
        async with Simulator() as smsc:
            classes = {name: {"on_unknown": "resend"} for name in CLASSES}  # or it waits for a late receipt
            path = write(tmp_path, data_with(tmp_path, smsc, table, classes=classes))
            producing = [
                produce(address, f"{fresh}.{name}", [message(n) for n in range(place, count, 4)])
                for place, name in enumerate(CLASSES)
            ]
            async with serving(path) as daemon:
                writing = asyncio.gather(*producing)
                await until(lambda: len(copies(smsc)) > 6_000, "a third is sent", 60)
                daemon.signal(signal.SIGKILL)
                await daemon.ended()
            await writing
            async with serving(path) as daemon:
                told = await outcomes_of(address, f"{fresh}.outcomes", count, 90)
                daemon.signal(signal.SIGTERM)
                assert await daemon.ended() == 0
            sent = copies(smsc)
            assert set(sent) == {f"t{number}" for number in range(count)}
            assert sum(sent.values()) - count <= WINDOW
            ended_once(told, {f"r{number}" for number in range(count)})

    run(scenario(), 150)


def test_f95_the_broker_stops_and_starts_again(noida: Broker, fresh: str, tmp_path: Path) -> None:
    """F95: the broker is gone while outcomes are to be told and messages to be read; HTTP and carriers go on,
    nothing grows, and when it is back all of it is told, once by its id."""
    address = noida.address

    async def scenario() -> None:
        table = kafka_table(address, fresh, idempotent=True, request_timeout_ms=1_000)
        await make_topics(table)
        async with Simulator() as smsc:
            path = write(tmp_path, data_with(tmp_path, smsc, table, carrier={"tps": 400.0}))
            async with serving(path) as daemon:
                await produce(address, f"{fresh}.service", [message(number) for number in range(1_000)])
                await until(lambda: len(copies(smsc)) > 100, "some are sent")
                daemon.signal(signal.SIGSTOP)
                await asyncio.to_thread(noida.stop_quiet)
                daemon.signal(signal.SIGCONT)
                await daemon.says("kafka_write_failed")
                while f"{fresh}.service" not in (said := await ask(daemon, "/readyz?verbose")):
                    await asyncio.sleep(0.1)  # in the end it sees that the reading has stopped, too
                assert "[-] kafka: failing" in said
                await asyncio.to_thread(noida.start)
                await produce(address, f"{fresh}.service", [message(1_000 + number) for number in range(500)])
                told = await outcomes_of(address, f"{fresh}.outcomes", 1_500, 60)
                daemon.signal(signal.SIGTERM)
                assert await daemon.ended() == 0
            assert set(copies(smsc).values()) == {1}
            ended_once(told, {f"r{number}" for number in range(1_500)})

    run(scenario(), 120)


def test_brokers_that_come_later(noida: Broker, fresh: str, tmp_path: Path) -> None:
    """A daemon starts without them, says so in /readyz, and begins when they are there."""
    address = noida.address

    async def scenario() -> None:
        table = kafka_table(address, fresh, request_timeout_ms=1_000)
        await make_topics(table)
        await produce(address, f"{fresh}.authorization", [message(number) for number in range(10)])
        await asyncio.to_thread(noida.stop)
        async with Simulator() as smsc:
            path = write(tmp_path, data_with(tmp_path, smsc, table))
            async with serving(path) as daemon:
                assert daemon.said("kafka_not_reached")
                await asyncio.to_thread(noida.start)
                assert len(await outcomes_of(address, f"{fresh}.outcomes", 10)) == 10

    run(scenario(), 90)


@pytest.mark.parametrize(("more", "why"), [
    ({"allow_unsafe": False, "min_replication": 2, "replication": 2}, "min_replication is 2"),
    ({"topics": {"service": "nobody.made.this"}}, "nobody.made.this is not there"),
])  # fmt: skip
def test_f95_topics_that_break_the_promise_are_refused(
    crashable: str, fresh: str, tmp_path: Path, more: dict[str, Any], why: str
) -> None:
    """F95: fewer copies than asked for, or no topic: it does not start, with exit code 78, and says why."""
    address = crashable

    async def scenario() -> None:
        await make_topics(kafka_table(address, fresh))
        async with Simulator() as smsc:
            path = write(tmp_path, data_with(tmp_path, smsc, kafka_table(address, fresh, **more)))
            async with serving(path, wait_ready=False) as daemon:
                assert await daemon.ended() == 78
                assert why in daemon.said("start_failed")[0]["msg"]

    run(scenario())


def test_a_broker_that_cannot_number_batches_is_told(
    tansu_session: Broker, fresh: str, tmp_path: Path
) -> None:
    """`idempotent` where the broker has no such thing: refused at the start, with the key to change."""
    address = tansu_session.address

    async def scenario() -> None:
        table = kafka_table(address, fresh, idempotent=True)
        await make_topics(table)
        async with Simulator() as smsc:
            path = write(tmp_path, data_with(tmp_path, smsc, table))
            async with serving(path, wait_ready=False) as daemon:
                assert await daemon.ended() == 78
                assert "kafka.idempotent" in daemon.said("start_failed")[0]["msg"]

    run(scenario())
