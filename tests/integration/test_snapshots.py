"""Snapshots of the book beside the path: what one knows, the journal tells."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dispatcher._ext.events import read_events
from dispatcher.app import Dispatcher
from dispatcher.config import from_dict
from dispatcher.model import Accepted, Event, EventKind, Outcome, Reason, SendRequest
from dispatcher.store import snapshot

NOBODY = {"host": "127.0.0.1", "port": 1, "system_id": "bank"}


def test_what_a_snapshot_knows_stands_in_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law 1: an end that comes while the book is written, and waits for company, is stored before it counts.

    Or a crash would leave a book that has settled what no event tells: the carrier's repeated receipt is
    acknowledged, and its message never ends.
    """

    async def run() -> None:
        config = {"store": str(tmp_path), "carriers": {"c": NOBODY}, "routes": [{"carriers": ["c"]}]}
        async with Dispatcher(from_dict(config)) as dispatcher:
            path, journal = dispatcher.pipeline, dispatcher.journal
            (verdict,) = await dispatcher.send([SendRequest(to="+491701234567", text="4711", sender="Bank")])
            assert isinstance(verdict, Accepted)
            n = verdict.message.n
            change = journal.run
            stored: list[list[Event]] = []

            async def between(job: Callable[[Any], Any]) -> Any:
                function = getattr(job, "func", job)
                if function is snapshot.write_piece and not path.book.is_finished(n):
                    assert path.book.finish(n, Outcome.CANCELLED, Reason.CANCELLED, 0, path.now_ms())
                    path.commits.flush_later()
                found = await change(job)
                if function is snapshot.write_head:  # a crash could come here
                    reader = journal.reader()
                    rows = list(reader.event_rows(0))
                    stored.append([event for row in rows for event in read_events(row.body, Event)])
                    reader.close()
                return found

            monkeypatch.setattr(journal, "run", between)
            monkeypatch.setattr("dispatcher.commits.GATHER_S", 60)
            await dispatcher._upkeep.snapshot()
            assert [(event.kind, event.n) for event in stored[0]] == [(EventKind.FINISHED, n)]

    asyncio.run(run())
