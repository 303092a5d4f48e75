"""``dispatcher status``: what has become of a message: its state, its segments, what happened and when."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from dispatcher.cli import remote as daemon
from dispatcher.cli.exits import CommandError, Exit, fail

if TYPE_CHECKING:
    from dispatcher.cli.remote import Remote

POLL_S: Final = 0.5
SHOWN_MAX: Final = 100
"""Messages to one number or under one name, newest first."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "status",
        help="say what has become of a message",
        description="Say what has become of a message, by its message_id, your own name for it or its "
        "recipient. Exit codes: 0 found; 1 not found; 69 the daemon cannot be reached; 77 the key is not "
        "good for it.",
    )
    parser.set_defaults(run=run)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("message_id", nargs="?", metavar="ID", help="its message_id")
    which.add_argument("--client-ref", metavar="REF", help="messages of this name")
    which.add_argument("--to", metavar="NUMBER", help="messages to this number: digits of E.164")
    parser.add_argument("--follow", action="store_true", help="until its outcome; events as they come")
    parser.add_argument("--json", action="store_true", help="JSON for programs, one object a line")
    daemon.add_options(parser)


def run(given: argparse.Namespace) -> int:
    """Run the command."""
    if given.message_id is None:
        if given.follow:
            return fail("status", "--follow goes with a message_id", Exit.USAGE)
        with closing(daemon.connect(given)) as remote:
            return _find(given, remote)
    with closing(daemon.connect(given)) as remote:
        return _show(given, remote)


def _show(given: argparse.Namespace, remote: Remote) -> Exit:
    path = f"/v1/messages/{quote(given.message_id, safe='')}"
    found = _get(remote, path)
    if given.json:
        while given.follow and not found.get("finished_at"):
            time.sleep(POLL_S)
            found = _get(remote, path)
        print(json.dumps(found, ensure_ascii=False))
        return Exit.OK
    print("\n".join(described(found)), flush=True)
    shown = 0
    while True:
        events = found.get("events", [])
        for event in events[shown:]:
            print(event_line(event), flush=True)
        shown = len(events)
        if found.get("finished_at") or not given.follow:
            return Exit.OK
        time.sleep(POLL_S)
        found = _get(remote, path)


def _find(given: argparse.Namespace, remote: Remote) -> Exit:
    asked = {"client_ref": given.client_ref} if given.to is None else {"to": given.to.removeprefix("+")}
    found = _get(remote, f"/v1/messages?{urlencode({**asked, 'limit': SHOWN_MAX})}")
    for message in found["messages"]:
        print(json.dumps(message, ensure_ascii=False) if given.json else "\n".join(described(message)))
    if found.get("before"):
        print(f"dispatcher status: only the newest {SHOWN_MAX} are shown", file=sys.stderr)
    return Exit.OK if found["messages"] else fail("status", "there is no such message", Exit.NO)


def described(message: dict[str, Any]) -> Iterator[str]:
    """Yield the lines that show a message to a person."""
    reason = f" ({message['reason']})" if message.get("reason") else ""
    yield f"{message['message_id']}: {message['state']}{reason}"
    about = [message["traffic_class"], f"to {message['to']}", f"from {message['sender']}"]
    if message.get("client_ref"):
        about.append(f"client_ref {message['client_ref']}")
    yield f"  {', '.join(about)}"
    ended = f", ended {message['finished_at']}" if message.get("finished_at") else ""
    yield f"  accepted {message['accepted_at']}{ended}"
    for segment in message["segments"]:
        where = f" by {segment['carrier']}" if segment.get("carrier") else ""
        known_as = f", smsc_message_id {segment['smsc_message_id']}" if segment.get("smsc_message_id") else ""
        yield f"  segment {segment['segment']}: {segment.get('state', 'waiting')}{where}{known_as}"


def event_line(event: dict[str, Any]) -> str:
    """Return an event as one line for a person."""
    known = ("id", "type", "at", "message_id", "traffic_class", "segments", "client_ref", "source")
    more = ", ".join(
        f"{name.replace('_', ' ')} {value}" for name, value in event.items() if name not in known
    )
    return f"  {event['at']}  {event['type'].removeprefix('message.')}{': ' if more else ''}{more}"


def _get(remote: Remote, path: str) -> dict[str, Any]:
    answer = remote.ask("GET", path)
    if answer.status != 200:
        raise daemon.refusal(answer)
    found = answer.json()
    if not isinstance(found, dict):
        raise CommandError("the answer is no status: is this a dispatcher?", Exit.UNAVAILABLE)
    return found
