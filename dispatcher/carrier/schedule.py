"""What waits for time: send_after, retries, graces. (What waits for capacity stands in a queue.)

A message that waits for time is a number here and nothing else: its record stays in the journal and is read
again when the time has come. Entries are eight octets each, kept by the second in which they fall due; so a
million that wait cost 8 MB, adding is O(1), and nothing is sorted but the seconds.
"""

import heapq
from array import array
from collections.abc import Iterator
from typing import Final, NamedTuple

from dispatcher.model import WHOLE

ATTEMPTS_MAX: Final = 255
"""As much as an entry can hold; classes allow about five."""
N_MAX: Final = (1 << 40) - 1
"""A trillion messages: a century at 300 a second."""
_SECOND_MS: Final = 1000


class Due(NamedTuple):
    """What has fallen due: a segment (WHOLE: a message that was never sent), and how often it was tried."""

    n: int
    segment: int
    attempts: int


class Schedule:
    """Entries by the second in which they fall due; none comes early, none later than a second."""

    def __init__(self) -> None:
        self._seconds: list[int] = []
        self._entries: dict[int, array[int]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __repr__(self) -> str:
        return f"<Schedule of {self._size} in {len(self._seconds)} seconds>"

    def add(self, due_ms: int, n: int, segment: int = WHOLE, attempts: int = 0) -> None:
        """Wait until `due_ms`."""
        second = -(-due_ms // _SECOND_MS)
        entries = self._entries.get(second)
        if entries is None:
            entries = self._entries[second] = array("q")
            heapq.heappush(self._seconds, second)
        entries.append(n << 16 | segment << 8 | min(attempts, ATTEMPTS_MAX))
        self._size += 1

    @property
    def next_ms(self) -> int:
        """When the next entry falls due; -1: there is none."""
        return self._seconds[0] * _SECOND_MS if self._seconds else -1

    def pop(self, now_ms: int, most: int) -> list[Due]:
        """Take what has fallen due, the earliest first, of one second in the order of adding."""
        due: list[Due] = []
        while self._seconds and self._seconds[0] * _SECOND_MS <= now_ms and len(due) < most:
            second = self._seconds[0]
            entries = self._entries[second]
            taken = entries[: most - len(due)]
            if len(taken) == len(entries):
                heapq.heappop(self._seconds)
                del self._entries[second]
            else:
                del entries[: len(taken)]
            self._size -= len(taken)
            due += [_due(entry) for entry in taken]
        return due

    def put_back(self, step_ms: int) -> None:
        """Let what waits for an interval fall due so much earlier: the clock was put back by that.

        Messages that were never sent (WHOLE) wait for a time of the clock, and stay.
        """
        moved: list[tuple[int, int]] = []
        for second, entries in self._entries.items():
            kept = array("q", [entry for entry in entries if entry >> 8 & 0xFF == WHOLE])
            moved += [(second, entry) for entry in entries if entry >> 8 & 0xFF != WHOLE]
            self._entries[second] = kept  # an empty second falls due as any other
        self._size -= len(moved)
        for second, entry in moved:
            self.add(max(0, second * _SECOND_MS - step_ms), entry >> 16, entry >> 8 & 0xFF, entry & 0xFF)

    def remove(self, n: int) -> int:
        """Take out every entry of a message; return how many. It looks at all: for cancelling only."""
        before = self._size
        for second, entries in list(self._entries.items()):
            kept = array("q", [entry for entry in entries if entry >> 16 != n])
            self._size -= len(entries) - len(kept)
            self._entries[second] = kept  # an empty second falls due as any other
        return before - self._size

    def __iter__(self) -> Iterator[Due]:
        for entries in self._entries.values():
            yield from map(_due, entries)


def _due(entry: int) -> Due:
    return Due(entry >> 16, entry >> 8 & 0xFF, entry & 0xFF)
