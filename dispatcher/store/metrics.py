"""Counters of the journal: written by the writer's thread, read by whoever wants to know."""

from bisect import bisect_left
from collections.abc import Sequence

from dispatcher.metrics import COMMIT_BOUNDS_S
from dispatcher.store.records import StoredRow


class Metrics:
    """All that was written since the start. Commit seconds are from taking the group until the commit
    returned."""

    def __init__(self) -> None:
        self.commits = 0
        self.appends = 0
        self.rows = 0
        self.records = 0
        self.octets = 0
        """Of bodies."""
        self.commit_s = 0.0
        self.commits_within = [0] * (len(COMMIT_BOUNDS_S) + 1)
        """How many commits took at most COMMIT_BOUNDS_S[i], and longer than the one before; the last: longer
        than all."""
        self.last_commit_s = 0.0
        self.refused = 0
        """Appends that were turned away because the disk was full."""
        self.full = 0
        """How often SQLite said that the disk is full."""

    def committed(self, rows: Sequence[StoredRow], appends: int, seconds: float) -> None:
        """Count one commit."""
        self.commits += 1
        self.appends += appends
        self.rows += len(rows)
        for row in rows:
            self.records += row.count
            self.octets += len(row.body)
        self.commit_s += seconds
        self.last_commit_s = seconds
        self.commits_within[bisect_left(COMMIT_BOUNDS_S, seconds)] += 1
