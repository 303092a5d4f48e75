"""What a file's sending has come to, beside the file: so that it goes on after any interruption.

Law: the note says of a line that it is answered only when the answer is in the files of results. A line that
was answered and not noted is sent again under the same client_ref, which makes it the same message.
"""

import fcntl
import hashlib
import os
import secrets
import time
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from dispatcher.cli.exits import CommandError, Exit

SUFFIX: Final = ".dispatcher-state"
READ_OCTETS: Final = 1 << 20
RUN_DIGITS: Final = 20
"""Of a run's name: 80 bits; with a line behind it, it fits a client_ref of 64 characters."""


class State(msgspec.Struct, forbid_unknown_fields=True):
    """How far a file has come."""

    run: str
    """Names this sending of this file: the first part of each client_ref."""
    file: str
    """SHA-256 of the content; empty: standard input, which is not known before."""
    options: str
    """SHA-256 of what makes messages of rows."""
    line: int = 0
    """The last one that was answered."""
    accepted: int = 0
    repeated: int = 0
    """Of the accepted: the daemon had them before."""
    refused: int = 0
    postponed: int = 0
    """Refused for now: too many to one number, say."""
    results_octets: int = 0
    rejects_octets: int = 0
    """Of the two files, when `line` was noted: what stands behind is written anew."""
    is_complete: bool = False
    at_s: int = 0
    """UTC of the last note."""

    @property
    def is_begun(self) -> bool:
        """Whether a line was answered."""
        return self.line > 0


def digest(file: BinaryIO) -> str:
    """Return the SHA-256 of an open file's content, and go back to its start."""
    with_octets = hashlib.sha256()
    while octets := file.read(READ_OCTETS):
        with_octets.update(octets)
    file.seek(0)
    return with_octets.hexdigest()


def begin(path: Path | None, file: str, options: str, restart: bool) -> State:
    """Return the state to go on from, or a new one.

    A file's first run is named by its content: were its state lost, its messages would still be the same.
    CommandError: the file or the options are not as they were.
    """
    if restart or not file:
        new = State(secrets.token_hex(RUN_DIGITS // 2), file, options)
    else:
        new = State(hashlib.sha256(f"{file} {options}".encode()).hexdigest()[:RUN_DIGITS], file, options)
    if path is None or not (path.exists() or path.is_symlink()):
        return new
    if path.is_symlink() or not path.is_file():
        raise CommandError(f"{path}: a regular file is expected for the state", Exit.USAGE)
    try:
        old = msgspec.json.decode(path.read_bytes(), type=State)
    except msgspec.DecodeError:
        why = "it is not a state of `dispatcher send`, or is damaged; move it away"
        raise CommandError(f"{path}: {why}", Exit.DATA) from None
    if restart:
        return new
    if old.file != file:
        why = "the file has changed since a part of it was sent"
        raise CommandError(f"{path}: {why}; --restart sends it as new, from its start", Exit.DATA)
    if old.options != options:
        why = "a part was sent with other options (mapping, defaults, encoding)"
        raise CommandError(f"{path}: {why}; repeat those, or --restart sends it as new", Exit.USAGE)
    return old


def note(path: Path, state: State) -> None:
    """Write the state so that either the old or the new one is there, whatever happens."""
    state.at_s = int(time.time())
    partial = path.with_name(path.name + ".partial")
    with private(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as file:
        file.write(msgspec.json.encode(state) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def private(path: Path, flags: int) -> BinaryIO:
    """Open a file that, if it is made here, only its owner may read: it tells of numbers."""
    return os.fdopen(os.open(path, flags, 0o600), "rb+" if flags & os.O_RDWR else "wb")


def lock(file: BinaryIO, name: str) -> None:
    """Take a file for this process alone, until it is closed. CommandError: another one sends it."""
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CommandError(f"{name}: another `dispatcher send` is at it", Exit.TEMPORARY) from None
    except OSError:
        pass  # a file system without locks


class Output:
    """A file of results, written behind what is in it already."""

    def __init__(self, path: Path, octets: int) -> None:
        """`octets`: what of it is to stay. CommandError: it is shorter, so that it is not ours."""
        self._file = private(path, os.O_RDWR | os.O_CREAT)
        size = self._file.seek(0, os.SEEK_END)
        if size < octets:
            self._file.close()
            raise CommandError(f"{path}: a part of it is gone; --restart sends the file as new", Exit.DATA)
        self._file.truncate(octets)
        self._file.seek(octets)

    def write(self, octets: bytes) -> None:
        """Write."""
        self._file.write(octets)

    def sync(self) -> int:
        """Bring it to disk; return its length."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        """Close it."""
        self._file.close()
