"""smpp34: Rust under Python, on uvloop; a coroutine a message, as its documentation has it."""

import asyncio
import sys
from typing import Any, Final

from bench.clients.face import CODES, DESTINATIONS, TEXTS, Absent, Job, Outcome, Span, absent, installed

NAME: Final = "smpp34 (Rust, uvloop)"


def version() -> str:
    """Return the installed version."""
    return installed("smpp34")


def missing() -> Absent | None:
    """Say so where it is."""
    return None if version() else absent("smpp34")


def command(job: Job) -> list[str]:
    """Return the command that floods."""
    return [sys.executable, "-m", "bench.clients", "smpp34", *job.arguments]


def flood(job: Job) -> Outcome:
    """Bind, flood, drain."""
    import uvloop

    outcome: Outcome = uvloop.run(_flood(job))
    return outcome


async def _flood(job: Job) -> Outcome:
    import smpp34

    span = Span()
    reported = 0
    texts = [code.encode() for code in CODES]

    async def submit(session: Any, at: int) -> None:
        while not span.over:
            at = (at + job.window) % TEXTS
            span.sent += 1
            await session.submit_sm(DESTINATIONS[at], texts[at], registered_delivery=job.receipts)
            if not job.receipts:
                span.count += 1

    async def receive(session: Any) -> None:
        nonlocal reported
        while True:
            event = await session.next()  # it acknowledges by itself
            if isinstance(event, smpp34.DeliverSmEvent):
                reported += 1
                span.count += 1

    clients = [
        smpp34.Client("127.0.0.1", job.port, job.system_id, "", window_size=job.window)
        for _ in range(job.binds)
    ]
    sessions = [await client.connect() for client in clients]
    loop = asyncio.get_running_loop()
    loop.call_later(job.warm_s, span.begin)
    loop.call_later(job.warm_s + job.span_s, span.end)
    receivers = [loop.create_task(receive(session)) for session in sessions] if job.receipts else []
    await asyncio.gather(*(submit(session, at) for session in sessions for at in range(job.window)))
    while job.receipts and reported < span.sent:
        await asyncio.sleep(0.01)
    for task in receivers:
        task.cancel()
    for session, client in zip(sessions, clients, strict=True):
        await session.unbind()
        await client.stop()
    return span.outcome()
