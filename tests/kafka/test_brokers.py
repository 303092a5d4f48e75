"""The brokers of the tests themselves: what all other tests here build on."""

import asyncio
import signal

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.integration.house import run
from tests.kafka.brokers import Broker


async def _make(address: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 3, 1)])
    await admin.close()


async def _there_and_back(address: str, topic: str) -> list[bytes | None]:
    async with AIOKafkaProducer(bootstrap_servers=address, acks="all") as producer:
        for number in range(5):
            await producer.send_and_wait(topic, b"%d" % number, key=b"k")
    return await _read(address, topic, 5)


async def _read(address: str, topic: str, count: int) -> list[bytes | None]:
    async with AIOKafkaConsumer(topic, bootstrap_servers=address, auto_offset_reset="earliest") as consumer:
        return [(await asyncio.wait_for(consumer.getone(), 20)).value for _ in range(count)]


def test_a_record_goes_there_and_back(bootstrap: str, fresh: str) -> None:
    """A topic is made, records with one key come back in their order."""

    async def scenario() -> None:
        await _make(bootstrap, fresh)
        assert await _there_and_back(bootstrap, fresh) == [b"0", b"1", b"2", b"3", b"4"]

    run(scenario())


def test_noida_keeps_its_data_over_a_planned_restart(noida: Broker, fresh: str) -> None:
    """Stopped by SIGTERM and started again on its port, it has what it had."""

    async def scenario() -> None:
        await _make(noida.address, fresh)
        before = await _there_and_back(noida.address, fresh)
        await asyncio.to_thread(noida.stop)
        await asyncio.to_thread(noida.start)
        assert await _read(noida.address, fresh, 5) == before

    run(scenario())


def test_a_killed_broker_starts_again_on_its_port(tansu: Broker) -> None:
    """A crash of the broker is a thing that tests can make."""
    tansu.stop(signal.SIGKILL)
    tansu.start()
