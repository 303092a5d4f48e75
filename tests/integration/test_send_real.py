"""``dispatcher send`` through the real door to a simulated carrier, whose ledger counts copies."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from pathlib import Path

import pytest

from dispatcher.model import Accepted, Refused, SendRequest
from tests.integration.front import Front, add_key, front
from tests.integration.house import copies, outcomes, run

ROOT = Path(__file__).parents[2]
ROWS = 3_000


async def start(house: Front, token: str, *words: str) -> Process:
    """Start a command of `dispatcher`, with a key."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dispatcher", *words, cwd=ROOT, stdout=PIPE, stderr=PIPE,
        env={**os.environ, "DISPATCHER_URL": house.url, "DISPATCHER_KEY": token},
    )  # fmt: skip


async def call(house: Front, token: str, *words: str) -> tuple[int, str, str]:
    """Run a command to its end: exit code, output, errors."""
    process = await start(house, token, *words)
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def campaign(path: Path, rows: int = ROWS) -> Path:
    """Write a file whose row n has the token t<n>."""
    lines = "".join(f"+7900{number:07d},Sale t{number}\n" for number in range(rows))
    path.write_text("to,text\n" + lines)
    return path


WORDS = ("--sender", "Bank", "--class", "service", "--json")


class Strike:
    """In place of a dispatcher's `send`: once messages are on disk and not answered yet, a signal strikes."""

    def __init__(self, house: Front) -> None:
        self._house = house
        self._send = house.dispatcher.send
        self.process: Process | None = None
        self.number = signal.SIGKILL
        self.at = 0
        """The number of a message: not before it."""

    async def __call__(self, requests: Sequence[SendRequest]) -> list[Accepted | Refused]:
        """Accept, strike, answer."""
        verdicts = await self._send(requests)
        process = self.process
        if process is not None and self._house.dispatcher.pipeline.admission.next_n > self.at:
            self.process = None
            process.send_signal(self.number)
            if self.number == signal.SIGKILL:
                await process.wait()
        return verdicts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_each_row_reaches_the_carrier_once(tmp_path: Path, number: signal.Signals) -> None:
    """A client is stopped twice, by Ctrl-C or kill -9, its rows taken, not answered: each arrives once."""

    async def scenario() -> None:
        file = campaign(tmp_path / "campaign.csv")
        token = add_key(tmp_path / "keys.json", "campaigns")
        async with front(tmp_path) as house:
            strike = Strike(house)
            house.dispatcher.send = strike  # type: ignore[method-assign]
            strike.number = number
            results = tmp_path / "results.ndjson"
            words = ("send", "--file", str(file), *WORDS, "--results", str(results))
            for strike.at in (ROWS // 5, ROWS // 2):
                process = strike.process = await start(house, token, *words)
                _, said = await process.communicate()
                assert process.returncode == (130 if number == signal.SIGINT else -9), said.decode()
            code, out, err = await call(house, token, *words)
            assert code == 0, err
            done = json.loads(out)
            assert done["accepted"] == ROWS
            assert bool(done["repeated"]) == (number == signal.SIGKILL)
            await outcomes(house.dispatcher, ROWS)
            assert copies(house.smsc) == {f"t{row}": 1 for row in range(ROWS)}
            lines = [json.loads(line) for line in results.read_text().splitlines()]
            assert [each["line"] for each in lines] == list(range(2, ROWS + 2))
            assert len({each["message_id"] for each in lines}) == ROWS

    run(scenario())


def test_one_message_is_sent_awaited_and_shown(tmp_path: Path) -> None:
    """--wait ends with 0 when the receipt says delivered; status finds it by id, name and number."""

    async def scenario() -> None:
        token = add_key(tmp_path / "keys.json", "core")
        async with front(tmp_path) as house:
            message = ("--to", "+79001234567", "--sender", "Bank", "--client-ref", "r1", "Hello t1")
            code, out, err = await call(house, token, "send", *message, "--wait", "30")
            assert code == 0, err
            assert (code, out.split()[1]) == (0, "delivered"), err
            message_id = out.split()[0]
            for which in ([message_id], ["--client-ref", "r1"], ["--to", "+79001234567"]):
                code, out, err = await call(house, token, "status", *which, "--json")
                assert (code, json.loads(out)["message_id"]) == (0, message_id), err
            code, out, _ = await call(house, token, "status", message_id)
            assert "segment 1: delivered by c0" in out
            assert "79001234567" not in out
            assert (await call(house, token, "send", *message))[1] == f"{message_id}\n"
            assert copies(house.smsc) == {"t1": 1}

    run(scenario())


def test_refusals_have_their_codes(tmp_path: Path) -> None:
    """65 for a row that is wrong, which costs only itself; 77 for no key; 1 for what is not there."""

    async def scenario() -> None:
        file = campaign(tmp_path / "campaign.csv", 10)
        with file.open("a") as more:
            more.write("12,Sale t10\n")
        token = add_key(tmp_path / "keys.json", "campaigns")
        async with front(tmp_path) as house:
            rejects = tmp_path / "rejects.csv"
            words = ("send", "--file", str(file), *WORDS, "--rejects", str(rejects))
            code, out, err = await call(house, token, *words)
            assert (code, json.loads(out)["refused"], json.loads(out)["accepted"]) == (65, 1, 10), err
            assert rejects.read_text().splitlines()[1].startswith("12,number_malformed,")
            assert (await call(house, "dsk_wrong", *words, "--restart"))[0] == 77
            code, _, err = await call(house, token, "status", "0190163d-8694-739b-aea5-966c26f8ad91")
            assert (code, "Traceback" in err) == (1, False)

    run(scenario())


def test_events_of_a_message_are_printed(tmp_path: Path) -> None:
    """Without --follow all that has happened, in order; behind the last cursor, nothing."""

    async def scenario() -> None:
        token = add_key(tmp_path / "keys.json", "core")
        async with front(tmp_path) as house:
            await call(
                house, token, "send", "--to", "+79001234567", "--sender", "Bank", "--wait", "30", "Hello t1"
            )
            code, out, err = await call(house, token, "events", "--types", "submitted", "finished")
            found = [json.loads(line) for line in out.splitlines()]
            assert (code, [each["type"] for each in found]) == (0, ["message.submitted", "message.finished"])
            assert (await call(house, token, "events", "--after", found[-1]["id"]))[:2] == (0, ""), err

    run(scenario())
