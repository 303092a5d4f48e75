"""``dispatcher keys``: make, list and take away the API keys of the HTTP door; a running daemon follows."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dispatcher.cli.exits import Exit, fail
from dispatcher.cli.numbers import not_below_0

if TYPE_CHECKING:
    from dispatcher.ingest.keys import ApiKey

CLASSES: Final = ("authorization", "transactional", "service", "marketing")


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "keys",
        help="make, list and take away API keys of the HTTP door",
        description="A key's token is shown once, when it is made: only a hash of it is stored. A running "
        "daemon follows within a second. Exit code 1: there is no such key.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = actions.add_parser("create", help="make a key and print its token, once")
    create.add_argument("name", metavar="NAME", help="becomes the source of what it sends")
    create.add_argument(
        "--sender", action="append", default=[], help="a sender that it may use; none given: any"
    )
    create.add_argument(
        "--class", dest="classes", action="append", default=[], choices=CLASSES, help="none given: any"
    )
    create.add_argument(
        "--rate", type=not_below_0, default=0.0, metavar="N", help="messages a second; 0: no limit"
    )
    create.add_argument(
        "--beside",
        action="store_true",
        help="though a key of this name is there: to change a secret, both hold until you delete the old one",
    )
    create.add_argument("--read-all", action="store_true", help="it sees the messages of all sources")
    choices = {"disable": "hold a key off", "enable": "let it in again", "delete": "take it away for good"}
    for action, meaning in choices.items():
        actions.add_parser(action, help=meaning).add_argument("key", metavar="ID", help="as `list` shows it")
    actions.add_parser("list", help="list the keys, without their secrets")
    for each in actions.choices.values():
        where = each.add_mutually_exclusive_group()
        where.add_argument(
            "--config", type=Path, metavar="FILE", help="the daemon's; without, the one that `serve` takes"
        )
        where.add_argument(
            "--store", type=Path, metavar="DIR", help="the folder of the store, if it has them"
        )
        each.add_argument("--json", action="store_true", help="JSON for programs")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Run the command."""
    from dispatcher.errors import ConfigError
    from dispatcher.ingest.keys import load, locked

    try:
        path = _path(given)
        if given.action == "list":
            if path.exists():
                path.open("rb").close()  # PermissionError has an exit code of its own
            return _list(load(path), given.json)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(path):
            keys = load(path)
            return _create(path, keys, given) if given.action == "create" else _change(path, keys, given)
    except ConfigError as error:
        for problem in str(error).splitlines():
            fail("keys", problem, Exit.CONFIG)
        return Exit.CONFIG


def _path(given: argparse.Namespace) -> Path:
    """Return the file of keys. ConfigError: the configuration is not right."""
    from dispatcher.files import default_path, load
    from dispatcher.ingest.keys import KEYS_FILE, keys_path

    if given.store is not None:
        return Path(given.store) / KEYS_FILE
    loaded = load((given.config or default_path()).absolute())
    return keys_path(loaded.config.http, loaded.config.store, loaded.folder)


def _create(path: Path, keys: tuple[ApiKey, ...], given: argparse.Namespace) -> int:
    from datetime import UTC, datetime

    from dispatcher.errors import LocalProtocolError
    from dispatcher.ingest.keys import make_key, save
    from dispatcher.smpp.address import classify

    for sender in given.sender:
        try:
            classify(sender)
        except LocalProtocolError as error:
            return fail("keys", f"--sender {sender!r}: no carrier could send it: {error}", Exit.USAGE)
    same = next((key for key in keys if key.name == given.name and not key.is_disabled), None)
    if same is not None and not given.beside:
        why = f"an active key of the name {given.name!r} is there, its id is {same.id}"
        what = "--beside makes a second one, `keys delete` takes the old one away"
        return fail("keys", f"{why}; {what}", Exit.CANNOT_CREATE)
    key, token = make_key(
        given.name,
        datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        senders=tuple(given.sender),
        traffic_classes=tuple(given.classes),
        rate=given.rate,
        may_read_all=given.read_all,
    )
    save(path, (*keys, key))
    print(json.dumps({**_plain(key), "token": token}) if given.json else token)
    return Exit.OK


def _change(path: Path, keys: tuple[ApiKey, ...], given: argparse.Namespace) -> int:
    from msgspec.structs import replace

    from dispatcher.ingest.keys import save

    found = next((key for key in keys if key.id == given.key), None)
    if found is None:
        return fail("keys", f"no key has the id {given.key!r}", Exit.NO)
    changed = replace(found, is_disabled=given.action == "disable")
    left = [changed if key is found else key for key in keys]
    if given.action == "delete":
        left.remove(changed)
    save(path, tuple(left))
    if given.json:
        print(json.dumps(_plain(changed)))
    return Exit.OK


def _list(keys: tuple[ApiKey, ...], as_json: bool) -> int:
    if as_json:
        print(json.dumps([_plain(key) for key in keys], indent=1))
        return Exit.OK
    for key in keys:
        said = [key.id, key.name, key.created_at]
        said += [f"senders: {', '.join(key.senders)}"] if key.senders else []
        said += [f"classes: {', '.join(key.traffic_classes)}"] if key.traffic_classes else []
        said += [f"{key.rate:g}/s"] if key.rate else []
        said += ["reads all"] if key.may_read_all else []
        said += ["disabled"] if key.is_disabled else []
        print("  ".join(said))
    return Exit.OK


def _plain(key: ApiKey) -> dict[str, Any]:
    fields = ("id", "name", "created_at", "senders", "traffic_classes", "rate", "may_read_all", "is_disabled")
    return {name: getattr(key, name) for name in fields}
