"""Law 11 of a whole run: no full number and no text in anything that the daemon or a command says.

A real `dispatcher serve` on three carriers that misbehave, with webhooks, callbacks, an event file and
Kannel's page; messages through every door, every kind of bad request, a bad reload, kill -9. All that was
said is written to one folder and searched. Left out are only the store, what a simulated carrier wrote down,
and files that the sender gave or asked for.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from aiohttp import web

from dispatcher.simulator import Behaviour, Simulator
from dispatcher.simulator.settings import parse
from tests.integration import serving as house
from tests.integration.front import add_key, bearer
from tests.integration.hooks import SECRET, Call, Listener, hook
from tests.integration.house import copies, run, until
from tests.integration.serving import Served, serving
from tests.personal import occurrences
from tests.test_architecture import ROOT

LATIN: Final = "Parole"
CYRILLIC: Final = "Тайна"
"""Every text begins with one of them: so a part of a text is found too, as in the receipts of carriers."""
CARRIERS: Final[tuple[dict[str, Any], ...]] = (
    {
        "tps": 40,
        "errors": {"RINVDSTADR": 0.1, "RSYSERR": 0.1},
        "receipts": {"states": {"DELIVRD": 0.5, "UNDELIV": 0.5}},
    },
    {
        "receipts": {"duplicate": 0.5, "dialect": {"text": "{text} in no order", "id_tlv": False}},
        "mischief": [{"kind": "cut", "after": 10, "times": 2}, {"kind": "garbage", "after": 25, "times": 1}],
    },
    {
        "message_id": {"notation": "hex"},
        "receipts": {
            "unknown": 0.5,
            "dialect": {
                "text": "id:{id} stat:{text} err:{text}",
                "state_tlv": False,
                "message_payload": True,
            },
        },
        "mischief": [{"kind": "body", "on": "receipt", "share": 0.1, "octets": "30" + LATIN.encode().hex()}],
    },
)
"""One throttles and refuses; one disconnects and writes receipts that nobody can read; one puts the text of
the message where state and error belong, reports on what nobody sent, and breaks PDUs."""


class Sent:
    """Numbers and texts that were made up for this run, all of them different."""

    def __init__(self) -> None:
        self.numbers: list[str] = []
        self.texts: list[str] = []

    def number(self) -> str:
        """Return a new number; its fourth digit chooses the carrier."""
        count = len(self.numbers)
        self.numbers.append(f"+790{count % 3}{4_618_273 + count * 137:07d}")
        return self.numbers[-1]

    def text(self) -> str:
        """Return a new text, in turns of GSM-7, of UCS-2, and of several segments; it ends with a token."""
        count = len(self.texts)
        body = (LATIN, CYRILLIC, f"{LATIN} {'x' * 200}")[count % 3]
        self.texts.append(f"{body} {count * 7919 + 100_003} t{count}")
        return self.texts[-1]

    def message(self, **more: Any) -> dict[str, Any]:
        """Return a message in JSON."""
        return {"to": self.number(), "text": self.text(), "sender": "Bank", **more}

    def sought(self) -> tuple[list[str], list[str]]:
        """Return what is looked for: numbers without their country (so with it too), first words of texts."""
        return [number[2:] for number in self.numbers], [LATIN, CYRILLIC]


class Said:
    """A folder with all that was said, one file an answer or a command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir()
        self._count = 0

    def keep(self, name: str, *parts: object) -> None:
        """Keep it; octets as they are, all else as its text."""
        self._count += 1
        octets = [part if isinstance(part, bytes) else str(part).encode() for part in parts]
        (self.folder / f"{self._count:04d}-{name}").write_bytes(b"\n".join(octets))


def leaks(paths: list[Path], sent: Sent) -> list[str]:
    """Return every place where something personal stands."""
    return [str(each) for each in occurrences(paths, *sent.sought())]


class House:
    """The daemon that runs now, and a client of its doors, who keeps every answer."""

    def __init__(self, folder: Path, said: Said, session: aiohttp.ClientSession, token: str) -> None:
        self.said = said
        self.folder = folder
        self._session = session
        self._token = token
        self.url = self.admin = ""

    def moved(self, served: Served) -> None:
        """Take up the ports of a daemon that was started."""
        ports = [
            next(line["msg"] for line in served.lines if line["msg"].startswith(words)).rpartition(":")[2]
            for words in ("messages on", "admin port")
        ]
        self.url, self.admin = (f"http://127.0.0.1:{port}" for port in ports)

    async def ask(self, method: str, path: str, *, port: str = "", **more: Any) -> tuple[int, bytes]:
        """Ask a door; keep status, headers and body, and return status and body."""
        async with self._session.request(method, (port or self.url) + path, **more) as answer:
            body = await answer.read()
            self.said.keep("answer", answer.status, dict(answer.headers), body)
            return answer.status, body

    async def call(self, *words: str) -> tuple[int, str]:
        """Run a command of `dispatcher` to its end; keep what it said, and return code and output."""
        environ = {**os.environ, "DISPATCHER_URL": self.url, "DISPATCHER_KEY": self._token}
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "dispatcher", *words, cwd=ROOT, env=environ, stdout=pipe, stderr=pipe
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        assert b"Traceback" not in err, err.decode()
        self.said.keep(f"command-{words[0]}", process.returncode, out, err)
        return process.returncode, out.decode()


# ---- every door ----


async def send_by_http(here: House, sent: Sent) -> str:
    """One by one, in a batch, in lines, by Kannel's page, with callbacks; return a message_id."""
    for count in range(9):
        status, body = await here.ask("POST", "/v1/messages", json=sent.message(client_ref=f"ref-{count}"))
        assert status == 202, body
    messages = [sent.message() for _ in range(60)]
    messages[7] |= {"to": messages[7]["to"] + "99999"}
    status, _ = await here.ask("POST", "/v1/messages:batch", json={"messages": messages})
    assert status in (202, 207, 200)
    lines = [json.dumps(sent.message()) for _ in range(60)]
    lines[5] = lines[5][:-1]
    lines[6] = lines[6].replace('"sender"', '"sendre"')
    ndjson = {"Content-Type": "application/x-ndjson"}
    await here.ask("POST", "/v1/messages:batch", data="\n".join(lines).encode(), headers=ndjson)
    status, body_of_check = await here.ask("POST", "/v1/messages:check", json={"messages": [sent.message()]})
    assert status == 200, body_of_check
    return str(json.loads(body)["message_id"])


async def send_by_kannel(here: House, sent: Sent, answers: str) -> None:
    """Good ones with dlr-urls that answer and that do not; bad ones of every kind."""
    user = {"username": "old", "password": "kannel", "from": "Bank"}
    for count in range(9):
        # The second address brings personal data along, as many of Kannel's users do, and nobody answers.
        url = (answers + "?type=%d", f"http://127.0.0.1:1/?to={sent.number()}&text={LATIN}", "")[count % 3]
        dlr = {"dlr-url": url, "dlr-mask": "31"} if url else {}
        query = {**user, "to": sent.number(), "text": sent.text(), "charset": "utf-8", "coding": "2", **dlr}
        status, body = await here.ask("GET", "/cgi-bin/sendsms", params=query)
        assert status == 202, body
    for bad in (
        {"to": sent.number() + "123456"},
        {"to": sent.text()},
        {"password": sent.text()},
        {"coding": sent.text()},
        {"dlr-url": sent.text(), "dlr-mask": sent.number()},
        {"from": sent.text() * 3},
        {"username": sent.number()},
        {"charset": sent.text()},
        {sent.text(): sent.number()},
    ):
        await here.ask(
            "GET", "/cgi-bin/sendsms", params={**user, "to": sent.number(), "text": sent.text(), **bad}
        )


def bad_messages(sent: Sent) -> Iterator[dict[str, Any]]:
    """Yield messages with one thing wrong or in a wrong place."""
    yield sent.message(to=sent.number() + "0123456")
    yield sent.message(to=sent.text())
    yield sent.message(to=int(sent.number()))
    yield sent.message(to=[sent.number()])
    yield sent.message(text=[sent.text()])
    yield sent.message(text=sent.text() * 200)
    yield sent.message(text=sent.text() + "\ud800")
    yield sent.message(sender=sent.text())
    yield sent.message(sender=sent.number() + "00000")
    yield sent.message(traffic_class=sent.text())
    yield sent.message(ttl_ms=sent.text())
    yield sent.message(ttl_ms=int(sent.number()))
    yield sent.message(send_after=sent.text())
    yield sent.message(callback_url=sent.text())
    yield sent.message(callback_url=f"ftp://127.0.0.1/{sent.number()}")
    yield sent.message(**{sent.number(): 1})
    yield sent.message(**{sent.text(): 1})
    yield {"to": sent.number()}
    yield {sent.text(): sent.number()}


async def send_badly(here: House, sent: Sent) -> None:
    """Send what is refused: bad messages and bodies, and numbers and texts in URLs and headers."""
    for bad in bad_messages(sent):
        status, body = await here.ask("POST", "/v1/messages", json=bad)
        assert 400 <= status < 500, body
        for path in ("/v1/messages:batch", "/v1/messages:check"):
            status, body = await here.ask("POST", path, json={"messages": [sent.message(), bad]})
            assert status in (200, 202, 207, 400), body
        await here.ask("POST", path, json={"defaults": bad, "messages": [sent.message()]})
    for text in (sent.text(), f'{{"to": "{sent.number()}", "text": {sent.text()}', f'["{sent.number()}"]'):
        for path in ("/v1/messages", "/v1/messages:batch", "/v1/messages:check"):
            status, _ = await here.ask("POST", path, data=text.encode())
            assert status >= 400
    for path in (
        f"/v1/messages/{sent.number()}",
        f"/v1/messages/{sent.text()}",
        f"/{sent.text()}/{sent.number()}",
        f"/v1/messages?to={sent.text()}",
        f"/v1/messages?to={sent.number()}&limit={sent.text()}",
        f"/v1/messages?{sent.text()}={sent.number()}",
        f"/v1/messages?client_ref=x&before={sent.number()}",
        f"/v1/events?after={sent.number()}",
        f"/v1/events?types={sent.text()}",
        f"/v1/events?since={sent.text()}&follow={sent.number()}",
    ):
        await here.ask("GET", path)
        await here.ask("DELETE", path)
        await here.ask("GET", path, port=here.admin)
    await here.ask("POST", f"/v1/carriers/{sent.number()[1:]}:pause", port=here.admin)
    # Not X-Request-Id: as client_ref it is the caller's own name, and is told back.
    for name in ("Content-Type", "Content-Encoding", "Authorization", "Accept", "Idempotency-Key"):
        for value in (sent.number(), f"{LATIN} {sent.number()}", f"Bearer {LATIN}"):
            await here.ask("POST", "/v1/messages", data=b"{}", headers={name: value})


async def send_by_command(here: House, sent: Sent) -> None:
    """A file with rejects and results, one message, and words that no command takes."""
    rows = [sent.message() for _ in range(60)]
    rows[3]["to"] += "123456"
    rows[4]["to"], rows[4]["text"] = rows[4]["text"], rows[4]["to"]
    file = here.folder / "campaign.csv"
    file.write_text("to,text\n" + "".join(f"{row['to']},{row['text']}\n" for row in rows))
    answered = here.said.folder / "results.ndjson"
    words = ("send", "--file", str(file), "--sender", "Bank", "--rejects", str(here.folder / "rejects.csv"))
    code, _ = await here.call(*words, "--results", str(answered))
    assert code == 65
    assert answered.read_text().count("\n") == 60
    to = sent.number()
    assert (await here.call("send", "--to", to, "--sender", "Bank", sent.text()))[0] == 0
    await here.call("send", "--to", sent.text(), "--sender", "Bank", sent.text())
    await here.call("send", "--to", sent.number(), "--sender", "Bank", "--dry-run", sent.text())
    assert (await here.call("status", "--to", to))[0] == 0


async def look(here: House, sent: Sent, message_id: str) -> None:
    """Ask for all that the daemon shows: status, searches, events, metrics, state."""
    status, body = await here.ask("GET", f"/v1/messages/{message_id}")
    assert (status, b"***" in body) == (200, True)
    for to in sent.numbers[:3]:
        status, body = await here.ask("GET", "/v1/messages", params={"to": to})
        assert message_id.encode() in body or b"message_id" in body
    await here.ask("GET", "/v1/messages", params={"client_ref": "ref-1"})
    status, body = await here.ask("GET", "/v1/events")
    assert body.count(b"\n") > 200
    status, body = await here.ask("GET", "/v1/events?follow=false", headers={"Accept": "text/event-stream"})
    assert body.count(b"data:") > 200
    for path in ("/metrics", "/v1/state", "/readyz?verbose", "/startupz", "/livez", "/version"):
        await here.ask("GET", path, port=here.admin)
    await here.call("top", "--once", "--admin", here.admin)
    await here.call("top", "--once", "--json", "--admin", here.admin)
    await here.call("status", message_id)
    await here.call("status", message_id, "--json")
    await here.call("events", "--types", "finished")


def scorned(sent: Sent, call: Call) -> web.Response:
    """Refuse it, and say numbers and texts in every place of an answer."""
    status = (400, 302, 503)[len(sent.numbers) % 3]
    headers = {"X-Why": sent.number(), "Location": f"http://127.0.0.1:1/?to={sent.number()}"}
    text = json.dumps(sent.message())
    return web.Response(status=status, headers=headers, reason=f"{LATIN} {sent.number()}", text=text)


async def a_whole_run(folder: Path, said: Said, sent: Sent) -> None:
    """Do all of it, and keep what was said."""
    async with AsyncExitStack() as stack:
        behaviours = [parse(each, Behaviour) for each in CARRIERS]
        smscs = [await stack.enter_async_context(Simulator(each)) for each in behaviours]
        listener = await stack.enter_async_context(Listener())
        calls = await stack.enter_async_context(Listener())
        scorner = await stack.enter_async_context(Listener(partial(scorned, sent)))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        (folder / "secret").write_text(SECRET)
        (folder / "password").write_text("kannel")
        token = add_key(folder / "keys.json", "core", may_read_all=True)
        session.headers.update(bearer(token))
        data = house.data_for(
            folder,
            *smscs,
            routes=[{"carriers": [f"c{each}"], "prefixes": [f"790{each}"]} for each in range(3)],
            http={
                "port": 0,
                "keys_file": "keys.json",
                "kannel": {"old": {"password_file": "password"}},
            },
            webhooks={
                "core": hook(listener, events=["submitted", "refused", "receipted", "finished"]),
                "gone": hook(listener, url="http://127.0.0.1:1/hook"),
                "scorn": hook(scorner, events=["submitted"], parallel=2),
            },
            callbacks={"enabled": True, "allow_private": True, "retry_first_ms": 50},
            event_files={"siem": {"path": str(said.folder / "events.ndjson")}},
        )
        path = house.write(folder, data)
        here = House(folder, said, session, token)
        async with serving(path) as served:
            here.moved(served)
            message_id = await send_by_http(here, sent)
            await send_by_kannel(here, sent, calls.url)
            await send_badly(here, sent)
            await until(lambda: all(len(copies(smsc)) > 20 for smsc in smscs), "each carrier has some")
            for smsc in smscs[::2]:
                account = smsc.account("bank")
                account.act("send-mo", source=sent.number()[1:], text=f"{LATIN} hello")
                account.act("send-mo", source=sent.number()[1:], text=f"{CYRILLIC} hello", data_coding=8)
                account.act("send-receipt", source=sent.number()[1:], message_id=sent.number()[1:])
            await until(lambda: len(listener.calls) > 100 and len(calls.calls) > 0, "they are told")
            await until(lambda: len(scorner.calls) > 2, "one refuses what it is told")
            house.write(folder, {**data, "http": {"port": sent.text(), sent.number()[1:]: sent.number()}})
            served.signal(signal.SIGHUP)
            await served.says("reload_refused")
            house.write(folder, {**data, "currency": "RUB"})
            served.signal(signal.SIGHUP)
            await served.says("reloaded")
            served.signal(signal.SIGUSR1)
            await served.says("state")
            served.signal(signal.SIGKILL)
            await served.ended()
            said.keep("log", *served.raw)
        async with serving(path) as served:
            here.moved(served)
            await send_by_command(here, sent)
            await look(here, sent, message_id)
            await here.call("webhooks", "list", "--config", str(path))
            await here.call("webhooks", "list", "--config", str(path), "--json")
            served.signal(signal.SIGUSR1)
            await served.says("state")
            served.signal(signal.SIGTERM)
            assert await served.ended() == 0
            said.keep("log", *served.raw)
        await here.call("audit", data["store"])
        await here.call("webhooks", "list", "--store", data["store"])
        for call in [*listener.calls, *calls.calls]:
            said.keep("webhook", call.path, call.headers, call.body)


def test_nothing_personal_is_said_by_a_whole_run(tmp_path: Path) -> None:
    """Logs, answers, metrics, state, events, webhooks, commands: no number that was sent, and no text."""
    said, sent = Said(tmp_path / "said"), Sent()
    run(a_whole_run(tmp_path, said, sent))
    assert len(sent.numbers) > 250
    assert (said.folder / "events.ndjson").stat().st_size > 10_000
    found = leaks([said.folder], sent)
    assert not found, "\n".join(found[:50])


@pytest.mark.parametrize("form", ["to {0} ", "{1}", "{2}"])
def test_a_leak_is_found(form: str, tmp_path: Path) -> None:
    """A number with and without its country, and the first word of a text, planted in one of many files."""
    said, sent = Said(tmp_path / "said"), Sent()
    messages = [sent.message() for _ in range(300)]
    for count in range(300):
        said.keep("answer", 202, {"to": f"{messages[count]['to'][1:5]}***{messages[count]['to'][-4:]}"})
    assert leaks([said.folder], sent) == []
    to, text = messages[170]["to"], messages[170]["text"]
    said.keep("log", form.format(to, to[2:], text.split()[0]))
    assert len(leaks([said.folder], sent)) == 1
