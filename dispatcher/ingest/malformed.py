"""What is no HTTP at all gets a problem, too, where aiohttp lets us answer.

aiohttp parses before any handler of ours runs, and answers what it cannot parse with plain text in which the
offending octets stand. Its protocol has one method for that, which is replaced here. Out of reach stay the
admin port, whose server aiohttp makes by itself, and a chunk of a body that is broken: there the connection
just ends.
"""

import asyncio
from typing import Any, Final

from aiohttp import StreamReader, web
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong

from dispatcher.ingest.problems import ProblemError, problem, respond

_NO_HTTP: Final = "the octets are no HTTP/1.1 request"
_TOO_LONG: Final = "the request line or a header is too long: 8,190 octets are taken"
_TOO_MANY: Final = "too many headers: 64 are taken"


class Exchange(web.RequestHandler):
    """One connection's requests, as aiohttp has them, but for what it says of errors."""

    is_half = False
    """Who asks has shut his side down, and reads what we answer."""
    body: StreamReader | None = None
    """Of the request that was taken up last."""
    is_endless = False
    """The answer under way has no end: it ends when who reads it goes."""

    def eof_received(self) -> bool:  # type: ignore[override]  # aiohttp lets the transport close, always
        """Say whether to keep our side: all that was asked came whole, and some is to be answered yet."""
        if self._messages:
            self.is_half = self._messages[-1][1].is_eof()
        elif self._waiter is None and self.body is not None:  # it does not wait for the next request
            self.is_half = self.body.is_eof() and not self.is_endless
        return self.is_half

    @property
    def is_last(self) -> bool:
        """Whether nothing comes behind the request that is being answered."""
        return self.is_half and not self._messages

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the answer to what cannot be parsed, or to a fault; nothing of the request is in it.

        ConnectionError: an answer has begun already.
        """
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun")
        if status >= 500:
            found = ProblemError("internal", "a bug of ours; the log says where")
        else:
            found = ProblemError("malformed", _why(exc))
        return respond(problem(found.refused), closes=True)


def take_up(
    message: Any, body: StreamReader, exchange: Any, writer: Any, task: "asyncio.Task[None]"
) -> web.BaseRequest:
    """Make a request, as aiohttp does where nobody else does it."""
    exchange.body = body
    return web.BaseRequest(message, body, exchange, writer, task, task.get_loop())


def _why(error: BaseException | None) -> str:
    if isinstance(error, LineTooLong):
        return _TOO_LONG
    said = error.message if isinstance(error, BadHttpMessage) else ""  # its own words, not the sender's
    return _TOO_MANY if said.startswith("Too many headers") else _NO_HTTP
