"""All binds of one carrier account: keeps them up, spreads what is submitted, tells what became of it.

Laws:

* one attempt to bind at a time, out of one reconnect budget (smpp.backoff); what may be sent, and how fast,
  is the business of whoever submits: the pool knows windows, no rates;
* each handle that was taken comes back once: answered, unanswered (its outcome is unknown) or unsent (safe
  to send again); after unanswered, a late answer may follow;
* a changed account is taken up one bind at a time, and no further while one of them is down; no bind is
  renewed where only their number has changed;
* trouble that needs a human is an alarm, raised once and cleared once.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from ssl import SSLContext
from time import monotonic_ns
from typing import Any, Final, Literal

from dispatcher._ext.session import Incoming
from dispatcher.errors import LocalProtocolError
from dispatcher.smpp.account import Account
from dispatcher.smpp.bind import Bind, Stage
from dispatcher.smpp.budget import Budget
from dispatcher.smpp.connection import Connection
from dispatcher.smpp.constants import Command
from dispatcher.smpp.dial import tls_context
from dispatcher.smpp.report import COUNTERS, Alarm, BindState, Owner, PoolState

__all__ = ["Alarm", "BindState", "Owner", "Pool", "PoolState"]

HOUSEKEEPING_NS: Final = 10_000_000_000


class Pool:
    """The binds of an account. `clock` is monotonic, in nanoseconds; `random_source` gives 0 to below 1."""

    def __init__(
        self,
        account: Account,
        owner: Owner,
        *,
        context: SSLContext | None = None,
        clock: Callable[[], int] = monotonic_ns,
        random_source: Callable[[], float] = random.random,
    ) -> None:
        self.account = account
        self.generation = 1
        self._clock = clock
        self._binds: list[Bind] = []
        self._budget = Budget(account, owner, clock, random_source, self._awake)
        self._context = context
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._closing = False
        self._numbered = 0
        self._turn = 0

    def __repr__(self) -> str:
        bound = sum(bind.stage is Stage.BOUND for bind in self._binds)
        return (
            f"<Pool {self.account.host} generation {self.generation}: {bound}/{len(self._binds)} bound, "
            f"{self.in_flight} in flight, room {self.room}, "
            f"{', '.join(self._budget.alarms.standing) or 'no alarm'}>"
        )

    # ---- what the owner does ----

    async def start(self) -> None:
        """Begin to connect; ConfigError where a file for TLS is missing or wrong."""
        self._context = await self._load_context(self.account)
        self.begin()

    def begin(self) -> None:
        """The same with what is loaded already; also again after a close."""
        self._align()
        self._task = asyncio.get_running_loop().create_task(self._supervise())
        self._task.add_done_callback(_ended)

    def submit(self, handles: list[Any], frames: list[bytes], start: int = 0) -> int:
        """Take as many of frames[start:] as there is room for, spread over the binds; return how many.

        A frame is a whole submit_sm, its sequence_number does not matter. One that is not ends the taking;
        where it is the first one, LocalProtocolError says so.
        """
        now_ns = self._clock()
        wanted = len(frames) - start
        if not self._budget.circuit.closed:
            wanted = min(wanted, self._budget.most(now_ns, self.in_flight))
        taken = 0
        binds = [bind for bind in self._binds if bind.room(now_ns)]
        if len(binds) == 1 and wanted > 0:  # mostly: the one whose answers have just come
            return binds[0].push(handles, frames, start, min(wanted, binds[0].room(now_ns)))
        if len(binds) > 1:
            self._turn += 1  # of equals, not always the same one first
            turn = self._turn % len(binds)
            binds = sorted(binds[turn:] + binds[:turn], key=_in_flight)
        while taken < wanted and binds:
            share = -(-(wanted - taken) // len(binds))
            for bind in list(binds):
                most = min(share, bind.room(now_ns), wanted - taken)
                try:
                    pushed = bind.push(handles, frames, start + taken, most) if most else 0
                except LocalProtocolError:
                    if taken:
                        return taken
                    raise
                taken += pushed
                if pushed < share:
                    binds.remove(bind)
                if pushed < most or taken == wanted:
                    return taken
        return taken

    @property
    def room(self) -> int:
        """How many submits would be taken now."""
        now_ns = self._clock()
        return min(sum(bind.room(now_ns) for bind in self._binds), self._budget.most(now_ns, self.in_flight))

    @property
    def is_bound(self) -> bool:
        """Whether there is a bind that can submit."""
        return any(
            bind.stage is Stage.BOUND and bind.command_id != Command.BIND_RECEIVER for bind in self._binds
        )

    @property
    def in_flight(self) -> int:
        """How many submits are unanswered."""
        return sum(bind.in_flight for bind in self._binds)

    def acknowledge(self, source: Connection, incoming: list[Incoming], command_status: int = 0) -> bool:
        """Answer what came from `source`, now that it is stored (or, with an error, is not).

        False: that connection is gone; the SMSC will send it again.
        """
        return source.answer(incoming, command_status)

    async def reconfigure(self, account: Account) -> None:
        """Take up a changed account, one bind at a time. ConfigError: nothing was changed."""
        self.take_up(account, await self._load_context(account))

    def take_up(self, account: Account, context: SSLContext | None) -> None:
        """The same with what is loaded already; connections to come use `context` in any case."""
        before, self.account, self._context = self.account, account, context
        if account == before:
            return
        numbers = {name: getattr(before, name) for name in ("transceivers", "transmitters", "receivers")}
        if replace(account, **numbers) != before:
            self.generation += 1
        self._budget.reset(account)
        self._align()
        self._awake()

    async def close(self, limit_ms: int = 10_000) -> None:
        """Unbind politely: answers may come for half of the time, then unbind; cut what is left."""
        self._closing = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        for bind in self._binds:
            bind.removed = True
            bind.retire(limit_ms // 2)
        end_ns = self._clock() + limit_ms * 1_000_000
        while any(bind.stage is not Stage.DOWN for bind in self._binds):
            left_ns = end_ns - self._clock()
            if left_ns <= 0:
                break
            await self._sleep(left_ns)
        for bind in self._binds:
            bind.abort("closed")
        self._closing = False

    @property
    def stage(self) -> Literal["open", "closing", "closed"]:
        """Whether binds are kept up; a closed one may begin again."""
        if self._closing:
            return "closing"
        return "open" if self._task is not None else "closed"

    def snapshot(self) -> PoolState:
        """Return the state of the account, for metrics."""
        now_ns = self._clock()
        return PoolState(
            self.generation,
            self.room,
            tuple(_state(bind, now_ns) for bind in self._binds),
            dict(self._budget.alarms.standing),
            self._counters(),
            dict(self._budget.closed_by),
        )

    # ---- keeping the binds up ----

    async def _supervise(self) -> None:
        """Bring up what is down, one at a time; then renew what is of an older generation."""
        looked_ns = self._clock()
        while not self._closing:
            now_ns = self._clock()
            if now_ns - looked_ns >= HOUSEKEEPING_NS:
                looked_ns = now_ns
                self._budget.look(self._counters())
            self._binds = [bind for bind in self._binds if not (bind.removed and bind.stage is Stage.DOWN)]
            down = [bind for bind in self._binds if bind.stage is Stage.DOWN]
            if not down:
                self._renew()
                await self._sleep(HOUSEKEEPING_NS)
                continue
            bind = min(down, key=lambda each: (max(each.retry_ns, now_ns), each.tried_ns))
            wait_ns = max(self._budget.reconnect.wait_ns(now_ns), bind.retry_ns - now_ns)
            if wait_ns > 0:
                await self._sleep(min(wait_ns, HOUSEKEEPING_NS))
                continue
            self._budget.reconnect.attempt(now_ns)
            failed = await bind.open(self.account, self._context, self.generation)
            if failed is not None:
                self._budget.not_bound(bind, failed)

    def _renew(self) -> None:
        """Retire one bind that is bound by older settings, if none is on its way already."""
        if all(bind.stage is Stage.BOUND for bind in self._binds):
            for bind in self._binds:
                if bind.generation < self.generation:
                    bind.retire(self.account.timers.response_ms or self.account.timers.unbind_ms)
                    break

    def _align(self) -> None:
        """Have as many binds of each kind as the account says; those too many retire."""
        wanted = Counter(self.account.binds)
        for bind in self._binds:
            if bind.removed:
                continue
            wanted[bind.command_id] -= 1
            if wanted[bind.command_id] < 0:
                bind.removed = True
                bind.retire(self.account.timers.response_ms or self.account.timers.unbind_ms)
        for command_id in self.account.binds:
            if wanted[command_id] > 0:
                wanted[command_id] -= 1
                self._numbered += 1
                self._binds.append(Bind(self._numbered, command_id, self._budget, self._clock))

    async def _sleep(self, most_ns: int) -> None:
        """Wait until something happens."""
        timer = asyncio.get_running_loop().call_later(most_ns / 1e9, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()
        self._wake.clear()

    def _awake(self) -> None:
        self._wake.set()

    async def _load_context(self, account: Account) -> SSLContext | None:
        if account.tls is None:
            return None
        return await asyncio.get_running_loop().run_in_executor(None, tls_context, account.tls)

    def _counters(self) -> dict[str, int]:
        total = Counter(self._budget.counted)
        for bind in self._binds:
            if bind.connection is not None:
                total.update({name: getattr(bind.connection.exchange, name) for name in COUNTERS})
        return dict(total)


def _ended(task: asyncio.Task[None]) -> None:
    """Be loud about a bug, an owner's that raised say: who holds a task never hears of its exception."""
    if not task.cancelled() and (error := task.exception()) is not None:
        task.get_loop().call_exception_handler(
            {"message": "a pool keeps its binds up no more", "exception": error, "task": task}
        )


def _in_flight(bind: Bind) -> int:
    return bind.in_flight


def _state(bind: Bind, now_ns: int) -> BindState:
    connection = bind.connection
    exchange = connection.exchange if connection is not None else None
    oldest_ns = exchange.oldest_ns if exchange is not None else -1
    return BindState(
        bind.number,
        bind.command_id,
        bind.stage.value,
        bind.generation,
        exchange.window if exchange is not None else 0,
        bind.in_flight,
        bind.room(now_ns),
        (now_ns - oldest_ns) // 1_000_000 if oldest_ns >= 0 else 0,
        connection.unacknowledged if connection is not None else 0,
        bind.turned_away,
        bind.last_reason,
    )
