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

from dispatcher.store.projection import PROJECTION, keys_part, message_of, signed, unsigned

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

    def find(
        self, key_hashes: Sequence[int], up_to_n: int, from_n: int = 0
    ) -> dict[int, tuple[int, int]] | None:
        """Return n and body_hash of the newest message of each key that is known; of 0, none.

        None: messages up to that number are not all folded yet; of 0, all that are there will do. What is
        older than `from_n` need not be looked for, and may be told all the same.
        """
        last_n = self._connection.execute("SELECT max(n) FROM message").get or 0
        if last_n < up_to_n:
            return None
        parts = range(keys_part(last_n), keys_part(from_n) + 1)
        found: dict[int, tuple[int, int]] = {}
        for part in reversed(parts):  # the newest last
            for some in _batched(signed(each) for each in key_hashes if each):
                for key, n, record in self._connection.execute(_query(len(some)), (part, *some)):
                    message = message_of(record)
                    if message.key_hash == unsigned(key):  # and not another one with such a hash
                        found[message.key_hash] = n, message.body_hash
        return found


@cache
def _query(count: int) -> str:
    hashes = ",".join("?" * count)
    query = "SELECT hash, n, record FROM lookup JOIN message USING (n) WHERE part = ?"
    return f"{query} AND hash IN ({hashes}) ORDER BY n"


def _batched(keys: Iterable[int]) -> Iterable[list[int]]:
    iterator = iter(keys)
    while some := list(islice(iterator, STATEMENT_KEYS)):
        yield some
