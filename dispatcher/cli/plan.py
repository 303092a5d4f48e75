"""``dispatcher plan``: import a numbering plan from a register, and look a number up in one.

``import`` checks every line of the file, joins neighbouring ranges of one operator and writes the plain form,
``prefix_from,prefix_to,operator,region``, which the configuration's ``numbering_plan`` names. Nothing is
written while a line is wrong, and only a plan is replaced. ``lookup`` without a file reads a small sample,
which is made up.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from dispatcher.cli.exits import Exit, fail

if TYPE_CHECKING:
    from dispatcher.routing.plan import Complaint, NumberingPlan, Range

_SHOWN_MAX = 20  # complaints that are printed: a wrong separator spoils every line
SAMPLE = Path(__file__).parents[1] / "routing" / "sample_plan.csv"


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "plan",
        help="import a numbering plan, or look a number up",
        description="Import the ranges of operators from a CSV file, or look a number up in them.",
    )
    kinds = parser.add_subparsers(metavar="WHAT", required=True)
    importer = kinds.add_parser("import", help="check a register and write it as a plan")
    importer.set_defaults(run=run_import)
    importer.add_argument(
        "file",
        metavar="FILE.csv",
        help="code;from;to;capacity;operator;region (as DEF-9xx.csv), or prefix_from,prefix_to,operator",
    )
    importer.add_argument("-o", "--output", metavar="PLAN.csv", required=True, help="where the plan goes")
    importer.add_argument(
        "--encoding", default="utf-8-sig", metavar="NAME", help="of FILE, e.g. cp1251 (utf-8)"
    )
    importer.add_argument("--force", action="store_true", help="replace PLAN.csv whatever it holds")
    importer.add_argument("--json", action="store_true", help="JSON for programs")
    look = kinds.add_parser("lookup", help="say whose range a number lies in")
    look.set_defaults(run=run_lookup)
    look.add_argument("number", metavar="NUMBER", help="with its country code; + and blanks do not matter")
    look.add_argument("--plan", metavar="PLAN.csv", help="the plan (a small sample, made up)")
    look.add_argument("--json", action="store_true", help="JSON for programs")


def run_import(given: argparse.Namespace) -> int:
    """Check a register and write it as a plan."""
    from dispatcher.routing.plan import NumberingPlan, written

    found = _read(given.file, given.encoding)
    if isinstance(found, int):
        return found
    if not found:
        return _fail(f"{given.file}: it holds no range", Exit.DATA)
    output = Path(given.output).resolve()  # where a link leads: the link stays
    if why := _why_not(output, given.force):
        return _fail(f"{given.output}: {why}", Exit.CANNOT_CREATE)
    plan = NumberingPlan(found)
    partial = output.with_name(f".{output.name}.{os.getpid()}.partial")
    try:
        with partial.open("x", encoding="utf-8", newline="") as file:
            file.writelines(written(plan.ranges))
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
    if given.json:
        print(json.dumps({"lines": len(found), "ranges": len(plan), "operators": len(plan.operators)}))
        return Exit.OK
    ranges, operators = f"{len(plan):,} ranges", f"{len(plan.operators):,} operators"
    print(f"{given.output}: {len(found):,} lines became {ranges} of {operators}")
    return Exit.OK


def _why_not(output: Path, force: bool) -> str:
    """Return why a file is not to be replaced; "": it may be."""
    from dispatcher.routing.plan import HEADING

    if not output.exists():
        return ""
    if not output.is_file():
        return "it is no regular file; name one to write to"
    with output.open("rb") as file:
        first = file.readline(len(HEADING))
    is_ours = not first or first.startswith(HEADING.rpartition(",")[0].encode())  # regions may be left out
    return "" if is_ours or force else "it exists and is no plan; name another file, or give --force"


def run_lookup(given: argparse.Namespace) -> int:
    """Say whose range a number lies in."""
    from dispatcher.refusal import Refusal
    from dispatcher.routing.countries import country_of
    from dispatcher.routing.numbers import normaliser
    from dispatcher.routing.plan import NumberingPlan

    number = normaliser()("".join(mark for mark in given.number if mark not in " -()."))
    if isinstance(number, Refusal):
        return _fail(number.reason, Exit.USAGE)
    found = _read(given.plan or str(SAMPLE), "utf-8-sig")
    if isinstance(found, int):
        return found
    plan: NumberingPlan = NumberingPlan(found)
    holder = plan.find(number)
    country = country_of(number) or "no country"
    if given.plan is None:
        print("dispatcher plan: no --plan given: this is the sample, which is made up", file=sys.stderr)
    if given.json:
        operator, region = (holder.operator, holder.region) if holder else (None, None)
        print(json.dumps({"country": country_of(number), "operator": operator, "region": region}))
        return Exit.OK if holder else Exit.NO
    if holder is None:
        print(f"{country}, in no range of the plan")
        return Exit.NO
    print(f"{country}, {holder.operator}{', ' if holder.region else ''}{holder.region}")
    return Exit.OK


def _read(name: str, encoding: str) -> list[Range] | int:
    """Return the ranges of a file, or the exit code after saying what is wrong with it."""
    from dispatcher.routing.plan import overlaps, parse

    try:
        with Path(name).open(encoding=encoding, newline="") as file:
            ranges, complaints = parse(file)
    except OSError as error:
        return _fail(f"{name}: {error.strerror}", Exit.NO_INPUT)
    except LookupError:
        return _fail(f"--encoding: nobody knows {encoding!r}", Exit.USAGE)
    except UnicodeDecodeError:
        return _fail(f"{name}: not {encoding}; --encoding names another, e.g. cp1251", Exit.DATA)
    return ranges if not _complain(name, chain(complaints, overlaps(ranges))) else Exit.DATA


def _complain(name: str, complaints: Iterable[Complaint]) -> bool:
    """Print the first complaints; return whether there are any."""
    listed = list(islice(complaints, _SHOWN_MAX + 1))
    for complaint in listed[:_SHOWN_MAX]:
        _fail(f"{name}: {complaint}", Exit.DATA)
    if len(listed) > _SHOWN_MAX:
        _fail(f"{name}: and more; nothing was written", Exit.DATA)
    return bool(listed)


def _fail(message: str, code: Exit) -> Exit:
    return fail("plan", message, code)
