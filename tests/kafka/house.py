"""A daemon with Kafka: topics of a test's own, records in, records out."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from dispatcher.config import from_dict
from dispatcher.faces_kafka import Kafka
from dispatcher.kafka.client import access_of
from dispatcher.kafka.topics import create, wanted
from dispatcher.simulator import Simulator
from tests.integration.serving import Served, data_for
from tests.kafka.brokers import BOOTSTRAP

CLASSES = ("authorization", "transactional", "service", "marketing")
Headers = Sequence[tuple[str, bytes]]


def kafka_table(address: str, fresh: str, **more: Any) -> dict[str, Any]:
    """Return the section [kafka] for topics of a test's own on one broker, which is unsafe."""
    topics = {name: f"{fresh}.{name}" for name in (*CLASSES, "outcomes", "dead_letters")}
    return {
        "brokers": [address],
        "group": fresh,
        "topics": topics | more.pop("topics", {}),
        "idempotent": bool(BOOTSTRAP),  # Tansu cannot
        "allow_unsafe": True,
        "replication": 1,
        "min_replication": 1,
        "partitions": 3,
        "session_ms": 6_000,
        **more,
    }


def data_with(folder: Path, smsc: Simulator, kafka: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return the configuration of a daemon with one carrier and Kafka."""
    return data_for(folder, smsc, kafka=dict(kafka), **more)


def settings(table: Mapping[str, Any]) -> Kafka:
    """Return the section as a value."""
    carrier = {"host": "127.0.0.1", "port": 1, "system_id": "bank"}
    data = {"store": "s", "carriers": {"c": carrier}, "routes": [{"carriers": ["c"]}], "kafka": table}
    found = from_dict(data).kafka
    assert found is not None
    return found


async def make_topics(table: Mapping[str, Any]) -> None:
    """Make them as `dispatcher kafka init` does."""
    kafka = settings(table)
    admin = access_of(kafka, Path()).admin()
    await admin.start()
    try:
        made = await create(admin, wanted(kafka))
    finally:
        await admin.close()
    assert set(made.values()) <= {"made", "there"}, made


def message(number: int, **more: Any) -> dict[str, Any]:
    """Return a message whose text ends with the token t<number>, and whose client_ref is r<number>."""
    return {
        "to": f"+7900{number:07d}",
        "text": f"Your code is 4711 t{number}",
        "sender": "Bank",
        "client_ref": f"r{number}",
        **more,
    }


async def produce(
    address: str, topic: str, values: Iterable[Any], headers: Headers = (), *, is_raw: bool = False
) -> None:
    """Write messages as JSON, keyed by their destination; `is_raw`: octets as they are, without a key."""
    async with AIOKafkaProducer(bootstrap_servers=address, acks="all", linger_ms=2) as producer:
        sent = []
        for value in values:
            octets = value if is_raw else msgspec.json.encode(value)
            key = None if is_raw else value["to"].encode()
            sent.append(await producer.send(topic, octets, key=key, headers=list(headers)))
        await asyncio.gather(*sent)


async def records_of(address: str, topic: str, count: int, limit_s: float = 30.0) -> list[Any]:
    """Return all records of a topic, as soon as there are so many."""
    return await _read(address, topic, lambda found: len(found) >= count, limit_s)


async def outcomes_of(address: str, topic: str, count: int, limit_s: float = 30.0) -> list[dict[str, Any]]:
    """Return what was told of ends, as soon as so many different messages have ended."""
    seen: set[str] = set()
    told: list[dict[str, Any]] = []

    def is_enough(found: list[Any]) -> bool:
        new = [msgspec.json.decode(record.value) for record in found[len(told) :]]
        told.extend(new)
        seen.update(each["message_id"] for each in new)
        return len(seen) >= count

    await _read(address, topic, is_enough, limit_s)
    return told


async def _read(
    address: str, topic: str, is_enough: Callable[[list[Any]], bool], limit_s: float
) -> list[Any]:
    found: list[Any] = []
    consumer = AIOKafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest", group_id=None)
    await consumer.start()
    try:
        cluster = await consumer._client.fetch_all_metadata()
        consumer.assign([TopicPartition(topic, each) for each in cluster.partitions_for_topic(topic)])
        end_s = asyncio.get_running_loop().time() + limit_s
        while not is_enough(found):
            assert asyncio.get_running_loop().time() < end_s, f"only {len(found)} records in {topic}"
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found += records
        for records in (await consumer.getmany(timeout_ms=200)).values():  # more than were waited for
            found += records
        is_enough(found)
    finally:
        await consumer.stop()
    return found


def headers_of(record: Any) -> dict[str, str]:
    """Return the headers of a record as texts."""
    return {name: value.decode() for name, value in record.headers}


async def committed(address: str, group: str, topic: str) -> int:
    """Return the sum of what a group has committed of a topic."""
    async with AIOKafkaConsumer(
        bootstrap_servers=address, group_id=group, enable_auto_commit=False
    ) as consumer:
        cluster = await consumer._client.fetch_all_metadata()
        partitions = cluster.partitions_for_topic(topic)
        offsets = [await consumer.committed(TopicPartition(topic, each)) for each in partitions]
    return sum(each or 0 for each in offsets)


async def ask(daemon: Served, path: str) -> str:
    """Return what the admin port answers."""
    port = int((await daemon.says("admin_port"))["msg"].rpartition(":")[2])
    async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{port}{path}") as answer:
        return await answer.text()
