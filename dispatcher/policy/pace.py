"""How fast one sender may go: in all, and to one number (F72: runaway clients, pumped one-time codes).

Pure: time is an argument, in whole milliseconds that only grow. A limit of 0 is none.
"""

from collections import OrderedDict
from typing import Final

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
NUMBERS_MAX: Final = 200_000
"""Pairs of source and number that are remembered, some 250 octets each; the one that was quiet longest goes
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


class NumberPace:
    """Counts messages by source and number, in whole minutes and hours of the clock that `now_ms` is."""

    def __init__(self, per_minute: int, per_hour: int, numbers_max: int = NUMBERS_MAX) -> None:
        self.per_minute = per_minute
        self.per_hour = per_hour
        self._numbers_max = numbers_max
        self._counts: OrderedDict[int, tuple[int, int, int, int]] = OrderedDict()
        """By hash of source and number: minute, messages in it, hour, messages in it."""

    def __len__(self) -> int:
        return len(self._counts)

    def take(self, source: str, number: str, now_ms: int) -> int:
        """Count one message; return 0, or after how many milliseconds to come again: then it did not
        count."""
        key = _key(source, number)
        minute, hour = now_ms // MINUTE_MS, now_ms // HOUR_MS
        counts = self._counts
        if (entry := counts.get(key)) is None:
            counts[key] = minute, 1, hour, 1
            if len(counts) > self._numbers_max:
                counts.popitem(last=False)
            return 0
        counts.move_to_end(key)
        in_minute = entry[1] if entry[0] == minute else 0
        in_hour = entry[3] if entry[2] == hour else 0
        if self.per_hour and in_hour >= self.per_hour:
            return (hour + 1) * HOUR_MS - now_ms
        if self.per_minute and in_minute >= self.per_minute:
            return (minute + 1) * MINUTE_MS - now_ms
        counts[key] = minute, in_minute + 1, hour, in_hour + 1
        return 0

    def force(self, source: str, number: str) -> None:
        """Count one message beyond the limits."""
        self._add(source, number, 1)

    def give_back(self, source: str, number: str) -> None:
        """Take back what was counted last: no message came of it."""
        self._add(source, number, -1)

    def _add(self, source: str, number: str, more: int) -> None:
        if (entry := self._counts.get(key := _key(source, number))) is not None:
            minute, in_minute, hour, in_hour = entry
            self._counts[key] = minute, max(0, in_minute + more), hour, max(0, in_hour + more)


def _key(source: str, number: str) -> int:
    """Hash a source and the last ten digits of a number: its national and international forms are one."""
    if not (number.isdecimal() and number.isascii()) and not (number[1:].isdecimal() and number[0] == "+"):
        number = "".join(filter(str.isdecimal, number))
    return hash((source, number[-10:]))
