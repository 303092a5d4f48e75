"""The codec against its slow twin, on whatever Hypothesis makes: valid PDUs, mutated ones, noise."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher._ext.pdu import Framer, Pdu, decode, encode, read_deliver_sm
from dispatcher.errors import Recoverable, Unrecoverable
from dispatcher.smpp import spec
from dispatcher.smpp.constants import RESPONSE_BIT, Command, Tlv
from tests.ext import twin_pdu

BYTE = st.integers(0, 255)


def no_nul(most: int) -> st.SearchStrategy[bytes]:
    """Return what a C-octet string may hold."""
    return st.binary(max_size=most).map(lambda octets: octets.replace(b"\0", b"x"))


SME = st.builds(spec.SmeAddress, BYTE, BYTE, no_nul(20))
KINDS: dict[int, st.SearchStrategy[Any]] = {
    spec.INTEGER: BYTE,
    spec.TIME: st.sampled_from([b"", b"000000000500000R"]),
    spec.SHORT_MESSAGE: st.binary(max_size=254),
    spec.DEST_ADDRESSES: st.lists(
        SME | st.builds(spec.DistributionList, no_nul(20)), min_size=1, max_size=4
    ).map(tuple),
    spec.UNSUCCESS_SMES: st.lists(
        st.builds(spec.UnsuccessSme, BYTE, BYTE, no_nul(20), st.integers(0, 0xFFFFFFFF)), max_size=4
    ).map(tuple),
}


@st.composite
def tlvs(draw: st.DrawFn) -> tuple[int, int | bytes]:
    """Return a TLV, known or unknown."""
    tag = draw(st.sampled_from(sorted(spec.TLVS)) | st.integers(0, 0xFFFF))
    row = spec.TLVS.get(tag)
    if row is None:
        return tag, draw(st.binary(max_size=40))
    if row.kind == spec.INTEGER:
        return tag, draw(st.integers(0, 256**row.least - 1))
    size = draw(st.integers(row.least, min(row.most, 70)))
    if row.kind == spec.C_OCTET:
        return tag, draw(st.binary(min_size=size - 1, max_size=size - 1)).replace(b"\0", b"x")
    return tag, draw(st.binary(min_size=size, max_size=size))


@st.composite
def pdus(draw: st.DrawFn) -> Pdu:
    """Return a PDU that may be sent."""
    command_id = draw(st.sampled_from(sorted(spec.COMMANDS)))
    response = bool(command_id & RESPONSE_BIT)
    sequence = st.integers(0, 0xFFFFFFFF) if response else st.integers(1, 0x7FFFFFFF)
    status = draw(st.integers(0, 0xFFFFFFFF)) if response else 0
    fields = {
        field.name: draw(no_nul(field.size - 1) if field.kind == spec.C_OCTET else KINDS[field.kind])
        for field in spec.COMMANDS[command_id]
    }
    options = draw(st.lists(tlvs(), max_size=5))
    if fields.get("short_message"):
        options = [option for option in options if option[0] != Tlv.MESSAGE_PAYLOAD]
    return Pdu(command_id, draw(sequence), status, options, **fields)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Return the octets of a PDU with a few changed, cut out or put in, its length right or not."""
    octets = bytearray(encode(draw(pdus())))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(octets)))
        match draw(st.sampled_from(["change", "cut", "insert"])):
            case "change":
                octets[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "cut":
                del octets[at : at + draw(st.integers(1, 20))]
            case _:
                octets[at:at] = draw(st.binary(min_size=1, max_size=8))
    if draw(st.booleans()):
        octets[:4] = len(octets).to_bytes(4, "big")
    return bytes(octets)


def outcome(octets: bytes) -> tuple[Any, ...]:
    """Read one frame with the codec, in the twin's words."""
    try:
        pdu = decode(octets)
        return 0, pdu.fields, list(pdu.tlvs)
    except Recoverable as refused:
        if refused.partial is None:
            return refused.command_status, {}, []
        return refused.command_status, refused.partial.fields, list(refused.partial.tlvs)


@given(pdus())
@settings(max_examples=400)
def test_what_is_written_reads_back(pdu: Pdu) -> None:
    """decode(encode(x)) is x, for every PDU; command_length is right and the twin reads the same."""
    octets = encode(pdu)
    assert int.from_bytes(octets[:4], "big") == len(octets)
    assert decode(octets) == pdu
    assert decode(octets).flaws == ()
    assert twin_pdu.decode(octets) == (0, pdu.fields, list(pdu.tlvs))


@given(mutated())
@settings(max_examples=1500)
def test_the_twin_judges_mutated_octets_alike(octets: bytes) -> None:
    """Same fields, same TLVs, same blame; out of step where the frame does not fill the octets."""
    if twin_pdu.frame(octets) != len(octets) or not octets:
        with pytest.raises(Unrecoverable):
            decode(octets)
    else:
        assert outcome(octets) == twin_pdu.decode(octets)


@given(st.sampled_from(sorted(spec.COMMANDS)), st.integers(0, 3), st.binary(max_size=120))
@settings(max_examples=1000)
def test_the_twin_judges_random_bodies_alike(command_id: int, status: int, body: bytes) -> None:
    """The frame is right, the body is noise: a PDU or a Recoverable, the same as the twin's."""
    header = [16 + len(body), command_id, status, 7]
    octets = b"".join(number.to_bytes(4, "big") for number in header) + body
    assert outcome(octets) == twin_pdu.decode(octets)


@given(st.binary(max_size=200) | mutated())
@settings(max_examples=800)
def test_any_octets_give_pdus_or_protocol_errors(octets: bytes) -> None:
    """Nothing but Pdu, Recoverable and, as the last, Unrecoverable; the octets are accounted for."""
    framer = Framer()
    out = framer.feed(octets)
    lost = [item for item in out if isinstance(item, Unrecoverable)]
    assert all(isinstance(item, Pdu | Recoverable) for item in out[: len(out) - len(lost)])
    at = 0
    for _ in range(len(out) - len(lost)):
        at += twin_pdu.frame(octets[at:])
    assert twin_pdu.frame(octets[at:]) == (-1 if lost else 0)
    assert framer.pending == (0 if lost else len(octets) - at)


@given(st.lists(pdus(), min_size=1, max_size=4), st.data())
@settings(max_examples=150)
def test_a_stream_may_be_split_anywhere(sent: list[Pdu], data: st.DataObject) -> None:
    """Whatever the reads are, one octet each or all at once, the same PDUs come out in order."""
    octets = b"".join(map(encode, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=8)))
    for edges in (cuts, range(1, len(octets))):
        framer, out = Framer(read_octets=data.draw(st.sampled_from([1, 7, 65536]))), []
        bounds = [0, *edges, len(octets)]
        for start, end in pairwise(bounds):
            out += framer.feed(memoryview(octets)[start:end])
        assert out == sent
        assert framer.pending == 0


@given(mutated().filter(lambda octets: twin_pdu.frame(octets) == len(octets) >= 16))
@settings(max_examples=800)
def test_the_hot_reader_reads_as_the_general_one(octets: bytes) -> None:
    """A deliver_sm through hot.pxd gives the fields, and the blame, of the general decoder."""
    octets = octets[:4] + Command.DELIVER_SM.to_bytes(4, "big") + octets[8:]
    status, read = read_deliver_sm(octets)
    twin_status, fields, options = outcome(octets)
    assert (status, read["sequence_number"]) == (twin_status, int.from_bytes(octets[12:16], "big"))
    for name in ("service_type", "source_addr", "destination_addr"):
        assert read[name] == fields[name]
    for name in ("source_addr_ton", "dest_addr_npi", "esm_class", "data_coding", "registered_delivery"):
        assert read[name] == (fields[name] or 0)
    first: dict[int, Any] = {}
    for tag, value in options:
        if tag != Tlv.MESSAGE_PAYLOAD or value:
            first.setdefault(tag, value)
    assert read["receipted_message_id"] == first.get(Tlv.RECEIPTED_MESSAGE_ID)
    assert read["network_error_code"] == first.get(Tlv.NETWORK_ERROR_CODE)
    assert read["short_message"] == (
        fields["short_message"] or first.get(Tlv.MESSAGE_PAYLOAD, fields["short_message"])
    )
    for tag, name in (
        (Tlv.MESSAGE_STATE, "message_state"),
        (Tlv.USER_MESSAGE_REFERENCE, "user_message_reference"),
    ):
        assert read[name] == next(
            (value for key, value in options if key == tag and isinstance(value, int)), None
        )
