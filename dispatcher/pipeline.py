"""The path of a message, from acceptance to its one outcome. Read this file first.

::

    accept(batch)      admission: validate, normalise, route, encode  -> a Message, or a refusal of its own
                       journal: one commit                            -> only now the caller is told
    queue              of its carrier and class: head in memory, tail in the journal
    lane               claim (committed), token, window, submit_sm
    answered           book: SUBMITTED, awaits its receipt            | refused, unanswered: see aftermath.py
    incoming           book: RECEIPTED, FINISHED                      -> deliver_sm_resp after the commit

Everything moves in batches: a call, a read, a commit. What happens is written as events into one buffer; the
buffer goes to the journal at the end of a turn of the loop, or some milliseconds later, and whoever waits for
durability hears of it when the commit that holds its events has returned: see commits.py. What waits for time
is the business of aftermath.py.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from dispatcher._ext.admit import Batch, Group
from dispatcher._ext.book import Book, Submission, submissions
from dispatcher._ext.events import EventBuffer
from dispatcher._ext.session import Incoming
from dispatcher.admission import Admission, Recall
from dispatcher.aftermath import Aftermath
from dispatcher.backlog import Backlog
from dispatcher.carrier.desk import Worker
from dispatcher.carrier.lane import Lane
from dispatcher.carrier.profile import Profile
from dispatcher.carrier.queue import ClassQueue
from dispatcher.commits import Commits
from dispatcher.config import Config
from dispatcher.counters import Counters
from dispatcher.errors import OverloadedError, StoreError
from dispatcher.model import Accepted, Message, Refused, SendRequest, TrafficClass
from dispatcher.refusal import ALL_WAIT, CLASS_WAITS, CLOSING, DISK_LOW, SCHEDULE_FULL, STORE_BEHIND, Shut
from dispatcher.smpp.connection import Connection
from dispatcher.smpp.constants import CommandStatus
from dispatcher.smpp.pool import Alarm
from dispatcher.smpp.status import Disposition
from dispatcher.store.journal import Journal, Row
from dispatcher.store.records import EVENTS_STREAM

log = logging.getLogger("dispatcher.pipeline")

RENEW_AFTER_MS: Final = 2_000
"""A validity period may be so much too long: it counts in seconds."""
QUEUE_OCTETS_MAX: Final = 64 << 20
"""Handed to the journal and not committed: seconds of a slow disk; codes are still taken then."""
AGAIN_MS: Final = 1_000
"""After how long to ask again for a repetition whose first attempt could not be stored."""


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
        admission.why_shut = self.why_shut
        self.journal = journal
        self.book = book
        self.events = events
        self.lanes: dict[int, Lane] = {}
        self.leaving: dict[int, Lane] = {}
        """Lanes of carriers that are configured no more, until all is settled: see evacuation.py."""
        self.profiles: dict[int, Profile] = {}
        self.aftermath: Aftermath
        self.recall: Recall
        self.now_ms = now_ms
        self.failed = failed
        self.is_closing = False
        self.share = 1.0
        """Of each carrier's TPS that is ours: several workers share accounts."""
        self.may_bind = True
        """A worker binds once it knows what is in hand: receipts of that come at once."""
        self.worker: Worker | None = None
        """Set where several workers share messages: see dispatcher/worker."""
        self.framed_from_ms = 0
        """Frames that are older were made by other profiles."""
        self.counters = Counters()
        self.later_stream = later_stream
        self.commits = Commits(journal, events)
        self.backlog = Backlog(self)
        self._loop = asyncio.get_running_loop()
        self._received_stream = received_stream
        self.configure(config)
        self._tasks: set[asyncio.Task[None]] = set()

    def configure(self, config: Config) -> None:
        """Take up a changed configuration."""
        self._policies = config.classes
        self._limits = config.limits

    def lane(self, number: int) -> Lane | None:
        """Return the lane of a carrier, also of one that is leaving."""
        return self.lanes.get(number) or self.leaving.get(number)

    # ---- accept ----

    async def accept(self, requests: Sequence[SendRequest]) -> list[Accepted | Refused]:
        """Take what can go into the journal; return, in order, what became of each.

        When this returns, what is accepted is on disk. StoreError: the journal has failed; what is on disk
        will be found when it is opened again.
        """
        if (forgotten_n := self.admission.forgotten_n) and (unknown := self.admission.unknown_keys(requests)):
            self.admission.recall(await self.recall(unknown, forgotten_n))
        now_ms = self.now_ms()
        batch = self.admission.admit(requests, now_ms, self.closed())
        if batch.messages:
            try:
                await self.write(batch, now_ms)
            except OverloadedError as error:
                self.admission.take_back(batch, "overloaded", str(error), error.retry_after_ms)
        if batch.repeats:
            await self._repeat(batch, requests)
        if len(batch.messages) < len(requests):
            self.counters.judged(batch.verdicts)
        return batch.verdicts  # type: ignore[return-value]  # none is None any more

    def closed(self) -> list[int]:
        """Return, by class and then for LATER, 0 or after how many milliseconds to come again."""
        if (shut := self._shut()) is not None:
            return [shut.retry_after_ms] * (len(TrafficClass) + 1)
        shuts = [self._shut_for(traffic_class) for traffic_class in TrafficClass]
        is_full = len(self.aftermath.schedule) >= self._limits.schedule_max
        shuts.append(SCHEDULE_FULL if is_full else None)
        return [0 if shut is None else shut.retry_after_ms for shut in shuts]

    def why_shut(self, traffic_class: int) -> str:
        """Say why a class is closed, in words."""
        return (self._shut() or self._shut_for(TrafficClass(traffic_class)) or ALL_WAIT).reason

    def _shut(self) -> Shut | None:
        """Return why nothing at all is taken."""
        if self.is_closing:
            return CLOSING
        queues = [queue.messages for lane in self.lanes.values() for queue in lane.queues]
        is_full = sum(queues) + len(self.aftermath.schedule) >= self._limits.backlog_max
        return ALL_WAIT if is_full else None

    def _shut_for(self, traffic_class: TrafficClass) -> Shut | None:
        if not self.journal.accepts(traffic_class):
            return DISK_LOW
        waiting = sum(lane.queues[traffic_class].messages for lane in self.lanes.values())
        if waiting >= self._policies[traffic_class].backlog_max:
            return CLASS_WAITS
        behind = self.journal.queue_octets > QUEUE_OCTETS_MAX
        return STORE_BEHIND if behind and traffic_class != TrafficClass.AUTHORIZATION else None

    def write(self, batch: Batch, now_ms: int) -> asyncio.Future[None]:
        """Commit messages, with the claims of those that can go at once, and bring them into their queues."""
        self.flush()  # what happened before stands in a row of its own, that no full disk refuses
        arrivals: list[Arrival] = []
        groups, later = batch.groups, batch.later
        rows = [_row(self.lanes[at].queues[its].stream, group) for (at, its), group in groups.items()]
        rows += [_row(self.later_stream, later)] if later else []
        for (carrier, traffic_class), group in groups.items():
            lane = self.lanes[carrier]
            queue = lane.queues[traffic_class]
            if queue.expect(group.messages, group.segments):
                segments = submissions(group.messages, group.frames, carrier, 0, now_ms)
                arrivals.append(self._arrive(lane, queue, segments, now_ms))
        count, body = self.events.take()
        if count:
            rows.append(Row(EVENTS_STREAM, 0, 0, count, body))
        done: asyncio.Future[None] = self._loop.create_future()
        written = partial(self._written, batch.messages, arrivals, later.messages, done)
        is_first = not later and all(its == TrafficClass.AUTHORIZATION for _, its in groups)
        self.journal.append(rows, written, is_first=is_first)  # law 4
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
        messages: list[Message],
        arrivals: list[Arrival],
        later: list[Message],
        done: asyncio.Future[None],
        error: Exception | None,
    ) -> None:
        if error is None:
            self.book.intake.add(messages, messages[0].accepted_ms, bool(later))
        for lane, queue, batch, claimed in arrivals:
            queue.arriving -= len(batch) - claimed
            queue.arrived()
            if error is not None:
                queue.claiming -= claimed
            else:
                queue.waiting.extend(batch[claimed:])
                self._claimed(lane, queue, batch[:claimed], claimed)
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
                batch.verdicts[place] = Refused("overloaded", detail, "", client_ref, AGAIN_MS)

    # ---- durability ----

    async def committed(self) -> None:
        """Wait until all that has been written so far is durable. StoreError: the journal has failed."""
        await self.commits.wait()

    async def settle(self) -> None:
        """Wait until everything that runs beside the path has ended and all is durable."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.committed()

    def flush_soon(self) -> None:
        """Give the events to the journal at the end of this turn of the loop."""
        self.commits.flush_soon()

    def flush(self) -> None:
        """Give the events to the journal now."""
        self.commits.flush()

    # ---- what lanes ask and tell (carrier.lane.Desk) ----

    def claim(self, lane: Lane, queue: ClassQueue, batch: list[Submission]) -> None:
        """Commit that these may be written, and tell the lane so."""
        now_ms = self.now_ms()
        self._renew(lane, batch, now_ms)
        allowed = self.book.claim(batch, lane.number, now_ms)
        self.commits.after(partial(self._claimed, lane, queue, allowed, len(batch)))

    def _claimed(self, lane: Lane, queue: ClassQueue, allowed: list[Submission], asked: int) -> None:
        """Tell a lane what it may write: not what went to another worker meanwhile."""
        if self.worker is not None:
            allowed = self.worker.ours(allowed)
        lane.claimed(queue, allowed, asked)

    def may_send(self) -> bool:
        """Whether anything may be claimed and written now: not where another worker may think it is his."""
        return self.worker is None or self.worker.may_send()

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
        if self.worker is not None:
            batch, statuses, ids = self.worker.answered(batch, statuses, ids)
        refused, _ = self.book.submitted(batch, statuses, ids, lane.number, now_ms)
        if accepted := len(batch) - len(refused):
            self.aftermath.health[lane.number].answered(Disposition.OK, lane.latency_ms, now_ms, accepted)
        if refused:
            self.aftermath.refused(lane, refused, now_ms)
        self.commits.after(done, can_wait=not lane.is_short)

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
            acknowledge = partial(lane.pool.acknowledge, source, incoming)
            refuse = partial(acknowledge, CommandStatus.ESME_RX_T_APPN)
            self.commits.after(acknowledge, refuse, refuse, can_wait=True)

    def _keep(self, lane: Lane, source: Connection, messages: list[Incoming]) -> None:
        """Keep what subscribers sent, whole PDUs back to back; a full disk sends it back to the carrier."""

        def kept(error: Exception | None) -> None:
            status = CommandStatus.ESME_ROK if error is None else CommandStatus.ESME_RX_T_APPN
            lane.pool.acknowledge(source, messages, status)

        body = b"".join([each.pdu for each in messages])
        try:
            self.journal.append([Row(self._received_stream, 0, 0, len(messages), body)], kept)
        except StoreError as error:
            kept(error)

    def alarm(self, lane: Lane, kind: Alarm, detail: str | None) -> None:
        """Tell the operator; no detail: it is over."""
        level, text = (logging.INFO, "over: %s%s") if detail is None else (logging.ERROR, "alarm: %s: %s")
        log.log(level, text, kind.value, detail or "", extra={"carrier": lane.name, "alarm": kind.value})

    def load(self, lane: Lane, queue: ClassQueue) -> None:
        """Read on in the stream of a queue."""
        self.backlog.load(lane, queue)

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
        return submissions([message], [frames], number, now_ms, message.send_after_ms or message.accepted_ms)

    def _renew(self, lane: Lane, batch: list[Submission], now_ms: int) -> None:
        """Bring validity periods up to date that were written too long ago: what remains is less by now."""
        for submission in batch:
            message: Message = submission.message
            framed_ms = submission.framed_ms or message.accepted_ms
            if now_ms - framed_ms > RENEW_AFTER_MS or framed_ms < self.framed_from_ms:
                frames = self.profiles[lane.number].frames(message, now_ms)
                if len(frames) == submission.segments:  # else by the profile that it was accepted by
                    submission.frame = frames[submission.segment]
                submission.framed_ms = now_ms

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the path; if it fails, the journal has: that is told elsewhere."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failed(error)


def _row(stream: int, group: Group) -> Row:
    return Row(stream, group.messages[0].n, group.messages[-1].n, len(group), group.body)
