"""Clients of the daemon's HTTP door: batches or codes at times fixed before, or posts as fast as it answers.

``python -m bench.clients.http '{"what": "batches", ...}'``; the key is in $DISPATCHER_KEY; prints JSON.
A client of its own: what is measured is the daemon, and it costs a third of a library's.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

import msgspec
import uvloop

from dispatcher.cli.demo import traffic
from dispatcher.cli.load.door import Door

_encode = msgspec.json.Encoder().encode


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What a client is to do."""

    what: str
    """batches, marketing, posts or codes."""
    port: int
    seconds: float
    per_s: float = 0
    """Of batches and of codes; 0: as fast as they are answered."""
    batch: int = traffic.BATCH
    connections: int = 8


class Answer(msgspec.Struct):
    """What came back."""

    accepted: int = 0
    refused: int = 0
    latency_ms: list[float] = []
    """Of each request, from when it was meant to be sent to the last octet of its answer."""
    asked_us: list[int] = []
    """Of each code: when it was meant to be sent, in microseconds from 1970."""
    seconds: float = 0.0


def batch_of(numbers: range, make: Callable[[int], dict[str, Any]]) -> bytes:
    """Return the NDJSON of messages."""
    return b"\n".join([_encode(make(number)) for number in numbers])


def marketing(number: int) -> dict[str, Any]:
    """Return one segment of advertising."""
    return {
        "to": f"+49172{number:07d}",
        "text": "Gold cards are free for the first year, with 5% on all you buy.",
        "sender": "Bank",
        "traffic_class": "marketing",
    }


async def run(task: Task) -> Answer:
    """Do it."""
    door, answer = Door(task.port, task.connections), Answer()
    await door.open()
    begun_s = perf_counter()
    if task.what == "posts":
        await _posts(door, task, answer)
    else:
        await _paced(door, task, answer)
    answer.seconds = perf_counter() - begun_s
    return answer


async def _posts(door: Door, task: Task, answer: Answer) -> None:
    end_s, numbers = perf_counter() + task.seconds, iter(range(1 << 30))

    async def feed() -> None:
        while perf_counter() < end_s:
            begun_s = perf_counter()
            status, _ = await door.post(
                "/v1/messages", "application/json", _encode(traffic.code(next(numbers)))
            )
            answer.latency_ms.append((perf_counter() - begun_s) * 1000)
            answer.accepted += status == 202
            answer.refused += status != 202

    await asyncio.gather(*(feed() for _ in range(task.connections)))


async def _paced(door: Door, task: Task, answer: Answer) -> None:
    """Send at times fixed before, whether or not the one before was answered."""
    make = marketing if task.what == "marketing" else traffic.message

    async def send(number: int, meant_s: float) -> None:
        if task.what == "codes":
            status, _ = await door.post("/v1/messages", "application/json", _encode(traffic.code(number)))
            taken = int(status == 202)
            wanted = 1
        else:
            first = number * task.batch
            body = batch_of(range(first, first + task.batch), make)
            _, told = await door.post("/v1/messages:batch", "application/x-ndjson", body)
            taken, wanted = told.count(b'"message_id"'), task.batch
        answer.latency_ms.append((perf_counter() - meant_s) * 1000)
        answer.accepted += taken
        answer.refused += wanted - taken

    begun_s, begun_us = perf_counter(), time.time_ns() // 1000
    async with asyncio.TaskGroup() as group:
        for number in range(int(task.seconds * task.per_s)):
            meant_s = number / task.per_s
            await asyncio.sleep(max(0.0, begun_s + meant_s - perf_counter()))
            answer.asked_us.append(begun_us + int(meant_s * 1e6)) if task.what == "codes" else None
            group.create_task(send(number, begun_s + meant_s))


CLIENT: Final = "bench.clients.http"

if __name__ == "__main__":
    told = uvloop.run(run(msgspec.json.decode(sys.argv[1], type=Task)))
    print(_encode(told).decode(), flush=True)
