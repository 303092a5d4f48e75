"""Numbers of streams and carriers: given once, never changed, because rows and events name them by number
only.

Each stands twice, with a CRC: a wrong one would leave what waits in a stream unread, and nobody would notice.
"""

from typing import Final
from zlib import crc32

import apsw

from dispatcher.errors import StoreError

COPIES: Final = 2


def add(connection: apsw.Connection, kind: str, number: int, name: str) -> None:
    """Give a number to a name of a kind: "stream" or "carrier"."""
    crc = checksum(kind, number, name)
    for copy in range(COPIES):
        connection.execute("INSERT INTO name VALUES (?, ?, ?, ?, ?)", (kind, number, copy, name, crc))


def load(connection: apsw.Connection, kind: str) -> dict[str, int]:
    """Return all numbers of a kind by name. StoreError: one of them cannot be read."""
    found = connection.execute("SELECT number, name, crc FROM name WHERE kind = ?", (kind,))
    numbers = {name: number for number, name, crc in found if checksum(kind, number, name) == crc}
    if len(numbers) != max(numbers.values(), default=0):
        raise StoreError(f"a name of a {kind} is damaged: `dispatcher repair` may find it")
    return numbers


def checksum(kind: str, number: int, name: str) -> int:
    """Return the CRC-32 that is stored beside a name."""
    return crc32(f"{kind} {number} {name}".encode(errors="replace"))
