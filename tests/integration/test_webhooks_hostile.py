"""Webhooks whose server means no good, or cannot help it."""

from pathlib import Path

from aiohttp import web

from dispatcher.app import Dispatcher
from dispatcher.simulator import Simulator
from tests.integration.house import accepted, requests, run, until
from tests.integration.webhooks import Call, Listener, listening, telling, told


def test_an_endless_answer_is_read_to_a_limit_and_a_silent_one_times_out(tmp_path: Path) -> None:
    """F93: an infinite body of a 200 is cut and counts as told; a server that never answers is a timeout."""
    written, silent = 0, False
    listener: Listener

    async def endless(call: Call) -> web.StreamResponse:
        nonlocal written, silent
        if not silent:
            silent = True
            await until(lambda: listener.calls[1:])  # the next one comes when this one is given up
            return web.Response(status=200)
        response = web.StreamResponse()
        await response.prepare(call.request)
        while True:  # until the connection is closed
            await response.write(b"x" * 16384)
            written += 16384

    async def scenario() -> None:
        nonlocal listener
        async with Simulator() as smsc, listening(endless) as listener:
            config = told(tmp_path, smsc, listener.port, timeout_ms=300, parallel=1)
            async with Dispatcher(config) as dispatcher, telling(dispatcher, config, tmp_path) as outcomes:
                accepted(await dispatcher.send(requests(2)))
                receiver = outcomes.receivers["crm"]
                await until(lambda: receiver.delivered == 2)
                assert receiver.failed == 1
                assert written < 64 << 20

    run(scenario())
