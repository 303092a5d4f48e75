"""The control port: what it shows, what it changes, and what it refuses."""

import asyncio
import json
import ssl
import time
from pathlib import Path
from typing import Any

import pytest

from dispatcher.simulator import Behaviour, Simulator
from tests.integration.esme import Esme, run, until


async def raw(port: int, octets: bytes) -> tuple[int, Any]:
    """Send octets; return the status and the JSON that come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(octets)
        async with asyncio.timeout(2):
            answer = await reader.read()
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(body) in head
    return int(head.split()[1]), json.loads(body)


async def ask(smsc: Simulator, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Make one request."""
    assert smsc.control is not None
    octets = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(octets)}\r\n\r\n"
    return await raw(smsc.control.port, head.encode() + octets)


def simulator(**more: Any) -> Simulator:
    """Return one with a control port and an account."""
    return Simulator(control_port=0, accounts={"bank": Behaviour()}, **more)


def test_state_and_ledger() -> None:
    """GET shows binds, totals, behaviours, the whole ledger and one token's part of it."""

    async def scenario() -> None:
        async with simulator() as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            esme.submit(b"hello a&b")
            esme.submit(b"hello c")
            await esme.receipts(2)
            await until(lambda: smsc.ledger.of("bank").acknowledged == {0: 2})
            status, state = await ask(smsc, "GET", "/state")
            account = state["accounts"]["bank"]
            assert (status, account["binds"][0]["state"], account["totals"]["submits"]) == (
                200,
                "bound_trx",
                2,
            )
            assert account["behaviour"]["receipts"]["share"] == 1
            _, ledger = await ask(smsc, "GET", "/ledger")
            assert list(ledger["tokens"]) == ["a&b", "c"]
            _, ledger = await ask(smsc, "GET", "/ledger?token=a%26b")
            assert ledger["tokens"]["a&b"]["copies"][0]["statuses"] == [0]
            assert (await ask(smsc, "POST", "/reset"))[0] == 200
            _, ledger = await ask(smsc, "GET", "/ledger")
            assert (ledger["tokens"], ledger["accounts"]["bank"]["submits"]) == ({}, 0)
            assert (await ask(smsc, "GET", "/schema"))[1]["$ref"] == "#/$defs/Settings"

    run(scenario())


def test_tls_is_changed_for_connections_to_come(certificates: dict[str, Path]) -> None:
    """PATCH /tls turns it on, changes it, turns it off; a wrong file changes nothing."""

    async def scenario() -> None:
        async with simulator() as smsc, Esme(smsc.port) as plain:
            await plain.bind()
            good = {"certificate": str(certificates["good"])}
            assert (await ask(smsc, "PATCH", "/tls", good))[1]["handshake"] == "complete"
            context = ssl.create_default_context(cafile=str(certificates["ca"]))
            _, writer = await asyncio.open_connection("127.0.0.1", smsc.port, ssl=context)
            writer.close()
            status, answer = await ask(smsc, "PATCH", "/tls", {"certificate": "/no/such.pem"})
            assert (status, answer["error"]) == (400, "tls.certificate: there is no file /no/such.pem")
            assert (await ask(smsc, "PATCH", "/tls", {"handshake": "stall"}))[1]["handshake"] == "stall"
            _, state = await ask(smsc, "GET", "/state")
            assert state["tls"]["certificate"] == good["certificate"]
            octets = b"PATCH /tls HTTP/1.1\r\nContent-Length: 4\r\n\r\nnull"
            assert smsc.control is not None
            assert await raw(smsc.control.port, octets) == (200, None)
            async with Esme(smsc.port) as esme:
                assert (await esme.bind()).status == 0
            plain.submit(b"still here")
            assert (await plain.read()).status == 0

    run(scenario())


def test_a_patch_takes_effect_at_once() -> None:
    """PATCH merges; null goes back to the default; what is not named stays."""

    async def scenario() -> None:
        async with simulator() as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            patch = {"errors": {"0x58": 1}, "receipts": {"share": 0}}
            status, behaviour = await ask(smsc, "PATCH", "/accounts/bank", patch)
            assert (status, behaviour["errors"]) == (200, {"0x58": 1.0})
            esme.submit(b"t")
            assert (await esme.read()).status == 0x58
            await ask(smsc, "PATCH", "/accounts/bank", {"errors": None})
            esme.submit(b"t")
            assert (await esme.read()).status == 0
            assert await esme.silence(0.05)  # receipts are still off

    run(scenario())


@pytest.mark.parametrize(
    ("patch", "error"),
    [
        ({"tps": float("nan")}, "accounts.bank.tps: expected a finite number"),
        ({"latencyms": 5}, "accounts.bank.latencyms: unknown key; did you mean 'latency_ms'?"),
        ({"receipts": {"shar": 5}}, "accounts.bank.receipts.shar: unknown key; did you mean 'share'?"),
        ({"receipts": {"share": 5}}, "accounts.bank.receipts.share: expected float <= 1.0"),
        ({"tps": "fast"}, "accounts.bank.tps: expected float, got str"),
        ({"errors": {"0xZZ": 1}}, "'0xZZ' is no command_status"),
        (
            {"mischief": [{"kind": "cutt"}]},
            "accounts.bank.mischief[0]: unknown kind 'cutt'; did you mean 'cut'?",
        ),
        ({"mischief": [{"kind": "cut", "att": 1}]}, "accounts.bank.mischief[0].att: unknown key"),
    ],
)
def test_a_bad_patch_changes_nothing(patch: dict[str, Any], error: str) -> None:
    """An unknown key, a bad value: 400, the key path, what was expected; the behaviour stays."""

    async def scenario() -> None:
        async with simulator() as smsc:
            before = smsc.account("bank").behaviour
            status, answer = await ask(smsc, "PATCH", "/accounts/bank", {"stall": True} | patch)
            assert (status, error in answer["error"]) == (400, True), answer
            assert smsc.account("bank").behaviour is before

    run(scenario())


def test_actions() -> None:
    """POST /accounts/NAME:ACTION does it; unknown ones and bad parameters are refused."""

    async def scenario() -> None:
        async with simulator() as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            assert await ask(smsc, "POST", "/accounts/bank:send-mo", {"text": "hi"}) == (200, {"sent": 1})
            await esme.receipts(1)
            status, answer = await ask(smsc, "POST", "/accounts/bank:send-mu")
            assert (status, "did you mean 'send-mo'?" in answer["error"]) == (400, True)
            for bad in (
                {"texxt": "hi"},
                {"count": -1},
                {"count": 10**9},
                {"source": "x" * 30},
                {"text": 5},
                {"action": "x"},
            ):
                assert (await ask(smsc, "POST", "/accounts/bank:send-mo", bad))[0] == 400
            assert (await ask(smsc, "POST", "/accounts/bank:send-raw", {"octets": "zz"}))[0] == 400
            assert await ask(smsc, "POST", "/accounts/bank:disconnect") == (200, {"binds": 1})
            assert (await esme.rest())[1] == "rst"
            assert (await ask(smsc, "POST", "/refuse"))[0] == 200
            await asyncio.sleep(0.01)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", smsc.port)
            assert (await ask(smsc, "POST", "/listen"))[0] == 200

    run(scenario())


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"GET /nothing HTTP/1.1\r\n\r\n", 404),
        (b"PATCH /accounts/nobody HTTP/1.1\r\n\r\n", 404),
        (b"DELETE /state HTTP/1.1\r\n\r\n", 405),
        (b"get /state HTTP/1.1\r\n\r\n", 400),
        (b"GET state HTTP/1.1\r\n\r\n", 400),
        (b"GET /state HTTP/2\r\n\r\n", 400),
        (b"\x16\x03\x01\r\n\r\n", 400),
        (b"GET /state HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /state HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"GET /state HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET /state HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"GET /state HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
        (b"GET /state HTTP/1.1\r\nOrigin: http://localhost\r\n\r\n", 403),
        (b"POST /reset HTTP/1.1\r\nContent-Length: 65537\r\n\r\n", 413),
        (b"POST /reset HTTP/1.1\r\nContent-Length: 999999999999\r\n\r\n", 413),
        (b"GET /state HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n", 431),
        (b"PATCH /accounts/bank HTTP/1.1\r\nContent-Length: 5\r\n\r\n{nope", 400),
        (b"PATCH /accounts/bank HTTP/1.1\r\nContent-Length: 2\r\n\r\n[]", 400),
        (b"PATCH /accounts/bank HTTP/1.1\r\nContent-Length: 60000\r\n\r\n" + b"[" * 60000, 400),
        (b"PATCH /accounts/bank HTTP/1.1\r\nContent-Length: 3\r\n\r\n\xff\xfe\xfd", 400),
    ],
)
def test_bad_requests(octets: bytes, status: int) -> None:
    """Whatever is no request gets an answer that says so, and the next one is served."""

    async def scenario() -> None:
        async with simulator() as smsc:
            assert smsc.control is not None
            got, answer = await raw(smsc.control.port, octets)
            assert got == status, answer
            assert answer["error"]
            assert (await ask(smsc, "GET", "/state"))[0] == 200

    run(scenario())


def test_slow_requests_are_cut_off() -> None:
    """A request that takes longer than request_s gets 408; many of them do not keep others out for long."""

    async def scenario() -> None:
        async with simulator() as smsc:
            assert smsc.control is not None
            smsc.control.request_s = 0.1
            slow = [asyncio.open_connection("127.0.0.1", smsc.control.port) for _ in range(40)]
            pairs = await asyncio.gather(*slow)
            for _, writer in pairs:
                writer.write(b"GET /state HT")
            first = await pairs[0][0].read()
            assert first.startswith(b"HTTP/1.1 408 ")
            last = await pairs[-1][0].read()
            assert last.startswith(b"HTTP/1.1 503 ")
            assert (await ask(smsc, "GET", "/state"))[0] == 200
            for _, writer in pairs:
                writer.close()

    run(scenario())


def test_a_huge_body_is_not_read() -> None:
    """A body over the limit is refused before it comes, and one that ends early is too."""

    async def scenario() -> None:
        async with simulator() as smsc:
            assert smsc.control is not None
            reader, writer = await asyncio.open_connection("127.0.0.1", smsc.control.port)
            writer.write(b"PATCH /accounts/bank HTTP/1.1\r\nContent-Length: 10\r\n\r\n{}")
            writer.write_eof()
            assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
            writer.close()

    run(scenario())


def test_it_says_how_late_it_reads() -> None:
    """A loop that stood for 30 ms is a mark of that length in the ledger, beside the times of submits."""

    async def scenario() -> None:
        async with Simulator(times=True) as smsc:
            await asyncio.sleep(0.02)
            time.sleep(0.03)
            await asyncio.sleep(0.02)
            assert max(late_us for _, late_us in smsc.ledger.plain()["late_us"]) >= 25_000
        async with Simulator() as smsc:
            assert "late_us" not in smsc.ledger.plain()

    asyncio.run(scenario())
