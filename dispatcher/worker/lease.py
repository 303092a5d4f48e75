"""How long a worker may believe that what it owns is its own. Pure: time is an argument.

Law: whoever was not heard by the group's coordinator for `LEASE_SHARE` of a session sends nothing. Nobody
else is given what it owns before a whole session has passed, so that two never send the same. The clock is
monotonic and runs on while the process is stopped: who wakes up finds his lease over before he writes
anything.
"""

from typing import Final

LEASE_SHARE: Final = 0.8
"""Of a session: the rest is for what is on its way to a carrier, and for clocks that differ."""
GROW_AFTER_NS: Final = 1_000_000_000
"""A larger share of a carrier's TPS begins so much later than the assignment that gives it: what its owner
before sent under it is out of any one-second span by then."""


class Lease:
    """The lease of one worker."""

    def __init__(self, session_ms: int) -> None:
        self.length_ns = int(session_ms * 1_000_000 * LEASE_SHARE)
        self.heard_ns = -self.length_ns - 1
        """When the request was made that the coordinator answered last."""

    def __repr__(self) -> str:
        return f"<Lease of {self.length_ns // 1_000_000} ms>"

    def renew(self, asked_ns: int) -> None:
        """The coordinator has answered what was asked at a time."""
        self.heard_ns = max(self.heard_ns, asked_ns)

    def is_valid(self, now_ns: int) -> bool:
        """Whether what is owned is owned."""
        return now_ns - self.heard_ns <= self.length_ns

    def age_s(self, now_ns: int) -> float:
        """Since when nothing was heard, in seconds."""
        return (now_ns - self.heard_ns) / 1e9


class Share:
    """The part of each carrier's TPS that is ours: it shrinks at once and grows a second later."""

    def __init__(self) -> None:
        self.now = 0.0
        """In force; 0: nothing is sent."""
        self._next = 0.0
        self._from_ns = 0

    def __repr__(self) -> str:
        return f"<Share {self.now:.3f}>"

    def assign(self, owned: int, of: int, now_ns: int) -> None:
        """So many indices of all are ours from now on."""
        self._next = owned / of if of else 0.0
        self.now = min(self.now, self._next)
        self._from_ns = now_ns + GROW_AFTER_NS

    def look(self, now_ns: int) -> bool:
        """Take up what is due; return whether it changed."""
        if self.now == self._next or now_ns < self._from_ns:
            return False
        self.now = self._next
        return True
