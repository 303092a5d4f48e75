"""POST /v1/messages and the JSON form of POST /v1/messages:batch."""

import asyncio
from typing import Final

from aiohttp import web

from dispatcher._ext.http import shape
from dispatcher.ingest.bodies import (
    NO_DEFAULTS,
    answers,
    read_all,
    read_batch,
    read_defaults,
    read_message,
    results,
)
from dispatcher.ingest.intake import SLICE, slices
from dispatcher.ingest.problems import ProblemError, problem, respond
from dispatcher.ingest.service import JSON_TYPES, NDJSON_TYPES, Call, read_body
from dispatcher.ingest.stream import post_stream
from dispatcher.model import Refused, SendRequest

OF_DEFAULTS: Final = 32
"""Commas of a batch that stand between no messages, and more."""


async def post_message(call: Call) -> web.StreamResponse:
    """Take one message: 202 when it is on disk, or a problem."""
    _check_type(call.request, JSON_TYPES)
    body = await read_body(call)
    key = call.request.headers.get("Idempotency-Key")
    if key is not None and len(key := key.strip()) > 1 and key[0] == key[-1] == '"':
        key = key[1:-1]  # a string of structured fields, as the draft wants it; bare ones are common
    asked = read_message(body, NO_DEFAULTS, call.caller.source, key)
    (verdict,) = await call.service.intake.take(call.caller, [asked])
    if isinstance(verdict, Refused):
        return respond(problem(verdict))
    return web.Response(status=202, body=answers([verdict])[:-1], content_type="application/json")


async def post_batch(call: Call) -> web.StreamResponse:
    """Take many: 200 and a result for each in order; of NDJSON, as they come."""
    if call.request.content_type in NDJSON_TYPES:
        return await post_stream(call)
    _check_type(call.request, JSON_TYPES)
    messages = await read_messages(call, call.service.door.batch_max)
    told: list[bytes] = []
    start = 0
    for some in slices(messages):
        await asyncio.sleep(0)  # a slice that is refused as a whole waits for nothing
        verdicts = await call.service.intake.take(call.caller, some)
        told.append(results(verdicts, start))  # by the slice: all at once would take long
        start += len(some)
    body = b'{"results":[' + b",".join(told) + b"]}"
    return web.Response(body=body, content_type="application/json")


async def read_messages(call: Call, most: int) -> list[SendRequest | Refused]:
    """Return the requests of a body {"defaults": {}, "messages": []}, of which `most` may come.

    ProblemError: it is no such thing, or holds more.
    """
    body = await read_body(call)
    depth_max = call.service.http.depth_max
    deepest, names, commas = shape(body, depth_max, most + OF_DEFAULTS)
    if deepest > depth_max:
        raise ProblemError("too_deep", f"JSON is nested {depth_max} deep at most")
    too_many = ProblemError(
        "batch_too_large", f"a JSON body has up to {most:,} messages; application/x-ndjson has any number"
    )
    if commas > most + OF_DEFAULTS:  # or each would get an answer, a hundred times as long
        raise too_many
    await asyncio.sleep(0)  # each of these may take some milliseconds
    batch = read_batch(body, names)
    if isinstance(batch, Refused):
        raise ProblemError(batch.code, batch.detail, path=f"$.{batch.field}" if batch.field else "")
    if len(batch.messages) > most:
        raise too_many
    await asyncio.sleep(0)
    defaults = read_defaults(batch.defaults) if batch.defaults else NO_DEFAULTS
    if isinstance(defaults, Refused):
        path = f"$.defaults.{defaults.field}" if defaults.field else "$.defaults"
        raise ProblemError(defaults.code, defaults.detail, path=path)
    found: list[SendRequest | Refused] = []
    for start in range(0, len(batch.messages), SLICE):
        await asyncio.sleep(0)
        source = call.caller.source
        found += read_all(batch.messages[start : start + SLICE], defaults, source)
    return found


def _check_type(request: web.BaseRequest, types: tuple[str, ...]) -> None:
    if request.content_type not in types:
        raise ProblemError("media_type", f"expected is {types[0]}", closes=True)
