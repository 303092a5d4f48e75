"""What the simulated SMSC does to binds, connections and octets, and what the ledger says of it."""

import asyncio
import struct
import time
from typing import Any

import pytest

from dispatcher.simulator import Behaviour, Simulator
from dispatcher.simulator.mischief import BANNER, MISCHIEF
from dispatcher.simulator.settings import parse
from tests.integration.esme import (
    BIND_RX,
    BIND_TRX,
    BIND_TX,
    DELIVER_SM,
    ENQUIRE_LINK,
    OUTBIND,
    RESPONSE,
    SUBMIT_SM,
    UNBIND,
    Esme,
    Got,
    run,
    until,
)

NACK = 0x80000000


def naughty(*rules: dict[str, Any], **behaviour: Any) -> Behaviour:
    """Return a behaviour with rules and without receipts, unless told otherwise."""
    return parse({"receipts": {"share": 0}} | behaviour | {"mischief": list(rules)}, Behaviour)


async def octets(rule: dict[str, Any], count: int = 1) -> tuple[bytes, str, Any]:
    """Submit, unbind, and return all that came behind the bind response, how it ended, and the totals."""
    async with Simulator(naughty(rule)) as smsc, Esme(smsc.port) as esme:
        await esme.bind()
        for number in range(count):
            esme.submit(b"t%d" % number)
        await until(lambda: smsc.ledger.of("bank").submits == count)
        await asyncio.sleep(0.02)
        esme.send(UNBIND)
        came, end = await esme.rest()
        return came, end, smsc.ledger.of("bank")


def frames(came: bytes) -> list[Got]:
    """Cut whole PDUs."""
    found, at = [], 0
    while at < len(came):
        length, command, status, sequence = struct.unpack_from(">IIII", came, at)
        found.append(Got(command, status, sequence, came[at + 16 : at + length]))
        at += length
    return found


def answered(came: bytes) -> list[tuple[int, int, int]]:
    """Return (command, status, sequence) of all but the unbind response."""
    return [
        (got.command, got.status, got.sequence) for got in frames(came) if got.command != UNBIND | RESPONSE
    ]


# ---- octets ----


@pytest.mark.parametrize("at", [0, 1, 3, 4, 15, 16, 17, 26])
@pytest.mark.parametrize(("kind", "end"), [("cut", "rst"), ("close", "fin")])
def test_a_connection_ends_in_a_pdu(kind: str, end: str, at: int) -> None:
    """cut and close: the response stops at any octet, then RST or FIN; it is no response in the ledger."""
    came, how, totals = run(octets({"kind": kind, "at_byte": at}))
    whole = struct.pack(">IIII", 27, SUBMIT_SM | RESPONSE, 0, 2) + b"0000000001\0"
    assert (came, how) == (whole[:at], end)
    assert totals.responses == {}
    assert totals.mangled == 1 or at == 0


def test_a_pdu_that_never_ends() -> None:
    """truncate: half a response, then silence; the connection stays."""

    async def scenario() -> None:
        async with Simulator(naughty({"kind": "truncate", "at_byte": 20})) as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            esme.submit(b"t")
            assert len(await esme.reader.readexactly(20)) == 20
            esme.submit(b"u")
            esme.send(ENQUIRE_LINK)
            assert await esme.silence()
            assert smsc.ledger.of("bank").submits == 2

    run(scenario())


def test_a_missing_response() -> None:
    """drop: never written, not in the ledger; others are."""
    came, _, totals = run(octets({"kind": "drop", "after": 1, "times": 1}, 3))
    assert [sequence for _, _, sequence in answered(came)] == [2, 4]
    assert totals.responses == {0: 2}


def test_duplicate_responses() -> None:
    """duplicate: the same twice, counted twice."""
    came, _, totals = run(octets({"kind": "duplicate"}))
    assert answered(came) == [(SUBMIT_SM | RESPONSE, 0, 2)] * 2
    assert totals.responses == {0: 2}


@pytest.mark.parametrize("status", [0, 0x45])
def test_contradicting_responses(status: int) -> None:
    """contradict: the same sequence_number again, with another status, or another id."""
    came, _, totals = run(octets({"kind": "contradict", "status": status}))
    first, second = frames(came)[:2]
    assert (first.status, second.status, first.sequence, second.sequence) == (0, status, 2, 2)
    assert first.message_id != second.message_id
    assert sum(totals.responses.values()) == 2


def test_reordered_responses() -> None:
    """reorder: the responses of a span come in another order, all of them, each once."""
    came, _, totals = run(octets({"kind": "reorder", "span": 20}, 20))
    order = [sequence for _, _, sequence in answered(came)]
    assert sorted(order) == list(range(2, 22)) != order
    assert totals.responses == {0: 20}


def test_too_few_to_reorder() -> None:
    """What waits for a span that does not fill goes out all the same, soon."""

    async def scenario() -> None:
        async with Simulator(naughty({"kind": "reorder", "span": 100})) as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            esme.submit(b"t")
            assert (await esme.read(0.5)).status == 0

    run(scenario())


def test_responses_to_nothing() -> None:
    """unknown_sequence: a response that nobody asked for, and then the real one."""
    came, _, totals = run(octets({"kind": "unknown_sequence"}))
    assert [sequence for _, _, sequence in answered(came)] == [0x40000002, 2]
    assert (totals.responses, totals.mangled) == ({0: 1}, 1)


def test_a_response_with_a_wrong_number() -> None:
    """wrong_sequence: the real one never comes."""
    came, _, totals = run(octets({"kind": "wrong_sequence"}))
    assert [sequence for _, _, sequence in answered(came)] == [0x40000002]
    assert totals.responses == {}


def test_a_response_of_the_wrong_type() -> None:
    """wrong_type: deliver_sm_resp, or any other command, for a submit_sm."""
    came, _, _ = run(octets({"kind": "wrong_type"}))
    assert answered(came) == [(DELIVER_SM | RESPONSE, 0, 2)]
    came, _, _ = run(octets({"kind": "wrong_type", "command": 0x80001234}))
    assert answered(came) == [(0x80001234, 0, 2)]


def test_generic_nack() -> None:
    """nack: with our sequence_number, and a status; nack_zero: with neither."""
    came, _, totals = run(octets({"kind": "nack", "status": 0x02}))
    assert (answered(came), totals.responses) == ([(NACK, 2, 2)], {2: 1})
    came, _, totals = run(octets({"kind": "nack_zero"}))
    assert (answered(came), totals.responses) == ([(NACK, 0, 0)], {})


def test_any_status() -> None:
    """status: whatever number, and the ledger has what was written."""
    came, _, totals = run(octets({"kind": "status", "status": 0x042E}))
    assert answered(came) == [(SUBMIT_SM | RESPONSE, 0x042E, 2)]
    assert totals.responses == {0x042E: 1}


@pytest.mark.parametrize(
    ("length", "written"), [("0", 0), ("15", 15), ("+3", 30), ("-1", 26), ("0xFFFFFFFF", 0xFFFFFFFF)]
)
def test_wrong_lengths(length: str, written: int) -> None:
    """wrong_length: a command_length that lies, by how much one likes."""
    came, _, totals = run(octets({"kind": "wrong_length", "length": length}))
    assert struct.unpack_from(">I", came) == (written,)
    assert (totals.responses, totals.mangled) == ({}, 1)


def test_any_body() -> None:
    """body: an unterminated id, a TLV that lies, with an intact frame."""
    came, _, _ = run(octets({"kind": "body", "octets": "616263"}))
    assert frames(came)[0].body == b"abc"


def test_garbage() -> None:
    """garbage and banner: octets that are no SMPP, before a response."""
    came, _, _ = run(octets({"kind": "garbage", "octets": "16030100"}))
    assert came.startswith(b"\x16\x03\x01\x00\0\0\0\x1b")
    came, _, _ = run(octets({"kind": "garbage"}))
    assert came[64:68] == b"\0\0\0\x1b"
    came, _, _ = run(octets({"kind": "banner"}))
    assert came.startswith(BANNER)


def test_a_reset_behind_a_response() -> None:
    """reset: the response is whole, then RST."""
    came, end, totals = run(octets({"kind": "reset"}))
    assert (len(came), end, totals.responses) == (27, "rst", {0: 1})


def test_rules_have_shares_and_numbers() -> None:
    """share, after and times decide which are hit: here the third and fourth."""
    came, _, _ = run(octets({"kind": "status", "after": 2, "times": 2}, 6))
    assert [status for _, status, _ in answered(came)] == [0, 0, 8, 8, 0, 0]


@pytest.mark.parametrize("kind", MISCHIEF)
def test_receipts_can_be_hit_too(kind: str) -> None:
    """Every kind works on deliver_sm: the simulator survives it, and others are served."""

    async def scenario() -> None:
        rule = {"kind": kind, "on": "receipt", "octets": "00"}
        async with Simulator(naughty(rule, receipts={})) as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            for number in range(3):
                esme.submit(b"t%d" % number)
            try:
                assert (await esme.read()).command == SUBMIT_SM | RESPONSE
                await asyncio.sleep(0.06)
            except (ConnectionError, asyncio.IncompleteReadError):
                assert kind in ("cut", "reset")
            async with Esme(smsc.port) as other:
                assert (await other.bind(b"other")).status == 0

    run(scenario())


# ---- connections ----


@pytest.mark.parametrize("how", ["rule", "behaviour", "action"])
def test_half_open(how: str) -> None:
    """half_open: neither read nor written, never closed; what was answered by then is all there is."""

    async def scenario() -> None:
        rules = [{"kind": "half_open"}] if how == "rule" else []
        async with Simulator(naughty(*rules)) as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            account = smsc.account("bank")
            if how == "rule":
                esme.submit(b"first")
                await esme.read()
            elif how == "behaviour":
                account.change(half_open=True)
            else:
                account.act("half-open")
            esme.submit(b"t")
            esme.send(ENQUIRE_LINK)
            assert await esme.silence()
            assert smsc.ledger.copies("t") == []
            account.act("resume")
            assert {(await esme.read()).command, (await esme.read()).command} == {
                SUBMIT_SM | RESPONSE,
                ENQUIRE_LINK | RESPONSE,
            }

    run(scenario())


@pytest.mark.parametrize("how", ["rule", "behaviour", "action"])
def test_stop_reading(how: str) -> None:
    """reading = false: the TCP window closes, so that a sender blocks; resume takes it back."""

    async def scenario() -> None:
        rules = [{"kind": "stop_reading", "times": 1}] if how == "rule" else []
        async with Simulator(naughty(*rules)) as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            account = smsc.account("bank")
            if how == "rule":
                esme.submit(b"first")
                await esme.read()
            elif how == "behaviour":
                account.change(reading=False)
            else:
                account.act("stop-reading")
            for _ in range(100_000):
                esme.submit(b"x" * 140)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await esme.writer.drain()
            assert smsc.ledger.of("bank").submits < 100
            account.act("resume")
            await until(lambda: smsc.ledger.of("bank").submits > 1000)

    run(scenario())


@pytest.mark.parametrize("how", ["rule", "action"])
def test_stall(how: str) -> None:
    """stall: submits are read, never answered; enquire_link still is."""

    async def scenario() -> None:
        rules = [{"kind": "stall"}] if how == "rule" else []
        async with Simulator(naughty(*rules)) as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            if how == "rule":
                esme.submit(b"first")
                await esme.read()
            else:
                smsc.account("bank").act("stall")
            esme.submit(b"t")
            assert await esme.silence()
            assert len(smsc.ledger.copies("t")) == 1
            esme.send(ENQUIRE_LINK)
            assert (await esme.read()).command == ENQUIRE_LINK | RESPONSE
            smsc.account("bank").act("resume")
            assert (await esme.read()).command == SUBMIT_SM | RESPONSE

    run(scenario())


def test_slow_octets() -> None:
    """bytes_per_s: octets trickle in both directions; the ledger has a response once its last octet left."""

    async def scenario() -> None:
        async with Simulator(naughty(bytes_per_s=100)) as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            esme.submit(b"t")
            first = await esme.reader.readexactly(1)
            assert first == b"\0"
            assert smsc.ledger.of("bank").responses == {}
            with pytest.raises(TimeoutError):
                await esme.read(0.05)
            await until(lambda: smsc.ledger.of("bank").responses == {0: 1})
            for _ in range(20):
                esme.submit(b"t")
            await asyncio.sleep(0.2)
            assert smsc.ledger.of("bank").submits < 5

    run(scenario())


def test_enquiries_go_unanswered() -> None:
    """answer_enquire_link = false: silence to enquire_link, and to nothing else."""

    async def scenario() -> None:
        async with Simulator(naughty(answer_enquire_link=False)) as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            esme.send(ENQUIRE_LINK)
            esme.submit(b"t")
            assert (await esme.read()).command == SUBMIT_SM | RESPONSE
            assert await esme.silence()

    run(scenario())


def test_a_flood_of_enquiries() -> None:
    """enquire_per_s, and the action enquire-flood: so many enquire_link."""

    async def scenario() -> None:
        async with Simulator(naughty()) as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            smsc.account("bank").act("enquire-flood", count=500)
            assert {got.command for got in await esme.read_some(500)} == {ENQUIRE_LINK}
            smsc.account("bank").change(enquire_per_s=1000)
            assert {got.command for got in await esme.read_some(200)} == {ENQUIRE_LINK}

    run(scenario())


@pytest.mark.parametrize("how", ["rule", "action"])
def test_unbind(how: str) -> None:
    """The SMSC unbinds; answered, it closes."""

    async def scenario() -> None:
        rules = [{"kind": "unbind"}] if how == "rule" else []
        async with Simulator(naughty(*rules)) as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            if how == "rule":
                esme.submit(b"t")
                assert (await esme.read()).command == SUBMIT_SM | RESPONSE
            else:
                smsc.account("bank").act("unbind")
            got = await esme.read()
            assert got.command == UNBIND
            esme.send(UNBIND | RESPONSE, sequence=got.sequence)
            assert await esme.rest() == (b"", "fin")

    run(scenario())


@pytest.mark.parametrize("how", ["rst", "fin"])
def test_disconnect(how: str) -> None:
    """The action closes one bind, or all."""

    async def scenario() -> None:
        async with Simulator() as smsc, Esme(smsc.port) as one, Esme(smsc.port) as two:
            await one.bind(), await two.bind()
            assert smsc.account("bank").act("disconnect", how=how, bind=1) == {"binds": 1}
            assert await one.rest() == (b"", how)
            two.submit(b"t", asked=0)
            assert (await two.read()).status == 0
            smsc.account("bank").act("disconnect", how=how)
            assert await two.rest() == (b"", how)
            assert smsc.account("bank").binds == 0

    run(scenario())


def test_inactivity() -> None:
    """inactivity_ms: who is silent for so long is closed."""

    async def scenario() -> None:
        async with Simulator(naughty(inactivity_ms=150)) as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            assert (await esme.rest())[1] == "fin"

    run(scenario())


@pytest.mark.parametrize("how", [{"half_open": True}, {"reading": False}])
def test_no_timer_closes_a_half_open_connection(how: dict[str, Any]) -> None:
    """Neither inactivity nor an unanswered enquire_link ends what is half open or not read."""

    async def scenario() -> None:
        async with Simulator(naughty(inactivity_ms=100)) as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            smsc.account("bank").change(how)
            assert await esme.silence(0.4)
            assert smsc.account("bank").binds == 1

    run(scenario())


def test_connections_are_refused() -> None:
    """refuse_connections: the kernel refuses; listen takes them again, on the same port."""

    async def scenario() -> None:
        async with Simulator() as smsc, Esme(smsc.port) as before:
            smsc.refuse_connections()
            await asyncio.sleep(0.01)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", smsc.port)
            assert (await before.bind()).status == 0
            await smsc.listen()
            async with Esme(smsc.port) as esme:
                assert (await esme.bind()).status == 0

    run(scenario())


# ---- binds ----


@pytest.mark.parametrize(
    ("binding", "status"),
    [({"refuse": "RBINDFAIL"}, 0x0D), ({"refuse": 0x0E}, 0x0E), ({"binds_max": 1}, 0x05), ({}, 0)],
)
def test_binds_are_refused(binding: dict[str, Any], status: int) -> None:
    """refuse gives any status, binds_max ESME_RALYBND to the second."""

    async def scenario() -> None:
        async with Simulator(naughty(bind=binding)) as smsc, Esme(smsc.port) as one, Esme(smsc.port) as two:
            await one.bind()
            assert (await two.bind()).status == status

    run(scenario())


def test_wrong_names_and_passwords() -> None:
    """An unknown system_id gets 0x0F, a wrong password 0x0E; the right ones are accepted."""

    async def scenario() -> None:
        accounts = {"bank": Behaviour(password="secret")}
        async with Simulator(accounts=accounts) as smsc:
            for system_id, password, status in (
                (b"nobody", b"secret", 0x0F),
                (b"bank", b"wrong", 0x0E),
                (b"bank", b"secret", 0),
            ):
                async with Esme(smsc.port) as esme:
                    assert (await esme.bind(system_id, password)).status == status

    run(scenario())


def test_the_first_binds_are_refused() -> None:
    """refuse_first: so many, and then no more."""

    async def scenario() -> None:
        async with Simulator(naughty(bind={"refuse": 8, "refuse_first": 2})) as smsc:
            got = []
            for _ in range(4):
                async with Esme(smsc.port) as esme:
                    got.append((await esme.bind()).status)
            assert got == [8, 8, 0, 0]

    run(scenario())


def test_binds_are_not_answered() -> None:
    """silent: no answer; latency_ms: a late one."""

    async def scenario() -> None:
        async with Simulator(naughty(bind={"silent": True})) as smsc, Esme(smsc.port) as esme:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await esme.bind()
            smsc.account("bank").change(bind={"silent": False, "latency_ms": 50})
            async with Esme(smsc.port) as other:
                began = time.monotonic()
                assert (await other.bind()).status == 0
                assert time.monotonic() - began >= 0.05

    run(scenario())


def test_a_bind_response_with_a_wrong_number() -> None:
    """Rules can hit the bind response: here its sequence_number."""

    async def scenario() -> None:
        rule = {"kind": "wrong_sequence", "on": "bind"}
        async with Simulator(naughty(rule)) as smsc, Esme(smsc.port) as esme:
            assert (await esme.bind()).sequence == 0x40000001

    run(scenario())


@pytest.mark.parametrize(("abruptly", "end"), [(False, "fin"), (True, "rst")])
def test_flapping(abruptly: bool, end: str) -> None:
    """close_after_ms: bound, and closed at once, every time."""

    async def scenario() -> None:
        binding = {"close_after_ms": 0, "close_abruptly": abruptly}
        async with Simulator(naughty(bind=binding)) as smsc:
            for _ in range(3):
                async with Esme(smsc.port) as esme:
                    assert (await esme.bind()).status == 0
                    assert await esme.rest() == (b"", end)
            assert smsc.accounts["bank"].binds_seen == 3

    run(scenario())


# ---- what is sent out of turn ----


def test_messages_of_subscribers() -> None:
    """send-mo: a deliver_sm; by force on a transmitter, too."""

    async def scenario() -> None:
        async with Simulator() as smsc, Esme(smsc.port) as trx, Esme(smsc.port) as tx:
            await trx.bind(), await tx.bind(command=BIND_TX)
            account = smsc.account("bank")
            account.act("send-mo", text="STOP", count=2)
            assert all(b"STOP" in got.body for got in await trx.receipts(2))
            account.act("send-mo", bind=2, force=True)
            assert (await tx.read()).command == DELIVER_SM
            await until(lambda: smsc.ledger.of("bank").receipts == {-1: 3})

    run(scenario())


def test_receipts_out_of_nowhere() -> None:
    """send-receipt: a receipt for any id, any number of them."""

    async def scenario() -> None:
        async with Simulator() as smsc, Esme(smsc.port) as esme:
            await esme.bind(command=BIND_RX)
            smsc.account("bank").act("send-receipt", message_id="abc", state="REJECTD", count=5000)
            got = await esme.receipts(5000)
            assert b"id:abc" in got[0].body
            assert b"stat:REJECTD" in got[-1].body

    run(scenario())


def test_pending_receipts_can_be_flushed_or_dropped() -> None:
    """flush-receipts delivers what is pending now; drop-receipts never does."""

    async def scenario() -> None:
        behaviour = naughty(receipts={"delay_ms": 60_000})
        async with Simulator(behaviour) as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            account = smsc.account("bank")
            esme.submit(b"t")
            await esme.read()
            assert account.act("flush-receipts") == {"receipts": 1}
            await esme.receipts(1)
            esme.submit(b"t")
            await esme.read()
            assert account.act("drop-receipts") == {"receipts": 1}
            assert await esme.silence(0.05)
            assert account.act("flush-receipts") == {"receipts": 0}

    run(scenario())


def test_any_octets() -> None:
    """send-raw: an outbind, say, in the middle of a session."""

    async def scenario() -> None:
        async with Simulator() as smsc, Esme(smsc.port) as esme:
            await esme.bind(command=BIND_TRX)
            smsc.account("bank").act("send-raw", octets="000000120000000b00000000000000010000")
            assert await esme.read() == Got(OUTBIND, 0, 1, b"\0\0")

    run(scenario())


def test_garbage_from_the_esme() -> None:
    """Whatever an ESME sends, it gets a generic_nack and the end; others are served."""

    async def scenario() -> None:
        async with Simulator() as smsc, Esme(smsc.port) as bad, Esme(smsc.port) as good:
            await bad.bind()
            bad.writer.write(b"GET / HTTP/1.1\r\n\r\n")
            came, _ = await bad.rest()
            assert answered(came) == [(NACK, 0x02, 0)]
            assert (await good.bind()).status == 0

    run(scenario())
