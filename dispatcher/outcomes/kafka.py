"""Events to a topic of Kafka: outcomes as a rule, all that happens where the configuration asks for it.

Law: no event is missing from the topic, whatever crashes. The cursor moves when brokers have acknowledged,
and is written once a second; after a crash what was told since is told again, with the same `id`. Nothing
waits in memory but what is being written: the journal is the queue, and a broker that is away stops the
reading of it. Records of one message have one key, and come in their order.

The key is the message_id or the sender's client_ref, never a number (law 11). Who wants the partition of a
key: CRC-32 of it, modulo their count, as librdkafka's partitioner ``consistent``.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import msgspec

from dispatcher.api import EventOut
from dispatcher.delivery import Changes, Place, Progress
from dispatcher.errors import StoreError
from dispatcher.faces_kafka import Kafka
from dispatcher.kafka.outbox import Headers, Outbox, Record
from dispatcher.kafka.schema import VERSION
from dispatcher.kafka.tasks import begin
from dispatcher.model import EventKind
from dispatcher.outcomes.event_file import Keeper, Source

log = logging.getLogger("dispatcher.outcomes")

NAME: Final = "kafka/outcomes"
"""Of its cursor among those of webhooks and files."""
PENDING_MAX: Final = 4_000
"""Events read ahead of the writing, and as many that are being written: 4 MB."""
SLICE: Final = 1_000
"""Events written at a time: two milliseconds of a turn."""
SAVE_S: Final = 1.0
"""Between two writings of the cursor: what a crash tells again."""
AGAIN_S: Final = 1.0
"""Before a journal that could not be read is tried again."""
CONTENT_TYPES: Final = {"json": b"application/json", "msgpack": b"application/msgpack"}
_ENCODERS: Final[dict[str, Callable[[Any], bytes]]] = {
    "json": msgspec.json.Encoder().encode,
    "msgpack": msgspec.msgpack.Encoder().encode,
}


class OutcomeTopic:
    """One topic that is told of events."""

    def __init__(self, kafka: Kafka, topic: str, outbox: Outbox, source: Source, keeper: Keeper) -> None:
        self.topic = topic
        self.written = 0
        """Events that were acknowledged."""
        self.outbox = outbox
        self._kinds = tuple(EventKind[each.upper()] for each in kafka.events)
        self._record = record_maker(kafka)
        self._source = source
        self._keeper = keeper
        self._pending: list[EventOut] = []
        self._read: Place = (0, 0)
        self._cursor: Place = (0, 0)
        self._saved: Place = (0, 0)
        self._changed = asyncio.Event()
        """Something was read."""
        self._room = asyncio.Event()
        """What was read is being written."""
        self._done = asyncio.Event()
        """It was acknowledged."""
        self._tasks: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return f"<OutcomeTopic {self.topic}: {self.written} events, {self.outbox!r}>"

    async def place(self, end: Place) -> None:
        """Find where it stopped; a new one begins at the end of the journal, whenever the brokers are there.

        StoreError: it cannot be read or written.
        """
        progress, _ = await self._keeper.load(NAME)
        if progress is None or progress.cursor > end:
            progress = Progress(end)
            await self._keeper.save(NAME, Changes(progress))
        self._read = self._cursor = self._saved = progress.cursor

    def start(self) -> None:
        """Begin to tell; brokers that are away are waited for."""
        names = {"reading": self._reading, "writing": self._writing, "saving": self._saving}
        self._tasks = [begin(work(), f"{NAME} {name}") for name, work in names.items()]

    async def stop(self, limit_ms: int) -> None:
        """Write what was read within the limit, and note how far; the rest is told after the next start."""
        if not self._tasks:
            return
        reading, *others = self._tasks
        self._tasks = []
        reading.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_ms / 1000):
                while self._cursor != self._read:
                    self._done.clear()
                    await self._done.wait()
        for each in others:
            each.cancel()
        await asyncio.gather(reading, *others, return_exceptions=True)
        with suppress(StoreError):
            await self._save()

    async def _reading(self) -> None:
        while True:
            try:
                async for cursor, events in self._source.read(self._read, self._kinds):
                    self._pending += events
                    self._read = cursor
                    self._changed.set()
                    while len(self._pending) >= PENDING_MAX:
                        self._room.clear()
                        await self._room.wait()
                return  # the journal is closed
            except StoreError as error:
                log.error("%s cannot read the journal: %s", NAME, error)
                await asyncio.sleep(AGAIN_S)

    async def _writing(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            events, cursor = self._pending, self._read
            self._pending = []
            self._room.set()
            for start in range(0, len(events), SLICE):
                some = [self._record(each) for each in events[start : start + SLICE]]
                await self.outbox.insist(self.topic, some)
                self.written += len(some)
            self._cursor = cursor
            self._done.set()

    async def _saving(self) -> None:
        while True:
            await asyncio.sleep(SAVE_S)
            try:
                await self._save()
            except StoreError as error:
                log.error("the cursor of %s cannot be written: %s", NAME, error)

    async def _save(self) -> None:
        cursor = self._cursor
        if cursor != self._saved:
            await self._keeper.save(NAME, Changes(Progress(cursor)))
            self._saved = cursor


def record_maker(kafka: Kafka) -> Callable[[EventOut], Record]:
    """Return what makes records of events: with the headers that their messages came with."""
    by_client_ref, encode = kafka.key == "client_ref", _ENCODERS[kafka.format]
    headers: Headers = [("schema", VERSION.encode()), ("content-type", CONTENT_TYPES[kafka.format])]
    tenants = frozenset(kafka.tenants)

    def record(event: EventOut) -> Record:
        key = event.message_id
        if by_client_ref and isinstance(event.client_ref, str):
            key = event.client_ref
        its = headers
        if event.traceparent:
            its = [*its, ("traceparent", event.traceparent.encode())]
        if tenants and event.source and (tenant := tenant_of(event.source)) in tenants:
            its = [*its, ("tenant", tenant.encode())]
        return Record(key.encode(), encode(event), its)

    return record


def tenant_of(source: str) -> str:
    """Return the tenant that a record's source ends with; "": none."""
    kind, _, rest = source.partition(":")
    return rest.partition(":")[2] if kind == "kafka" else ""
