"""A line in front of a broker that a test can spoil: no copies in step, or nothing comes through any more.

Frames go through as they are, but those of ProduceRequest may be answered here: NOT_ENOUGH_REPLICAS, as a
leader does that has not min.insync.replicas beside it, before anything is appended. The broker must advertise
the front's port, or clients go round it: `Broker(..., advertised=front.port)`.
"""

import asyncio
import struct
from collections import deque
from io import BytesIO
from typing import Any, Final

from aiokafka.protocol import produce
from aiokafka.protocol.types import Int16, String

from tests.kafka.brokers import free_port

PRODUCE: Final = 0
NOT_ENOUGH_REPLICAS: Final = 19
_REQUESTS: Final = {
    version: getattr(produce, f"ProduceRequest_v{version}") for version in range(3, 9)
}  # of later ones the form is another
_EMPTY: Final[dict[str, Any]] = {"record_errors": [], "error_message": None}


class Front:
    """One line; `async with` it before clients come."""

    def __init__(self) -> None:
        self.port = free_port()
        self.has_replicas = True
        """False: what is produced is refused, and not written."""
        self.refused = 0
        """Requests that were."""
        self._passes = asyncio.Event()
        self._passes.set()
        self._broker_port = 0
        self._lines: set[asyncio.Task[None]] = set()

    def to(self, broker_port: int) -> "Front":
        """Return it, leading to a broker."""
        self._broker_port = broker_port
        return self

    def part(self) -> None:
        """Keep back all that comes, from both sides: a network that is cut without a word."""
        self._passes.clear()

    def join(self) -> None:
        """Let it all through again."""
        self._passes.set()

    async def __aenter__(self) -> "Front":
        self._server = await asyncio.start_server(self._line, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    async def _line(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        try:
            broker, requests = await asyncio.open_connection("127.0.0.1", self._broker_port)
        except OSError:
            answers.close()
            return
        ours: deque[bytes | None] = deque()  # answers in the order of their requests; None: the broker's
        pumps = [
            asyncio.get_running_loop().create_task(each)
            for each in (self._ask(client, requests, answers, ours), self._answer(broker, answers, ours))
        ]
        self._lines.update(pumps)
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for each in pumps:
            each.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        self._lines.difference_update(pumps)
        requests.close()
        answers.close()

    async def _ask(
        self,
        client: asyncio.StreamReader,
        requests: asyncio.StreamWriter,
        answers: asyncio.StreamWriter,
        ours: "deque[bytes | None]",
    ) -> None:
        while True:
            frame = await _frame(client)
            await self._passes.wait()
            if self.has_replicas or int.from_bytes(frame[4:6], "big") != PRODUCE:
                ours.append(None)
                requests.write(frame)
                continue
            self.refused += 1
            ours.append(refusal(frame[4:]))
            if len(ours) == 1:
                answers.write(ours.popleft() or b"")

    async def _answer(
        self, broker: asyncio.StreamReader, answers: asyncio.StreamWriter, ours: "deque[bytes | None]"
    ) -> None:
        while True:
            frame = await _frame(broker)
            await self._passes.wait()
            answers.write(frame)
            ours.popleft()
            while ours and (own := ours[0]) is not None:
                answers.write(own)
                ours.popleft()


async def _frame(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(4)
    return head + await reader.readexactly(int.from_bytes(head, "big"))


def refusal(request: bytes) -> bytes:
    """Return the answer to a ProduceRequest, with its length before it: no partition has enough replicas."""
    data = BytesIO(request)
    Int16.decode(data)
    version = Int16.decode(data)
    correlation = data.read(4)
    String("utf-8").decode(data)  # client_id
    asked = _REQUESTS[version].decode(data)
    response = _REQUESTS[version].RESPONSE_TYPE
    fields = response.SCHEMA.fields[0].array_of.fields[1].array_of.names
    known = {"error_code": NOT_ENOUGH_REPLICAS, **_EMPTY}
    topics = [
        (topic, [tuple({**known, "partition": each}.get(name, -1) for name in fields) for each, _ in parts])
        for topic, parts in asked.topics
    ]
    body: bytes = correlation + response(topics=topics, throttle_time_ms=0).encode()
    return struct.pack(">i", len(body)) + body
