"""POST /v1/messages:batch as application/x-ndjson: a line a message, a line a result, in the same order.

Memory is flat whatever the body's size: what was read is admitted in slices, and not more is read until their
results were written. Results come while the body still comes: who sends all of it without reading them will
find the connection full. A bad line costs only itself; a line too long is dropped as it comes.

What messages do not say themselves may stand in the query: ``?defaults={"sender":"Bank"}``.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

from aiohttp import web

from dispatcher._ext.http import count_of
from dispatcher.ingest.bodies import NO_DEFAULTS, Defaults, answers, encoder, read_defaults, read_lines
from dispatcher.ingest.intake import REST_SHARE, SLICE, slices
from dispatcher.ingest.problems import SERVER, ProblemError, problem
from dispatcher.ingest.service import NDJSON, Call, check_encoding, go_on
from dispatcher.model import Accepted, Refused

SLICES_MAX: Final = 4
"""Under way at a time: a commit is waited for while the next slices are read."""

NEWLINE: Final = ord("\n")
PIECE_OCTETS: Final = 64 << 10
"""Decoded in one turn of the loop, with a rest that is short: some 400 messages, a fifth of a millisecond."""


class Lines:
    """Cuts octets into pieces of whole lines. For a line that is longer than `line_max` stands a refusal, and
    none of its octets are kept."""

    def __init__(self, line_max: int) -> None:
        self._line_max = line_max
        self._rest = b""
        self._is_skipping = False

    def feed(self, octets: bytes) -> list[bytes | Refused]:
        """Take what came; return the lines that became whole, many a piece."""
        if self._is_skipping:
            _, newline, octets = octets.partition(b"\n")
            self._is_skipping = not newline
        octets = self._rest + octets
        whole = octets.rfind(b"\n") + 1
        self._rest = octets[whole:]
        pieces = list(self._cut(octets[:whole]))
        if len(self._rest) > self._line_max:
            pieces.append(self._too_long())
            self._is_skipping, self._rest = True, b""
        return pieces

    def end(self) -> list[bytes | Refused]:
        """Return the last line, if no newline ended it."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []

    def _cut(self, lines: bytes) -> Iterator[bytes | Refused]:
        most = min(PIECE_OCTETS, self._line_max + 1)  # so that what is cut off holds no line too long
        whole = min(PIECE_OCTETS + PIECE_OCTETS // REST_SHARE, self._line_max + 1)
        start = 0
        while start < len(lines):
            end = lines.rfind(b"\n", start, start + (whole if len(lines) - start <= whole else most)) + 1
            if not end:
                end = lines.find(b"\n", start + most) + 1
                too_long = end - start > self._line_max + 1
                yield self._too_long() if too_long else lines[start:end]
            elif count_of(lines[start:end], NEWLINE) > SLICE:  # of the shortest, which are wrong all of them
                rest = lines[start:end]
                while rest:
                    *some, rest = rest.split(b"\n", SLICE)
                    yield b"\n".join(some) + b"\n"
            else:
                yield lines[start:end]
            start = end

    def _too_long(self) -> Refused:
        return Refused("line_too_long", f"a line has up to {self._line_max:,} octets")


Taking = asyncio.Task[Sequence[Accepted | Refused]]


async def post_stream(call: Call) -> web.StreamResponse:
    """Take a stream of messages; answer a stream of results."""
    request = call.request
    defaults = _defaults(call)
    check_encoding(request)
    await go_on(request)
    headers = {"Content-Type": NDJSON, "X-Request-Id": call.request_id, "Server": SERVER}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    takings: asyncio.Queue[Taking | None] = asyncio.Queue(SLICES_MAX)
    reader = asyncio.get_running_loop().create_task(_read(call, defaults, takings))
    try:
        while (taking := await takings.get()) is not None:
            await response.write(answers(await taking))
        if (refused := await reader) is not None:  # the answer has begun: its last line says why it ends
            await response.write(encoder.encode(problem(refused)) + b"\n")
            response.force_close()
    except BaseException:  # who asked is gone; what was admitted goes its way
        reader.cancel()
        reader.add_done_callback(_forget)
        raise
    await response.write_eof()
    return response


async def _read(call: Call, defaults: Defaults, takings: "asyncio.Queue[Taking | None]") -> Refused | None:
    """Admit lines as they come, so many at a time as one turn may take; None behind the last. Return why it
    ended early."""
    content, source, take = call.request.content, call.caller.source, call.service.intake.take
    lines = Lines(call.service.http.line_max_bytes)
    timeout_s = call.service.http.body_timeout_ms / 1000
    loop = asyncio.get_running_loop()
    octets = b"begin"
    refused = None
    try:
        while octets:
            async with asyncio.timeout(timeout_s):
                octets = await content.readany()
            for piece in lines.feed(octets) if octets else lines.end():
                asked = [piece] if isinstance(piece, Refused) else read_lines(piece, defaults, source)
                for some in slices(asked):
                    await takings.put(loop.create_task(take(call.caller, some)))
                    await asyncio.sleep(0)
    except TimeoutError:
        refused = Refused("too_slow", "no octet of the body came in time")
    except asyncio.CancelledError:
        raise
    except BaseException:
        await takings.put(None)
        raise
    await takings.put(None)
    return refused


def _defaults(call: Call) -> Defaults:
    if (text := call.query("defaults")) is None:
        return NO_DEFAULTS
    found = read_defaults(text.encode("utf-8", "surrogatepass"))
    if isinstance(found, Refused):
        path = f"defaults: $.{found.field}" if found.field else "defaults: $"
        raise ProblemError(found.code, found.detail, path=path, closes=True)
    return found


def _forget(task: "asyncio.Task[Refused | None]") -> None:
    """Ask for the error, so that nobody complains that it was never asked for."""
    if not task.cancelled():
        task.exception()
