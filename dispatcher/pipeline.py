"""The path of a message, from acceptance to its one outcome. Read this file first.

::

    accept(batch)      admission: validate, normalise, route, encode  -> a Message, or a refusal of its own
                       journal: one commit                            -> only now the caller is told
    queue              of its carrier and class: head in memory, tail in the journal
    lane               claim (committed), token, window, submit_sm
    answered           book: SUBMITTED, awaits its receipt            | refused, unanswered: see aftermath.py
    incoming           book: RECEIPTED, FINISHED                      -> deliver_sm_resp after the commit

Everything moves in batches: a call, a read, a commit. What happens is written as events into one buffer; the buffer
goes to the journal once a turn of the loop, and whoever waits for durability (`after_commit`) hears of it when the
commit that holds its events has returned. What waits for time is the business of aftermath.py.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from dispatcher._ext.book import Book, Submission
from dispatcher._ext.events import EventBuffer
from dispatcher._ext.session import Incoming
from dispatcher.admission import Admission, Batch, number_of
from dispatcher.aftermath import Aftermath
from dispatcher.carrier.lane import Lane
from dispatcher.config import Config
from dispatcher.carrier.profile import Profile
from dispatcher.carrier.queue import ClassQueue
from dispatcher.errors import OverloadedError
from dispatcher.model import Accepted, Message, Outcome, Reason, Refused, SendRequest, TrafficClass
from dispatcher.smpp.connection import Connection
from dispatcher.smpp.constants import CommandStatus
from dispatcher.smpp.pool import Alarm
from dispatcher.smpp.status import Disposition
from dispatcher.store.journal import Journal, Row
from dispatcher.store.records import EVENTS_STREAM, pack_messages, unpack_messages

LOAD_OCTETS: Final = 1 << 20
"""Of the journal in one read: some thousand messages, a few milliseconds to unpack."""
LOAD_SLICE: Final = 1_000
"""Messages of it taken up in one turn of the loop, which is then free for a moment: some 2 ms (law 12)."""
RENEW_AFTER_MS: Final = 2_000
"""A validity period may be so much too long: it counts in seconds."""
QUEUE_OCTETS_MAX: Final = 64 << 20
"""Handed to the journal and not committed: seconds of a slow disk; codes are still taken then."""
FULL_RETRY_MS: Final = 5_000
"""What those are told for whose class the disk has no room left: somebody has to make some."""
CLOSING_RETRY_MS: Final = 10_000
"""What those are told who come while we stop: a restart takes a few seconds."""
OVERLOADED_RETRY_MS: Final = 1_000
"""What those are told who come while too much waits: lanes empty by the second."""


class Arrival(NamedTuple):
    """Messages whose acceptance is being committed and that go straight to the head of their queue."""

    lane: Lane
    queue: ClassQueue
    batch: list[Submission]
    claimed: int
    """How many of the foremost are claimed by the same commit."""


class Pipeline:
    """Accepts messages and drives them to their outcomes. One event loop; nothing here blocks."""

    def __init__(
        self,
        config: Config,
        admission: Admission,
        journal: Journal,
        book: Book,
        events: EventBuffer,
        later_stream: int,
        received_stream: int,
        failed: Callable[[BaseException], None],
        now_ms: Callable[[], int],
    ) -> None:
        self.admission = admission
        self.journal = journal
        self.book = book
        self.events = events
        self.lanes: dict[int, Lane] = {}
        self.profiles: dict[int, Profile] = {}
        self.aftermath: Aftermath
        self.now_ms = now_ms
        self.failed = failed
        self.is_closing = False
        self.later_stream = later_stream
        self._loop = asyncio.get_running_loop()
        self._received_stream = received_stream
        self._policies = config.classes
        self._waiters: list[Callable[[], None]] = []
        self._flush_due = False
        self._tasks: set[asyncio.Task[None]] = set()

    # ---- accept ----

    async def accept(self, requests: Sequence[SendRequest]) -> list[Accepted | Refused]:
        """Take what can go into the journal; return, in order, what became of each.

        When this returns, what is accepted is on disk. StoreError: the journal has failed; what is on disk will be
        found when it is opened again.
        """
        now_ms = self.now_ms()
        batch = self.admission.admit(requests, now_ms, self._closed())
        if batch.messages:
            try:
                await self._write(batch, now_ms)
            except OverloadedError as error:
                self.admission.take_back(batch, "overloaded", str(error), error.retry_after_ms)
        if batch.repeats:
            await self._repeat(batch, requests)
        return batch.verdicts  # type: ignore[return-value]  # none is None any more

    def _closed(self) -> list[int]:
        """Return, by class, 0 or after how many milliseconds to come again."""
        if self.is_closing:
            return [CLOSING_RETRY_MS] * len(TrafficClass)
        return [self._closed_for(traffic_class) for traffic_class in TrafficClass]

    def _closed_for(self, traffic_class: TrafficClass) -> int:
        if not self.journal.accepts(traffic_class):
            return FULL_RETRY_MS
        waiting = sum(lane.queues[traffic_class].messages for lane in self.lanes.values())
        if waiting >= self._policies[traffic_class].backlog_max:
            return OVERLOADED_RETRY_MS
        behind = self.journal.queue_octets > QUEUE_OCTETS_MAX
        return OVERLOADED_RETRY_MS if behind and traffic_class != TrafficClass.AUTHORIZATION else 0

    def _write(self, batch: Batch, now_ms: int) -> asyncio.Future[None]:
        """Commit messages, with the claims of those that can go at once, and bring them into their queues."""
        self.flush()  # what happened before stands in a row of its own, that no full disk refuses
        rows: list[Row] = []
        arrivals: list[Arrival] = []
        later: list[Message] = []
        for (carrier, traffic_class), (messages, frames) in _by_queue(batch).items():
            lane = self.lanes[carrier]
            queue = lane.queues[traffic_class]
            rows.append(_row(queue.stream, messages))
            if queue.expect(messages, sum(map(len, frames))):
                arrivals.append(self._arrive(lane, queue, _submissions(messages, frames, carrier), now_ms))
        for message in batch.messages:
            if message.send_after_ms:
                later.append(message)
        if later:
            rows.append(_row(self.later_stream, later))
        count, body = self.events.take()
        if count:
            rows.append(Row(EVENTS_STREAM, 0, 0, count, body))
        done: asyncio.Future[None] = self._loop.create_future()
        self.journal.append(rows, partial(self._written, arrivals, later, done))
        return done

    def _arrive(self, lane: Lane, queue: ClassQueue, batch: list[Submission], now_ms: int) -> Arrival:
        claimed = 0
        if not len(queue.waiting) and not queue.arriving:  # or they would overtake
            claimed = min(len(batch), lane.claim_room(queue))
            while 0 < claimed < len(batch) and batch[claimed].segment:  # whole messages
                claimed += 1
        if claimed:
            self.book.claim(batch[:claimed], lane.number, now_ms)
            queue.claiming += claimed
        queue.arriving += len(batch) - claimed
        return Arrival(lane, queue, batch, claimed)

    def _written(
        self,
        arrivals: list[Arrival],
        later: list[Message],
        done: asyncio.Future[None],
        error: Exception | None,
    ) -> None:
        for lane, queue, batch, claimed in arrivals:
            queue.arriving -= len(batch) - claimed
            if error is not None:
                queue.claiming -= claimed
            else:
                queue.waiting.extend(batch[claimed:])
                lane.claimed(queue, batch[:claimed], claimed)
        if error is None:
            self.aftermath.wait(later)
        if not done.cancelled():
            done.set_result(None) if error is None else done.set_exception(error)

    async def _repeat(self, batch: Batch, requests: Sequence[SendRequest]) -> None:
        """Answer for what was accepted before: but not before that is durable, which it may not be yet."""
        await self.committed()
        found = await self.journal.find([n for _, n in batch.repeats])
        for place, n in batch.repeats:
            if (message := found.get(n)) is not None:
                batch.verdicts[place] = Accepted(message, is_repeated=True)
            else:
                detail = "the first attempt could not be stored, or its text is kept no longer"
                client_ref = requests[place].client_ref
                batch.verdicts[place] = Refused("overloaded", detail, "", client_ref, OVERLOADED_RETRY_MS)

    async def cancel(self, message_id: bytes) -> bool:
        """Take back a message that waits. True: it ends as cancelled and is never sent."""
        n = number_of(message_id)
        message = (await self.journal.find([n])).get(n)
        if message is None or message.message_id != message_id or not self._take_out(message):
            return False
        self.book.finish(n, Outcome.CANCELLED, Reason.CANCELLED, 0, self.now_ms())
        await self.committed()
        return True

    def _take_out(self, message: Message) -> bool:
        n = message.n
        if self.book.is_finished(n):
            return False
        if not self.book.touched(n) and self.aftermath.schedule.remove(n):
            return True
        for lane in self.lanes.values():
            queue = lane.queues[message.traffic_class]
            waiting = queue.waiting.find(n)
            if len(waiting) == message.segments and not any(each.attempts for each in waiting):
                for submission in waiting:
                    submission.cancelled = True
                lane.look()
                return True
        queue = self.lanes[message.carriers[0]].queues[message.traffic_class]
        if message.send_after_ms or self.book.touched(n) or not queue.loaded_n < n <= queue.tail_n:
            return False
        queue.skip.add(n)
        return True

    # ---- durability ----

    def after_commit(self, done: Callable[[], None]) -> None:
        """Call `done` when all that has been written into `events` so far is durable."""
        self._waiters.append(done)
        self.flush_soon()

    async def committed(self) -> None:
        """Wait until all that has been written so far is durable."""
        done: asyncio.Future[None] = self._loop.create_future()
        self.after_commit(partial(_fulfil, done))
        await done

    async def settle(self) -> None:
        """Wait until everything that runs beside the path has ended and all is durable."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.committed()

    def flush_soon(self) -> None:
        """Give the events to the journal at the end of this turn of the loop."""
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Give the events to the journal now."""
        self._flush_due = False
        count, body = self.events.take()
        waiters, self._waiters = self._waiters, []
        if count or waiters:
            rows = [Row(EVENTS_STREAM, 0, 0, count, body)] if count else []
            self.journal.append(rows, partial(_tell, waiters))

    # ---- what lanes ask and tell (carrier.lane.Desk) ----

    def claim(self, lane: Lane, queue: ClassQueue, batch: list[Submission]) -> None:
        """Commit that these may be written, and tell the lane so."""
        now_ms = self.now_ms()
        self._renew(lane, batch, now_ms)
        allowed = self.book.claim(batch, lane.number, now_ms)
        self.after_commit(partial(lane.claimed, queue, allowed, len(batch)))

    def answered(
        self,
        lane: Lane,
        batch: list[Submission],
        statuses: list[int],
        ids: list[bytes | None],
        done: Callable[[], None],
    ) -> None:
        """Note ids, judge refusals; `done` when it is durable."""
        now_ms = self.now_ms()
        refused, _ = self.book.submitted(batch, statuses, ids, lane.number, now_ms)
        if accepted := len(batch) - len(refused):
            self.aftermath.health[lane.number].answered(Disposition.OK, lane.latency_ms, now_ms, accepted)
        if refused:
            self.aftermath.refused(lane, refused, now_ms)
        self.after_commit(done)

    def late(self, lane: Lane, late: list[tuple[Submission, int, bytes | None]]) -> None:
        """Note the ids of what was taken for unanswered."""
        self.aftermath.late(lane, late, self.now_ms())

    def unanswered(self, lane: Lane, batch: list[Submission]) -> None:
        """Leave it to the policy of their class."""
        self.aftermath.unanswered(lane, batch, self.now_ms())

    def unsent(self, lane: Lane, batch: list[Submission]) -> None:
        """Put back in front what never left: it was no attempt."""
        self.put_back(lane, self.book.unsent(batch, lane.number, self.now_ms()))

    def dropped(self, lane: Lane, batch: list[Submission]) -> None:
        """End what is past its deadline; what was cancelled has ended already."""
        self.aftermath.expired([each for each in batch if not each.cancelled], self.now_ms())

    def incoming(self, lane: Lane, source: Connection, incoming: list[Incoming]) -> None:
        """Settle receipts, keep messages; acknowledge when it is durable."""
        now_ms = self.now_ms()
        odd = self.book.receipted(incoming, lane.number, now_ms)
        if odd and (messages := self.aftermath.odd(lane, odd, now_ms)):
            incoming = [each for each in incoming if each not in messages]
            self._keep(lane, source, messages)
        if incoming:
            self.after_commit(partial(_acknowledge, lane, source, incoming))

    def _keep(self, lane: Lane, source: Connection, messages: list[Incoming]) -> None:
        """Keep what subscribers sent, whole PDUs back to back; a full disk sends it back to the carrier."""

        def kept(error: Exception | None) -> None:
            status = CommandStatus.ESME_ROK if error is None else CommandStatus.ESME_RX_T_APPN
            lane.pool.acknowledge(source, messages, status)

        body = b"".join([each.pdu for each in messages])
        self.journal.append([Row(self._received_stream, 0, 0, len(messages), body)], kept)

    def alarm(self, lane: Lane, kind: Alarm, detail: str | None) -> None:
        """Let the aftermath know: it may move messages elsewhere."""
        self.aftermath.alarm(lane, kind, detail)

    def put_back(self, lane: Lane, batch: list[Submission]) -> None:
        """Put segments in front of their queues, in their order; they need a new claim."""
        for queue in lane.queues:
            mine = [each for each in batch if each.traffic_class == queue.traffic_class]
            if mine:
                queue.waiting.push_front(mine)
        self.flush_soon()
        lane.look()

    def submissions(self, number: int, message: Message, now_ms: int) -> list[Submission]:
        """Return the segments of a message as a carrier gets them; none where it cannot send it."""
        frames = self.profiles[number].frames(message, now_ms)
        if len(frames) != message.segments:
            return []
        submissions = _submissions([message], [frames], number)
        for submission in submissions:
            submission.framed_ms = now_ms
        return submissions

    def _renew(self, lane: Lane, batch: list[Submission], now_ms: int) -> None:
        """Bring validity periods up to date that were written too long ago: what remains is less by now."""
        for submission in batch:
            message: Message = submission.message
            if now_ms - (submission.framed_ms or message.accepted_ms) > RENEW_AFTER_MS:
                submission.frame = self.profiles[lane.number].frames(message, now_ms)[submission.segment]
                submission.framed_ms = now_ms

    # ---- the tail of a queue ----

    def load(self, lane: Lane, queue: ClassQueue) -> None:
        """Read on in the stream of a queue."""
        queue.is_loading = True
        self.spawn(self._load(lane, queue))

    async def _load(self, lane: Lane, queue: ClassQueue) -> None:
        try:
            rows = await self.journal.read(queue.stream, queue.loaded_n, LOAD_OCTETS)
            if not rows and queue.is_behind:
                await self.committed()  # what it waits for is in the commit under way
            for row in rows:
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
        lane.look()

    def _take_in(self, lane: Lane, queue: ClassQueue, messages: list[Message]) -> None:
        """Move messages from the tail to the head; whatever looks at the queue afterwards finds them there."""
        now_ms = self.now_ms()
        for message in messages:
            if message.n > queue.loaded_n:
                queue.tail_count -= 1
                queue.loaded_n = message.n
                if not queue.passed(message.n) and not self.book.touched(message.n):
                    self.enter(lane, queue, message, now_ms)

    def enter(self, lane: Lane, queue: ClassQueue, message: Message, now_ms: int) -> None:
        """Put a message of a tail behind those of the head; what its carrier cannot send any more ends."""
        if submissions := self.submissions(lane.number, message, now_ms):
            queue.waiting.extend(submissions)
        else:
            self.book.finish(message.n, Outcome.REJECTED, Reason.REFUSED, lane.number, now_ms)
            self.flush_soon()

    def expire_tail(self, queue: ClassQueue, now_ms: int) -> None:
        """End what passes its deadline in the journal, long before it would be read."""
        span = queue.pop_expiring(now_ms)
        if span is not None:
            self.spawn(self._expire_tail(queue, *span))

    async def _expire_tail(self, queue: ClassQueue, first_n: int, last_n: int) -> None:
        for row in await self.journal.read(queue.stream, max(first_n - 1, queue.loaded_n), LOAD_OCTETS):
            if row.first > last_n:
                return
            now_ms, next_ms = self.now_ms(), 0
            for message in unpack_messages(row.body, row.count):
                if not queue.loaded_n < message.n <= last_n or queue.has_ended(message.n):
                    continue
                if message.deadline_ms < now_ms:
                    queue.skip.add(message.n)
                    self.book.finish(message.n, Outcome.EXPIRED, Reason.DEADLINE, 0, now_ms)
                else:
                    next_ms = min(next_ms or message.deadline_ms, message.deadline_ms)
            if next_ms:
                queue.expires(max(first_n, row.first), min(last_n, row.last), next_ms)
            first_n = row.last + 1
        if first_n <= last_n:
            queue.expires(first_n, last_n, self.now_ms())  # there is more: on at the next tick
        self.flush_soon()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the path; if it fails, the journal has: that is told elsewhere."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failed(error)


def _by_queue(batch: Batch) -> dict[tuple[int, int], tuple[list[Message], list[list[bytes]]]]:
    """Divide what can go at once by carrier and class, in order."""
    groups: dict[tuple[int, int], tuple[list[Message], list[list[bytes]]]] = {}
    for message, frames in zip(batch.messages, batch.frames, strict=True):
        if message.send_after_ms:
            continue
        key = (message.carriers[0], message.traffic_class)
        group = groups.get(key)
        if group is None:
            group = groups[key] = ([], [])
        group[0].append(message)
        group[1].append(frames)
    return groups


def _submissions(messages: list[Message], frames: list[list[bytes]], carrier: int) -> list[Submission]:
    found = []
    for message, its_frames in zip(messages, frames, strict=True):
        segments = len(its_frames)
        for segment, frame in enumerate(its_frames):
            found.append(
                Submission(
                    message,
                    message.n,
                    segment,
                    segments,
                    message.traffic_class,
                    message.deadline_ms,
                    frame,
                    carrier,
                )
            )
    return found


def _row(stream: int, messages: list[Message]) -> Row:
    return Row(stream, messages[0].n, messages[-1].n, len(messages), pack_messages(messages))


def _fulfil(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)


def _acknowledge(lane: Lane, source: Connection, incoming: list[Incoming]) -> None:
    """Where the connection is gone, the carrier sends it again."""
    lane.pool.acknowledge(source, incoming)


def _tell(waiters: list[Callable[[], None]], error: Exception | None) -> None:
    if error is None:
        for waiter in waiters:
            waiter()
