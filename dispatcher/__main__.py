"""The command line: ``dispatcher COMMAND``, one module of dispatcher.cli a command."""

import argparse
import os
import sys
from collections.abc import Sequence

from dispatcher import __version__
from dispatcher.cli import audit, plan, rebuild, repair, segments, simulate, top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 2 for usage, or 65 (data), 66 (no input), 74 (I/O)."""
    parser = argparse.ArgumentParser(prog="dispatcher", description="SMS encoding, and what it costs.")
    parser.add_argument("--version", action="version", version=f"dispatcher {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    segments.add_to(commands)
    simulate.add_to(commands)
    plan.add_to(commands)
    audit.add_to(commands)
    rebuild.add_to(commands)
    repair.add_to(commands)
    top.add_to(commands)
    given = parser.parse_args(arguments)
    try:
        code = int(given.run(given))
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        _close_output()
        return 0
    except OSError as error:
        _close_output()
        sys.stderr.write(f"dispatcher: {error.filename or 'output'}: {error.strerror}\n")
        return 74


def _close_output() -> None:
    """Let what cannot be written go nowhere: it would be tried again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
