"""A worker: what a daemon is beside its dispatcher where several share topics as their journal.

::

    record of a class -> taking -> pipeline -> claim: events -> carrier -> answer, receipt: events -> outcome
                                                  |                                          |
                                   == only now is it written               == only now is the receipt
                                   acknowledged

    group        which indices are ours; a lease on them                        group.py, lease.py journal
    events to the brokers, then to the scratch journal             journal.py take-over    an index that is
    ours from now on is brought to where it stood state.py, history.py, takeover.py checkpoints  offsets move
    on; what waits long is carried                    checkpoint.py strays       receipts of others' messages
    strays.py teller       outcomes                                                       outcomes.py door
    HTTP: 202 when the brokers have it                             door.py

This file puts them together: it is what the path asks (pipeline.Worker) and what the daemon runs
(parts.Part).
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

from aiokafka.errors import KafkaError

from dispatcher._ext.book import Submission
from dispatcher._ext.places import Places
from dispatcher.config import Config
from dispatcher.errors import ConfigError
from dispatcher.faces_kafka import Kafka
from dispatcher.ingest.kafka_records import Reading
from dispatcher.kafka.client import Access, access_of
from dispatcher.kafka.outbox import AGAIN_S, Outbox, said
from dispatcher.kafka.tasks import begin
from dispatcher.kafka.topics import look, missing, odd, unequal, unsafe, wanted
from dispatcher.model import Message, TrafficClass
from dispatcher.parts import Owner
from dispatcher.state import Check
from dispatcher.survey import Samples
from dispatcher.worker.checkpoint import Checkpoints
from dispatcher.worker.door import Known, WorkerDoor
from dispatcher.worker.gain import Gains
from dispatcher.worker.group import Group
from dispatcher.worker.history import History
from dispatcher.worker.journal import SharedJournal
from dispatcher.worker.lease import Share
from dispatcher.worker.outcomes import Teller
from dispatcher.worker.strays import Strays
from dispatcher.worker.takeover import Rebuild
from dispatcher.worker.taking import Taking
from dispatcher.worker.wire import VERSION, Head, Place

log = logging.getLogger("dispatcher.worker")

TICK_S: Final = 0.05
"""How late a lease that came back, or a share that grows, may be noticed."""


class WorkerPart:
    """See parts.Part, and pipeline.Worker."""

    def __init__(self, owner: Owner, kafka: Kafka) -> None:
        self._owner = owner
        self._kafka = kafka
        self._known = Known()
        self.door = WorkerDoor(owner.dispatcher, self._known, kafka)
        self.places = Places()
        self.share = Share()
        self.fences: dict[int, int] = {}
        self._brought: set[int] = set()
        """Indices of which messages were brought here."""
        self._references: dict[int, list[tuple[int, int]]] = {}
        """By index, those of long messages, for its next record."""
        self._was_valid = False
        self._why = "starting"
        self._tasks: list[asyncio.Task[None]] = []
        self._outboxes: list[Outbox] = []
        self.topics = list(kafka.topics.of_classes().values())
        self.group: Group
        self.teller: Teller
        self.taking: Taking
        self._strays: Strays
        self._history: History
        self._checkpoints: Checkpoints
        self._gains: Gains

    def __repr__(self) -> str:
        if not hasattr(self, "group"):
            return f"<WorkerPart: {self._why}>"
        return f"<WorkerPart {self.group!r}, {self.share!r}, {self.taking!r}, {self._checkpoints!r}>"

    @property
    def journal(self) -> SharedJournal:
        """The journal of our dispatcher."""
        journal = self._owner.dispatcher.journal
        assert isinstance(journal, SharedJournal)
        return journal

    # ---- what the path asks (pipeline.Worker) ----

    def may_send(self) -> bool:
        """See pipeline.Worker."""
        return self.share.now > 0 and self.group.is_valid

    def ours(self, batch: list[Submission]) -> list[Submission]:
        """See pipeline.Worker."""
        has = self.places.has
        return [each for each in batch if has(each.n)]

    def answered(
        self, batch: list[Submission], statuses: list[int], ids: list[bytes | None]
    ) -> tuple[list[Submission], list[int], list[bytes | None]]:
        """See pipeline.Worker."""
        has = self.places.has
        if all(has(each.n) for each in batch):
            return batch, statuses, ids
        kept = [place for place, each in enumerate(batch) if has(each.n)]
        return [batch[each] for each in kept], [statuses[each] for each in kept], [ids[each] for each in kept]

    # ---- what the journal asks (journal.Gate) ----

    def may_write(self) -> bool:
        """Whether what we write counts."""
        return self.group.may_write

    def head(self, index: int) -> Head:
        """Return the head of the next record of an index; of receipts: -1."""
        names = self.journal.carrier_names
        return Head(
            VERSION, self._name, self.fences.get(index, 0), self.teller.told.get(index, -1),
            self._strays.read_ms, dict(names), self._references.pop(index, ()),
        )  # fmt: skip

    def note(self, message: Message, place: Place) -> None:
        """Remember of a message that is ours what its record alone says."""
        if message.segments > 1:
            self._references.setdefault(place.index, []).append((place.number, message.reference))
        self._known.put(message)

    # ---- a part ----

    async def start(self) -> None:
        """Join the group and take over; brokers that are away are waited for. ConfigError: topics are not
        fit."""
        kafka, owner = self._kafka, self._owner
        access = await asyncio.to_thread(access_of, kafka, owner.folder)
        self._name = f"{kafka.client_id}-{id(self) & 0xFFFF:x}-{time.time_ns() // 1_000_000:x}"
        pipeline, journal, topics = owner.dispatcher.pipeline, self.journal, kafka.topics
        events, letters, told = (self._outbox(Outbox(access)) for _ in range(3))
        self.door.outbox = self._outbox(Outbox(access))
        readings = {
            topic: Reading(topic, TrafficClass[name.upper()], kafka.format, frozenset(kafka.tenants), True)
            for name, topic in topics.of_classes().items()
        }
        self.teller = Teller(kafka, owner.dispatcher.feed, told)
        self._strays = Strays(access, topics.receipts, pipeline, journal.carrier)
        history = self._history = History(access, topics.events, events, self._name)
        self.group = Group(access, self.topics, topics.events, self._settle, self._changed, self._gain)
        self.taking = Taking(
            self.group, pipeline, self.places, readings, letters, topics.dead_letters, kafka.poll_max,
            self._ttl_ms, self.note, lambda: self.teller.is_full,
        )  # fmt: skip
        self._checkpoints = Checkpoints(
            self.group, journal, self.places, events, self.head, self._trails,
            lambda: self.teller.rounds, lambda: pipeline.admission.next_n,
        )  # fmt: skip
        rebuild = Rebuild(pipeline, journal, self.places, letters, topics.dead_letters, self.note)
        self._gains = Gains(self, history, rebuild, readings, self._strays, kafka.begin == "latest")
        pipeline.worker = self
        pipeline.share = self.share.now
        await self._reach(access)
        journal.share(topics.events, topics.receipts, events, self.places, self, self.teller.on_round)
        self._tasks = [
            begin(work, name)
            for name, work in (
                ("outcomes", self.teller.run()),
                ("strays", self._strays.run()),
                ("checkpoints", self._checkpoints.run()),
                ("taking", self.taking.run()),
                ("lease", self._tick()),
            )
        ]
        await self.group.start()
        await self.group.joined.wait()
        pipeline.may_bind = True
        self._why = ""
        log.info("joined: %d indices", len(self.group.owned), extra={"event": "worker_ready"})

    async def stop(self, limit_ms: int) -> None:
        """Take nothing more, write what has happened, move on, leave the group."""
        if not hasattr(self, "group") or not self._tasks:
            return
        limit_s = limit_ms / 1000
        self._why = "stopping"
        taking, *others = reversed(self._tasks[2:4])  # checkpoints run on in our own step below
        for each in (taking, *others):
            each.cancel()
        await asyncio.gather(taking, *others, return_exceptions=True)
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(limit_s / 2):
                await self._settle()
                await self._checkpoints.step()
        await self.journal.unshare(limit_s / 4)
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s / 4):
                while self.teller.rounds < self.journal.rounds:
                    await asyncio.sleep(TICK_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.group.stop()
        await asyncio.gather(
            self._strays.stop(), self._history.stop(), *(each.stop() for each in self._outboxes),
            return_exceptions=True,
        )  # fmt: skip

    async def reload(self, config: Config) -> None:
        """ConfigError: its section has changed."""
        if config.kafka != self._kafka:
            raise ConfigError("kafka: it cannot change while the process runs; restart for that")

    def samples(self) -> Samples:
        """Return what it counts, for Survey.more."""
        if not hasattr(self, "taking"):
            return {}
        group, now_ns = self.group, time.monotonic_ns()
        lag = []
        for each, taken in group.taken.items():
            highwater = group.consumer.highwater(each)
            lag.append(((each.topic, str(each.partition)), max(0, (highwater or taken) - taken)))
        records = [(labels, count) for labels, count in self.taking.counts.items()]
        if self.teller.topic is not None:
            records.append(((self.teller.topic, "written"), self.teller.written))
        return {
            "dispatcher_kafka_records_total": records,
            "dispatcher_kafka_lag_records": lag,
            "dispatcher_kafka_partitions": [((topic,), len(group.owned)) for topic in self.topics],
            "dispatcher_kafka_up": [((topic,), int(self.may_send())) for topic in self.topics],
            "dispatcher_worker_indices": [((), len(group.owned))],
            "dispatcher_worker_share": [((), self.share.now)],
            "dispatcher_worker_lease_age_seconds": [((), group.lease.age_s(now_ns))],
            "dispatcher_worker_rebalances_total": [((), group.rebalances)],
            "dispatcher_worker_strays_total": [
                (("written",), self.journal.strays), (("seen",), self._strays.seen),
                (("matched",), self._strays.matched),
            ],
            "dispatcher_worker_carried_total": [((), self._checkpoints.carried)],
            "dispatcher_worker_checkpoints_total": [((), self._checkpoints.steps)],
        }  # fmt: skip

    def checks(self) -> Iterable[Check]:
        """Yield what readiness depends on."""
        failing = [each for each in self._outboxes if each.is_failing]
        why = self._why
        if not why and failing:
            why = "brokers do not take what is written"
        if not why and not self.group.is_valid:
            why = "the group is agreeing" if self.group.is_held else "no heartbeat is answered"
        told = why or f"{len(self.group.owned)} of {self.group.partitions} indices are ours"
        yield Check("kafka", not why, told)

    # ---- inside ----

    def _outbox(self, outbox: Outbox) -> Outbox:
        self._outboxes.append(outbox)
        return outbox

    async def _reach(self, access: Access) -> None:
        """Look at the topics and open what writes, as soon as brokers are there."""
        while True:
            try:
                await self._look(access)
                for each in self._outboxes:
                    await each.start()
                await self._history.start()
                await self._strays.start()
                return
            except (KafkaError, TimeoutError, OSError) as error:
                if (why := f"no broker is reached: {said(error)}") != self._why:
                    log.error("%s; looking again", why, extra={"event": "kafka_not_reached"})
                    self._why = why
                await asyncio.sleep(AGAIN_S)

    async def _look(self, access: Access) -> None:
        kafka, topics = self._kafka, wanted(self._kafka)
        admin = access.admin()
        try:
            await admin.start()
            found = await look(admin, [each.name for each in topics])
        finally:
            await admin.close()
        wrong = [*missing(topics, found), *unequal(kafka, found)]
        dangers = [*unsafe(kafka, topics, found)]
        if not kafka.allow_unsafe:
            wrong += [f"{danger} (allow_unsafe = true starts all the same)" for danger in dangers]
        if wrong:
            raise ConfigError("\n".join(f"kafka.topics: {each}" for each in wrong))
        for each in [*dangers, *odd(kafka, topics, found)]:
            log.warning("%s", each, extra={"event": "kafka_unsafe"})

    async def _settle(self) -> None:
        """Give back what is claimed and not written, wait for answers that are under way, write it all."""
        pipeline = self._owner.dispatcher.pipeline
        lanes = [*pipeline.lanes.values(), *pipeline.leaving.values()]
        for lane in lanes:
            lane.give_back()
        await self.taking.idle.wait()
        pipeline.flush()
        while any(lane.pool.in_flight for lane in lanes):
            await asyncio.sleep(TICK_S / 5)
        pipeline.flush()
        await self.journal.rest()

    def _changed(self, lost: set[int], indices: set[int]) -> None:
        """Forget what is another's from now on, what was not quite ours too; shares follow."""
        pipeline = self._owner.dispatcher.pipeline
        self._forget(lost | self._brought - self.group.owned)
        self._brought &= self.group.owned
        for lane in (*pipeline.lanes.values(), *pipeline.leaving.values()):
            lane.give_back()
        self.share.assign(len(indices), self.group.partitions, time.monotonic_ns())
        self._apply_share()

    def _forget(self, indices: Iterable[int]) -> None:
        """Know nothing more of indices, without an event."""
        dispatcher = self._owner.dispatcher
        dispatcher.pipeline.flush()
        forgotten: list[int] = []
        for index in indices:
            forgotten += self.places.forget(index)
            self.fences.pop(index, None)
            self._references.pop(index, None)
            self.taking.forget(index)
        if forgotten:
            dispatcher.pipeline.book.leave(sorted(forgotten))
            dispatcher.leave_in_projection(forgotten)

    def _apply_share(self) -> None:
        """Give lanes their part of each account."""
        pipeline, config = self._owner.dispatcher.pipeline, self._owner.config
        pipeline.share = self.share.now or 1 / max(1, self.group.partitions)
        for lane in pipeline.lanes.values():
            if lane.name in config.carriers:
                lane.set_tps(config.carriers[lane.name].tps * pipeline.share)
            lane.look()

    async def _tick(self) -> None:
        """Notice a lease that came back, and shares that may grow."""
        while True:
            await asyncio.sleep(TICK_S)
            if self.share.look(time.monotonic_ns()):
                self._apply_share()
            if (is_valid := self.may_send()) and not self._was_valid:
                for lane in self._owner.dispatcher.pipeline.lanes.values():
                    lane.look()
            if self._was_valid and not is_valid and not self.group.is_held:
                log.error("no heartbeat is answered: nothing is sent", extra={"event": "lease_over"})
            self._was_valid = is_valid

    async def _gain(self, gained: set[int]) -> None:
        """Take indices over."""
        self._brought |= gained
        self.teller.frozen |= gained
        for index in gained:  # of a take-over that was given up half-way
            self._forget([index])
        await self._gains.take(gained)
        self.teller.frozen -= gained

    async def _trails(self, numbers: Sequence[int]) -> dict[int, bytes]:
        return await self._owner.dispatcher.trails(numbers)

    def _ttl_ms(self, traffic_class: TrafficClass) -> int:
        return self._owner.config.classes[traffic_class].ttl_ms
