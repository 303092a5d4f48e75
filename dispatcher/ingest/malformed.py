"""What is no HTTP at all gets a problem, too, where aiohttp lets us answer.

aiohttp parses before any handler of ours runs, and answers what it cannot parse with plain text in which the
offending octets stand. Its protocol has one method for that, which is replaced here. Out of reach stay the
admin port, whose server aiohttp makes by itself, and a chunk of a body that is broken: there the connection
just ends.
"""

from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from dispatcher.ingest.problems import ProblemError, problem, respond

_NO_HTTP: Final = "the octets are no HTTP/1.1 request"
_TOO_LONG: Final = "the request line or a header is too long: 8,190 octets are taken"


class Exchange(web.RequestHandler):
    """One connection's requests, as aiohttp has them, but for what it says of errors."""

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
            found = ProblemError("malformed", _TOO_LONG if isinstance(exc, LineTooLong) else _NO_HTTP)
        return respond(problem(found.refused), closes=True)
