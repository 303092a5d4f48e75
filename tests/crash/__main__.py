"""``make crash``: many runs at random, by a seed that repeats them. ``KILLS=200``, ``ARGS='--seed 7'``."""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Final

from tests.crash.points import POINTS
from tests.crash.run import Kill, Report, chosen, crash

KILLS_OF_A_RUN: Final = 4
ANYWHERE: Final = ("instant",)
AT_START: Final = tuple(name for name, point in POINTS.items() if point.is_at_start)
RUNNING: Final = tuple(name for name in POINTS if name not in AT_START)


def plan(random: Random, disk_ms: int) -> list[Kill]:
    """Return the kills of one run: what needs something to recover comes after what leaves it."""
    names = [random.choice(RUNNING + ANYWHERE)]
    while len(names) < KILLS_OF_A_RUN:
        names.append(random.choice(RUNNING + AT_START + ANYWHERE))
    if names[1] in AT_START:  # there is something to read again
        names[0] = "write-after"
    if "doubt" in names:  # there is something to doubt
        names[names.index("doubt") - 1] = "write-after"
    return chosen(names, random, disk_ms)


async def run_all(kills: int, seed: int, jobs: int, only: list[Kill], folder: Path) -> list[Report]:
    """Run until so many kills are done."""
    gate = asyncio.Semaphore(jobs)
    done = 0

    async def one(number: int) -> Report:
        nonlocal done
        async with gate:
            random = Random(seed + number)
            disk_ms, throttled = random.choice((0, 0, 8)), random.choice((0.0, 0.0, 0.05))
            break_ms, pause_ms = random.choice((0, 0, 0, 150)), random.choice((10, 10, 1))
            report = await crash(
                f"run {number}",
                only or plan(random, disk_ms),
                seed + number,
                folder / str(number),
                throttled=throttled,
                break_ms=break_ms,
                pause_ms=pause_ms,
                disk_ms=disk_ms,
            )
        done += 1
        if sys.stdout.isatty():
            print(f"\r{done} runs", end="", flush=True)
        return report

    runs = 1 if only else -(-kills // KILLS_OF_A_RUN)
    return list(await asyncio.gather(*map(one, range(runs))))


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="make crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--jobs", type=int, default=3, metavar="N", help="runs at a time (3)")
    parser.add_argument(
        "--only", nargs="+", type=_kill, default=[], metavar="POINT:HIT", help="one run with these kills"
    )
    given = parser.parse_args()
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="crash-", ignore_cleanup_errors=True) as folder:
        reports = asyncio.run(run_all(given.kills, given.seed, given.jobs, given.only, Path(folder)))
    bad = [report for report in reports if report.complaints]
    for report in bad:
        print(f"\n{report}")
    kills = sum(len(report.account.in_doubt) for report in reports)
    doubt = sum(sum(report.account.in_doubt) for report in reports)
    missed = sum(report.missed for report in reports)
    print(
        f"\r{kills} kills in {len(reports)} runs, {sum(report.messages for report in reports):,} messages in "
        f"{time.monotonic() - started_s:.0f} s: {doubt:,} segments were in doubt, "
        f"{sum(report.account.extra for report in reports):,} came twice, "
        f"{len(bad)} runs with complaints (seed {given.seed}"
        f"{f', {missed} kills missed their point' if missed else ''})"
    )
    return 1 if bad else 0


def _kill(word: str) -> Kill:
    name, _, hits = word.partition(":")
    if name not in (*POINTS, *ANYWHERE):
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join((*POINTS, *ANYWHERE))}")
    return name, int(hits or 1)


if __name__ == "__main__":
    sys.exit(main())
