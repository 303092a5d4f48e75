"""`dispatcher top` as a process of its own, against the admin port of a running dispatcher."""

import asyncio
import json
import sys
from pathlib import Path

from dispatcher.app import Dispatcher
from dispatcher.simulator import Simulator
from tests.integration.house import accepted, config_for, outcomes, requests, run
from tests.integration.test_admin import admin_of


async def top(*arguments: str) -> tuple[int, str, str]:
    """Run it; return exit code, output and errors."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dispatcher", "top", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


def test_top_shows_a_running_dispatcher_once(tmp_path: Path) -> None:
    """For people and for programs; no escape sequence goes where no terminal is."""

    async def scenario() -> None:
        async with Simulator() as smsc, Dispatcher(config_for(tmp_path, smsc)) as dispatcher:
            accepted(await dispatcher.send(requests(20)))
            await outcomes(dispatcher, 20)
            async with admin_of(dispatcher) as (client, _):
                admin = ("--admin", str(client._base_url), "--interval", "0.1", "--once")
                code, out, err = await top(*admin)
                assert (code, err) == (0, "")
                for words in ("running", "authorization", "c0", "1/1", "0/50", "up", "store ok"):
                    assert words in out, (words, out)
                assert "\x1b" not in out
                code, out, err = await top(*admin, "--json")
                assert (code, err) == (0, "")
                shown = json.loads(out)
                assert [each["name"] for each in shown["carriers"]] == ["c0"]
                assert shown["carriers"][0]["tps_max"] == 20_000

    run(scenario())


def test_top_says_when_nothing_answers(tmp_path: Path) -> None:
    """Exit code 69 and one line, for a port where nobody listens and for one that is something else."""

    async def scenario() -> None:
        async def mumble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 no HTTP here\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(mumble, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        code, out, err = await top("--admin", f"http://127.0.0.1:{port}", "--once")
        assert (code, out, err.count("\n")) == (69, "", 1), err
        assert "no admin port" in err
        server.close()
        await server.wait_closed()
        code, out, err = await top("--admin", f"http://127.0.0.1:{port}", "--once")
        assert (code, out, err.count("\n")) == (69, "", 1), err
        assert "refused" in err
        code, out, err = await top("--admin", "file:///etc/hostname", "--once")
        assert (code, out, err.count("\n")) == (69, "", 1), err

    run(scenario())
