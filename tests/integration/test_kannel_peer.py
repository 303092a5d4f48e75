"""The same requests to Debian's Kannel and to us: what is answered, and what reaches the SMSC.

Kannel writes a text as octets, a character each, and we as the profile says: the texts are compared, and
where the two differ on purpose the test says how.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from dispatcher._ext.session import Incoming
from dispatcher.app import Dispatcher
from dispatcher.faces import KannelUser
from dispatcher.ingest.kannel import PATH, Kannel
from dispatcher.model import Message
from dispatcher.simulator import Behaviour, Simulator
from tests.integration.house import config_for, outcomes, run, until
from tests.integration.kannel_peer import BOXES, Kannels, pages

GOOD: dict[str, str | bytes] = {"username": "test", "password": "test", "to": "79001234567", "from": "bank"}
needs_kannel = pytest.mark.skipif(None in BOXES, reason="kannel is not installed (apt install kannel)")


def has_bind(dispatcher: Dispatcher) -> Callable[[Message], bool]:
    """Return what tells whether a message can go."""
    lanes = dispatcher.pipeline.lanes
    return lambda message: any(lanes[each].is_bound for each in message.carriers if each in lanes)


class Submitted(NamedTuple):
    """What a submit_sm said."""

    source: bytes
    destination: bytes
    text: str


class Side:
    """One of the two: where it listens, and what its SMSC got."""

    def __init__(self, session: aiohttp.ClientSession, smsc: Simulator) -> None:
        self.port = 0
        self.got: list[Submitted] = []
        self._session = session
        inner = smsc.ledger.submitted

        def submitted(account: str, bind: int, incoming: Sequence[Incoming]) -> Any:
            self.got += map(_submitted, incoming)
            return inner(account, bind, incoming)

        smsc.ledger.submitted = submitted  # type: ignore[method-assign]

    async def ask(
        self, method: str, query: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, str]:
        """Return status and body of an answer."""
        url = URL(f"http://127.0.0.1:{self.port}{PATH}?{query}", encoded=True)
        async with self._session.request(
            method, url, data=body, headers=headers, skip_auto_headers=["Content-Type"]
        ) as answer:
            return answer.status, await answer.text()


def _submitted(pdu: Incoming) -> Submitted:
    octets = pdu.short_message or b""
    text = octets.decode("utf-16-be" if pdu.data_coding == 8 else "latin-1", "replace")
    return Submitted(pdu.source_addr or b"", pdu.destination_addr or b"", text)


def both(folder: Path, scenario: Callable[[Side, Side, Simulator, Simulator], Awaitable[None]]) -> None:
    """Run a scenario with Kannel and us, each bound to an SMSC of its own."""

    async def running() -> None:
        async with (
            aiohttp.ClientSession() as session,
            Simulator(Behaviour(password="secret")) as theirs,
            Simulator(Behaviour()) as ours,
            Kannels(folder, theirs) as kannels,
            Dispatcher(config_for(folder, ours, callbacks={"enabled": True})) as dispatcher,
        ):
            await until(lambda: ours.account("bank").binds == 1)
            peer, own = Side(session, theirs), Side(session, ours)
            peer.port = kannels.port
            app = web.Application()
            user = KannelUser(password_env="X")
            now_ms = dispatcher.pipeline.now_ms
            kannel = Kannel({"test": user}, {"test": "test"}, has_bind(dispatcher), now_ms)
            app.add_routes(pages(kannel, dispatcher.send))
            runner = web.AppRunner(app, handle_signals=False)
            await runner.setup()
            try:
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                own.port = runner.addresses[0][1]
                await scenario(peer, own, theirs, ours)
            finally:
                await runner.cleanup()

    run(running())


def query(**more: str | bytes | None) -> str:
    """Return a query that is good but for what is given; None leaves a field out, _ stands for -."""
    fields: dict[str, str | bytes | None] = {**GOOD, "text": "hi", **more}
    return urlencode({name.replace("_", "-"): value for name, value in fields.items() if value is not None})


HEADERS = {
    "Content-Type": "text/plain",
    "X-Kannel-Username": "test",
    "X-Kannel-Password": "test",
    "X-Kannel-To": "79001234567",
    "X-Kannel-From": "bank",
}

FIELDS: list[Mapping[str, str | bytes | None]] = [
    {},
    {"username": None, "user": "test"},
    {"password": None, "pass": "test"},
    {"username": "nobody", "user": "test"},
    {"password": "wrong"},
    {"username": None, "password": None},
    {"to": None},
    {"to": ""},
    {"to": "  "},
    {"to": "abc"},
    {"to": "79001234567 79001234568"},
    {"to": "79001234567 79001234567"},
    {"from": None},
    {"from": ""},
    {"from": "+491701234567"},
    {"text": "\u20ac[]\n a+b "},
    {"text": b"\xe9", "charset": "latin1"},
    {"text": b"a", "charset": "cp1251"},
    {"text": "\u043f\u0440".encode("utf-16-be"), "coding": "2"},
    {"text": "\u043f\u0440", "coding": "2", "charset": "UTF-8"},
    {"text": "\U0001f600", "coding": "2", "charset": "UTF-8"},
    {"charset": "nonsense"},
    *({"coding": value} for value in ("0", "3", "-1", "-2", "x", "", "0x2")),
    *({"mclass": value} for value in ("4", "-1")),
    *({"validity": value} for value in ("5", "-1", "-2", "x")),
    *({"deferred": value} for value in ("-1", "-2", "x")),
    *({"dlr_mask": value} for value in ("0", "31", "66", "67", "-1", "-2", "x")),
    *({"priority": value} for value in ("0", "3", "4", "-1", "-2")),
    *({"pid": value} for value in ("0", "256", "-2")),
    *({"rpi": value} for value in ("0", "3")),
    *({"alt_dcs": value} for value in ("0", "1", "2")),
    *({"mwi": value} for value in ("-1", "8")),
    *({"compress": value} for value in ("0", "2")),
    *({"account": value} for value in ("acc", "x" * 65, "a[b")),
    *({"dlr_url": value} for value in ("http:/", "ftp://abcdefg", "https://abc", "")),
    {"udh": b"\x05\x00"},
    {"udh": ""},
    {"smsc": "nowhere"},
    {"flash": "1"},
]
SAME: list[tuple[str, bytes | None, dict[str, str]]] = [
    *((query(**more), None, {}) for more in FIELDS),
    ("username=test&password=test&to=79001234567&to=79001234568&from=bank&text=hi", None, {}),
    ("username=test&password=test&to=79001234567&from=bank&text=%zz", None, {}),
    ("username=test;password=test;to=79001234567;from=bank;text=hi", None, {}),
    ("", None, {}),
    *(
        ("", b"hi", {name: value for name, value in {**HEADERS, **more}.items() if value is not None})
        for more in (
            {},
            {"X-Kannel-To": None, "x-kannel-to": "79001234568"},
            {"X-Kannel-To": None},
            {"X-Kannel-To": ""},
            {"X-Kannel-Password": "x"},
            {"Content-Type": "application/json"},
            {"Content-Type": "text/html"},
            {"Content-Type": "text/html", "X-Kannel-To": None},
            {"Content-Type": "application/octet-stream", "X-Kannel-Coding": "0"},
            {"Content-Type": "text/plain; charset=ISO-8859-1"},
            {"Content-Type": "text/plain; charset=nope"},
            {"Content-Type": "text/plain; charset=utf-8", "X-Kannel-Coding": "2"},
            {"X-Kannel-Coding": "5"},
            {"X-Kannel-DLR-Mask": "99"},
            {"X-Kannel-UDH": "zz"},
        )
    ),
    (query(), b"hi", {"Content-Type": "text/plain"}),
]  # fmt: skip
"""Query, body and headers of what both must answer alike, and send alike."""


@needs_kannel
def test_the_same_answers_and_messages(tmp_path: Path) -> None:
    """Each request gets the same status and words, and the same messages reach the SMSC, in order."""

    async def scenario(peer: Side, own: Side, theirs: Simulator, ours: Simulator) -> None:
        for asked, body, headers in SAME:
            method = "GET" if body is None else "POST"
            expected = await peer.ask(method, asked, body, headers)
            assert await own.ask(method, asked, body, headers) == expected, (asked, headers)
        # Both are asked the last one once more: what came before it has come by then.
        for side in (peer, own):
            assert (await side.ask("GET", query(text="the end")))[0] == 202
        await until(lambda: all("the end" in (each.text for each in side.got) for side in (peer, own)))
        assert len(peer.got) > 30
        assert sorted(own.got) == sorted(map(_as_ours, peer.got))

    both(tmp_path, scenario)


def _as_ours(theirs: Submitted) -> Submitted:
    """Return what Kannel sent as we write it: a number without its plus."""
    return theirs._replace(source=theirs.source.lstrip(b"+"), destination=theirs.destination.lstrip(b"+"))


DIFFERENT: list[tuple[dict[str, str | bytes | None], int]] = [
    ({"coding": "1"}, 400),
    ({"mclass": "0"}, 400),
    ({"mwi": "0"}, 400),
    ({"compress": "1"}, 400),
    ({"pid": "65"}, 400),
    ({"rpi": "1"}, 400),
    ({"binfo": "x"}, 400),
    ({"meta_data": "?smpp?a=b"}, 400),
    ({"udh": b"\x02\x00\x01"}, 400),
    ({"validity": "0"}, 400),
    ({"text": ""}, 400),
    ({"text": "x" * 2000}, 400),
    ({"text": b"a\xef\xf0"}, 400),
    ({"text": b"\x04\x3f\x04", "coding": "2"}, 400),
    ({"text": "\u043f\u0440"}, 202),
    ({"to": "abc 79001234567"}, 202),
]
"""What Kannel takes with 202, and cuts, replaces, drops or sends in a way that is not ours."""


@needs_kannel
def test_the_differences(tmp_path: Path) -> None:
    """Where we differ, Kannel says 202: it cuts, replaces or drops, and we refuse, or send the whole text."""

    async def scenario(peer: Side, own: Side, theirs: Simulator, ours: Simulator) -> None:
        for more, status in DIFFERENT:
            assert await peer.ask("GET", query(**more)) == (202, "0: Accepted for delivery"), more
            answer = await own.ask("GET", query(**more))
            assert answer[0] == status, (more, answer)
            assert answer[1] != "0: Accepted for delivery" or more["text"] == "\u043f\u0440"
        await until(lambda: len(own.got) == 2 and "??" in (each.text for each in peer.got))
        assert [each.text for each in own.got] == ["\u043f\u0440", "hi"]

    both(tmp_path, scenario)


@needs_kannel
def test_no_smsc(tmp_path: Path) -> None:
    """With the SMSC away both answer 3, and both send when it is back."""

    async def scenario(peer: Side, own: Side, theirs: Simulator, ours: Simulator) -> None:
        for side, smsc in ((peer, theirs), (own, ours)):
            smsc.refuse_connections()
            smsc.account("bank").act("disconnect")
            await until(lambda smsc=smsc: not smsc.connections)  # type: ignore[misc]
            answers = []
            for _ in range(200):  # until it has noticed: Kannel reads its socket now and then
                answers.append(await side.ask("GET", query()))
                if answers[-1] != (202, "0: Accepted for delivery"):
                    break
                await asyncio.sleep(0.02)
            assert answers[-1] == (202, "3: Queued for later delivery")

    both(tmp_path, scenario)


def test_a_message_goes_its_way(tmp_path: Path) -> None:
    """What sendsms took is delivered, with its source and its callback kept."""

    async def scenario() -> None:
        config = {"callbacks": {"enabled": True}}
        async with Simulator() as smsc, Dispatcher(config_for(tmp_path, smsc, **config)) as dispatcher:
            app = web.Application()
            users = {"test": KannelUser(password_env="X", traffic_class="authorization")}
            kannel = Kannel(users, {"test": "test"}, has_bind(dispatcher), dispatcher.pipeline.now_ms)
            app.add_routes(pages(kannel, dispatcher.send))
            runner = web.AppRunner(app, handle_signals=False)
            await runner.setup()
            try:
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                async with aiohttp.ClientSession() as session:
                    side = Side(session, smsc)
                    side.port = runner.addresses[0][1]
                    asked = query(dlr_url="http://b/?%d", dlr_mask="3")
                    assert (await side.ask("GET", asked))[0] == 202
                    [(outcome, _)] = (await outcomes(dispatcher, 1)).values()
            finally:
                await runner.cleanup()
            [message] = (await dispatcher.journal.find([1])).values()
            assert outcome.name == "DELIVERED"
            assert side.got == [Submitted(b"bank", b"79001234567", "hi")]
            assert (message.source, message.traffic_class) == ("kannel:test", 0)
            assert message.callback is not None
            assert (message.callback.url, message.callback.mask) == ("http://b/?%d", 3)

    run(scenario())
