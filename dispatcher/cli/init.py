"""``dispatcher init``: a configuration to start with, which works at once against the simulator."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Final

from dispatcher.cli.exits import CommandError, Exit

UNIT: Final = Path(__file__).with_name("dispatcher.service")
WORKERS: Final = {
    "#   dispatcher init --systemd > /etc/systemd/system/dispatcher.service": (
        "#   dispatcher init --systemd --workers > /etc/systemd/system/dispatcher@.service\n"
        "# and systemctl enable --now dispatcher@one dispatcher@two, on /etc/dispatcher/one.toml, two.toml"
    ),
    "Description=SMS dispatcher": "Description=SMS dispatcher, worker %i",
    "--config /etc/dispatcher/dispatcher.toml": "--config /etc/dispatcher/%i.toml",
    "StateDirectory=dispatcher": "StateDirectory=dispatcher/%i",
    "LogsDirectory=dispatcher": "LogsDirectory=dispatcher/%i",
}
"""What is different in a template of the unit: each worker has a configuration and a store of its own."""
KEY_FILE: Final = "api.key"
"""Beside the configuration: the first API key, for `dispatcher send --key-file`."""

START: Final = """\
# The configuration of a dispatcher. `dispatcher config check` tells everything that is wrong with it,
# `dispatcher config show` all that is not written here, `dispatcher config schema` all that could be.

store = "data"              # the journal: a folder on a disk of its own where there is one
#default_country = "DE"     # whose national forms of numbers are understood; without, only +49...

[http]                      # the door for messages
host = "127.0.0.1"          # other addresses need [http.tls], or allow_plain = true
port = 8080

[admin]                     # health, metrics, switches
port = 8081

[carriers.first]            # one account at an operator; this one is `dispatcher simulate`
host = "127.0.0.1"
port = 2775
system_id = "demo"
#password_file = "first.password"   # chmod 600; systemd: LoadCredential=first.password:...
window = 100                # unanswered submit_sm of a bind: from the contract
tps = 200.0                 # segments a second of the account: from the contract

[[routes]]                  # tried in order; conditions are traffic_classes, prefixes, countries, senders
carriers = ["first"]        # the first takes all, the next ones what it cannot
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "init",
        help="write a configuration to start with",
        description="Write dispatcher.toml and make the folder of the store. Nothing is overwritten.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, default=Path(), help="where (here)")
    parser.add_argument("--systemd", action="store_true", help="print a systemd unit, and write nothing")
    parser.add_argument(
        "--workers", action="store_true", help="with --systemd: a template, dispatcher@.service, of several"
    )


def run(given: argparse.Namespace) -> int:
    """Run the command."""
    if given.systemd:
        print(unit(is_template=given.workers), end="")
        return Exit.OK
    folder: Path = given.folder
    path = folder / "dispatcher.toml"
    if path.exists():
        raise CommandError(f"{path} is there already: nothing is overwritten", Exit.CANNOT_CREATE)
    keys = folder / "data" / "keys.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "data").mkdir(mode=0o700, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(START)
    except FileExistsError:
        raise CommandError(f"{folder} is no folder, or {path} is there already", Exit.CANNOT_CREATE) from None
    key_file = folder / KEY_FILE
    if not keys.exists():
        write_key(key_file, first_key(keys))
        print(f"The first API key is in {key_file}; the dispatcher keeps only a hash of it.")
    print(f"{path} is written. Next, each in a terminal of its own:\n")
    for command in next_commands(path, key_file):
        print(f"  {command}")
    return Exit.OK


def unit(is_template: bool = False) -> str:
    """Return the systemd unit; as a template, each instance has a file and a folder of its own name."""
    text = UNIT.read_text(encoding="utf-8")
    if is_template:
        for one, many in WORKERS.items():
            assert one in text, one
            text = text.replace(one, many)
    return text


def first_key(path: Path) -> str:
    """Make a file with one API key, which may do everything; return its token."""
    from datetime import UTC, datetime

    from dispatcher.ingest.keys import make_key, save

    key, token = make_key("first", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    save(path, (key,))
    return token


def write_key(path: Path, token: str) -> None:
    """Write a token where only its owner may read it. OSError: it is there already, or cannot be written."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{token}\n")


def next_commands(path: Path, key_file: Path) -> list[str]:
    """Return what to type next: until a first message is sent."""
    message = '{"to": "+491701234567", "sender": "Bank", "text": "Your code is 4711"}'
    return [
        "dispatcher simulate --system-id demo",
        f"dispatcher serve --config {path}",
        f"curl -H \"Authorization: Bearer $(cat {key_file})\" --json '{message}' http://127.0.0.1:8080/v1/messages",
    ]
