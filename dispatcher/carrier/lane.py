"""The lane that drives one carrier: claims, takes tokens, submits, and passes on what came of it.

One turn of a lane (`_turn`), for every class, highest first:

1. claim: waiting segments get a CLAIMED event; when it is committed they stand in `claimed`;
2. pump: as many claimed ones as the windows, the bucket and the pool allow are submitted.

Laws: nothing is written that is not claimed durably; what is written and not yet durably answered never
exceeds the windows, so that no more than that can come twice after a crash; what was claimed ahead of them is
in doubt all the same, as nobody can tell; the TPS holds over all binds; no class waits behind a lower one,
and a lower one gets `LOW_SHARE` of the turns where the windows are short (the bucket has its own shares).

A turn runs once per pass of the event loop, however often it was asked for.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from ssl import SSLContext
from time import monotonic_ns
from typing import Any, Final, NamedTuple

from dispatcher._ext.book import Submission, wrote
from dispatcher._ext.bucket import Bucket
from dispatcher._ext.meters import Histogram
from dispatcher._ext.session import Incoming
from dispatcher.carrier.desk import Desk, Switch
from dispatcher.carrier.queue import ClassQueue
from dispatcher.model import TrafficClass
from dispatcher.smpp.account import Account
from dispatcher.smpp.connection import Connection
from dispatcher.smpp.constants import CommandStatus
from dispatcher.smpp.pool import Alarm, Pool
from dispatcher.smpp.rate import AdaptiveRate

LOW_SHARE: Final = 50
"""One in so many windows' slots goes to the lowest class first: nobody starves, nobody notices."""
CLAIM_AHEAD_MS: Final = 50
"""Of the TPS: a slow account claims no further ahead, as what is claimed is in doubt after a crash."""
PACE_NS: Final = 2_000_000
"""Lower classes ask the bucket no oftener: it lets 20 ms of flow catch up, and each turn has its price."""
CLAIM_SHARE: Final = 4
"""Lower classes claim when a quarter of what they may claim has gone: the rest lasts for a slow commit."""
CODES_CLAIM_SHARE: Final = 16
"""Codes when a sixteenth has: of a flood of them each answer would make a commit of its own, 600 a second."""
RATE_STEP_NS: Final = 50_000_000
"""While the account is slowed, its bucket learns of the growing rate so often."""


log = logging.getLogger("dispatcher.carrier")


class Reserved(NamedTuple):
    """By class, the parts of a carrier's windows and of its TPS that no lower class may take."""

    window: tuple[float, ...]
    tps: tuple[float, ...]


class Lane:
    """One carrier. `number` stands for it in events; queues are by traffic class, highest first."""

    def __init__(
        self,
        number: int,
        name: str,
        account: Account,
        tps: float,
        queues: tuple[ClassQueue, ...],
        reserved: Reserved,
        desk: Desk,
        now_ms: Callable[[], int],
        *,
        context: SSLContext | None = None,
        clock: Callable[[], int] = monotonic_ns,
    ) -> None:
        self.number = number
        self.name = name
        self.queues = queues
        self.pool = Pool(account, self, context=context, clock=clock)
        self.rate = AdaptiveRate(clock(), tps)
        self.bucket = Bucket(clock(), tps, reserved=reserved.tps)
        self.switch = Switch.ON
        self.is_paused = False
        self.is_evacuated = False
        """Just now: what waits is brought to others, in slices, see evacuation.py."""
        self.probes = 0
        """Above 0: it is not known whether the carrier works again; so many of a class find out."""
        self.answered_after = Histogram()
        """From submit_sm to its response; answers are taken to come in order."""
        self.throttles = 0
        """ESME_RTHROTTLED and ESME_RMSGQFUL: they slow the account down."""
        self.is_short = False
        """Whether something is claimed that only full windows hold back."""
        self.unsettled = 0
        """Written and not yet durably answered."""
        self._desk = desk
        self._clock = clock
        self._now_ms = now_ms
        self._loop = asyncio.get_running_loop()
        self._due = False
        self._timer: asyncio.TimerHandle | None = None
        self._sent: deque[list[int]] = deque()  # [when, how many], of what is unanswered
        self._waited = tuple(queue.waited for queue in queues)
        self.latency_ms = 0
        """Of the latest answers."""
        self._since_low = 0
        self._rate_ns = 0
        self.resize(account, reserved)

    def __repr__(self) -> str:
        waiting = " ".join(f"{len(queue)}" for queue in self.queues)
        state = ", paused" if self.is_paused else ""
        if self.switch is not Switch.ON:
            state += f" ({self.state})"
        return f"<Lane {self.name}{state}: {waiting} waiting, {self.unsettled} unsettled, {self.pool!r}>"

    def resize(self, account: Account, reserved: Reserved) -> None:
        """Take up the windows of an account, and what no lower class may take of them."""
        self.window = account.window * (account.transceivers + account.transmitters)
        self._reserve = tuple(
            int(self.window * sum(reserved.window[:traffic_class]))
            for traffic_class in range(len(self.queues))
        )
        self._look_ahead()

    def _look_ahead(self) -> None:
        ahead = int(self.rate.nominal_tps * CLAIM_AHEAD_MS / 1000) + 1
        self._ahead = max(1, min(2 * self.window, ahead))

    def take_up(self, account: Account, context: SSLContext | None, tps: float, reserved: Reserved) -> None:
        """Take up a changed configuration. Binds are renewed only where their account has changed.

        From now on no second holds more than the new TPS; the tokens of the last one count against it.
        """
        self.set_tps(tps)
        self.bucket.set_reserved(self._clock(), reserved.tps)
        self.pool.take_up(account, context)
        self.resize(account, reserved)
        self.look()

    def set_tps(self, tps: float) -> None:
        """From now on no second holds more than this; the tokens of the last one count against it."""
        if tps != self.rate.nominal_tps:
            now_ns = self._clock()
            self.rate.set_nominal(now_ns, tps)
            self.bucket.set_rate(now_ns, self.rate.tps(now_ns))
            self._look_ahead()

    # ---- what the pipeline does ----

    @property
    def state(self) -> str:
        """What the operator wants of it, as far as it has come: on, paused, draining, drained."""
        if self.switch is Switch.DRAINING and self.pool.stage == "closed":
            return "drained"
        return self.switch.name.lower()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits here, neither in memory nor in the journal, and nothing is on its way."""
        return not self.unsettled and not any(
            len(queue) or queue.arriving or queue.is_behind or queue.is_loading for queue in self.queues
        )

    @property
    def is_bound(self) -> bool:
        """Whether something could be submitted, were there room."""
        return self.pool.is_bound

    @property
    def oldest_ms(self) -> int:
        """For how long the oldest unanswered segment has waited."""
        return (self._clock() - self._sent[0][0]) // 1_000_000 if self._sent else 0

    def claim_room(self, queue: ClassQueue) -> int:
        """How many segments of a class may be claimed now."""
        if self.is_paused or not self.is_bound or not self._desk.may_send():
            return 0
        return max(0, self._claims_most - len(queue.claimed) - queue.claiming)

    @property
    def _claims_most(self) -> int:
        return self.probes or self._ahead

    def claimed(self, queue: ClassQueue, batch: list[Submission], asked: int) -> None:
        """Take segments whose claim is committed; so many were asked for."""
        queue.claiming -= asked
        queue.claimed.extend(batch)
        self.look()

    def look(self) -> None:
        """See what can be done, at the end of this turn of the loop."""
        if not self._due:
            self._due = True
            self._loop.call_soon(self._turn)

    def pause(self, paused: bool) -> None:
        """Stop submitting, or go on; binds stay, receipts are taken."""
        if paused is not self.is_paused:
            log.warning("sending to %s %s", self.name, "is paused" if paused else "goes on")
            self.is_paused = paused
            self.look()

    async def close(self, limit_ms: int) -> None:
        """Unbind politely; what is claimed and was not written is given back."""
        self.is_paused = True
        if self._timer is not None:
            self._timer.cancel()
        await self.pool.close(limit_ms)
        self.give_back()

    def give_back(self) -> None:
        """Give back what is claimed and was not written: it may wait long here, or go elsewhere."""
        for queue in self.queues:
            batch: list[Submission] = []
            if queue.claimed.pull(len(queue.claimed), 0, batch):
                self._desk.unsent(self, batch)

    # ---- one turn ----

    def _turn(self) -> None:
        self._due = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now_ms = self._now_ms()
        if not self.is_paused and self._desk.may_send():
            self._claim(now_ms)
            self._pump(now_ms)
        for queue in self.queues:
            if queue.wants_load:
                self._desk.load(self, queue)

    def _claim(self, now_ms: int) -> None:
        """Many at a time: a commit for each one that is sent would cost more than the sending."""
        for queue in self.queues:
            if len(queue.waiting) and (room := self.claim_room(queue)):
                is_code = queue.traffic_class == TrafficClass.AUTHORIZATION
                if room < self._claims_most // (CODES_CLAIM_SHARE if is_code else CLAIM_SHARE):
                    continue
                if batch := queue.take(room, now_ms):
                    queue.claiming += len(batch)
                    self._desk.claim(self, queue, batch)
                self._drop(queue)

    def _pump(self, now_ms: int) -> None:
        now_ns = self._clock()
        self._follow_rate(now_ns)
        free = self.window - self.unsettled
        room = min(free, self.pool.room)
        batch: list[Submission] = []
        taken_by: list[tuple[ClassQueue, int]] = []
        wait_ns = -1
        queues, first_most = self._order()
        for queue in queues:
            reserve = self._reserve[queue.traffic_class] if first_most is None else 0
            wanted = min(len(queue.claimed), room - len(batch), free - reserve - len(batch))
            if first_most is not None:
                wanted, first_most = min(wanted, first_most), None
            if wanted <= 0:
                continue
            granted = self.bucket.take(now_ns, wanted, queue.traffic_class)
            if granted:
                pulled = queue.claimed.pull(granted, now_ms, batch)
                taken_by.append((queue, pulled))
                if pulled < granted:
                    self.bucket.give_back(now_ns, granted - pulled, queue.traffic_class)
                    self._drop(queue)
            if granted < wanted:
                needed_ns = self.bucket.when(now_ns, 1, queue.traffic_class)
                if queue.traffic_class != TrafficClass.AUTHORIZATION:
                    needed_ns = max(needed_ns, PACE_NS)
                wait_ns = needed_ns if wait_ns < 0 else min(wait_ns, needed_ns)
        if batch:
            self._submit(batch, taken_by, now_ns, now_ms)
        self.is_short = wait_ns < 0 and any(len(queue.claimed) for queue in queues)
        if wait_ns >= 0:
            self._timer = self._loop.call_later(max(wait_ns, 100_000) / 1e9, self.look)

    def _order(self) -> tuple[tuple[ClassQueue, ...], int | None]:
        """Highest first; now and then the lowest that has something, with how much it may take then."""
        if self._since_low >= LOW_SHARE:
            for queue in reversed(self.queues[1:]):
                if len(queue.claimed):
                    share, self._since_low = self._since_low // LOW_SHARE, 0
                    return (queue, *self.queues), share
        return self.queues, None

    def _submit(
        self, batch: list[Submission], taken_by: list[tuple[ClassQueue, int]], now_ns: int, now_ms: int
    ) -> None:
        taken = self.pool.submit(batch, [submission.frame for submission in batch])
        if taken:
            self.unsettled += taken
            self._since_low += taken
            self._sent.append([now_ns, taken])
            wrote(batch, taken, now_ms, self._waited)
        left = batch[taken:]
        for queue, pulled in reversed(taken_by):
            if not left:
                break
            back = left[-pulled:] if pulled < len(left) else left
            queue.claimed.push_front(back)
            self.bucket.give_back(now_ns, len(back), queue.traffic_class)
            left = left[: len(left) - len(back)]

    def _drop(self, queue: ClassQueue) -> None:
        for ring in (queue.waiting, queue.claimed):
            if dropped := ring.take_dropped():
                self._desk.dropped(self, dropped)

    def _follow_rate(self, now_ns: int) -> None:
        if now_ns - self._rate_ns >= RATE_STEP_NS and self.bucket.tps != (tps := self.rate.tps(now_ns)):
            self._rate_ns = now_ns
            self.bucket.set_rate(now_ns, tps)

    def sweep(self, now_ms: int) -> None:
        """Find what is past its deadline, wherever it stands in a head."""
        for queue in self.queues:
            if queue.waiting.sweep(now_ms) + queue.claimed.sweep(now_ms):
                self._drop(queue)
        self.look()

    # ---- what the pool tells (smpp.report.Owner) ----

    def on_answers(self, handles: list[Any], statuses: list[int], ids: list[bytes | None]) -> None:
        """Slow down where the SMSC says so; pass on."""
        throttled = statuses.count(CommandStatus.ESME_RTHROTTLED)
        queue_full = statuses.count(CommandStatus.ESME_RMSGQFUL)
        now_ns = self._clock()
        accepted = len(handles) - throttled - queue_full
        sent_ns = self._sent_ns(len(handles), self.answered_after)
        self.latency_ms = (now_ns - sent_ns) // 1_000_000
        self.rate.on_answers(now_ns, sent_ns, accepted, throttled, queue_full)
        if throttled or queue_full:
            self.throttles += throttled + queue_full
            self._rate_ns = 0
        self._desk.answered(self, handles, statuses, ids, partial(self._settled, len(handles)))

    def on_late(self, late: list[tuple[Any, int, bytes | None]]) -> None:
        """Pass on."""
        self._desk.late(self, late)

    def on_unanswered(self, handles: list[Any]) -> None:
        """Pass on; they are in doubt no longer than until this is committed."""
        self._sent_ns(len(handles))
        self._settled(len(handles))
        self._desk.unanswered(self, handles)

    def on_unsent(self, handles: list[Any]) -> None:
        """Pass on."""
        self._sent_ns(len(handles))
        self._settled(len(handles))
        self._desk.unsent(self, handles)

    def on_incoming(self, source: Connection, incoming: list[Incoming]) -> None:
        """Pass on."""
        self._desk.incoming(self, source, incoming)

    def on_room(self) -> None:
        """Go on."""
        self.look()

    def on_alarm(self, kind: Alarm, detail: str) -> None:
        """Pass on."""
        self._desk.alarm(self, kind, detail)

    def on_clear(self, kind: Alarm) -> None:
        """Pass on."""
        self._desk.alarm(self, kind, None)

    def _settled(self, count: int) -> None:
        self.unsettled -= count
        self.look()

    def _sent_ns(self, count: int, after: Histogram | None = None) -> int:
        """Return about when the last of the next `count` answered ones was written: mostly in order.

        `after`: where to note how long ago each was.
        """
        now_ns = sent_ns = self._clock()
        while count > 0 and self._sent:
            oldest = self._sent[0]
            sent_ns = oldest[0]
            used = min(count, oldest[1])
            if after is not None:
                after.observe((now_ns - sent_ns) // 1000, used)
            oldest[1] -= used
            count -= used
            if not oldest[1]:
                self._sent.popleft()
        return sent_ns
