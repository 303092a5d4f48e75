"""Moving on in the topics: so that who takes over reads little, however old the oldest message is.

Law: at every moment what is committed of an index is enough to go on from: all that has not ended has its
record behind the offset of its class, and its events behind that of the events; or it was *carried*: written
again, with all that has happened to it, behind the latter.

A step, for all indices that are ours::

    at rest      (of indices that are read again after a take-over: not before that has come to its end)
                 nothing under way between us and the brokers: note the offsets that were taken of the
    classes,
                 and write a mark into the events, from where the next owner is to read
    carry        what has not ended, with its events, behind the mark
    wait         until the outcomes of all before the mark are told
    commit       the offsets of the classes, then those of the marks: a crash in between loses nothing

What waits long is carried again and again: so a step is due when there are `AMPLIFICATION` times as many
octets of new events as the last one carried. Memory holds nothing for it: events come from the projection.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from dispatcher._ext.places import Places, renumbered
from dispatcher.kafka.outbox import AGAIN_S, Outbox, Record, said
from dispatcher.model import Message
from dispatcher.worker.group import Group
from dispatcher.worker.journal import SharedJournal
from dispatcher.worker.wire import CARRIED, TAKEN, Carried, Head, Place, encode_carried, record

log = logging.getLogger("dispatcher.worker")

LOOK_S: Final = 0.5
STEP_S: Final = 2.0
"""Between two steps, at least."""
IDLE_S: Final = 60.0
"""A step is taken so often, if anything has happened, whatever it carries."""
AMPLIFICATION: Final = 4
"""Octets of events to one that is carried: a fifth of what is written, at most."""
SLICE: Final = 500
"""Messages carried in one record and one turn: 200 kB."""
RELEASE_BEHIND: Final = 4_000_000
"""Numbers whose place is remembered after their end: for corrections, and for records that come again."""

Trails = Callable[[Sequence[int]], Awaitable[dict[int, bytes]]]
"""Events of those of some messages that have not ended, by number."""
Find = Callable[[Sequence[int]], Awaitable[dict[int, Message]]]


class Checkpoints:
    """Takes steps, from `run` until it is cancelled."""

    def __init__(
        self,
        group: Group,
        journal: SharedJournal,
        places: Places,
        outbox: Outbox,
        head: Callable[[int], Head],
        trails: Trails,
        told_rounds: Callable[[], int],
        next_n: Callable[[], int],
    ) -> None:
        self.steps = 0
        self.carried = 0
        """Messages, each time that one was."""
        self._group = group
        self._journal = journal
        self._places = places
        self._outbox = outbox
        self._head = head
        self._trails = trails
        self._told_rounds = told_rounds
        self._next_n = next_n
        self._last_octets = 0
        self._stepped_s = 0.0
        self._taken: dict[TopicPartition, int] = {}
        """As of the last step."""

    def __repr__(self) -> str:
        return f"<Checkpoints: {self.steps} steps, {self.carried} messages carried>"

    async def run(self) -> None:
        """Step when it is due, for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            if self._is_due():
                try:
                    await self.step()
                except KafkaError as error:
                    log.warning("offsets were not committed: %s", said(error))
                    await asyncio.sleep(AGAIN_S)

    def _is_due(self) -> bool:
        age_s = time.monotonic() - self._stepped_s
        if not self._group.is_valid or age_s < STEP_S:
            return False
        has_moved = self._journal.since_octets > 0 or self._group.taken != self._taken
        is_worth = self._journal.since_octets >= AMPLIFICATION * self._last_octets
        return has_moved and (is_worth or age_s >= IDLE_S)

    async def step(self) -> None:
        """Take one step for all indices that are ours, unless they are taken from us meanwhile."""
        group = self._group
        begun = group.rebalances
        self._stepped_s = time.monotonic()
        noted: list[tuple[set[int], dict[TopicPartition, int], int, int]] = []

        def note() -> None:
            self._journal.since_octets = 0
            noted.append((group.whole, dict(group.taken), self._next_n(), self._journal.rounds))

        self._journal.at_rest(note)
        await self._journal.rest()
        ((indices, taken, next_n, rounds),) = noted
        if not indices:
            return
        marks = [record(TAKEN, self._head(index), b"", index) for index in sorted(indices)]
        starts = {
            each.partition: each.offset for each in await self._outbox.insist(group.events, marks)
        }  # fmt: skip
        octets = 0
        for index in sorted(indices):
            octets += await self._carry(index, next_n)
        while self._told_rounds() < rounds:
            await asyncio.sleep(LOOK_S / 10)
        if group.rebalances != begun or not group.is_valid:
            return
        await group.commit({each: offset for each, offset in taken.items() if each.partition in indices})
        await group.commit({TopicPartition(group.events, index): start for index, start in starts.items()})
        self._last_octets, self._taken = octets, taken
        self.steps += 1
        self._places.release(max(1, next_n - RELEASE_BEHIND))

    async def _carry(self, index: int, below_n: int) -> int:
        """Write again what has not ended; return how many octets that were."""
        octets = 0
        live = self._places.live(index, below_n)
        for start in range(0, len(live), SLICE):
            numbers = live[start : start + SLICE]
            trails = await self._trails(numbers)
            messages = await self._journal.find(list(trails))
            some = list(self._carried(messages, trails))
            if some:
                value = encode_carried(some)
                octets += len(value)
                self.carried += len(some)
                await self._outbox.insist(self._group.events, [self._record(value, index)])
        return octets

    def _carried(self, messages: dict[int, Message], trails: dict[int, bytes]) -> Iterator[Carried]:
        for n, message in messages.items():
            if (at := self._places.of(n)) is not None and self._places.has(n):
                place = Place(*at).number
                yield Carried(place, message, renumbered(trails[n], place))

    def _record(self, value: bytes, index: int) -> Record:
        return record(CARRIED, self._head(index), value, index)
