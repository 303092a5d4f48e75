"""Rows of the journal: how messages become octets, how rows are joined, and what they are checked by.

A row is a batch of records of one stream. Stream 0 holds events, laid out as in dispatcher.model.Event; every
other stream holds accepted messages, msgpack arrays as in dispatcher.model.Message. In both, records stand
back to back, so that bodies of one stream can be joined: a group commit is a join.
"""

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Final
from zlib import crc32

import msgspec

from dispatcher._ext.pack import Packer
from dispatcher.errors import StoreError
from dispatcher.model import Message

EVENTS_STREAM: Final = 0
"""The stream of all events about all messages."""
ROW_OCTETS_MAX: Final = 1 << 20
"""Of a body made by joining: what a damaged row takes with it, and what a reader holds at a time."""

_ARRAY32: Final = b"\xdd"
_HEAD: Final = Struct("<qqqqqq")
packer: Final = Packer(Message, msgspec.msgpack.Encoder().encode)
"""Of all records of messages."""
_decode: Final = msgspec.msgpack.Decoder(list[Message]).decode


class Row(msgspec.Struct, frozen=True, gc=False):
    """What is appended: `count` records; `first` and `last` are the lowest and highest n in it, 0 for
    events."""

    stream: int
    first: int
    last: int
    count: int
    body: bytes


class StoredRow(msgspec.Struct, frozen=True, gc=False):
    """A row of the journal. `seq` grows by one from row to row; `at_ms` is when it was written."""

    seq: int
    at_ms: int
    stream: int
    first: int
    last: int
    count: int
    body: bytes

    @property
    def holds_messages(self) -> bool:
        """Whether it holds accepted messages: not events, and not octets of others, which have no numbers."""
        return self.stream != EVENTS_STREAM and self.last > 0


def pack_messages(messages: Iterable[Message]) -> bytes:
    """Return the body of a row that holds these messages."""
    return packer.pack(messages)


def unpack_messages(body: bytes, count: int) -> list[Message]:
    """Return the `count` messages of a body; StoreError where it holds anything else."""
    try:
        return _decode(_ARRAY32 + count.to_bytes(4, "big") + body)
    except msgspec.DecodeError as error:
        raise StoreError(f"a body of {len(body)} octets does not hold {count} messages: {error}") from None


def checksum(row: StoredRow) -> int:
    """Return the CRC-32 of all of a row, which is stored beside it."""
    head = _HEAD.pack(row.seq, row.at_ms, row.stream, row.first, row.last, row.count)
    return crc32(row.body, crc32(head))


def join(rows: Sequence[Row]) -> list[Row]:
    """Return the same records in fewer rows: one a stream, or several of at most ROW_OCTETS_MAX.

    Events come last: what was accepted stands before what happened to it.
    """
    open_rows: dict[int, list[Row]] = {}
    octets: dict[int, int] = {}
    joined: list[Row] = []
    for row in rows:
        parts = open_rows.setdefault(row.stream, [])
        size = octets.get(row.stream, 0) + len(row.body)
        if parts and size > ROW_OCTETS_MAX:
            joined.append(_one(parts))
            open_rows[row.stream], size = [row], len(row.body)
        else:
            parts.append(row)
        octets[row.stream] = size
    joined += map(_one, open_rows.values())
    joined.sort(key=_is_events)  # stable: the order within a stream stays
    return joined


def _one(parts: list[Row]) -> Row:
    if len(parts) == 1:
        return parts[0]
    count, body = sum(part.count for part in parts), b"".join([part.body for part in parts])
    return Row(parts[0].stream, parts[0].first, parts[-1].last, count, body)


def _is_events(row: Row) -> bool:
    return row.stream == EVENTS_STREAM
