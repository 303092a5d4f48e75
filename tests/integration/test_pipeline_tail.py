"""Messages read back from the journal: framed once while they are fresh, and the loop stays free."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from dispatcher import backlog
from dispatcher._ext.book import Submission
from dispatcher.app import Dispatcher
from dispatcher.config import from_dict
from dispatcher.model import Accepted, Message, SendRequest, TrafficClass
from dispatcher.pipeline import RENEW_AFTER_MS

NOBODY = {"host": "127.0.0.1", "port": 1, "system_id": "bank"}


def test_a_frame_is_renewed_when_it_is_old_and_not_before(tmp_path: Path) -> None:
    """The age that counts is the frame's: a message read back from the journal has a new one already."""

    async def run() -> None:
        config = {"store": str(tmp_path), "carriers": {"c": NOBODY}, "routes": [{"carriers": ["c"]}]}
        async with Dispatcher(from_dict(config)) as dispatcher:
            path = dispatcher.pipeline
            (lane,) = path.lanes.values()
            (verdict,) = await dispatcher.send([SendRequest(to="+491701234567", text="4711", sender="Bank")])
            assert isinstance(verdict, Accepted)
            message: Message = verdict.message
            read_ms = message.accepted_ms + 60_000
            (submission,) = batch = path.submissions(lane.number, message, read_ms)
            first = submission.frame
            path._renew(lane, batch, read_ms + RENEW_AFTER_MS)
            assert submission.frame is first
            late_ms = read_ms + RENEW_AFTER_MS + 1
            path._renew(lane, batch, late_ms)
            assert submission.frame != first
            assert submission.frame == path.profiles[lane.number].frames(message, late_ms)[0]
            second = submission.frame
            path._renew(lane, batch, late_ms + RENEW_AFTER_MS)
            assert submission.frame is second
            submission.framed_ms = 0  # made when the message was accepted
            path._renew(lane, batch, message.accepted_ms + RENEW_AFTER_MS)
            assert submission.frame is second
            path._renew(lane, batch, message.accepted_ms + RENEW_AFTER_MS + 1)
            assert submission.frame != second

    asyncio.run(run())


def test_a_tail_is_taken_in_by_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop is never kept for longer than a slice; order and count are those of acceptance."""
    monkeypatch.setattr(backlog, "LOAD_SLICE", 7)

    async def run() -> None:
        config = {
            "store": str(tmp_path),
            "carriers": {"c": NOBODY},
            "routes": [{"carriers": ["c"]}],
            "limits": {"lane_max": 100},
        }
        async with Dispatcher(from_dict(config)) as dispatcher:
            (lane,) = dispatcher.pipeline.lanes.values()
            queue = lane.queues[TrafficClass.TRANSACTIONAL]
            await dispatcher.send(
                [SendRequest(to="+491701234567", text=f"{n}", sender="Bank") for n in range(1, 301)]
            )
            lane.look()
            seen = [0]
            while seen[-1] < 300:
                await asyncio.sleep(0)
                seen.append(len(queue.waiting))
                assert len(queue.waiting) + queue.tail_count == queue.messages == 300
            most = max(after - before for before, after in pairwise(seen))
            assert most in (7, 14)  # a slice; two where a read has ended between our looks
            assert not queue.is_behind
            ready: list[Submission] = []
            queue.waiting.pull(300, 0, ready)
            assert [submission.n for submission in ready] == list(range(1, 301))
            queue.waiting.push_front(ready)

    asyncio.run(run())
