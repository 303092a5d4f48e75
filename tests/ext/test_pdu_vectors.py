"""The codec against outside PDUs: whole ones, and 52 that are truncated, lying or broken by a vendor."""

from typing import Any

import pytest

from dispatcher._ext.pdu import Framer, Pdu, decode, encode
from dispatcher.errors import LocalProtocolError, Recoverable, Unrecoverable
from dispatcher.smpp.constants import CommandStatus
from dispatcher.smpp.spec import C_OCTET, INTEGER, TLVS
from dispatcher.smpp.status import Disposition, disposition
from tests.ext import twin_pdu
from tests.vectors import Vector, load

WHOLE = load("pdu_decode")
MALFORMED = load("pdu_malformed")

NOT_OURS_TO_SEND = {
    "pdu_decode-044": "a request with a command_status",
    "pdu_decode-095": "a password of nine octets: read, since nobody can answer an outbind",
    "pdu_decode-069": "short_message and message_payload both filled",
    "pdu_decode-117": "a request with a command_status",
}
"""What we read but refuse to write; so too a request with sequence_number 0 or over 0x7fffffff."""


def octets_of(vector: Vector) -> bytes:
    """Return the PDU."""
    return bytes.fromhex(vector.input["hex"])


def text_of(value: Any) -> Any:
    """Return a field as the vectors write it: C-octet strings as text, the rest as it is."""
    return value.decode("latin-1") if isinstance(value, bytes) else value


def tlv_octets(tag: int, value: int | bytes) -> bytes:
    """Return what a decoded TLV may have been on the wire, the NUL of a C-octet string left out."""
    return value.to_bytes(TLVS[tag].least, "big") if isinstance(value, int) else value


def same_tlv(tag: int, value: int | bytes, wire: str) -> bool:
    """Compare a decoded TLV with its octets."""
    expected = bytes.fromhex(wire)
    if tag in TLVS and TLVS[tag].kind == C_OCTET:
        expected = expected.partition(b"\0")[0]
    return tlv_octets(tag, value) == expected


@pytest.mark.parametrize("vector", WHOLE, ids=str)
def test_a_whole_pdu_reads_as_its_peer_says(vector: Vector) -> None:
    """Header, mandatory parameters and TLVs are what the peer's test, and the strict reference, found."""
    pdu = decode(octets_of(vector))
    for expected in (vector.expect, vector.derived):
        for name, value in expected.items():
            if name == "command_length":
                assert len(octets_of(vector)) == value
            elif name == "command":
                assert pdu.name == value
            elif name == "short_message":
                assert pdu.short_message.hex() == value
            elif name == "text":
                codec = "utf-16-be" if pdu.data_coding == 8 else "latin-1"
                assert pdu.esm_class & 0x40 or value.encode(codec) in pdu.short_message
            elif name == "absent":
                assert all(getattr(pdu, field) is None for field in value)
            elif name == "tlvs" and isinstance(value, dict):
                for tag, wire in value.items():
                    assert same_tlv(int(tag, 16), pdu.tlv(int(tag, 16)), wire)
            elif name == "tlvs":
                assert len(pdu.tlvs) == len(value)
                for (tag, found), row in zip(pdu.tlvs, value, strict=True):
                    assert tag == int(row["tag"], 16)
                    assert same_tlv(tag, found, row["value"])
            elif name in ("dest_address", "unsuccess_sme"):
                assert len(getattr(pdu, name)) == len(value)
                for entry, row in zip(getattr(pdu, name), value, strict=True):
                    fields = {key: text_of(field) for key, field in entry._asdict().items()}
                    assert fields == {key: field for key, field in row.items() if key != "dest_flag"}
            else:
                assert text_of(getattr(pdu, name)) == value, name


@pytest.mark.parametrize("vector", WHOLE, ids=str)
def test_a_whole_pdu_is_written_back(vector: Vector) -> None:
    """Encoding gives octets that read the same; the very same where nothing was tolerated."""
    octets = octets_of(vector)
    pdu = decode(octets)
    sequence_is_ours = pdu.is_response or 1 <= pdu.sequence_number <= 0x7FFFFFFF
    if vector.id in NOT_OURS_TO_SEND or not sequence_is_ours:
        with pytest.raises(LocalProtocolError):
            encode(pdu)
        return
    try:
        again = encode(pdu)
    except LocalProtocolError:
        assert strange_sizes(pdu), "only a TLV of a size that SMPP does not allow may stop it"
        return
    assert decode(again) == pdu
    strings = [tag for tag, _ in pdu.tlvs if tag in TLVS and TLVS[tag].kind == C_OCTET]
    if not pdu.flaws and not strings:
        assert again == octets


def strange_sizes(pdu: Pdu) -> bool:
    """Tell whether a known TLV has a size outside its table."""
    for tag, value in pdu.tlvs:
        row = TLVS.get(tag)
        if row is not None and (row.kind == INTEGER) != isinstance(value, int):
            return True
        if row is not None and isinstance(value, bytes) and not row.least <= len(value) <= row.most:
            return True
    return False


@pytest.mark.parametrize("vector", WHOLE, ids=str)
def test_the_twin_agrees_about_a_whole_pdu(vector: Vector) -> None:
    """The slow decoder reads the same: it can be trusted as the oracle of the random tests."""
    pdu, twin = decode(octets_of(vector)), twin_pdu.decode(octets_of(vector))
    assert twin == (0, pdu.fields, list(pdu.tlvs))


# ---- the malformed: what the expectations mean here ------------------------------------------------------

FATAL_BUT_UNFINISHED = {
    "pdu_malformed-017": "253 octets announced, 29 came: the framer waits, a read timeout ends it",
    "pdu_malformed-026": "30 announced, 29 came: the same",
    "pdu_malformed-038": "61 announced, 59 came: the same",
    "pdu_malformed-033": "8193 octets are no offence here: message_payload may have 65,535",
    "pdu_malformed-027": "a fragment of one octet: not even a command_length",
}
"""The peer calls these an error; a framer that trusts command_length needs more data."""

REFUSED_EARLY = {
    "pdu_malformed-020": "the peer waits for the 16th octet; its command_length is 16,909,060",
}
"""We refuse an illegal command_length as soon as its four octets are there."""

POLICY = {
    "pdu_malformed-008": "sequence_number 0x80000000: taken, to be echoed",
    "pdu_malformed-009": "sequence_number 0: taken, to be echoed",
    "pdu_malformed-014": "the last TLV lies: Recoverable, and the receipt stands in its partial",
    "pdu_malformed-028": "what is out of step reads as an unknown TLV 0x1002: the bind counts",
    "pdu_malformed-033": "the limit is 70,000, not 4096",
    "pdu_malformed-035": "sm_length over the frame: refused with RINVMSGLEN, not read past the frame",
}
"""Where the standard leaves it open, what we chose. A new one must be added here on purpose."""


def test_every_policy_is_decided() -> None:
    """The table above names exactly the vectors that the standard leaves open."""
    assert set(POLICY) == {vector.id for vector in MALFORMED if vector.std == "policy"}


def fed(vector: Vector) -> tuple[list[Pdu | Recoverable | Unrecoverable], int]:
    """Feed the octets; return what came out and how many octets wait for more."""
    framer = Framer()
    return framer.feed(octets_of(vector)), framer.pending


@pytest.mark.parametrize("vector", MALFORMED, ids=str)
def test_a_malformed_pdu_costs_only_itself(vector: Vector) -> None:
    """Every octet is accounted for: PDUs, Recoverables, waiting, or one Unrecoverable; the twin agrees."""
    octets, (out, pending) = octets_of(vector), fed(vector)
    at = 0
    for item in out:
        length = twin_pdu.frame(octets[at:])
        if isinstance(item, Unrecoverable):
            assert (length, pending, item) == (-1, 0, out[-1])
            return
        twin = twin_pdu.decode(octets[at : at + length])
        partial = item.partial if isinstance(item, Recoverable) else item
        assert twin.status == (item.command_status if isinstance(item, Recoverable) else 0)
        if partial is not None:
            assert (twin.fields, twin.tlvs) == (partial.fields, list(partial.tlvs))
        at += length
    assert twin_pdu.frame(octets[at:]) == 0
    assert pending == len(octets) - at


@pytest.mark.parametrize("vector", MALFORMED, ids=str)
def test_a_malformed_pdu_is_judged_as_expected(vector: Vector) -> None:
    """What the peer's test expects of it, or the standard's ruling where the peer is wrong."""
    expect, (out, pending) = vector.expect, fed(vector)
    if vector.std == "differs":
        check_difference(vector, out, pending)
    elif vector.id in REFUSED_EARLY:
        assert isinstance(out[0], Unrecoverable)
    elif "need_more" in expect or vector.id in FATAL_BUT_UNFINISHED:
        assert (out, pending) == ([], len(octets_of(vector)))
    elif expect.get("fatal"):
        (lost,) = out
        assert isinstance(lost, Unrecoverable)
        assert lost.command_status == CommandStatus.ESME_RINVCMDLEN
    elif vector.id in POLICY or vector.id == "pdu_malformed-012":
        check_salvage(vector, out)
    elif "first" in expect:
        check_first_and_then(expect, out, pending)
    elif "error" in expect:
        (refused,) = [item for item in out if isinstance(item, Recoverable)]
        if expect["error"].startswith("ESME_"):
            assert refused.command_status == getattr(CommandStatus, expect["error"])
        else:
            assert refused.command_status == CommandStatus.ESME_RINVCMDID
            assert (refused.response_id == 0) == (refused.command_id >= 0x80000000)
        assert "rest_hex" not in expect or pending == len(expect["rest_hex"]) // 2
    else:
        check_fields(expect, out[0])
        assert "rest_hex" not in expect or pending == len(expect["rest_hex"]) // 2


def check_fields(expect: dict[str, Any], item: object) -> None:
    """Compare a PDU with an expectation; a status that nobody knows stays the number it is."""
    assert isinstance(item, Pdu)
    for name, value in expect.items():
        if name == "command":
            assert item.name == value
        elif name == "raw_status":
            assert item.command_status == value
        elif name == "mapped" and item.command_status not in (0xC5, 0xFD, 0x100):
            assert disposition(item.command_status) is Disposition.UNKNOWN
        elif name not in ("mapped", "rest_hex"):
            assert text_of(getattr(item, name)) == value


def check_first_and_then(expect: dict[str, Any], out: list[Any], pending: int) -> None:
    """An unknown PDU does not disturb the next; half a PDU waits."""
    if "error" in expect["first"]:
        assert isinstance(out[0], Recoverable)
        assert out[0].response_id == 0x80000000
    else:
        check_fields(expect["first"], out[0])
    if expect["then"].get("need_more"):
        assert (len(out), pending) == (1, expect["then"]["left"])
    else:
        check_fields(expect["then"], out[1])


def check_salvage(vector: Vector, out: list[Any]) -> None:
    """What can be read is handed over with the refusal."""
    item = out[0]
    if vector.id in ("pdu_malformed-008", "pdu_malformed-009", "pdu_malformed-028"):
        check_fields(vector.expect, item)
        return
    assert isinstance(item, Recoverable)
    partial = item.partial
    assert partial is not None
    if vector.id == "pdu_malformed-014":
        salvage = vector.expect["salvage"]
        assert (item.command_status, item.response_id) == (CommandStatus.ESME_RINVOPTPARSTREAM, 0x80000005)
        assert partial.message_state == salvage["message_state"]
        assert partial.receipted_message_id.decode() == salvage["receipted_message_id"]
        assert f"stat:{salvage['stat']}" in partial.short_message.decode()
    elif vector.id == "pdu_malformed-035":
        assert item.command_status == CommandStatus.ESME_RINVMSGLEN
        assert partial.short_message is None
    else:
        check_fields(vector.expect["partial"], partial)


def check_difference(vector: Vector, out: list[Any], pending: int) -> None:
    """The peer ignores command_length: we cut there, refuse what does not fit, and lose the rest."""
    octets = octets_of(vector)
    length = int.from_bytes(octets[:4], "big")
    if length > 70_000:  # the peer waits for 4 GiB
        assert isinstance(out[0], Unrecoverable)
    elif length > len(octets):
        assert (out, pending) == ([], len(octets))
    else:
        assert isinstance(out[0], Recoverable)
        assert out[0].command_status == CommandStatus.ESME_RINVMSGLEN
        assert out[0].partial is not None
        assert out[0].partial.short_message is None
        stray = len(octets) - length
        assert (out[1:] and isinstance(out[1], Unrecoverable)) or pending == stray < 4
