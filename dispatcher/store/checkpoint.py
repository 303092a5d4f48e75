"""Copying the WAL into the journal's file, beside the writer and not in its commits.

A thread of its own copies in steps while commits go on (a passive checkpoint takes no lock that a commit
needs). Under load it never quite catches up, and a WAL that is never wholly copied grows for ever; so when it
has become large, the writer copies the little that is left between two commits, and the next commit begins
the WAL anew.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import apsw

STEP_PAGES: Final = 1_024
"""New pages of the WAL, 4 MiB, before the next step."""
LARGE_PAGES: Final = 16_384
"""Of the WAL, 64 MiB, before the writer helps: some seconds of full load."""


_LATER: Final = (apsw.BusyError, apsw.FullError)
"""Another one is at it, or the file cannot grow: the WAL is as good a place, for now."""


class Checkpointer:
    """Owns a connection and a thread. `tend` is the writer's part."""

    def __init__(
        self, writer: apsw.Connection, connection: apsw.Connection, each_second: Callable[[], None]
    ) -> None:
        """`writer` is the connection that commits; `each_second` is called as often, and may raise."""
        self.pages = 0
        """In the WAL, after the last commit."""
        self.copied = 0
        """Of them, as far as is known."""
        self.error: Exception | None = None
        """What went wrong in the thread: as fatal as in a commit."""
        self._writer = writer
        self._connection = connection
        self._each_second = each_second
        self._wake = threading.Event()
        self._is_stopped = False
        writer.set_wal_hook(self._committed)
        self._thread = threading.Thread(target=self._run, name="journal checkpoint", daemon=True)
        self._thread.start()

    def tend(self, is_due: bool) -> None:
        """In the writer's thread, between commits: wake the other one, or copy the rest."""
        self.check()
        if is_due:
            self._each_second()
        behind = self.pages - self.copied
        if self.pages >= LARGE_PAGES and 0 < behind < 2 * STEP_PAGES:
            with suppress(*_LATER):
                self.pages, self.copied = self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        elif behind >= STEP_PAGES or (behind and is_due):
            self._wake.set()

    def check(self) -> None:
        """Raise what went wrong in the thread, if anything did."""
        if self.error is not None:
            raise self.error

    def stop(self) -> None:
        """Begin no step any more; from any thread, does not wait."""
        self._is_stopped = True
        self._wake.set()

    def close(self) -> None:
        """End the thread and close its connection."""
        self.stop()
        self._thread.join()
        self._connection.close()

    def _committed(self, connection: apsw.Connection, database: str, pages: int) -> int:
        if pages < self.pages:
            self.copied = 0  # the WAL has begun anew
        self.pages = pages
        return apsw.SQLITE_OK

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._is_stopped:
                return
            try:
                pages, copied = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                if pages <= self.pages:  # else it has begun anew meanwhile
                    self.copied = copied
            except _LATER:
                pass
            except Exception as error:
                self.error = error
                return
