"""Two reports against each other: what became dearer or slower, beyond the noise of their seconds.

CPU prices are compared over the yardstick of their run, so that a slower machine is not a slower dispatcher;
latencies and the ceiling are what the clock says, and differ between machines.
"""

from collections.abc import Iterator
from typing import NamedTuple

from dispatcher.cli.load.figures import Report, Trial
from dispatcher.cli.load.mix import CLASSES
from dispatcher.cli.load.spread import THRESHOLD, Spread, Verdict, judge


class Change(NamedTuple):
    """One figure, before and after. Lower is better in all but the ceiling, where it was turned."""

    name: str
    before: float
    after: float
    verdict: Verdict

    @property
    def change(self) -> float:
        """After over before, less one; 0 where one of them is missing."""
        return self.after / self.before - 1 if self.before and self.after else 0.0

    @property
    def is_bad(self) -> bool:
        """Whether somebody should look."""
        return self.verdict in ("slower", "gone")


def compare(before: Report, after: Report) -> list[Change]:
    """Return all that both have, and what one of them lacks."""
    changes = list(_trials("sustained", before.sustained, after.sustained))
    long = [report.ceiling.trial if report.ceiling else None for report in (before, after)]
    rates = [trial.segments_per_s if trial else 0.0 for trial in long]
    if before.ceiling or after.ceiling:
        changes.append(Change("ceiling, segments/s", rates[0], rates[1], _of_rates(*rates)))
        changes += _trials("at the ceiling", *long)
    return changes


def _trials(where: str, before: Trial | None, after: Trial | None) -> Iterator[Change]:
    if before is None or after is None:
        if before is not after:
            yield Change(where, 0.0, 0.0, "new" if before is None else "gone")
        return
    prices = [_prices(trial) for trial in (before, after)]
    yield _change(f"{where}: CPU a segment, of the yardstick", *prices)
    if before.segments_per_s != after.segments_per_s:
        return  # latencies of two rates are two things
    for name in ("accepted", *CLASSES):
        for share in ("p50", "p99"):
            seconds = [[getattr(each, share) for each in trial.over_time[name]] for trial in (before, after)]
            yield _change(f"{where}: {name}, {share} ms of a second", *seconds)
    octets = (before.octets_a_segment, after.octets_a_segment)
    yield _change(f"{where}: bytes a segment", *([each] for each in octets))


def _prices(trial: Trial) -> list[float]:
    """Return the daemon's CPU a segment, second by second, over what the yardstick took."""
    return [each.daemon / each.reported * 1e9 / trial.yardstick_ns for each in trial.samples if each.reported]


def _change(name: str, before: list[float], after: list[float]) -> Change:
    if not before or not after:
        return Change(name, 0.0, 0.0, "gone" if before else "new" if after else "same")
    old, new = Spread.of(before), Spread.of(after)
    return Change(name, old.median, new.median, judge(old, new))


def _of_rates(before: float, after: float) -> Verdict:
    """A ceiling is found in steps of 5 %: within two of them it is the same."""
    if not before or not after:
        return "gone" if before else "new" if after else "same"
    change = after / before - 1
    if abs(change) <= 2 * THRESHOLD:
        return "same"
    return "faster" if change > 0 else "slower"
