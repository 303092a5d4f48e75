"""What becomes of a segment that was not simply accepted, and of everything that waits for time.

The path forks here: refused, unanswered and expired segments are judged by one table (carrier.retry) and go
back to the head of their queue, into the schedule, to another carrier, or to their end. Four times a second
`tick` looks after what no event announces: retries that fall due, deadlines, receipts that never came,
carriers that are down.

Law 6: all segments of a message go to one carrier. So a long message changes its carrier only as a whole,
when none of its segments was accepted (`_regroup`); else its refused segments are tried again where the
others went.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dispatcher._ext.book import Submission
from dispatcher._ext.session import Incoming
from dispatcher.api import code_word
from dispatcher.carrier.desk import Switch
from dispatcher.carrier.lane import Lane
from dispatcher.carrier.retry import Action, Cause, Decision, Situation, Trouble, decide
from dispatcher.carrier.schedule import ATTEMPTS_MAX, Due, Schedule
from dispatcher.config import HOUR_MS, Config
from dispatcher.evacuation import UNBIND_MS, configured, evacuate, reroute, wind_up
from dispatcher.model import WHOLE, Message, Outcome, Reason, TrafficClass
from dispatcher.receipts import settle_odd
from dispatcher.routing.health import PROBES, Health
from dispatcher.smpp.status import Disposition

if TYPE_CHECKING:
    from dispatcher.pipeline import Pipeline

TICK_S: Final = 0.25
"""How late a deadline or a retry may be noticed: a quarter of the second that is promised."""
DUE_MOST: Final = 2_000
"""Scheduled messages taken up in one tick: one read of the journal, some milliseconds of work."""
EXPIRE_MOST: Final = 5_000
"""Segments whose receipt never came, ended in one tick and carrier: 20,000 a second."""
OUTAGE_MS: Final = 24 * 3_600_000
"""A carrier that is down cannot send its receipts: so much longer they are waited for."""
RECEIPT_TIMER_MS: Final = 2 * HOUR_MS
"""Of a carrier whose configuration is gone: as the default of `Carrier.receipt_timer_ms`."""
PARKED_MS: Final = 24 * 3_600_000
"""A receipt that matches nothing is kept for a day: what comes early comes within a minute."""
REGROUP_MS: Final = 5_000
"""How long refused segments of a long message wait for the verdict on their siblings."""
HOLD: Final = ATTEMPTS_MAX
"""As attempts of a scheduled segment: not to be sent again, only to be ended."""

log = logging.getLogger("dispatcher.pipeline")


@dataclass(slots=True)
class Group:
    """The refused segments of one long message."""

    since_ms: int
    lane: Lane
    segments: dict[int, Submission] = field(default_factory=dict)


class Aftermath:
    """Judges and waits. `chance` returns 0 to below 1."""

    def __init__(
        self, pipeline: "Pipeline", config: Config, health: Health, chance: Callable[[], float]
    ) -> None:
        self.schedule = Schedule()
        self.health = health
        self._pipeline = pipeline
        self._book = pipeline.book
        self.receipt_timers_ms: dict[int, int] = {}
        """Of carriers that are configured, or were since the start."""
        self._config = config
        self._chance = chance
        self._troubles: dict[tuple[int, int], Trouble] = {}
        self._groups: dict[int, Group] = {}
        self._taking_up = False

    def configure(self, config: Config, numbers: Mapping[str, int]) -> None:
        """Take up a changed configuration; `numbers` are those of its carriers."""
        self._config = config
        carriers = [(numbers[name], carrier) for name, carrier in config.carriers.items()]
        self.health.configure({number: carrier.answer_limit_ms for number, carrier in carriers})
        self.receipt_timers_ms.update((number, carrier.receipt_timer_ms) for number, carrier in carriers)

    # ---- refused, unanswered ----

    def refused(
        self, lane: Lane, refused: Iterable[tuple[Submission, int, bytes | None]], now_ms: int
    ) -> None:
        """Judge refusals by the carrier's status table."""
        profile = self._pipeline.profiles[lane.number]
        again: list[Submission] = []
        for submission, command_status, _ in refused:
            disposition = profile.disposition(command_status)
            self.health[lane.number].answered(disposition, lane.latency_ms, now_ms)
            self._pipeline.counters.refusals[lane.number, command_status] += 1
            decision = self._judge(lane, submission, disposition, command_status, now_ms)
            if decision.action is Action.NOW:
                again.append(submission)
            else:
                self._do(lane, submission, decision, now_ms)
        health = self.health[lane.number]
        if health.broken and not health.fit(True, now_ms):
            lane.pause(True)  # not at the next tick: thousands would go until then
        if again:
            self._pipeline.put_back(lane, again)

    def unanswered(self, lane: Lane, batch: list[Submission], now_ms: int) -> None:
        """Law 3, by the policy of each class."""
        self._doubted(lane, self._book.unanswered(batch, lane.number, now_ms), now_ms, now_ms)

    def _doubted(self, lane: Lane, batch: list[Submission], now_ms: int, since_ms: int) -> None:
        """Decide about what may have been written `since_ms`, or may not."""
        again: list[Submission] = []
        for submission in batch:
            decision = self._judge(lane, submission, Cause.UNANSWERED, 0, now_ms)
            if decision.action is Action.NOW:
                again.append(submission)
            elif decision.action is Action.HOLD:
                self._hold(lane, submission, since_ms)
            else:
                self._do(lane, submission, decision, now_ms)
        self._pipeline.put_back(lane, again)

    def _hold(self, lane: Lane, submission: Submission, since_ms: int) -> None:
        """Send it no more: a receipt says what became of it, or the receipt timer that nobody knows."""
        self._remember(submission)
        due_ms = since_ms + self.receipt_timers_ms[lane.number]
        self.schedule.add(due_ms, submission.n, submission.segment, HOLD)

    def late(self, lane: Lane, late: list[tuple[Submission, int, bytes | None]], now_ms: int) -> None:
        """Note which the carrier took after all; what waits to be sent again finds out at its claim."""
        for submission, command_status, message_id in late:
            self._book.late(submission, command_status, message_id or b"", lane.number, now_ms)
        self._pipeline.flush_soon()

    def expired(self, batch: list[Submission], now_ms: int) -> None:
        """End what was not sent in time."""
        for submission in batch:
            self._book.fail(submission, Outcome.EXPIRED, Reason.DEADLINE, now_ms)
        self._pipeline.flush_soon()

    def _judge(
        self, lane: Lane, submission: Submission, cause: Disposition | Cause, command_status: int, now_ms: int
    ) -> Decision:
        trouble: Trouble = submission.trouble or Trouble(lane.number)
        submission.trouble = trouble
        kind = (cause, command_status, lane.number)
        trouble.here = trouble.here + 1 if trouble.cause == kind else 1
        trouble.cause = kind
        trouble.carrier = lane.number
        trouble.tried.add(lane.number)
        trouble.unanswered += cause is Cause.UNANSWERED
        message: Message = submission.message
        left = sum(each not in trouble.tried and each in self._pipeline.lanes for each in message.carriers)
        situation = Situation(
            attempts=submission.attempts,
            here=trouble.here,
            carriers_tried=len(trouble.tried),
            carriers_left=left,
            unanswered=trouble.unanswered,
            left_ms=submission.deadline_ms - now_ms,
        )
        policy = self._config.classes[submission.traffic_class]
        decision = decide(cause, policy, situation, command_status=command_status, random=self._chance())
        if not decision.counts and submission.attempts:
            submission.attempts -= 1
        if decision.pause_carrier:
            self.health[lane.number].pause(now_ms)
            log.error(
                "carrier paused: a refusal that needs its configuration changed",
                extra={"carrier": lane.name, "command_status": command_status, "n": submission.n},
            )
        if decision.dead_letter:
            log.error(
                "a carrier says our PDU is wrong; the message is given up and kept",
                extra={"carrier": lane.name, "command_status": command_status, "n": submission.n},
            )
        return decision

    def _do(self, lane: Lane, submission: Submission, decision: Decision, now_ms: int) -> None:
        if decision.action is Action.LATER:
            self._later(submission, now_ms + decision.delay_ms, now_ms)
        elif decision.action is Action.OTHER:
            self._elsewhere(lane, submission, now_ms)
        elif decision.outcome is not None and decision.reason is not None:
            self._book.fail(submission, decision.outcome, decision.reason, now_ms)
        self._pipeline.flush_soon()

    def _later(self, submission: Submission, due_ms: int, now_ms: int) -> None:
        if not self._book.retry(submission, due_ms, now_ms):
            return
        self._remember(submission)
        self.schedule.add(due_ms, submission.n, submission.segment, submission.attempts)

    def _remember(self, submission: Submission) -> None:
        if submission.trouble is not None and len(self._troubles) < self._config.limits.schedule_max:
            self._troubles[submission.n, submission.segment] = submission.trouble

    def _elsewhere(self, lane: Lane, submission: Submission, now_ms: int) -> None:
        """Send a message by another carrier; a long one when all of its segments are refused."""
        if submission.segments == 1:
            self._move(lane, [submission], now_ms)
            return
        group = self._groups.setdefault(submission.n, Group(now_ms, lane))
        group.segments[submission.segment] = submission
        if len(group.segments) == submission.segments:
            del self._groups[submission.n]
            self._move(lane, [group.segments[segment] for segment in sorted(group.segments)], now_ms)

    def _move(self, lane: Lane, segments: list[Submission], now_ms: int) -> None:
        """Bring a whole message to the next carrier that can send it."""
        first = segments[0]
        tried: set[int] = {lane.number} | (first.trouble.tried if first.trouble is not None else set())
        message: Message = first.message
        others = [each for each in message.carriers if each not in tried and each in self._pipeline.lanes]
        urgent = first.traffic_class <= TrafficClass.TRANSACTIONAL
        while others:
            number = self.health.pick(others, now_ms, urgent) or others[0]
            others.remove(number)
            if reroute(self._pipeline, segments, number, now_ms):
                return
        for submission in segments:
            self._book.fail(submission, Outcome.UNDELIVERED, Reason.REFUSED, now_ms)

    # ---- time ----

    def wait(self, messages: list[Message]) -> None:
        """Take messages that are not to be sent yet."""
        for message in messages:
            self.schedule.add(message.send_after_ms, message.n)

    def tick(self) -> None:
        """Look after all that no event announces. Call it every TICK_S, and when a switch was turned."""
        now_ms = self._pipeline.now_ms()
        for lane in self._pipeline.lanes.values():
            self._look_after(lane, now_ms)
        for lane in list(self._pipeline.leaving.values()):
            self._keep_time(lane, now_ms)
            wind_up(self._pipeline, lane, now_ms)
        self._expire_of_the_past(now_ms)
        self._pipeline.admission.reorder = self._reorder if now_ms < self.health.fit_from_ms else None
        self._book.orphan(now_ms - PARKED_MS, now_ms, EXPIRE_MOST)
        for n, group in list(self._groups.items()):
            if group.since_ms < now_ms - REGROUP_MS:
                del self._groups[n]
                for submission in group.segments.values():
                    self._later(submission, now_ms, now_ms)
        if not self._taking_up and 0 <= self.schedule.next_ms <= now_ms:
            self._taking_up = True
            self._pipeline.spawn(self._take_up(self.schedule.pop(now_ms, DUE_MOST)))
        self._pipeline.flush_soon()

    def put_back(self, step_ms: int) -> None:
        """The clock was put back by so much: pauses and retries are intervals, and end no later (F12)."""
        self.schedule.put_back(step_ms)
        self.health.put_back(step_ms)
        for group in self._groups.values():
            group.since_ms -= step_ms

    def resume(self, due: Due, carrier: int, due_ms: int) -> None:
        """After a restart: go on with what was refused, unsent or waiting."""
        self._troubles[due.n, due.segment] = Trouble(carrier)
        self.schedule.add(due_ms, due.n, due.segment, due.attempts)

    def doubt(
        self, message: Message | None, due: Due, carrier: int, now_ms: int, is_noted: bool, since_ms: int
    ) -> None:
        """After a restart: judge what may have been written, since a time, as what was not answered."""
        lane = self._pipeline.lanes.get(carrier)
        if message is None or lane is None:
            reason = Reason.OUR_BUG if message is None else Reason.NO_CARRIER
            self._book.finish(due.n, Outcome.UNKNOWN, reason, carrier, now_ms)
            return
        submissions = self._pipeline.submissions(carrier, message, now_ms)
        mine = [each for each in submissions if each.segment == due.segment]
        for submission in mine:
            submission.attempts = due.attempts
        if not mine:  # the carrier's profile has changed: it would be another segment
            self._end(message, Outcome.UNKNOWN, Reason.UNANSWERED, carrier, now_ms)
        else:
            still = mine if is_noted else self._book.unanswered(mine, carrier, now_ms)
            self._doubted(lane, still, now_ms, since_ms)

    def _look_after(self, lane: Lane, now_ms: int) -> None:
        health = self.health[lane.number]
        if health.held is not bool(lane.switch):
            health.hold(bool(lane.switch))
        self._keep_time(lane, now_ms)
        fit = health.fit(True, now_ms)
        is_full = self._book.outstanding >= self._config.limits.outstanding_max
        is_broken = health.broken and not fit
        lane.pause(self._pipeline.is_closing or is_full or health.held or is_broken)
        lane.probes = PROBES if health.broken else 0
        if not fit:
            lane.give_back()
            evacuate(self._pipeline, lane, lane.queues)
        elif health.slow:
            evacuate(self._pipeline, lane, lane.queues[: TrafficClass.TRANSACTIONAL + 1])
        if lane.switch is Switch.DRAINING:
            if lane.pool.stage == "open" and not lane.unsettled:
                self._pipeline.spawn(lane.pool.close(UNBIND_MS))
        elif lane.pool.stage == "closed" and self._pipeline.may_bind and not self._pipeline.is_closing:
            lane.pool.begin()

    def _keep_time(self, lane: Lane, now_ms: int) -> None:
        """Deadlines of what waits, receipts that never came; and what health must know of the lane."""
        self.health[lane.number].bound(lane.is_bound, now_ms)
        self.health[lane.number].waiting(lane.oldest_ms)
        lane.sweep(now_ms)
        for queue in lane.queues:
            if queue.is_behind:
                self._pipeline.backlog.expire(queue, now_ms)
        patience_ms = 0 if lane.is_bound else OUTAGE_MS
        before_ms = now_ms - self.receipt_timers_ms[lane.number] - patience_ms
        self._book.expire(lane.number, before_ms, now_ms, EXPIRE_MOST)

    def _expire_of_the_past(self, now_ms: int) -> None:
        """Nobody is bound to carriers that are configured no more: what awaits their receipts ends, too."""
        ours = self._pipeline.lanes.keys() | self._pipeline.leaving.keys()
        for number in self._pipeline.journal.carrier_names.keys() - ours:
            timer_ms = self.receipt_timers_ms.get(number, RECEIPT_TIMER_MS)
            self._book.expire(number, now_ms - timer_ms, now_ms, EXPIRE_MOST)

    def _reorder(self, carriers: Sequence[int], traffic_class: int, now_ms: int) -> tuple[int, ...]:
        return self.health.order(carriers, now_ms, traffic_class <= TrafficClass.TRANSACTIONAL)

    async def _take_up(self, due: list[Due]) -> None:
        """Read what has fallen due from the journal, and put it where it belongs."""
        try:
            found = await self._pipeline.journal.find([each.n for each in due])
        finally:
            self._taking_up = False
        now_ms = self._pipeline.now_ms()
        for each in due:
            if (message := found.get(each.n)) is not None:
                self._take_up_one(message, each, now_ms)
            elif not self._book.is_finished(each.n):
                log.error("a message that waited is not readable in the journal", extra={"n": each.n})
                self._book.finish(each.n, Outcome.UNKNOWN, Reason.OUR_BUG, 0, now_ms)
        self._pipeline.flush_soon()

    def _take_up_one(self, message: Message, due: Due, now_ms: int) -> None:
        trouble = self._troubles.pop((due.n, due.segment), None)
        if self._book.is_finished(message.n):
            return
        if due.attempts == HOLD:
            carrier = trouble.carrier if trouble else message.carriers[0]
            held = Submission(message, message.n, due.segment, message.segments, message.traffic_class,
                              message.deadline_ms, b"", carrier)  # fmt: skip
            self._book.fail(held, Outcome.UNKNOWN, Reason.UNANSWERED, now_ms)
            return
        lane = self._pipeline.lane(trouble.carrier) if trouble is not None else None
        if lane is not None and message.segments > 1:
            number = lane.number
        else:
            urgent = message.traffic_class <= TrafficClass.TRANSACTIONAL
            tried = trouble.carrier if trouble is not None else 0  # there again, if that is fit
            possible = configured(self._pipeline, message)
            possible.sort(key=lambda each: each != tried)
            if not possible:
                self._end(message, Outcome.REJECTED, Reason.NO_CARRIER, 0, now_ms)
                return
            number = self.health.pick(possible, now_ms, urgent) or possible[0]
        submissions = self._pipeline.submissions(number, message, now_ms)
        if due.segment == WHOLE:
            if submissions and due.attempts == 0:
                self._book.reroute(submissions[0], number, now_ms)  # from now on it is no longer scheduled
        else:
            submissions = [each for each in submissions if each.segment == due.segment]
        if not submissions:
            self._end(message, Outcome.REJECTED, Reason.REFUSED, number, now_ms)
        else:
            for submission in submissions:
                submission.attempts, submission.trouble = due.attempts, trouble
            its = lane if lane is not None and lane.number == number else self._pipeline.lanes[number]
            its.queues[message.traffic_class].waiting.extend(submissions)
            its.look()

    def _end(self, message: Message, outcome: Outcome, reason: Reason, carrier: int, now_ms: int) -> None:
        self._book.finish(message.n, outcome, reason, carrier, now_ms, message.traffic_class)

    # ---- what carriers send beside answers and plain receipts ----

    def odd(self, lane: Lane, odd: list[Incoming], now_ms: int) -> list[Incoming]:
        """Settle receipts in unusual words; return what is to be kept: messages of subscribers."""
        dialect = self._pipeline.profiles[lane.number].dialect
        found = settle_odd(self._book, dialect, lane.number, odd, now_ms)
        if found.unreadable:
            log.warning("%d unreadable receipts kept", found.unreadable, extra={"carrier": lane.name})
        for word in found.unmapped:
            shown = code_word(word) or f"{len(word)} octets that look like no state"
            log.warning("a receipt in unknown words", extra={"carrier": lane.name, "stat": shown})
        return found.messages
