"""Events to a file: one JSON object a line, for those who ship logs.

Law: after a crash no event is missing and none stands twice; a torn line is cut off. The cursor is written
now and then, after the file is synced, and the last line of the file says how far it really is.
A disk that is full, or a folder that is gone, is told and tried again; the journal waits.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec

from dispatcher.api import Cursor, EventOut, cursor_of
from dispatcher.delivery import Changes, Place, Progress, Waiting
from dispatcher.errors import StoreError
from dispatcher.faces import EventFile
from dispatcher.model import EventKind

log = logging.getLogger("dispatcher.outcomes")

SYNC_S: Final = 1.0
"""Between two writings of the cursor, with the file synced before: what a power cut may repeat."""
AGAIN_S: Final = 1.0
"""Before what could not be written is tried again."""
TAIL_OCTETS: Final = 64 << 10
"""Of the end of a file, in which its last line is looked for: lines have some 400."""

_T = TypeVar("_T")

_encode: Final = msgspec.json.Encoder().encode_lines
_id_of: Final = msgspec.json.Decoder(EventOut).decode


class Source(Protocol):
    """Where events come from: feed.Feed."""

    def read(
        self, after: Cursor, kinds: Iterable[EventKind], *, follow: bool = True
    ) -> AsyncIterator[tuple[Cursor, list[EventOut]]]:
        """Yield slices of events behind a cursor, each with the cursor behind it."""


class Keeper(Protocol):
    """Where cursors are kept: store.deliveries.Deliveries."""

    async def load(self, receiver: str) -> tuple[Progress | None, list[Waiting]]:
        """Return how far a receiver has come, None if it is new."""

    async def save(self, receiver: str, changes: Changes) -> None:
        """Write how far."""


class FileWriter:
    """One event file, written by a thread of its own."""

    def __init__(self, name: str, path: Path, file: EventFile, source: Source, keeper: Keeper) -> None:
        self.name = name
        self.written = 0
        """Events."""
        self.failed = 0
        """Writes that failed."""
        self.is_failing = False
        self._output = _Output(path, file.max_bytes, file.keep)
        self._kinds = tuple(EventKind[each.upper()] for each in file.events)
        self._source = source
        self._keeper = keeper
        self._thread = ThreadPoolExecutor(1, name)
        self._cursor: Place = (0, 0)
        self._saved: Place = (0, 0)
        self._task: asyncio.Task[None] | None = None
        self._syncing: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<FileWriter {self.name}{' failing' if self.is_failing else ''}: {self.written} events>"

    async def start(self, end: Place) -> None:
        """Go on where it stopped; a new one begins at the end of the journal. StoreError: it cannot."""
        progress, _ = await self._keeper.load(self.name)
        if progress is None or progress.cursor > end:
            await self._keeper.save(self.name, Changes(Progress(end)))
            self._cursor = end
        else:
            self._cursor = progress.cursor
        self._saved = self._cursor
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._run(end, is_new=progress is None))
        self._syncing = loop.create_task(self._sync_now_and_then())

    async def stop(self) -> None:
        """Stop reading; what was written is synced, and noted."""
        tasks = [each for each in (self._task, self._syncing) if each is not None]
        self._task = self._syncing = None
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(OSError, StoreError):
            await self._sync()
        await self._ask(self._output.close)
        self._thread.shutdown()

    def reopen(self) -> None:
        """Open the file anew before the next write."""
        self._output.is_stale = True

    async def _run(self, end: Place, is_new: bool) -> None:
        if not is_new:
            last = await self._insist(self._output.mend)
            if last is not None and self._cursor < last < end:
                self._cursor = last
        while True:
            try:
                async for cursor, events in self._source.read(self._cursor, self._kinds):
                    if events:
                        await self._insist(partial(self._write, events))
                        self.written += len(events)
                    self._cursor = cursor
                return  # the journal is closed
            except StoreError as error:
                log.error("%s cannot read the journal: %s", self.name, error)
                await asyncio.sleep(AGAIN_S)

    def _write(self, events: list[EventOut]) -> None:
        self._output.write(_encode(events))

    async def _insist(self, call: Callable[[], _T]) -> _T:
        while True:
            try:
                result = await self._ask(call)
            except OSError as error:
                self.failed += 1
                if not self.is_failing:
                    log.error("%s cannot be written: %s; it is tried again", self.name, error.strerror)
                self.is_failing = True
                await asyncio.sleep(AGAIN_S)
            else:
                if self.is_failing:
                    log.warning("%s can be written again", self.name)
                self.is_failing = False
                return result

    async def _sync_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(SYNC_S)
            try:
                await self._sync()
            except (OSError, StoreError) as error:
                log.error("%s cannot be synced: %s", self.name, type(error).__name__)

    async def _sync(self) -> None:
        cursor = self._cursor
        if cursor != self._saved:
            await self._ask(self._output.sync)
            await self._keeper.save(self.name, Changes(Progress(cursor)))
            self._saved = cursor

    async def _ask(self, call: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


class _Output:
    """The file itself; everything here is done in the writer's thread. OSError: it cannot be."""

    def __init__(self, path: Path, max_bytes: int, keep: int) -> None:
        self.is_stale = False
        """Set from the loop: open it anew."""
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._descriptor = -1
        self._octets = 0

    def write(self, lines: bytes) -> None:
        """Append lines, whole or not at all; then begin a new file if this one is large enough."""
        if self.is_stale:
            self.is_stale = False
            self.close()
        if self._descriptor < 0:
            self._open()
        left = memoryview(lines)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._octets)
            self.close()
            raise
        self._octets += len(lines)
        if self._octets >= self._max_bytes:
            self._rotate()

    def sync(self) -> None:
        """Have all that was written on the disk."""
        if self._descriptor >= 0:
            os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Close it, if it is open."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def mend(self) -> Place | None:
        """Cut off a line that a crash has torn; return the cursor of the last whole one, None: there is
        none."""
        last = self._last(self._path, is_ours=True)
        return last if last is not None else self._last(self._path.with_name(f"{self._path.name}.1"))

    def _last(self, path: Path, is_ours: bool = False) -> Place | None:
        try:
            with path.open("r+b" if is_ours else "rb") as file:
                size = file.seek(0, os.SEEK_END)
                start = max(0, size - TAIL_OCTETS)
                file.seek(start)
                tail = file.read()
                whole = tail[: tail.rfind(b"\n") + 1]
                if is_ours and len(whole) < len(tail):
                    file.truncate(start + len(whole))
        except FileNotFoundError:
            return None
        line = whole[:-1].rpartition(b"\n")[2]
        try:
            return cursor_of(_id_of(line).id)
        except (msgspec.DecodeError, ValueError):
            return None

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o640)
        self._octets = os.fstat(self._descriptor).st_size

    def _rotate(self) -> None:
        self.sync()
        self.close()
        name = self._path.name
        older = [self._path.with_name(f"{name}.{number}") for number in range(self._keep, 0, -1)]
        for old, new in pairwise([*older, self._path]):
            with suppress(FileNotFoundError):
                new.replace(old)
