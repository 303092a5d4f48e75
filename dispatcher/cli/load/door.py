"""Connections to the daemon's HTTP door for clients that measure: they cost a third of a library's."""

import asyncio
import os


class Door:
    """Connections, each with one request at a time; the API key is in $DISPATCHER_KEY."""

    def __init__(self, port: int, count: int) -> None:
        self._port = port
        self._free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        self._count = count
        self._key = os.environ["DISPATCHER_KEY"]

    async def open(self) -> None:
        """Connect."""
        for _ in range(self._count):
            self._free.put_nowait(await asyncio.open_connection("127.0.0.1", self._port))

    async def post(self, target: str, kind: str, body: bytes) -> tuple[int, bytes]:
        """Return status and body of the answer, which has a length or comes in chunks."""
        reader, writer = await self._free.get()
        writer.write(
            f"POST {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self._key}\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head[9:12])
        if b"transfer-encoding: chunked" in head:
            parts = []
            while size := int(await reader.readuntil(b"\r\n"), 16):
                parts.append((await reader.readexactly(size + 2))[:-2])
            await reader.readexactly(2)
            answer = b"".join(parts)
        else:
            answer = await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r", 1)[0]))
        self._free.put_nowait((reader, writer))
        return status, answer
