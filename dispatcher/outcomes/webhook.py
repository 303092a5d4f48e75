"""Calls over HTTP, as a receiver that may be hostile, slow or broken is called: with a limit on everything.

No redirect is followed, no cookie kept, no proxy of the environment used; of the answer's body at most
BODY_MAX octets are read; TLS is verified; the address is checked where the connection is made.
"""

import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, Protocol, TypeAlias

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver

from dispatcher.api import Cursor, EventOut, cursor_of
from dispatcher.delivery import Place
from dispatcher.faces import Webhook
from dispatcher.model import EventKind
from dispatcher.outcomes.address import ForbiddenAddressError, any_socket, public_socket
from dispatcher.outcomes.queue import Item, Policy
from dispatcher.outcomes.receiver import Answer, Parcel
from dispatcher.outcomes.signature import headers_of

BODY_MAX: Final = 64 << 10
"""Octets of an answer's body that are read, so that its connection can be used again; more: it is closed."""
HEADER_MAX: Final = 8 << 10
"""Octets of one line of an answer's head."""
DNS_TTL_S: Final = 10
"""How long a looked-up name is remembered; each connection is checked all the same."""
AGENT: Final = "dispatcher"
DOWN_AFTER: Final = 10
"""Failures in a row after which a webhook counts as down: a restart of its server is not noticed."""
GONE: Final = 410

_encode: Final = msgspec.json.Encoder().encode


Resolver: TypeAlias = AbstractResolver
"""Looks names up; a test has its own."""


class Source(Protocol):
    """Where events come from: feed.Feed."""

    def read(
        self, after: Cursor, kinds: Iterable[EventKind], *, follow: bool = True
    ) -> AsyncIterator[tuple[Cursor, list[EventOut]]]:
        """Yield slices of events behind a cursor, each with the cursor behind it."""


class WebhookChannel:
    """A configured webhook: what it wants to know, how it is told. `name` differs for a replay."""

    def __init__(
        self,
        name: str,
        webhook: Webhook,
        secrets: Sequence[bytes],
        source: Source,
        now_ms: Callable[[], int],
        resolver: Resolver | None = None,
    ) -> None:
        self.name = name
        self.url = webhook.url
        self.policy = Policy(
            webhook.parallel,
            webhook.batch_max,
            webhook.retry_first_ms,
            webhook.retry_most_ms,
            webhook.give_up_ms,
            DOWN_AFTER,
        )
        self._label = name.partition("/")[0].replace(".", "_")
        self._kinds = tuple(EventKind[each.upper()] for each in webhook.events)
        self._sources = frozenset(webhook.sources)
        self._classes = frozenset(webhook.traffic_classes)
        self._is_batch = webhook.batch_max > 1
        self._secrets = tuple(secrets)
        self._source = source
        self._now_ms = now_ms
        self._caller = Caller(webhook.timeout_ms, webhook.parallel, webhook.allow_private, resolver)

    async def read(self, after: Place, follow: bool) -> AsyncIterator[tuple[Place, list[Item]]]:
        """Yield the events that it wants to know."""
        async for cursor, events in self._source.read(after, self._kinds, follow=follow):
            yield cursor, [self._item(event) for event in events if self._wants(event)]

    def parcel(self, item: Item) -> Parcel:
        """Sign nothing yet: the time of a signature is that of the call."""
        return Parcel(self._id(item), "", envelope(item, self._is_batch))

    async def call(self, parcel: Parcel, attempt: int) -> Answer:
        """Post it, signed."""
        headers = headers_of(self._secrets, parcel.webhook_id, self._now_ms() // 1000, parcel.body)
        return await self._caller.call(self.url, parcel.body, headers)

    async def close(self) -> None:
        """Close its connections."""
        await self._caller.close()

    def _wants(self, event: EventOut) -> bool:
        return (not self._sources or event.source in self._sources) and (
            not self._classes or event.traffic_class in self._classes
        )

    def _item(self, event: EventOut) -> Item:
        return item_of(event, _encode(event))

    def _id(self, item: Item) -> str:
        """The same over retries and restarts; the message's id keeps it apart from that of another store."""
        count = f"_{len(item.parts)}" if self._is_batch else ""
        return f"{self._label}_{item.key[0]}-{item.key[1]}_{item.message_id}{count}"


def item_of(event: EventOut, part: bytes, url: str = "", host: str = "") -> Item:
    """Return a fresh delivery of an event. The last 40 bits of a message_id are the message's number."""
    return Item(
        cursor_of(event.id),
        [int(event.message_id[-10:], 16)],
        host,
        parts=[part],
        message_id=event.message_id,
        type=event.type,
        at=event.at,
        url=url,
    )


def envelope(item: Item, is_batch: bool) -> bytes:
    """Return the body, as Standard Webhooks lays it out."""
    kind = "message.events" if is_batch else item.type
    data = b"[" + b",".join(item.parts) + b"]" if is_batch else item.parts[0]
    return f'{{"type":"{kind}","timestamp":"{item.at}","data":'.encode() + data + b"}"


class Caller:
    """Makes calls; connections are kept for the next ones."""

    def __init__(
        self,
        timeout_ms: int,
        parallel: int,
        allow_private: bool,
        resolver: Resolver | None = None,
        contexts: ssl.SSLContext | None = None,
    ) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_ms / 1000)
        self._parallel = parallel
        self._socket = any_socket if allow_private else public_socket
        self._resolver = resolver
        self._tls = contexts
        self._session: aiohttp.ClientSession | None = None

    async def call(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Post a body, or get where there is none; say what came of it."""
        try:
            async with self._open().request(
                "POST" if body else "GET",
                url,
                data=body or None,
                headers=headers | {"Content-Type": "application/json"} if body else headers,
                allow_redirects=False,
            ) as response:
                answer = answer_of(response.status, response.headers.get("Retry-After", ""))
                with suppress(aiohttp.ClientError, TimeoutError, OSError):
                    await _read_away(response)
                return answer
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return Answer(False, why_of(error))

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=self._parallel,
                ttl_dns_cache=DNS_TTL_S,
                resolver=self._resolver or aiohttp.ThreadedResolver(),
                socket_factory=self._socket,
                ssl=self._tls or True,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                max_line_size=HEADER_MAX,
                max_field_size=HEADER_MAX,
                headers={"User-Agent": AGENT},
            )
        return self._session


async def _read_away(response: aiohttp.ClientResponse) -> None:
    left = BODY_MAX
    while left > 0 and (octets := await response.content.read(left)):
        left -= len(octets)
    if left <= 0:
        response.close()


def answer_of(status: int, retry_after: str = "") -> Answer:
    """Return what an HTTP status means. A redirect is a failure: it may lead anywhere."""
    if 200 <= status < 300:
        return Answer(True)
    patience_ms = _milliseconds(retry_after) if status in (429, 503) else 0
    return Answer(False, f"status_{status}", patience_ms, status == GONE)


def _milliseconds(retry_after: str) -> int:
    """Seconds alone: for a date both clocks would have to agree."""
    return int(retry_after) * 1000 if retry_after.isascii() and retry_after.isdecimal() else 0


_WHY: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (aiohttp.ServerTimeoutError, "timeout"),
    (aiohttp.ClientConnectorCertificateError, "certificate"),
    (aiohttp.ClientConnectorSSLError, "tls"),
    (aiohttp.ClientConnectorDNSError, "name_not_found"),
    (aiohttp.InvalidURL, "address_malformed"),
    (TimeoutError, "timeout"),
    (ConnectionRefusedError, "refused"),
    (aiohttp.ClientConnectorError, "not_connected"),
    (aiohttp.ServerDisconnectedError, "connection_lost"),
    (aiohttp.ClientOSError, "connection_lost"),
)
"""Words for what went wrong: an error's own text may name an address, and an address may hold a number."""


def why_of(error: BaseException) -> str:
    """Return the word for an error."""
    cause = getattr(error, "os_error", None)
    if isinstance(cause, ForbiddenAddressError) or isinstance(error, ForbiddenAddressError):
        return "address_forbidden"
    if cause is not None and "not public" in str(cause):  # several addresses: their errors are joined
        return "address_forbidden"
    if isinstance(cause, ConnectionRefusedError):
        return "refused"
    return next((why for kind, why in _WHY if isinstance(error, kind)), "answer_malformed")
