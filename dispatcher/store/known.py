"""Idempotency keys that memory has let go of, asked of the projection: nobody waits while that is folded.

Once more keys came within the window than are remembered, they are asked for on the path of every message. So
this has a connection of its own, for reading, and takes many keys in one statement.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Final

import apsw

from dispatcher.store.projection import PROJECTION, signed, unsigned

STATEMENT_KEYS: Final = 250
"""In one statement: a body of HTTP has some hundred."""
CACHE_KIB: Final = 65_536
"""Of the index in memory: its entries come in no order."""


class KnownKeys:
    """Reads the projection of a store; for one thread. It is there already."""

    def __init__(self, folder: Path) -> None:
        self._connection = apsw.Connection(str(folder / PROJECTION), flags=apsw.SQLITE_OPEN_READONLY)
        self._connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def find(self, key_hashes: Sequence[int], up_to_n: int) -> dict[int, tuple[int, int]] | None:
        """Return n and body_hash of the newest message of each key that is known; of 0, none.

        None: messages up to that number are not all folded yet; of 0, all that are there will do.
        """
        last_n = self._connection.execute("SELECT max(n) FROM message").get
        if (last_n or 0) < up_to_n:
            return None
        found: dict[int, tuple[int, int]] = {}
        for some in _batched(signed(each) for each in key_hashes if each):
            for key_hash, n, body_hash in self._connection.execute(_query(len(some)), some):
                found[unsigned(key_hash)] = n, unsigned(body_hash)
        return found


@cache
def _query(count: int) -> str:
    """Of several messages with one key, SQLite takes body_hash from the row that has the greatest n."""
    keys = f"key_hash IN ({','.join('?' * count)}) AND key_hash != 0"  # the index holds no 0
    return f"SELECT key_hash, max(n), body_hash FROM message WHERE {keys} GROUP BY key_hash"


def _batched(keys: Iterable[int]) -> Iterable[list[int]]:
    iterator = iter(keys)
    while some := list(islice(iterator, STATEMENT_KEYS)):
        yield some
