"""aiosmpplib: pure Python on uvloop, as shipped. Its window is its broker's affair: ours gives out what fits.

Its correlator looks through everything in flight for each message: that is in its figures.
"""

import asyncio
import sys
from typing import Any, Final

from bench.clients.face import CODES, DESTINATIONS, TEXTS, Absent, Job, Outcome, Span, absent, installed

NAME: Final = "aiosmpplib (uvloop)"


def version() -> str:
    """Return the installed version."""
    return installed("aiosmpplib")


def missing() -> Absent | None:
    """Say so where it is."""
    return None if version() else absent("aiosmpplib")


def command(job: Job) -> list[str]:
    """Return the command that floods."""
    return [sys.executable, "-m", "bench.clients", "aiosmpplib", *job.arguments]


def flood(job: Job) -> Outcome:
    """Bind, flood, drain."""
    import uvloop

    outcome: Outcome = uvloop.run(_flood(job))
    return outcome


async def _flood(job: Job) -> Outcome:
    import aiosmpplib
    from aiosmpplib.broker import AbstractBroker

    span = Span()
    source = aiosmpplib.PhoneNumber("bank", ton=aiosmpplib.TON.ALPHANUMERIC)
    destinations = [aiosmpplib.PhoneNumber(to) for to in DESTINATIONS]
    answered = reported = 0

    class Broker(AbstractBroker):  # type: ignore[misc]
        """Gives out a message for each place in the window."""

        def __init__(self) -> None:
            self.room = asyncio.Semaphore(job.window)

        async def enqueue(self, message: Any) -> None:
            """Never called."""

        async def dequeue(self) -> Any:
            """Return the next one."""
            await self.room.acquire()
            if span.over:
                await asyncio.Event().wait()  # for ever: it is stopped
            at = span.sent % TEXTS
            span.sent += 1
            return aiosmpplib.SubmitSm(
                short_message=CODES[at],
                source=source,
                destination=destinations[at],
                log_id=str(span.sent),
                registered_delivery=job.receipts,
            )

    class Hook(aiosmpplib.AbstractHook):  # type: ignore[misc]
        """Hears of answers and receipts."""

        def __init__(self, broker: Broker) -> None:
            self.broker = broker

        async def sending(self, smpp_message: Any, pdu: bytes, client_id: str) -> None:
            """Pass."""

        async def received(self, smpp_message: Any, pdu: bytes, client_id: str) -> None:
            """Count."""
            nonlocal answered, reported
            if isinstance(smpp_message, aiosmpplib.SubmitSmResp):
                answered += 1
                span.count += not job.receipts
                self.broker.room.release()
            elif isinstance(smpp_message, aiosmpplib.DeliverSm):
                reported += 1
                span.count += job.receipts

        async def send_error(self, smpp_message: Any, error: Exception, client_id: str) -> None:
            """Never."""
            raise SystemExit(f"not sent: {error!r}")

    esmes = []
    for _ in range(job.binds):
        broker = Broker()
        esmes.append(
            aiosmpplib.ESME(
                "127.0.0.1",
                job.port,
                job.system_id,
                "",
                hook=Hook(broker),
                broker=broker,
                log_level="CRITICAL",
            )
        )
    loop = asyncio.get_running_loop()
    started = [loop.create_task(esme.start()) for esme in esmes]
    await asyncio.sleep(job.warm_s)
    span.begin()
    await asyncio.sleep(job.span_s)
    span.end()
    while answered < span.sent or (job.receipts and reported < span.sent):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)  # the last acknowledgement follows the hook
    for esme in esmes:
        await esme.stop()
    await asyncio.wait(started, timeout=2)
    return span.outcome()
