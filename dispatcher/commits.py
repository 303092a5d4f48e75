"""From the buffer of events to the journal: when a commit is asked for, and who hears of it.

Law: what is durable is told after the commit that holds it has returned, synced; in the order of asking.

A commit has a price of its own (a thread woken, a sync, callbacks), whatever is in it. So what nobody is kept
waiting by is gathered for some milliseconds; it goes along at once with whatever cannot wait.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from dispatcher._ext.events import EventBuffer
from dispatcher.errors import MovedError, StoreError
from dispatcher.store.journal import Journal, Row
from dispatcher.store.records import EVENTS_STREAM

GATHER_S: Final = 0.005
"""For so long events are gathered that nobody is kept waiting by: less than most carriers take to answer."""

Waiter = tuple[Callable[[], object], Callable[[], object], Callable[[], object] | None]
"""What is called when something is durable, what if it never will be, and what if it is about a message that
is another worker's by now; None: the first."""


def _nothing() -> None:
    """Who waited for durability is not concerned when it never comes."""


class Commits:
    """Gives what stands in `events` to the journal. For the thread of the loop."""

    def __init__(self, journal: Journal, events: EventBuffer) -> None:
        self._journal = journal
        self._events = events
        self._loop = asyncio.get_running_loop()
        self._waiters: list[Waiter] = []
        self._due: asyncio.Handle | None = None
        self._is_soon = False

    def after(
        self,
        done: Callable[[], object],
        lost: Callable[[], object] = _nothing,
        moved: Callable[[], object] | None = None,
        *,
        can_wait: bool = False,
    ) -> None:
        """Call `done` when what was written into `events` so far is durable; `lost` if it never will be;
        `moved`, where it is given, if some of it was about messages that are another worker's by now.

        `can_wait`: nothing stands still until then, so other events may join it.
        """
        self._waiters.append((done, lost, moved))
        if can_wait:
            self.flush_later()
        else:
            self.flush_soon()

    async def wait(self) -> None:
        """Wait until all that has been written so far is durable. StoreError: the journal has failed."""
        durable: asyncio.Future[bool] = self._loop.create_future()
        self.after(partial(_fulfil, durable, True), partial(_fulfil, durable, False))
        if not await durable:
            raise StoreError("the journal has failed; what is not on disk is lost")

    def flush_soon(self) -> None:
        """Give the events to the journal at the end of this turn of the loop."""
        if not self._is_soon:
            if self._due is not None:
                self._due.cancel()
            self._is_soon = True
            self._due = self._loop.call_soon(self.flush)

    def flush_later(self) -> None:
        """The same within GATHER_S."""
        if self._due is None:
            self._due = self._loop.call_later(GATHER_S, self.flush)

    def flush(self) -> None:
        """Give the events to the journal now."""
        if self._due is not None:
            self._due.cancel()
            self._due, self._is_soon = None, False
        count, body = self._events.take()
        waiters, self._waiters = self._waiters, []
        if count or waiters:
            rows = [Row(EVENTS_STREAM, 0, 0, count, body)] if count else []
            try:
                self._journal.append(rows, partial(_tell, waiters))
            except StoreError as error:  # the journal has told why by itself
                _tell(waiters, error)


def _fulfil(durable: asyncio.Future[bool], is_durable: bool) -> None:
    if not durable.done():
        durable.set_result(is_durable)


def _tell(waiters: list[Waiter], error: Exception | None) -> None:
    for done, lost, moved in waiters:
        if error is None:
            done()
        elif isinstance(error, MovedError):
            (moved or done)()
        else:
            lost()
