"""``dispatcher webhooks``: who is told of events, what is parked; send it again, or tell a span of days anew.

It works on the store, beside a daemon that runs or without one: what it asks for stands in deliveries.db, and
the daemon does it within a second, or after its next start.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dispatcher.cli.exits import CommandError, Exit, fail

if TYPE_CHECKING:
    from dispatcher.delivery import Held, Standing
    from dispatcher.store.deliveries import Connection

UNITS_MS: Final = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
SHOWN_MAX: Final = 1_000
"""Parked deliveries that are listed: more is no list."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "webhooks",
        help="show who is told of events, send again what was given up",
        description="Who is told of events: how far it has come, what waits, what is parked. /callbacks are "
        "the addresses that messages bring along. Exit code 1: there is nothing of the kind.",
    )
    parser.set_defaults(run=run)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, said in (
        ("list", "show every endpoint"),
        ("parked", "show deliveries that were given up"),
        ("resend", "try parked deliveries again"),
        ("replay", "tell an endpoint once more what happened since a time, with the same ids"),
        ("enable", "go on with an endpoint that said 410 Gone"),
    ):
        action = actions.add_parser(name, help=said, description=said.capitalize() + ".")
        place = action.add_mutually_exclusive_group()
        place.add_argument("--config", metavar="FILE", type=Path, help="the daemon's configuration")
        place.add_argument("--store", metavar="FOLDER", type=Path, help="the folder of its store")
        action.add_argument("--json", action="store_true", help="JSON for programs")
        if name in ("replay", "enable"):
            action.add_argument("endpoint", metavar="ENDPOINT", help="a webhook, by its name")
        elif name in ("parked", "resend"):
            action.add_argument("--endpoint", metavar="ENDPOINT", default="", help="of this one alone")
        if name == "resend":
            which = action.add_mutually_exclusive_group(required=True)
            which.add_argument("--id", metavar="ID", default="", help="the webhook-id of one delivery")
            which.add_argument("--all", action="store_true", help="every one")
        if name in ("resend", "replay"):
            action.add_argument(
                "--since", metavar="TIME", default="", required=name == "replay",
                help="30m, 24h, 7d ago, or a time: 2026-11-24T10:00:00Z",
            )  # fmt: skip


def run(given: argparse.Namespace) -> int:
    """Run the command."""
    from dispatcher.errors import ConfigError, StoreError

    actions = {"list": _list, "parked": _parked, "resend": _resend, "replay": _replay, "enable": _enable}
    try:
        connection = _connect(given)
        try:
            return actions[given.action](connection, given)
        finally:
            connection.close()
    except CommandError as error:
        return fail("webhooks", str(error), error.code)
    except ConfigError as error:
        return fail("webhooks", str(error), Exit.CONFIG)
    except StoreError as error:
        return fail("webhooks", str(error), Exit.IO)


def since_ms(text: str, now_ms: int) -> int:
    """Return the time that a user means: 30m, 24h, 7d before now, or RFC 3339, UTC where it says no zone.

    0 for nothing. CommandError: it is neither.
    """
    if not text:
        return 0
    if text[:-1].isascii() and text[:-1].isdecimal() and len(text) < 8 and text[-1] in UNITS_MS:
        return now_ms - int(text[:-1]) * UNITS_MS[text[-1]]
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        said = f"--since: {text!r} is no time; say 30m, 24h, 7d or 2026-11-24T10:00:00Z"
        raise CommandError(said, Exit.USAGE) from None
    return int((at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() * 1000)


def _connect(given: argparse.Namespace) -> Connection:
    from dispatcher.files import default_path, load
    from dispatcher.store.deliveries import DELIVERIES, connect

    folder: Path = given.store or Path(load((given.config or default_path()).absolute()).config.store)
    if not (folder / DELIVERIES).exists():
        raise CommandError(f"{folder / DELIVERIES}: not there; did a daemon ever run here?", Exit.NO_INPUT)
    return connect(folder)


def _list(connection: Connection, given: argparse.Namespace) -> int:
    from dispatcher.store.deliveries import standings

    found = standings(connection)
    _print(given, [_standing(each) for each in found], map(_line, found))
    return Exit.OK


def _standing(each: Standing) -> dict[str, Any]:
    return {
        "endpoint": each.name,
        "cursor": each.cursor,
        "waiting": each.waiting,
        "parked": each.parked,
        "disabled": each.disabled,
        "oldest_at": _at(each.oldest_ms) if each.oldest_ms else None,
    }


def _line(each: Standing) -> str:
    oldest = f", the oldest since {_at(each.oldest_ms)}" if each.oldest_ms else ""
    disabled = f"; DISABLED: {each.disabled}" if each.disabled else ""
    return (
        f"{each.name}: at {each.cursor}, {each.waiting:,} waiting{oldest}, {each.parked:,} parked{disabled}"
    )


def _parked(connection: Connection, given: argparse.Namespace) -> int:
    from dispatcher.store.deliveries import parked

    found = parked(connection, given.endpoint, SHOWN_MAX)
    lines = (
        f"{held.webhook_id}  {name}  {_at(held.parked_ms)}, after {held.attempts} attempts: {held.why}"
        for name, held in found
    )
    _print(given, [_delivery(name, held) for name, held in found], lines)
    return Exit.OK if found else Exit.NO


def _delivery(name: str, held: Held) -> dict[str, Any]:
    return {
        "id": held.webhook_id,
        "endpoint": name,
        "attempts": held.attempts,
        "first_at": _at(held.first_ms),
        "parked_at": _at(held.parked_ms),
        "why": held.why,
    }


def _resend(connection: Connection, given: argparse.Namespace) -> int:
    from dispatcher.store.deliveries import ask, count_parked

    since = since_ms(given.since, _now_ms())
    found = count_parked(connection, given.endpoint, given.id, since)
    for name in found:
        ask(connection, "resend", name, given.id, since)
    lines = (f"{name}: {count:,} are tried again" for name, count in found.items())
    _print(given, [{"endpoint": name, "resent": count} for name, count in found.items()], lines)
    return Exit.OK if found else Exit.NO


def _replay(connection: Connection, given: argparse.Namespace) -> int:
    return _ask(connection, given, "replay", since_ms(given.since, _now_ms()))


def _enable(connection: Connection, given: argparse.Namespace) -> int:
    return _ask(connection, given, "enable", 0)


def _ask(connection: Connection, given: argparse.Namespace, kind: str, since: int) -> int:
    from dispatcher.store.deliveries import ask, standings

    known = [each.name for each in standings(connection) if not each.name.startswith(("file/", "/"))]
    if given.endpoint not in known:
        raise CommandError(f"no webhook {given.endpoint!r}: there is {', '.join(known) or 'none'}", Exit.NO)
    ask(connection, kind, given.endpoint, since_ms=since)
    _print(given, {"endpoint": given.endpoint, "asked": kind}, [f"{given.endpoint}: asked for {kind}"])
    return Exit.OK


def _print(given: argparse.Namespace, plain: Any, lines: Iterator[str] | list[str]) -> None:
    print(json.dumps(plain, indent=1) if given.json else "\n".join(lines) or "none")


def _at(at_ms: int) -> str:
    from dispatcher.api import rfc3339

    return rfc3339(at_ms)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
