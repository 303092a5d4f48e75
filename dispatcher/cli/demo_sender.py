"""The sending process of ``make demo``: a program that embeds the library, and is killed half-way.

``python -m dispatcher.cli.demo_sender FOLDER PORT`` sends what FOLDER says was not answered yet, and ends
when every message has its outcome. It notes how many were answered, after they were: what a client knows.
"""

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from dispatcher.app import Dispatcher
from dispatcher.config import Config, from_dict
from dispatcher.model import Accepted, EventKind, Refused, SendRequest, TrafficClass

SEGMENTS: Final = int(os.environ.get("DEMO_SEGMENTS", "200000"))
PATTERN: Final = ("authorization",) * 4 + ("transactional",) * 7 + ("service",) * 4 + ("marketing",) * 5
"""Of every twenty messages; those of marketing have two segments, so that twenty have 25."""
MESSAGES: Final = SEGMENTS * len(PATTERN) // 25
BATCH: Final = 500
WINDOW: Final = 100
BINDS: Final = 2
CARRIERS: Final = ("north", "south")
ANSWERED: Final = "answered"
"""The file that holds the number of messages that were answered, as fixed-width lines."""
_TEXTS: Final = {
    "authorization": "Your one-time code is 482913. Do not tell it to anyone.",
    "transactional": "Card *4821: 1,249.90 paid. Available: 18,503.17.",
    "service": "Your card is ready. The branch is open from 9 to 20.",
    "marketing": "Gold cards are free for the first year, with 5% cashback on everything that you buy, and "
    "50 for every friend who joins. Tell them the code FRIDAY before 30.11, terms at example.com/bf",
}


def config(folder: Path, port: int) -> Config:
    """Return the configuration: two carriers; timers of seconds instead of minutes and hours."""
    carrier: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "window": WINDOW,
        "transceivers": BINDS,
        "tps": 1_000_000,
        "receipt_timer_ms": 15_000,
    }
    grace = {"grace_ms": 2_000}
    return from_dict(
        {
            "store": str(folder / "store"),
            "carriers": {
                "north": {**carrier, "system_id": "north"},
                "south": {**carrier, "system_id": "south", "profile": "hex_ids"},
            },
            "routes": [{"carriers": list(CARRIERS), "weights": [1, 1]}],
            "classes": {"transactional": grace, "service": grace},
        }
    )


def request(number: int) -> SendRequest:
    """Return a message. Its key is also the last word of its text, by which the carriers' ledger names it."""
    name = PATTERN[number % len(PATTERN)]
    return SendRequest(
        to=f"+49170{number:07d}",
        text=f"{_TEXTS[name]} m{number}",
        sender="Bank",
        traffic_class=TrafficClass[name.upper()],
        idempotency_key=f"m{number}",
    )


def answered(folder: Path) -> int:
    """Return how many messages the sender knows to be accepted."""
    path = folder / ANSWERED
    lines = path.read_bytes().split() if path.exists() else []
    return int(lines[-1]) if lines else 0


async def send(folder: Path, port: int) -> None:
    """Send, and wait for the outcomes."""
    with (folder / ANSWERED).open("ab", buffering=0) as notes:
        async with Dispatcher(config(folder, port)) as dispatcher:
            for first in range(answered(folder), MESSAGES, BATCH):
                await _accepted(dispatcher, [request(n) for n in range(first, min(first + BATCH, MESSAGES))])
                notes.write(b"%d\n" % min(first + BATCH, MESSAGES))
            await _ended(dispatcher)


async def _accepted(dispatcher: Dispatcher, batch: list[SendRequest]) -> None:
    """Hand over a batch; what is refused because too much is waiting, again later."""
    while batch:
        verdicts = await dispatcher.send(batch)
        batch = list(_again(batch, verdicts))
        if batch:
            await asyncio.sleep(0.1)


def _again(batch: list[SendRequest], verdicts: list[Accepted | Refused]) -> Iterator[SendRequest]:
    for each, verdict in zip(batch, verdicts, strict=True):
        if isinstance(verdict, Refused):
            if not verdict.retry_after_ms:
                raise SystemExit(f"refused: {verdict.detail}")
            yield each


async def _ended(dispatcher: Dispatcher) -> None:
    """Follow the events until every message has its outcome."""
    finished = 0
    async for _, event in dispatcher.events():
        finished += event.kind == EventKind.FINISHED
        if finished == MESSAGES:
            return


if __name__ == "__main__":
    import uvloop

    uvloop.run(send(Path(sys.argv[1]), int(sys.argv[2])))
