"""The ceiling: the highest rate that is held, no queue growing. Short trials find it, a long one tells.

Steps: twice the rate while it is held; then halfway between the highest that was held and the lowest that was
not, until they are near; then the long trial, and a little less each time that it is not held.
"""

from collections.abc import Callable
from typing import Final

from dispatcher.cli.load import trial
from dispatcher.cli.load.figures import Ceiling, Step, Trial
from dispatcher.cli.load.stage import Stage

NEAR: Final = 1.05
"""Two rates nearer than this are one: the machine is no steadier."""
LESS: Final = 0.95
"""After a long trial that was not held."""
TRIALS_MAX: Final = 12
"""Short ones: from 1,000 segments a second to millions."""
LONG_MAX: Final = 5

Try = Callable[[float, float], Trial]
"""Offer a rate for so many seconds."""


def find(attempt: Try, start_per_s: float, short_s: float, long_s: float) -> Ceiling:
    """Search from a rate on."""
    steps: list[Step] = []

    def held(rate: float, seconds: float) -> Trial | None:
        found = attempt(rate, seconds)
        steps.append(Step(rate, seconds, found.held, found.growth, found.core))
        return found if found.held else None

    low, high, rate = 0.0, 0.0, start_per_s
    for _ in range(TRIALS_MAX):
        if held(rate, short_s):
            low = rate
        else:
            high = rate
        if low and high and high / low <= NEAR:
            break
        rate = (low + high) / 2 if low and high else rate * 2 if low else rate / 2
    rate = low
    for _ in range(LONG_MAX if low else 0):
        if (found := held(rate, long_s)) is not None:
            return Ceiling(steps, found)
        rate *= LESS
    return Ceiling(steps, None)


def on(stage: Stage, tell: Callable[[str], object]) -> Try:
    """Return what tries a rate on a stage, and says how it went."""

    def attempt(rate: float, seconds: float) -> Trial:
        found = trial.run(stage, rate, seconds)
        tell(
            f"  {rate:>9,.0f} segments/s for {seconds:.0f} s: {'held' if found.held else 'not held'}, "
            f"{found.core:.0%} of a core, the queue grows by {found.growth:+.1%}"
            f"{f', {found.refused:,} refused' if found.refused else ''}"
        )
        return found

    return attempt
