"""The two clients of the demo: ``python -m dispatcher.cli.demo.client campaign|codes FOLDER URL``.

The key is in DISPATCHER_KEY. A request that fails, because the daemon is dead say, is repeated until it is
answered: with a client_ref that costs nothing. `codes` ends on SIGTERM, `campaign` when all is answered. Both
write what they know to FOLDER.
"""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from dispatcher.cli.demo import traffic

IN_FLIGHT: Final = 16
"""Batches that may be unanswered; more wait, as a client's own queue would."""
AGAIN_S: Final = 0.05
TROUBLE: Final = (aiohttp.ClientError, OSError, asyncio.TimeoutError)
_encode = msgspec.json.Encoder().encode


class Client:
    """What both have in common: a session, and how to repeat."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session
        self.told = traffic.Answers()
        self._down_ms = 0

    def failed(self) -> None:
        """Note when the trouble began."""
        self._down_ms = self._down_ms or _now_ms()

    def worked(self) -> None:
        """Note that it is over."""
        if self._down_ms:
            self.told.outage.append((self._down_ms, _now_ms()))
            self._down_ms = 0

    async def batch(self, numbers: range) -> None:
        """Send a batch until each of it is accepted."""
        left = list(numbers)
        while left:
            body = b"\n".join([_encode(traffic.message(number)) for number in left])
            try:
                async with self.session.post(
                    "/v1/messages:batch", data=body, headers={"Content-Type": "application/x-ndjson"}
                ) as answer:
                    lines = (await answer.read()).splitlines() if answer.status == 200 else []
            except TROUBLE:
                lines = []
            results = [msgspec.json.decode(line) for line in lines if line]
            again = [n for n, result in zip(left, results, strict=False) if not self._accepted(result)]
            left = again + left[len(results) :]
            if left:
                self.failed() if not lines else None
                await asyncio.sleep(AGAIN_S)
            else:
                self.worked()

    def _accepted(self, result: dict[str, Any]) -> bool:
        if "message_id" in result:
            self.told.answered += 1
            self.told.repeated += result.get("is_repeated", False)
            return True
        if not result.get("retry_after_ms"):
            raise SystemExit(f"refused: {result}")
        return False

    async def code(self, number: int, asked_ms: int) -> None:
        """Ask for a code until it is accepted."""
        while True:
            try:
                async with self.session.post("/v1/messages", data=_encode(traffic.code(number))) as answer:
                    body = await answer.read()
                    if answer.status == 202:
                        break
                    if answer.status not in (429, 503):
                        raise SystemExit(f"refused: {answer.status} {body!r}")
            except TROUBLE:
                self.failed()
            await asyncio.sleep(AGAIN_S)
        self.worked()
        self.told.answered += 1
        self.told.repeated += msgspec.json.decode(body).get("is_repeated", False)
        self.told.answer_ms[number] = time.time() * 1000 - asked_ms


async def campaign(client: Client) -> None:
    """Send all, at the rate."""
    loop = asyncio.get_running_loop()
    room = asyncio.Semaphore(IN_FLIGHT)
    started_s = loop.time()
    async with asyncio.TaskGroup() as group:
        for number, first in enumerate(range(0, traffic.MESSAGES, traffic.BATCH)):
            await asyncio.sleep(max(0.0, started_s + number * traffic.BATCH_S - loop.time()))
            await room.acquire()
            task = group.create_task(client.batch(range(first, min(first + traffic.BATCH, traffic.MESSAGES))))
            task.add_done_callback(lambda _: room.release())


async def codes(client: Client) -> None:
    """Ask for codes at times fixed before, until SIGTERM."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    started_s, number = loop.time(), 0
    async with asyncio.TaskGroup() as group:
        while not ended.is_set():
            due_s = started_s + number * traffic.CODE_S
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            asked_ms = int(time.time() * 1000 - (loop.time() - due_s) * 1000)
            client.told.asked_ms.append(asked_ms)
            client.told.answer_ms.append(-1.0)
            group.create_task(client.code(number, asked_ms))
            number += 1


async def main(what: str, folder: Path, url: str) -> None:
    """Run one client, write what it knows."""
    key = os.environ["DISPATCHER_KEY"]
    async with aiohttp.ClientSession(
        url,
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        connector=aiohttp.TCPConnector(limit=32),
        timeout=aiohttp.ClientTimeout(total=30),
    ) as session:
        client = Client(session)
        await (campaign(client) if what == "campaign" else codes(client))
        (folder / f"{what}.json").write_bytes(_encode(client.told))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
