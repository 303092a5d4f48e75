"""What records look like, as one JSON Schema made from the types: for who produces and who reads.

Law: it is generated from the very types that read and write, so it cannot say anything else.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

VERSION: Final = "1"
"""Of records in and out: the header `schema`. It changes when a reader of the old one would misunderstand the
new one; a field more is no change for outcomes, and is refused in messages, where a slip would be lost."""

MESSAGE_HEADERS: Final = {
    "schema": f'"{VERSION}"; not there: the same. Another version is refused, to the topic of dead letters',
    "content-type": "application/json or application/msgpack; not there: kafka.format",
    "idempotency-key": "the same key and body again is the same message; not there: client_ref is the key",
    "tenant": "who asks; one of kafka.tenants",
    "traceparent": "W3C Trace Context: comes back with the outcome",
}
OUTCOME_HEADERS: Final = {
    "schema": f'"{VERSION}"',
    "content-type": "as kafka.format says",
    "tenant": "as it came, where kafka.tenants lists it",
    "traceparent": "as it came",
}
DEAD_HEADERS: Final = {
    "dead-reason": "a stable code, as over HTTP; and schema_unknown, media_type, tenant_unknown, expired",
    "dead-detail": "the same for people",
    "dead-path": "JSON path of what is at fault, where there is one",
    "dead-topic": "where the record was",
    "dead-partition": "of that topic",
    "dead-offset": "of that partition",
    "dead-timestamp": "of the record, in milliseconds of UTC",
}


def schema(message: type[Struct], event: type[Struct]) -> dict[str, Any]:
    """Return the schema of messages in, of events out, and of dead letters, with their headers."""
    (of_message, of_event), definitions = msgspec.json.schema_components([message, event])
    letter = {"description": "The record as it came, its headers, and these."}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Records of sms-dispatcher in Kafka",
        "version": VERSION,
        "message": _record(of_message, "the destination: its messages keep their order", MESSAGE_HEADERS),
        "outcome": _record(of_event, "message_id; or client_ref, by kafka.key", OUTCOME_HEADERS),
        "dead_letter": _record(letter, "as it came", DEAD_HEADERS),
        "$defs": definitions,
    }


def _record(value: dict[str, Any], key: str, headers: Mapping[str, str]) -> dict[str, Any]:
    return {**value, "x-key": key, "x-headers": headers}
