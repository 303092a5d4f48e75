"""Whoever fills the topics: a process with a ledger of its own, ``python -m tests.kafka.producer FOLDER``.

It writes the day's mix of `dispatcher.cli.demo.traffic` to the topics of the classes at a fixed rate, poison
among it. What a broker does not acknowledge is written again, for as long as it takes: the ledger holds what
was acknowledged. Nothing of ours but the texts is used: aiokafka alone.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from dispatcher.cli.demo import traffic

STEP_S: Final = 0.02
"""Between two looks at what is due."""
AGAIN_S: Final = 0.5
IN_FLIGHT: Final = 5_000
"""Records without an acknowledgement; more are not written, however late they are."""
LEDGER: Final = "produced.json"
_encode = msgspec.json.Encoder().encode


class Order(msgspec.Struct):
    """What is to be produced."""

    address: str
    prefix: str
    """Of the topics: prefix.service ..."""
    messages: int
    rate: float
    """Messages a second."""
    poison_each: int = 0
    """One more record that cannot be read, after so many messages; 0: none."""


class Produced(msgspec.Struct):
    """What was: its ledger."""

    messages: int = 0
    """Numbers from 0 that were acknowledged, all of them."""
    poison: int = 0
    sent_ms: list[float] = []
    """By number: when it was due, in milliseconds from 1970."""
    again: int = 0
    """Records that were written once more, because no acknowledgement came."""
    seconds: float = 0.0


def poison(number: int) -> bytes:
    """Return a record that no reader can take; it says which one it is."""
    return b'{"poison": %d, ' % number


def record_of(order: Order, number: int) -> tuple[str, bytes, bytes]:
    """Return topic, key and value of a message."""
    message: dict[str, Any] = traffic.message(number)
    topic = f"{order.prefix}.{message.pop('traffic_class')}"
    return topic, message["to"].encode(), _encode(message)


class Writer:
    """Writes, and writes again."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.told = Produced()
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._writing: set[asyncio.Task[None]] = set()

    async def run(self) -> Produced:
        """Write all of it; return when all is acknowledged."""
        order, told = self.order, self.told
        self._producer = AIOKafkaProducer(bootstrap_servers=order.address, acks="all", linger_ms=5)
        await self._producer.start()
        began_s, began_ms, asked = time.monotonic(), time.time() * 1000, 0
        while asked < order.messages:
            due = min(order.messages, int((time.monotonic() - began_s) * order.rate) + 1)
            for number in range(asked, due):
                told.sent_ms.append(began_ms + number / order.rate * 1000)
                await self._write(*record_of(order, number))
                if order.poison_each and number % order.poison_each == order.poison_each - 1:
                    topic, key, _ = record_of(order, number)
                    await self._write(topic, key, poison(told.poison))
                    told.poison += 1
            asked = due
            await asyncio.sleep(STEP_S)
        while self._writing:
            await asyncio.wait(self._writing)
        told.messages, told.seconds = asked, time.monotonic() - began_s
        await self._producer.stop()
        return told

    async def _write(self, topic: str, key: bytes, value: bytes) -> None:
        await self._room.acquire()
        task = asyncio.get_running_loop().create_task(self._insist(topic, key, value))
        self._writing.add(task)
        task.add_done_callback(self._written)

    def _written(self, task: "asyncio.Task[None]") -> None:
        self._writing.discard(task)
        self._room.release()
        task.result()

    async def _insist(self, topic: str, key: bytes, value: bytes) -> None:
        while True:
            try:
                await self._producer.send_and_wait(topic, value, key=key)
                return
            except KafkaError:
                self.told.again += 1
                await asyncio.sleep(AGAIN_S)


def main(folder: Path) -> None:
    """Carry out the order that a folder holds, and leave the ledger there."""
    import uvloop

    order = msgspec.json.decode((folder / "order.json").read_bytes(), type=Order)
    told = uvloop.run(Writer(order).run())
    (folder / "new").write_bytes(_encode(told))
    (folder / "new").rename(folder / LEDGER)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
