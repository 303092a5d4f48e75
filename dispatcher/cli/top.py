"""``dispatcher top``: what a running dispatcher does, on one screen, again each second."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dispatcher.state import State

EX_UNAVAILABLE: Final = 69
INTERVAL_S_MIN: Final = 0.1
TIMEOUT_S: Final = 5.0
STATE_OCTETS_MAX: Final = 64 << 20
"""A thousand carriers; more is no state."""
NO_ADMIN: Final = "it answered, but is no admin port of this version"
HOME_AND_CLEAR: Final = "\x1b[H\x1b[J"
HIDE_CURSOR: Final = "\x1b[?25l"
SHOW_CURSOR: Final = "\x1b[?25h"


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "top",
        help="show what a running dispatcher does",
        description="Show rates, queues, latencies by class, carriers and store of a running dispatcher, "
        "from its admin port. Ctrl-C ends it. Exit code 0; 69: nothing answers there.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("--admin", metavar="URL", default="http://127.0.0.1:8081", help="its admin port")
    parser.add_argument(
        "--interval", metavar="SECONDS", type=_interval, default=1.0, help="between two looks"
    )
    parser.add_argument("--once", action="store_true", help="one interval, then end")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for programs")


def run(given: argparse.Namespace) -> int:
    """Run the command."""
    is_screen = sys.stdout.isatty() and not (given.once or given.json)
    try:
        if is_screen:
            sys.stdout.write(HIDE_CURSOR)
        return _watch(given, is_screen)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        print(f"dispatcher top: {given.admin}: {reason}", file=sys.stderr)
        return EX_UNAVAILABLE
    except KeyboardInterrupt:
        return 0
    finally:
        if is_screen:
            sys.stdout.write(SHOW_CURSOR)


def _watch(given: argparse.Namespace, is_screen: bool) -> int:
    import msgspec

    from dispatcher.cli.screen import figures, lines

    before = fetch(given.admin)
    while True:
        time.sleep(given.interval)
        now = fetch(given.admin)
        shown = figures(before, now)
        before = now
        if given.json:
            print(msgspec.json.encode(shown).decode(), flush=True)
        elif is_screen:
            size = shutil.get_terminal_size()
            text = "\n".join(lines(shown, size.columns, size.lines - 1))
            sys.stdout.write(f"{HOME_AND_CLEAR}{text}\n")
            sys.stdout.flush()
        else:
            print("\n".join(lines(shown, height=1000)), flush=True)
        if given.once:
            return 0


def fetch(admin: str) -> State:
    """Return the state that an admin port tells. OSError: nothing answers; ValueError: another does."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import ProxyHandler, build_opener

    import msgspec

    from dispatcher.state import State

    if not admin.startswith(("http://", "https://")):
        raise ValueError("expected http:// or https://")
    opener = build_opener(ProxyHandler({}))  # it is ours, and near
    try:
        with opener.open(f"{admin.rstrip('/')}/v1/state", timeout=TIMEOUT_S) as response:
            body = response.read(STATE_OCTETS_MAX)
    except HTTPError as error:
        raise OSError(f"it answered {error.code} {error.reason}") from None
    except HTTPException:
        raise ValueError(NO_ADMIN) from None
    try:
        return msgspec.json.decode(body, type=State)
    except msgspec.DecodeError:
        raise ValueError(NO_ADMIN) from None


def _interval(text: str) -> float:
    seconds = float(text)
    if not INTERVAL_S_MIN <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"expected {INTERVAL_S_MIN} to 3600")
    return seconds
