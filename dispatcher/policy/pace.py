"""How fast one sender may go: in all, and to one number (F72: runaway clients, pumped one-time codes).

Pure: time is an argument, in whole milliseconds that only grow. A limit of 0 is none. What goes to one number
is counted in ext/pace.pyx.
"""

from typing import Final

from dispatcher._ext.pace import NumberPace
from dispatcher.model import SendRequest

NUMBERS_MAX: Final = 200_000
"""Pairs of source and number that are remembered, some 40 octets each; the one that was quiet longest goes
first. A runaway client's number is never quiet."""


class Rate:
    """A token bucket: `per_second` messages, and as many at once after a quiet second."""

    def __init__(self, per_second: float, now_ms: int) -> None:
        self.per_second = per_second
        self._most = max(1.0, per_second)
        self._tokens = self._most
        self._at_ms = now_ms

    def take(self, wanted: int, now_ms: int) -> int:
        """Take up to `wanted` tokens; return how many there were."""
        if now_ms > self._at_ms:
            refill = (now_ms - self._at_ms) * self.per_second / 1000
            self._tokens = min(self._most, self._tokens + refill)
            self._at_ms = now_ms
        taken = min(wanted, int(self._tokens))
        self._tokens -= taken
        return taken

    def put_back(self, unused: int) -> None:
        """Give tokens back: nothing was sent for them."""
        self._tokens = min(self._most, self._tokens + unused)

    @property
    def wait_ms(self) -> int:
        """How long until there is a token again."""
        return max(1, int((1 - self._tokens) * 1000 / self.per_second) + 1) if self._tokens < 1 else 0


def number_pace(per_minute: int, per_hour: int, numbers_max: int = NUMBERS_MAX) -> NumberPace:
    """Return what counts messages to one number."""
    return NumberPace(SendRequest, per_minute, per_hour, numbers_max)
