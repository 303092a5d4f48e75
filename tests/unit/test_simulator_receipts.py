"""Receipts of the simulator: the compiled form against a slow twin, dialects, dates, ids; messages (MO)."""

import random
import struct
import uuid

import pytest

from dispatcher._ext import smsc
from dispatcher._ext.pdu import SubmitTemplate, decode
from dispatcher._ext.receipt import scan
from dispatcher._ext.session import Exchange, Incoming
from dispatcher.errors import LocalProtocolError
from dispatcher.simulator.behaviour import Dialect, MessageId, Receipts
from dispatcher.simulator.receipts import Numbering, Writer, message, written_date
from dispatcher.smpp.dialect import STATE_WORDS

AT = 1_789_997_600
"""2026-09-21 13:33:20 UTC."""


def incoming(*texts: bytes, esm_class: int = 0, data_coding: int = 0) -> list[Incoming]:
    """Return submit_sm as an SMSC gets them."""
    exchange = Exchange(smsc=True)
    exchange.receives = True
    for number, text in enumerate(texts, 1):
        exchange.feed(
            SubmitTemplate().encode(
                number, b"bank", b"79001234567", text if len(text) < 255 else b"",
                source_addr_ton=5, esm_class=esm_class, data_coding=data_coding,
                message_payload=b"" if len(text) < 255 else text,
            ),
            0,
        )  # fmt: skip
    return exchange.take_incoming()


def test_message_ids() -> None:
    """Digits in any base, zeros in front, both cases; the numbers that Python's format gives."""
    for base, form in ((10, "d"), (16, "x"), (8, "o"), (2, "b")):
        for width in (0, 1, 12):
            expected = [f"{number:0{width}{form}}".encode() for number in range(250, 270)]
            assert smsc.message_ids(250, 20, base, width) == expected
    assert smsc.message_ids(171, 1, 16, 4, True) == [b"00AB"]
    assert smsc.message_ids(2**64 - 3, 2) == [b"18446744073709551613", b"18446744073709551614"]
    assert smsc.message_ids(0, 1) == [b"0"]
    for bad in ((0, 1, 17), (0, 1, 10, 65), (0, 1, 1)):
        with pytest.raises(ValueError, match="base is"):
            smsc.message_ids(*bad)


def twin(
    pieces: tuple[bytes | int, ...], text_id: bytes, tlv_id: bytes, text: bytes, **form: object
) -> bytes:
    """Build the same receipt slowly, by the book."""
    places = {smsc.ID: text_id, smsc.TEXT: text}
    said = b"".join([places[piece] if isinstance(piece, int) else piece for piece in pieces])
    payload = bool(said) and (bool(form.get("payload")) or len(said) > 254)
    ours, theirs = b"\x05\x00bank\0", b"\x01\x0179001234567\0"
    body = b"\0" + (theirs + ours if form.get("swap", True) else ours + theirs)
    body += bytes([form.get("esm_class", 4), 0, 0, 0, 0, 0, 0, 0, 0])  # type: ignore[list-item]
    body += b"\0" if payload else bytes([len(said)]) + said
    if payload:
        body += struct.pack(">HH", 0x0424, len(said)) + said
    if form.get("id_tlv", True):
        body += struct.pack(">HH", 0x001E, len(tlv_id) + 1) + tlv_id + b"\0"
    tlvs = form.get("tlvs", b"")
    assert isinstance(tlvs, bytes)
    return struct.pack(">IIII", 16 + len(body) + len(tlvs), 5, 0, 1) + body + tlvs


@pytest.mark.parametrize("seed", range(200))
def test_the_compiled_form_and_its_twin(seed: int) -> None:
    """Any pieces, sizes and flags give the octets of the slow twin, and a PDU that the codec reads."""
    rng = random.Random(seed)
    literals: list[bytes | int] = [rng.randbytes(size) for size in (0, 3, 60)]
    pieces = tuple(rng.choices([smsc.ID, smsc.TEXT, *literals], k=rng.randrange(8)))
    text = rng.randbytes(rng.choice([0, 5, 140, 300]))
    text_octets = rng.choice([0, 20, 255])
    form: dict[str, object] = {
        "esm_class": rng.randrange(256),
        "id_tlv": rng.random() < 0.5,
        "swap": rng.random() < 0.5,
        "payload": rng.random() < 0.3,
        "tlvs": rng.choice([b"", b"\x04\x27\0\1\2"]),
    }
    text_id, tlv_id = rng.randbytes(rng.randrange(30)).replace(b"\0", b"1"), b"0" * rng.randrange(66)
    made = smsc.ReceiptForm(pieces, text_octets=text_octets, **form)  # type: ignore[arg-type]
    (receipt,) = made.make(incoming(text), [text_id], [tlv_id], ["record"])
    assert receipt.frame == twin(pieces, text_id, tlv_id, text[:text_octets], **form)
    assert (receipt.record, receipt.tries, receipt.rules) == ("record", 0, ())
    if len(tlv_id) <= 64:
        assert decode(receipt.frame).esm_class == form["esm_class"]


def test_what_stands_for_the_text() -> None:
    """The header of a segment is skipped; UCS-2 gives nothing; a header that lies gives nothing."""
    form = smsc.ReceiptForm((smsc.TEXT,), id_tlv=False)
    for text, esm_class, data_coding, expected in (
        (b"\x05\x00\x03\x01\x02\x01hello", 0x40, 0, b"hello"),
        ("привет".encode("utf-16-be"), 0, 8, b""),
        (b"\xff\x00", 0x40, 0, b""),
        (b"", 0x40, 0, b""),
    ):
        (receipt,) = form.make(incoming(text, esm_class=esm_class, data_coding=data_coding), [b""], [b""])
        assert decode(receipt.frame).short_message == expected


def test_refused_forms() -> None:
    """Pieces that are no pieces, lists of other lengths, a receipt that does not fit."""
    with pytest.raises(ValueError, match="a piece is"):
        smsc.ReceiptForm((5,))
    form = smsc.ReceiptForm((b"x" * 40_000, b"y" * 40_000))
    with pytest.raises(ValueError, match="does not fit"):
        form.make(incoming(b"t"), [b""], [b""])
    one: list[bytes] = [b""]
    for text_ids, tlv_ids, records in (([], one, None), (one, [], None), (one, one, [])):
        with pytest.raises(ValueError, match="as many"):
            smsc.ReceiptForm(()).make(incoming(b"t"), text_ids, tlv_ids, records)


@pytest.mark.parametrize("word", STATE_WORDS)
def test_our_own_reader_understands_the_default_dialect(word: str) -> None:
    """Each state of the default dialect reads back as what it says."""
    writer = Writer(Receipts(), True, random.Random(1))
    (receipt,) = writer.form(STATE_WORDS[word], AT, AT + 60).make(incoming(b"hi"), [b"0000000007"], [b"7"])
    pdu = decode(receipt.frame)
    message_id, state, _, err, _, _, submitted, done, text = scan(pdu.short_message)[:9]
    assert (message_id, state, text) == (b"0000000007", STATE_WORDS[word], b"hi")
    assert (submitted, done) == (b"2609211333", b"2609211334")
    assert err == (b"000" if word == "DELIVRD" else b"001")
    assert (pdu.message_state, pdu.receipted_message_id) == (STATE_WORDS[word], b"7")


@pytest.mark.parametrize(
    ("form", "zone_minutes", "expected"),
    [
        ("YYMMDDhhmm", 0, "2609211333"),
        ("YYMMDDhhmmss", 0, "260921133320"),
        ("YYYYMMDDhhmm", 180, "202609211633"),
        ("YYYY-MM-DD hh:mm:ss", -840, "2026-09-20 23:33:20"),
        ("", 0, ""),
        ("no date", 0, "no date"),
    ],
)
def test_dates(form: str, zone_minutes: int, expected: str) -> None:
    """Any form, any zone."""
    assert written_date(Dialect(zone_minutes=zone_minutes), form, AT) == expected


def test_numbering() -> None:
    """Batches of any size go on where the last ended; other notations show the same number."""
    numbering = Numbering(random.Random(1))
    how = MessageId(notation="HEX", receipt_notation="decimal", width=4, first=9)
    assert numbering.take(how, 2).response == [b"0009", b"000A"]
    ids = numbering.take(how, 2)
    assert (ids.response, ids.text, ids.tlv) == ([b"000B", b"000C"], [b"0011", b"0012"], [b"000B", b"000C"])
    ids = numbering.take(MessageId(notation="uuid"), 3)
    assert len({uuid.UUID(each.decode()) for each in ids.response}) == 3
    assert numbering.take(MessageId(repeat_every=3, width=0), 5).response == [b"2", b"3", b"1", b"2", b"3"]


def test_states_are_drawn_by_weight() -> None:
    """Weights, not shares; a weight of 0 never."""
    writer = Writer(Receipts(states={"DELIVRD": 3, "UNDELIV": 1, "EXPIRED": 0}), True, random.Random(1))
    drawn = [writer.draw_state() for _ in range(4000)]
    assert {*drawn} == {2, 5}
    assert 2800 < drawn.count(2) < 3200
    assert writer.only_state is None
    assert Writer(Receipts(), True, random.Random(1)).only_state == 2


def test_messages_of_subscribers() -> None:
    """message makes a deliver_sm; a long text goes into message_payload; a bad address is refused."""
    pdu = decode(message("7900", "bank", b"STOP", esm_class=0x40, data_coding=4).frame)
    assert (pdu.source_addr, pdu.short_message, pdu.esm_class, pdu.data_coding) == (b"7900", b"STOP", 0x40, 4)
    assert decode(message("7900", "bank", b"x" * 300).frame).message_payload == b"x" * 300
    with pytest.raises(LocalProtocolError):
        message("7" * 30, "bank", b"STOP")
