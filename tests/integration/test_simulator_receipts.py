"""Which receipts the simulated SMSC sends, when, over which bind, in which dialect, and how often."""

import asyncio
import time
from typing import Any

import pytest

from dispatcher.simulator import Behaviour, Simulator
from dispatcher.simulator.settings import parse
from tests.integration.esme import (
    BIND_RX,
    BIND_TX,
    DELIVER_SM,
    RESPONSE,
    SUBMIT_SM,
    Delivery,
    Esme,
    Got,
    delivery,
    run,
    until,
)


def reporting(**receipts: Any) -> Behaviour:
    """Return a behaviour with these receipts."""
    more = receipts.pop("more", {})
    return parse({"receipts": receipts} | more, Behaviour)


async def come(behaviour: Behaviour, expected: int, count: int = 1, **submit: Any) -> list[Got]:
    """Submit so many and return every PDU that comes, receipts answered; nothing may come behind them."""
    async with Simulator(behaviour, seed=3) as smsc, Esme(smsc.port) as esme:
        await esme.bind()
        for number in range(count):
            esme.submit(b"hello t%d" % number, **submit)
        got = []
        for _ in range(expected):
            got.append(await esme.read())
            if got[-1].command == DELIVER_SM:
                esme.acknowledge(got[-1])
        assert await esme.silence(0.1)
        return got


def deliveries(got: list[Got]) -> list[Delivery]:
    """Return the deliver_sm among them."""
    return [delivery(each) for each in got if each.command == DELIVER_SM]


def test_a_receipt_by_the_book() -> None:
    """By default: text of appendix B, TLVs, esm_class 0x04, addresses swapped, the id of the response."""
    response, receipt = run(come(reporting(), 2))
    said = delivery(receipt)
    date = time.strftime("%y%m%d%H%M", time.gmtime()).encode()
    text = b"id:0000000001 sub:001 dlvrd:001 submit date:%s done date:%s stat:DELIVRD err:000 text:hello t0"
    assert response.message_id == b"0000000001"
    assert said.text[:-60] == (text % (date, date))[:-60]
    assert said.text.endswith(b"stat:DELIVRD err:000 text:hello t0")
    assert said.tlvs == {0x001E: b"0000000001\0", 0x0427: b"\x02"}
    assert (said.source, said.destination, said.esm_class) == (b"79001234567", b"bank", 0x04)


@pytest.mark.parametrize(
    ("asked", "state", "number"),
    [
        (0, "DELIVRD", 1),
        (2, "DELIVRD", 1),
        (2, "UNDELIV", 2),
        (3, "DELIVRD", 2),
        (1, "UNDELIV", 2),
        (16, "DELIVRD", 1),
    ],
)
def test_only_who_asks_gets_one(asked: int, state: str, number: int) -> None:
    """registered_delivery 1 gets any, 2 failures, 3 successes; 0 and 0x10 none."""
    assert len(run(come(reporting(states={state: 1}), number, asked=asked))) == number


def test_a_receipt_that_nobody_asked_for() -> None:
    """only_if_asked = false sends them to all."""
    assert len(run(come(reporting(only_if_asked=False), 2, asked=0))) == 2


def test_missing_receipts() -> None:
    """share is the share that comes; the others never do."""
    behaviour = reporting(share=0.5)

    async def scenario() -> int:
        async with Simulator(behaviour, seed=1) as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            for _ in range(200):
                esme.submit(b"t")
            await until(lambda: smsc.ledger.of("bank").responses == {0: 200})
            await asyncio.sleep(0.05)
            return sum(smsc.ledger.of("bank").receipts.values())

    assert 70 < run(scenario()) < 130


def test_states_by_weight() -> None:
    """states are drawn by weight; stat, message_state, err and dlvrd agree."""
    got = deliveries(run(come(reporting(states={"DELIVRD": 1, "UNDELIV": 1, "EXPIRED": 0}), 80, 40)))
    words = [each.text.split(b"stat:")[1].split()[0] for each in got]
    assert {*words} == {b"DELIVRD", b"UNDELIV"}
    for word, each in zip(words, got, strict=True):
        assert each.tlvs[0x0427] == (b"\x02" if word == b"DELIVRD" else b"\x05")
        assert (b"err:000" in each.text) == (b"dlvrd:001" in each.text) == (word == b"DELIVRD")


@pytest.mark.parametrize("delay", [100, {"kind": "percentiles", "points": {"0": 100, "100": 120}}])
def test_receipts_are_delayed(delay: Any) -> None:
    """delay_ms counts from the response."""

    async def scenario() -> None:
        async with Simulator(reporting(delay_ms=delay)) as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            esme.submit(b"t")
            assert (await esme.read()).command == SUBMIT_SM | RESPONSE
            began = time.monotonic()
            assert (await esme.read()).command == DELIVER_SM
            assert time.monotonic() - began >= 0.095

    run(scenario())


@pytest.mark.parametrize("latency_ms", [0, 30])
def test_receipts_before_their_response(latency_ms: int) -> None:
    """before_response = 1: each receipt is on the wire ahead of its response, with the id to come."""
    behaviour = reporting(before_response=1, more={"latency_ms": latency_ms})
    got = run(come(behaviour, 10, 5))
    told: set[bytes] = set()
    for each in got:
        if each.command == DELIVER_SM:
            told.add(delivery(each).tlvs[0x001E].rstrip(b"\0"))
        else:
            assert each.message_id in told
    assert len(told) == 5


def test_some_receipts_before_their_response() -> None:
    """before_response = 0.5: those that are not early come behind their response, also in one batch."""
    got = run(come(reporting(before_response=0.5), 80, 40))
    answered: set[bytes] = set()
    early = 0
    for each in got:
        if each.command == DELIVER_SM:
            early += delivery(each).tlvs[0x001E].rstrip(b"\0") not in answered
        else:
            answered.add(each.message_id)
    assert 8 < early < 32


@pytest.mark.parametrize("where", ["other", "any"])
def test_receipts_on_another_bind(where: str) -> None:
    """bind = other: never on the bind that submitted; any: on every bind."""

    async def scenario() -> None:
        async with Simulator(reporting(bind=where)) as smsc, Esme(smsc.port) as one, Esme(smsc.port) as two:
            await one.bind(), await two.bind()
            for _ in range(30):
                one.submit(b"t")
            await until(lambda: smsc.ledger.of("bank").receipts == {2: 30})
            here = list(await one.read_some(30 if where == "other" else 31))
            assert (DELIVER_SM in {got.command for got in here}) == (where == "any")
            assert (await two.read()).command == DELIVER_SM

    run(scenario())


def test_a_transmitter_is_told_over_the_receiver() -> None:
    """What a transmitter submitted is reported on the receiver of its account."""

    async def scenario() -> None:
        async with Simulator() as smsc, Esme(smsc.port) as tx, Esme(smsc.port) as rx:
            await tx.bind(command=BIND_TX), await rx.bind(command=BIND_RX)
            tx.submit(b"t")
            assert (await tx.read()).command == SUBMIT_SM | RESPONSE
            await rx.receipts(1)
            assert await tx.silence(0.05)

    run(scenario())


def test_receipts_wait_for_a_bind_and_flood_it() -> None:
    """Without a bind to receive, receipts wait; the next one gets them all at once."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            async with Esme(smsc.port) as tx:
                await tx.bind(command=BIND_TX)
                for _ in range(50):
                    tx.submit(b"t")
                await tx.read_some(50)
            assert len(smsc.accounts["bank"].post.waiting) == 50
            async with Esme(smsc.port) as rx:
                await rx.bind(command=BIND_RX)
                await rx.receipts(50)

    run(scenario())


def test_waiting_receipts_are_bounded() -> None:
    """Above waiting_max receipts are dropped and counted."""

    async def scenario() -> None:
        async with Simulator(reporting(waiting_max=10)) as smsc, Esme(smsc.port) as tx:
            await tx.bind(command=BIND_TX)
            for _ in range(50):
                tx.submit(b"t")
            await tx.read_some(50)
            assert len(smsc.accounts["bank"].post.waiting) == 10
            assert smsc.ledger.of("bank").dropped == 40

    run(scenario())


def test_unanswered_receipts_are_bounded() -> None:
    """An ESME that answers no receipts: what does not fit into the window waits, up to waiting_max."""

    async def scenario() -> None:
        async with Simulator(reporting(window=5, waiting_max=20)) as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            for _ in range(50):
                esme.submit(b"t")
                while (await esme.read()).command != SUBMIT_SM | RESPONSE:
                    pass
            totals = smsc.ledger.of("bank")
            await until(lambda: totals.receipts == {2: 5})
            assert totals.dropped == 50 - 5 - 20

    run(scenario())


def test_duplicate_receipts() -> None:
    """duplicate and copies: the same receipt again; the ledger counts each."""
    got = deliveries(run(come(reporting(duplicate=1, copies=2), 4)))
    assert got[0] == got[1] == got[2]


def test_intermediate_receipts() -> None:
    """intermediate: an ENROUTE with esm_class 0x20 first, or behind the final one."""
    first, second = deliveries(run(come(reporting(intermediate=1), 3)))
    assert (first.esm_class, first.tlvs[0x0427], second.esm_class) == (0x20, b"\x01", 0x04)
    first, second = deliveries(run(come(reporting(intermediate=1, intermediate_after=True), 3)))
    assert (first.esm_class, second.esm_class) == (0x04, 0x20)


def test_contradicting_receipts() -> None:
    """contradict: two different final states for one message."""
    states = [each.tlvs[0x0427] for each in deliveries(run(come(reporting(contradict=1), 3)))]
    assert states == [b"\x02", b"\x05"]


def test_receipts_of_strangers() -> None:
    """unknown: a receipt for an id that nobody was given, first."""
    stranger, ours = deliveries(run(come(reporting(unknown=1), 3)))
    assert len(stranger.tlvs[0x001E]) == 21
    assert ours.tlvs[0x001E] == b"0000000001\0"


def test_hex_in_the_response_decimal_in_the_receipt() -> None:
    """receipt_notation writes the same number otherwise; the TLV follows the response, or the receipt."""
    ids = {"notation": "hex", "receipt_notation": "decimal", "first": 0x38601FA, "width": 0}
    response, receipt = run(come(reporting(more={"message_id": ids}), 2))
    assert (response.message_id, delivery(receipt).text[:12]) == (b"38601fa", b"id:59113978 ")
    assert delivery(receipt).tlvs[0x001E] == b"38601fa\0"
    _, receipt = run(come(reporting(more={"message_id": ids | {"tlv_notation": "receipt"}}), 2))
    assert delivery(receipt).tlvs[0x001E] == b"59113978\0"
    ids = {"notation": "decimal", "receipt_notation": "HEX", "first": 255, "width": 8}
    response, receipt = run(come(reporting(more={"message_id": ids}), 2))
    assert (response.message_id, delivery(receipt).text[:12]) == (b"00000255", b"id:000000FF ")


def test_a_dialect() -> None:
    """Order, case, words, dates, zone, no TLVs, no mark, no swap, message_payload: all of it is data."""
    dialect = {
        "text": "STAT={stat};ID={id};DONE={done}",
        "done_format": "YYYY-MM-DD hh:mm:ss",
        "states": {"DELIVRD": "delivered"},
        "id_tlv": False,
        "state_tlv": False,
        "network_error_tlv": "03002a",
        "message_payload": True,
        "esm_class": 0,
        "swap_addresses": False,
    }
    (said,) = deliveries(run(come(reporting(dialect=dialect), 2)))
    assert said.text == b""
    assert said.tlvs[0x0424][:31] == b"STAT=delivered;ID=0000000001;DO"
    assert said.tlvs[0x0423] == b"\x03\x00\x2a"
    assert set(said.tlvs) == {0x0424, 0x0423}
    assert (said.source, said.destination, said.esm_class) == (b"bank", b"79001234567", 0)


def test_version_3_3_has_no_tlvs() -> None:
    """interface_version 0x33: neither the bind response nor a receipt has a TLV."""

    async def scenario() -> None:
        behaviour = parse({"interface_version": 0x33}, Behaviour)
        async with Simulator(behaviour) as smsc, Esme(smsc.port) as esme:
            assert (await esme.bind()).body == b"simulator\0"
            esme.submit(b"t")
            (receipt,) = await esme.receipts(1)
            assert delivery(receipt).tlvs == {}

    run(scenario())


def test_receipts_are_repeated_until_answered() -> None:
    """Unanswered, a receipt comes again after resend_after_ms, resend_max times; answered, no more."""

    async def scenario() -> None:
        async with Simulator(reporting(resend_after_ms=50, resend_max=2)) as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            esme.submit(b"t")
            got = [delivery(each) for each in (await esme.read_some(4))[1:]]
            assert got[0] == got[1] == got[2]
            assert await esme.silence(0.25)
            assert smsc.ledger.of("bank").resent == 2
            assert smsc.ledger.of("bank").dropped == 1
            assert smsc.ledger.copies("t")[0].receipts == (2, 2, 2)

    run(scenario())


def test_refused_receipts_come_again() -> None:
    """Answered with an error, a receipt comes again; the ledger holds both answers."""

    async def scenario() -> None:
        async with Simulator(reporting(resend_after_ms=30)) as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            esme.submit(b"t")
            _, receipt = await esme.read_some(2)
            esme.acknowledge(receipt, 0x64)
            await esme.receipts(1)
            await until(lambda: smsc.ledger.copies("t")[0].acknowledged == (0x64, 0))

    run(scenario())


def test_receipts_survive_their_bind() -> None:
    """A receipt that a lost bind did not answer comes on the next."""

    async def scenario() -> None:
        async with Simulator() as smsc:
            async with Esme(smsc.port) as esme:
                await esme.bind()
                esme.submit(b"t")
                await esme.read_some(2)
            await until(lambda: not smsc.connections)
            async with Esme(smsc.port) as esme:
                await esme.bind()
                await esme.receipts(1)

    run(scenario())


def test_the_window_of_receipts() -> None:
    """No more than `window` receipts stand unanswered; a smaller one takes effect at once."""

    async def scenario() -> None:
        async with Simulator(reporting(window=10)) as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            smsc.account("bank").change(receipts={"window": 3})
            for _ in range(10):
                esme.submit(b"t")
            got = await esme.read_some(13)
            assert await esme.silence(0.05)
            esme.acknowledge(got[-1])
            assert (await esme.read()).command == DELIVER_SM

    run(scenario())


def test_long_messages_are_one_token() -> None:
    """Segments are joined by UDH or SAR TLVs: one token, segments named; a resent one is a second copy."""

    async def scenario() -> None:
        async with Simulator() as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            for number, text in ((1, b"a long tok"), (2, b"en-7"), (2, b"en-7")):
                esme.submit(bytes([5, 0, 3, 9, 2, number]) + text, esm_class=0x40)
            for number, text in ((1, b"other tok"), (2, b"en-8")):
                tlvs = bytes.fromhex("020c00020007020e000102020f0001") + bytes([number])
                esme.submit(text, tlvs=tlvs)
            text = "привет tok-9".encode("utf-16-be")
            esme.submit(bytes([6, 8, 4, 1, 9, 1, 1]) + text, esm_class=0x40, data_coding=8)
            await esme.receipts(6)
            assert smsc.ledger.tokens == ["token-7", "token-8", "tok-9"]
            assert [copy.segment for copy in smsc.ledger.copies("token-7")] == [
                (9, 1, 2),
                (9, 2, 2),
                (9, 2, 2),
            ]
            assert [copy.segment for copy in smsc.ledger.copies("token-8")] == [(7, 1, 2), (7, 2, 2)]

    run(scenario())
