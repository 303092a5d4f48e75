"""What is to happen later: any number of calls by due time behind one timer of the event loop.

Calls due in the same millisecond run in the order in which they were put down; so does what is overdue.
"""

import asyncio
import heapq
import time
from collections.abc import Callable
from typing import Final

_TICK_NS: Final = 1_000_000


class Agenda:
    """Calls by due time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ticks: list[int] = []
        self._calls: dict[int, list[Callable[[], object]]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_tick = 0

    def at(self, due_ns: int, call: Callable[[], object]) -> None:
        """Call at a time of the monotonic clock, never earlier."""
        tick = -(-due_ns // _TICK_NS)
        calls = self._calls.get(tick)
        if calls is None:
            calls = self._calls[tick] = []
            heapq.heappush(self._ticks, tick)
            if self._timer is None or tick < self._timer_tick:
                self._arm()
        calls.append(call)

    def clear(self) -> None:
        """Forget everything."""
        self._ticks.clear()
        self._calls.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._ticks:
            self._timer_tick = self._ticks[0]
            wait_s = (self._timer_tick * _TICK_NS - time.monotonic_ns()) / 1e9
            self._timer = self._loop.call_later(max(0.0, wait_s), self._run)

    def _run(self) -> None:
        self._timer = None
        now_tick = time.monotonic_ns() // _TICK_NS
        try:
            while self._ticks and self._ticks[0] <= now_tick:
                for call in self._calls.pop(heapq.heappop(self._ticks)):
                    call()
        finally:
            self._arm()
