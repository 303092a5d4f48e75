"""What stands in the topics that workers share: records of events and of receipts, and ids of messages.

A record of ``events`` (its partition is the index of the messages that it is about) or of ``receipts``::

    header kind     taken     from here on a worker owns this index; no value
                    events    value: events back to back, laid out as dispatcher.model.Event says
                    carried   value: a MessagePack array of `Carried`
                    strays    value: PARKED events, receipts that their worker knows no message for
    header head     MessagePack, see `Head`

In ``events`` and ``carried`` the field n of an event is the *place* of its message: class << 44 | offset in
the topic of its class. `fence` grows with every owner of an index: a record counts only if its fence is that
of the last ``taken`` before it, so that nobody hears of an owner that was too late. A ``taken`` counts only
if its fence is above the one before it.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final
from zlib import crc32

import msgspec
from msgspec import Struct

from dispatcher.errors import StoreError
from dispatcher.kafka.outbox import Record
from dispatcher.model import Message

TAKEN: Final = b"taken"
EVENTS: Final = b"events"
CARRIED: Final = b"carried"
STRAYS: Final = b"strays"
MESSAGE_ID: Final = "message-id"
"""Header of a record of a class: the id that its sender was told, 32 hexadecimal digits."""
SOURCE: Final = "source"
"""Header of a record of a class that came over HTTP: whose API key it was."""
OFFSET_BITS: Final = 44
INDEX_BITS: Final = 14
_CHECK_BITS: Final = 14
_VERSION_7: Final = 7
_VERSION_8: Final = 8
_VARIANT: Final = 2


class Head(Struct, frozen=True, array_like=True, gc=False):
    """Of each record in topics of workers."""

    version: int
    worker: str
    """Who wrote it."""
    fence: int = 0
    told: int = -1
    """Offset in this partition: outcomes of all records up to here were told by then."""
    strays_ms: int = 0
    """Receipts of others that were written before this time were looked at by then."""
    carriers: dict[int, str] = {}
    """Names of carriers by their number in this record."""
    references: Sequence[tuple[int, int]] = ()
    """(place, reference of concatenation) of long messages that were taken since the record before."""


class Carried(Struct, frozen=True, array_like=True, gc=False):
    """A message that has not ended, with all that has happened to it: what is before it is not needed."""

    place: int
    message: Message
    events: bytes


class Place(Struct, frozen=True, order=True, gc=False):
    """Where the record of a message stands."""

    index: int
    traffic_class: int
    offset: int

    @property
    def number(self) -> int:
        """What stands for it in events of its index."""
        return self.traffic_class << OFFSET_BITS | self.offset


VERSION: Final = 1
_encode_head: Final = msgspec.msgpack.Encoder().encode
_decode_head: Final = msgspec.msgpack.Decoder(Head).decode
encode_carried: Final = msgspec.msgpack.Encoder().encode
_decode_carried: Final = msgspec.msgpack.Decoder(list[Carried]).decode


def record(kind: bytes, head: Head, value: bytes | None, partition: int) -> Record:
    """Return a record for one partition."""
    return Record(b"", value, [("kind", kind), ("head", _encode_head(head))], partition)


def read_head(headers: Sequence[tuple[str, bytes]]) -> tuple[bytes, Head]:
    """Return kind and head of a record. StoreError: it is of another version, or none of ours."""
    found = dict(headers)
    try:
        head = _decode_head(found["head"])
        kind = found["kind"]
    except (KeyError, msgspec.DecodeError) as error:
        raise StoreError(f"a record that no worker wrote: {error}") from None
    if head.version != VERSION:
        raise StoreError(f"a record of version {head.version}; this worker knows {VERSION}")
    return kind, head


def read_carried(value: bytes) -> list[Carried]:
    """Return what a record carries. StoreError: it cannot be read."""
    try:
        return _decode_carried(value)
    except msgspec.DecodeError as error:
        raise StoreError(f"carried messages cannot be read: {error}") from None


def place_of(number: int, index: int) -> Place:
    """Return the place that stands in events of an index."""
    return Place(index, number >> OFFSET_BITS, number & (1 << OFFSET_BITS) - 1)


# ---- ids of messages ----


def id_of_place(place: Place, at_ms: int, topic: str) -> bytes:
    """Return the message_id of a record: a UUIDv7 of its time that says where it stands.

    Whoever reads the record, and however often, gives its message the same id.
    """
    check = crc32(topic.encode()) & (1 << _CHECK_BITS) - 1
    low = (place.traffic_class << INDEX_BITS | place.index) << OFFSET_BITS | place.offset
    return _uuid(at_ms, _VERSION_7, low << _CHECK_BITS | check)


def place_of_id(message_id: bytes, topics: Sequence[str | None]) -> Place | None:
    """Return where the record of a message stands, by its id; None: the id does not say.

    `topics`: by traffic class.
    """
    number = int.from_bytes(message_id, "big")
    if number >> 76 & 0xF != _VERSION_7:
        return None
    low = (number >> 64 & 0xFFF) << 62 | number & (1 << 62) - 1
    check, low = low & (1 << _CHECK_BITS) - 1, low >> _CHECK_BITS
    place = Place(
        low >> OFFSET_BITS & (1 << INDEX_BITS) - 1,
        low >> OFFSET_BITS + INDEX_BITS & 3,
        low & (1 << OFFSET_BITS) - 1,
    )
    topic = topics[place.traffic_class]
    return place if topic is not None and crc32(topic.encode()) & (1 << _CHECK_BITS) - 1 == check else None


def id_of_key(source: str, key: str, body: bytes) -> bytes:
    """Return the message_id of a request with an idempotency key: a UUIDv8, the same at every worker.

    Two workers that are asked the same answer the same, though neither knows of the other.
    """
    its = blake2b(digest_size=16)
    for part in (source.encode(), key.encode(), body):
        its.update(len(part).to_bytes(4, "big") + part)
    number = int.from_bytes(its.digest(), "big")
    return _uuid(number >> 80, _VERSION_8, number & (1 << 74) - 1)


def _uuid(high: int, version: int, low: int) -> bytes:
    """48 bits, the version, 12 bits, the variant, 62 bits."""
    number = (high & (1 << 48) - 1) << 80 | version << 76 | (low >> 62) << 64
    return (number | _VARIANT << 62 | low & (1 << 62) - 1).to_bytes(16, "big")
