"""What the HTTP door costs by itself: NDJSON batches over a socket, behind it a dispatcher that does nothing.

    python -m bench.http_layer [--messages 200000] [--batch 1000] [--pace]

Prints the CPU of the server's process per message, kernel and all: reading, decoding, judging, encoding,
writing. The client is a process of its own. `--pace`: with the limits per number, which are on by default.
"""

import argparse
import asyncio
import json
import multiprocessing
import socket
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import uvloop

from dispatcher.faces import Http
from dispatcher.ingest.keys import KeyRing, make_key, save
from dispatcher.ingest.server import HttpServer
from dispatcher.model import Accepted, Message, SendRequest

LINE = '{"to":"+7900%07d","text":"Your one-time code is 482913. Do not tell it to anyone.","sender":"Bank"}\n'


class Nothing:
    """A door that takes everything and keeps nothing."""

    def __init__(self) -> None:
        message = Message(1, bytes(range(16)), "79001234567", "Bank", "code", 1, 1, 1, 0, 1, 0, (1,))
        self._accepted = Accepted(message)
        self.taken = 0

    async def send(self, requests: Sequence[SendRequest]) -> list[Accepted]:
        """Accept all."""
        self.taken += len(requests)
        return [self._accepted] * len(requests)


def send(port: int, token: str, messages: int, batch: int) -> None:
    """Send batches on one connection, one after the other."""
    with socket.create_connection(("127.0.0.1", port)) as link, link.makefile("rb", 1 << 20) as answers:
        for start in range(0, messages, batch):
            lines = "".join(LINE % number for number in range(start, start + batch)).encode()
            head = (
                f"POST /v1/messages:batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
                f"Content-Type: application/x-ndjson\r\nContent-Length: {len(lines)}\r\n\r\n"
            )
            link.sendall(head.encode() + lines)
            _read_answer(answers, batch)


def _read_answer(answers: Any, batch: int) -> None:
    while answers.readline() != b"\r\n":
        pass
    results = 0
    while size := int(answers.readline(), 16):
        results += answers.read(size).count(b"message_id")
        answers.readline()
    answers.readline()
    assert results == batch


async def measure(folder: Path, messages: int, batch: int, pace: bool) -> float:
    """Return the microseconds of CPU per message."""
    key, token = make_key("bench", "2026-11-24T00:00:00Z")
    save(folder / "keys.json", (key,))
    door = Nothing()
    http = Http(port=0) if pace else Http(port=0, per_number_minute_max=0, per_number_hour_max=0)
    server = HttpServer(cast(Any, door), http, KeyRing(folder / "keys.json"))
    port = await server.start()
    context = multiprocessing.get_context("spawn")

    async def round_of(count: int) -> float:
        client = context.Process(target=send, args=(port, token, count, batch))
        start = time.process_time()
        client.start()
        while client.exitcode is None:
            await asyncio.sleep(0.05)
        assert client.exitcode == 0
        return time.process_time() - start

    idle_s = await round_of(batch)  # starting a process, and the polling for its end
    used_s = await round_of(messages + batch) - idle_s
    assert door.taken == messages + 2 * batch
    await server.stop()
    return used_s / messages * 1e6


def main() -> None:
    """Measure and print one object of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--pace", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        used_us = uvloop.run(measure(Path(folder), given.messages, given.batch, given.pace))
    print(json.dumps({**vars(given), "cpu_us_per_message": round(used_us, 2)}))


if __name__ == "__main__":
    main()
