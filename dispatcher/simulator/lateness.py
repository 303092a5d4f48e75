"""How late the simulator itself reads: a submit_sm came when it was read, or up to so much earlier.

An oracle that says "more than the TPS in one second" has to know it. What a busy machine kept from being read
for 30 ms is read at once, and looks like a burst that the ESME never sent.
"""

import asyncio
import time
from typing import Final

TICK_S: Final = 0.005
"""Between two looks: a delay shorter than this may go unseen."""
LATE_MIN_US: Final = 2_000
"""What is less is no news."""
MARKS_MAX: Final = 200_000
"""Delays that are kept; those after them make the ledger incomplete."""


class Lateness:
    """Looks at the loop from `start` until `stop`."""

    def __init__(self) -> None:
        self.marks: list[tuple[int, int]] = []
        """When a delay had ended, in microseconds from 1970, and how long it was."""
        self.unrecorded = 0
        self._timer: asyncio.TimerHandle | None = None
        self._due_ns = 0

    def __repr__(self) -> str:
        longest_us = max((late_us for _, late_us in self.marks), default=0)
        return f"<Lateness: {len(self.marks)} delays, the longest {longest_us} us>"

    def start(self) -> None:
        """Begin to look."""
        self._due_ns = time.monotonic_ns() + int(TICK_S * 1e9)
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        late_us = (time.monotonic_ns() - self._due_ns) // 1_000
        if late_us >= LATE_MIN_US:
            if len(self.marks) < MARKS_MAX:
                self.marks.append((time.time_ns() // 1_000, late_us))
            else:
                self.unrecorded += 1
        self.start()
