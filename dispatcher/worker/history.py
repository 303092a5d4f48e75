"""Reading what stands in topics from one offset to another, beside the group: for who takes an index over."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from dispatcher.errors import StoreError
from dispatcher.kafka.client import Access
from dispatcher.kafka.outbox import Outbox
from dispatcher.worker.state import IndexState
from dispatcher.worker.wire import TAKEN, VERSION, Head, read_head, record

log = logging.getLogger("dispatcher.worker")

POLL_MS: Final = 200
READ_MAX: Final = 2_000
"""Records in one turn of the loop."""
STUCK_S: Final = 30.0
"""Without a record where some must be: the rest was deleted under us, or a transaction's marks fill it."""


class History:
    """One consumer that belongs to no group."""

    def __init__(self, access: Access, events: str, outbox: Outbox, worker: str) -> None:
        self._access = access
        self._events = events
        self._outbox = outbox
        self._worker = worker
        self._consumer: AIOKafkaConsumer | None = None
        self._busy = asyncio.Lock()

    async def start(self) -> None:
        """Reach the brokers. KafkaError: they cannot be reached."""
        self._consumer = self._access.consumer(None)
        await self._consumer.start()

    async def stop(self) -> None:
        """Let go of the connections."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def take(
        self, starts: Mapping[int, int | None], carrier: Callable[[str], int]
    ) -> dict[int, IndexState]:
        """Make indices ours: leave a mark in each that grows its fence, and read what stands before it.

        `starts`: by index, where to begin; None: at the beginning. `carrier` returns the number of a name.
        """
        states = {index: IndexState(index) for index in starts}
        async with self._busy:
            at = {TopicPartition(self._events, index): start for index, start in starts.items()}
            tails = await self._ends(list(at))
            await self._gather(await self._from(at, tails), states, carrier)
            marks = dict(tails)
            todo = set(starts)
            while todo:
                records = [
                    record(TAKEN, Head(VERSION, self._worker, states[index].fence + 1), b"", index)
                    for index in todo
                ]
                fences = {index: states[index].fence + 1 for index in todo}
                at = {}
                for written in await self._outbox.insist(self._events, records):
                    partition = TopicPartition(self._events, written.partition)
                    at[partition] = marks[partition]
                    marks[partition] = written.offset + 1
                owners = await self._gather(await self._from(at, marks), states, carrier)
                todo = {index for index in todo if owners.get(index) != (fences[index], self._worker)}
        return states

    async def records(self, spans: Mapping[TopicPartition, tuple[int, int]]) -> AsyncIterator[list[Any]]:
        """Yield the records of partitions from an offset to below another, some at a time."""
        async with self._busy:
            found = await self._from(
                {each: first for each, (first, _) in spans.items()},
                {each: last for each, (_, last) in spans.items()},
            )
            async for records in self._read(found):
                yield records

    # ---- inside ----

    async def _gather(
        self,
        spans: dict[TopicPartition, tuple[int, int]],
        states: dict[int, IndexState],
        carrier: Callable[[str], int],
    ) -> dict[int, tuple[int, str]]:
        """Take what stands there into states; return by index the last (fence, worker) that came to count."""
        owners: dict[int, tuple[int, str]] = {}
        async for records in self._read(spans):
            for each in records:
                state = states[each.partition]
                try:
                    kind, head = read_head(each.headers)
                    carriers = {number: carrier(name) for number, name in head.carriers.items()}
                    if kind == TAKEN and head.fence > state.fence:
                        owners[each.partition] = (head.fence, head.worker)
                    state.take(kind, head, each.value or b"", each.offset, carriers)
                except StoreError as error:
                    log.error("%s %d %d: %s", each.topic, each.partition, each.offset, error)
        return owners

    async def _ends(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        assert self._consumer is not None
        if not partitions:
            return {}
        self._consumer.assign(partitions)
        found: dict[TopicPartition, int] = await self._consumer.end_offsets(partitions)
        return found

    async def _from(
        self, starts: Mapping[TopicPartition, int | None], ends: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, tuple[int, int]]:
        """Return what is there of these spans."""
        assert self._consumer is not None
        if not starts:
            return {}
        self._consumer.assign(list(starts))
        begins = await self._consumer.beginning_offsets(list(starts))
        spans = {}
        for each, start in starts.items():
            first = begins[each] if start is None else max(start, begins[each])
            if start is not None and first > start:
                log.error("%s %d: %d to %d are kept no longer", each.topic, each.partition, start, first)
            if first < ends[each]:
                spans[each] = first, ends[each]
        return spans

    async def _read(self, spans: dict[TopicPartition, tuple[int, int]]) -> AsyncIterator[list[Any]]:
        consumer = self._consumer
        assert consumer is not None
        if not spans:
            return
        consumer.assign(list(spans))
        for each, (first, _) in spans.items():
            consumer.seek(each, first)
        left = {each: last for each, (_, last) in spans.items()}
        clock = asyncio.get_running_loop().time
        heard_s = clock()
        while left:
            polled = await consumer.getmany(timeout_ms=POLL_MS, max_records=READ_MAX)
            for each, records in polled.items():
                if each in left and (some := [one for one in records if one.offset < left[each]]):
                    yield some
            if polled:
                heard_s = clock()
            for each in list(left):
                if await consumer.position(each) >= left[each] or clock() - heard_s > STUCK_S:
                    del left[each]
                    consumer.pause(each)
