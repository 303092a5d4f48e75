"""Records to messages: polled class by class, codes first, admitted, and in the queues of their carriers.

Law: a partition's place moves when everything before it is a message of ours or a dead letter. What is
refused for now waits, and its partition with it; the other classes go on. A class of which enough waits is
not polled: its topic is the queue, and what was taken of it is little.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from dispatcher._ext.keys import key_hash
from dispatcher._ext.places import Places
from dispatcher.errors import OverloadedError
from dispatcher.ingest.kafka_records import Asked, Reading, dead_letter, is_late, read
from dispatcher.kafka.outbox import AGAIN_S, Outbox, said
from dispatcher.model import Message, Refused, SendRequest, TrafficClass
from dispatcher.pipeline import Pipeline
from dispatcher.worker.group import Group
from dispatcher.worker.identity import given_of
from dispatcher.worker.wire import Place

log = logging.getLogger("dispatcher.worker")

POLL_MS: Final = 100
ENOUGH: Final = 5_000
"""Messages of a class that wait in queues: seconds of most carriers. What is taken and not sent is carried
along, and brought back by whoever takes over."""
LATER_S: Final = 0.25
"""Before what was refused for now is asked again."""


class Taking:
    """Takes what stands in the partitions of our indices, from `run` until it is cancelled."""

    def __init__(
        self,
        group: Group,
        pipeline: Pipeline,
        places: Places,
        readings: dict[str, Reading],
        letters: Outbox,
        dead_topic: str,
        poll_max: int,
        ttl_ms: Callable[[TrafficClass], int],
        note: Callable[[Message, Place], None],
        is_full: Callable[[], bool],
    ) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        """By topic and what became of its records: accepted, repeated, dead."""
        self.idle = asyncio.Event()
        """Nothing polled is under way."""
        self.idle.set()
        self._group = group
        self._pipeline = pipeline
        self._places = places
        self._readings = readings
        self._letters = letters
        self._dead_topic = dead_topic
        self._poll_max = poll_max
        self._ttl_ms = ttl_ms
        self._note = note
        self._is_full = is_full
        self.ended: dict[int, set[int]] = {}
        """By index, places that are read again and have ended."""
        self._begun = 0
        """Rebalances before what was polled last."""
        self._held: dict[TopicPartition, tuple[float, list[Any]]] = {}
        """What was polled and is to be asked again, and when."""

    def __repr__(self) -> str:
        return f"<Taking: {self.counts.total()} records>"

    def forget(self, index: int) -> None:
        """An index is another's from now on."""
        self.ended.pop(index, None)
        for each in [each for each in self._held if each.partition == index]:
            del self._held[each]

    async def run(self) -> None:
        """Poll and take, for ever."""
        while True:
            try:
                if not await self._turn():
                    await asyncio.sleep(0.01)
            except (KafkaError, IllegalStateError) as error:
                log.error("cannot poll: %s; it is tried again", said(error))
                await asyncio.sleep(AGAIN_S)

    async def _turn(self) -> bool:
        """Take a batch of the most urgent class that has one; return whether there was any."""
        group = self._group
        if not group.is_valid or self._pipeline.is_closing or self._is_full():
            return False
        now_s, self._begun = time.monotonic(), group.rebalances
        wanted: list[TopicPartition] = []
        for topic in group.classes:
            reading = self._readings[topic]
            if self._has_enough(reading.traffic_class):
                continue
            mine = [TopicPartition(topic, index) for index in group.owned]
            for each in mine:
                if each in self._held and self._held[each][0] <= now_s:
                    _, records = self._held.pop(each)
                    await self._take(each, records)
                    return True
            free = [each for each in mine if each not in self._held]
            wanted += free
            if free and (polled := await group.consumer.getmany(*free, max_records=self._poll_max)):
                await self._take_all(polled)
                return True
        if wanted and (
            polled := await group.consumer.getmany(*wanted, timeout_ms=POLL_MS, max_records=self._poll_max)
        ):
            await self._take_all(polled)
            return True
        return False

    async def _take_all(self, polled: dict[TopicPartition, list[Any]]) -> None:
        order = self._group.classes.index
        for each in sorted(polled, key=lambda partition: order(partition.topic)):
            await self._take(each, polled[each])

    def _has_enough(self, traffic_class: TrafficClass | None) -> bool:
        assert traffic_class is not None
        waiting = sum(lane.queues[traffic_class].messages for lane in self._pipeline.lanes.values())
        return waiting >= ENOUGH

    async def _take(self, partition: TopicPartition, records: list[Any]) -> None:
        """Take records of one partition."""
        group = self._group
        if group.is_held or partition.partition not in group.owned:
            return  # they are read again by whoever has them
        if group.rebalances != self._begun:  # what was polled may not be what comes next any more
            group.consumer.seek(partition, group.taken[partition])
            return
        records = [each for each in records if each.offset >= group.taken[partition]]
        if not records:
            return
        self.idle.clear()
        try:
            again = await self._admit(partition, records)
        finally:
            self.idle.set()
        if partition.partition not in group.owned:
            return
        if again:
            group.known[partition] = max(group.known.get(partition, 0), records[-1].offset + 1)
            self._held[partition] = (time.monotonic() + LATER_S, again)
        else:
            self._held.pop(partition, None)

    async def _admit(self, partition: TopicPartition, records: list[Any]) -> list[Any]:
        """Bring records into the pipeline; return those from the first that is to be asked again."""
        reading = self._readings[partition.topic]
        traffic_class = int(reading.traffic_class or 0)
        pipeline, admission = self._pipeline, self._pipeline.admission
        now_ms = pipeline.now_ms()
        dead: list[tuple[Any, Refused]] = []
        requests: list[SendRequest] = []
        at: list[int] = []
        given: list[tuple[bytes, int, int]] = []
        ended = self.ended.get(partition.partition, ())
        for number, record in enumerate(records):
            if ended and Place(partition.partition, traffic_class, record.offset).number in ended:
                continue
            asked = self._read(record, reading, now_ms)
            if isinstance(asked, Refused):
                dead.append((record, asked))
                continue
            place = Place(partition.partition, traffic_class, record.offset)
            self._make_way(asked, place)
            requests.append(asked)
            at.append(number)
            given.append((*given_of(record, place), -1))
        batch = admission.admit(requests, now_ms, pipeline.closed(), given)
        end = len(records)
        for number, verdict in zip(at, batch.verdicts, strict=True):
            if isinstance(verdict, Refused):
                if verdict.retry_after_ms:
                    end = min(end, number)
                else:
                    dead.append((records[number], verdict))
        for place_in_batch, message in zip(batch.places, batch.messages, strict=True):
            record = records[at[place_in_batch]]
            place = Place(partition.partition, traffic_class, record.offset)
            self._places.put(message.n, place.index, place.traffic_class, place.offset)
            self._note(message, place)
        topic = partition.topic
        if end:
            before = records[end - 1].offset
            await self._bury(topic, [each for each in dead if each[0].offset <= before])
        if batch.messages:
            try:
                await pipeline.write(batch, now_ms)
            except OverloadedError as error:
                first = at[batch.places[0]]
                admission.take_back(batch, "overloaded", str(error), error.retry_after_ms)
                end = min(end, first)
        # Nothing waits from here on: a checkpoint finds the place of these together with their events.
        if partition.partition in self._group.owned and not self._group.is_held:
            last = records[end].offset if end < len(records) else records[-1].offset + 1
            self._group.taken[partition] = last
        self.counts[topic, "accepted"] += len(batch.messages)
        self.counts[topic, "repeated"] += len(batch.repeats)
        return records[end:]

    def _read(self, record: Any, reading: Reading, now_ms: int) -> Asked:
        asked = read(record, reading)
        if isinstance(asked, Refused) or self._pipeline.admission.is_known(asked):
            return asked
        if is_late(record, asked, self._ttl_ms(asked.traffic_class), now_ms):
            detail = "it waited in its topic for longer than it is worth sending"
            return Refused("expired", detail, "", asked.client_ref)
        return asked

    def _make_way(self, asked: SendRequest, place: Place) -> None:
        """Let a record in that we know from when its index was ours before: it is no repetition of itself."""
        key = asked.client_ref if asked.idempotency_key is None else asked.idempotency_key
        keys = self._pipeline.admission.keys
        if key is not None and (known := keys.get(hashed := key_hash(key, asked.source))) is not None:
            at = self._places.of(known[0])
            if at == (place.index, place.traffic_class, place.offset) and not self._places.has(known[0]):
                keys.drop(hashed, known[0])

    async def _bury(self, topic: str, dead: list[tuple[Any, Refused]]) -> None:
        if dead:
            await self._letters.insist(self._dead_topic, [dead_letter(*each) for each in dead])
            self.counts[topic, "dead"] += len(dead)
