"""The exit codes of every command, in one table, and how a command ends early.

A script may trust them: 0 done, 1 the answer is no, 2 wrongly called; from 64 to 78 as sysexits(3) has them.
"""

import errno
import sys
from enum import IntEnum
from typing import Final

from dispatcher.errors import DispatcherError


class Exit(IntEnum):
    """What an exit code says."""

    OK = 0
    NO = 1
    """The command did its work, and the answer is no: not found, not delivered, something is wrong."""
    USAGE = 2
    DATA = 65
    NO_INPUT = 66
    UNAVAILABLE = 69
    SOFTWARE = 70
    CANNOT_CREATE = 73
    IO = 74
    TEMPORARY = 75
    PERMISSION = 77
    CONFIG = 78
    INTERRUPTED = 130
    TERMINATED = 143


MEANINGS: Final = {
    Exit.OK: "done",
    Exit.NO: "the answer is no: not found, not delivered, or something is wrong and named",
    Exit.USAGE: "wrongly called",
    Exit.DATA: "the input holds something that cannot be taken",
    Exit.NO_INPUT: "an input file cannot be read",
    Exit.UNAVAILABLE: "the daemon, the store or an address cannot be reached or used",
    Exit.SOFTWARE: "a fault inside: please report it",
    Exit.CANNOT_CREATE: "an output file cannot be made",
    Exit.IO: "reading or writing failed",
    Exit.TEMPORARY: "not now: the same command later may succeed",
    Exit.PERMISSION: "not allowed: a key, or the rights of a file",
    Exit.CONFIG: "the configuration is wrong",
    Exit.INTERRUPTED: "stopped with Ctrl-C",
    Exit.TERMINATED: "stopped with SIGTERM",
}
"""For people, in `dispatcher help exits`."""

ADVICE: Final[dict[int, tuple[str, Exit]]] = {
    errno.ENOENT: ("is the path right?", Exit.NO_INPUT),
    errno.ENOTDIR: ("a part of the path is a file", Exit.NO_INPUT),
    errno.EISDIR: ("a file is expected", Exit.NO_INPUT),
    errno.EACCES: ("run it as the user that owns it, or change its rights", Exit.PERMISSION),
    errno.EPERM: ("run it as the user that owns it", Exit.PERMISSION),
    errno.EROFS: ("name a place that can be written", Exit.CANNOT_CREATE),
    errno.EADDRINUSE: ("another process has the port: stop it, or choose another", Exit.UNAVAILABLE),
    errno.EADDRNOTAVAIL: ("no interface of this machine has the address", Exit.UNAVAILABLE),
    errno.ECONNREFUSED: ("nothing listens there: is it running?", Exit.UNAVAILABLE),
    errno.EMFILE: ("raise the limit of open files: ulimit -n", Exit.TEMPORARY),
}
"""What to do about an error of the operating system, and how the command ends."""


class CommandError(DispatcherError):
    """A command cannot go on: one line for the user, and the exit code."""

    def __init__(self, message: str, code: Exit) -> None:
        self.code = code
        super().__init__(message, code)

    def __str__(self) -> str:
        return str(self.args[0])


def fail(command: str, message: str, code: Exit) -> Exit:
    """Print one line on standard error; return the code."""
    print(f"dispatcher {command}: {message}" if command else f"dispatcher: {message}", file=sys.stderr)
    return code


def explain(error: OSError) -> tuple[str, Exit]:
    """Return one line that says what failed and what to do, and the exit code."""
    advice, code = ADVICE.get(error.errno or 0, ("", Exit.IO))
    said = f"{error.filename or 'output'}: {error.strerror or type(error).__name__}"
    return f"{said}; {advice}" if advice else said, code
