"""A scripted SMSC, an owner that keeps a ledger, and fast settings: what the tests of the pool stand on.

The SMSC is written with struct and nothing of the code under test, so that its ledger is a second opinion.
"""

import asyncio
import itertools
import struct
import time
from collections.abc import Callable
from ssl import SSLContext
from typing import Any, NamedTuple

from dispatcher._ext.pdu import SubmitTemplate
from dispatcher._ext.session import Incoming
from dispatcher.smpp.account import Account
from dispatcher.smpp.backoff import Backoff
from dispatcher.smpp.connection import Connection
from dispatcher.smpp.pool import Alarm, Pool
from dispatcher.smpp.session import Timers

GENERIC_NACK, SUBMIT, SUBMIT_RESP, DELIVER, DELIVER_RESP = 0x80000000, 4, 0x80000004, 5, 0x80000005
UNBIND, ENQUIRE, ENQUIRE_RESP = 6, 0x15, 0x80000015
BINDS = (1, 2, 9)

FAST = Backoff(
    first_ms=20,
    most_ms=100,
    spacing_ms=10,
    stable_ms=300,
    credentials_ms=400,
    credentials_most_ms=800,
    already_bound_ms=300,
    already_bound_most_ms=600,
    circuit_ms=200,
    circuit_most_ms=400,
    quiet_ms=0,
    ramp_ms=0,
    jitter=0.0,
)
"""Everything sixty times as fast, and no slow start."""
QUICK = Timers(
    session_init_ms=10_000,
    response_ms=20_000,
    enquire_link_ms=0,
    enquire_response_ms=100,
    partial_pdu_ms=200,
    unbind_ms=1_000,
)
"""Long where it ends a bind that a busy machine holds up: a test of such a timer shortens it itself."""

_template = SubmitTemplate()


def frame(token: bytes, destination: bytes = b"79990000000") -> bytes:
    """Return a submit_sm whose text is the token."""
    return _template.encode(1, b"BANK", destination, token)


def to(token: bytes) -> bytes:
    """Return the destination that a token names: t:79990000000:1."""
    return token.split(b":")[1]


def pdu(command_id: int, number: int, status: int = 0, body: bytes = b"") -> bytes:
    """Return a PDU."""
    return struct.pack(">4I", 16 + len(body), command_id, status, number) + body


def deliver(number: int, text: bytes = b"hi") -> bytes:
    """Return a deliver_sm."""
    body = b"\0\1\0011\0\1\0012\0" + b"\0\0\0\0\0\0\0\0\0" + bytes([len(text)]) + text
    return pdu(DELIVER, number, 0, body)


class Got(NamedTuple):
    """A PDU that the SMSC received."""

    command_id: int
    status: int
    number: int
    body: bytes

    @property
    def token(self) -> bytes:
        """The text of a submit_sm made by `frame`: its last octets behind sm_length."""
        return self.body[self.body.index(b"t:") :]


class Link(asyncio.Protocol):
    """One connection at the SMSC's side."""

    def __init__(self, smsc: "Smsc") -> None:
        self.smsc = smsc
        self.bound = 0
        self.lost = False
        self.got: list[Got] = []
        self.raw = b""
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport
        self.smsc.links.append(self)
        self.smsc.attempts.append(time.monotonic_ns())  # the clock of the pool, finer than a loop's
        self.smsc.on_connect(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Note it."""
        self.lost = True

    def data_received(self, data: bytes) -> None:
        """Cut into PDUs and act on them."""
        self.raw += data
        batch: list[Got] = []
        while len(self.raw) >= 16:
            length, *rest = struct.unpack_from(">4I", self.raw)
            if len(self.raw) < length:
                break
            batch.append(Got(rest[0], rest[1], rest[2], self.raw[16:length]))
            self.raw = self.raw[length:]
        self.got += batch
        submits = [got for got in batch if got.command_id == SUBMIT]
        for got in batch:
            if got.command_id in BINDS:
                self.smsc.on_bind(self, got)
            elif got.command_id == ENQUIRE:
                self.smsc.on_enquire(self, got)
            elif got.command_id == UNBIND:
                self.smsc.unbinds += 1
                self.write(pdu(UNBIND | 0x80000000, got.number))
        if submits:
            self.smsc.submits += [got.token for got in submits]
            self.smsc.on_submit(self, submits)

    def write(self, octets: bytes) -> None:
        """Write octets as they are."""
        self.transport.write(octets)

    def accept(self, got: Got, status: int = 0) -> None:
        """Answer a bind."""
        self.bound = 0 if status else got.command_id
        self.write(pdu(got.command_id | 0x80000000, got.number, status, b"" if status else b"smsc\0"))

    def answer(self, submits: list[Got], status: int = 0) -> None:
        """Answer submits: the id is the token behind an m."""
        self.write(
            b"".join(
                pdu(SUBMIT_RESP, got.number, status, b"" if status else b"m" + got.token + b"\0")
                for got in submits
            )
        )

    def count(self, command_id: int) -> int:
        """How many PDUs of a kind came."""
        return sum(got.command_id == command_id for got in self.got)


class Smsc:
    """The carrier. Replace the on_ functions to make it misbehave."""

    def __init__(self) -> None:
        self.links: list[Link] = []
        self.attempts: list[int] = []
        self.submits: list[bytes] = []
        self.unbinds = 0
        self.port = 0
        self.on_connect: Callable[[Link], None] = lambda link: None
        self.on_bind: Callable[[Link, Got], None] = lambda link, got: link.accept(got)
        self.on_submit: Callable[[Link, list[Got]], None] = lambda link, submits: link.answer(submits)
        self.on_enquire: Callable[[Link, Got], None] = lambda link, got: link.write(
            pdu(ENQUIRE_RESP, got.number)
        )
        self._server: Any = None

    async def start(self, context: SSLContext | None = None, **options: Any) -> None:
        """Listen on a free port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Link(self), "127.0.0.1", self.port, ssl=context, **options
        )
        self.port = self._server.sockets[0].getsockname()[1]

    @property
    def sockets(self) -> list[Any]:
        """Those it listens on."""
        return list(self._server.sockets)

    async def stop(self) -> None:
        """Stop listening, cut every connection."""
        self._server.close()
        for link in self.links:
            if not link.lost:
                link.transport.abort()
        await asyncio.sleep(0)

    @property
    def bound(self) -> list[Link]:
        """The connections that are bound."""
        return [link for link in self.links if link.bound and not link.lost]

    @property
    def copies(self) -> int:
        """How many submits were received more than once."""
        return len(self.submits) - len(set(self.submits))


class Ledger:
    """The owner of a pool: writes down what it is told, and submits what is waiting."""

    def __init__(self) -> None:
        self.pool: Pool | None = None
        self.answers: dict[bytes, tuple[int, bytes | None]] = {}
        self.times_answered = 0
        self.late: list[tuple[bytes, int, bytes | None]] = []
        self.unanswered: list[bytes] = []
        self.unsent: list[bytes] = []
        self.incoming: list[tuple[Connection, list[Incoming]]] = []
        self.alarms: list[tuple[Alarm, str]] = []
        self.cleared: list[Alarm] = []
        self.waiting: list[bytes] = []
        self.acknowledge = True

    def on_answers(self, handles: list[Any], statuses: list[int], ids: list[bytes | None]) -> None:
        """Write down, go on."""
        self.times_answered += len(handles)
        self.answers.update(zip(handles, zip(statuses, ids, strict=True), strict=True))
        self.on_room()

    def on_late(self, late: list[tuple[Any, int, bytes | None]]) -> None:
        """Write down."""
        self.late += late

    def on_unanswered(self, handles: list[Any]) -> None:
        """Write down."""
        self.unanswered += handles

    def on_unsent(self, handles: list[Any]) -> None:
        """Write down."""
        self.unsent += handles

    def on_incoming(self, source: Connection, incoming: list[Incoming]) -> None:
        """Write down, and say that it is stored."""
        self.incoming.append((source, incoming))
        if self.acknowledge:
            assert self.pool is not None
            self.pool.acknowledge(source, incoming)

    def on_alarm(self, kind: Alarm, detail: str) -> None:
        """Write down."""
        self.alarms.append((kind, detail))

    def on_clear(self, kind: Alarm) -> None:
        """Write down."""
        self.cleared.append(kind)

    def on_room(self) -> None:
        """Submit what is waiting."""
        if self.waiting and self.pool is not None:
            some = self.waiting[: self.pool.room + 100]  # more than it should take
            taken = self.pool.submit(some, [frame(token) for token in some])
            del self.waiting[:taken]

    def send(self, count: int) -> list[bytes]:
        """Put so many new messages in the queue; return their tokens."""
        tokens = [b"t:%d" % next(_numbers) for _ in range(count)]
        self.waiting += tokens
        self.on_room()
        return tokens

    @property
    def rang(self) -> list[Alarm]:
        """The kinds of alarm, in order."""
        return [kind for kind, _ in self.alarms]


_numbers = itertools.count()


def account(smsc: Smsc, **options: Any) -> Account:
    """Return fast settings for a scripted SMSC."""
    usual: dict[str, Any] = {
        "timers": QUICK,
        "backoff": FAST,
        "host": "127.0.0.1",
        "connect_timeout_ms": 5_000,
    }
    return Account(port=smsc.port, system_id=b"bank", password=b"secret", **(usual | options))


async def start(smsc: Smsc, **options: Any) -> tuple[Pool, Ledger]:
    """Start a pool without waiting for its binds."""
    ledger = Ledger()
    pool = ledger.pool = Pool(account(smsc, **options), ledger, random_source=lambda: 0.5)
    await pool.start()
    return pool, ledger


async def pool_of(smsc: Smsc, **options: Any) -> tuple[Pool, Ledger]:
    """Start a pool, and wait until every bind is up."""
    ledger = Ledger()
    settings = account(smsc, **options)
    pool = ledger.pool = Pool(settings, ledger, random_source=lambda: 0.5)
    await pool.start()
    await until(lambda: sum(state.stage == "bound" for state in pool.snapshot().binds) == len(settings.binds))
    return pool, ledger


async def until(condition: Callable[[], bool], limit_s: float = 10.0) -> None:
    """Wait until something is so; the limit is for broken code, generous for slow machines."""
    end = asyncio.get_running_loop().time() + limit_s
    while not condition():
        assert asyncio.get_running_loop().time() < end, "it did not happen in time"
        await asyncio.sleep(0.002)
