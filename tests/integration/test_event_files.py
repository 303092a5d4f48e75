"""Events in files, written by a whole dispatcher."""

import re
from pathlib import Path
from typing import Any

import msgspec

from dispatcher.app import Dispatcher
from dispatcher.config import Config
from dispatcher.simulator import Simulator
from tests.integration.house import accepted, config_for, requests, run, until
from tests.integration.webhooks import telling


def filed(folder: Path, smsc: Simulator, **more: Any) -> Config:
    """Return a configuration with one event file."""
    return config_for(folder, smsc, event_files={"log": {"path": "out/events.ndjson"} | more})


def ids(folder: Path) -> list[str]:
    """Return the ids in all files, oldest first; every line is whole."""
    names = sorted((folder / "out").glob("events.ndjson*"), key=lambda path: -int(f"0{path.suffix[1:]}", 36))
    names = [each for each in names if each.suffix != ".ndjson"] + [folder / "out" / "events.ndjson"]
    lines = [line for name in names if name.exists() for line in name.read_bytes().splitlines()]
    return [msgspec.json.decode(line)["id"] for line in lines]


def test_every_event_stands_once_over_restarts_and_a_torn_line(tmp_path: Path) -> None:
    """A missing folder is told and tried again; a torn line is cut; rotation loses nothing; no number."""
    out = tmp_path / "out"

    async def scenario() -> None:
        async with Simulator() as smsc:
            config = filed(tmp_path, smsc, max_bytes=8192, keep=50)
            async with Dispatcher(config) as dispatcher, telling(dispatcher, config, tmp_path) as outcomes:
                accepted(await dispatcher.send(requests(40, first=100)))
                await until(lambda: outcomes.files["log"].failed)
                out.mkdir()
                await until(lambda: outcomes.files["log"].written >= 120)
            with (out / "events.ndjson").open("ab") as file:
                file.write(b'{"id":"torn')
            async with Dispatcher(config) as dispatcher, telling(dispatcher, config, tmp_path) as outcomes:
                accepted(await dispatcher.send(requests(10, first=140)))
                await until(lambda: outcomes.files["log"].written >= 30)
            found = ids(tmp_path)
            assert len(found) == len(set(found)) == 150
            assert (out / "events.ndjson.1").exists()
            written = b"".join(path.read_bytes() for path in out.iterdir())
            assert not re.search(rb"790000001[0-4][0-9]", written)

    run(scenario())


def test_a_file_that_was_renamed_is_begun_anew_when_asked(tmp_path: Path) -> None:
    """After reopen() the old name is made again; until then the renamed file is written on."""
    out = tmp_path / "out"
    out.mkdir()

    async def scenario() -> None:
        async with Simulator() as smsc:
            config = filed(tmp_path, smsc, events=["finished"])
            async with Dispatcher(config) as dispatcher, telling(dispatcher, config, tmp_path) as outcomes:
                accepted(await dispatcher.send(requests(5)))
                await until(lambda: outcomes.files["log"].written == 5)
                (out / "events.ndjson").rename(out / "moved")
                outcomes.reopen()
                accepted(await dispatcher.send(requests(5, first=5)))
                await until(lambda: outcomes.files["log"].written == 10)
            assert len((out / "moved").read_bytes().splitlines()) == 5
            assert len((out / "events.ndjson").read_bytes().splitlines()) == 5

    run(scenario())
