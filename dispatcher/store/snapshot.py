"""Snapshots of what the events up to a row add up to: pieces in the journal's file, so that a restart reads
less.

Law: a snapshot counts when its head stands there, and every piece of it is whole. The head is written last,
each piece in a transaction of its own, so that no commit waits for more than one. The last two are kept: a
damaged one costs time.
"""

from collections.abc import Iterable, Iterator
from typing import Final
from zlib import crc32

import apsw
import msgspec

PIECE_OCTETS: Final = 256 << 10
"""Of one piece: two milliseconds between two commits."""
KEPT: Final = 2
HEAD: Final = 0

_INSERT: Final = "INSERT INTO snapshot (id, part, crc, body) VALUES (?, ?, ?, ?)"


class Snapshot(msgspec.Struct, frozen=True):
    """What was saved: `chunks`, which joined are the octets as they came, and the row that they reach up
    to."""

    seq: int
    at_ms: int
    marks: dict[str, int]
    chunks: list[bytes]


class Head(msgspec.Struct, frozen=True, array_like=True):
    """The part 0 of a snapshot, as msgpack."""

    seq: int
    at_ms: int
    marks: dict[str, int]
    parts: int


def pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same octets in pieces of at most PIECE_OCTETS."""
    for chunk in chunks:
        for start in range(0, len(chunk), PIECE_OCTETS):
            yield chunk[start : start + PIECE_OCTETS]


def newest(connection: apsw.Connection) -> int:
    """Return the id of the newest snapshot, whole or torn; 0 where there is none."""
    found: int = connection.execute("SELECT coalesce(max(id), 0) FROM snapshot").get
    return found


def write_piece(connection: apsw.Connection, snapshot: int, part: int, body: bytes) -> None:
    """Write one part."""
    connection.execute(_INSERT, (snapshot, part, crc32(body), body))


def write_head(connection: apsw.Connection, snapshot: int, head: Head) -> None:
    """Write what makes it whole."""
    write_piece(connection, snapshot, HEAD, msgspec.msgpack.encode(head))


def delete_old(connection: apsw.Connection, most: int) -> int:
    """Delete up to `most` parts of snapshots that are neither kept nor being written; return how many."""
    kept = f"SELECT id FROM snapshot WHERE part = {HEAD} ORDER BY id DESC LIMIT {KEPT}"
    old = (
        f"SELECT rowid FROM snapshot WHERE id < (SELECT max(id) FROM snapshot) AND id NOT IN ({kept}) LIMIT ?"
    )
    connection.execute(f"DELETE FROM snapshot WHERE rowid IN ({old})", (most,))
    return connection.changes()


def load(connection: apsw.Connection) -> Snapshot | None:
    """Return the newest snapshot that is whole, or None."""
    query = f"SELECT id, crc, body FROM snapshot WHERE part = {HEAD} ORDER BY id DESC"
    for snapshot, crc, body in list(connection.execute(query)):
        if crc32(body) == crc:
            head = msgspec.msgpack.decode(body, type=Head)
            if (chunks := _parts(connection, snapshot, head.parts)) is not None:
                return Snapshot(head.seq, head.at_ms, head.marks, chunks)
    return None


def seqs(connection: apsw.Connection) -> list[int]:
    """Return up to which rows the kept snapshots reach, newest first; damaged heads are left out."""
    query = f"SELECT crc, body FROM snapshot WHERE part = {HEAD} ORDER BY id DESC LIMIT {KEPT}"
    heads = (body for crc, body in connection.execute(query) if crc32(body) == crc)
    return [msgspec.msgpack.decode(body, type=Head).seq for body in heads]


def _parts(connection: apsw.Connection, snapshot: int, parts: int) -> list[bytes] | None:
    chunks: list[bytes] = []
    query = "SELECT part, crc, body FROM snapshot WHERE id = ? AND part > 0 ORDER BY part"
    try:
        for part, crc, body in connection.execute(query, (snapshot,)):
            if part != len(chunks) + 1 or crc32(body) != crc:
                return None
            chunks.append(body)
    except apsw.CorruptError:
        return None
    return chunks if len(chunks) == parts else None
