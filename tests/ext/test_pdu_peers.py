"""The codec against other people's: smpplib (Python) and smpp34 (Rust), where they can parse."""

from typing import Any

import smpp34
import smpplib.client
import smpplib.command
import smpplib.ptypes
import smpplib.smpp
from hypothesis import assume, given, settings

from dispatcher._ext.pdu import Pdu, SubmitTemplate, decode, encode
from dispatcher.smpp import spec
from dispatcher.smpp.constants import Command
from tests.ext.test_pdu_random import pdus

UNKNOWN_TO_SMPPLIB = {
    Command.SUBMIT_MULTI,
    Command.SUBMIT_MULTI_RESP,
    Command.CANCEL_SM,
    Command.CANCEL_SM_RESP,
    Command.REPLACE_SM,
    Command.REPLACE_SM_RESP,
    Command.OUTBIND,
}
TYPES = {spec.INTEGER: int, spec.C_OCTET: str, spec.OCTETS: smpplib.ptypes.ostr}


def smpplib_reads(octets: bytes) -> Any:
    """Parse with smpplib, unknown TLVs allowed."""
    client = smpplib.client.SimpleSequenceGenerator()
    return smpplib.smpp.parse_pdu(octets, client=client, allow_unknown_opt_params=True)


def known_to_smpplib(pdu: Pdu) -> Pdu:
    """Keep the TLVs that it knows for the command (another stops it), with the right type and size."""
    client = smpplib.client.SimpleSequenceGenerator()
    params = smpplib.command.factory(pdu.name, client=client).params
    tags = {tag for tag, row in spec.TLVS.items() if row.name in params and row.name not in pdu.fields}
    right = set()
    for tag in tags:
        row, param = spec.TLVS[tag], params[spec.TLVS[tag].name]
        if param.type is TYPES[row.kind] and (row.kind != spec.INTEGER or param.size == row.least):
            right.add(tag)
    tlvs = [(tag, value) for tag, value in pdu.tlvs if tag in right]
    return Pdu(pdu.command_id, pdu.sequence_number, pdu.command_status, tlvs, **pdu.fields)


@given(pdus())
@settings(max_examples=400)
def test_smpplib_reads_what_we_write(pdu: Pdu) -> None:
    """Header, mandatory parameters and the TLVs that it knows for the command are the same."""
    assume(pdu.command_id not in UNKNOWN_TO_SMPPLIB)
    pdu = known_to_smpplib(pdu)
    theirs = smpplib_reads(encode(pdu))
    assert theirs.command == pdu.name
    assert (theirs.status, theirs.sequence) == (pdu.command_status, pdu.sequence_number)
    for name, value in pdu.fields.items():
        assert (getattr(theirs, name) or type(value)()) == value, name  # an empty end it leaves None
    for tag, value in dict(pdu.tlvs).items():  # of a repeated one it keeps the last
        assert getattr(theirs, spec.TLVS[tag].name) == value, spec.TLVS[tag].name


@given(pdus())
@settings(max_examples=400)
def test_smpp34_reads_what_we_write(pdu: Pdu) -> None:
    """Its header, and of submit_sm and deliver_sm every field and every TLV, octet by octet."""
    octets = encode(pdu)
    try:
        theirs: Any = smpp34.decode(octets)
    except smpp34.SmppError:
        fields = [value for value in pdu.fields.values() if isinstance(value, bytes)]
        assert any(not value.isascii() for value in fields), "it refuses only strings that are not ASCII"
        return
    assert (theirs.command_id, theirs.sequence_number) == (pdu.command_id, pdu.sequence_number)
    if pdu.command_id not in (Command.SUBMIT_SM, Command.DELIVER_SM):
        assert (theirs.command_status, theirs.body) == (pdu.command_status, octets[16:])
        return
    for name, value in pdu.fields.items():
        found = getattr(theirs, name)
        if not isinstance(found, str):
            assert found == value, name
        elif value.isascii():
            assert found == value.decode(), name
    assert [(tlv.tag, len(tlv.value)) for tlv in theirs.tlvs] == [
        (tag, wire_length(tag, value)) for tag, value in pdu.tlvs
    ]
    numbers = {tag: value for tag, value in reversed(pdu.tlvs) if isinstance(value, int)}
    for tlv in reversed(theirs.tlvs):
        if tlv.tag in numbers:
            assert int.from_bytes(tlv.value, "big") in [value for tag, value in pdu.tlvs if tag == tlv.tag]


def wire_length(tag: int, value: int | bytes) -> int:
    """Return the length of a TLV's value on the wire."""
    if isinstance(value, int):
        return spec.TLVS[tag].least
    return len(value) + (tag in spec.TLVS and spec.TLVS[tag].kind == spec.C_OCTET)


def test_we_read_what_they_write() -> None:
    """A submit_sm of either peer reads as what it was built from; the template writes smpp34's octets."""
    fields: dict[str, Any] = {
        "source_addr_ton": 5, "source_addr_npi": 0, "dest_addr_ton": 1, "dest_addr_npi": 1, "esm_class": 3,
        "registered_delivery": 1, "data_coding": 8,
    }  # fmt: skip
    theirs = smpp34.SubmitSm("Bank", "79991234567", b"\x04\x1f", sequence_number=1, **fields).encode()
    client = smpplib.client.SimpleSequenceGenerator()
    also: bytes = smpplib.smpp.make_pdu(
        "submit_sm", client=client, source_addr="Bank", destination_addr="79991234567",
        short_message=b"\x04\x1f", **fields,
    ).generate()  # fmt: skip
    ours = Pdu(
        Command.SUBMIT_SM, 1, source_addr=b"Bank", destination_addr=b"79991234567", short_message=b"\x04\x1f",
        **fields,
    )  # fmt: skip
    assert decode(theirs) == ours
    assert decode(also).fields == ours.fields
    assert encode(ours) == theirs
    assert SubmitTemplate().encode(1, b"Bank", b"79991234567", b"\x04\x1f", **fields) == theirs
