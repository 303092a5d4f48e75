"""Webhooks and files of events in a daemon: told, counted."""

import signal
from pathlib import Path

import aiohttp

from dispatcher.simulator import Simulator
from tests.integration import serving as house
from tests.integration.hooks import SECRET, Listener, hook
from tests.integration.house import requests, run, until
from tests.integration.serving import Served, serving


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
                port = port_of(served, "admin port")
                async with aiohttp.ClientSession() as session:
                    response = await session.get(f"http://127.0.0.1:{port}/metrics")
                    text = await response.text()
                delivered = 'dispatcher_webhook_deliveries_total{endpoint="core",result="delivered"} 20'
                assert delivered in text
                served.signal(signal.SIGTERM)
                assert await served.ended() == 0

    run(scenario())


def test_a_daemon_takes_up_a_webhook(tmp_path: Path) -> None:
    """After SIGHUP a new webhook is told what comes by HTTP, its callback too; SIGUSR2 begins a new file."""

    async def scenario() -> None:
        async with Simulator() as smsc, Listener() as comes, Listener() as mine:
            (tmp_path / "secret").write_text(SECRET)
            file = tmp_path / "events.ndjson"
            data = house.data_for(
                tmp_path,
                smsc,
                http={"port": 0, "require_key": False},
                callbacks={"enabled": True, "allow_private": True},
                event_files={"siem": {"path": file.name, "events": ["finished"]}},
            )
            path = house.write(tmp_path, data)
            async with serving(path) as served, aiohttp.ClientSession() as session:
                url = f"http://127.0.0.1:{port_of(served, 'messages on')}/v1/messages"

                async def send(number: int) -> None:
                    body = {
                        "to": f"+7900000000{number}",
                        "text": "Hello",
                        "sender": "Bank",
                        "callback_url": mine.url,
                    }
                    async with session.post(url, json=body) as response:
                        assert response.status == 202, await response.text()

                await send(1)
                await mine.came(1)
                await until(lambda: file.exists() and file.read_bytes().count(b"\n") == 1)
                house.write(tmp_path, {**data, "webhooks": {"core": hook(comes)}})
                served.signal(signal.SIGHUP)
                await served.says("reloaded")
                file.rename(tmp_path / "taken")
                served.signal(signal.SIGUSR2)
                served.signal(signal.SIGUSR1)
                await served.says("state")
                await send(2)
                (call,) = await comes.came(1)
                call.verify()
                await mine.came(2)
                await until(lambda: file.exists() and file.read_bytes().count(b"\n") == 1)

    run(scenario())


def port_of(served: Served, door: str) -> str:
    """Return the port that the log says of a door."""
    (said,) = (line["msg"] for line in served.lines if line["msg"].startswith(door))
    return str(said).rpartition(":")[2]
