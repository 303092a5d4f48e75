"""Records out: a batch at a time, and it is out when all copies in step have it.

`put` waits for the acknowledgement and raises what was in the way; who calls keeps the records and comes
again. So nothing waits in memory here, and a broker that is away costs a retry. A request whose answer got
lost may be written twice unless `idempotent` is on: readers know records by their `id`.
"""

import asyncio
import logging
import time
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from dispatcher.kafka.client import Access

log = logging.getLogger("dispatcher.kafka")

AGAIN_S: Final = 1.0
"""Before a broker that was not reached is tried again."""
STOP_S: Final = 2.0
"""For the good-bye of a client; what is not acknowledged by then is told again after the next start."""

LOG_APPEND_TIME: Final = 1
"""Of a topic whose records bear the time of the broker."""

Headers = list[tuple[str, bytes]]
"""A list: aiokafka takes nothing else."""


class Record(NamedTuple):
    """One record to be written."""

    key: bytes
    value: bytes | None
    headers: Headers
    partition: int | None = None
    """None: by its key."""
    timestamp_ms: int = 0
    """0: now."""


class Written(NamedTuple):
    """Where a record stands that was acknowledged."""

    partition: int
    offset: int
    at_ms: int
    """Its time, as whoever reads it sees it."""


class Outbox:
    """One producer, started when it is first needed and as often as it takes."""

    def __init__(self, access: Access) -> None:
        self.written = 0
        """Records that were acknowledged."""
        self.failed = 0
        """Attempts that were not."""
        self.is_failing = False
        self._access = access
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Outbox{' failing' if self.is_failing else ''}: {self.written} records>"

    async def start(self) -> None:
        """Reach the brokers. KafkaError: they cannot be reached, or do not let us."""
        async with self._starting:
            if self._producer is None:
                producer = self._access.producer()
                try:
                    await producer.start()
                except BaseException:
                    await _stopped(producer)
                    raise
                self._producer = producer

    async def stop(self) -> None:
        """Let go of the connections."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stopped(producer)

    async def put(self, topic: str, records: Iterable[Record]) -> list[Written]:
        """Write records, those of one partition in their order; return, when all are acknowledged, where each
        stands.

        KafkaError: not all are; some may be.
        """
        await self.start()
        producer = self._producer
        assert producer is not None
        sent: list[asyncio.Future[Any]] = []
        builders: dict[int, tuple[Any, list[int]]] = {}
        batches: list[tuple[int, list[int]]] = []
        """Partition, and the place among `records` of each that is in it."""
        times: list[int] = []
        partitions = len(await producer.partitions_for(topic))
        now_ms = time.time_ns() // 1_000_000
        for key, value, headers, partition, timestamp_ms in records:
            times.append(timestamp_ms or now_ms)
            at = zlib.crc32(key) % partitions if partition is None else partition
            while True:
                if at not in builders:
                    builders[at] = producer.create_batch(), []
                builder, members = builders[at]
                if builder.append(key=key, value=value, timestamp=times[-1], headers=headers) is not None:
                    members.append(len(times) - 1)
                    break
                sent.append(await producer.send_batch(builder, topic, partition=at))
                batches.append((at, members))
                del builders[at]
        for at, (builder, members) in builders.items():
            sent.append(await producer.send_batch(builder, topic, partition=at))
            batches.append((at, members))
        results: list[Any] = await asyncio.gather(*sent, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                await self._give_up(producer, result)
                raise result
        self.written += len(times)
        written: list[Written] = [Written(0, 0, 0)] * len(times)
        for (at, members), result in zip(batches, results, strict=True):
            for step, place in enumerate(members):
                at_ms = result.timestamp if result.timestamp_type == LOG_APPEND_TIME else times[place]
                written[place] = Written(at, result.offset + step, at_ms)
        return written

    async def _give_up(self, producer: AIOKafkaProducer, error: BaseException) -> None:
        """Let go of a producer that cannot go on: one whose numbers the broker does not follow any more, as
        after a crash, is told so for ever. The next one has new numbers."""
        if self._producer is producer and not (isinstance(error, KafkaError) and error.retriable):
            self._producer = None
            await _stopped(producer)

    async def insist(self, topic: str, records: Sequence[Record]) -> list[Written]:
        """Write records, however long it takes; of a trouble that lasts, the first and the last is told."""
        while True:
            try:
                written = await self._put_or_tell(topic, records)
            except KafkaError as error:
                self.failed += 1
                self._fails(topic, said(error))
                await asyncio.sleep(AGAIN_S)
            else:
                if self.is_failing:
                    log.warning("can write to %s again", topic, extra={"event": "kafka_write_works"})
                self.is_failing = False
                return written

    async def _put_or_tell(self, topic: str, records: Sequence[Record]) -> list[Written]:
        """Put; a producer that numbers its batches tries for ever by itself, and is not interrupted."""
        putting = asyncio.get_running_loop().create_task(self.put(topic, records))
        try:
            done, _ = await asyncio.wait([putting], timeout=self._access.kafka.request_timeout_ms / 1000)
            if not done:
                self._fails(topic, "no answer yet")
            return await putting
        except asyncio.CancelledError:
            putting.cancel()
            raise

    def _fails(self, topic: str, why: str) -> None:
        if not self.is_failing:
            log.error(
                "cannot write to %s: %s; it is tried again", topic, why,
                extra={"event": "kafka_write_failed", "topic": topic},
            )  # fmt: skip
        self.is_failing = True


async def _stopped(producer: AIOKafkaProducer) -> None:
    """Stop a producer; what it still has is not waited for longer than a moment."""
    try:
        async with asyncio.timeout(STOP_S):
            await producer.stop()
    except (KafkaError, TimeoutError):
        await producer.client.close()


def said(error: BaseException) -> str:
    """Return an error of Kafka for people: its name and what it says, no record of anybody."""
    return f"{type(error).__name__}: {error}" if isinstance(error, KafkaError) else type(error).__name__
