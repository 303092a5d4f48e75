"""Files of events: each event once, in order, over rotation, restarts, crashes and disks that refuse."""

from functools import partial
from pathlib import Path

import msgspec

from dispatcher.api import EventOut
from dispatcher.app import Dispatcher
from dispatcher.outcomes.service import Outcomes
from dispatcher.simulator import Simulator
from tests.integration.hooks import hooks_config, telling
from tests.integration.house import accepted, outcomes, requests, run, until

ENDS = {"path": "events.ndjson", "events": ["finished"], "max_bytes": 4096}


def lines(folder: Path) -> list[EventOut]:
    """Return what stands in the file and its older ones, oldest first. DecodeError: a line is torn."""
    names = sorted(
        folder.glob("events.ndjson*"), key=lambda path: -int(path.suffix[1:].replace("ndjson", "0"))
    )
    decoder = msgspec.json.Decoder(EventOut)
    return [event for path in names for event in decoder.decode_lines(path.read_bytes())]


def has_written(told: Outcomes, count: int) -> bool:
    """Say whether the file has so many events of this process."""
    return told.files["siem"].written == count


def test_events_are_written_and_rotated(tmp_path: Path) -> None:
    """Each end is one line, in order; a full file is renamed; the oldest beyond `keep` go."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            config = hooks_config(tmp_path, smsc, event_files={"siem": {**ENDS, "keep": 100}})
            async with Dispatcher(config) as dispatcher, telling(dispatcher, tmp_path) as told:
                for first in range(0, 100, 20):
                    accepted(await dispatcher.send(requests(20, first=first)))
                    await until(partial(has_written, told, first + 20))
            written = lines(tmp_path)
            assert len({event.message_id for event in written}) == 100
            ids = [tuple(map(int, event.id.split("-"))) for event in written]
            assert ids == sorted(ids)
            assert len(list(tmp_path.glob("events.ndjson.*"))) >= 3

    run(scenario())


def test_old_files_go(tmp_path: Path) -> None:
    """No more than `keep` older files are there."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            config = hooks_config(tmp_path, smsc, event_files={"siem": {**ENDS, "keep": 2}})
            async with Dispatcher(config) as dispatcher, telling(dispatcher, tmp_path) as told:
                for first in range(0, 100, 20):
                    accepted(await dispatcher.send(requests(20, first=first)))
                    await until(partial(has_written, told, first + 20))
            names = {path.name for path in tmp_path.glob("events.ndjson*")}
            assert names - {"events.ndjson"} == {"events.ndjson.1", "events.ndjson.2"}

    run(scenario())


def test_a_torn_line_is_mended(tmp_path: Path) -> None:
    """After a crash that tore a line, and lost the cursor, each event stands there once, whole."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            config = hooks_config(tmp_path, smsc, event_files={"siem": {**ENDS, "max_bytes": 1 << 20}})
            path = tmp_path / "events.ndjson"
            async with Dispatcher(config) as dispatcher:
                async with telling(dispatcher, tmp_path):
                    pass  # it begins here
                store = Path(config.store)
                before = {name: (store / name).read_bytes() for name in ("deliveries.db",)}
                async with telling(dispatcher, tmp_path):
                    accepted(await dispatcher.send(requests(20)))
                    await until(lambda: path.exists() and len(lines(tmp_path)) == 20)
                path.write_bytes(path.read_bytes()[:-100])
                for name, octets in before.items():
                    (store / name).write_bytes(octets)
                accepted(await dispatcher.send(requests(10, first=20)))
                await outcomes(dispatcher, 30)
                async with telling(dispatcher, tmp_path) as told:
                    await until(lambda: told.files["siem"].written == 11)
            assert len(lines(tmp_path)) == len({event.id for event in lines(tmp_path)}) == 30

    run(scenario())


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """A path that cannot be written slows nobody: it is told, and all is written once it can be."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            file = {**ENDS, "path": "later/events.ndjson", "keep": 100}
            config = hooks_config(tmp_path, smsc, event_files={"siem": file})
            async with Dispatcher(config) as dispatcher, telling(dispatcher, tmp_path) as told:
                accepted(await dispatcher.send(requests(20)))
                await outcomes(dispatcher, 20)
                await until(lambda: told.files["siem"].is_failing)
                assert dict(told.counters())["file/siem"].is_down
                (tmp_path / "later").mkdir()
                await until(lambda: told.files["siem"].written == 20)
                assert not told.files["siem"].is_failing
            assert len({event.id for event in lines(tmp_path / "later")}) == 20

    run(scenario())


def test_it_is_opened_anew(tmp_path: Path) -> None:
    """Where another program has renamed the file, a new one is begun on request."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            config = hooks_config(tmp_path, smsc, event_files={"siem": {**ENDS, "max_bytes": 1 << 20}})
            path = tmp_path / "events.ndjson"
            async with Dispatcher(config) as dispatcher, telling(dispatcher, tmp_path) as told:
                accepted(await dispatcher.send(requests(5)))
                await until(lambda: told.files["siem"].written == 5)
                path.rename(tmp_path / "taken")
                told.reopen()
                accepted(await dispatcher.send(requests(5, first=5)))
                await until(lambda: told.files["siem"].written == 10)
            assert len(path.read_bytes().splitlines()) == 5
            assert len((tmp_path / "taken").read_bytes().splitlines()) == 5

    run(scenario())
