"""Which indices are ours: one consumer in one group, whose partitions of one number go to one worker.

An *index* is the number of a partition: that of the topic of each class, and of the events about their
messages. All these topics have as many partitions, and Kafka's range assignor gives partition i of each to
the same worker.

aiokafka knows eager rebalances only: all is taken from everybody, then given. So while a group agrees nothing
is claimed or written, and what is still ours afterwards goes on untouched; what is not is forgotten, without
an event; what is new is taken over. Binds stay.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from dispatcher.kafka.client import Access
from dispatcher.kafka.outbox import AGAIN_S, STOP_S, said
from dispatcher.kafka.tasks import begin
from dispatcher.worker.lease import Lease

log = logging.getLogger("dispatcher.worker")

SETTLE_S: Final = 1.0
"""For answers that are under way when a rebalance begins: most carriers answer within it."""


class Group(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka wants this class
    """Our membership. `classes`: topics of classes, most urgent first.

    Parameters:
        settle: called before indices may be taken from us; it stops what is under way.
        lose: told of indices that are not ours any more.
        gain: takes indices over; it may be cancelled.
        held: whether the group is agreeing is asked of `is_held`.
    """

    def __init__(
        self,
        access: Access,
        classes: Sequence[str],
        events: str,
        settle: Callable[[], Awaitable[None]],
        changed: Callable[[set[int], set[int]], None],
        gain: Callable[[set[int]], Awaitable[None]],
    ) -> None:
        self.lease = Lease(access.kafka.session_ms)
        self.classes = tuple(classes)
        self.events = events
        self.indices: set[int] = set()
        """That the group gave us; those of them that are not taken over yet are not `owned`."""
        self.owned: set[int] = set()
        self.is_held = True
        """The group is agreeing, or we are in none."""
        self._is_shut = True
        """The same, and what was under way had its time to be written."""
        self._member = ("", -1)
        self._asked_ns = 0
        """When we last asked to join."""
        self.is_failing = False
        self.rebalances = 0
        self.joined = asyncio.Event()
        """The indices that we were given are ours."""
        self.partitions = 0
        """Of each topic."""
        self.consumer: AIOKafkaConsumer
        self.taken: dict[TopicPartition, int] = {}
        """Of each partition of ours, the first offset that was not taken."""
        self.known: dict[TopicPartition, int] = {}
        """Of some, behind the last record that something is known of already: it may have ended."""
        self._access = access
        self._settle = settle
        self._changed = changed
        self._gain = gain
        self._taking_over: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        held = ", held" if self.is_held else ""
        return f"<Group: {len(self.owned)} of {len(self.indices)} indices{held}>"

    @property
    def is_valid(self) -> bool:
        """Whether what we own is ours beyond doubt."""
        return not self.is_held and self.lease.is_valid(time.monotonic_ns())

    @property
    def may_write(self) -> bool:
        """Whether what we write counts: a little longer than we may send."""
        return not self._is_shut and self.lease.is_valid(time.monotonic_ns())

    async def start(self) -> None:
        """Join. KafkaError: the brokers cannot be reached."""
        kafka = self._access.kafka
        self.consumer = self._access.consumer(kafka.group, begin=kafka.begin)
        await self.consumer.start()
        cluster = await self.consumer._client.fetch_all_metadata()
        self.partitions = len(cluster.partitions_for_topic(self.events) or ())
        self.consumer.subscribe([*self.classes, self.events], listener=self)
        self._listen_to_heartbeats()

    async def stop(self) -> None:
        """Leave, so that others take over at once."""
        self.is_held = self._is_shut = True
        if self._taking_over is not None:
            self._taking_over.cancel()
            await asyncio.gather(self._taking_over, return_exceptions=True)
        stopping = begin(self.consumer.stop(), "end of the group")
        await asyncio.wait([stopping], timeout=STOP_S)

    def partitions_of(self, index: int) -> list[TopicPartition]:
        """Return the partitions of the classes that belong to an index."""
        return [TopicPartition(topic, index) for topic in self.classes]

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        """Commit what is ours still. KafkaError: it is not, or no broker is there."""
        ours = {each: offset for each, offset in offsets.items() if each in self.consumer.assignment()}
        if ours:
            await self.consumer.commit(ours)

    @property
    def whole(self) -> set[int]:
        """Indices of ours of which nothing is known behind what was taken: there a checkpoint may begin. What
        ended before it and stands behind it would be sent again by whoever takes over."""
        behind = {each.partition for each, offset in self.known.items() if self.taken.get(each, 0) < offset}
        return self.owned - behind

    def own(self, index: int, taken: dict[TopicPartition, int], known: dict[TopicPartition, int]) -> None:
        """An index is taken over: read on behind what was taken."""
        self.known.update(known)
        for each, offset in taken.items():
            self.consumer.seek(each, offset)
            self.consumer.resume(each)
        self.taken.update(taken)
        self.owned.add(index)

    # ---- what the consumer tells ----

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Stop, and let what is under way come to its end."""
        self.is_held = True
        self.rebalances += 1
        if self._taking_over is not None:
            self._taking_over.cancel()
            await asyncio.gather(self._taking_over, return_exceptions=True)
            self._taking_over = None
        with suppress(TimeoutError):
            async with asyncio.timeout(min(SETTLE_S, self._access.kafka.session_ms / 2000)):
                await self._settle()
        self._is_shut = True
        self._asked_ns = time.monotonic_ns()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Go on with what is still ours, forget what is not, take over what is new."""
        given = set(assigned)
        indices = {
            each.partition for each in given
            if {*self.partitions_of(each.partition), TopicPartition(self.events, each.partition)} <= given
        }  # fmt: skip
        if strange := {each.partition for each in given} - indices:
            log.error("partitions %s were not given as a whole: topics differ in number", sorted(strange))
        kept = self.owned & indices if self._is_continuous() else set()
        lost = self.owned - kept
        for each in given:
            if each.partition in kept and each.topic != self.events:
                self.consumer.seek(each, self.taken[each])
            else:
                self.consumer.pause(each)
        self.owned, self.indices = kept, indices
        self.taken = {each: offset for each, offset in self.taken.items() if each.partition in kept}
        self.known = {each: offset for each, offset in self.known.items() if each.partition in kept}
        self.lease.renew(self._asked_ns)
        self._changed(lost, indices)
        self.is_held = self._is_shut = False
        log.info(
            "indices %s are ours, %d of them new", sorted(indices), len(indices - kept),
            extra={"event": "worker_assigned", "indices": len(indices), "gained": len(indices - kept),
                   "lost": len(lost)},
        )  # fmt: skip
        self._asking = begin(self._ask(), "first heartbeat")  # aiokafka waits a quarter of a session for it
        self._taking_over = begin(self._take_over(indices - kept), "take-over")

    async def _ask(self) -> None:
        with suppress(KafkaError):
            await self.consumer._coordinator._do_heartbeat()

    def _is_continuous(self) -> bool:
        """Whether nobody can have had our indices since we were given them: we were in every generation."""
        coordinator = self.consumer._coordinator
        (member, generation), self._member = self._member, (coordinator.member_id, coordinator.generation)
        return self._member[0] == member and self._member[1] <= generation + 1

    async def _take_over(self, gained: set[int]) -> None:
        while gained:
            try:
                await self._gain(gained)
                break
            except (KafkaError, OSError) as error:
                log.error("cannot take over: %s; it is tried again", said(error))
            except Exception:  # whatever it is: indices that nobody sends for are worse than a second attempt
                log.exception("cannot take over; it is tried again", extra={"event": "take_over_failed"})
            await asyncio.sleep(AGAIN_S)
            gained = gained - self.owned
        self.joined.set()

    def _listen_to_heartbeats(self) -> None:
        """Renew the lease by what the coordinator answers; aiokafka tells nobody of it."""
        coordinator: Any = self.consumer._coordinator
        ask = coordinator._do_heartbeat

        async def heartbeat() -> bool:
            asked_ns = time.monotonic_ns()
            is_heard: bool = await ask()
            if is_heard:
                self.lease.renew(asked_ns)
            return is_heard

        coordinator._do_heartbeat = heartbeat
