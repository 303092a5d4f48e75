"""What the binds of an account share: backoff, circuit, alarms and sums; results pass through."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from dispatcher._ext.session import Incoming
from dispatcher.smpp.account import Account
from dispatcher.smpp.backoff import Circuit, Reconnect, Trouble
from dispatcher.smpp.bind import Bind, NotBound
from dispatcher.smpp.connection import Connection
from dispatcher.smpp.report import COUNTERS, Alarm, Alarms, Owner

FAILURES_UNTIL_ALARM: Final = 2
"""Attempts without a connection: two of them take less than half a minute."""
FLAPS_UNTIL_ALARM: Final = 3
UNMATCHED_MAX: Final = 100
"""Responses to nothing, between two looks: more is a carrier out of step."""
MOST: Final = 1 << 30

_ALARM: Final = {
    Trouble.CREDENTIALS: Alarm.CREDENTIALS,
    Trouble.ALREADY_BOUND: Alarm.ALREADY_BOUND,
}


class Budget:
    """The Hub of the binds (see smpp.bind)."""

    def __init__(
        self,
        account: Account,
        owner: Owner,
        clock: Callable[[], int],
        random_source: Callable[[], float],
        awake: Callable[[], None],
    ) -> None:
        self.reconnect = Reconnect(account.backoff, random_source)
        self.circuit = Circuit(account.backoff)
        self.alarms = Alarms(owner)
        self.counted: Counter[str] = Counter(dict.fromkeys(COUNTERS, 0))
        self.closed_by: Counter[str] = Counter()
        self._owner = owner
        self._clock = clock
        self._awake = awake
        self._failures = self._flaps = self._unmatched = 0

    def most(self, now_ns: int, in_flight: int) -> int:
        """Return how many submits the circuit lets through."""
        if self.circuit.closed:
            return MOST
        return 0 if self.circuit.wait_ns(now_ns) else max(0, 1 - in_flight)

    def reset(self, account: Account) -> None:
        """Start afresh with changed settings."""
        self.reconnect.reset(account.backoff)
        self.circuit.policy = account.backoff
        self._failures = self._flaps = 0

    def look(self, counters: dict[str, int]) -> None:
        """See whether many responses matched nothing since the last look."""
        unmatched = counters["unknown"] + counters["duplicate"] + counters["mismatched"]
        if unmatched - self._unmatched > UNMATCHED_MAX:
            self.alarms.ring(Alarm.UNMATCHED, f"{unmatched - self._unmatched} responses answered nothing")
        else:
            self.alarms.clear(Alarm.UNMATCHED)
            self.alarms.clear(Alarm.MALFORMED)
        self._unmatched = unmatched

    def not_bound(self, bind: Bind, failed: NotBound) -> None:
        """Note an attempt that came to nothing."""
        now_ns = self._clock()
        self.closed_by[failed.detail.partition(":")[0]] += 1
        self.reconnect.failed(failed.trouble, now_ns)
        self._failures += 1
        if failed.trouble is Trouble.ALREADY_BOUND:
            bind.already_bound += 1
            bind.retry_ns = now_ns + self.reconnect.pause_ns(bind.already_bound)
        if failed.trouble in _ALARM:
            self.alarms.ring(_ALARM[failed.trouble], failed.detail)
        elif failed.tls:
            self.alarms.ring(Alarm.TLS, failed.detail)
        elif self._failures >= FAILURES_UNTIL_ALARM:
            connected = failed.trouble is not Trouble.CONNECT
            self.alarms.ring(Alarm.REFUSED if connected else Alarm.UNREACHABLE, failed.detail)

    # ---- what the binds tell ----

    def bound(self, bind: Bind) -> None:
        """It is bound: the account is right and the SMSC is there."""
        self._failures = 0
        self.reconnect.bound()
        self.alarms.clear(Alarm.CREDENTIALS, Alarm.ALREADY_BOUND, Alarm.REFUSED, Alarm.UNREACHABLE, Alarm.TLS)
        self._awake()

    def stable(self, bind: Bind) -> None:
        """It has lasted."""
        self._flaps = 0
        self.reconnect.stable()
        self.alarms.clear(Alarm.UNSTABLE)

    def closed(self, connection: Connection) -> None:
        """A connection ended; its counters stand still now."""
        self.counted.update({name: getattr(connection.exchange, name) for name in COUNTERS})

    def down(self, bind: Bind, reason: str, stable: bool) -> None:
        """It was bound and is no more."""
        now_ns = self._clock()
        self.closed_by[reason] += 1
        if reason == "stuck":
            self.alarms.ring(Alarm.STUCK, f"bind {bind.number}: no answer to a whole window")
            self.reconnect.failed(Trouble.STUCK, now_ns)
            if self.circuit.stuck(now_ns):
                self.alarms.ring(Alarm.CIRCUIT, "no answers: nothing is submitted but a probe now and then")
                wait_ns = self.circuit.wait_ns(now_ns)
                asyncio.get_running_loop().call_later(wait_ns / 1e9 + 0.001, self._owner.on_room)
        elif reason != "unbound":  # we did not want it
            self.reconnect.failed(Trouble.LOST, now_ns)
            if not stable:
                self._flaps += 1
                if self._flaps >= FLAPS_UNTIL_ALARM:
                    self.alarms.ring(Alarm.UNSTABLE, f"binds end as soon as they begin: {reason}")
        self._awake()

    def answers(self, handles: list[Any], statuses: list[int], ids: list[bytes | None]) -> None:
        """Answers came: whatever they say, the SMSC answers."""
        if self.circuit.answered():
            self.alarms.clear(Alarm.CIRCUIT)
        if self.alarms.standing:
            self.alarms.clear(Alarm.STUCK)
        self._owner.on_answers(handles, statuses, ids)

    def late(self, late: list[tuple[Any, int, bytes | None]]) -> None:
        """Pass on."""
        self._owner.on_late(late)

    def unanswered(self, handles: list[Any]) -> None:
        """Pass on."""
        self._owner.on_unanswered(handles)

    def unsent(self, handles: list[Any]) -> None:
        """Pass on."""
        self._owner.on_unsent(handles)

    def incoming(self, source: Connection, incoming: list[Incoming]) -> None:
        """Pass on."""
        self._owner.on_incoming(source, incoming)

    def room(self) -> None:
        """Pass on."""
        self._owner.on_room()

    def malformed(self, detail: str) -> None:
        """Note a peer that breaks the rules."""
        self.alarms.ring(Alarm.MALFORMED, detail)
