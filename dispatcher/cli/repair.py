"""``dispatcher repair``: a new journal of all that is whole in a damaged one."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from dispatcher.cli.exits import Exit, fail

_SHOWN = 20


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "repair",
        help="make a new journal of what is whole in a damaged one",
        description="Copy every row that is whole from the damaged journal of a store into a new one, which "
        "takes its place. No dispatcher may run on the store meanwhile. What lost rows said of messages is "
        "taken from the projection, as far as that had read them. Of a message that would be sent now, "
        "though a lost row may have sent it, nobody can know: it counts as a submit without an answer, and "
        "the next start does with it what its traffic class says (send it again, after a grace, or hold it).",
    )
    parser.set_defaults(run=run)
    parser.add_argument("store", metavar="STORE", type=Path, help="the folder of the store")
    parser.add_argument("--json", action="store_true", help="JSON for programs")


def run(given: argparse.Namespace) -> int:
    """Run the command: 0, 65 where rows are lost, 69 where it cannot be done."""
    from dispatcher.errors import StoreError
    from dispatcher.store.repair import DAMAGED, repair

    try:
        if not given.store.is_dir():
            raise StoreError(f"{given.store} is no folder")
        repaired = repair(given.store)
    except StoreError as error:
        return fail("repair", str(error), Exit.UNAVAILABLE)
    if given.json:
        said = {"rows": repaired.rows, "lost_rows": repaired.lost, "damaged": DAMAGED}
        print(json.dumps(said | {"events_put_back": repaired.known, "in_doubt": repaired.doubtful}))
    else:
        print(f"{repaired.rows:,} rows are whole and stand in the new journal; the old one is now {DAMAGED}")
        if repaired.known:
            print(f"{repaired.known:,} events of lost rows were known to the projection, and are put back")
        if repaired.doubtful:
            why = "a lost row may have sent them: they count as not answered"
            print(f"{repaired.doubtful:,} messages are in doubt: {why}")
    if not repaired.lost:
        return Exit.OK
    shown = ", ".join(map(str, repaired.lost[:_SHOWN]))
    more = f" and {len(repaired.lost) - _SHOWN:,} more" if len(repaired.lost) > _SHOWN else ""
    return fail("repair", f"{len(repaired.lost):,} rows are lost: {shown}{more}", Exit.DATA)
