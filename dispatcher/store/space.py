"""How much room the disk has left, who is refused when it runs low, and the reserve for what must go on.

Law: what was accepted goes on. The reserve is a file that only takes room; when the disk is full it is given
up, so that events of what was accepted can be written still, while nothing new is. When there is room again
it is made anew. On the way there, classes are refused one after the other, the least urgent first.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dispatcher.model import TrafficClass

RESERVE: Final = "reserve"
RESERVE_OCTETS: Final = 64 << 20
"""Events of some 250,000 segments from claim to outcome: what may be in flight or await receipts for
minutes."""
ALL, NONE = len(TrafficClass), 0


class Space:
    """The room that a store has. Called by one thread; `classes` may be read by any.

    Parameters:
        folder: that of the store.
        reserve_octets: how large the reserve is; 0 for none.
        low_octets: free octets below which marketing is refused; below half of it all but authorization,
            below a quarter all.
        free_octets: says how many octets are free for us; by default asks the file system.
    """

    def __init__(
        self,
        folder: Path,
        reserve_octets: int,
        low_octets: int,
        free_octets: Callable[[], int] | None = None,
    ) -> None:
        self._folder = folder
        self._reserve = folder / RESERVE
        self._reserve_octets = reserve_octets
        self._low_octets = low_octets
        self._enough_octets = max(low_octets // 4, reserve_octets // 2)
        self._free_octets = free_octets or self._ask
        self.is_full = False
        """Whether the reserve is given up."""
        self.classes = ALL
        """Traffic classes below this number are accepted: 4 is all, 3 all but marketing, 1 authorization
        only, 0 none."""
        self.free = 0
        """Octets that were free when last looked at."""
        self.look()

    def look(self) -> None:
        """See how much is free, and make the reserve where there is none and room for it."""
        self.free = self._free_octets()
        missing = self._reserve_octets - self._held()
        if missing > 0 and self.free >= missing + self._enough_octets:  # more than what it gave up itself
            self._make()
            self.free = self._free_octets()
        is_short = self.is_full and self.free < self._enough_octets
        self.is_full = is_short or self._held() < self._reserve_octets
        self.classes = NONE if self.is_full else self._allowed()

    def give_up(self) -> None:
        """The disk is full: make room by giving up the reserve; nothing new is accepted."""
        self.is_full, self.classes = True, NONE
        if self._held():
            os.truncate(self._reserve, 0)

    def _allowed(self) -> int:
        low = self._low_octets
        if self.free >= low:
            return ALL
        if self.free >= low // 2:
            return TrafficClass.MARKETING
        return TrafficClass.TRANSACTIONAL if self.free >= low // 4 else NONE

    def _held(self) -> int:
        try:
            return self._reserve.stat().st_size
        except FileNotFoundError:
            return 0

    def _make(self) -> None:
        descriptor = os.open(self._reserve, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._reserve_octets)
        except OSError:  # not so much after all
            os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)

    def _ask(self) -> int:
        """Octets that a process without privileges may still take."""
        found = os.statvfs(self._folder)
        return found.f_bavail * found.f_frsize
