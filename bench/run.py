"""Measure everything that there is to measure, on this machine: what `make bench` calls.

    python -m bench.run             all tiers, some eighteen minutes; results go to bench/results/
    python -m bench.run engine      one tier: encoding takes two minutes, engine eight, pipeline 4, daemon 3
    python -m bench.run --quick     the same, coarsely, in two minutes
    python -m bench.run --readme    the README's tables, of the last full run
    python -m bench.compare A B     two results against each other

A tier is a function that returns a Result; the micro-benchmarks (bench_encoding.py) are pytest's, and the
count of instructions is in instructions.py.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from bench import (
    daemon,
    daemon_tables,
    encoding,
    engine,
    engine_tables,
    kafka,
    pipeline,
    pipeline_tables,
    tables,
)
from bench.results import RESULTS, Result, read, save


class Tier(NamedTuple):
    """What a tier consists of."""

    measure: Callable[[bool, Callable[[str], object]], Result]
    terminal: Callable[[Result], str]
    readme: Callable[[Result], str]


TIERS: Final[dict[str, Tier]] = {
    "encoding": Tier(encoding.measure, tables.terminal, tables.readme),
    "engine": Tier(engine.measure, engine_tables.terminal, engine_tables.readme),
    "pipeline": Tier(pipeline.measure, pipeline_tables.terminal, pipeline_tables.readme),
    "daemon": Tier(daemon.measure, daemon_tables.terminal, daemon_tables.readme),
    "kafka": Tier(kafka.measure, kafka.tables, kafka.tables),
}


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.run", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("tiers", nargs="*", metavar="TIER", help=f"{', '.join(TIERS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="few and short rounds, two minutes")
    parser.add_argument(
        "--readme", action="store_true", help="print the README's tables of the last full run"
    )
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for results (bench/results)")
    asked = parser.parse_args()
    for tier in asked.tiers or TIERS:
        if tier not in TIERS:
            parser.error(f"no tier {tier!r}: there are {', '.join(TIERS)}")
        path = asked.output / f"{tier}{'-quick' if asked.quick else ''}.json"
        if not asked.readme or not path.exists():
            save(TIERS[tier].measure(asked.quick, say), path)
        table = TIERS[tier].readme if asked.readme else TIERS[tier].terminal
        print(table(read(path)))
        say(f"results: {path.name} in {asked.output.name}/")
    return 0


def say(line: str) -> None:
    """Tell how far it is, beside the results."""
    print(line, file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
