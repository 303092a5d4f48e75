"""What the path counts in Python, as it is rare: what is refused, at our door and by carriers, by code.

What happens to every message is counted where it happens, compiled: Book, Intake and Histogram.
"""

from collections import Counter
from collections.abc import Iterable

from dispatcher.model import Accepted, Refused


class Counters:
    """Since the start; read by whoever wants to know."""

    def __init__(self) -> None:
        self.refused: Counter[str] = Counter()
        """At the door, by code."""
        self.repeated = 0
        """Requests that were answered with what was accepted before."""
        self.refusals: Counter[tuple[int, int]] = Counter()
        """Of segments, by number of the carrier and command_status."""

    def judged(self, verdicts: Iterable[Accepted | Refused | None]) -> None:
        """Count those that accept nothing new."""
        for verdict in verdicts:
            if isinstance(verdict, Refused):
                self.refused[verdict.code] += 1
            elif verdict is not None and verdict.is_repeated:
                self.repeated += 1
