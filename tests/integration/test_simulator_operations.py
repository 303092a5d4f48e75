"""The simulator's rarer requests: data_sm, submit_multi, query_sm, cancel_sm, replace_sm."""

import asyncio
import re
import struct
from typing import Any

import pytest
import smpplib.client
import smpplib.smpp

from dispatcher.simulator import Behaviour, Receipts, Simulator
from tests.integration.esme import RESPONSE, Esme, Got, delivery, run, until

QUERY_SM, REPLACE_SM, CANCEL_SM, SUBMIT_MULTI, DATA_SM = 3, 7, 8, 0x21, 0x103
RINVMSGID, RINVSRCADR, RCANCELFAIL, RREPLACEFAIL, RQUERYFAIL = 0x0C, 0x0A, 0x11, 0x13, 0x67
RINVNUMDESTS, RINVDLNAME, RTHROTTLED = 0x33, 0x34, 0x58
ENROUTE, DELIVERED, DELETED = 1, 2, 4
FROM = b"\5\0bank\0"
SLOW = Behaviour(receipts=Receipts(delay_ms=60_000))


async def accepted(esme: Esme, text: bytes, **options: Any) -> bytes:
    """Submit; return the id."""
    esme.submit(text, **options)
    answer = await esme.read()
    assert answer.status == 0
    return answer.message_id


async def ask(esme: Esme, command: int, body: bytes) -> Got:
    """Make a request, return its answer."""
    sequence = esme.send(command, body)
    got = await esme.read()
    assert (got.command, got.sequence) == (command | RESPONSE, sequence)
    return got


async def query(esme: Esme, message_id: bytes) -> tuple[int, int, bytes]:
    """Ask for a message; return status, state, final_date."""
    got = await ask(esme, QUERY_SM, message_id + b"\0" + FROM)
    if got.status:
        return got.status, 0, b""
    told, final_date, rest = got.body.split(b"\0", 2)
    assert (told, len(rest), rest[1]) == (message_id, 2, 0)
    return 0, rest[0], final_date


def cancel(message_id: bytes, source: bytes = FROM, to: bytes = b"") -> bytes:
    """Return the body of a cancel_sm."""
    return b"\0" + message_id + b"\0" + source + b"\1\1" + to + b"\0"


def replace(message_id: bytes, text: bytes, source: bytes = FROM) -> bytes:
    """Return the body of a replace_sm."""
    return message_id + b"\0" + source + b"\0\0" + b"\1\0" + bytes([len(text)]) + text


def multi(text: bytes, destinations: bytes, number: int, asked: int = 1) -> bytes:
    """Return the body of a submit_multi."""
    fields = bytes([0, 0, 0]) + b"\0\0" + bytes([asked, 0, 0, 0, len(text)])
    return b"\0" + FROM + bytes([number]) + destinations + fields + text


def to(address: bytes) -> bytes:
    """Return a dest_address."""
    return b"\1\1\1" + address + b"\0"


def test_a_query_tells_what_the_ledger_knows() -> None:
    """ENROUTE while the receipt waits, then the state that it told and when; unknown ids have their error."""

    async def scenario() -> None:
        async with Simulator(SLOW) as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            message_id = await accepted(esme, b"hello t1")
            assert await query(esme, message_id) == (0, ENROUTE, b"")
            smsc.account("bank").act("flush-receipts")
            await esme.receipts(1)
            status, state, date = await query(esme, message_id)
            assert (status, state) == (0, DELIVERED)
            assert re.fullmatch(rb"\d{13}00\+", date)
            assert (await query(esme, b"4711"))[0] == RINVMSGID
            smsc.account("bank").change(errors={"RSYSERR": 1.0})
            esme.submit(b"hello t2")
            assert (await esme.read()).status == 8
            assert (await query(esme, b"%010d" % 2))[0] == RINVMSGID
            assert smsc.ledger.of("bank").operations == {"query_sm": {0: 2, RINVMSGID: 2}}

    run(scenario())


def test_a_ledger_of_totals_cannot_tell() -> None:
    """In the mode for benches nothing is written down: each request fails, with its own error."""

    async def scenario() -> None:
        async with Simulator(ledger="counts") as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            message_id = await accepted(esme, b"hello", asked=0)
            assert (await query(esme, message_id))[0] == RQUERYFAIL
            assert (await ask(esme, CANCEL_SM, cancel(message_id))).status == RCANCELFAIL
            assert (await ask(esme, REPLACE_SM, replace(message_id, b"x"))).status == RREPLACEFAIL

    run(scenario())


@pytest.mark.parametrize("payload", [False, True])
def test_a_cancelled_message_is_reported_as_deleted(payload: bool) -> None:
    """Its receipt comes at once and says DELETED; the one that waited never comes; a second try fails."""

    async def scenario() -> None:
        async with Simulator(SLOW) as smsc, Esme(smsc.port) as esme:
            bank = smsc.account("bank")
            bank.change(receipts={"dialect": {"message_payload": payload, "states": {"DELETED": "gone"}}})
            await esme.bind()
            first, second = await accepted(esme, b"hello t1"), await accepted(esme, b"hello t2")
            stranger = cancel(first, b"\5\0other\0")
            assert (await ask(esme, CANCEL_SM, stranger)).status == RINVSRCADR
            assert (await ask(esme, CANCEL_SM, cancel(first))).status == 0
            (receipt,) = await esme.receipts(1)
            found = delivery(receipt)
            text = found.tlvs[0x424] if payload else found.text
            assert b"id:%s " % first in text
            assert b"stat:gone " in text
            assert found.tlvs[0x427] == bytes([DELETED])
            assert found.tlvs[0x1E] == first + b"\0"
            assert (await query(esme, first))[:2] == (0, DELETED)
            assert (await ask(esme, CANCEL_SM, cancel(first))).status == RCANCELFAIL
            assert (await ask(esme, CANCEL_SM, cancel(b"4711"))).status == RINVMSGID
            assert bank.act("flush-receipts") == {"receipts": 1}
            (receipt,) = await esme.receipts(1)
            assert delivery(receipt).tlvs[0x1E] == second + b"\0"
            await until(lambda: smsc.ledger.copies("t1")[0].acknowledged == (0,))
            assert smsc.ledger.copies("t1")[0].receipts == (DELETED,)

    run(scenario())


def test_all_messages_to_a_number_can_be_cancelled() -> None:
    """Without an id, cancel_sm means all that wait between two addresses, and no others."""

    async def scenario() -> None:
        async with Simulator(SLOW) as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            for number in range(4):
                await accepted(esme, b"hello t%d" % number, to=b"7900" if number < 3 else b"7901")
            assert (await ask(esme, CANCEL_SM, cancel(b"", to=b"7900"))).status == 0
            assert len(await esme.receipts(3)) == 3
            assert (await ask(esme, CANCEL_SM, cancel(b"", to=b"7900"))).status == RCANCELFAIL
            assert smsc.account("bank").inner.post.pending == 1

    run(scenario())


def test_what_is_delivered_is_gone() -> None:
    """A message with its receipt, and one that asked for none, can be neither cancelled nor replaced."""

    async def scenario() -> None:
        async with Simulator() as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            silent = await accepted(esme, b"hello t1", asked=0)
            esme.submit(b"hello t2")
            reported = (await esme.read()).message_id
            await esme.receipts(1)
            for message_id in (silent, reported):
                assert (await ask(esme, CANCEL_SM, cancel(message_id))).status == RCANCELFAIL
                assert (await ask(esme, REPLACE_SM, replace(message_id, b"x"))).status == RREPLACEFAIL
            assert (await ask(esme, REPLACE_SM, replace(b"4711", b"x"))).status == RINVMSGID

    run(scenario())


def test_a_waiting_message_is_replaced() -> None:
    """The ledger keeps what came under its token, and notes the token of what goes out instead."""

    async def scenario() -> None:
        async with Simulator(SLOW) as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            message_id = await accepted(esme, b"hello t1")
            other = replace(message_id, b"x", b"\5\0other\0")
            assert (await ask(esme, REPLACE_SM, other)).status == RINVSRCADR
            assert (await ask(esme, REPLACE_SM, replace(message_id, b"goodbye t9"))).status == 0
            (copy,) = smsc.ledger.plain("t1")["tokens"]["t1"]["copies"]
            assert copy["replaced_by"] == "t9"

    run(scenario())


def test_data_sm_is_a_submit() -> None:
    """It has its own response, an id, a receipt, its place in the ledger, and meets errors and mischief."""

    def body(text: bytes) -> bytes:
        head = b"\0" + FROM + b"\1\1" + b"7900\0" + bytes([0, 1, 0])
        return head + struct.pack(">HH", 0x424, len(text)) + text

    async def scenario() -> None:
        async with Simulator() as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            esme.send(DATA_SM, body(b"hello t1"))
            answer = await esme.read()
            assert (answer.command, answer.status, answer.message_id) == (
                DATA_SM | RESPONSE,
                0,
                b"0000000001",
            )
            (receipt,) = await esme.receipts(1)
            assert delivery(receipt).source == b"7900"
            await until(lambda: smsc.ledger.copies("t1")[0].acknowledged == (0,))
            assert smsc.ledger.copies("t1")[0].statuses == (0,)
            smsc.account("bank").change(errors={"RTHROTTLED": 1.0})
            assert (await ask(esme, DATA_SM, body(b"hello t2"))).status == RTHROTTLED
            smsc.account("bank").change(mischief=[{"kind": "drop"}], errors=None)
            esme.send(DATA_SM, body(b"hello t3"))
            await esme.receipts(1)
            assert smsc.ledger.copies("t3")[0].statuses == ()

    run(scenario())


@pytest.mark.parametrize("latency_ms", [0, 20])
def test_submit_multi(latency_ms: int) -> None:
    """One id for all, one copy and one receipt for each destination that took it; the others are named."""

    async def scenario() -> None:
        behaviour = Behaviour(latency_ms=latency_ms, errors_to={"7901": {"RMSGQFUL": 1.0}})
        async with Simulator(behaviour) as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            esme.send(SUBMIT_MULTI, multi(b"hello t1", to(b"7900") + to(b"7901") + to(b"7902"), 3))
            answer = await esme.read()
            assert (answer.command, answer.status) == (SUBMIT_MULTI | RESPONSE, 0)
            assert answer.body == b"0000000001\0" + b"\1" + b"\1\1" + b"7901\0" + struct.pack(">I", 0x14)
            receipts = [delivery(receipt) for receipt in await esme.receipts(2)]
            assert [receipt.source for receipt in receipts] == [b"7900", b"7902"]
            assert {receipt.tlvs[0x1E] for receipt in receipts} == {b"0000000001\0"}
            statuses = [copy.statuses for copy in smsc.ledger.copies("t1")]
            assert statuses == [(0,), (0x14,), (0,)]
            assert smsc.ledger.of("bank").submits == 3
            assert (await ask(esme, SUBMIT_MULTI, multi(b"hello t2", to(b"7901"), 1))).status == 0x14
            assert smsc.state()["accounts"]["bank"]["binds"][0]["unanswered"] == 0

    run(scenario())


def test_submit_multi_that_is_refused_or_cut() -> None:
    """No destination, and a distribution list, have their errors; of a mangled response nothing is told."""

    async def scenario() -> None:
        async with Simulator() as smsc, Esme(smsc.port) as esme:
            await esme.bind()
            assert (await ask(esme, SUBMIT_MULTI, multi(b"x", b"", 0))).status == RINVNUMDESTS
            assert (await ask(esme, SUBMIT_MULTI, multi(b"x", b"\2list\0", 1))).status == RINVDLNAME
            assert smsc.ledger.of("bank").submits == 0
            smsc.account("bank").change(mischief=[{"kind": "status", "status": 8}])
            assert (await ask(esme, SUBMIT_MULTI, multi(b"hello t1", to(b"7900"), 1, asked=0))).status == 8
            await until(lambda: smsc.ledger.of("bank").mangled == 1)
            assert smsc.ledger.copies("t1")[0].statuses == ()

    run(scenario())


def test_smpplib_queries_and_sends_data() -> None:
    """smpplib reads our query_sm_resp and data_sm_resp."""

    def client(port: int) -> tuple[list[Any], Any]:
        esme = smpplib.client.Client("127.0.0.1", port, timeout=2, allow_unknown_opt_params=True)
        queried: list[Any] = []
        ids: list[bytes] = []
        esme.set_query_resp_handler(queried.append)
        esme.set_message_sent_handler(lambda pdu: ids.append(pdu.message_id))
        esme.connect()
        try:
            esme.bind_transceiver(system_id="bank", password="secret")
            address = {"source_addr_ton": 5, "source_addr_npi": 0, "source_addr": "bank"}
            esme.send_message(**address, destination_addr="7900", short_message=b"hello t1")
            esme.read_once()
            esme.query_message(message_id=ids[0].decode(), **address)
            esme.read_once()
            data = smpplib.smpp.make_pdu(
                "data_sm",
                client=esme,
                **address,
                dest_addr_ton=1,
                dest_addr_npi=1,
                destination_addr="7900",
                message_payload=b"hello t2",
            )
            esme.send_pdu(data)
            answer = esme.read_pdu()
            esme.unbind()
        finally:
            esme.disconnect()
        return queried, answer

    async def scenario() -> None:
        async with Simulator() as smsc:
            queried, answer = await asyncio.to_thread(client, smsc.port)
            assert [(pdu.status, pdu.message_state, pdu.message_id) for pdu in queried] == [
                (0, ENROUTE, b"0000000001")
            ]
            assert (answer.command, answer.status, answer.message_id) == ("data_sm_resp", 0, b"0000000002")
            assert [copy.statuses for copy in smsc.ledger.copies("t2")] == [(0,)]

    run(scenario())
