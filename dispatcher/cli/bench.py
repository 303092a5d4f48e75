"""``dispatcher bench``: measure the whole dispatcher on this machine, and compare two such runs.

Nothing of yours is touched: a daemon of its own, on a store of its own, sends to a simulated carrier. What is
lost or sent twice would show in three ledgers, and then there are no figures.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dispatcher.cli.exits import Exit, explain, fail

if TYPE_CHECKING:
    from dispatcher.cli.load.figures import Report

SYNCS = 200
"""One-page syncs, to say what the disk takes for one."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "bench",
        help="measure the dispatcher on this machine",
        description="Offer a rate over HTTP for a while, durably, with receipts, to a daemon of its own that "
        "sends to a simulated carrier; then search the highest rate that is held. Writes a JSON file and an "
        "HTML page with plots. Some five minutes; exit code 1: the rate was not held, or a ledger disagrees.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "--rate", type=_positive, default=20_000, metavar="N", help="segments a second (20000)"
    )
    parser.add_argument("--seconds", type=_positive, default=60, metavar="S", help="for so long (60)")
    parser.add_argument("--no-sustained", action="store_true", help="only the ceiling")
    parser.add_argument("--no-ceiling", action="store_true", help="only the given rate, some 80 s")
    parser.add_argument(
        "--ceiling-seconds",
        type=_positive,
        default=30,
        metavar="S",
        help="a ceiling is held for so long (30)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="five seconds each: to see it work, not to quote"
    )
    parser.add_argument("--binds", type=_count, default=4, metavar="N", help="to the simulated carrier (4)")
    parser.add_argument("--window", type=_count, default=250, metavar="N", help="of each bind (250)")
    parser.add_argument(
        "--receipt-delay-ms", type=_positive, default=100, metavar="MS", help="until a receipt comes (100)"
    )
    parser.add_argument(
        "--folder", type=Path, default=Path(), metavar="DIR",
        help="where the store is made for the while, on the disk to measure (this folder)",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, default=Path("bench.json"), metavar="FILE",
        help="the JSON; the page stands beside it, with .html (bench.json)",
    )  # fmt: skip
    parts = parser.add_subparsers(dest="part", metavar="compare", required=False)
    comparing = parts.add_parser(
        "compare",
        help="compare two JSON files",
        description="Compare two runs: what differs by more than 5 %, and by more than their seconds do "
        "among themselves. Exit code 1: something became slower or dearer.",
    )
    comparing.set_defaults(run=run_compare)
    comparing.add_argument("before", type=Path, metavar="BEFORE.json")
    comparing.add_argument("after", type=Path, metavar="AFTER.json")


def run(given: argparse.Namespace) -> int:
    """Measure."""
    from dispatcher.cli.load import figures, page, report
    from dispatcher.cli.load.stage import FailedError

    if not Path("/proc/self/stat").exists():
        return fail("bench", "it reads CPU times from /proc, which only Linux has", Exit.UNAVAILABLE)
    if not given.folder.is_dir():
        return fail("bench", f"{given.folder} is no folder", Exit.NO_INPUT)
    if given.no_sustained and given.no_ceiling:
        return fail("bench", "--no-sustained and --no-ceiling leave nothing to do", Exit.USAGE)
    if given.output.suffix == ".html":
        return fail("bench", "--output names the JSON; the page goes beside it", Exit.USAGE)
    given.output.touch()  # an OSError now and not in five minutes
    try:
        found = measure(given)
    except FailedError as error:
        return fail("bench", str(error), Exit.NO)
    figures.save(found, given.output)
    given.output.with_suffix(".html").write_text(page.html(found), "utf-8")
    print("\n".join(report.lines(found)))
    print(f"{given.output} and {given.output.with_suffix('.html')} hold all of it.")
    trials = [found.sustained, *([found.ceiling.trial] if found.ceiling else [])]
    return Exit.OK if all(each is None or each.held for each in trials) else Exit.NO


def measure(given: argparse.Namespace) -> Report:
    """Set the stage, run, prove. FailedError: there are no figures."""
    from dispatcher.cli.load import ceiling, trial
    from dispatcher.cli.load.figures import Report
    from dispatcher.cli.load.machine import describe_run
    from dispatcher.cli.load.stage import Options, Stage

    options = Options(
        folder=given.folder,
        binds=given.binds,
        window=given.window,
        receipt_delay_ms=given.receipt_delay_ms,
    )
    seconds, long_s, short_s = given.seconds, given.ceiling_seconds, 5.0
    if given.quick:
        seconds, long_s, short_s = min(seconds, 5.0), min(long_s, 5.0), 3.0
    described = dict(describe_run("dispatcher"))
    settings = _settings(options)
    _tell("starting a carrier and a daemon")
    with Stage(options) as stage:
        sustained = found = None
        if not given.no_sustained:
            _tell(f"{given.rate:,.0f} segments a second for {seconds:.0f} s")
            sustained = trial.run(stage, given.rate, seconds)
        if not given.no_ceiling:
            _tell("the ceiling: rates for a while each")
            found = ceiling.find(ceiling.on(stage, _tell), given.rate, short_s, long_s)
        _tell("the ledgers are compared")
        proof = stage.prove()
    return Report(run=described, settings=settings, sustained=sustained, ceiling=found, proof=proof)


def run_compare(given: argparse.Namespace) -> int:
    """Compare two files."""
    from dispatcher.cli.load import figures
    from dispatcher.cli.load.compare import compare
    from dispatcher.cli.load.machine import sentence

    try:
        before, after = (figures.read(path) for path in (given.before, given.after))
    except OSError as error:
        return fail("bench compare", *explain(error))
    except figures.ReportError as error:
        return fail("bench compare", str(error), Exit.DATA)
    for name, each in (("before", before), ("after", after)):
        print(f"{name + ':':8}{sentence(each.run)}")  # type: ignore[arg-type]  # read from JSON
    changes = compare(before, after)
    for change in changes:
        print(
            f"{change.name:56} {change.before:12,.2f} {change.after:12,.2f} {change.change:+8.1%}  "
            f"{change.verdict}"
        )
    bad = sum(change.is_bad for change in changes)
    print(f"{bad} of {len(changes)} became slower or are gone")
    return Exit.NO if bad else Exit.OK


def _settings(options: Any) -> dict[str, Any]:
    """Return what a reader must know of how it was measured."""
    import msgspec

    cores = len(os.sched_getaffinity(0))
    shared = "carrier and client share the second" if cores == 2 else "carrier and client have their own"
    plain: dict[str, Any] = msgspec.structs.asdict(options)
    del plain["folder"]
    return plain | {
        "cores": "all share one core" if cores == 1 else f"the daemon has a core, {shared}",
        "filesystem": _filesystem(options.folder),
        "fdatasync_ms": _fdatasync_ms(options.folder),
    }


def _fdatasync_ms(folder: Path) -> list[float]:
    """Return p50 and p99 of writing one page at the same place and syncing it."""
    taken = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(SYNCS):
            begun_s = time.perf_counter()
            os.pwrite(file.fileno(), bytes(4096), 0)
            os.fdatasync(file.fileno())
            taken.append(1e3 * (time.perf_counter() - begun_s))
    taken.sort()
    return [round(taken[SYNCS // 2], 3), round(taken[SYNCS * 99 // 100], 3)]


def _filesystem(folder: Path) -> str:
    """Return the type of the file system that holds a folder: the mount whose point is the longest."""
    place = folder.resolve()
    found, longest = "unknown", -1
    for line in Path("/proc/self/mounts").read_text("utf-8", "replace").splitlines():
        _, point, kind = line.split(" ")[:3]
        if place.is_relative_to(point) and len(point) > longest:
            found, longest = kind, len(point)
    return found


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and below a thousand million")
    return value


def _count(text: str) -> int:
    value = int(text)
    if not 0 < value <= 1000:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to 1000")
    return value
