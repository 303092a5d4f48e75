"""GET /v1/events: what happened, from any cursor on, as NDJSON or as server-sent events.

Who reads is never waited for: each has a reader of the journal of his own, at his own pace. A replay over
days is the same as following: ``after=0-0`` or ``since=2026-11-20T00:00:00Z`` (F94).
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final

from aiohttp import web

from dispatcher.api import ABOUT_MESSAGES, Cursor, EventOut, cursor_of, rfc3339
from dispatcher.convert import did_you_mean
from dispatcher.ingest.bodies import encoder
from dispatcher.ingest.malformed import Exchange
from dispatcher.ingest.problems import SERVER, ProblemError
from dispatcher.ingest.service import NDJSON, Call
from dispatcher.model import EventKind

HEARTBEAT_S: Final = 15.0
"""Proxies close what is silent for 30 s or more."""
SSE: Final = "text/event-stream"
KINDS: Final = {kind.name.lower(): kind for kind in ABOUT_MESSAGES}


async def get_events(call: Call) -> web.StreamResponse:
    """Stream events. Query: after, since, types (comma-separated), follow=true."""
    request, query = call.request, call.query
    is_sse = SSE in request.headers.get("Accept", "")
    kinds = _kinds(query("types") or "")
    since = _since(query("since"))
    after = _cursor(request.headers.get("Last-Event-ID") if is_sse else None, query("after"))
    follow = _follow(query("follow"), is_sse)
    if isinstance(exchange := request.protocol, Exchange):
        follow = exchange.is_endless = follow and not exchange.is_half
    if since is not None and after is None:
        after = await call.service.door.feed.cursor_at(since)
    since_at = rfc3339(since) if since is not None else ""
    headers = {"Content-Type": SSE if is_sse else NDJSON, "Cache-Control": "no-store"}
    response = web.StreamResponse(headers=headers | {"X-Request-Id": call.request_id, "Server": SERVER})
    await response.prepare(request)
    caller = call.caller
    slices = call.service.door.feed.read(after or (0, 0), kinds, follow=follow)
    async for events in _with_heartbeats(slices, call.service.closing):
        if events is None:
            await response.write(b": still here\n\n" if is_sse else b"\n")
            continue
        seen = [
            each
            for each in events
            if each.at >= since_at
            and (caller.may_read_all or (each.source == caller.source and caller.source != ""))
        ]
        if seen:
            await response.write(_as_sse(seen) if is_sse else encoder.encode_lines(seen))
        await asyncio.sleep(0)
    await response.write_eof()
    return response


async def _with_heartbeats(
    slices: AsyncIterator[tuple[Cursor, list[EventOut]]], closing: asyncio.Event
) -> AsyncIterator[list[EventOut] | None]:
    """Yield slices, and None when nothing came for a while; end when the server does."""
    loop = asyncio.get_running_loop()
    end = loop.create_task(closing.wait())
    coming: asyncio.Task[tuple[Cursor, list[EventOut]]] | None = None
    try:
        while not closing.is_set():
            if coming is None:
                coming = loop.create_task(_next(slices))
            await asyncio.wait({coming, end}, timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED)
            if coming.done():
                try:
                    _, events = coming.result()
                except _EndError:
                    return
                finally:
                    coming = None
                yield events
            elif not closing.is_set():
                yield None
    finally:
        end.cancel()
        if coming is not None:
            coming.cancel()


class _EndError(Exception):
    """Nothing more comes."""


async def _next(slices: AsyncIterator[tuple[Cursor, list[EventOut]]]) -> tuple[Cursor, list[EventOut]]:
    try:
        return await anext(slices)
    except StopAsyncIteration:
        raise _EndError from None


def _as_sse(events: list[EventOut]) -> bytes:
    parts = bytearray()
    for event in events:
        parts += b"id: %b\nevent: %b\ndata: " % (event.id.encode(), event.type.encode())
        parts += encoder.encode(event)
        parts += b"\n\n"
    return bytes(parts)


def _kinds(text: str) -> frozenset[EventKind]:
    names = [name.strip().removeprefix("message.") for name in text.split(",") if name.strip()]
    for name in names:
        if name not in KINDS:
            raise ProblemError("malformed", f"no such type{did_you_mean(name, KINDS)}", path="types")
    return frozenset(KINDS[name] for name in names) or ABOUT_MESSAGES


def _cursor(last_id: str | None, after: str | None) -> Cursor | None:
    text = last_id or after
    if text is None:
        return None
    try:
        cursor = cursor_of(text)
    except ValueError as error:
        raise ProblemError("malformed", str(error), path="after") from None
    if max(cursor) >= 1 << 62:
        raise ProblemError("malformed", "no such cursor", path="after")
    return cursor


def _since(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))  # an unescaped + of a query is a blank
        if moment.tzinfo is None:
            raise ValueError
        return max(0, int(moment.timestamp() * 1000))
    except (ValueError, OverflowError):
        raise ProblemError("malformed", "a time as 2026-11-24T10:00:00Z is expected", path="since") from None


def _follow(text: str | None, is_sse: bool) -> bool:
    if text not in (None, "", "true", "false", "1", "0"):
        raise ProblemError("malformed", "true or false is expected", path="follow")
    return text in ("", "true", "1") or (text is None and is_sse)
