"""Kannel's sendsms over real HTTP: every field, every answer. Its peer is asked in test_kannel_peer.py."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec
import pytest
from aiohttp import web
from yarl import URL

from dispatcher.errors import OverloadedError, StoreError
from dispatcher.faces import KannelUser
from dispatcher.ingest.kannel import PATH, Kannel
from dispatcher.model import Accepted, Callback, Message, Refused, SendRequest, TrafficClass
from tests.integration.house import run
from tests.integration.kannel_peer import pages

USER = KannelUser(password_env="X")
GOOD = {"username": "test", "password": "test", "to": "79001234567", "from": "bank", "text": "hi"}
NOW_MS = 1_795_528_232_000
OK = (202, "0: Accepted for delivery")


class Recorder:
    """A door that writes down what came, and says what it is told to say."""

    def __init__(self) -> None:
        self.taken: list[SendRequest] = []
        self.verdicts: dict[str, Refused | Exception] = {}
        """By the number."""
        self.is_bound = True

    async def accept(self, requests: Sequence[SendRequest]) -> list[Accepted | Refused]:
        """Take all that no verdict stands in the way of."""
        found: list[Accepted | Refused] = []
        for request in requests:
            verdict = self.verdicts.get(request.to)
            if isinstance(verdict, Exception):
                raise verdict
            if verdict is None:
                self.taken.append(request)
                message = Message(1, bytes(16), request.to, request.sender, request.text, 0, 0, 0,
                                  request.send_after_ms, 1, 0, (1,))  # fmt: skip
                found.append(Accepted(message))
            else:
                found.append(verdict)
        return found

    def has_bind(self, message: Message) -> bool:
        """Say what the test wants."""
        return self.is_bound


class Caller:
    """Asks one server."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session = session
        self._base = f"http://127.0.0.1:{port}"

    async def get(self, query: str) -> tuple[int, str]:
        """Return status and body of a GET."""
        async with self._session.get(URL(f"{self._base}{PATH}?{query}", encoded=True)) as answer:
            return answer.status, await answer.text()

    async def post(self, body: bytes, headers: dict[str, str], query: str = "") -> tuple[int, str]:
        """Return status and body of a POST."""
        url = URL(f"{self._base}{PATH}{query and '?'}{query}", encoded=True)
        plain = {"skip_auto_headers": ["Content-Type"]}
        async with self._session.post(url, data=body, headers=headers, **plain) as answer:  # type: ignore[arg-type]
            return answer.status, await answer.text()

    async def raw(self, method: str, query: str) -> aiohttp.ClientResponse:
        """Return an answer with its headers."""
        async with self._session.request(method, f"{self._base}{PATH}?{query}") as answer:
            await answer.read()
            return answer


@contextlib.asynccontextmanager
async def serving(door: Any, users: dict[str, KannelUser] | None = None) -> AsyncIterator[Caller]:
    """Serve sendsms on a free port."""
    users = {"test": USER} if users is None else users
    app = web.Application()
    kannel = Kannel(users, dict.fromkeys(users, "test"), door.has_bind, lambda: NOW_MS)
    app.add_routes(pages(kannel, door.accept))
    runner = web.AppRunner(app, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession() as session:
            yield Caller(session, runner.addresses[0][1])
    finally:
        await runner.cleanup()


def query(**more: str | bytes | None) -> str:
    """Return a query that is good but for what is given; None leaves a field out, _ stands for -."""
    fields: dict[str, str | bytes | None] = {**GOOD, **more}
    return urlencode({name.replace("_", "-"): value for name, value in fields.items() if value is not None})


def ask(**more: str | bytes | None) -> tuple[tuple[int, str], list[SendRequest]]:
    """Ask once by GET; return the answer and what was accepted."""
    return ask_raw(query(**more))


def ask_raw(text: str, **user: Any) -> tuple[tuple[int, str], list[SendRequest]]:
    """Ask once by GET with this query, of a user with these settings."""

    async def scenario() -> tuple[tuple[int, str], list[SendRequest]]:
        door = Recorder()
        async with serving(door, {"test": msgspec.structs.replace(USER, **user)}) as caller:
            return await caller.get(text), door.taken

    return run(scenario())


def test_a_message() -> None:
    """The plainest request becomes one SendRequest of the user's class, and his source."""
    answer, taken = ask()
    assert answer == OK
    assert taken == [SendRequest(to="79001234567", text="hi", sender="bank", source="kannel:test")]
    _, [request] = ask_raw(query(), traffic_class="authorization")
    assert request.traffic_class is TrafficClass.AUTHORIZATION


# ---- who asks ----

UNAUTHORIZED = (403, "Authorization failed for sendsms")


@pytest.mark.parametrize(
    "more",
    [
        {"username": None, "user": "test"},
        {"password": None, "pass": "test"},
        {"username": None, "user": "test", "password": None, "pass": "test"},
        {"user": "nobody"},
        {"pass": "wrong"},
    ],
)
def test_who_may_send(more: dict[str, str | None]) -> None:
    """Name and password go by two names each; the long one wins."""
    assert ask(**more)[0] == OK


@pytest.mark.parametrize(
    "more",
    [
        {"password": "wrong"},
        {"password": ""},
        {"password": None},
        {"username": None},
        {"username": ""},
        {"username": "nobody"},
        {"username": "nobody", "user": "test"},
        {"password": "wrong", "pass": "test"},
        {"password": "tes\u0442"},
        {"to": None, "password": "x"},
    ],
)
def test_who_may_not(more: dict[str, str | None]) -> None:
    """A wrong name and a wrong password are told alike, before anything else, and nothing is accepted."""
    assert ask(**more) == (UNAUTHORIZED, [])


# ---- one field each ----

DENIED = (400, "Number(s) has/have been denied by white- and/or black-lists.")
MALFORMED: list[tuple[dict[str, str | bytes | None], str]] = [
    ({"to": None}, "Missing receiver number, rejected"),
    ({"to": ""}, "Empty receiver number not allowed, rejected"),
    ({"to": "  "}, DENIED[1]),
    ({"to": "abc"}, DENIED[1]),
    ({"to": "abc x1"}, DENIED[1]),
    ({"from": None}, "Sender missing and no global set, rejected"),
    ({"from": ""}, "Sender missing and no global set, rejected"),
    ({"coding": "3"}, "Coding field misformed, rejected"),
    ({"coding": "-2"}, "Coding field misformed, rejected"),
    ({"coding": "9" * 5000}, "Coding field misformed, rejected"),
    ({"mclass": "4"}, "MClass field misformed, rejected"),
    ({"validity": "-2"}, "Validity field misformed, rejected"),
    ({"deferred": "-2"}, "Deferred field misformed, rejected"),
    ({"dlr_mask": "67"}, "DLR-Mask field misformed, rejected"),
    ({"dlrmask": "67"}, "DLR-Mask field misformed, rejected"),
    ({"dlr_mask": "-2"}, "DLR-Mask field misformed, rejected"),
    ({"priority": "4"}, "Priority field misformed, rejected"),
    ({"priority": "-2"}, "Priority field misformed, rejected"),
    ({"pid": "256"}, "PID field misformed, rejected"),
    ({"rpi": "3"}, "RPI field misformed, rejected"),
    ({"alt_dcs": "2"}, "Alt-DCS field misformed, rejected"),
    ({"mwi": "8"}, "MWI field misformed, rejected"),
    ({"compress": "2"}, "Compress field misformed, rejected"),
    ({"account": "x" * 65}, "Account field misformed or too long, rejected"),
    ({"account": "a[b"}, "Account field misformed or too long, rejected"),
    ({"dlr_url": "http:/"}, "DLR-URL field misformed, rejected"),
    ({"dlr_url": "ftp://abcdefg"}, "DLR-URL field misformed, rejected"),
    ({"udh": b"\x05\x00"}, "UDH field misformed, rejected"),
    ({"charset": "nonsense"}, "Charset or body misformed, rejected"),
]
"""What Kannel refuses, and its words."""


@pytest.mark.parametrize(("more", "text"), MALFORMED, ids=str)
def test_what_kannel_refuses(more: dict[str, str | bytes | None], text: str) -> None:
    """What Kannel refuses is refused in its words, and nothing is accepted."""
    assert ask(**more) == ((400, text), [])


STRICTER: list[tuple[dict[str, str | bytes | None], str]] = [
    ({"coding": "1"}, "only Coding 0 and 2 are supported, rejected"),
    ({"mclass": "0"}, "only MClass 1 is supported, rejected"),
    ({"mclass": "3"}, "only MClass 1 is supported, rejected"),
    ({"mwi": "0"}, "MWI is not supported, rejected"),
    ({"compress": "1"}, "only Compress 0 is supported, rejected"),
    ({"pid": "65"}, "only PID 0 is supported, rejected"),
    ({"rpi": "1"}, "only RPI 0 is supported, rejected"),
    ({"udh": b"\x02\x00\x01"}, "UDH is not supported, rejected"),
    ({"binfo": "x"}, "BInfo is not supported, rejected"),
    ({"meta_data": "?smpp?a=b"}, "Meta-Data is not supported, rejected"),
    ({"validity": "0"}, "Validity ends before the message could go, rejected"),
    ({"validity": "5", "deferred": "5"}, "Validity ends before the message could go, rejected"),
    ({"text": b"a\xef\xf0"}, "Charset or body misformed, rejected"),
    ({"text": b"a\xef\xf0", "charset": "UTF-8"}, "Charset or body misformed, rejected"),
    ({"text": b"\x04\x3f\x04", "coding": "2"}, "Charset or body misformed, rejected"),
    ({"text": b"\xd8\x3d", "coding": "2"}, "Charset or body misformed, rejected"),
    ({"charset": "unicode_escape"}, "Charset or body misformed, rejected"),
    ({"charset": "idna"}, "Charset or body misformed, rejected"),
    ({"from": b"\xff"}, "Sender missing and no global set, rejected"),
    ({"dlr_url": "http://b/\r\nX: y"}, "DLR-URL field misformed, rejected"),
    ({"dlr_url": "http://b/" + "x" * 2000}, "DLR-URL field misformed, rejected"),
]
"""What Kannel takes and this cannot, or Kannel cuts."""


@pytest.mark.parametrize(("more", "text"), STRICTER, ids=lambda each: str(each)[:40])
def test_what_is_refused_beyond_kannel(more: dict[str, str | bytes | None], text: str) -> None:
    """What cannot be honoured is refused in clear words, never cut, replaced or left out."""
    assert ask(**more) == ((400, text), [])


PLAIN = SendRequest(to="79001234567", text="hi", sender="bank", source="kannel:test")
HONOURED: list[tuple[dict[str, str | bytes | None], dict[str, Any]]] = [
    ({"coding": "0"}, {}),
    ({"coding": "-1"}, {}),
    ({"coding": "x"}, {}),
    ({"coding": ""}, {}),
    ({"coding": "2", "text": "\u043f\u0440".encode("utf-16-be")}, {"text": "\u043f\u0440"}),
    ({"coding": "2x", "text": b"\x04\x3f"}, {"text": "\u043f"}),
    ({"coding": " +2", "text": b"\x04\x3f"}, {"text": "\u043f"}),
    ({"coding": "2", "charset": "UTF-8", "text": "\U0001f600"}, {"text": "\U0001f600"}),
    ({"text": "\u20ac[]\n a b "}, {"text": "\u20ac[]\n a b "}),
    ({"text": b"\xef\xf0", "charset": "cp1251"}, {"text": "\u043f\u0440"}),
    ({"text": b"\xef\xf0", "charset": "WINDOWS-1251"}, {"text": "\u043f\u0440"}),
    ({"text": b"\xe9", "charset": "latin1"}, {"text": "\u00e9"}),
    ({"text": b"\xe9", "charset": "ISO_8859-1"}, {"text": "\u00e9"}),
    ({"charset": ""}, {}),
    ({"validity": "5"}, {"ttl_ms": 300_000}),
    ({"validity": "-1"}, {}),
    ({"validity": "x"}, {}),
    ({"deferred": "2"}, {"send_after_ms": NOW_MS + 120_000}),
    ({"deferred": "0"}, {}),
    ({"deferred": "2", "validity": "5"}, {"send_after_ms": NOW_MS + 120_000, "ttl_ms": 180_000}),
    ({"mclass": "1"}, {}),
    ({"mclass": "-1"}, {}),
    ({"pid": "0", "rpi": "0", "compress": "0", "alt_dcs": "1", "mwi": "-1"}, {}),
    ({"priority": "3"}, {}),
    ({"account": "acc"}, {}),
    ({"smsc": "nowhere"}, {}),
    ({"udh": "", "binfo": "", "meta_data": ""}, {}),
    ({"flash": "1"}, {}),
    ({"unheard": "of"}, {}),
    ({"to": "+7900-123-4567"}, {"to": "+7900-123-4567"}),
    ({"to": " 79001234567 79001234567 "}, {}),
    ({"dlr_mask": "31"}, {}),
    ({"dlr_url": "http://b/?%d"}, {}),
    ({"dlr_url": "http://b/?%d", "dlr_mask": "0"}, {}),
    ({"dlr_url": "http://b/?%d", "dlr_mask": "-1"}, {}),
    ({"dlr_url": "http://b/?%d", "dlr_mask": "19"}, {"callback": Callback("http://b/?%d", 19)}),
    ({"dlr_url": "HTTPS://b/", "dlr_mask": "1"}, {"callback": Callback("HTTPS://b/", 1)}),
    ({"dlrurl": "http://b/?%d", "dlrmask": "1"}, {"callback": Callback("http://b/?%d", 1)}),
]


@pytest.mark.parametrize(("more", "found"), HONOURED, ids=lambda each: str(each)[:60])
def test_what_is_honoured(more: dict[str, str | bytes | None], found: dict[str, Any]) -> None:
    """What can be done is done, and what does not matter is left alone: as Kannel answers, 0."""
    assert ask(**more) == (OK, [msgspec.structs.replace(PLAIN, **found)])


def test_senders() -> None:
    """A forced sender always wins, a default one stands in for none."""
    cases: list[tuple[dict[str, str | None], dict[str, str], str]] = [
        ({"from": "shop"}, {"forced_sender": "Bank"}, "Bank"),
        ({"from": "shop"}, {"default_sender": "Bank"}, "shop"),
        ({"from": None}, {"default_sender": "Bank"}, "Bank"),
        ({"from": ""}, {"default_sender": "Bank"}, "Bank"),
        ({"from": ""}, {"forced_sender": "Bank", "default_sender": "x"}, "Bank"),
    ]
    for more, user, found in cases:
        answer, [taken] = ask_raw(query(**more), **user)
        assert (answer, taken.sender) == (OK, found)


def test_the_octets_of_a_query() -> None:
    """The first of a name counts, a wrong escape stays as it is, a semicolon divides nothing."""
    front = "username=test&password=test&to=79001234567&from=bank"
    assert ask_raw(f"{front}&to=79001234568&text=hi") == (OK, [PLAIN])
    assert ask_raw(f"{front}&text=%zz%4&x&=&=y")[1][0].text == "%zz%4"
    assert ask_raw(f"{front}&text=a+b%2Bc%00")[1][0].text == "a b+c\0"
    assert ask_raw(front.replace("&", ";") + ";text=hi") == (UNAUTHORIZED, [])
    assert ask_raw(front.replace("username", "USERNAME") + "&text=hi") == (UNAUTHORIZED, [])


# ---- answers ----


def test_headers_of_an_answer() -> None:
    """An answer has Kannel's headers; HEAD sends nothing."""

    async def scenario() -> None:
        door = Recorder()
        async with serving(door) as caller:
            answer = await caller.raw("GET", query())
            assert answer.status == 202
            for name, value in {
                "Content-Type": "text/html",
                "Pragma": "no-cache",
                "Cache-Control": "no-cache",
            }.items():
                assert answer.headers[name] == value
            assert "Retry-After" not in answer.headers
            assert (await caller.raw("HEAD", query())).status == 405
            assert len(door.taken) == 1

    run(scenario())


def refused(code: str, retry_after_ms: int = 0) -> Refused:
    """Return a verdict."""
    return Refused(code, "the reason in words", "text", None, retry_after_ms)


@pytest.mark.parametrize(
    ("verdict", "answer", "retry_after"),
    [
        (refused("overloaded", 1_001), (503, "Temporal failure, try again later."), "2"),
        (OverloadedError("full", retry_after_ms=5_000), (503, "Temporal failure, try again later."), "5"),
        (StoreError("broken"), (503, "Temporal failure, try again later."), "1"),
        (refused("no_route"), (403, "Not routable. Do not try again."), None),
        (refused("number_malformed"), DENIED, None),
        (refused("number_ambiguous"), DENIED, None),
        (refused("too_many_segments"), (400, "The reason in words, rejected"), None),
    ],
)
def test_refusals(verdict: Refused | Exception, answer: tuple[int, str], retry_after: str | None) -> None:
    """What the door refuses is told by Kannel's status, and when to come again."""

    async def scenario() -> None:
        door = Recorder()
        door.verdicts["79001234567"] = verdict
        async with serving(door) as caller:
            found = await caller.raw("GET", query())
            assert (found.status, await found.text()) == answer
            assert found.headers.get("Retry-After") == retry_after

    run(scenario())


def test_no_bind() -> None:
    """What is accepted while no carrier of its route is bound is queued; what waits for its time is not."""

    async def scenario() -> None:
        door = Recorder()
        door.is_bound = False
        async with serving(door) as caller:
            assert await caller.get(query()) == (202, "3: Queued for later delivery")
            assert await caller.get(query(deferred="1")) == OK

    run(scenario())


def test_several_receivers() -> None:
    """Each gets his own; who is refused is named by his place, and not by his number (law 11)."""

    async def scenario() -> None:
        door = Recorder()
        door.verdicts["79000000002"] = refused("no_route")
        async with serving(door) as caller:
            assert await caller.get(query(to="79000000001 79000000003")) == OK
            some = "abc 79000000001 79000000002 79000000002 79000000003"
            assert await caller.get(query(to=some)) == (202, OK[1] + " Denied receivers are: #1 #3")
        assert [each.to[-1] for each in door.taken] == ["1", "3", "1", "3"]

    run(scenario())


# ---- POST ----

HEADERS = {
    "Content-Type": "text/plain",
    "X-Kannel-Username": "test",
    "X-Kannel-Password": "test",
    "X-Kannel-To": "79001234567",
    "X-Kannel-From": "bank",
}
MISSING = (400, "Missing receiver(s) number(s), rejected")
CYRILLIC = "\u043f\u0440\u0438"
UTF8 = "text/plain; charset=utf-8"
URL_OF_TWO: dict[str, str | None] = {"X-Kannel-DLR-Mask": "3", "X-Kannel-DLR-Url": "http://b/?%d"}
TIMES: dict[str, str | None] = {"X-Kannel-Validity": "5", "X-Kannel-Deferred": "1"}
POSTS: list[tuple[bytes, dict[str, str | None], tuple[int, str], dict[str, Any]]] = [
    (b"hi", {}, OK, {}),
    (b"hi", {"X-Kannel-To": None, "x-kannel-to": "79001234567"}, OK, {}),
    (b"hi", {"X-Kannel-To": None}, MISSING, {}),
    (b"hi", {"X-Kannel-To": ""}, (400, "Empty receiver number not allowed, rejected"), {}),
    (b"hi", {"X-Kannel-Password": "x"}, UNAUTHORIZED, {}),
    (b"hi", {"Content-Type": "application/json"}, (400, "Invalid content-type"), {}),
    (b"hi", {"Content-Type": "text/xml"}, (400, "Invalid content-type"), {}),
    (b"hi", {"Content-Type": "text/html"}, (415, "Unsupported content-type, rejected"), {}),
    (b"hi", {"Content-Type": "text/html", "X-Kannel-To": None}, MISSING, {}),
    (b"hi", {"Content-Type": None}, (400, "only Coding 0 and 2 are supported, rejected"), {}),
    (b"hi", {"Content-Type": "application/octet-stream", "X-Kannel-Coding": "0"}, OK, {}),
    (b"\xe9", {"Content-Type": "text/plain; charset=ISO-8859-1"}, OK, {"text": "\u00e9"}),
    (b"\xe9", {"Content-Type": "text/plain; charset=nope"}, (400, "Charset or body misformed, rejected"), {}),
    (CYRILLIC.encode("utf-16-be"), {"X-Kannel-Coding": "2"}, OK, {"text": CYRILLIC}),
    (CYRILLIC.encode(), {"X-Kannel-Coding": "2", "Content-Type": UTF8}, OK, {"text": CYRILLIC}),
    (b"hi", URL_OF_TWO, OK, {"callback": Callback("http://b/?%d", 3)}),
    (b"hi", {"X-Kannel-DLR-Mask": "99"}, (400, "DLR-Mask field misformed, rejected"), {}),
    (b"hi", TIMES, OK, {"ttl_ms": 240_000, "send_after_ms": NOW_MS + 60_000}),
    (b"hi", {"X-Kannel-UDH": "050003010201"}, (400, "UDH is not supported, rejected"), {}),
    (b"hi", {"X-Kannel-UDH": "zz"}, (400, "UDH field misformed, rejected"), {}),
    (b"hi", {"X-Kannel-MClass": "0"}, (400, "only MClass 1 is supported, rejected"), {}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "headers", "answer", "found"), POSTS, ids=lambda each: str(each)[:50])
def test_post(
    body: bytes, headers: dict[str, str | None], answer: tuple[int, str], found: dict[str, Any]
) -> None:
    """The body is the text, the headers are the fields."""

    async def scenario() -> None:
        door = Recorder()
        sent = {name: value for name, value in {**HEADERS, **headers}.items() if value is not None}
        async with serving(door) as caller:
            assert await caller.post(body, sent) == answer
        assert door.taken == ([msgspec.structs.replace(PLAIN, **found)] if answer == OK else [])

    run(scenario())


def test_a_form() -> None:
    """A form is taken as a query is, and over one: a password need not stand in an address."""

    async def scenario() -> None:
        door = Recorder()
        form = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
        async with serving(door) as caller:
            assert await caller.post(query().encode(), form) == OK
            assert await caller.post(b"text=hi&password=test", form, query(text="x", password="x")) == OK
            assert await caller.post(b"", form) == UNAUTHORIZED
            assert await caller.post(b"hi", HEADERS, query()) == OK
        assert door.taken == [PLAIN] * 3

    run(scenario())
