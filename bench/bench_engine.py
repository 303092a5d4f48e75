"""The engine without sockets: a window of 100 between an ESME's exchange and an SMSC's, and what a pool adds.

Run: ``python -m pytest bench/bench_engine.py``. One call is 100 messages. With sockets: `bench.engine`.
"""

import asyncio
from typing import Any, cast

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.clients.face import CODES, DESTINATIONS
from dispatcher._ext.pdu import SubmitTemplate
from dispatcher._ext.receipt import scan_many
from dispatcher._ext.session import Exchange
from dispatcher._ext.smsc import message_ids
from dispatcher.simulator.behaviour import Receipts
from dispatcher.simulator.receipts import Writer
from dispatcher.smpp.connection import Connection
from dispatcher.smpp.events import Bind, BindRequest
from dispatcher.smpp.session import Session

WINDOW = 100


class Smsc:
    """Answers all that it is fed."""

    def __init__(self, receipts: bool) -> None:
        self.exchange = Exchange(window=WINDOW, smsc=True)
        self.exchange.receives = True
        self._form = Writer(Receipts(), True, cast("Any", None)).form(2, 0, 0) if receipts else None

    def answer(self, octets: bytes) -> bytes:
        """Return the responses, and receipts."""
        exchange = self.exchange
        exchange.feed(octets, 0)
        exchange.take_answers()
        incoming = exchange.take_incoming()
        ids = message_ids(1, len(incoming), 10, 10)
        exchange.answer(incoming, 0, ids)
        if self._form is not None and incoming:
            frames = [receipt.frame for receipt in self._form.make(incoming, ids, ids)]
            exchange.push(frames, frames, 0, 0)
        return exchange.outgoing(0)


@pytest.mark.parametrize("receipts", [False, True], ids=["plain", "receipts"])
def test_exchange(benchmark: BenchmarkFixture, receipts: bool) -> None:
    """Push, answer, take; with receipts also parse and acknowledge: both ends in one thread."""
    esme, smsc = Exchange(window=WINDOW), Smsc(receipts)
    esme.receives = True
    handles, frames = list(range(WINDOW)), _frames()

    def once() -> None:
        esme.push(handles, frames, 0, 0)
        esme.feed(smsc.answer(esme.outgoing(0)), 0)
        esme.take_answers()
        if incoming := esme.take_incoming():
            scan_many([each.short_message or b"" for each in incoming])
            esme.answer(incoming)

    benchmark(once)
    assert esme.answered == esme.pushed > 0
    assert esme.received == (esme.answered if receipts else 0)


class Transport:
    """Keeps the last write."""

    written = b""

    def write(self, octets: bytes) -> None:
        """Keep it."""
        self.written = octets

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        """Pass."""

    def get_write_buffer_size(self) -> int:
        """Return nothing."""
        return 0

    def get_extra_info(self, name: str) -> None:
        """Know nothing."""

    def abort(self) -> None:
        """Pass."""


class Owner:
    """Fills up whenever answers come."""

    def __init__(self) -> None:
        self.handles, self.frames = list(range(WINDOW)), _frames()
        self.answered = 0

    def __getattr__(self, name: str) -> Any:
        return lambda *ignored: None

    def on_answers(self, connection: Connection, handles: list[Any], statuses: Any, ids: Any) -> None:
        """Push as many again."""
        self.answered += len(handles)
        connection.push(self.handles, self.frames)


def test_connection(benchmark: BenchmarkFixture) -> None:
    """One read of 100 responses, and the write of 100 submit_sm that follows; the SMSC's end is in it."""

    async def run() -> None:
        session, owner, transport = Session(window=WINDOW, now_ns=0), Owner(), Transport()
        connection = Connection(session, cast("Any", owner), lambda: 0)
        session.bind(Bind(b"bank"), 0)
        connection.connection_made(cast("Any", transport))
        await asyncio.sleep(0)
        peer = Session(smsc=True, window=WINDOW, now_ns=0)
        peer.exchange.feed(transport.written, 0)
        (request,) = peer.react(0)
        assert isinstance(request, BindRequest)
        peer.accept(request.request, 0)
        _read(connection, peer.exchange.outgoing(0))
        connection.push(owner.handles, owner.frames)
        await asyncio.sleep(0)
        smsc = Smsc(False)
        benchmark(lambda: _read(connection, smsc.answer(transport.written)))
        assert owner.answered >= WINDOW
        connection.close("done", abort=True)

    asyncio.run(run())


def _read(connection: Connection, octets: bytes) -> None:
    connection.get_buffer(-1)[: len(octets)] = octets
    connection.buffer_updated(len(octets))


def _frames() -> list[bytes]:
    encode = SubmitTemplate().encode
    pairs = zip(DESTINATIONS[:WINDOW], CODES[:WINDOW], strict=True)
    return [encode(1, b"bank", to.encode(), code.encode(), registered_delivery=1) for to, code in pairs]
