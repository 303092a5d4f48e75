"""Records out: what an outbox does where a producer fails, with a producer that fails as it is told."""

import asyncio
from collections.abc import Iterable
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, NotEnoughReplicasError, OutOfOrderSequenceNumber
from aiokafka.structs import RecordMetadata

from dispatcher.faces_kafka import Kafka
from dispatcher.kafka import outbox as rooms
from dispatcher.kafka.client import Access
from dispatcher.kafka.outbox import Outbox, Record


class Producer:
    """As much of aiokafka's as an outbox uses."""

    def __init__(self, errors: Iterable[KafkaError]) -> None:
        self.errors = list(errors)
        self.written: list[bytes] = []
        self.is_stopped = False

    async def start(self) -> None:
        """Begin."""

    async def stop(self) -> None:
        """End."""
        self.is_stopped = True

    async def partitions_for(self, topic: str) -> set[int]:
        """Return them."""
        return {0}

    def create_batch(self) -> "Batch":
        """Return an empty one."""
        return Batch()

    async def send_batch(
        self, batch: "Batch", topic: str, partition: int
    ) -> "asyncio.Future[RecordMetadata]":
        """Fail as told, else write."""
        sent = asyncio.get_running_loop().create_future()
        if self.errors:
            sent.set_exception(self.errors.pop(0))
        else:
            self.written += batch.values
            sent.set_result(RecordMetadata(topic, partition, TopicPartition(topic, partition), 0, 0, 0, 0))
        return sent


class Batch:
    """Records of one request."""

    def __init__(self) -> None:
        self.values: list[bytes] = []

    def append(self, *, value: bytes, **_: Any) -> object:
        """Take one."""
        self.values.append(value)
        return self


class Brokers:
    """An Access whose producers fail as they are told, each in its turn."""

    kafka = Kafka(brokers=("127.0.0.1:9092",))

    def __init__(self, *errors: list[KafkaError]) -> None:
        self.made: list[Producer] = []
        self._errors = list(errors)

    def producer(self) -> Producer:
        """Return the next one."""
        self.made.append(Producer(self._errors.pop(0)))
        return self.made[-1]


def insist(brokers: Brokers) -> None:
    """Write one record, however often it takes."""

    async def scenario() -> None:
        outbox = Outbox(cast(Access, brokers))
        await outbox.insist("t", [Record(b"k", b"v", [])])
        assert outbox.written == 1
        assert not outbox.is_failing

    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_a_producer_whose_numbers_are_out_of_order_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker lost what it knew of it and refuses it for ever: the next one, with new numbers, writes."""
    monkeypatch.setattr(rooms, "AGAIN_S", 0)
    brokers = Brokers([OutOfOrderSequenceNumber()] * 99, [])
    insist(brokers)
    assert [each.is_stopped for each in brokers.made] == [True, False]
    assert brokers.made[1].written == [b"v"]


def test_a_broker_in_passing_trouble_costs_no_producer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too few copies in step: the same producer tries again."""
    monkeypatch.setattr(rooms, "AGAIN_S", 0)
    brokers = Brokers([NotEnoughReplicasError(), NotEnoughReplicasError()])
    insist(brokers)
    assert [(each.is_stopped, each.written) for each in brokers.made] == [(False, [b"v"])]
