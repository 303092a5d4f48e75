"""Compare two results: what became slower, what faster, beyond the noise.

    python -m bench.compare before.json after.json

Compared is each of our sides over the yardstick of its own round, so that a slower machine, or a machine that
was busy, is not a slower encoder. A change counts where the medians differ by more than 5 % *and* the middle
halves of the rounds do not overlap. Exit status 1: something of ours became slower, or is no longer measured.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.machine import sentence
from bench.results import Result, Row, read
from dispatcher.cli.load.spread import Spread, Verdict, judge


class Change(NamedTuple):
    """What became of one side on one corpus."""

    corpus: str
    side: str
    verdict: Verdict
    change: float
    """After over before, minus one; 0 where there is only one of them."""

    @property
    def bad(self) -> bool:
        """Whether somebody should look."""
        return self.verdict in ("slower", "gone")


def compare(before: Result, after: Result, *, absolute: bool = False) -> list[Change]:
    """Return what became of each of our sides; with `absolute`, of its nanoseconds."""
    return list(_changes(_ours(before), _ours(after), absolute))


def _changes(
    before: dict[tuple[str, str], Row], after: dict[tuple[str, str], Row], absolute: bool
) -> Iterator[Change]:
    for key in before | after:
        if key not in after:
            yield Change(*key, "gone", 0.0)
        elif key not in before:
            yield Change(*key, "new", 0.0)
        else:
            old, new = _figures(before[key], absolute), _figures(after[key], absolute)
            yield Change(*key, judge(old, new), new.median / old.median - 1)


def _ours(result: Result) -> dict[tuple[str, str], Row]:
    return {(row["corpus"], row["side"]): row for row in result["rows"] if row["ours"]}


def _figures(row: Row, absolute: bool) -> Spread:
    return Spread.of(row["rounds"] if absolute else row["yardstick"])


def main() -> int:
    """Compare two files; the exit status says whether anything became worse."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.compare", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument(
        "--absolute", action="store_true", help="compare nanoseconds, not ratios to the yardstick"
    )
    asked = parser.parse_args()
    before, after = read(asked.before), read(asked.after)
    print(f"before: {sentence(before['run'])}\nafter:  {sentence(after['run'])}")
    changes = compare(before, after, absolute=asked.absolute)
    for change in changes:
        print(f"{change.corpus:16} {change.side:26} {change.change:+7.1%}  {change.verdict}")
    bad = sum(change.bad for change in changes)
    print(f"{bad} of {len(changes)} became slower or are gone")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
