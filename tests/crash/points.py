"""Fail-points: where a child kills itself with SIGKILL. The product knows nothing of it: methods are wrapped.

A point is named by what has just happened, or is about to, and strikes at its n-th hit: arm("told-after", 7).
"""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, Final, Literal, NamedTuple, cast

from dispatcher import recovery, upkeep
from dispatcher.aftermath import Aftermath
from dispatcher.carrier.lane import Lane
from dispatcher.pipeline import Pipeline
from dispatcher.smpp.connection import Connection
from dispatcher.smpp.pool import Pool
from dispatcher.store import checkpoint
from dispatcher.store.checkpoint import Checkpointer
from dispatcher.store.journal import Journal
from dispatcher.store.projection import Projection
from dispatcher.store.reader import Reader
from dispatcher.store.writer import Writer
from dispatcher.upkeep import Upkeep

DURING_S: Final = 0.0005
"""How long after its beginning what is killed half-way is killed."""
SNAPSHOT_S: Final = 0.05
"""Between snapshots, so that a short run has some."""
STEP_PAGES: Final = 2
"""Of the WAL between checkpoints: the same."""


class Point(NamedTuple):
    """A method, and when. `hits` is what runs reach, on a quiet machine: n is chosen from 1 to it."""

    owner: Any
    method: str
    when: Literal["before", "during", "after"]
    hits: int
    is_at_start: bool = False
    """It is reached only where a store is opened that was killed before."""


POINTS: Final[dict[str, Point]] = {
    # F01: around every commit, whatever is in it.
    "commit-before": Point(Writer, "_insert", "before", 40),
    "commit-during": Point(Writer, "_insert", "during", 40),
    "commit-after": Point(Writer, "_insert", "after", 40),
    "told-before": Point(Writer, "_deliver", "before", 40),
    "told-after": Point(Writer, "_deliver", "after", 40),
    # F02: stored, and the sender does not know.
    "accepted": Point(Pipeline, "accept", "after", 12),
    # F03: claimed and not written; written and not answered.
    "claimed": Point(Lane, "claimed", "before", 40),
    "write-before": Point(Connection, "_flush", "before", 20),
    "write-after": Point(Connection, "_flush", "after", 20),
    # F04: answered, and that is not stored.
    "answer-read": Point(Lane, "on_answers", "before", 40),
    "answer-noted": Point(Lane, "on_answers", "after", 40),
    # F05: a receipt was read, noted, stored, acknowledged.
    "receipt-read": Point(Lane, "on_incoming", "before", 40),
    "receipt-noted": Point(Lane, "on_incoming", "after", 40),
    "receipt-stored": Point(Pool, "acknowledge", "before", 40),
    "receipt-acknowledged": Point(Pool, "acknowledge", "after", 40),
    # F01: where the state is made again.
    "replay": Point(Reader, "event_rows", "during", 2, True),
    "restored": Point(recovery, "restore", "after", 1, True),
    "doubt": Point(Aftermath, "doubt", "after", 1, True),
    "taken-up": Point(recovery, "take_up", "after", 1, True),
    # F01: beside the path.
    "checkpoint": Point(Checkpointer, "_connection", "during", 30),
    "snapshot-before": Point(Upkeep, "snapshot", "before", 3),
    "snapshot-after": Point(Upkeep, "snapshot", "after", 3),
    "job-before": Point(Writer, "_do", "before", 12),
    "job-during": Point(Writer, "_do", "during", 12),
    "job-after": Point(Writer, "_do", "after", 12),
    "projecting": Point(Projection, "catch_up", "during", 2),
    "closing": Point(Lane, "close", "after", 1),
    "closed": Point(Journal, "close", "before", 1),
}


def die() -> None:
    """End this process at once, as kill -9 does: because it is."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)  # the signal may need a moment; nothing more happens in this thread


def die_in(seconds: float) -> None:
    """End this process soon, from another thread."""

    def wait() -> None:
        time.sleep(seconds)
        die()

    threading.Thread(target=wait, daemon=True).start()


def arm(name: str, hits: int) -> None:
    """Kill this process at the `hits`-th time that a point is reached; "instant": in so many ms."""
    checkpoint.STEP_PAGES = STEP_PAGES  # type: ignore[misc]
    upkeep.SNAPSHOT_S = SNAPSHOT_S  # type: ignore[misc]
    if name == "instant":
        die_in(hits / 1000)
        return
    point = POINTS[name]
    count = _Countdown(hits)
    if name.startswith("write-"):
        _wrap_writes(point, count)
    elif name == "checkpoint":
        _wrap_checkpoint(count)
    elif name == "replay":
        _wrap_replay(count)
    else:
        setattr(point.owner, point.method, _wrapped(getattr(point.owner, point.method), point.when, count))


class _Countdown:
    """Says when the time has come, once; from any thread."""

    def __init__(self, hits: int) -> None:
        self._left = hits
        self._lock = threading.Lock()

    def strikes(self) -> bool:
        with self._lock:
            self._left -= 1
            return self._left == 0


def _wrapped(method: Callable[..., Any], when: str, count: _Countdown) -> Callable[..., Any]:
    if asyncio.iscoroutinefunction(method):

        @wraps(method)
        async def call_async(*arguments: Any, **keywords: Any) -> Any:
            if when == "before" and count.strikes():
                die()
            result = await method(*arguments, **keywords)
            if when == "after" and count.strikes():
                die()
            return result

        return call_async

    @wraps(method)
    def call(*arguments: Any, **keywords: Any) -> Any:
        strikes = count.strikes()
        if strikes and when == "before":
            die()
        if strikes and when == "during":
            die_in(DURING_S)
        result = method(*arguments, **keywords)
        if strikes:
            die() if when == "after" else time.sleep(60)
        return result

    return call


def _wrap_writes(point: Point, count: _Countdown) -> None:
    """Only writes that hold a submit_sm count."""
    push, flush = Connection.push, Connection._flush
    pushed: set[int] = set()

    def noted(self: Connection, *arguments: Any, **keywords: Any) -> int:
        taken = push(self, *arguments, **keywords)
        if taken:
            pushed.add(id(self))
        return taken

    struck = _wrapped(flush, point.when, count)

    def chosen(self: Connection) -> None:
        if id(self) in pushed:
            pushed.discard(id(self))
            struck(self)
        else:
            flush(self)

    Connection.push, Connection._flush = noted, chosen  # type: ignore[method-assign]


def _wrap_checkpoint(count: _Countdown) -> None:
    """Kill while the WAL is copied into the file."""
    make = Checkpointer.__init__

    class Killed:
        def __init__(self, connection: object) -> None:
            self._connection = connection

        def __getattr__(self, name: str) -> Any:
            found = getattr(self._connection, name)
            return _wrapped(found, "during", count) if name == "wal_checkpoint" else found

    def made(self: Checkpointer, writer: Any, connection: Any, check: Any) -> None:
        make(self, writer, cast(Any, Killed(connection)), check)

    Checkpointer.__init__ = made  # type: ignore[assignment, method-assign]


def _wrap_replay(count: _Countdown) -> None:
    """Kill between two rows of events that are read again."""
    rows = Reader.event_rows

    def counted(self: Reader, after_seq: int) -> Iterator[Any]:
        for row in rows(self, after_seq):
            if count.strikes():
                die()
            yield row

    Reader.event_rows = counted  # type: ignore[method-assign]
