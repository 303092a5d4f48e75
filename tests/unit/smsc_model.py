"""A model SMSC with a limit of its own, and the loop that drives an account: virtual time, seeded."""

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random

from dispatcher._ext.bucket import Bucket
from dispatcher.smpp.rate import AdaptiveRate

SECOND = 1_000_000_000
MS = 1_000_000

Verdict = Callable[[int, Random], bool]
"""Whether the SMSC takes a segment that arrives at a time."""


class Limit:
    """The SMSC's own limit: so many in any one second, by the slow and obvious count."""

    def __init__(self, tps: int) -> None:
        self.tps = tps
        self._taken: deque[int] = deque()

    def __call__(self, now: int, random: Random) -> bool:
        """Whether a segment that arrives now is taken."""
        while self._taken and self._taken[0] <= now - SECOND:
            self._taken.popleft()
        if len(self._taken) >= self.tps:
            return False
        self._taken.append(now)
        return True


class Account:
    """An endless queue in each class, a bucket, an adaptive rate, and answers that come later."""

    def __init__(
        self, tps: int, verdict: Verdict, *, rtt_ns: int = 100 * MS, seed: int = 1, step_ns: int = MS
    ) -> None:
        self.now = 0
        self.bucket = Bucket(0, tps)
        self.rate = AdaptiveRate(0, tps)
        self.verdict = verdict
        self.rtt_ns, self.step_ns = rtt_ns, step_ns
        self.random = Random(seed)
        self.lanes: list[list[int]] = [
            [],
            [],
            [],
            [],
        ]  # heaps of numbers: what was throttled goes back in order
        self.next_number = [0, 0, 0, 0]
        self.in_flight: list[tuple[int, int, int, int, bool]] = []
        self.accepted: list[tuple[int, int, int]] = []  # (time, class, number)
        self.throttled: list[int] = []
        self.in_flight_max = 0

    def run(self, seconds: float, demand: tuple[int, int, int, int] = (0, 0, 0, 10**6)) -> list[float]:
        """Run on for so long; returns the rate at each step."""
        rates = []
        end = self.now + int(seconds * SECOND)
        while self.now < end:
            self.now += self.step_ns
            self._answer()
            rate = self.rate.tps(self.now)
            rates.append(rate)
            self.bucket.set_rate(self.now, rate)
            for traffic_class, n in enumerate(demand):
                for _ in range(self.bucket.take(self.now, n, traffic_class) if n else 0):
                    self._send(traffic_class)
            self.in_flight_max = max(self.in_flight_max, len(self.in_flight))
        return rates

    def _send(self, traffic_class: int) -> None:
        lane = self.lanes[traffic_class]
        if lane:
            number = heappop(lane)
        else:
            number = self.next_number[traffic_class]
            self.next_number[traffic_class] += 1
        taken = self.verdict(self.now + self.rtt_ns // 2, self.random)
        back = self.now + self.rtt_ns + self.random.randrange(self.rtt_ns // 10 + 1)
        heappush(self.in_flight, (back, self.now, traffic_class, number, taken))

    def _answer(self) -> None:
        while self.in_flight and self.in_flight[0][0] <= self.now:
            _, sent, traffic_class, number, taken = heappop(self.in_flight)
            if taken:
                self.rate.on_answers(self.now, sent, accepted=1)
                self.accepted.append((self.now, traffic_class, number))
            else:
                self.rate.on_answers(self.now, sent, throttled=1)
                self.throttled.append(self.now)
                heappush(self.lanes[traffic_class], number)
