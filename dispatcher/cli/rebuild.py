"""``dispatcher rebuild``: make the projection of a store anew from its journal."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from dispatcher.cli.exits import Exit, fail

_SHOWN = 20


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "rebuild",
        help="make the projection of a store anew",
        description="Delete what status and search read, and fold it from the journal. No dispatcher may "
        "run on the store meanwhile.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("store", metavar="STORE", type=Path, help="the folder of the store")
    parser.add_argument("--json", action="store_true", help="JSON for programs")


def run(given: argparse.Namespace) -> int:
    """Run the command: 0, 65 where rows of the journal are damaged, 69 where it cannot be done."""
    from dispatcher.errors import StoreError
    from dispatcher.store.lock import Lock
    from dispatcher.store.projection import Projection, delete

    damaged: list[int] = []
    try:
        if not given.store.is_dir():
            raise StoreError(f"{given.store} is no folder")
        lock = Lock(given.store)
        try:
            delete(given.store)
            projection = Projection(given.store, lambda seq, stream, first, last: damaged.append(seq))
            rows = 0
            while folded := projection.catch_up():
                rows += folded
            messages = projection.count()
            projection.close()
        finally:
            lock.release()
    except StoreError as error:
        return fail("rebuild", str(error), Exit.UNAVAILABLE)
    if given.json:
        print(json.dumps({"messages": messages, "rows": rows, "damaged_rows": damaged}))
    else:
        print(f"{messages:,} messages from {rows:,} rows")
    if damaged:
        more = f" and {len(damaged) - _SHOWN:,} more" if len(damaged) > _SHOWN else ""
        said = f"{len(damaged):,} damaged rows left out: {', '.join(map(str, damaged[:_SHOWN]))}{more}"
        return fail("rebuild", said, Exit.DATA)
    return Exit.OK
