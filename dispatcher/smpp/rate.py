"""The adaptive rate of one carrier account: how fast the SMSC lets us send just now.

Law: a throttle (ESME_RTHROTTLED, ESME_RMSGQFUL) slows the queue and never counts against the message. Time is
an argument. The rate never passes the nominal TPS and never falls below a probe.

Plan. One number, ``base_tps`` at ``base_ns``, that grows by a twentieth of the nominal TPS each second; the
driver gives it to the bucket (``bucket.set_rate(now_ns, rate.tps(now_ns))``). Two things cut it:

- *trim*: the first throttle, then at most one cut a second: by the share of the answers that was throttled,
  and by 2 %. Above the SMSC's true limit that share is the excess, so one or two trims find the limit.
- *storm*: throttles for a second, and nothing accepted among them: to the probe. The rate then rests until
  the first accepted answer, however long that takes.

A cut counts once a round trip. Answers to what was sent before it say nothing about the new rate: they only
tell better how deep that same cut must be. Where throttling does not depend on our rate, cuts and growth
balance: near 97 % of nominal at 3 % throttled, 40 % at 10 %.

ESME_RMSGQFUL may be one full mailbox rather than the SMSC: it counts only above 1 % of the answers, from the
fifth on. A congestion_state (5.0) of 90 and more trims, 80 and more stops the growth.
"""

from typing import Final

from dispatcher.errors import ConfigError

_SECOND_NS: Final = 1_000_000_000

GROWTH: Final = 1 / 20
"""Of the nominal TPS, each second: from the probe to 90 % in 18 s."""

PROBE: Final = 0.02
"""Of the nominal TPS: what is still sent in a storm, to learn of its end."""

PROBE_LARGEST: Final = 0.05
"""Of the nominal TPS: the probe of a slow account."""

PROBE_TPS_MIN: Final = 0.05
"""One probe in 20 s at least, as far as PROBE_LARGEST allows: its answer and the growth fit into a minute."""

MARGIN: Final = 0.98
"""A trim goes this far below what was accepted, so that the SMSC's own backlog drains."""

TRIM_NS: Final = _SECOND_NS
"""Between two trims: the shortest time in which a share means something, and the span of carriers' limits."""

STORM_NS: Final = _SECOND_NS
"""Throttles for so long, and nothing else: no share need be measured."""

_RESTING_NS: Final = 1 << 62
"""As the start of growth: no growth until an accepted answer."""

SHARE_MAX: Final = 0.9
"""The most that one trim takes, as the first answers of a round may be the worst."""

QUEUE_FULL_MIN: Final = 5
QUEUE_FULL_SHARE: Final = 0.01
"""Fewer may all be for one destination, which then backs off on its own."""

CONGESTED: Final = 90
CONGESTION_NEAR: Final = 80
CONGESTED_TRIM: Final = 0.9
"""By the states of SMPP 5.0, 4.8.4.18."""


class _Answers:
    """The answers of one round: what was sent between two cuts."""

    __slots__ = ("accepted", "queue_full", "throttled")

    def __init__(self) -> None:
        self.accepted = self.throttled = self.queue_full = 0.0

    def add(self, accepted: int, throttled: int, queue_full: int) -> bool:
        """Count answers; returns whether these slow us."""
        self.accepted += accepted
        self.throttled += throttled
        self.queue_full += queue_full
        return throttled > 0 or (queue_full > 0 and self._is_queue_full())

    def throttled_share(self) -> float:
        """Return the share of the answers that were throttles."""
        throttled = self.throttled + (self.queue_full if self._is_queue_full() else 0)
        answers = self.accepted + self.throttled + self.queue_full
        return min(SHARE_MAX, throttled / answers) if answers else 0.0

    def fade(self, factor: float) -> None:
        """Let old answers count less."""
        self.accepted *= factor
        self.throttled *= factor
        self.queue_full *= factor

    def _is_queue_full(self) -> bool:
        answers = self.accepted + self.throttled + self.queue_full
        return self.queue_full >= QUEUE_FULL_MIN and self.queue_full > QUEUE_FULL_SHARE * answers


class AdaptiveRate:
    """The rate that one carrier account may have now. Tell it of every answer; ask it for `tps`."""

    __slots__ = (
        "_base_ns",
        "_base_tps",
        "_before_tps",
        "_cut_ns",
        "_faded_ns",
        "_last_round",
        "_nominal_tps",
        "_round",
        "_storm_ns",
    )

    def __init__(self, now_ns: int, nominal_tps: float) -> None:
        if not nominal_tps > 0:
            raise ConfigError(f"tps is {nominal_tps!r}; expected more than 0")
        self._nominal_tps = float(nominal_tps)
        self._base_tps = self._nominal_tps
        self._base_ns = now_ns  # growth counts from here
        self._before_tps = 0.0  # the rate before the last trim; 0: the last cut was none
        self._cut_ns = now_ns - TRIM_NS
        self._storm_ns = -1  # the first throttle since the last accepted answer
        self._round = _Answers()
        self._last_round = _Answers()
        self._faded_ns = now_ns

    @property
    def nominal_tps(self) -> float:
        """The contract's rate."""
        return self._nominal_tps

    @property
    def probe_tps(self) -> float:
        """The lowest rate."""
        nominal = self._nominal_tps
        return max(PROBE * nominal, min(PROBE_LARGEST * nominal, PROBE_TPS_MIN))

    def tps(self, now_ns: int) -> float:
        """Return the rate at a time: for ``bucket.set_rate``."""
        grown = self._base_tps + GROWTH * self._nominal_tps * max(0, now_ns - self._base_ns) / _SECOND_NS
        return min(self._nominal_tps, grown)

    def set_nominal(self, now_ns: int, nominal_tps: float) -> None:
        """Take up another contract. What the SMSC has taught us stays: who is slowed goes on from there."""
        current, is_slowed = self.tps(now_ns), self.is_slowed(now_ns)
        self._nominal_tps = float(nominal_tps)
        self._before_tps = min(self._before_tps, self._nominal_tps)
        if self._base_ns == _RESTING_NS:
            self._base_tps = self.probe_tps
        else:
            self._base_tps = min(current, self._nominal_tps) if is_slowed else self._nominal_tps
            self._base_ns = now_ns

    def is_slowed(self, now_ns: int) -> bool:
        """Whether the SMSC now gets less than the contract allows: for metrics and alarms."""
        return self.tps(now_ns) < self._nominal_tps

    def on_answers(
        self, now_ns: int, sent_ns: int, accepted: int = 0, throttled: int = 0, queue_full: int = 0
    ) -> None:
        """Note the answers of one read; `sent_ns` is when the latest of their submit_sm was sent.

        `throttled` are ESME_RTHROTTLED, `queue_full` ESME_RMSGQFUL, `accepted` all others, also refusals for
        the message's own sake: the SMSC took the time to look at it.
        """
        self._fade(now_ns)
        is_stale = sent_ns < self._cut_ns
        is_slowing = (self._last_round if is_stale else self._round).add(accepted, throttled, queue_full)
        if accepted:
            self._storm_ns = -1
            if self._base_ns == _RESTING_NS:
                self._base_ns = now_ns
        elif is_slowing and self._storm_ns < 0:
            self._storm_ns = now_ns
        if is_slowing and 0 <= self._storm_ns <= now_ns - STORM_NS:
            self._cut(now_ns, 0.0)
            self._base_ns = _RESTING_NS
        elif is_stale:
            if self._before_tps:
                self._base_tps = self._trimmed()
        elif is_slowing and now_ns - self._cut_ns >= TRIM_NS:
            self._before_tps = self.tps(now_ns)
            self._last_round, self._round = self._round, _Answers()
            self._base_tps = self._trimmed()
            self._base_ns = self._cut_ns = now_ns

    def on_congestion(self, now_ns: int, congestion_state: int) -> None:
        """Note the congestion_state TLV (5.0) of a response: 0 idle to 100 congested."""
        if self._base_ns == _RESTING_NS:
            return
        if congestion_state >= CONGESTED:
            if now_ns - self._cut_ns >= TRIM_NS:
                self._cut(now_ns, CONGESTED_TRIM * self.tps(now_ns))
        elif congestion_state >= CONGESTION_NEAR:
            self._base_tps, self._base_ns = self.tps(now_ns), now_ns + _SECOND_NS
            self._before_tps = 0.0

    def __repr__(self) -> str:
        state = "resting at" if self._base_ns == _RESTING_NS else "growing from"
        return f"<AdaptiveRate {state} {self._base_tps:.4g} of {self._nominal_tps:.6g}/s>"

    def _trimmed(self) -> float:
        share = self._last_round.throttled_share()
        return max(self.probe_tps, self._before_tps * (1 - share) * MARGIN)

    def _cut(self, now_ns: int, tps: float) -> None:
        self._base_tps = max(self.probe_tps, tps)
        self._base_ns = self._cut_ns = now_ns
        self._before_tps = 0.0
        self._round, self._last_round = _Answers(), _Answers()

    def _fade(self, now_ns: int) -> None:
        # Old answers fade: a share speaks of the last seconds, not of the last hour.
        seconds = (now_ns - self._faded_ns) // _SECOND_NS
        if seconds > 0:
            self._round.fade(0.5 ** min(seconds, 60))
            self._faded_ns += seconds * _SECOND_NS
