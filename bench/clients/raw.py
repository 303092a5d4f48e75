"""The physical floor of an event loop: octets of the same sizes over loopback through uvloop, and no SMPP.

What comes in is counted and never looked at; what goes out was made before; one read and one write a wake-up
and connection, in both roles. The nearer to this, the less there is left to take out.

    python -m bench.clients.raw RECEIPTS    the SMSC: prints its port, answers until killed
"""

import asyncio
import sys
from typing import Any, Final, cast

import uvloop

from bench.clients.face import CODES, DESTINATIONS, Absent, Job, Outcome, Span, installed
from dispatcher._ext.pdu import SubmitTemplate
from dispatcher._ext.session import Exchange
from dispatcher._ext.smsc import message_ids
from dispatcher.simulator.behaviour import Receipts
from dispatcher.simulator.receipts import Writer

NAME: Final = "raw octets, uvloop"
READ_MAX: Final = 256 << 10
DELIVER_RESP: Final = 17
"""Octets of a deliver_sm_resp."""


def sizes(receipts: int) -> tuple[int, int]:
    """Return the octets of a message that go up (submit_sm, deliver_sm_resp) and down (the other two)."""
    submit = SubmitTemplate().encode(
        1, b"bank", DESTINATIONS[0].encode(), CODES[0].encode(), registered_delivery=receipts
    )
    smsc = Exchange(window=1, smsc=True)
    smsc.receives = True
    smsc.feed(submit, 0)
    incoming = smsc.take_incoming()
    ids = message_ids(1, 1, 10, 10)
    smsc.answer(incoming, 0, ids)
    answer = len(smsc.outgoing(0))
    if not receipts:
        return len(submit), answer
    form = Writer(Receipts(), True, cast("Any", None)).form(2, 0, 0)
    return len(submit) + DELIVER_RESP, answer + len(form.make(incoming, ids, ids)[0].frame)


class Pipe(asyncio.BufferedProtocol):
    """One connection: for so many octets that came in it writes so many others."""

    def __init__(self, unit_in: int, unit_out: int, most: int) -> None:
        self._unit_in, self._unit_out = unit_in, unit_out
        self._rest = 0
        self._inbox = memoryview(bytearray(READ_MAX))
        self._outbox = memoryview(bytes(unit_out * most))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where to read to."""
        return self._inbox

    def buffer_updated(self, nbytes: int) -> None:
        """Count what came."""
        messages, self._rest = divmod(self._rest + nbytes, self._unit_in)
        if messages:
            self.came(messages)

    def came(self, messages: int) -> None:
        """Answer whole messages."""
        self.write(messages)

    def write(self, messages: int) -> None:
        """Write so many."""
        self._transport.write(self._outbox[: messages * self._unit_out])


class Flood(Pipe):
    """The flooding side of a connection."""

    def __init__(self, job: Job, span: Span) -> None:
        up, down = sizes(job.receipts)
        super().__init__(down, up, job.window)
        self._span = span
        self.in_flight = 0

    def came(self, messages: int) -> None:
        """Count them; fill the window."""
        self._span.count += messages
        self.in_flight -= messages
        if not self._span.over:
            self.fill(messages)

    def fill(self, messages: int) -> None:
        """Write so many."""
        self.in_flight += messages
        self._span.sent += messages
        self.write(messages)


async def _flood(job: Job) -> Outcome:
    loop, span = asyncio.get_running_loop(), Span()
    made = [
        await loop.create_connection(lambda: Flood(job, span), "127.0.0.1", job.port)
        for _ in range(job.binds)
    ]
    loop.call_later(job.warm_s, span.begin)
    loop.call_later(job.warm_s + job.span_s, span.end)
    for _, flood in made:
        flood.fill(job.window)
    while not span.over or any(flood.in_flight for _, flood in made):
        await asyncio.sleep(0.01)
    return span.outcome()


async def _serve(receipts: int) -> None:
    up, down = sizes(receipts)
    server = await asyncio.get_running_loop().create_server(
        lambda: Pipe(up, down, READ_MAX // up + 1), "127.0.0.1", 0
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def version() -> str:
    """Return uvloop's."""
    return installed("uvloop")


def missing() -> Absent | None:
    """Nothing ever is."""


def command(job: Job) -> list[str]:
    """Return the command that floods."""
    return [sys.executable, "-m", "bench.clients", "raw", *job.arguments]


def smsc(receipts: int) -> list[str]:
    """Return the command that answers, and prints its port."""
    return [sys.executable, "-m", "bench.clients.raw", str(receipts)]


def flood(job: Job) -> Outcome:
    """Connect, flood, drain."""
    outcome: Outcome = uvloop.run(_flood(job))
    return outcome


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
