"""Measure what there is to measure, on this machine: what `make bench` calls.

    python -m bench.run             all tiers but soak, some 35 minutes; results go to bench/results/
    python -m bench.run engine      one tier, see TIERS
    python -m bench.run --quick     the same, coarsely, in five minutes
    python -m bench.run --readme    the README's tables, of the last full run
    python -m bench.run --publish   keep the last full run in bench/published/, and its tables in READMEs
    python -m bench.run --history   append the last full run to history.jsonl, and to its table
    python -m bench.compare A B     two results against each other

A tier is a module with `measure`, which returns a Result, and with `terminal` and `readme`, which make tables
of it. How many instructions functions take is in instructions.py.
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
    history,
    kafka,
    latency,
    latency_tables,
    micro,
    pipeline,
    pipeline_tables,
    publish,
    scaling,
    soak,
    store_tier,
    tables,
)
from bench.results import RESULTS, Result, read, save


class Tier(NamedTuple):
    """What a tier consists of."""

    measure: Callable[[bool, Callable[[str], object]], Result]
    terminal: Callable[[Result], str]
    readme: Callable[[Result], str]
    minutes: float
    """About, in full."""


TIERS: Final[dict[str, Tier]] = {
    "micro": Tier(micro.measure, micro.terminal, micro.readme, 2),
    "encoding": Tier(encoding.measure, tables.terminal, tables.readme, 2),
    "store": Tier(store_tier.measure, store_tier.terminal, store_tier.readme, 2),
    "engine": Tier(engine.measure, engine_tables.terminal, engine_tables.readme, 9),
    "pipeline": Tier(pipeline.measure, pipeline_tables.terminal, pipeline_tables.readme, 3),
    "daemon": Tier(daemon.measure, daemon_tables.terminal, daemon_tables.readme, 6),
    "kafka": Tier(kafka.measure, kafka.tables, kafka.tables, 4),
    "latency": Tier(latency.measure, latency_tables.terminal, latency_tables.readme, 3),
    "scaling": Tier(scaling.measure, scaling.terminal, scaling.readme, 8),
    "soak": Tier(soak.measure, soak.terminal, soak.readme, 12),
}
"""In the order in which they run."""
ASKED_FOR: Final = {"soak"}
"""Tiers that run only when they are named."""


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.run", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "tiers", nargs="*", metavar="TIER", help=f"{', '.join(TIERS)} (default: all but soak)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="few and short rounds: to see it work, not to quote"
    )
    parser.add_argument(
        "--readme", action="store_true", help="print the README's tables of the last full run"
    )
    parser.add_argument("--publish", action="store_true", help="keep the last full run, write its tables")
    parser.add_argument("--history", action="store_true", help="append the last full run to the history")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for results (bench/results)")
    asked = parser.parse_args()
    for tier in asked.tiers:
        if tier not in TIERS:
            parser.error(f"no tier {tier!r}: there are {', '.join(TIERS)}")
    tiers = asked.tiers or [tier for tier in TIERS if tier not in ASKED_FOR]
    if asked.history or asked.publish:
        makers = {name: tier.readme for name, tier in TIERS.items()}
        for path in (asked.output / f"{tier}.json" for tier in asked.tiers or TIERS):
            if path.exists():
                found = read(path)
                say(history.append(found) if asked.history else publish.publish(found, makers))
        if asked.history:
            say(f"its table: {publish.put({publish.HISTORY: history.table()})}")
        return 0
    for tier in tiers:
        say(f"== {tier}{'' if asked.quick else f', about {TIERS[tier].minutes:.0f} minutes'}")
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
