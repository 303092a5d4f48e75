"""The PDU codec from Python, and two peers at the same work: ``pytest bench/bench_pdu.py``.

A session calls ``ext/hot.pxd`` without the Python objects that these figures include. Every round of the
second bench reads 100 PDUs.
"""

from typing import Any

import pytest
import smpp34
import smpplib.client
import smpplib.smpp
from pytest_benchmark.fixture import BenchmarkFixture

from dispatcher._ext.pdu import (
    Framer,
    Pdu,
    SubmitTemplate,
    decode,
    encode,
    read_deliver_sm,
    read_submit_sm_resps,
)
from dispatcher.smpp.constants import Command, MessageState

TEXT = "Код: 123456. Никому его не сообщайте".encode("utf-16-be")
NUMBER = b"79991234567"
FIELDS: dict[str, Any] = {
    "source_addr_ton": 5,
    "dest_addr_ton": 1,
    "dest_addr_npi": 1,
    "registered_delivery": 1,
    "data_coding": 8,
}
SUBMIT = Pdu(Command.SUBMIT_SM, 7, source_addr=b"Bank", destination_addr=NUMBER, short_message=TEXT, **FIELDS)
RESPONSES = b"".join(encode(Pdu(Command.SUBMIT_SM_RESP, n, message_id=b"%032x" % n)) for n in range(1, 101))
RECEIPT = encode(
    Pdu(
        Command.DELIVER_SM,
        9,
        source_addr=NUMBER,
        destination_addr=b"Bank",
        esm_class=4,
        short_message=b"id:0123456789 sub:001 dlvrd:001 submit date:2611240905 done date:2611240905 "
        b"stat:DELIVRD err:000 text:",
        receipted_message_id=b"%032x" % 77,
        message_state=MessageState.DELIVERED,
    )
)


def test_encode_submit_sm_from_a_template(benchmark: BenchmarkFixture) -> None:
    """One submit_sm, 72 octets of UCS-2, as bytes."""
    template = SubmitTemplate()
    octets = benchmark(template.encode, 7, b"Bank", NUMBER, TEXT, **FIELDS)
    assert octets == encode(SUBMIT)


def test_encode_submit_sm_in_general(benchmark: BenchmarkFixture) -> None:
    """The same PDU from a Pdu that exists."""
    assert decode(benchmark(encode, SUBMIT)) == SUBMIT


def test_read_a_hundred_submit_sm_resps(benchmark: BenchmarkFixture) -> None:
    """100 responses in one buffer, as tuples."""
    assert len(benchmark(read_submit_sm_resps, RESPONSES)) == 100


def test_frame_and_decode_a_hundred_submit_sm_resps(benchmark: BenchmarkFixture) -> None:
    """The same buffer through the framer, as Pdu."""
    assert len(benchmark(Framer().feed, RESPONSES)) == 100


def test_decode_deliver_sm(benchmark: BenchmarkFixture) -> None:
    """A receipt with two TLVs, every field."""
    assert benchmark(decode, RECEIPT).message_state == 2


def test_read_deliver_sm(benchmark: BenchmarkFixture) -> None:
    """The same receipt through the hot reader, as a dict."""
    assert benchmark(read_deliver_sm, RECEIPT)[0] == 0


@pytest.mark.parametrize("peer", ["smpplib", "smpp34"])
def test_peers_decode_deliver_sm(benchmark: BenchmarkFixture, peer: str) -> None:
    """The same receipt through a peer; smpp34 makes objects when they are asked for."""
    client = smpplib.client.SimpleSequenceGenerator()
    if peer == "smpp34":
        assert benchmark(smpp34.decode, RECEIPT).sequence_number == 9
    else:
        assert benchmark(smpplib.smpp.parse_pdu, RECEIPT, client=client).message_state == 2


@pytest.mark.parametrize("peer", ["smpplib", "smpp34"])
def test_peers_encode_submit_sm(benchmark: BenchmarkFixture, peer: str) -> None:
    """The same submit_sm through a peer, object and octets."""
    client = smpplib.client.SimpleSequenceGenerator()

    def with_smpp34() -> Any:
        return smpp34.SubmitSm("Bank", "79991234567", TEXT, sequence_number=7, **FIELDS).encode()

    def with_smpplib() -> Any:
        return smpplib.smpp.make_pdu(
            "submit_sm",
            client=client,
            source_addr="Bank",
            destination_addr="79991234567",
            short_message=TEXT,
            **FIELDS,
        ).generate()

    octets = benchmark(with_smpp34 if peer == "smpp34" else with_smpplib)
    assert decode(octets).short_message == TEXT
