"""The tails of the queues: read from the journal when heads run low, expired where they lie.

A queue knows how far its stream has been taken into memory (`loaded_n`) and how far it was written
(`tail_n`). What lies between is read in order, `LOAD_OCTETS` at a time. A deadline in there is kept as well
as any other: the queue knows when the first one of a stretch of its tail falls, and that stretch is then
looked through.
"""

import asyncio
from typing import TYPE_CHECKING, Final

from dispatcher.carrier.lane import Lane
from dispatcher.carrier.queue import ClassQueue
from dispatcher.model import Message, Outcome, Reason
from dispatcher.store.records import StoredRow, unpack_messages

if TYPE_CHECKING:
    from dispatcher.pipeline import Pipeline

LOAD_OCTETS: Final = 1 << 20
"""Of the journal in one read: some thousand messages, unpacked a row at a time."""
LOAD_SLICE: Final = 1_000
"""Messages of it taken up in one turn of the loop, which is then free for a moment: some 2 ms (law 12)."""


class Backlog:
    """Reads tails. What it starts runs beside the path, one read at a time a queue."""

    def __init__(self, pipeline: "Pipeline") -> None:
        self._pipeline = pipeline
        self._journal = pipeline.journal
        self._book = pipeline.book

    def load(self, lane: Lane, queue: ClassQueue) -> None:
        """Read on in the stream of a queue."""
        queue.is_loading = True
        self._pipeline.spawn(self._load(lane, queue))

    def expire(self, queue: ClassQueue, now_ms: int) -> None:
        """End what passes its deadline in the journal, long before it would be read."""
        while (span := queue.pop_expiring(now_ms)) is not None:
            self._pipeline.spawn(self._expire(queue, *span))

    async def _load(self, lane: Lane, queue: ClassQueue) -> None:
        try:
            for row in await self._read_on(queue):
                messages = unpack_messages(row.body, row.count)
                for start in range(0, len(messages), LOAD_SLICE):
                    self._take_in(lane, queue, messages[start : start + LOAD_SLICE])
                    lane.look()
                    await asyncio.sleep(0)
                queue.loaded_n = max(queue.loaded_n, row.last)
                if not queue.room:
                    break
        finally:
            queue.is_loading = False
        if not queue.is_behind:
            queue.tail_count = 0  # a damaged row counted until here
        lane.look()

    def _take_in(self, lane: Lane, queue: ClassQueue, messages: list[Message]) -> None:
        """Move messages from the tail to the head; whoever looks at the queue then finds them there."""
        now_ms = self._pipeline.now_ms()
        for message in messages:
            if message.n > queue.loaded_n:
                queue.tail_count -= 1
                queue.loaded_n = message.n
                if not queue.passed(message.n) and not self._book.touched(message.n):
                    self._enter(lane, queue, message, now_ms)

    async def _read_on(self, queue: ClassQueue) -> list[StoredRow]:
        """Return the next rows of a tail; where there are none any more, the queue has no tail."""
        tail_n = queue.tail_n
        if rows := await self._journal.read(queue.stream, queue.loaded_n, LOAD_OCTETS):
            return rows
        await self._pipeline.committed()  # the rest may be in the commit under way, or be refused by it
        if rows := await self._journal.read(queue.stream, queue.loaded_n, LOAD_OCTETS):
            return rows
        queue.loaded_n = max(queue.loaded_n, tail_n)
        if not queue.is_behind:
            queue.tail_count = 0
        return []

    def _enter(self, lane: Lane, queue: ClassQueue, message: Message, now_ms: int) -> None:
        """Put a message of a tail behind those of the head; what its carrier cannot send any more ends."""
        if submissions := self._pipeline.submissions(lane.number, message, now_ms):
            queue.waiting.extend(submissions)
        else:
            self._book.finish(
                message.n, Outcome.REJECTED, Reason.REFUSED, lane.number, now_ms, message.traffic_class
            )
            self._pipeline.flush_soon()

    async def _expire(self, queue: ClassQueue, first_n: int, last_n: int) -> None:
        while rows := await self._journal.read(queue.stream, max(first_n - 1, queue.loaded_n), LOAD_OCTETS):
            for row in rows:
                if row.first > last_n:
                    return
                messages, next_ms = unpack_messages(row.body, row.count), 0
                for start in range(0, len(messages), LOAD_SLICE):
                    some = messages[start : start + LOAD_SLICE]
                    next_ms = self._expire_some(queue, some, first_n, last_n, next_ms)
                    self._pipeline.flush_soon()
                    await asyncio.sleep(0)
                if next_ms:
                    queue.expires(max(first_n, row.first), min(last_n, row.last), next_ms)
            first_n = rows[-1].last + 1

    def _expire_some(
        self, queue: ClassQueue, messages: list[Message], first_n: int, last_n: int, next_ms: int
    ) -> int:
        """End what is past its deadline; return the next deadline among the others, 0: there is none."""
        now_ms = self._pipeline.now_ms()
        for message in messages:
            if not max(first_n - 1, queue.loaded_n) < message.n <= last_n or queue.has_ended(message.n):
                continue
            if message.deadline_ms < now_ms:
                if self._book.finish(
                    message.n, Outcome.EXPIRED, Reason.DEADLINE, 0, now_ms, queue.traffic_class
                ):
                    queue.skip.add(message.n)
            else:
                next_ms = min(next_ms or message.deadline_ms, message.deadline_ms)
        return next_ms
