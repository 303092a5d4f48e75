"""What can be asked of the HTTP door, as a table: what OpenAPI tells of each route.

Law: a route that the server has stands here, and the other way round; a test compares the two.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from dispatcher.api import Checked
from dispatcher.ingest import kannel, openapi
from dispatcher.ingest.bodies import Defaults, MessageAccepted, MessageIn
from dispatcher.ingest.events import SSE
from dispatcher.ingest.lookups import LIMIT_DEFAULT, LIMIT_MAX, MessageOut, Page
from dispatcher.ingest.openapi import JSON, Answer, Operation, Parameter, document
from dispatcher.ingest.problems import STATUSES, Problem
from dispatcher.ingest.service import NDJSON

TEXT: Final = {"type": "string"}
UUID: Final = {"type": "string", "format": "uuid"}
OF_ALL: Final = ("unauthorized", "internal", "malformed")
BODY: Final = ("too_slow", "too_large", "media_type", "too_deep")
"""How a body may be refused as a whole."""
OF_A_MESSAGE: Final = (
    "number_malformed", "number_ambiguous", "sender_not_possible", "text_length", "text_not_encodable",
    "too_many_segments", "no_route", "key_malformed", "ttl_out_of_range", "send_after_malformed",
    "send_after_too_late", "callback_malformed", "callback_not_possible", "duplicate_key",
    "sender_not_allowed", "class_not_allowed",
    "idempotency_conflict", "rate_limited", "number_limited", "overloaded", "closing", "store_failed",
    "batch_too_large",
)  # fmt: skip


class BatchBody(Struct, forbid_unknown_fields=True):
    """Messages, and what those that do not say it themselves have in common."""

    messages: list[MessageIn]
    defaults: Defaults | None = None


def _results(good: type) -> dict[str, Any]:
    results = {"type": "array", "items": {"anyOf": [good, Problem]}}
    return {"type": "object", "required": ["results"], "properties": {"results": results}}


EXAMPLE: Final = {
    "to": "+491701234567", "sender": "Bank", "text": "Your code is 4711", "traffic_class": "authorization",
}  # fmt: skip
_BATCH: Final = {
    "defaults": {"sender": "Bank"}, "messages": [{"to": "+491701234567", "text": "Your code is 4711"}],
}  # fmt: skip
_CANCELLED: Final = {
    "type": "object", "required": ["cancelled"], "properties": {"cancelled": {"const": True}},
}  # fmt: skip
_ID: Final = Parameter("id", "path", UUID, "message_id")
_KEY: Final = Parameter(
    "Idempotency-Key", "header", {"type": "string", "minLength": 1, "maxLength": 64},
    "The same key with the same body again is the same message.",
)  # fmt: skip
_CURSOR: Final = {"type": "string", "pattern": "^[0-9]{1,15}-[0-9]{1,9}$"}
_DEFAULTS: Final = Parameter(
    "defaults", "query", TEXT, "Of NDJSON: Defaults as JSON, for what messages do not say themselves."
)

OPERATIONS: Final = (
    Operation(
        "POST", "/v1/messages", "sendMessage", "Send one message",
        (Answer(202, "It is on disk, and will reach exactly one outcome.", {JSON: MessageAccepted}),),
        BODY + OF_A_MESSAGE, (_KEY,), {JSON: MessageIn}, example=EXAMPLE,
    ),
    Operation(
        "POST", "/v1/messages:batch", "sendMessages", "Send many",
        (Answer(200, "One result for each, in order.", {JSON: _results(MessageAccepted), NDJSON: TEXT}),),
        (*BODY, "duplicate_key", "batch_too_large"), (_DEFAULTS,), {JSON: BatchBody, NDJSON: TEXT},
        "NDJSON: a MessageIn a line, a MessageAccepted or a Problem a line, as they come, at any length; "
        "read the answer while you send. JSON holds up to limits.batch_max messages.",
        example=_BATCH,
    ),
    Operation(
        "POST", "/v1/messages:check", "checkMessages", "Say what would become of messages, and send none",
        (Answer(200, "One result for each, in order.", {JSON: _results(Checked)}),),
        (*BODY, "duplicate_key", "batch_too_large"), bodies={JSON: BatchBody},
        example=_BATCH,
    ),
    Operation(
        "GET", "/v1/messages", "findMessages", "Find messages by client_ref or by number, newest first",
        (Answer(200, "A page.", {JSON: Page}),),
        parameters=(
            Parameter("client_ref", "query", TEXT, "This or `to`, one of them."),
            Parameter("to", "query", TEXT, "The digits of E.164."),
            Parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX,
                                         "default": LIMIT_DEFAULT}),
            Parameter("before", "query", UUID, "`before` of the page before."),
        ),
    ),
    Operation(
        "GET", "/v1/messages/{id}", "getMessage", "One message: its state, segments and events",
        (Answer(200, "What is known of it.", {JSON: MessageOut}),), ("not_found",), (_ID,),
    ),
    Operation(
        "POST", "/v1/messages/{id}:cancel", "cancelMessage", "Take back a message that waits",
        (Answer(200, "It ends as cancelled.", {JSON: _CANCELLED}),), ("not_found", "not_cancellable"), (_ID,),
    ),
    Operation(
        "GET", "/v1/events", "getEvents", "What happened, from any place on",
        (Answer(200, "An EventOut a line, or as server-sent events.", {NDJSON: TEXT, SSE: TEXT}),),
        parameters=(
            Parameter("after", "query", _CURSOR, "`id` of the last event seen; 0-0: from the start."),
            Parameter("since", "query", {"type": "string", "format": "date-time"}, "From this time on."),
            Parameter("types", "query", TEXT, "Separated by commas; without, all."),
            Parameter("follow", "query", {"enum": ["true", "false"]}, "Go on with what comes; so does SSE."),
            Parameter("Last-Event-ID", "header", _CURSOR, "Of SSE: wins over `after`."),
        ),
    ),
    Operation(
        "GET", openapi.DOCUMENT_PATH, "getDocument", "This document",
        (Answer(200, "It.", {JSON: {"type": "object"}}),), is_public=True,
    ),
    Operation(
        "GET", openapi.PAGE_PATH, "getPage", "This document, to be read",
        (Answer(200, "A page.", {"text/html": TEXT}),), is_public=True,
    ),
    Operation(
        "GET", openapi.SCRIPT_PATH, "getScript", "What shows it",
        (Answer(200, "RapiDoc.", {"text/javascript": TEXT}),), is_public=True,
    ),
)  # fmt: skip


_HTML: Final = {"text/html": TEXT}
_SENDSMS: Final = (
    Answer(202, "0: Accepted for delivery, or 3: Queued for later delivery.", _HTML),
    Answer(400, "A field is wrong, or cannot be honoured.", _HTML),
    Answer(403, "Authorization failed for sendsms, or Not routable.", _HTML),
    Answer(503, "Temporal failure, try again later.", _HTML),
)
_TO: Final = Parameter("to", "query", TEXT, "Numbers, separated by spaces.")

KANNEL: Final = (
    Operation(
        "GET", kannel.PATH, "getSendsms", "Kannel's sendsms: all in the address", _SENDSMS, is_public=True,
        parameters=tuple(
            _TO if name == "to" else Parameter(name, "query", TEXT)
            for name in ("username", "password", "to", "from", "text", "charset", "coding", "validity",
                         "deferred", "dlr-mask", "dlr-url")
        ),
        description="For those who come from Kannel 1.4.5: same fields, same answers.",
    ),
    Operation(
        "POST", kannel.PATH, "postSendsms", "Kannel's sendsms: the text as the body, fields as headers",
        (*_SENDSMS, Answer(415, "text/html is not supported.", _HTML)), ("too_slow", "too_large"),
        tuple(
            Parameter(f"X-Kannel-{name}", "header", TEXT)
            for name in ("Username", "Password", "To", "From", "Coding", "DLR-Mask", "DLR-Url")
        ),
        {"text/plain": TEXT, "application/x-www-form-urlencoded": {"type": "object"}},
        is_public=True,
    ),
)  # fmt: skip
"""Where users of it are configured."""


def described(version: str, *, with_kannel: bool = False) -> Mapping[str, Any]:
    """Return the document."""
    return document(
        OPERATIONS + KANNEL if with_kannel else OPERATIONS, Problem, STATUSES,
        title="Dispatcher", version=version, of_all=OF_ALL,
        description="Messages in, and what became of them. Errors are RFC 9457 with a stable `code`.",
    )  # fmt: skip
