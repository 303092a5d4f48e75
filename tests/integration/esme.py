"""A plain ESME for tests: struct and a stream, nothing of the code under test."""

import asyncio
import contextlib
import struct
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

BIND_RX, BIND_TX, SUBMIT_SM, DELIVER_SM, UNBIND, BIND_TRX, OUTBIND, ENQUIRE_LINK = 1, 2, 4, 5, 6, 9, 0xB, 0x15
RESPONSE = 0x80000000
WAIT_S = 2.0
T = TypeVar("T")


def run(test: Coroutine[Any, Any, T]) -> T:
    """Run a test's coroutine."""
    return asyncio.run(test)


class Got(NamedTuple):
    """One PDU as it came."""

    command: int
    status: int
    sequence: int
    body: bytes

    @property
    def message_id(self) -> bytes:
        """The id of a submit_sm_resp."""
        return self.body.split(b"\0", 1)[0]


class Delivery(NamedTuple):
    """The fields of a deliver_sm."""

    source: bytes
    destination: bytes
    esm_class: int
    data_coding: int
    text: bytes
    tlvs: dict[int, bytes]


def delivery(got: Got) -> Delivery:
    """Read a deliver_sm by the book (SMPP 3.4, 4.6.1)."""
    body, at = got.body, 0

    def string() -> bytes:
        nonlocal at
        end = body.index(b"\0", at)
        value, at = body[at:end], end + 1
        return value

    string()
    at += 2
    source = string()
    at += 2
    destination = string()
    esm_class = body[at]
    at += 3
    string(), string()
    at += 2
    data_coding, length = body[at], body[at + 2]
    at += 3
    text, at = body[at : at + length], at + length
    tlvs = {}
    while at < len(body):
        tag, size = struct.unpack_from(">HH", body, at)
        tlvs[tag] = body[at + 4 : at + 4 + size]
        at += 4 + size
    assert at == len(body)
    return Delivery(source, destination, esm_class, data_coding, text, tlvs)


class Esme:
    """One connection."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.sequence = 0

    async def __aenter__(self) -> "Esme":
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    def send(self, command: int, body: bytes = b"", status: int = 0, sequence: int | None = None) -> int:
        """Write a PDU; return its sequence_number."""
        if sequence is None:
            self.sequence += 1
            sequence = self.sequence
        self.writer.write(struct.pack(">IIII", 16 + len(body), command, status, sequence) + body)
        return sequence

    async def read(self, wait_s: float = WAIT_S) -> Got:
        """Return the next PDU; TimeoutError, IncompleteReadError, ConnectionError."""
        async with asyncio.timeout(wait_s):
            header = await self.reader.readexactly(16)
            length, command, status, sequence = struct.unpack(">IIII", header)
            return Got(command, status, sequence, await self.reader.readexactly(length - 16))

    async def read_some(self, number: int) -> list[Got]:
        """Return the next PDUs."""
        return [await self.read() for _ in range(number)]

    async def silence(self, wait_s: float = 0.15) -> bool:
        """Whether nothing comes for a while, and the connection stays."""
        try:
            async with asyncio.timeout(wait_s):
                await self.reader.readexactly(1)
        except TimeoutError:
            return True
        except (asyncio.IncompleteReadError, ConnectionError):
            return False
        return False

    async def rest(self) -> tuple[bytes, str]:
        """Return all that comes until the end, and whether that was "fin" or "rst"."""
        octets = b""
        try:
            async with asyncio.timeout(WAIT_S):
                while some := await self.reader.read(65_536):
                    octets += some
        except ConnectionResetError:
            return octets + bytes(self.reader._buffer), "rst"  # type: ignore[attr-defined]  # read() drops it
        return octets, "fin"

    async def bind(
        self, system_id: bytes = b"bank", password: bytes = b"", command: int = BIND_TRX, version: int = 0x34
    ) -> Got:
        """Bind; return the answer."""
        body = system_id + b"\0" + password + b"\0\0" + bytes([version, 0, 0]) + b"\0"
        self.send(command, body)
        return await self.read()

    def submit(
        self,
        text: bytes,
        *,
        to: bytes = b"79001234567",
        asked: int = 1,
        esm_class: int = 0,
        data_coding: int = 0,
        tlvs: bytes = b"",
    ) -> int:
        """Write a submit_sm; return its sequence_number."""
        body = b"\0\x05\0bank\0\x01\x01" + to + b"\0" + bytes([esm_class, 0, 0]) + b"\0\0"
        body += bytes([asked, 0, data_coding, 0, len(text)]) + text + tlvs
        return self.send(SUBMIT_SM, body)

    def acknowledge(self, got: Got, status: int = 0) -> None:
        """Answer a deliver_sm."""
        self.send(DELIVER_SM | RESPONSE, b"\0", status, got.sequence)

    async def receipts(self, number: int) -> list[Got]:
        """Return and answer the next deliver_sm, passing over everything else."""
        found: list[Got] = []
        while len(found) < number:
            got = await self.read()
            if got.command == DELIVER_SM:
                self.acknowledge(got)
                found.append(got)
        return found


async def until(condition: Any, wait_s: float = WAIT_S) -> None:
    """Wait until a condition holds: the ledger hears of things a turn of the loop later."""
    async with asyncio.timeout(wait_s):
        while not condition():
            await asyncio.sleep(0.005)
