"""`dispatcher webhooks`: what is parked is seen and sent again; days are told anew."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from dispatcher.app import Dispatcher
from dispatcher.cli.exits import CommandError
from dispatcher.cli.webhooks import since_ms
from dispatcher.simulator import Simulator
from tests.integration.hooks import Listener, hook, hooks_config, telling
from tests.integration.house import Clock, accepted, outcomes, requests, run, until
from tests.integration.serving import command


async def webhooks(folder: Path, *words: str) -> tuple[int, Any]:
    """Run the command on the folder's store; return its exit code and what it printed as JSON."""
    words = ("webhooks", words[0], "--store", str(folder / "store"), "--json", *words[1:])
    process = await asyncio.create_subprocess_exec(
        *command(folder)[:3], *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, said = await process.communicate()
    return process.returncode or 0, json.loads(output) if output else said.decode()


def test_parked_and_resent(tmp_path: Path) -> None:
    """What was given up is listed without number or text, and sent again with its id; one alone, then all."""

    async def scenario() -> None:
        clock = Clock()
        async with Simulator() as smsc, Listener(lambda call: 500) as listener:
            config = hooks_config(tmp_path, smsc, webhooks={"core": hook(listener, give_up_ms=1_000)})
            async with Dispatcher(config) as dispatcher:
                async with telling(dispatcher, tmp_path, clock) as told:
                    receiver = told.receivers["core"]
                    accepted(await dispatcher.send(requests(5)))
                    await until(lambda: receiver.failed >= 5)
                    clock.ahead_ms = 5_000
                    await until(lambda: receiver.parked == 5)
                    await until(lambda: not receiver.queue.in_flight)
                    code, parked = await webhooks(tmp_path, "parked")
                    assert code == 0
                    assert {each["id"] for each in parked} == set(listener.ids)
                    assert {(each["endpoint"], each["why"]) for each in parked} == {("core", "status_500")}
                    listener.reply = lambda call: 200
                    one = parked[0]["id"]
                    assert await webhooks(tmp_path, "resend", "--id", one) == (
                        0,
                        [{"endpoint": "core", "resent": 1}],
                    )
                    await until(lambda: receiver.delivered == 1)
                    assert listener.ids[-1] == one
                assert (await webhooks(tmp_path, "resend", "--all"))[0] == 0  # nobody tells now
                async with telling(dispatcher, tmp_path, clock) as told:
                    await until(lambda: told.receivers["core"].delivered == 4)
                assert await webhooks(tmp_path, "parked") == (1, [])
                assert await webhooks(tmp_path, "resend", "--all") == (1, [])
                _, standings = await webhooks(tmp_path, "list")
                (core,) = (each for each in standings if each["endpoint"] == "core")
                assert (core["waiting"], core["parked"], core["disabled"]) == (0, 0, "")

    run(scenario())


def test_days_are_told_anew(tmp_path: Path) -> None:
    """F94: who took events and lost them gets all since a time once more, with the same ids and bodies."""

    async def scenario() -> None:
        async with Simulator() as smsc, Listener() as listener:
            config = hooks_config(tmp_path, smsc, webhooks={"core": hook(listener)})
            async with Dispatcher(config) as dispatcher, telling(dispatcher, tmp_path) as told:
                accepted(await dispatcher.send(requests(50)))
                await outcomes(dispatcher, 50)
                await listener.came(50)
                assert (await webhooks(tmp_path, "replay", "core", "--since", "1h"))[0] == 0
                await listener.came(100)
                await until(lambda: "core/replay" not in told.receivers)
                accepted(await dispatcher.send(requests(1, first=50)))
                await listener.came(101)
                first, second = listener.calls[:50], listener.calls[50:100]
                assert {(c.webhook_id, c.body) for c in first} == {(c.webhook_id, c.body) for c in second}
                assert len(set(listener.ids)) == 51
                code, said = await webhooks(tmp_path, "replay", "other", "--since", "1h")
                assert (code, "core" in said) == (1, True)

    run(scenario())


def test_gone_and_enabled(tmp_path: Path) -> None:
    """An endpoint that said 410 is shown as disabled, and goes on when a command enables it."""

    async def scenario() -> None:
        async with Simulator() as smsc, Listener(lambda call: 410) as listener:
            config = hooks_config(tmp_path, smsc, webhooks={"core": hook(listener)})
            async with Dispatcher(config) as dispatcher, telling(dispatcher, tmp_path) as told:
                accepted(await dispatcher.send(requests(1)))
                await until(lambda: told.receivers["core"].disabled)
                await until(lambda: not told.receivers["core"].queue.in_flight)
                _, standings = await webhooks(tmp_path, "list")
                assert "410" in next(each["disabled"] for each in standings if each["endpoint"] == "core")
                listener.reply = lambda call: 200
                assert (await webhooks(tmp_path, "enable", "core"))[0] == 0
                await until(lambda: told.receivers["core"].delivered == 1)

    run(scenario())


@pytest.mark.parametrize(
    ("text", "ms"),
    [("", 0), ("30m", 8_200_000), ("1h", 6_400_000), ("1970-01-01T01:00:00Z", 3_600_000)],
)
def test_times(text: str, ms: int) -> None:
    """A span before now, or a time; UTC where it says no zone."""
    assert since_ms(text, 10_000_000) == ms
    assert since_ms(text.removesuffix("Z"), 10_000_000) == ms


@pytest.mark.parametrize("text", ["yesterday", "7", "d", "-1d", "99999999d"])
def test_no_times(text: str) -> None:
    """What is no time is refused."""
    with pytest.raises(CommandError):
        since_ms(text, 10_000_000)
