"""From a record of a topic to a request, or to the reason why not; and what a dead letter says of it.

A record's value is a message as the HTTP API takes it (bodies.MessageIn), as JSON or MessagePack. Headers,
none of which must be there::

    schema            the version of all this: 1; another one is refused, and never guessed at
    content-type      application/json or application/msgpack; else as the configuration says
    idempotency-key   as over HTTP; else its client_ref is one, else its place in the topic
    tenant            who asks, of those that the configuration lists: part of the source
    traceparent       W3C Trace Context: told with the outcome; one that is none is passed over

A record that is read again has the same key, so that a crash between the journal's commit and that of the
offset doubles nothing. Its time is part of the key: a topic that was deleted and made anew begins at 0 again.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from dispatcher.ingest import bodies
from dispatcher.ingest.bodies import CLASSES, NO_DEFAULTS, Defaults
from dispatcher.ingest.problems import problem
from dispatcher.kafka.outbox import Record
from dispatcher.kafka.schema import VERSION
from dispatcher.model import Refused, SendRequest, TrafficClass

_SCHEMA: Final = VERSION.encode()
TYPES: Final = {b"application/json": "json", b"application/msgpack": "msgpack"}
VALUE_MAX: Final = 256 << 10
"""Octets of a record: as of a line over HTTP, a text of 10,000 characters, escaped, and what goes with it."""
DETAIL_MAX: Final = 500
_TRACE: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]{1,64})?")
"""Of any version: a later one may add something behind."""

Asked = SendRequest | Refused


class Fetched(Protocol):
    """A record as aiokafka hands it out."""

    @property
    def topic(self) -> str:
        """Where it was read."""

    @property
    def partition(self) -> int:
        """Of that topic."""

    @property
    def offset(self) -> int:
        """Its place there."""

    @property
    def timestamp(self) -> int:
        """When it was produced, or written, in milliseconds of UTC; -1: nobody said."""

    @property
    def key(self) -> bytes | None:
        """What its partition was chosen by."""

    @property
    def value(self) -> bytes | None:
        """The message."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """What is said about it."""


class Reading(Struct, frozen=True):
    """How records of one topic are read."""

    topic: str
    traffic_class: TrafficClass | None
    """Of all its records; None: each says its own."""
    format: str
    tenants: frozenset[str]
    has_source: bool = False
    """A header `source` says who asks: our own HTTP doors write to this topic, too."""

    @property
    def source(self) -> str:
        """Who asks, where no tenant does."""
        return f"kafka:{self.topic}"


def read_all(records: Sequence[Fetched], reading: Reading) -> list[Asked]:
    """Return what each record asks for; plain ones, JSON without headers, are read in bulk."""
    if reading.format == "json" and all(map(_is_plain, records)):
        values = [record.value for record in records]
        found = bodies.read_all(values, _defaults(reading.traffic_class), reading.source)  # type: ignore[arg-type]
        return [_placed(record, each, reading) for record, each in zip(records, found, strict=True)]
    return [read(record, reading) for record in records]


def _is_plain(record: Fetched) -> bool:
    value = record.value
    return not record.headers and bool(value) and len(value) <= VALUE_MAX and b"\n" not in value  # type: ignore


def read(record: Fetched, reading: Reading) -> Asked:
    """Return the request that a record asks for."""
    value, kind, key, source = record.value, reading.format, None, reading.source
    traceparent = None
    if record.headers:
        headers: Mapping[str, bytes] = dict(record.headers)
        if headers.get("schema", _SCHEMA) != _SCHEMA:
            return Refused("schema_unknown", "this version of the dispatcher knows schema " + VERSION)
        if (type_ := headers.get("content-type")) is not None:
            kind = TYPES.get(type_.partition(b";")[0].strip().lower(), "")
        if (given := headers.get("idempotency-key")) is not None:
            key = given.decode("utf-8", "replace")
        if (given := headers.get("traceparent")) is not None and _TRACE.fullmatch(given):
            traceparent = given.decode("ascii")
        if reading.has_source and (asker := headers.get("source")) is not None:
            source = asker.decode("utf-8", "replace")
        elif reading.tenants and (tenant := headers.get("tenant")) is not None:
            name = tenant.decode("utf-8", "replace")
            if name not in reading.tenants:
                return Refused("tenant_unknown", "the header tenant names nobody of the configuration")
            source = f"{source}:{name}"
    if not value:
        return Refused("malformed", "the record has no value")
    if len(value) > VALUE_MAX:
        return Refused("too_large", f"a record has up to {VALUE_MAX:,} octets")
    if kind == "msgpack":
        value = _as_json(value)
    elif kind != "json":
        return Refused("media_type", "application/json and application/msgpack are taken")
    if value is None:
        return Refused("malformed", "no MessagePack map of texts and numbers")
    found = _placed(
        record, bodies.read_message(value, _defaults(reading.traffic_class), source, key), reading
    )
    if traceparent is not None and isinstance(found, SendRequest):
        return msgspec.structs.replace(found, traceparent=traceparent)
    return found


def _placed(record: Fetched, found: Asked, reading: Reading) -> Asked:
    """Return a request whose class may be here, and that is known again when its record is read again."""
    if isinstance(found, Refused):
        return found
    if reading.traffic_class is not None and found.traffic_class is not reading.traffic_class:
        name = reading.traffic_class.name.lower()
        return Refused("class_not_allowed", f"this topic is for {name}", "traffic_class", found.client_ref)
    if found.client_ref is None and found.idempotency_key is None:
        place = f"{record.partition}:{record.offset}:{record.timestamp}"
        return msgspec.structs.replace(found, idempotency_key=place)
    return found


_OF_CLASS: Final = {each: Defaults(traffic_class=name) for name, each in CLASSES.items()}  # type: ignore[arg-type]


def _defaults(traffic_class: TrafficClass | None) -> Defaults:
    return NO_DEFAULTS if traffic_class is None else _OF_CLASS[traffic_class]


def _as_json(value: bytes) -> bytes | None:
    """Return MessagePack as JSON, so that both are judged by the same reader; None: it cannot be."""
    try:
        found = msgspec.msgpack.decode(value, type=dict[str, Any])
        if any(isinstance(each, bytes) for each in found.values()):  # JSON would make base64 of them
            return None
        return msgspec.json.encode(found)
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError, ValueError, RecursionError):
        return None


def is_late(record: Fetched, request: SendRequest, ttl_ms: int, now_ms: int) -> bool:
    """Whether a record has waited in its topic for longer than its message is worth sending.

    `ttl_ms`: of its class. Times of the future are somebody's wrong clock, and late is nothing.
    """
    if request.send_after_ms or record.timestamp <= 0:
        return False
    return now_ms - record.timestamp > (request.ttl_ms or ttl_ms)


def dead_letter(record: Fetched, refused: Refused) -> Record:
    """Return a record as it is kept for a person: itself, and in its headers why, and where it was.

    The reason holds no number and no text (law 11); the record is the sender's own.
    """
    found = problem(refused)
    headers = [
        *record.headers,
        ("dead-reason", refused.code.encode()),
        ("dead-detail", refused.detail[:DETAIL_MAX].encode()),
        ("dead-topic", record.topic.encode()),
        ("dead-partition", b"%d" % record.partition),
        ("dead-offset", b"%d" % record.offset),
        ("dead-timestamp", b"%d" % record.timestamp),
    ]
    if isinstance(found.path, str):
        headers.append(("dead-path", found.path.encode("utf-8", "replace")))
    key = record.key if record.key is not None else b"%d" % record.offset
    return Record(key, record.value, headers)  # its own time could be past what the topic keeps
