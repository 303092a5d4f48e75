"""Messages that come one by one, in one turn of the loop, are accepted together: one admission, one commit.

Nobody waits for it: what is there at the end of the turn goes. With many callers side by side it spares most
of what an accept costs beside its messages.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from dispatcher.model import Accepted, Refused, SendRequest

Verdict = Accepted | Refused
Accept = Callable[[Sequence[SendRequest]], Awaitable[list[Verdict]]]


class Gather:
    """Gives what is gathered to `accept`."""

    def __init__(self, accept: Accept) -> None:
        self._accept = accept
        self._waiting: list[tuple[SendRequest, asyncio.Future[Verdict]]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def one(self, request: SendRequest) -> Verdict:
        """Return the verdict on one message; raises what `accept` raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Verdict] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._go)
        self._waiting.append((request, future))
        return await future

    def _go(self) -> None:
        gathered, self._waiting = self._waiting, []
        task = asyncio.get_running_loop().create_task(self._take(gathered))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take(self, gathered: list[tuple[SendRequest, asyncio.Future[Verdict]]]) -> None:
        try:
            verdicts = await self._accept([request for request, _ in gathered])
        except BaseException as error:
            for _, future in gathered:
                if not future.done():
                    future.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        for (_, future), verdict in zip(gathered, verdicts, strict=True):
            if not future.done():  # else its caller is gone; the message goes its way
                future.set_result(verdict)
