"""Telling a change from noise: the middle half of the rounds, and what must differ before it counts."""

import statistics
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

THRESHOLD: Final = 0.05  # smaller changes come and go with the layout of the code

Verdict: TypeAlias = Literal["slower", "faster", "same", "noise", "gone", "new"]


class Spread(NamedTuple):
    """Figures of one side over the rounds of a run."""

    median: float
    min: float
    max: float
    q1: float
    q3: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Summarise at least one value."""
        if len(values) == 1:
            return cls(*[values[0]] * 5)
        low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(middle, min(values), max(values), low, high)


def judge(before: Spread, after: Spread) -> Verdict:
    """Decide whether two figures, lower being better, differ: by enough, and by more than in themselves."""
    if before.median == 0:
        return "same" if after.median == 0 else "slower"
    change = after.median / before.median - 1
    if abs(change) <= THRESHOLD:
        return "same"
    if after.q1 > before.q3:
        return "slower"
    return "faster" if after.q3 < before.q1 else "noise"
