"""Files that nobody but the daemon may read: numbers, texts, hashes of keys are in them.

Commands of a store are also run by root; what they make belongs to whom the folder belongs to, or a daemon of
that user could not open its own store any more.
"""

import os
from pathlib import Path


def make(path: Path) -> None:
    """Make an empty file that its owner alone may read, unless it is there. OSError: it cannot be made.

    SQLite, which would let all read it, gives its -wal and -shm the same rights and owner.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    try:
        give(descriptor, path.parent)
    finally:
        os.close(descriptor)


def give(descriptor: int, folder: Path) -> None:
    """Let an open file that root has made belong to whom its folder belongs to."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
