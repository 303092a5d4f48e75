"""Ctrl-C and SIGTERM for a command that would rather end what it has begun.

The first signal is noted: what is under way ends, then the command stops. Where the command only waits, and
at the second signal, it stops at once.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from dispatcher.cli.exits import Exit


class Interrupt:
    """What signals have come. KeyboardInterrupt is raised where it may stop."""

    def __init__(self) -> None:
        self.code = Exit.OK
        """How to end; OK: no signal has come."""
        self._is_waiting = False

    @contextmanager
    def caught(self) -> Iterator["Interrupt"]:
        """Take both signals meanwhile."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, self._take) for number in numbers]
        try:
            yield self
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    def check(self) -> None:
        """Stop, if a signal has come."""
        if self.code:
            raise KeyboardInterrupt

    def sleep(self, seconds: float) -> None:
        """Wait; a signal ends it."""
        if seconds <= 0:
            return
        self._is_waiting = True
        try:
            self.check()
            time.sleep(seconds)
        finally:
            self._is_waiting = False

    def _take(self, number: int, frame: FrameType | None) -> None:
        is_second = bool(self.code)
        self.code = Exit.INTERRUPTED if number == signal.SIGINT else Exit.TERMINATED
        if self._is_waiting or is_second:
            raise KeyboardInterrupt
