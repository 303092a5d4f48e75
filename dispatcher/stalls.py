"""Turns of the event loop that take too long: seen from a thread, told with what the loop is doing.

The thread asks the loop to answer, every `LOOK_S`; an answer that takes longer than the limit is a stall. So
one of twice the limit and more is always seen, a shorter one by chance, the more often it comes the surer.
"""

import asyncio
import logging
import sys
import threading
import time
import traceback
from typing import Final

log = logging.getLogger("dispatcher.stalls")

LOOK_S: Final = 0.1
"""Between two questions: ten wakes a second, a thousandth of a core."""
TELL_S: Final = 10.0
"""Between two reports: a loop that stalls all the time says so six times a minute."""


class StallWatch:
    """Watches the loop that runs in the thread that calls `start`. `limit_ms` may be changed."""

    def __init__(self, limit_ms: int) -> None:
        self.limit_ms = limit_ms
        self.stalls = 0
        self.longest_ms = 0
        self._loop: asyncio.AbstractEventLoop
        self._thread_id = 0
        self._untold = 0
        self._told_s = -TELL_S
        self._answered = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stall watch", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()
        self._answered.set()

    def _run(self) -> None:
        while not self._stopped.wait(LOOK_S):
            self._answered.clear()
            asked_s = time.monotonic()
            try:
                self._loop.call_soon_threadsafe(self._answered.set)
            except RuntimeError:  # the loop is closed
                return
            if not self._answered.wait(self.limit_ms / 1000):
                self._stalled(asked_s)

    def _stalled(self, asked_s: float) -> None:
        frame = sys._current_frames().get(self._thread_id)
        stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
        del frame  # or it would keep alive what the loop works on
        self.stalls += 1
        is_told = time.monotonic() - self._told_s >= TELL_S
        if is_told:
            log.error(
                "the event loop stands: a turn takes longer than %d ms",
                self.limit_ms,
                extra={
                    "event": "loop_stalled",
                    "stalls": self.stalls,
                    "untold": self._untold,
                    "stack": stack,
                },
            )
            self._told_s, self._untold = time.monotonic(), 0
        else:
            self._untold += 1
        self._answered.wait()
        took_ms = int((time.monotonic() - asked_s) * 1000)
        self.longest_ms = max(self.longest_ms, took_ms)
        if is_told and not self._stopped.is_set():
            log.warning(
                "the event loop turns again after %d ms",
                took_ms,
                extra={"event": "loop_turns", "ms": took_ms},
            )
