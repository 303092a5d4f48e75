"""One process a store: a lock that the kernel holds, so that it ends with the process, however that ends."""

import fcntl
import os
from pathlib import Path
from typing import Final

from dispatcher.errors import StoreInUseError

LOCK: Final = "lock"


class Lock:
    """Holds a store for this process until `release`, or until the process ends."""

    def __init__(self, folder: Path) -> None:
        """Take it at once; StoreInUseError if another process holds it. The file's text only says who."""
        self._file = (folder / LOCK).open("a+", encoding="ascii")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            owner = self._file.read(20).strip() or "unknown"
            self._file.close()
            raise StoreInUseError(f"{folder} is in use by another process (pid {owner})") from None
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Let others have it."""
        self._file.close()
