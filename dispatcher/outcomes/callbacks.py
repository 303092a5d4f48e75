"""Callbacks of single messages: the address that a message brought along is told of that message alone.

Who came from Kannel gets what Kannel sends: GET, and what dlr_url.py makes of the address. Who gave a
`callback_url` to the API gets what a webhook gets, by POST, unsigned: there is no secret between us.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final, Protocol

import msgspec
from aiohttp.abc import AbstractResolver

from dispatcher import dlr_url
from dispatcher.api import Called, Cursor
from dispatcher.delivery import Place
from dispatcher.faces import Callbacks
from dispatcher.model import EventKind
from dispatcher.outcomes.queue import Item, Policy, host_of
from dispatcher.outcomes.receiver import Answer, Parcel
from dispatcher.outcomes.signature import headers_of
from dispatcher.outcomes.webhook import Caller, envelope, item_of

NAME: Final = "/callbacks"
"""As a receiver; no webhook has a name with a stroke."""
KINDS: Final = (EventKind.SUBMITTED, EventKind.RECEIPTED, EventKind.FINISHED, EventKind.CORRECTED)
"""What dlr_url.wanted may say yes to."""

_encode: Final = msgspec.json.Encoder().encode


class Source(Protocol):
    """Where events with their messages come from: feed.Feed."""

    def calls(
        self, after: Cursor, kinds: Iterable[EventKind], *, follow: bool = True
    ) -> AsyncIterator[tuple[Cursor, list[Called]]]:
        """Yield events behind a cursor of messages that have a callback."""


class CallbackChannel:
    """All callbacks of all messages."""

    def __init__(
        self,
        callbacks: Callbacks,
        source: Source,
        now_ms: Callable[[], int],
        resolver: AbstractResolver | None = None,
    ) -> None:
        self.name = NAME
        self.url = ""
        self.policy = Policy(
            callbacks.parallel,
            retry_first_ms=callbacks.retry_first_ms,
            retry_most_ms=callbacks.retry_most_ms,
            give_up_ms=callbacks.give_up_ms,
            down_after=0,
            host_parallel=callbacks.host_parallel,
        )
        self._source = source
        self._now_ms = now_ms
        self._caller = Caller(callbacks.timeout_ms, callbacks.parallel, callbacks.allow_private, resolver)

    async def read(self, after: Place, follow: bool) -> AsyncIterator[tuple[Place, list[Item]]]:
        """Yield the events that somebody asked for."""
        async for cursor, calls in self._source.calls(after, KINDS, follow=follow):
            yield cursor, [item for each in calls if (item := _item(each)) is not None]

    def parcel(self, item: Item) -> Parcel:
        """Return what is sent where."""
        webhook_id = f"callback_{item.key[0]}-{item.key[1]}_{item.message_id}"
        return Parcel(webhook_id, item.url, envelope(item, False) if item.parts[0] else b"")

    async def call(self, parcel: Parcel, attempt: int) -> Answer:
        """Call it. Somebody's 410 is his alone, and a failure as any other."""
        headers = (
            headers_of((), parcel.webhook_id, self._now_ms() // 1000, parcel.body) if parcel.body else {}
        )
        answer = await self._caller.call(parcel.url, parcel.body, headers)
        return answer._replace(is_gone=False)

    async def close(self) -> None:
        """Close its connections."""
        await self._caller.close()


def _item(called: Called) -> Item | None:
    event, message = called.event, called.message
    callback = message.callback
    if callback is None or (kind := dlr_url.wanted(callback.mask, event)) is None:
        return None
    if not message.source.startswith(dlr_url.SOURCE):
        return item_of(event, _encode(event), callback.url, host_of(callback.url))
    url = dlr_url.expand(callback.url, dlr_url.values_of(kind, event, message))
    return item_of(event, b"", url, host_of(url))
