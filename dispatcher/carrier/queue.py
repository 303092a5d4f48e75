"""The queue of one carrier and traffic class: what waits for capacity.

Its head is in memory, in two rings: `waiting` for a claim, and `claimed` (a CLAIMED event is committed, so it may be
written). Its tail stays in the journal, in a stream of its own, and is read in order when the head runs low. Numbers
of messages grow along the stream: up to `loaded_n` it has been taken into memory, up to `tail_n` it was written.

All segments of a message stand together, in order, and are claimed together.
"""

from typing import Final

from dispatcher._ext.book import Ready, Submission

LOAD_BELOW: Final = 0.5
"""Of `most`: the head is filled up again below it, long before it runs dry."""


class ClassQueue:
    """One queue. `most` is how many segments its head may hold; the last message read may overshoot it."""

    def __init__(self, traffic_class: int, stream: int, most: int) -> None:
        self.traffic_class = traffic_class
        self.stream = stream
        self.most = most
        self.waiting = Ready()
        self.claimed = Ready()
        self.claiming = 0
        """Segments whose claim is being committed."""
        self.arriving = 0
        """Segments whose acceptance is being committed."""
        self.loaded_n = 0
        self.tail_n = 0
        self.is_loading = False
        self.skip: set[int] = set()
        """Messages of the tail that have ended already: cancelled or expired where they lay."""

    def __len__(self) -> int:
        return len(self.waiting) + len(self.claimed) + self.claiming

    def __repr__(self) -> str:
        tail = f", tail {self.loaded_n}..{self.tail_n}" if self.is_behind else ""
        return (
            f"<ClassQueue {self.traffic_class}: {len(self.waiting)} waiting, {self.claiming}+{len(self.claimed)} "
            f"claimed{tail}>"
        )

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

    def expect(self, last_n: int, segments: int) -> bool:
        """Messages up to `last_n` are being committed; say whether they go straight to the head."""
        straight = not self.is_behind and segments <= self.room
        self.tail_n = last_n
        if straight:
            self.loaded_n = last_n
            self.arriving += segments
        return straight

    def take(self, most: int, now_ms: int) -> list[Submission]:
        """Take up to about `most` waiting segments, whole messages, to be claimed."""
        batch: list[Submission] = []
        self.waiting.pull(most, now_ms, batch)
        while batch and (rest := batch[-1].segments - 1 - batch[-1].segment) and self.waiting.pull(rest, now_ms, batch):
            pass
        return batch
