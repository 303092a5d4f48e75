"""Kannel's sendsms for those who come from it: GET and POST /cgi-bin/sendsms, answered as Kannel 1.4.5 does.

A script that sends through Kannel changes the host and goes on: same fields, same statuses, same texts.
`kannel_query.py` has what becomes of each field. What an answer promises is ours: a 202 comes after the
commit. The answers:

==================================================================== ======================================
202 ``0: Accepted for delivery``                                     accepted
202 ``3: Queued for later delivery``                                 accepted; no carrier of its route has a
                                                                     bind just now
403 ``Authorization failed for sendsms``                             no such user, or another password
403 ``Not routable. Do not try again.``                              no route fits
400 ``..., rejected``                                                a field is wrong, or cannot be honoured
503 ``Temporal failure, try again later.``                           too much waits, or the disk is full, or
                                                                     we are stopping; with Retry-After
==================================================================== ======================================

Of several receivers some may be refused, and the others go: an answer says which, by their places in `to`.
A form (application/x-www-form-urlencoded) is taken too, which Kannel refuses: a password in an address ends
in logs. Kannel sends on HEAD as well; we do not.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import blake2b
from hmac import compare_digest
from typing import Final

from aiohttp import web

from dispatcher.errors import OverloadedError, StoreError
from dispatcher.faces import KannelUser
from dispatcher.ingest.kannel_query import DENIED, Answer, Asked, Fields, from_headers, from_query, read
from dispatcher.model import Accepted, Message, Refused, SendRequest

PATH: Final = "/cgi-bin/sendsms"
HEADERS: Final = {"Content-Type": "text/html", "Pragma": "no-cache", "Cache-Control": "no-cache"}
"""As Kannel has them. An answer holds nothing of the request."""
ACCEPTED: Final = Answer(202, "0: Accepted for delivery")
QUEUED: Final = Answer(202, "3: Queued for later delivery")
UNAUTHORIZED: Final = Answer(403, "Authorization failed for sendsms")
NOT_ROUTABLE: Final = Answer(403, "Not routable. Do not try again.")
TEMPORAL: Final = Answer(503, "Temporal failure, try again later.")
RETRY_MS: Final = 1_000
"""What is told who comes while nothing better is known."""

_TEXT_TYPES: Final = ("text/plain", "application/octet-stream")
_FORM: Final = "application/x-www-form-urlencoded"
_HTML: Final = ("text/html", "text/vnd.wap.wml")
_ANSWERS: Final = {
    "no_route": NOT_ROUTABLE,
    "number_malformed": DENIED,
    "number_ambiguous": DENIED,
}
"""Kannel's words for refusals, by their code; others are told in ours."""


Accept = Callable[[Sequence[SendRequest]], Awaitable[Sequence[Accepted | Refused]]]
"""Takes messages; a verdict for each, in order, when they are durable."""


class Kannel:
    """The page /cgi-bin/sendsms, for a router to call; where there is no user it is not to be served.

    `passwords` by username, for each of `users`; `has_bind` tells whether a carrier of a message's route has
    a bind, so that it can go.
    """

    def __init__(
        self,
        users: Mapping[str, KannelUser],
        passwords: Mapping[str, str],
        has_bind: Callable[[Message], bool],
        now_ms: Callable[[], int],
    ) -> None:
        self._users = users
        self._digests = {name: _digest(passwords[name].encode()) for name in users}
        self._has_bind = has_bind
        self._now_ms = now_ms

    def __repr__(self) -> str:
        return f"<Kannel {len(self._users)} users>"

    async def get(self, request: web.BaseRequest, accept: Accept) -> web.Response:
        """Answer a GET: all fields stand in the address."""
        return await self._send(accept, _query(request), "Missing receiver number, rejected")

    async def post(self, request: web.BaseRequest, body: bytes, accept: Accept) -> web.Response:
        """Answer a POST: the body, read by the caller to his limits, is the text and the headers
        X-Kannel-... are the fields; or the body is a form."""
        # As Kannel, a body without a type is octets; aiohttp's own default is the same.
        media_type = request.content_type.lower()
        if media_type == _FORM:
            fields = _query(request)
            fields.update(from_query(body.decode("latin-1")))
            return await self._send(accept, fields, "Missing receiver number, rejected")
        if media_type not in _TEXT_TYPES + _HTML:
            return _response(Answer(400, "Invalid content-type"))
        headers = {name.lower(): value for name, value in request.headers.items()}
        fields = from_headers(headers, media_type, request.charset, body)
        missing = "Missing receiver(s) number(s), rejected"
        return await self._send(accept, fields, missing, is_html=media_type in _HTML)

    async def _send(
        self, accept: Accept, fields: Fields, missing: str, *, is_html: bool = False
    ) -> web.Response:
        username = self._username(fields)
        if username is None:
            return _response(UNAUTHORIZED)
        if is_html and fields.get("to"):
            return _response(Answer(415, "Unsupported content-type, rejected"))
        asked = read(fields, username, self._users[username], self._now_ms(), missing)
        if isinstance(asked, Answer):
            return _response(asked)
        try:
            verdicts = await accept(asked.requests)
        except OverloadedError as error:
            return _response(TEMPORAL, error.retry_after_ms)
        except StoreError:  # its owner tells of it and stops; who sends is asked to come again
            return _response(TEMPORAL, RETRY_MS)
        return self._answer(asked, verdicts)

    def _username(self, fields: Fields) -> str | None:
        """Return who asks, if the password is his; it takes as long for a name that nobody has."""
        name = fields.get("username", fields.get("user", b"")).decode("latin-1")
        password = fields.get("password", fields.get("pass", b""))
        digest = self._digests.get(name)
        is_right = compare_digest(_digest(password), digest or b"\0" * 32)
        return name if is_right and digest is not None else None

    def _answer(self, asked: Asked, verdicts: Sequence[Accepted | Refused]) -> web.Response:
        """Return the one answer to a request that may be many messages."""
        taken = [verdict.message for verdict in verdicts if isinstance(verdict, Accepted)]
        if not taken:
            refused = next(verdict for verdict in verdicts if isinstance(verdict, Refused))
            if refused.retry_after_ms:
                return _response(TEMPORAL, refused.retry_after_ms)
            said = f"{refused.detail[:1].upper()}{refused.detail[1:]}, rejected"
            return _response(_ANSWERS.get(refused.code) or Answer(400, said))
        can_go = any(message.send_after_ms or self._has_bind(message) for message in taken)
        answer = ACCEPTED if can_go else QUEUED
        pairs = zip(asked.places, verdicts, strict=True)
        places = asked.denied + [place for place, verdict in pairs if isinstance(verdict, Refused)]
        denied = [f"#{place}" for place in sorted(places)]
        more = f" Denied receivers are: {' '.join(denied)}" if denied else ""
        return _response(Answer(answer.status, answer.text + more))


def _query(request: web.BaseRequest) -> Fields:
    """Return the fields of the address, from its octets: aiohttp would decode them all as UTF-8."""
    return from_query(request.raw_path.partition("?")[2])


def _digest(octets: bytes) -> bytes:
    """Return octets of the same length for any password, so that comparing tells nothing of that either."""
    return blake2b(octets, digest_size=32).digest()


def _response(answer: Answer, retry_after_ms: int = 0) -> web.Response:
    headers = {**HEADERS, "Retry-After": str(-(-retry_after_ms // 1000))} if retry_after_ms else HEADERS
    return web.Response(status=answer.status, body=answer.text.encode(), headers=headers)
