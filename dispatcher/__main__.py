"""The command line: ``dispatcher COMMAND``, one module of dispatcher.cli a command."""

import argparse
import sys
from collections.abc import Sequence

from dispatcher import __version__
from dispatcher.cli import segments, simulate


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 2 for usage, or one of sysexits (65 data, 66 no input)."""
    parser = argparse.ArgumentParser(prog="dispatcher", description="An SMS dispatcher.")
    parser.add_argument("--version", action="version", version=f"dispatcher {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    segments.add_to(commands)
    simulate.add_to(commands)
    given = parser.parse_args(arguments)
    try:
        return int(given.run(given))
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        sys.stderr.close()
        return 0


if __name__ == "__main__":
    sys.exit(main())
