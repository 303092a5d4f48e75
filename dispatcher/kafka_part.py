"""Kafka as a part of the daemon: topics checked, then read; outcomes told.

Brokers that are away at the start are waited for, in the background: HTTP and the carriers need none. What
`topics.py` finds unsafe is refused: at the start with exit code 78, and where the brokers came later, by not
touching them; /readyz and the log say why.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError, NodeNotReadyError

from dispatcher.config import Config
from dispatcher.errors import ConfigError
from dispatcher.faces_kafka import Kafka
from dispatcher.ingest.kafka import Reader
from dispatcher.ingest.kafka_records import Reading
from dispatcher.kafka.client import Access, access_of
from dispatcher.kafka.outbox import Outbox, said
from dispatcher.kafka.tasks import begin
from dispatcher.kafka.topics import look, missing, odd, unsafe, wanted
from dispatcher.kafka.watch import Watch
from dispatcher.model import TrafficClass
from dispatcher.outcomes.kafka import OutcomeTopic
from dispatcher.parts import Owner
from dispatcher.state import Check
from dispatcher.store.deliveries import Deliveries
from dispatcher.survey import Samples

log = logging.getLogger("dispatcher.kafka")

START_S: Final = 15.0
"""For the brokers, when the daemon starts; then it goes on without them, and looks again."""
AGAIN_S: Final = 5.0
"""Between two looks."""
COUNTED: Final = ("accepted", "repeated", "dead", "gone")
"""Of records that were read, or deleted before they were."""
NOT_THERE: Final = (KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError, TimeoutError, OSError)


class KafkaPart:
    """See parts.Part. `deliveries`: where the cursor of the topic of outcomes is kept."""

    def __init__(self, owner: Owner, kafka: Kafka, deliveries: Callable[[], Deliveries]) -> None:
        self._owner = owner
        self._kafka = kafka
        self._deliveries = deliveries
        self._readers: list[Reader] = []
        self._outboxes: list[Outbox] = []
        self._sink: OutcomeTopic | None = None
        self._why = "starting"
        """Nothing is read and told yet; "": it is."""
        self._waiting: asyncio.Task[None] | None = None
        self._watch: Watch | None = None
        self._watching: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<KafkaPart{' ' + self._why if self._why else ''}: {[*self._readers, self._sink]!r}>"

    async def start(self) -> None:
        """Begin, or wait for the brokers. ConfigError: a secret cannot be read, or topics are not safe."""
        kafka, topics = self._kafka, self._kafka.topics
        access = await asyncio.to_thread(access_of, kafka, self._owner.folder)
        letters = self._outbox(access)
        if topics.outcomes is not None:
            feed = self._owner.dispatcher.feed
            outbox = self._outbox(access)
            self._sink = OutcomeTopic(kafka, topics.outcomes, outbox, feed, self._deliveries())
            await self._sink.place(feed.end)
        self._readers = [
            Reader(access, self._reading(name, topic), self._owner.dispatcher, letters, self._ttl_ms)
            for name, topic in topics.of_classes().items()
        ]
        try:
            async with asyncio.timeout(START_S):
                await self._open(access)
        except NOT_THERE as error:
            self._why = f"no broker is reached: {said(error)}"
            log.error("%s; looking again", self._why, extra={"event": "kafka_not_reached"})
            self._waiting = begin(self._wait(access), "kafka")
        except KafkaError as error:
            raise ConfigError(f"kafka: {said(error)}") from None

    async def stop(self, limit_ms: int) -> None:
        """Stop polling, commit, tell what has happened within the limit."""
        for task in (self._waiting, self._watching):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await asyncio.gather(*(reader.stop(limit_ms // 2) for reader in self._readers))
        if self._sink is not None:
            await self._sink.stop(limit_ms // 2)
        await asyncio.gather(*(outbox.stop() for outbox in self._outboxes))

    async def reload(self, config: Config) -> None:
        """ConfigError: its section has changed; the classes' deadlines are taken up."""
        if config.kafka != self._kafka:
            raise ConfigError("kafka: it cannot change while the process runs; restart for that")

    def samples(self) -> Samples:
        """Return what it counts, for Survey.more."""
        records, lag, partitions, commits, up = [], [], [], [], []
        for reader in self._readers:
            its = reader.counted()
            records += [((its.topic, name), getattr(its, name)) for name in COUNTED]
            lag += [((its.topic, str(partition)), count) for partition, count in its.lag.items()]
            partitions.append(((its.topic,), its.partitions))
            commits.append(((its.topic,), its.commits))
            up.append(((its.topic,), int(not (self._why or its.is_failing))))
        if (sink := self._sink) is not None:
            records += [((sink.topic, "written"), sink.written), ((sink.topic, "failed"), sink.outbox.failed)]
            up.append(((sink.topic,), int(not (self._why or sink.outbox.is_failing))))
        return {
            "dispatcher_kafka_records_total": records,
            "dispatcher_kafka_lag_records": lag,
            "dispatcher_kafka_partitions": partitions,
            "dispatcher_kafka_commits_total": commits,
            "dispatcher_kafka_up": up,
        }

    def checks(self) -> Iterable[Check]:
        """Yield what readiness depends on."""
        failing = [reader.topic for reader in self._readers if reader.is_away]
        failing += [self._sink.topic] if self._sink is not None and self._sink.outbox.is_failing else []
        ours = sum(len(reader.assignment) for reader in self._readers)
        wrong = self._watch.wrong if self._watch is not None else []
        why = self._why or "; ".join(wrong)
        why = why or (f"failing: {', '.join(failing)}" if failing else f"{ours} partitions are ours")
        yield Check("kafka", not self._why and not failing and not wrong, why)

    # ---- inside ----

    async def _open(self, access: Access) -> None:
        """Look at the topics, then begin. ConfigError: they are not safe. KafkaError: no broker is there."""
        kafka, topics = self._kafka, wanted(self._kafka)
        admin = access.admin()
        try:
            await admin.start()
            found = await look(admin, [each.name for each in topics])
        finally:
            await admin.close()
        wrong = [*missing(topics, found)]
        dangers = [*unsafe(kafka, topics, found)]
        if not kafka.allow_unsafe:
            wrong += [f"{danger} (allow_unsafe = true starts all the same)" for danger in dangers]
        if wrong:
            raise ConfigError("\n".join(f"kafka.topics: {each}" for each in wrong))
        for each in [*dangers, *odd(kafka, topics, found)]:
            log.warning("%s", each, extra={"event": "kafka_unsafe"})
        for outbox in self._outboxes:
            try:
                await outbox.start()
            except NOT_THERE:
                raise
            except KafkaError as error:
                why = "this broker does not number batches" if kafka.idempotent else "it cannot be written"
                raise ConfigError(f"kafka.idempotent: {why}: {said(error)}") from None
        for reader in self._readers:
            reader.start()
        if self._sink is not None:
            self._sink.start()
        self._watch = Watch(access, topics, found)
        self._watching = begin(self._watch.run(), "watch of topics")
        self._why = ""
        log.info("kafka: %d topics are read", len(self._readers), extra={"event": "kafka_ready"})

    async def _wait(self, access: Access) -> None:
        while self._why:
            await asyncio.sleep(AGAIN_S)
            try:
                async with asyncio.timeout(START_S):
                    await self._open(access)
            except (KafkaError, TimeoutError, OSError) as error:
                self._why = f"no broker is reached: {said(error)}"
            except ConfigError as error:  # they are there, and somebody has to mend them
                if self._why != (why := str(error)):
                    log.error("%s", why, extra={"event": "kafka_refused"})
                self._why = why

    def _outbox(self, access: Access) -> Outbox:
        self._outboxes.append(outbox := Outbox(access))
        return outbox

    def _reading(self, name: str, topic: str) -> Reading:
        traffic_class = None if name == "mixed" else TrafficClass[name.upper()]
        return Reading(topic, traffic_class, self._kafka.format, frozenset(self._kafka.tenants))

    def _ttl_ms(self, traffic_class: TrafficClass) -> int:
        return self._owner.config.classes[traffic_class].ttl_ms
