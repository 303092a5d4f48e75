"""Outcomes of a worker's messages to their topic: after their events are the brokers', and before they are
let go.

Law: no outcome is missing, whatever crashes. How far was told stands in the events themselves
(wire.Head.told), a checkpoint waits for it, and who takes over tells again what is behind it. Each has an id
made of its message's and its kind, the same at every worker, so that a reader knows it when it is told twice.
"""

import asyncio
from collections import deque
from typing import Final, NamedTuple

from msgspec import structs

from dispatcher._ext.events import pick_events
from dispatcher.api import Cursor, EventOut, event_out
from dispatcher.faces_kafka import Kafka
from dispatcher.feed import Feed
from dispatcher.kafka.outbox import Outbox, Record
from dispatcher.model import Event, EventKind
from dispatcher.outcomes.kafka import record_maker

SLICE: Final = 1_000
"""Told at a time: two milliseconds of a turn."""
PENDING_MAX: Final = 50_000
"""Events that wait to be told; beyond it nothing is taken any more: the brokers are slow."""
_ENDS: Final = (EventKind.FINISHED, EventKind.CORRECTED)
_NOWHERE: Final[Cursor] = (0, 0)


class _Round(NamedTuple):
    number: int
    offsets: dict[int, int]
    events: list[Event]


class Teller:
    """Tells, from `run` until it is cancelled."""

    def __init__(self, kafka: Kafka, feed: Feed, outbox: Outbox) -> None:
        self.rounds = 0
        """All of these and before were told."""
        self.told: dict[int, int] = {}
        """The same as offsets, by index."""
        self.frozen: set[int] = set()
        """Indices that are being taken over: what was not told before is still to come."""
        self.written = 0
        self.topic = kafka.topics.outcomes
        self._mask = sum({1 << EventKind[each.upper()] for each in kafka.events})
        self._record = record_maker(kafka)
        self._feed = feed
        self._outbox = outbox
        self._rounds: deque[_Round] = deque()
        self._waiting = 0
        self._wake = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Teller: {self.written} told, {self._waiting} wait>"

    @property
    def is_full(self) -> bool:
        """Whether too much waits to be told."""
        return self._waiting > PENDING_MAX

    def on_round(self, number: int, offsets: dict[int, int], bodies: list[bytes]) -> None:
        """Take what is durable: see SharedJournal.share."""
        events: list[Event] = []
        if self.topic is not None:
            for body in bodies:
                events += pick_events(body, Event, self._mask)[2]
        self._waiting += len(events)
        self._rounds.append(_Round(number, offsets, events))
        self._wake.set()

    async def run(self) -> None:
        """Tell, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._rounds:
                some = [self._rounds.popleft()]
                while self._rounds and sum(len(each.events) for each in some) < SLICE:
                    some.append(self._rounds.popleft())
                events = [event for each in some for event in each.events]
                for start in range(0, len(events), SLICE):
                    await self._tell(events[start : start + SLICE])
                self._waiting -= len(events)
                self.rounds = some[-1].number
                for each in some:
                    self.told.update(
                        (index, offset) for index, offset in each.offsets.items() if index not in self.frozen
                    )

    async def _tell(self, events: list[Event]) -> None:
        assert self.topic is not None
        records: list[Record] = []
        for _, event, subject in await self._feed.told([(_NOWHERE, each) for each in events]):
            told = event_out(_NOWHERE, event, subject, self._feed.carriers)
            told = structs.replace(told, id=_id_of(event, told))
            records.append(self._record(told))
        await self._outbox.insist(self.topic, records)
        self.written += len(records)


def _id_of(event: Event, told: EventOut) -> str:
    """Return an id that is the same whoever tells it."""
    kind = told.type.partition(".")[2]
    if event.kind == EventKind.FINISHED:
        return f"{told.message_id}-{kind}"
    if event.kind in _ENDS:
        return f"{told.message_id}-{kind}-{event.at_ms}"
    return f"{told.message_id}-{kind}-{event.segment}-{event.at_ms}"
