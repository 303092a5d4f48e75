"""Webhooks and files of events in a daemon: told, counted."""

import signal
from pathlib import Path

import aiohttp

from dispatcher.simulator import Simulator
from tests.integration import serving as house
from tests.integration.hooks import SECRET, Listener, hook
from tests.integration.house import requests, run, until
from tests.integration.serving import serving


def test_a_daemon_tells(tmp_path: Path) -> None:
    """What it found in its store is told by webhook and file, and counted."""

    async def scenario() -> None:
        async with Simulator() as smsc, Listener() as listener:
            (tmp_path / "secret").write_text(SECRET)
            file = tmp_path / "events.ndjson"
            data = house.data_for(
                tmp_path,
                smsc,
                webhooks={"core": hook(listener)},
                event_files={"siem": {"path": file.name, "events": ["finished"]}},
            )
            await house.fill(data, requests(20))
            async with serving(house.write(tmp_path, data)) as served:
                for call in await listener.came(20):
                    call.verify()
                await until(lambda: file.exists() and file.read_bytes().count(b"\n") == 20)
                (said,) = (line["msg"] for line in served.lines if line["msg"].startswith("admin port"))
                port = said.rpartition(":")[2]
                async with aiohttp.ClientSession() as session:
                    response = await session.get(f"http://127.0.0.1:{port}/metrics")
                    text = await response.text()
                delivered = 'dispatcher_webhook_deliveries_total{endpoint="core",result="delivered"} 20'
                assert delivered in text
                served.signal(signal.SIGTERM)
                assert await served.ended() == 0

    run(scenario())
