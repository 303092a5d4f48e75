"""Messages from topics of Kafka: a reader for each class, each with its own consumer, so that none waits.

::

    poll        up to `poll_max` records of one class
    read        a record is a request, or a refusal of its own             kafka_records.py
    accept      the dispatcher's; what is accepted is in the journal       == only now:
    dead letter what cannot be taken, acknowledged by the brokers          == only now:
    commit      the offsets behind them, twice a second

Law: an offset is committed when everything before it is in the journal or among the dead letters. A crash in
between reads some records again, which their keys know (kafka_records.py). What is refused for now ("too much
waits") is asked again, and nothing more is polled of that class meanwhile: the topic is the queue.

Brokers that are away cost nothing but time: a reader tries again, and goes on where the group was.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple, Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from dispatcher.errors import OverloadedError
from dispatcher.ingest.kafka_records import Fetched, Reading, dead_letter, is_late, read_all
from dispatcher.kafka.client import Access
from dispatcher.kafka.outbox import AGAIN_S, STOP_S, Outbox, said
from dispatcher.kafka.tasks import begin
from dispatcher.model import Accepted, Refused, SendRequest, TrafficClass

log = logging.getLogger("dispatcher.kafka")

POLL_MS: Final = 200
"""How long one poll waits; a commit that is due waits no longer."""
COMMIT_S: Final = 0.5
"""Between two commits of offsets: what a crash reads again, and its keys know."""
AWAY_REQUESTS: Final = 2
"""Requests that may time out before we say that brokers are away."""
WAIT_MAX_MS: Final = 5_000
"""Between two questions whether there is room again."""


class Door(Protocol):
    """A dispatcher, from outside."""

    async def send(self, requests: Sequence[SendRequest]) -> list[Accepted | Refused]:
        """Return a verdict for each, in order; what is accepted is on disk by then."""

    def is_known(self, request: SendRequest) -> bool:
        """Whether its key came of late."""


class Counted(NamedTuple):
    """Of one topic, since the start; `lag` by partition."""

    topic: str
    accepted: int
    repeated: int
    dead: int
    gone: int
    commits: int
    lag: dict[int, int]
    is_failing: bool
    partitions: int


class Reader(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka wants this class
    """One topic: polls, accepts, commits; from `start` until `stop`."""

    def __init__(
        self,
        access: Access,
        reading: Reading,
        door: Door,
        dead: Outbox,
        ttl_ms: Callable[[TrafficClass], int],
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.topic = reading.topic
        self.accepted = self.repeated = self.dead = self.gone = self.commits = 0
        self.is_failing = False
        self.group = f"{access.kafka.group}.{_name(reading)}"
        self._access = access
        self._reading = reading
        self._door = door
        self._outbox = dead
        self._ttl_ms = ttl_ms
        self._clock_ms = clock_ms
        self._consumer: AIOKafkaConsumer | None = None
        self._next: dict[TopicPartition, int] = {}
        """Of each partition, the first offset that is not done."""
        self._due: set[TopicPartition] = set()
        """Partitions whose offset is to be committed."""
        self._generation = 0
        """Of our partitions: what was polled in an older one is no business of ours."""
        self._given_up = asyncio.Event()
        """Set when what waits is to be dropped: partitions are being taken from us, or we stop."""
        self._is_stopping = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._committed_s = 0.0
        self._taken_s = 0.0
        """When the last batch was done."""
        self._endings: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        state = " failing" if self.is_failing else ""
        return f"<Reader of {self.topic}{state}: {self.accepted} accepted, {self.dead} dead>"

    @property
    def assignment(self) -> Collection[TopicPartition]:
        """Partitions that are ours now."""
        return () if self._consumer is None else self._consumer.assignment()

    @property
    def is_away(self) -> bool:
        """Whether no broker has answered for a while, though we ask: aiokafka asks again and says nothing."""
        if self.is_failing or self._consumer is None:
            return self.is_failing
        limit_s = AWAY_REQUESTS * self._access.kafka.request_timeout_ms / 1000
        answered = [self._consumer.last_poll_timestamp(each) or 0 for each in self.assignment]
        if not answered or not self._idle.is_set() or time.monotonic() < self._taken_s + limit_s:
            return False
        return time.time() - max(answered) / 1000 > limit_s

    def counted(self) -> Counted:
        """Return what there is to say."""
        lag = {}
        for each in self.assignment:
            assert self._consumer is not None
            highwater = self._consumer.highwater(each) or 0
            lag[each.partition] = max(0, highwater - self._next.get(each, highwater))
        return Counted(
            self.topic, self.accepted, self.repeated, self.dead, self.gone, self.commits, lag, self.is_away,
            len(lag),
        )  # fmt: skip

    def start(self) -> None:
        """Begin to read; brokers that are away are waited for."""
        self._task = begin(self._run(), f"reader of {self.topic}")

    async def stop(self, limit_ms: int) -> None:
        """Finish what is under way within the limit, commit, and leave the group."""
        if self._task is not None:
            self._is_stopping = True
            self._given_up.set()
            await asyncio.wait([self._task], timeout=limit_ms / 1000)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while not self._is_stopping:
            try:
                await self._consume()
            except KafkaError as error:
                if not self.is_failing:
                    log.error(
                        "cannot read %s: %s; it is tried again", self.topic, said(error),
                        extra={"event": "kafka_read_failed", "topic": self.topic},
                    )  # fmt: skip
                self.is_failing = True
                await asyncio.sleep(AGAIN_S)

    async def _consume(self) -> None:
        consumer = self._access.consumer(self.group, begin="none")  # `_poll` says where
        try:
            await consumer.start()
            self._consumer, self._taken_s = consumer, time.monotonic()
            consumer.subscribe([self.topic], listener=self)
            while not self._is_stopping:
                polled = await self._poll(consumer)
                self._idle.clear()
                try:
                    for partition, records in polled.items():
                        await self._take(partition, records)
                finally:
                    self._idle.set()
                if polled:
                    self._taken_s = time.monotonic()
                if self.is_failing:
                    log.warning("can read %s again", self.topic, extra={"event": "kafka_read_works"})
                    self.is_failing = False
                await self._commit_if_due()
        finally:
            await self._leave(consumer)

    async def _poll(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, list[Fetched]]:
        """Return what has come; a partition without a place that can be read gets one, and none is passed
        over in silence."""
        kafka = self._access.kafka
        try:
            found: dict[TopicPartition, list[Fetched]] = await consumer.getmany(
                timeout_ms=POLL_MS, max_records=kafka.poll_max
            )
        except NoOffsetForPartitionError as error:  # our group is new
            to_begin = consumer.seek_to_beginning if kafka.begin == "earliest" else consumer.seek_to_end
            with suppress(IllegalStateError):  # no longer ours
                await to_begin(error.args[0])
        except OffsetOutOfRangeError as error:
            for partition, offset in error.args[0].items():
                with suppress(IllegalStateError):
                    await self._begin_anew(consumer, partition, offset)
        else:
            return found
        return {}

    async def _begin_anew(self, consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int) -> None:
        """Go on at the first record that is there, and say what became of those before."""
        first = (await consumer.beginning_offsets([partition]))[partition]
        if first > offset:
            self.gone += first - offset
            why = f"{first - offset} records were deleted before they were read: its retention is too short"
        else:
            why = "it was deleted and made anew, or has lost records: it is read from its beginning"
        log.error(
            "%s, partition %d, offset %d: %s", self.topic, partition.partition, offset, why,
            extra={"event": "kafka_records_gone", "topic": self.topic},
        )  # fmt: skip
        consumer.seek(partition, first)

    async def _leave(self, consumer: AIOKafkaConsumer) -> None:
        """Commit what may be, and leave the group so that others take over at once."""
        try:
            with suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(STOP_S):
                    await self._commit(consumer)
        finally:
            self._consumer = None
            self._due, self._next = set(), {}
            # Where brokers are away it takes as long as its requests do: nobody waits for that, and nothing
            # of it is left running behind our back.
            stopping = begin(consumer.stop(), f"end of {self.topic}")
            self._endings.add(stopping)
            stopping.add_done_callback(self._endings.discard)
            await asyncio.wait([stopping], timeout=STOP_S)

    # ---- a batch ----

    async def _take(self, partition: TopicPartition, records: list[Fetched]) -> None:
        """Bring records of one partition into the journal or among the dead letters, all of them or, where
        we are to give up, as many as went before the first that has to wait."""
        if self._given_up.is_set():
            return
        generation, end = self._generation, records[-1].offset + 1
        self._next.setdefault(partition, records[0].offset)
        asked = read_all(records, self._reading)
        now_ms = self._clock_ms()
        dead: list[tuple[Fetched, Refused]] = []
        places: list[int] = []
        for place, (record, each) in enumerate(zip(records, asked, strict=True)):
            if isinstance(each, Refused):
                dead.append((record, each))
            elif self._is_late(record, each, now_ms):
                detail = "it waited in its topic for longer than it is worth sending"
                dead.append((record, Refused("expired", detail, "", each.client_ref)))
            else:
                places.append(place)
        while places:
            verdicts = await self._send([asked[place] for place in places])  # type: ignore[misc]
            wait_ms, later = 0, []
            for place, verdict in zip(places, verdicts, strict=True):
                if isinstance(verdict, Accepted):
                    self.accepted += not verdict.is_repeated
                    self.repeated += verdict.is_repeated
                elif verdict.retry_after_ms:
                    wait_ms = max(wait_ms, verdict.retry_after_ms)
                    later.append(place)
                else:
                    dead.append((records[place], verdict))
            places = later
            if places and await self._is_over(wait_ms):
                end = records[places[0]].offset
                break
        await self._bury(each for each in dead if each[0].offset < end)
        if generation == self._generation:
            self._next[partition] = end
            self._due.add(partition)

    def _is_late(self, record: Fetched, request: SendRequest, now_ms: int) -> bool:
        ttl_ms = self._ttl_ms(request.traffic_class)
        return is_late(record, request, ttl_ms, now_ms) and not self._door.is_known(request)

    async def _send(self, requests: list[SendRequest]) -> Sequence[Accepted | Refused]:
        try:
            return await self._door.send(requests)
        except OverloadedError as error:
            return [Refused("overloaded", str(error), "", None, error.retry_after_ms)] * len(requests)

    async def _is_over(self, wait_ms: int) -> bool:
        """Wait for room; return whether we are to give up meanwhile."""
        with suppress(TimeoutError):
            async with asyncio.timeout(min(wait_ms, WAIT_MAX_MS) / 1000):
                await self._given_up.wait()
        return self._given_up.is_set()

    async def _bury(self, dead: Iterable[tuple[Fetched, Refused]]) -> None:
        """Write dead letters, and go on only when the brokers have them."""
        letters = [dead_letter(record, refused) for record, refused in dead]
        if letters:
            await self._outbox.insist(self._access.kafka.topics.dead_letters, letters)
            self.dead += len(letters)

    # ---- offsets ----

    async def _commit_if_due(self) -> None:
        now_s = time.monotonic()
        if self._due and now_s - self._committed_s >= COMMIT_S and self._consumer is not None:
            self._committed_s = now_s
            await self._commit(self._consumer)

    async def _commit(self, consumer: AIOKafkaConsumer) -> None:
        """Commit; what cannot be, because it is not ours any more, others read again."""
        due, self._due = self._due, set()
        offsets = {each: self._next[each] for each in due if each in consumer.assignment()}
        if not offsets:
            return
        try:
            await consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            log.warning("offsets of %s came too late: %s", self.topic, said(error))
        except KafkaError:
            self._due |= due
            raise
        else:
            self.commits += 1

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Finish what is under way, commit: who gets the partitions begins behind it."""
        self._given_up.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._access.kafka.session_ms / 2000):
                await self._idle.wait()
        if self._consumer is not None:
            try:
                await self._commit(self._consumer)
            except KafkaError as error:
                log.warning("offsets of %s were not committed: %s", self.topic, said(error))

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Begin with what is ours now, at what was committed."""
        self._generation += 1
        self._due, self._next = set(), {}
        if not self._is_stopping:
            self._given_up.clear()
        log.info(
            "%s: %d partitions are ours", self.topic, len(assigned),
            extra={"event": "kafka_assigned", "topic": self.topic},
        )  # fmt: skip


def _name(reading: Reading) -> str:
    return "mixed" if reading.traffic_class is None else reading.traffic_class.name.lower()
