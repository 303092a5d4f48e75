"""The client: every request at a time fixed before, whether or not those before were answered (open loop).

``python -m dispatcher.cli.load.client '{"port": ..., ...}'``; the key is in $DISPATCHER_KEY; prints JSON. An
answer counts from when its request was meant to be sent, so that a stall of anybody, this client's own
included, is in the figures and cannot hide. SIGTERM: no more requests, and the end when all are answered.
"""

import asyncio
import signal
import sys
import time

import msgspec
import uvloop

from dispatcher.cli.load import mix
from dispatcher.cli.load.door import Door

CONNECTIONS = 16
"""Requests under way at a time; more wait for a connection, and their time counts."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What to send."""

    port: int
    segments_per_s: float
    seconds: float
    first: int = 0
    """Number of the first message."""


class Answer(msgspec.Struct):
    """What came back. Times in nanoseconds."""

    begun_ns: int = 0
    """By the monotonic clock, which all processes share."""
    batch: int = 0
    """Messages of a request."""
    every_s: float = 0
    """Between two requests."""
    sent: int = 0
    """Messages that were sent."""
    accepted: int = 0
    segments: int = 0
    """Of those that were accepted."""
    refused: int = 0
    took_ns: list[int] = []
    """Of each request: from when it was meant to be sent to the last octet of its answer."""
    late_ns: list[int] = []
    """Of each request: how late this client wrote it. Its own fault, and in took_ns."""


async def run(task: Task) -> Answer:
    """Send all."""
    door = Door(task.port, CONNECTIONS)
    await door.open()
    batch, every_s = mix.batch_of(task.segments_per_s)
    count = max(1, round(task.seconds / every_s))
    answer = Answer(batch=batch, every_s=every_s, took_ns=[0] * count, late_ns=[0] * count)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    answer.begun_ns = time.monotonic_ns() + int(every_s * 1e9)

    async def send(place: int, body: bytes, meant_ns: int) -> None:
        answer.late_ns[place] = time.monotonic_ns() - meant_ns
        _, told = await door.post("/v1/messages:batch", "application/x-ndjson", body)
        accepted = told.count(b'"message_id"')
        answer.accepted += accepted
        answer.segments += accepted + told.count(b'"segments":2')
        answer.refused += batch - accepted
        answer.took_ns[place] = time.monotonic_ns() - meant_ns

    async with asyncio.TaskGroup() as group:
        for place in range(count):
            meant_ns = answer.begun_ns + int(place * every_s * 1e9)
            body = mix.body(task.first + place * batch, batch)  # made before its time
            await asyncio.sleep(max(0, meant_ns - time.monotonic_ns()) / 1e9)
            if ended.is_set():
                break
            group.create_task(send(place, body, meant_ns))
            answer.sent += batch
    del answer.took_ns[answer.sent // batch :], answer.late_ns[answer.sent // batch :]
    return answer


if __name__ == "__main__":
    told = uvloop.run(run(msgspec.json.decode(sys.argv[1], type=Task)))
    print(msgspec.json.encode(told).decode(), flush=True)
