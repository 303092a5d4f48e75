"""Frames are made as often as needed: a validity period must not be stale, an encode is not free."""

import asyncio
from pathlib import Path

from dispatcher.app import Dispatcher
from dispatcher.config import from_dict
from dispatcher.model import Accepted, Message, SendRequest
from dispatcher.pipeline import RENEW_AFTER_MS

NOBODY = {"host": "127.0.0.1", "port": 1, "system_id": "bank"}


def test_a_frame_is_renewed_when_it_is_old_and_not_before(tmp_path: Path) -> None:
    """The age that counts is the frame's: a message read back from the journal has a new one already."""

    async def run() -> None:
        config = {"store": str(tmp_path), "carriers": {"c": NOBODY}, "routes": [{"carriers": ["c"]}]}
        async with Dispatcher(from_dict(config)) as dispatcher:
            pipeline = dispatcher.pipeline
            (lane,) = pipeline.lanes.values()
            (verdict,) = await dispatcher.send([SendRequest(to="+491701234567", text="4711", sender="Bank")])
            assert isinstance(verdict, Accepted)
            message: Message = verdict.message
            read_ms = message.accepted_ms + 60_000
            (submission,) = batch = pipeline.submissions(lane.number, message, read_ms)
            first = submission.frame
            pipeline._renew(lane, batch, read_ms + RENEW_AFTER_MS)
            assert submission.frame is first
            late_ms = read_ms + RENEW_AFTER_MS + 1
            pipeline._renew(lane, batch, late_ms)
            assert submission.frame != first
            assert submission.frame == pipeline.profiles[lane.number].frames(message, late_ms)[0]
            second = submission.frame
            pipeline._renew(lane, batch, late_ms + RENEW_AFTER_MS)
            assert submission.frame is second
            submission.framed_ms = 0  # made when the message was accepted
            pipeline._renew(lane, batch, message.accepted_ms + RENEW_AFTER_MS)
            assert submission.frame is second
            pipeline._renew(lane, batch, message.accepted_ms + RENEW_AFTER_MS + 1)
            assert submission.frame != second

    asyncio.run(run())
