"""Which carrier of a route is fit just now: binds, a circuit breaker, slowness; time is an argument.

Law: a campaign is not burnt on a carrier that refuses everything (F70), and a code does not wait for one
that answers late (F65). Nobody comes back at once: what has just recovered gets traffic again when it lasted,
unless nobody else is there; what is open or slow is probed, message by message.

::

    OK ── 20 answers in 10 s, over half abnormal; or a config error ──> PAUSED ── pause over ──> PROBING
    ^                                                                     ^                        │
    └────────── PROBES answers without an abnormal one ───────────────────┼────────────────────────┘
                                         an abnormal one: twice the pause ┘

Slowness stands beside it: the average latency passes its limit, or five times what is usual for this carrier.
A slow carrier is the last choice of urgent messages, and ordinary for the others.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from dispatcher.smpp.status import Disposition

ABNORMAL: Final = frozenset(
    {
        Disposition.OTHER_ROUTE,
        Disposition.PERMANENT,
        Disposition.CONFIG,
        Disposition.UNKNOWN,
        Disposition.NOT_APPLICABLE,
        Disposition.OUR_BUG,
    }
)
"""Refusals that say something about a carrier when most messages get them. Throttles slow it, errors of a
session are the pool's, and temporary ones are tried again."""

SPAN_MS: Final = 10_000
"""Of the sliding window: an alarm comes within it (F70)."""
SLOT_MS: Final = 1_000
SAMPLES_MIN: Final = 20
"""Fewer answers may all be bad numbers."""
ABNORMAL_SHARE: Final = 0.5
"""A list of bad numbers refuses a tenth; half is the carrier."""
PAUSE_MS: Final = 30_000
PAUSE_MOST_MS: Final = 600_000
"""Pauses double up to this: a contract that was ended is looked at every ten minutes."""
PROBES: Final = 5
"""Messages that may go while it is not known whether the carrier works again; each may be lost to it."""
PROBE_ANSWER_MS: Final = 60_000
"""Probes without an answer for so long are given up, and new ones go."""
STABLE_MS: Final = 10_000
"""A carrier that was down is used again after so long, where there is another: flapping ends sooner."""
LATENCY_WEIGHT: Final = 1 / 16
"""Of one answer in the average: a change shows after some thirty answers."""
USUAL_WEIGHT: Final = 1 / 4096
"""Of one answer in what is usual; taken while the carrier is not slow."""
SLOW_FACTOR: Final = 5
SLOW_FLOOR_MS: Final = 500
"""Below it nobody is slow, however fast it usually is."""
RECOVERED_SHARE: Final = 0.5
"""Of the limit: what was slow is not until its average falls so far."""
SLOW_PROBE_MS: Final = 1_000
"""Between two urgent messages that are sent to a slow carrier to see whether it still is."""
_NEVER_MS: Final = 1 << 62


class CarrierHealth:
    """What is known of one carrier. Tell it of binds and answers; ask `fit` before each message."""

    __slots__ = (
        "_abnormal",
        "_latency_ms",
        "_limit_ms",
        "_pause_ms",
        "_paused_until_ms",
        "_probed_ms",
        "_probes_answered",
        "_probes_left",
        "_slot",
        "_slots",
        "_slow_probed_ms",
        "_total",
        "_up_since_ms",
        "_usual_ms",
        "fit_from_ms",
        "held",
        "slow",
    )

    def __init__(self, answer_limit_ms: int) -> None:
        """`answer_limit_ms`: an average latency above it is slow."""
        self._limit_ms = answer_limit_ms
        self._up_since_ms: int | None = None
        self._slots: list[list[int]] = [[0, 0] for _ in range(SPAN_MS // SLOT_MS)]
        self._slot = 0
        self._total = self._abnormal = 0
        self._pause_ms = 0
        self._paused_until_ms = 0
        self._probes_left = self._probes_answered = 0
        self._probed_ms = 0
        self._latency_ms = self._usual_ms = 0.0
        self.slow = False
        """Whether urgent messages go elsewhere."""
        self._slow_probed_ms = 0
        self.held = False
        """Whether the operator wants nothing sent there."""
        self.fit_from_ms = _NEVER_MS
        """From this time on there is nothing to ask: it is up, stable, neither broken nor slow."""

    def __repr__(self) -> str:
        """Say how it is."""
        state = "down" if self._up_since_ms is None else "broken" if self._pause_ms else "up"
        state += ", held" if self.held else ""
        return f"<CarrierHealth {state}{', slow' if self.slow else ''}, {self._latency_ms:.0f} ms>"

    @property
    def broken(self) -> bool:
        """Whether the circuit is open: paused or being probed. An alarm."""
        return self._pause_ms > 0

    def configure(self, answer_limit_ms: int) -> None:
        """Take up another limit."""
        self._limit_ms = answer_limit_ms

    def hold(self, held: bool) -> None:
        """Note what the operator wants."""
        self.held = held
        self._settle()

    def bound(self, up: bool, now_ms: int) -> None:
        """Note that there is a bind, or none."""
        if not up:
            self._up_since_ms = None
        elif self._up_since_ms is None:
            self._up_since_ms = now_ms
        self._settle()

    def answered(self, disposition: Disposition, latency_ms: int, now_ms: int, times: int = 1) -> None:
        """Note submit_sm_resps that came together and say the same, and how long they took on average."""
        self._time(latency_ms, times)
        abnormal = disposition in ABNORMAL
        if self._pause_ms:
            self._probed(abnormal, now_ms, times)
            return
        self._advance(now_ms)
        slot = self._slots[self._slot % len(self._slots)]
        slot[0] += times
        self._total += times
        if abnormal:
            slot[1] += times
            self._abnormal += times
            if self._total >= SAMPLES_MIN and self._abnormal > ABNORMAL_SHARE * self._total:
                self.pause(now_ms)

    def waiting(self, oldest_ms: int) -> None:
        """Note for how long the oldest submit_sm has waited for its answer: nobody may answer at all."""
        if oldest_ms > self._limit():
            self.slow = True
            self._latency_ms = max(self._latency_ms, float(oldest_ms))
            self._settle()

    def put_back(self, step_ms: int) -> None:
        """Note that the clock was put back by so much: what was measured by it moves along."""
        if self._up_since_ms is not None:
            self._up_since_ms -= step_ms
        self._paused_until_ms -= step_ms
        self._probed_ms -= step_ms
        self._slow_probed_ms -= step_ms
        self._slots = [[0, 0] for _ in self._slots]
        self._slot = self._total = self._abnormal = 0
        self._settle()

    def pause(self, now_ms: int) -> None:
        """Open the circuit: nothing is sent, then probes are; each time for twice as long."""
        self._pause_ms = min(self._pause_ms * 2 or PAUSE_MS, PAUSE_MOST_MS)
        self._paused_until_ms = now_ms + self._pause_ms
        self._probes_left, self._probes_answered = PROBES, 0
        self._settle()

    def fit(self, urgent: bool, now_ms: int) -> int:
        """Return 2: send; 1: only where no other carrier is at 2; 0: not at all."""
        if self._up_since_ms is None or self.held:
            return 0
        if self._pause_ms:
            if now_ms < self._paused_until_ms:
                return 0
            if self._probes_left == 0 and now_ms - self._probed_ms >= PROBE_ANSWER_MS:
                self._probes_left, self._probes_answered = PROBES, 0
            return 2 if self._probes_left else 0
        if urgent and self.slow:
            return 2 if now_ms - self._slow_probed_ms >= SLOW_PROBE_MS else 1
        return 2 if now_ms - self._up_since_ms >= STABLE_MS else 1

    def picked(self, urgent: bool, now_ms: int) -> None:
        """Note that a message goes there: it may be a probe."""
        if self._pause_ms:
            self._probes_left = max(0, self._probes_left - 1)
            self._probed_ms = now_ms
        elif urgent and self.slow:
            self._slow_probed_ms = now_ms

    def _probed(self, abnormal: bool, now_ms: int, times: int) -> None:
        """Judge an answer while the circuit is open. What was sent before the pause says nothing new."""
        if now_ms < self._paused_until_ms:
            return
        if abnormal:
            self.pause(now_ms)
            return
        self._probes_answered += times
        if self._probes_answered >= PROBES:
            self._pause_ms = 0
            self._slots = [[0, 0] for _ in self._slots]
            self._total = self._abnormal = 0
            self._settle()

    def _time(self, latency_ms: int, times: int) -> None:
        if not self._usual_ms:
            self._latency_ms = self._usual_ms = float(latency_ms)
        self._latency_ms += (latency_ms - self._latency_ms) * (1 - (1 - LATENCY_WEIGHT) ** times)
        limit = self._limit()
        if self.slow:
            slow = self._latency_ms > limit * RECOVERED_SHARE
        else:
            self._usual_ms += (latency_ms - self._usual_ms) * (1 - (1 - USUAL_WEIGHT) ** times)
            slow = self._latency_ms > limit
        if slow != self.slow:
            self.slow = slow
            self._settle()

    def _settle(self) -> None:
        if self._up_since_ms is None or self.held or self._pause_ms or self.slow:
            self.fit_from_ms = _NEVER_MS
        else:
            self.fit_from_ms = self._up_since_ms + STABLE_MS

    def _limit(self) -> float:
        return min(self._limit_ms, max(SLOW_FLOOR_MS, SLOW_FACTOR * self._usual_ms))

    def _advance(self, now_ms: int) -> None:
        """Empty the slots between the last answer and now."""
        slot = now_ms // SLOT_MS
        for index in range(max(self._slot + 1, slot - len(self._slots) + 1), slot + 1):
            old = self._slots[index % len(self._slots)]
            self._total -= old[0]
            self._abnormal -= old[1]
            old[0] = old[1] = 0
        self._slot = max(self._slot, slot)


class Health:
    """All carriers, by their number."""

    __slots__ = ("_carriers", "_ordered", "_ordered_ms", "_retired")

    def __init__(self, answer_limits_ms: Mapping[int, int]) -> None:
        """Take `answer_limit_ms` of each carrier."""
        self._carriers: dict[int, CarrierHealth] = {}
        self._retired: dict[int, CarrierHealth] = {}
        self._ordered: dict[tuple[tuple[int, ...], bool], tuple[int, ...]] = {}
        self._ordered_ms = 0
        """Routes as they were ordered at this time: a batch asks for few, a thousand times."""
        self.configure(answer_limits_ms)

    def configure(self, answer_limits_ms: Mapping[int, int]) -> None:
        """Take up changed limits, and carriers that are new; what is known of the others stays."""
        self._ordered.clear()
        for number, limit_ms in answer_limits_ms.items():
            if number in self._retired:
                self._carriers[number] = self._retired.pop(number)
            if number in self._carriers:
                self._carriers[number].configure(limit_ms)
            else:
                self._carriers[number] = CarrierHealth(limit_ms)

    def retire(self, carrier: int) -> None:
        """Pick a carrier no more; it still answers for what is on its way."""
        self._retired[carrier] = self._carriers.pop(carrier)
        self._ordered.clear()

    def put_back(self, step_ms: int) -> None:
        """Note of all carriers that the clock was put back."""
        for carrier in (*self._carriers.values(), *self._retired.values()):
            carrier.put_back(step_ms)

    def forget(self, carrier: int) -> None:
        """Let go of a retired carrier."""
        del self._retired[carrier]

    def __getitem__(self, carrier: int) -> CarrierHealth:
        """Return what is known of a carrier; KeyError: it is not configured."""
        found = self._carriers.get(carrier)
        return self._retired[carrier] if found is None else found

    def pick(self, route: Sequence[int], now_ms: int, urgent: bool = True) -> int | None:
        """Return the carrier for one message: the first that is fit, else the first that can be; None: wait.

        Carriers of a route that are not configured any more are passed over.
        """
        carriers = self._carriers
        if route and (first := carriers.get(route[0])) is not None and now_ms >= first.fit_from_ms:
            return route[0]
        second: int | None = None
        for number in route:
            carrier = carriers.get(number)
            fit = carrier.fit(urgent, now_ms) if carrier is not None else 0
            if fit == 2:
                return self._picked(number, urgent, now_ms)
            if fit == 1 and second is None:
                second = number
        return None if second is None else self._picked(second, urgent, now_ms)

    @property
    def fit_from_ms(self) -> int:
        """From this time on there is nothing to ask of any carrier."""
        return max((carrier.fit_from_ms for carrier in self._carriers.values()), default=0)

    def order(self, route: Sequence[int], now_ms: int, urgent: bool) -> tuple[int, ...]:
        """Return a route with the carrier in front that a new message should wait for.

        What is broken is never preferred: what waits for it already are probes enough.
        """
        if len(route) == 1 and not ((only := self._carriers.get(route[0])) and only.slow):
            return tuple(route)  # as most are, and nothing is to be probed
        if now_ms != self._ordered_ms:
            self._ordered.clear()
            self._ordered_ms = now_ms
        asked = tuple(route), urgent
        if (known := self._ordered.get(asked)) is not None:
            return known
        fits = [self._fit_of(number, urgent, now_ms) for number in route]
        best = fits.index(max(fits))
        found = (route[best], *route[:best], *route[best + 1 :])
        if fits[best][0] and self._carriers[route[best]].slow:
            self._carriers[route[best]].picked(urgent, now_ms)  # a probe: the next one may go elsewhere
        else:
            self._ordered[asked] = found
        return found

    def _fit_of(self, number: int, urgent: bool, now_ms: int) -> tuple[int, bool]:
        carrier = self._carriers.get(number)
        if carrier is None or carrier.broken:
            return 0, False
        return carrier.fit(urgent, now_ms), not (urgent and carrier.slow)

    def _picked(self, number: int, urgent: bool, now_ms: int) -> int:
        self._carriers[number].picked(urgent, now_ms)
        return number
