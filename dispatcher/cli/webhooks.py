"""``dispatcher webhooks``: what receivers were told, what is parked, and to have it told again.

Nothing is asked of a process: what is wanted is written beside the store, where a dispatcher that runs looks
twice a second, and one that does not at its start.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

EX_USAGE, EX_NOINPUT = 64, 66
_UNITS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "webhooks",
        help="what webhooks were told, what is parked, and to have it told again",
        description="Look at the receivers of events of a store, whether or not a dispatcher runs on it, and "
        "ask for deliveries to be made again.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (
        ("list", "all receivers, and what waits for them"),
        ("parked", "deliveries that were given up"),
        ("resend", "have parked deliveries made again, with the same ids"),
        ("replay", "have all events since a time told once more, with the same ids"),
        ("enable", "go on after a receiver has answered 410"),
    ):
        action = actions.add_parser(name, help=text, description=f"Webhooks: {text}.")
        action.set_defaults(run=run)
        action.add_argument("store", metavar="STORE", type=Path, help="the folder of the store")
        action.add_argument("--json", action="store_true", help="JSON for programs")
        if name in ("replay", "enable"):
            action.add_argument("endpoint", metavar="ENDPOINT", help="as the configuration names it")
        elif name == "resend":
            action.add_argument("--endpoint", required=True, help="as the configuration names it")
            which = action.add_mutually_exclusive_group(required=True)
            which.add_argument("--id", help="the webhook-id of one delivery")
            which.add_argument("--all", action="store_true", help="all that is parked")
        elif name == "parked":
            action.add_argument("--endpoint", default="", help="of this one alone")
        if name in ("resend", "replay"):
            action.add_argument(
                "--since",
                required=name == "replay",
                type=milliseconds_of,
                default=0,
                help="a time (2026-11-24T10:00:00Z), or how long ago (3d, 12h, 30m)",
            )


def milliseconds_of(text: str) -> int:
    """Return a time in milliseconds of UTC. argparse.ArgumentTypeError: it is none."""
    if match := re.fullmatch(r"([0-9]{1,6})([smhd])", text):
        return time.time_ns() // 1_000_000 - int(match[1]) * _UNITS[match[2]]
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        expected = "expected 2026-11-24T10:00:00Z, or 3d, 12h, 30m"
        raise argparse.ArgumentTypeError(expected) from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def run(given: argparse.Namespace) -> int:
    """Run the command: 0, 64 where there is no such endpoint, 66 where there is nothing to read."""
    from dispatcher.errors import StoreError
    from dispatcher.store.deliveries import DELIVERIES, ask, connect, standings

    try:
        if not (given.store / DELIVERIES).exists():
            raise StoreError(f"{given.store} holds no {DELIVERIES}: nothing was told from it yet")
        connection = connect(given.store)
    except StoreError as error:
        print(f"dispatcher webhooks: {error}", file=sys.stderr)
        return EX_NOINPUT
    try:
        if given.action in ("list", "parked"):
            return _show(given, connection)
        known = [each.name for each in standings(connection)]
        if given.endpoint not in known:
            print(
                f"dispatcher webhooks: no {given.endpoint!r}; known are {', '.join(known)}", file=sys.stderr
            )
            return EX_USAGE
        since_ms = getattr(given, "since", 0)
        ask(connection, given.action, given.endpoint, getattr(given, "id", None) or "", since_ms)
        if given.json:
            print(json.dumps({"asked": given.action, "endpoint": given.endpoint, "since_ms": since_ms}))
        else:
            print("asked: it is done within a second, or when the dispatcher is started")
        return 0
    finally:
        connection.close()


def _show(given: argparse.Namespace, connection: Any) -> int:
    from dispatcher.store.deliveries import parked, standings

    rows: list[dict[str, Any]]
    if given.action == "list":
        import msgspec

        rows = [msgspec.to_builtins(each) for each in standings(connection)]
    else:
        rows = [
            {"endpoint": name, "id": held.webhook_id, "attempts": held.attempts, "why": held.why}
            | {"first_ms": held.first_ms, "parked_ms": held.parked_ms}
            for name, held in parked(connection, given.endpoint)
        ]
    if given.json:
        print(json.dumps(rows))
        return 0
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items() if value != ""))
    if not rows:
        print("nothing")
    return 0
