"""A lane such as the dispatcher's will be, small enough to judge the engine by: queue, bucket, adaptive rate.

Its time is virtual and goes on in steps: within one, what the bucket grants is submitted over real sockets,
and every answer is waited for. So an hour passes in a second, and no slow machine changes a result.
"""

import asyncio
import time
from collections import Counter, deque
from typing import Any

from dispatcher._ext.bucket import Bucket
from dispatcher._ext.session import Incoming
from dispatcher.smpp.connection import Connection
from dispatcher.smpp.constants import CommandStatus
from dispatcher.smpp.pool import Alarm, Pool
from dispatcher.smpp.rate import AdaptiveRate

from .scripted import frame, to

SECOND_NS, MS_NS = 1_000_000_000, 1_000_000


class Lane:
    """The owner of a pool, with one rate for all of its binds. A token names its destination: see `to`."""

    def __init__(self, tps: int, step_ms: int = 10) -> None:
        self.pool: Pool | None = None
        self.tps = tps
        self.now_ns = SECOND_NS
        self.queue: deque[bytes] = deque()
        self.accepted: list[bytes] = []
        self.refused: Counter[int] = Counter()
        self.set_aside: list[bytes] = []
        """Refused as ESME_RMSGQFUL: their destination has to wait, nobody else."""
        self.unanswered: list[bytes] = []
        self.sent: list[tuple[int, int]] = []
        """When, in virtual time, how many were submitted."""
        self.alarms: list[Alarm] = []
        self.rate = AdaptiveRate(self.now_ns, tps)
        self.bucket = Bucket(self.now_ns, tps)
        self.step_ns = step_ms * MS_NS
        self._sent_ns = 0
        self._numbers = 0

    # ---- as the owner of the pool ----

    def on_answers(self, handles: list[Any], statuses: list[int], ids: list[bytes | None]) -> None:
        """Tell the rate; what was throttled goes to the head of the queue again, in its order."""
        again = []
        counted: Counter[int] = Counter(statuses)
        for token, status in zip(handles, statuses, strict=True):
            if status == CommandStatus.ESME_ROK:
                self.accepted.append(token)
                continue
            self.refused[status] += 1
            if status == CommandStatus.ESME_RMSGQFUL:
                self.set_aside.append(token)
            else:
                again.append(token)
        self.queue.extendleft(reversed(again))
        throttled, full = counted[CommandStatus.ESME_RTHROTTLED], counted[CommandStatus.ESME_RMSGQFUL]
        self.rate.on_answers(
            self.now_ns, self._sent_ns, len(handles) - throttled - full, throttled=throttled, queue_full=full
        )

    def on_late(self, late: list[tuple[Any, int, bytes | None]]) -> None:
        """Nothing is late here."""

    def on_unanswered(self, handles: list[Any]) -> None:
        """Write down."""
        self.unanswered += handles

    def on_unsent(self, handles: list[Any]) -> None:
        """They are the oldest, and never left: first in the queue again."""
        self.queue.extendleft(reversed(handles))

    def on_incoming(self, source: Connection, incoming: list[Incoming]) -> None:
        """Say that it is stored."""
        assert self.pool is not None
        self.pool.acknowledge(source, incoming)

    def on_room(self) -> None:
        """Steps ask for themselves."""

    def on_alarm(self, kind: Alarm, detail: str) -> None:
        """Write down."""
        self.alarms.append(kind)

    def on_clear(self, kind: Alarm) -> None:
        """Do nothing."""

    # ---- driving ----

    def put(self, count: int, destination: bytes = b"79990000000") -> list[bytes]:
        """Queue so many new messages; return their tokens."""
        tokens = [b"t:%s:%d" % (destination, self._numbers + number) for number in range(count)]
        self._numbers += count
        self.queue.extend(tokens)
        return tokens

    async def step(self) -> int:
        """Submit what may go now, wait for the answers, let time go on; return how many went."""
        assert self.pool is not None
        self.bucket.set_rate(self.now_ns, self.rate.tps(self.now_ns))
        wanted = min(len(self.queue), self.pool.room)
        taken = 0
        if wanted and (granted := self.bucket.take(self.now_ns, wanted, 0)):
            tokens = [self.queue[number] for number in range(granted)]
            self._sent_ns = self.now_ns
            taken = self.pool.submit(tokens, [frame(token, to(token)) for token in tokens])
            for _ in range(taken):
                self.queue.popleft()
            self.bucket.give_back(self.now_ns, granted - taken, 0)
            self.sent.append((self.now_ns, taken))
            end = time.monotonic() + 10
            while self.pool.in_flight:  # no sleep: there are thousands of steps
                assert time.monotonic() < end, "it was not answered"
                await asyncio.sleep(0)
        self.now_ns += self.step_ns
        return taken

    async def run(self, seconds: float, fill: int = 0) -> None:
        """Go on for a while of virtual time; keep at least `fill` messages in the queue."""
        end_ns = self.now_ns + int(seconds * SECOND_NS)
        while self.now_ns < end_ns:
            if fill > len(self.queue):
                self.put(fill - len(self.queue))
            if not await self.step():
                await asyncio.sleep(0)

    def rates(self, since_ns: int = 0) -> list[int]:
        """Return how many were submitted in each second that begins with a submit, since a time."""
        sent = [each for each in self.sent if each[0] >= since_ns]
        spans, total, first = [], 0, 0
        for at_ns, count in sent:
            total += count
            while sent[first][0] <= at_ns - SECOND_NS:
                total -= sent[first][1]
                first += 1
            spans.append(total)
        return spans
