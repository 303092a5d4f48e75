"""How many submit_sm an account took in the last second: the TPS limit, and the peak that an oracle wants.

Counted in any span of a second, not by the second of a clock. It is deliberately not the bucket that the
dispatcher paces itself with: a simulator that shares the limiter under test would share its mistakes.
"""

from collections import deque
from typing import Final

SPAN_NS: Final = 1_000_000_000


class Rate:
    """Two sliding windows, of what came and of what was let through; costs a batch, not a PDU."""

    def __init__(self) -> None:
        self._came: deque[tuple[int, int]] = deque()
        self._came_total = 0
        self._granted: deque[tuple[int, int]] = deque()
        self._granted_total = 0

    def add(self, now_ns: int, number: int) -> int:
        """Count what came; return how many did in the second that ends now."""
        self._came.append((now_ns, number))
        self._came_total += number
        while self._came[0][0] <= now_ns - SPAN_NS:
            self._came_total -= self._came.popleft()[1]
        return self._came_total

    def free(self, now_ns: int, tps: float) -> int:
        """Return how many more may pass now; without a limit, any number."""
        if not tps:
            return 1 << 60
        while self._granted and self._granted[0][0] <= now_ns - SPAN_NS:
            self._granted_total -= self._granted.popleft()[1]
        return max(0, max(1, int(tps)) - self._granted_total)

    def granted(self, now_ns: int, number: int) -> None:
        """Count what was let through."""
        if self._granted and self._granted[-1][0] == now_ns:
            self._granted[-1] = (now_ns, self._granted[-1][1] + number)
        else:
            self._granted.append((now_ns, number))
        self._granted_total += number
