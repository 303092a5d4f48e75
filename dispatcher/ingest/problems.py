"""Errors as RFC 9457 says them: application/problem+json, with a stable `code` for programs.

The status of every code stands in one table.
"""

from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web
from msgspec import UNSET, Struct, UnsetType

from dispatcher.model import Refused

STATUSES: Final[dict[str, int]] = {
    # what is wrong with the request itself
    "malformed": 400,
    "number_malformed": 400,
    "number_ambiguous": 400,
    "sender_not_possible": 400,
    "text_length": 400,
    "text_not_encodable": 400,
    "too_many_segments": 400,
    "no_route": 400,
    "key_malformed": 400,
    "ttl_out_of_range": 400,
    "send_after_malformed": 400,
    "send_after_too_late": 400,
    "callback_malformed": 400,
    "callback_not_possible": 400,
    "duplicate_key": 400,
    "too_deep": 400,
    "unauthorized": 401,
    "sender_not_allowed": 403,
    "class_not_allowed": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "too_slow": 408,
    "not_cancellable": 409,
    "too_large": 413,
    "line_too_long": 413,
    "batch_too_large": 413,
    "media_type": 415,
    "idempotency_conflict": 422,
    # nothing is wrong with it: come again after Retry-After
    "rate_limited": 429,
    "number_limited": 429,
    "too_many_connections": 429,
    "internal": 500,
    "not_implemented": 501,
    "overloaded": 503,
    "closing": 503,
    "store_failed": 503,
}
"""Codes never change their meaning; new ones may come. 429: this sender sends too much; 503: all do."""

FIELDS: Final = {"send_after_ms": "send_after", "callback": "callback_url", "idempotency_key": ""}
"""Fields of SendRequest that have another name in JSON; "": none at all."""
SERVER: Final = "dispatcher"
"""Of every answer: aiohttp would name its version and Python's, for whoever looks for holes in them."""
PROBLEM_JSON: Final = "application/problem+json"


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What was wrong, to programs and to people; no number and no text of a message is in it."""

    type: str = "about:blank"
    title: str = ""
    """The status in words."""
    status: int
    code: str
    """Stable."""
    detail: str
    """For people."""
    path: str | UnsetType = UNSET
    """JSON path of what is at fault: ``$.to``."""
    client_ref: str | UnsetType = UNSET
    retry_after_ms: int | UnsetType = UNSET


class ProblemError(Exception):
    """Raised by a handler: this request ends with this problem."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        path: str = "",
        retry_after_ms: int = 0,
        closes: bool = False,
        allow: str = "",
    ) -> None:
        self.refused = Refused(code, detail, "", None, retry_after_ms)
        self.path = path
        self.closes = closes
        """The connection is of no more use: its body was not read."""
        self.allow = allow
        """Of 405: the methods that would do."""
        super().__init__(code)


_encoder: Final = msgspec.json.Encoder()


def status_of(code: str) -> int:
    """Return the HTTP status of a code."""
    return STATUSES.get(code, 400)


def problem(refused: Refused, path: str | None = None, at: str = "$") -> Problem:
    """Return a refusal as a problem; `path`: what is at fault, None: as its field says, beneath `at`."""
    if path is None:
        field = FIELDS.get(refused.field, refused.field)
        path = f"{at}.{field}" if field else ""
    status = status_of(refused.code)
    return Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        code=refused.code,
        detail=refused.detail,
        path=path or UNSET,
        client_ref=UNSET if refused.client_ref is None else refused.client_ref,
        retry_after_ms=refused.retry_after_ms or UNSET,
    )


def raw(code: str, detail: str, retry_after_ms: int = 0) -> bytes:
    """Return a whole answer, for who has no request yet; its connection is closed then."""
    found = problem(Refused(code, detail, "", None, retry_after_ms))
    body = _encoder.encode(found)
    head = [f"HTTP/1.1 {found.status} {found.title}", f"Content-Type: {PROBLEM_JSON}"]
    head += [f"Retry-After: {-(-retry_after_ms // 1000)}"] if retry_after_ms else []
    head += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return "\r\n".join(head).encode("ascii") + body


def respond(found: Problem, closes: bool = False, allow: str = "") -> web.Response:
    """Return the response that carries a problem."""
    response = web.Response(status=found.status, body=_encoder.encode(found), content_type=PROBLEM_JSON)
    response.headers["Server"] = SERVER
    if found.status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="dispatcher"'
    if isinstance(found.retry_after_ms, int):
        response.headers["Retry-After"] = str(-(-found.retry_after_ms // 1000))
    if allow:
        response.headers["Allow"] = allow
    if closes:
        response.force_close()
    return response
