"""How fast the simulated SMSC is: a flood of submit_sm from one process to a simulator in another.

    python -m bench.simulator [--messages 2000000] [--binds 4] [--window 100] [--receipts] [--tokens]

The flood is the dispatcher's own exchange with nothing behind it. It does about as much work as the
simulator, on the other core, and the figure is that of the slower of the two: so the simulator's own CPU time
stands beside it.
"""

import argparse
import asyncio
import json
import multiprocessing
import platform
import resource
import time
from datetime import UTC, datetime
from multiprocessing.connection import Connection as Pipe
from typing import Any, cast

import uvloop

from dispatcher._ext.pdu import SubmitTemplate
from dispatcher.simulator import Simulator
from dispatcher.smpp.session import Bind, Session

READ_OCTETS = 262_144


def serve(pipe: Pipe, ledger: str) -> None:
    """Run a simulator until the pipe says stop; send its port, then its totals and CPU seconds."""

    async def main() -> None:
        async with Simulator(ledger=ledger) as smsc:
            pipe.send(smsc.port)
            while not pipe.poll():
                await asyncio.sleep(0.05)
            pipe.recv()
            await asyncio.sleep(0.05)
            used = resource.getrusage(resource.RUSAGE_SELF)
            plain = smsc.ledger.plain("")
            pipe.send((plain["accounts"], used.ru_utime + used.ru_stime))

    uvloop.run(main())


class Flood(asyncio.BufferedProtocol):
    """One bind that keeps its window full."""

    def __init__(self, messages: int, window: int, receipts: bool, done: asyncio.Future[None]) -> None:
        self.session = Session(window=window, now_ns=time.monotonic_ns())
        self.exchange = self.session.exchange
        frame = SubmitTemplate().encode(
            1, b"bank", b"79001234567", b"Your one-time code is 482913. Do not tell it to anyone.",
            registered_delivery=int(receipts),
        )  # fmt: skip
        self.frames: list[bytes] = [frame] * window
        self.handles: list[Any] = [None] * window
        self.left = messages
        self.answers_left = messages
        self.receipts_left = messages if receipts else 0
        self.done = done
        self.began = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bind."""
        self.transport = cast("asyncio.Transport", transport)
        self.session.bind(Bind(b"bench"), time.monotonic_ns())
        self.transport.write(self.exchange.outgoing(time.monotonic_ns()))

    def get_buffer(self, sizehint: int) -> memoryview:
        """Read into the exchange."""
        return self.exchange.buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """Answer receipts, refill the window."""
        now_ns = time.monotonic_ns()
        self.exchange.read(nbytes, now_ns)
        if not self.began:
            self.session.react(now_ns)
            self.began = True
        handles, _, _ = self.exchange.take_answers()
        self.answers_left -= len(handles)
        if incoming := self.exchange.take_incoming():
            self.receipts_left -= len(incoming)
            self.exchange.answer(incoming)
        room = min(self.exchange.room, self.left)
        if room:
            full = room == len(self.frames)
            frames = self.frames if full else self.frames[:room]
            self.left -= self.exchange.push(self.handles[:room], frames, 0, now_ns)
        self.transport.write(self.exchange.outgoing(now_ns))
        if self.answers_left <= 0 and self.receipts_left <= 0 and not self.done.done():
            self.done.set_result(None)


async def flood(port: int, messages: int, binds: int, window: int, receipts: bool) -> float:
    """Return the seconds that all of it takes."""
    loop = asyncio.get_running_loop()
    dones = [loop.create_future() for _ in range(binds)]
    began = time.perf_counter()
    for done in dones:
        await loop.create_connection(
            lambda done=done: Flood(messages // binds, window, receipts, done),  # type: ignore[misc]
            "127.0.0.1",
            port,
        )
    await asyncio.gather(*dones)
    return time.perf_counter() - began


def measure(messages: int, binds: int, window: int, receipts: bool, ledger: str) -> dict[str, Any]:
    """Run once; return the figures."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, ledger))
    server.start()
    port = ours.recv()
    seconds = uvloop.run(flood(port, messages, binds, window, receipts))
    ours.send(None)
    accounts, cpu_s = ours.recv()
    server.join()
    totals = accounts["bench"]
    sent = messages // binds * binds
    assert totals["submits"] == totals["responses"][0] == sent, totals
    assert not receipts or totals["acknowledged"][0] == sent, totals
    return {
        "messages": sent,
        "binds": binds,
        "window": window,
        "receipts": receipts,
        "ledger": ledger,
        "seconds": round(seconds, 3),
        "submits_per_s": round(sent / seconds),
        "simulator_cpu_ns_per_submit": round(cpu_s / sent * 1e9),
    }


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=2_000_000)
    parser.add_argument("--binds", type=int, default=4)
    parser.add_argument("--window", type=int, default=100)
    parser.add_argument("--receipts", action="store_true")
    parser.add_argument("--tokens", action="store_true")
    given = parser.parse_args()
    ledger = "tokens" if given.tokens else "counts"
    figures = measure(given.messages, given.binds, given.window, given.receipts, ledger)
    figures |= {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": platform.processor() or platform.machine(),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
