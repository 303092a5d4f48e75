"""The HTTP door of a worker: what is accepted is a record of its class, acknowledged by the brokers.

Law: 202 is answered after the acknowledgement. Requests are judged here by the very rules by which the worker
that takes the record judges it, so that what is wrong is said at once. While no broker acknowledges, 503 is
what there is: nothing is kept here that a crash would lose.

With an idempotency key the message_id is made of the key and the body, the same at every worker; without one
it says where the record stands. What came to another worker, or is long ago, is not known here: its outcome
is in the topic of outcomes.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec
from aiokafka.errors import KafkaError
from msgspec import UNSET
from msgspec.structs import replace

from dispatcher.api import Checked, rfc3339
from dispatcher.app import Dispatcher, wall_ms
from dispatcher.errors import OverloadedError
from dispatcher.faces_kafka import Kafka
from dispatcher.feed import Feed
from dispatcher.gather import Gather
from dispatcher.kafka.outbox import Headers, Outbox, Record, Written, said
from dispatcher.model import Accepted, Message, Refused, SendRequest, TrafficClass
from dispatcher.refusal import CLOSING
from dispatcher.store.projection import Status
from dispatcher.worker.wire import MESSAGE_ID, SOURCE, Place, id_of_key, id_of_place

AGAIN_MS: Final = 2_000
"""What those are told who come while no broker acknowledges."""
ACK_S: Final = 5.0
"""For the acknowledgement; a record that was written after all is one message with its key, and may be two
without."""
KNOWN_MAX: Final = 200_000
"""Messages that are found by their id: the last that were taken here, 30 MB."""
_OPEN: Final = (0, 0, 0, 0, 0)
_CLOSING: Final = (CLOSING.retry_after_ms,) * 5
_encode: Final = msgspec.json.Encoder().encode


class Known:
    """Numbers of messages by their id: the last ones that were taken."""

    def __init__(self) -> None:
        self._numbers: OrderedDict[bytes, int] = OrderedDict()

    def put(self, message: Message) -> None:
        """Remember a message."""
        self._numbers[message.message_id] = message.n
        if len(self._numbers) > KNOWN_MAX:
            self._numbers.popitem(last=False)

    def get(self, message_id: bytes) -> int | None:
        """Return its number, or None."""
        return self._numbers.get(message_id)


class WorkerDoor:
    """See ingest.door.Door."""

    def __init__(self, dispatcher: Dispatcher, known: Known, kafka: Kafka) -> None:
        self._dispatcher = dispatcher
        self._known = known
        self.outbox: Outbox
        """Set before the door is open."""
        self._topics = [kafka.topics.of_classes().get(each.name.lower()) for each in TrafficClass]
        self._gather = Gather(self._take)

    @property
    def feed(self) -> Feed:
        """See ingest.door.Door."""
        return self._dispatcher.feed

    @property
    def batch_max(self) -> int:
        """See ingest.door.Door."""
        return self._dispatcher.config.limits.batch_max

    async def send(self, requests: Sequence[SendRequest]) -> list[Accepted | Refused]:
        """Write what may go; a verdict for each, in order. OverloadedError: no broker acknowledges."""
        if len(requests) == 1:
            return [await self._gather.one(requests[0])]
        taken = await self._take(requests[: self.batch_max])
        return taken + self._dispatcher.pipeline.admission.too_many(requests[self.batch_max :])

    async def _take(self, requests: Sequence[SendRequest]) -> list[Accepted | Refused]:
        pipeline = self._dispatcher.pipeline
        now_ms, closed = wall_ms(), _CLOSING if pipeline.is_closing else _OPEN
        verdicts: list[Accepted | Refused] = []
        going: dict[str, list[tuple[int, Message, Record]]] = {}
        for place, request in enumerate(requests):
            verdict = self._judge(request, now_ms, closed)
            if isinstance(verdict, Message):
                topic = self._topics[verdict.traffic_class]
                assert topic is not None
                record, message = _record_of(request, verdict)
                is_known = self.is_known(replace(request, to=f"+{message.to}"))
                verdicts.append(Accepted(message, is_known))
                if not is_known:
                    going.setdefault(topic, []).append((place, message, record))
            else:
                verdicts.append(verdict)
        if going:
            written = await self._written(
                {topic: [each[2] for each in some] for topic, some in going.items()}
            )
            for topic, some in going.items():
                for (place, message, _), at in zip(some, written[topic], strict=True):
                    if not message.message_id and at.offset < 0:  # it was written, and where is not known
                        refused = Refused("overloaded", "ask again", "", message.client_ref, AGAIN_MS)
                        verdicts[place] = refused
                        continue
                    if not message.message_id:
                        stands = Place(at.partition, message.traffic_class, at.offset)
                        message = replace(message, message_id=id_of_place(stands, at.at_ms, topic))
                    verdicts[place] = Accepted(message)
        return verdicts

    def _judge(self, request: SendRequest, now_ms: int, closed: Sequence[int]) -> Message | Refused:
        admission = self._dispatcher.pipeline.admission
        verdict = admission.judge(request, now_ms, closed)
        if isinstance(verdict, Message):
            if self._topics[verdict.traffic_class] is None:
                detail = "no topic is configured for this class"
                return Refused("class_not_allowed", detail, "traffic_class", request.client_ref)
            asked = replace(request, to=f"+{verdict.to}")
            if asked.to != request.to and self.is_known(asked):  # its record has the number in full
                return admission.judge(asked, now_ms, closed)
        return verdict

    async def _written(self, records: dict[str, list[Record]]) -> dict[str, list[Written]]:
        """Write records; return where they stand."""
        puts = [self.outbox.put(topic, some) for topic, some in records.items()]
        writing = asyncio.gather(*puts)
        try:
            async with asyncio.timeout(ACK_S):
                written = await asyncio.shield(writing)
        except TimeoutError:
            writing.add_done_callback(_taken_note_of)
            raise OverloadedError("no broker acknowledges; nothing is wrong with it", AGAIN_MS) from None
        except (KafkaError, OSError) as error:
            raise OverloadedError(f"the brokers do not take it: {said(error)}", AGAIN_MS) from None
        return dict(zip(records, written, strict=True))

    def is_known(self, request: SendRequest) -> bool:
        """See Admission.is_known."""
        return self._dispatcher.is_known(request)

    async def check(self, requests: Sequence[SendRequest]) -> list[Checked | Refused]:
        """See Dispatcher.check."""
        return await self._dispatcher.check(requests)

    async def cancel(self, message_id: str) -> bool:
        """Take back a message that waits here; False: it is not here, or too late. ValueError: no UUID."""
        n = self._known.get(UUID(message_id).bytes)
        return n is not None and await self._dispatcher.cancel(message_id, n)

    async def status(self, message_id: str) -> Status | None:
        """Return what is known here of a message; None: nothing. ValueError: no UUID."""
        n = self._known.get(UUID(message_id).bytes)
        return None if n is None else await self._dispatcher.status(message_id, n)

    async def find(
        self,
        *,
        client_ref: str | None = None,
        to: str | None = None,
        source: str | None = None,
        most: int = 100,
        before_n: int = 1 << 62,
    ) -> list[Status]:
        """Return messages that were taken here, newest first."""
        return await self._dispatcher.find(
            client_ref=client_ref, to=to, source=source, most=most, before_n=before_n
        )


def _record_of(request: SendRequest, message: Message) -> tuple[Record, Message]:
    """Return the record of a request, and its message with the id that it will have; b"": by its place."""
    to = f"+{message.to}"
    value = {
        "to": to,
        "text": request.text,
        "sender": request.sender,
        "traffic_class": TrafficClass(request.traffic_class).name.lower(),
        "client_ref": UNSET if request.client_ref is None else request.client_ref,
        "ttl_ms": request.ttl_ms or UNSET,
        "send_after": rfc3339(request.send_after_ms) if request.send_after_ms else UNSET,
    }
    body = _encode({name: each for name, each in value.items() if each is not UNSET})
    headers: Headers = [("content-type", b"application/json")]
    if request.source:
        headers.append((SOURCE, request.source.encode()))
    if request.traceparent:
        headers.append(("traceparent", request.traceparent.encode()))
    key = request.client_ref if request.idempotency_key is None else request.idempotency_key
    message_id = b""
    if key is not None:
        message_id = id_of_key(request.source, key, body)
        headers.append((MESSAGE_ID, message_id.hex().encode()))
    if request.idempotency_key is not None:
        headers.append(("idempotency-key", request.idempotency_key.encode()))
    return Record(to.encode(), body, headers), replace(message, message_id=message_id)


def _taken_note_of(writing: "asyncio.Future[list[list[Written]]]") -> None:
    """What became of it is told by nobody any more."""
    if not writing.cancelled():
        writing.exception()
