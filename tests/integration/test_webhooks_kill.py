"""What is told twice when the process is killed."""

import asyncio
import os
import signal
import sys
from collections import Counter
from pathlib import Path

from aiohttp import web

from dispatcher.simulator import Simulator
from tests.integration.house import run, until
from tests.integration.webhooks import Call, Listener, listening

COUNT, PARALLEL, KILL_AT = 60, 4, 20


def test_a_kill_after_the_answer_repeats_no_more_than_was_in_flight(tmp_path: Path) -> None:
    """F06: kill -9 right behind a 2xx: nothing is lost, at most `parallel` calls are repeated, with their
    ids."""
    child: asyncio.subprocess.Process
    listener: Listener

    async def deadly(call: Call) -> web.StreamResponse:
        response = web.Response()
        await response.prepare(call.request)
        await response.write_eof()
        if len(listener.calls) == KILL_AT:
            os.kill(child.pid, signal.SIGKILL)
        return response

    async def born(smsc: Simulator, count: int) -> asyncio.subprocess.Process:
        words = [str(tmp_path), str(smsc.port), str(listener.port), str(count)]
        module = "tests.integration.webhook_child"
        return await asyncio.create_subprocess_exec(sys.executable, "-m", module, *words)

    async def scenario() -> None:
        nonlocal child, listener
        async with Simulator() as smsc, listening(deadly) as listener:
            child = await born(smsc, COUNT)
            assert await child.wait() == -signal.SIGKILL
            child = await born(smsc, 0)
            try:
                await until(lambda: len(set(listener.ids)) == COUNT, "all are told")
            finally:
                child.kill()
                await child.wait()
            repeated: Counter[str] = Counter(listener.ids)
            assert max(repeated.values()) <= 2
            assert sum(repeated.values()) - COUNT <= PARALLEL
            assert len({call.data["message_id"] for call in listener.calls}) == COUNT

    run(scenario())
