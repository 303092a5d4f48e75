"""``dispatcher events``: what happens to messages, one JSON object a line, from a place in the history.

Every event's `id` is its cursor: ``--after`` it goes on where an earlier call has ended.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, get_args
from urllib.parse import urlencode

from dispatcher.cli import remote as daemon
from dispatcher.cli.exits import Exit
from dispatcher.faces import EventName

if TYPE_CHECKING:
    from dispatcher.cli.remote import Remote

RETRY_S: Final = 1.0
NAMES: Final[tuple[str, ...]] = get_args(EventName)


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "events",
        help="print what happens to messages, one JSON object a line",
        description="Print events in order, one JSON object a line. Exit codes: 0 done; 69 the daemon cannot "
        "be reached; 77 the key is not good for it; 130 stopped with Ctrl-C.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("--after", metavar="CURSOR", help="the id of the last event that was seen (0-0)")
    parser.add_argument("--since", metavar="TIME", help="from a time, e.g. 2026-11-24T10:00:00Z")
    parser.add_argument("--types", nargs="+", choices=NAMES, metavar="TYPE", help=", ".join(NAMES))
    parser.add_argument("--follow", action="store_true", help="and those to come, until it is stopped")
    daemon.add_options(parser)


def run(given: argparse.Namespace) -> int:
    """Run the command."""
    import json

    remote = daemon.connect(given)
    asked: dict[str, str | None] = {
        "after": given.after,
        "since": given.since,
        "types": ",".join(given.types or ()),
    }
    asked["follow"] = "true" if given.follow else "false"
    while True:
        try:
            for line in _lines(remote, asked):
                if line.strip():  # an empty one shows that the connection lives
                    sys.stdout.buffer.write(line)
                    sys.stdout.buffer.flush()
                    asked["after"], asked["since"] = json.loads(line)["id"], None
            if not given.follow:
                return Exit.OK
        except daemon.UnreachableError:
            if not given.follow or asked["after"] is None:
                raise
        time.sleep(RETRY_S)  # a restart of the daemon: it goes on behind the last event


def _lines(remote: Remote, asked: dict[str, str | None]) -> Iterator[bytes]:
    query = urlencode({name: value for name, value in asked.items() if value})
    return remote.lines(f"/v1/events?{query}")
