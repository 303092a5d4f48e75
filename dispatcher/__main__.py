"""The command line: ``dispatcher COMMAND``. The tables are in cli/commands.py and cli/exits.py."""

import os
import sys
from collections.abc import Sequence

from dispatcher import __version__
from dispatcher.cli.commands import names, overview, parser_of, unknown
from dispatcher.cli.exits import MEANINGS, CommandError, Exit, explain, fail


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code, as in cli/exits.py. SystemExit: argparse's, for --help and 2."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    command = words[0] if words else ""
    try:
        code = run(words)
        sys.stdout.flush()
        return int(code)
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        _close_output()
        return Exit.OK
    except KeyboardInterrupt:
        sys.stderr.write("\n")  # after the ^C of the terminal
        return Exit.INTERRUPTED
    except CommandError as error:
        return fail(command, str(error), error.code)
    except OSError as error:
        _close_output()
        return fail("", *explain(error))


def run(words: list[str]) -> int:
    """Run the command that the first word names."""
    match words:
        case []:
            sys.stderr.write("\n".join(overview()) + "\n")
            return Exit.USAGE
        case ["-h" | "--help" | "help"]:
            sys.stdout.write("\n".join(overview()) + "\n")
            return Exit.OK
        case ["--version"]:
            sys.stdout.write(f"dispatcher {__version__}\n")
            return Exit.OK
        case ["help", "exits"]:
            sys.stdout.writelines(f"{code:4}  {meaning}\n" for code, meaning in MEANINGS.items())
            return Exit.OK
        case ["help", *rest]:
            return run([*rest, "--help"])
        case [command, *_] if command in names():
            given = parser_of(command).parse_args(words)
            return int(given.run(given))
    return fail("", unknown(words[0]), Exit.USAGE)


def _close_output() -> None:
    """Let what cannot be written go nowhere: it would be tried again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
