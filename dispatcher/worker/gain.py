"""What is done when indices become ours: their marks, their events, their messages, in this order; see
takeover.py."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Final, Protocol

from aiokafka import TopicPartition

from dispatcher.ingest.kafka_records import Reading
from dispatcher.worker.group import Group
from dispatcher.worker.history import History
from dispatcher.worker.journal import SharedJournal
from dispatcher.worker.outcomes import Teller
from dispatcher.worker.state import IndexState
from dispatcher.worker.strays import Strays
from dispatcher.worker.takeover import Rebuild
from dispatcher.worker.taking import Taking
from dispatcher.worker.wire import place_of

log = logging.getLogger("dispatcher.worker")

Spans = dict[TopicPartition, tuple[int, int]]
_MS: Final = 1000


class Worker(Protocol):
    """Of a worker, what is needed here."""

    group: Group
    taking: Taking
    teller: Teller
    fences: dict[int, int]

    @property
    def journal(self) -> SharedJournal:
        """The journal of its dispatcher."""


class Gains:
    """Takes indices over."""

    def __init__(
        self,
        worker: Worker,
        history: History,
        rebuild: Rebuild,
        readings: Mapping[str, Reading],
        strays: Strays,
        begins_late: bool,
    ) -> None:
        self._worker = worker
        self._history = history
        self._rebuild = rebuild
        self._readings = readings
        self._strays = strays
        self._begins_late = begins_late

    async def take(self, gained: set[int]) -> None:
        """Take over, and read on. It may be cancelled; then what was brought here is to be forgotten."""
        clock = asyncio.get_running_loop().time
        began_s = clock()
        group = self._worker.group
        events = {index: TopicPartition(group.events, index) for index in gained}
        starts = {index: await group.consumer.committed(each) for index, each in events.items()}
        classes = {each: await self._first(each) for index in gained for each in group.partitions_of(index)}
        states = await self._history.take(starts, self._worker.journal.carrier)
        for state in states.values():
            await self._bring(state, classes)
        if stamps := [state.strays_ms for state in states.values() if state.messages]:
            self._strays.rewind(min(stamps))
        doubtful, again = await self._rebuild.take_up()
        for index in gained:
            partitions = group.partitions_of(index)
            known = self._known(states[index], partitions)
            group.own(index, {each: classes[each] for each in partitions}, known)
        held = sum(len(state.in_hand()) for state in states.values())
        log.info(
            "indices %s taken over in %d ms: %d messages in hand, %d segments in doubt, %d to be tried again",
            sorted(gained), int((clock() - began_s) * _MS), held, doubtful, again,
            extra={"event": "worker_took_over", "messages": held},
        )  # fmt: skip

    async def _bring(self, state: IndexState, classes: Mapping[TopicPartition, int]) -> None:
        worker = self._worker
        worker.fences[state.index] = state.fence
        worker.teller.told[state.index] = state.told
        worker.taking.ended[state.index] = {place for place in state.messages if state.has_ended(place)}
        await self._rebuild.carried(state)
        async for records in self._history.records(self._spans(state, classes)):
            await self._rebuild.again(state, records, self._readings[records[0].topic])

    def _spans(self, state: IndexState, classes: Mapping[TopicPartition, int]) -> Spans:
        """Return where the records are that have to be read again."""
        last: dict[int, int] = {}
        for number, its in state.in_hand().items():
            if its.carried is None:
                place = place_of(number, state.index)
                last[place.traffic_class] = max(last.get(place.traffic_class, 0), place.offset + 1)
        return {
            each: (classes[each], last[traffic_class])
            for each in self._worker.group.partitions_of(state.index)
            if (traffic_class := int(self._readings[each.topic].traffic_class or 0)) in last
        }

    def _known(self, state: IndexState, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Return behind which record nothing is known."""
        last: dict[int, int] = {}
        for number in state.messages:
            place = place_of(number, state.index)
            last[place.traffic_class] = max(last.get(place.traffic_class, 0), place.offset + 1)
        return {
            each: last[traffic_class]
            for each in partitions
            if (traffic_class := int(self._readings[each.topic].traffic_class or 0)) in last
        }

    async def _first(self, partition: TopicPartition) -> int:
        """Return where to begin with a class: at what was committed, else as the configuration says."""
        consumer = self._worker.group.consumer
        found: int | None = await consumer.committed(partition)
        if found is None:
            ask = consumer.end_offsets if self._begins_late else consumer.beginning_offsets
            found = (await ask([partition]))[partition]
        return found
