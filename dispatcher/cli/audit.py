"""``dispatcher audit``: prove of a store that nothing that was accepted is lost, and say what is where."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dispatcher.cli.exits import Exit, fail

if TYPE_CHECKING:
    from dispatcher.store.audit import Audit


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "audit",
        help="prove that a store has lost nothing",
        description="Count every message of a store by what became of it, from its journal alone, whether or "
        "not a dispatcher runs on it. Exit code 0: all is right; 1: something is wrong, and named.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("store", metavar="STORE", type=Path, help="the folder of the store")
    parser.add_argument("--json", action="store_true", help="JSON for programs")


def run(given: argparse.Namespace) -> int:
    """Run the command."""
    from dispatcher.errors import StoreError
    from dispatcher.store.audit import audit

    try:
        result = audit(given.store)
    except StoreError as error:
        return fail("audit", str(error), Exit.NO_INPUT)
    print(json.dumps(as_json(result), indent=1) if given.json else "\n".join(describe(result)))
    return Exit.OK if result.is_right else Exit.NO


def as_json(result: Audit) -> dict[str, Any]:
    """Return the result as plain values."""
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(result)
    return {"is_right": result.is_right, **plain}


def describe(result: Audit) -> Iterator[str]:
    """Yield the lines for a person."""
    from dispatcher.store.states import STATES

    sums = " + ".join(f"{result.states[state]:,} {state.replace('_', ' ')}" for state in STATES)
    yield f"{result.accepted:,} accepted = {sums}"
    yield f"{result.segments:,} segments, {result.events:,} events, {result.rows:,} rows"
    for title, groups in (("class", result.classes), ("carrier", result.carriers)):
        for name, counts in sorted(groups.items()):
            yield f"  {title} {name}: {_listed(counts)}"
    for title, counts in (("outcome", result.outcomes), ("reason", result.reasons)):
        if counts:
            yield f"  {title}: {_listed(counts)}"
    if result.parked or result.of_the_past:
        yield f"  receipts parked: {result.parked:,}; events of trimmed messages: {result.of_the_past:,}"
    if result.is_right:
        yield "all is right"
        return
    yield f"WRONG: {_listed(result.wrong) or 'the sum does not hold'}"
    yield from (f"  {each}" for each in result.named)
    if (more := sum(result.wrong.values()) - len(result.named)) > 0:
        yield f"  and {more:,} more"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in sorted(counts.items()))
