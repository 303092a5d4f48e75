"""The queue of one carrier and traffic class: what waits for capacity.

Its head is in memory, in two rings: `waiting` for a claim, and `claimed` (a CLAIMED event is committed, so it
may be written). Its tail stays in the journal, in a stream of its own, and is read in order when the head
runs low. Numbers of messages grow along the stream: up to `loaded_n` it has been taken into memory, up to
`tail_n` it was written.

All segments of a message stand together, in order, and are claimed together.
"""

import heapq
from collections import deque
from typing import Final

from dispatcher._ext.book import Ready, Submission
from dispatcher._ext.meters import Histogram
from dispatcher.model import Message

LOAD_BELOW: Final = 0.5
"""Of `most`: the head is filled up again below it, long before it runs dry."""
SLOT_MS: Final = 250
"""Deadlines of a tail are known so exactly: with a tick and a read, one is noticed within a second."""


class ClassQueue:
    """One queue. `most` is how many segments its head may hold; the last message read may overshoot it."""

    def __init__(self, traffic_class: int, stream: int, most: int) -> None:
        self.traffic_class = traffic_class
        self.stream = stream
        self.most = most
        self.waiting = Ready()
        self.claimed = Ready()
        self.waited = Histogram()
        """From acceptance, or from when it was to be sent, until a segment was written for the first time."""
        self.claiming = 0
        """Segments whose claim is being committed."""
        self.arriving = 0
        """Segments whose acceptance is being committed."""
        self.loaded_n = 0
        self.tail_n = 0
        self.tail_count = 0
        """Messages of the tail."""
        self.is_loading = False
        self.skip: set[int] = set()
        """Messages of the tail that have ended already: cancelled or expired where they lay."""
        self._arriving: deque[int] = deque()
        self._slots: list[int] = []
        self._expiring: dict[int, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self.waiting) + len(self.claimed) + self.claiming

    def __repr__(self) -> str:
        tail = f", tail {self.loaded_n}..{self.tail_n}" if self.is_behind else ""
        return (
            f"<ClassQueue {self.traffic_class}: {len(self.waiting)} waiting, "
            f"{self.claiming}+{len(self.claimed)} claimed{tail}>"
        )

    @property
    def messages(self) -> int:
        """About how many messages wait: segments in memory, messages of the tail."""
        return len(self.waiting) + self.arriving + self.tail_count

    @property
    def is_behind(self) -> bool:
        """Whether some of it is in the journal only."""
        return self.loaded_n < self.tail_n

    @property
    def room(self) -> int:
        """How many more segments the head takes."""
        return max(0, self.most - len(self.waiting) - self.arriving)

    @property
    def wants_load(self) -> bool:
        """Whether more should be read from the journal now."""
        return self.is_behind and not self.is_loading and len(self.waiting) < self.most * LOAD_BELOW

    def expect(self, messages: list[Message], segments: int) -> bool:
        """These are being committed; say whether they go straight to the head."""
        straight = not self.is_behind and segments <= self.room
        self.tail_n = messages[-1].n
        if straight:
            self.loaded_n = self.tail_n
            self._arriving.append(messages[0].n)
        else:
            self.tail_count += len(messages)
            self.expires(messages[0].n, self.tail_n, min(message.deadline_ms for message in messages))
        return straight

    def arrived(self) -> None:
        """Note that the earliest commit that `expect` sent straight to the head has ended, well or not."""
        self._arriving.popleft()

    @property
    def mark(self) -> int:
        """Up to this number nothing waits here without an event that says so: a restart reads on from it."""
        firsts = [self.loaded_n + 1, *list(self._arriving)[:1], self.waiting.lowest or self.loaded_n + 1]
        return min(firsts) - 1

    # ---- the tail ----

    def has_ended(self, n: int) -> bool:
        """Whether a message of the tail ended where it lay."""
        return n in self.skip

    def passed(self, n: int) -> bool:
        """The same, of one that is being taken up: it need not be remembered any longer."""
        if n in self.skip:
            self.skip.remove(n)
            return True
        return False

    def expires(self, first_n: int, last_n: int, deadline_ms: int) -> None:
        """Note the first deadline of these messages of the tail. What falls into one slot is one entry."""
        slot = deadline_ms // SLOT_MS + 1
        known = self._expiring.get(slot)
        if known is None:
            heapq.heappush(self._slots, slot)
            self._expiring[slot] = (first_n, last_n)
        else:
            self._expiring[slot] = (min(first_n, known[0]), max(last_n, known[1]))

    def pop_expiring(self, now_ms: int) -> tuple[int, int] | None:
        """Return (first_n, last_n) of messages among which a deadline has passed, once; or None."""
        while self._slots and self._slots[0] * SLOT_MS <= now_ms:
            span = self._expiring.pop(heapq.heappop(self._slots))
            if span[1] > self.loaded_n:
                return span
        return None

    def take(self, most: int, now_ms: int) -> list[Submission]:
        """Take up to about `most` waiting segments, whole messages, to be claimed."""
        batch: list[Submission] = []
        self.waiting.pull(most, now_ms, batch)
        while (
            batch
            and (rest := batch[-1].segments - 1 - batch[-1].segment)
            and self.waiting.pull(rest, now_ms, batch)
        ):
            pass
        return batch


def by_message(batch: list[Submission]) -> list[list[Submission]]:
    """Divide segments, those of one message together, into messages."""
    found: list[list[Submission]] = []
    for submission in batch:
        if found and found[-1][0].n == submission.n:
            found[-1].append(submission)
        else:
            found.append([submission])
    return found
