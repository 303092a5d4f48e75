"""Receipts that came to another worker than the one that asked for them.

A carrier gives a receipt to any bind of the account. Whose book does not know its id writes it to the topic
of receipts, acknowledges it when the brokers have it, and parks it: the answer with its id may be still to
come. Every worker reads that topic, and settles what it knows; the rest it parks, too, for the same reason.
Who takes an index over reads it again from shortly before its owner had come to.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from dispatcher._ext.events import read_events
from dispatcher._ext.places import about_messages
from dispatcher.errors import StoreError
from dispatcher.kafka.client import Access
from dispatcher.kafka.outbox import AGAIN_S, said
from dispatcher.model import Event
from dispatcher.pipeline import Pipeline
from dispatcher.store.journal import Row
from dispatcher.store.records import EVENTS_STREAM
from dispatcher.worker.wire import STRAYS, read_head

log = logging.getLogger("dispatcher.worker")

POLL_MS: Final = 200
POLL_MAX: Final = 50
"""Records, each of up to some hundred receipts, in one turn."""
EARLY_MS: Final = 60_000
"""A receipt comes so much earlier than the answer with its id, at most."""
_INTERMEDIATE: Final = 0x100


class Strays:
    """Reads the topic of receipts, from `start` until `stop`."""

    def __init__(self, access: Access, topic: str, pipeline: Pipeline, carrier: Callable[[str], int]) -> None:
        self.matched = 0
        """Receipts of others that were about messages of ours."""
        self.seen = 0
        self.read_ms = 0
        """What was written before this time was looked at."""
        self._access = access
        self._topic = topic
        self._pipeline = pipeline
        self._carrier = carrier
        self._consumer: AIOKafkaConsumer | None = None
        self._rewind_ms = -1

    def __repr__(self) -> str:
        return f"<Strays: {self.seen} seen, {self.matched} of them ours>"

    async def start(self) -> None:
        """Reach the brokers, and begin at the end. KafkaError: they cannot be reached."""
        consumer = self._access.consumer(None, begin="latest")
        await consumer.start()
        cluster = await consumer._client.fetch_all_metadata()
        partitions = [TopicPartition(self._topic, each) for each in cluster.partitions_for_topic(self._topic)]
        consumer.assign(partitions)
        await consumer.seek_to_end(*partitions)
        for each in partitions:
            await consumer.position(each)
        self.read_ms = time.time_ns() // 1_000_000
        self._consumer = consumer

    async def stop(self) -> None:
        """Let go of the connections."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    def rewind(self, read_ms: int) -> None:
        """Read again what came after shortly before a time."""
        at_ms = max(0, read_ms - EARLY_MS)
        self._rewind_ms = at_ms if self._rewind_ms < 0 else min(at_ms, self._rewind_ms)

    async def run(self) -> None:
        """Read, for ever."""
        while True:
            try:
                await self._turn()
            except KafkaError as error:
                log.error("cannot read %s: %s; it is tried again", self._topic, said(error))
                await asyncio.sleep(AGAIN_S)

    async def _turn(self) -> None:
        consumer = self._consumer
        assert consumer is not None
        if self._rewind_ms >= 0:
            at_ms = self._rewind_ms
            found = await consumer.offsets_for_times(dict.fromkeys(consumer.assignment(), at_ms))
            for partition, at in found.items():
                if at is not None:
                    consumer.seek(partition, at.offset)
            self._rewind_ms = -1
        asked_ms = time.time_ns() // 1_000_000
        polled = await consumer.getmany(timeout_ms=POLL_MS, max_records=POLL_MAX)
        if not polled:
            self.read_ms = asked_ms
        for records in polled.values():
            for each in records:
                self._settle(each)
            self.read_ms = max(self.read_ms, records[-1].timestamp)
        if polled:
            await self._pipeline.committed()

    def _settle(self, record: Any) -> None:
        """Bring one record's receipts into the book; those that it does not know are parked without an
        event."""
        pipeline = self._pipeline
        try:
            kind, head = read_head(record.headers)
            events = read_events(record.value, Event) if kind == STRAYS else []
        except StoreError as error:
            log.error("%s %d %d: %s", record.topic, record.partition, record.offset, error)
            return
        pipeline.flush()  # what happened before is not to be mixed with it
        now_ms = pipeline.now_ms()
        for event in events:
            name = head.carriers.get(event.carrier)
            key, _, err = event.tail.partition(b"\0")
            if name is None or not key:
                continue
            self.seen += 1
            self.matched += pipeline.book.settle(
                self._carrier(name), key, event.code & 0xFF, err, now_ms, bool(event.code & _INTERMEDIATE)
            )
        count, body = about_messages(pipeline.events.take()[1])
        if count:
            pipeline.journal.append([Row(EVENTS_STREAM, 0, 0, count, body)], _nothing)


def _nothing(error: Exception | None) -> None:
    """Nobody waits; a receipt that was not written is read again by whoever has its message."""
