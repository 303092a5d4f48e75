"""The PDU as a value, what encoding refuses, what decoding tolerates, and the framer's bounds."""

import copy
import pickle
import struct
from typing import Any

import pytest

from dispatcher._ext.pdu import (
    Framer,
    Pdu,
    SubmitTemplate,
    decode,
    encode,
    read_deliver_sm,
    read_submit_sm_resps,
    write_responses,
)
from dispatcher.errors import LocalProtocolError, Recoverable, RemoteProtocolError, Unrecoverable
from dispatcher.smpp.constants import Command, CommandStatus, Tlv
from dispatcher.smpp.spec import COMMANDS, DistributionList, SmeAddress, UnsuccessSme

NUMBER = b"79991234567"


def raw(command_id: int, body: bytes = b"", status: int = 0, sequence_number: int = 9) -> bytes:
    """Return a frame around a body."""
    return struct.pack(">4I", 16 + len(body), command_id, status, sequence_number) + body


def refused(command_id: int, body: bytes) -> Recoverable:
    """Return what a broken body is refused with."""
    with pytest.raises(Recoverable) as caught:
        decode(raw(command_id, body))
    return caught.value


def deliver_body(**changes: bytes) -> bytes:
    """Return the body of a deliver_sm, field by field."""
    fields = {
        "service_type": b"\0",
        "source_addr": b"\x01\x01" + NUMBER + b"\0",
        "destination_addr": b"\x05\x00Bank\0",
        "flags": b"\x04\0\0",
        "times": b"\0\0",
        "more": b"\0\0\0\0",
        "short_message": b"\x02id",
        "tlvs": b"",
    }
    return b"".join((fields | changes).values())


# ---- the value


def test_fields_and_tlvs_are_attributes() -> None:
    """Parameters are read by their SMPP 3.4 name; an absent TLV is None, a strange name an error."""
    pdu = Pdu(Command.SUBMIT_SM, 1, destination_addr=NUMBER, short_message=b"hi", user_message_reference=7)
    assert (pdu.destination_addr, pdu.short_message, pdu.sm_length, pdu.esm_class) == (NUMBER, b"hi", 2, 0)
    assert (pdu.user_message_reference, pdu.sar_total_segments) == (7, None)
    assert (pdu.name, pdu.is_response, pdu.tlvs) == ("submit_sm", False, ((Tlv.USER_MESSAGE_REFERENCE, 7),))
    assert list(pdu.fields) == [field.name for field in COMMANDS[Command.SUBMIT_SM]]
    with pytest.raises(AttributeError):
        pdu.system_id  # noqa: B018
    with pytest.raises(LocalProtocolError, match="no field 'text'"):
        Pdu(Command.SUBMIT_SM, 1, text=b"hi")


def test_a_pdu_never_changes_and_compares_by_value() -> None:
    """It can be a key, be copied and pickled; no attribute can be set."""
    pdu = Pdu(Command.SUBMIT_SM, 1, short_message=b"hi", tlvs=[(0x1400, b"x")])
    assert pdu == decode(encode(pdu)) == pickle.loads(pickle.dumps(pdu)) == copy.deepcopy(pdu)
    assert len({pdu, decode(encode(pdu))}) == 1
    assert pdu != Pdu(Command.SUBMIT_SM, 2, short_message=b"hi", tlvs=[(0x1400, b"x")])
    for name in ("command_id", "short_message", "other"):
        with pytest.raises((AttributeError, TypeError)):
            setattr(pdu, name, 1)


def test_no_personal_data_in_repr_or_errors() -> None:
    """An operator sees names, numbers and lengths; neither an address nor a text nor a password."""
    pdu = Pdu(
        Command.SUBMIT_SM, 1, source_addr=b"Secret", destination_addr=NUMBER, short_message=b"code 1234",
        receipted_message_id=b"77",
    )  # fmt: skip
    bind = Pdu(Command.BIND_TRANSCEIVER, 1, system_id=b"bank", password=b"hunter2")
    many = Pdu(Command.SUBMIT_MULTI, 1, dest_address=[SmeAddress(1, 1, NUMBER)])
    shown = repr(pdu) + repr(bind) + repr(many)
    for secret in ("Secret", NUMBER.decode(), "1234", "hunter2"):
        assert secret not in shown
    assert "<11 octets>" in shown
    assert "system_id=b'bank'" in shown
    assert "receipted_message_id=b'77'" in shown
    with pytest.raises(LocalProtocolError) as caught:
        encode(Pdu(Command.SUBMIT_SM, 1, destination_addr=NUMBER * 2))
    assert NUMBER.decode() not in str(caught.value) + repr(caught.value)
    assert NUMBER.decode() not in repr(refused(Command.DELIVER_SM, deliver_body(tlvs=b"\0")))


def test_a_request_makes_its_response() -> None:
    """The response has the request's number and may have its fields; alert_notification has none."""
    request = Pdu(Command.SUBMIT_SM, 77)
    assert encode(request.response(message_id=b"a1")) == raw(Command.SUBMIT_SM_RESP, b"a1\0", 0, 77)
    assert encode(request.response(CommandStatus.ESME_RTHROTTLED)) == raw(
        Command.SUBMIT_SM_RESP, b"", 0x58, 77
    )
    with pytest.raises(LocalProtocolError):
        Pdu(Command.ALERT_NOTIFICATION, 1).response()


def test_the_lists_of_submit_multi() -> None:
    """Destinations are SME addresses and lists, failures carry their status; counts are derived."""
    dests = (SmeAddress(1, 1, NUMBER), DistributionList(b"staff"))
    pdu = decode(encode(Pdu(Command.SUBMIT_MULTI, 1, dest_address=dests)))
    assert (pdu.dest_address, pdu.number_of_dests) == (dests, 2)
    failed = (UnsuccessSme(1, 1, NUMBER, CommandStatus.ESME_RINVDSTADR),)
    answer = decode(encode(pdu.response(message_id=b"5", unsuccess_sme=failed)))
    assert (answer.unsuccess_sme, answer.no_unsuccess) == (failed, 1)
    wrong = raw(Command.SUBMIT_MULTI, b"\0\0\0\0\x01\x03")
    with pytest.raises(Recoverable, match="dest_flag 3") as caught:
        decode(wrong)
    assert caught.value.command_status == CommandStatus.ESME_RINVDESTFLAG


# ---- encoding refuses

REFUSED: list[tuple[int, dict[str, Any], str]] = [
    (Command.SUBMIT_SM, {"source_addr": b"1" * 21}, "submit_sm.source_addr: 21 octets, at most 20"),
    (Command.SUBMIT_SM, {"service_type": b"123456"}, "service_type: 6 octets, at most 5"),
    (Command.SUBMIT_SM, {"destination_addr": b"1\x002"}, "destination_addr: a NUL inside"),
    (Command.SUBMIT_SM, {"destination_addr": "79"}, "bytes are expected, not str"),
    (Command.SUBMIT_SM, {"short_message": b"x" * 255}, "short_message: 255 octets, at most 254"),
    (Command.SUBMIT_SM, {"short_message": b"x", "message_payload": b"y"}, "exactly one may be"),
    (Command.SUBMIT_SM, {"message_payload": b"x" * 65536}, "message_payload: 65536 octets"),
    (Command.SUBMIT_SM, {"esm_class": 256}, "esm_class: 256 does not fit, 0 to 255"),
    (Command.SUBMIT_SM, {"esm_class": -1}, "esm_class: -1 does not fit"),
    (Command.SUBMIT_SM, {"esm_class": b"1"}, "esm_class: an int is expected, not bytes"),
    (Command.SUBMIT_SM, {"validity_period": b"000005000000"}, "validity_period: 12 octets, b'' or 16"),
    (Command.SUBMIT_SM, {"short_message": None}, "it is missing"),
    (Command.SUBMIT_SM, {"sar_msg_ref_num": 65536}, "sar_msg_ref_num: 65536 does not fit, 0 to 65535"),
    (Command.SUBMIT_SM, {"callback_num": b"123"}, "callback_num: 3 octets, 4 to 19"),
    (Command.SUBMIT_SM, {"receipted_message_id": b"1" * 65}, "receipted_message_id: 66 octets, 1 to 65"),
    (Command.SUBMIT_SM, {"tlvs": [(0x10000, b"")]}, "a tag is an int, 0 to 0xffff"),
    (Command.SUBMIT_SM, {"tlvs": [(0x1400, 5)]}, "0x1400: bytes are expected, not int"),
    (Command.SUBMIT_SM, {"command_status": 8}, "a request has 0"),
    (Command.SUBMIT_SM, {"sequence_number": 0}, "a request has 1 to 0x7fffffff"),
    (Command.SUBMIT_SM, {"sequence_number": 0x80000000}, "a request has 1 to 0x7fffffff"),
    (Command.SUBMIT_SM, {"sequence_number": 1 << 32}, "0 to 0xffffffff is possible"),
    (0x111, {}, "0x00000111 is not of SMPP 3.4"),
    (Command.BIND_TRANSCEIVER, {"password": b"123456789"}, "password: 9 octets, at most 8"),
    (Command.BIND_TRANSCEIVER, {"system_id": b"1" * 16}, "system_id: 16 octets, at most 15"),
    (Command.SUBMIT_MULTI, {}, "dest_address: 0 entries, 1 to 254"),
    (Command.SUBMIT_MULTI, {"dest_address": [DistributionList(b"1" * 21)]}, "dl_name: 21 octets"),
    (Command.SUBMIT_MULTI, {"dest_address": [(1, 2)]}, "an entry is an SmeAddress"),
    (Command.SUBMIT_SM_RESP, {"message_id": b"1" * 65}, "message_id: 65 octets, at most 64"),
    (Command.QUERY_SM_RESP, {"message_id": b"1", "final_date": None}, "final_date: it is missing"),
    (Command.SUBMIT_SM, {"tlvs": [(0x1400, b"x" * 65535), (0x1401, b"x" * 9000)]}, "at most 70000"),
]


@pytest.mark.parametrize(("command_id", "changes", "message"), REFUSED)
def test_what_does_not_fit_is_refused(command_id: int, changes: dict[str, Any], message: str) -> None:
    """The error says which field, how much it is, and what would fit; nothing is cut."""
    arguments = {"command_id": command_id, "sequence_number": 1} | changes
    with pytest.raises(LocalProtocolError, match=message.replace(".", r"\.")):
        encode(Pdu(**arguments))


@pytest.mark.parametrize("command_id", sorted(COMMANDS))
def test_every_field_is_full_at_its_size_and_refused_beyond(command_id: int) -> None:
    """Each C-octet string of each PDU takes its size less a NUL, and not one octet more."""
    need: dict[str, Any] = (
        {"dest_address": [SmeAddress(0, 0, b"")]} if command_id == Command.SUBMIT_MULTI else {}
    )
    for field in COMMANDS[command_id]:
        if field.kind == 2:
            fits = Pdu(command_id, 1, **{field.name: b"x" * (field.size - 1)} | need)
            assert getattr(decode(encode(fits)), field.name) == b"x" * (field.size - 1)
            with pytest.raises(LocalProtocolError) as caught:
                encode(Pdu(command_id, 1, **{field.name: b"x" * field.size} | need))
            assert caught.value.field == field.name


# ---- decoding tolerates, and blames

TOLERATED: list[tuple[int, int, bytes, str, bytes | None, int]] = [
    # command, status, body, field, what it reads as, flaws
    (Command.SUBMIT_SM_RESP, 0x58, b"", "message_id", None, 0),
    (Command.SUBMIT_SM_RESP, 0x58, b"\0", "message_id", b"", 0),
    (Command.SUBMIT_SM_RESP, 0x58, b"garbage", "message_id", None, 1),
    (Command.SUBMIT_SM_RESP, 0, b"", "message_id", None, 0),
    (Command.SUBMIT_SM_RESP, 0, b"x" * 65 + b"\0", "message_id", b"x" * 65, 1),
    (Command.SUBMIT_SM_RESP, 0, b"a\0\0", "message_id", b"a", 1),
    (Command.DELIVER_SM_RESP, 0, b"", "message_id", None, 0),
    (Command.BIND_TRANSCEIVER_RESP, 0, b"smsc\0", "system_id", b"smsc", 0),
    (Command.BIND_TRANSCEIVER_RESP, 0x0E, b"", "system_id", None, 0),
    (Command.QUERY_SM_RESP, 0x67, b"\0", "message_id", b"", 0),
    (Command.SUBMIT_MULTI_RESP, 0, b"a\0", "unsuccess_sme", None, 0),
    (Command.DATA_SM_RESP, 0xFE, b"a\0\x04\x25\0\x01\x02", "message_id", b"a", 0),
]


@pytest.mark.parametrize(("command_id", "status", "body", "field", "value", "flaws"), TOLERATED)
def test_the_ends_of_responses_are_tolerated(
    command_id: int, status: int, body: bytes, field: str, value: bytes | None, flaws: int
) -> None:
    """A response may stop after any field, hold one NUL, an id too long, or rubbish beside an error."""
    pdu = decode(raw(command_id, body, status))
    assert getattr(pdu, field) == value
    assert (pdu.command_status, pdu.sequence_number, len(pdu.flaws)) == (status, 9, flaws)


@pytest.mark.parametrize("command_id", [Command.ENQUIRE_LINK_RESP, Command.UNBIND_RESP, Command.GENERIC_NACK])
def test_one_nul_after_a_bodyless_response_is_tolerated(command_id: int) -> None:
    """Some SMSCs end every response with a NUL."""
    assert decode(raw(command_id, b"\0")).flaws == ("one NUL after the body",)


BLAMED: list[tuple[bytes, int]] = [
    (deliver_body(service_type=b"toolong\0"), CommandStatus.ESME_RINVSERTYP),
    (deliver_body(source_addr=b"\1\1" + b"1" * 21 + b"\0"), CommandStatus.ESME_RINVSRCADR),
    (deliver_body(destination_addr=b"\1\1" + b"1" * 21 + b"\0"), CommandStatus.ESME_RINVDSTADR),
    (deliver_body(times=b"1" * 17 + b"\0\0"), CommandStatus.ESME_RINVSCHED),
    (deliver_body(times=b"\0" + b"1" * 17 + b"\0"), CommandStatus.ESME_RINVEXPIRY),
    (deliver_body(short_message=b"\xff" + b"x" * 9), CommandStatus.ESME_RINVMSGLEN),
    (deliver_body(tlvs=b"\x04\x24\xff\xffabc"), CommandStatus.ESME_RINVOPTPARSTREAM),
    (deliver_body(tlvs=b"\x04\x24\0"), CommandStatus.ESME_RINVOPTPARSTREAM),
    (b"no NUL anywhere", CommandStatus.ESME_RINVMSGLEN),
    (b"", CommandStatus.ESME_RINVMSGLEN),
]


@pytest.mark.parametrize(("body", "status"), BLAMED)
def test_a_broken_request_is_refused_by_its_field(body: bytes, status: int) -> None:
    """The frame is intact: the refusal names the field's status and the answer, what was read comes along."""
    error = refused(Command.DELIVER_SM, body)
    assert (error.command_status, error.sequence_number) == (status, 9)
    assert (error.command_id, error.response_id) == (Command.DELIVER_SM, Command.DELIVER_SM_RESP)
    assert error.partial is not None
    assert error.partial.fields.keys() == {field.name for field in COMMANDS[Command.DELIVER_SM]}
    assert read_deliver_sm(raw(Command.DELIVER_SM, body))[0] == status


def test_a_long_field_does_not_hide_the_rest() -> None:
    """An over-long string is the complaint, and everything after it can be read all the same."""
    body = deliver_body(source_addr=b"\1\1" + b"1" * 30 + b"\0", tlvs=b"\x04\x27\0\x01\x02")
    partial = refused(Command.DELIVER_SM, body).partial
    assert partial is not None
    assert (partial.short_message, partial.message_state) == (b"id", 2)


def test_an_unknown_command_is_refused_and_an_unknown_response_is_not_answered() -> None:
    """generic_nack answers a request that nobody knows; a response is never answered."""
    assert refused(0x110, b"x").response_id == Command.GENERIC_NACK
    assert refused(0x80000110, b"").response_id == 0
    assert refused(0xFFFFFFFF, b"").command_status == CommandStatus.ESME_RINVCMDID
    assert refused(Command.SUBMIT_SM_RESP, b"no NUL").response_id == 0
    assert refused(Command.ALERT_NOTIFICATION, b"").response_id == 0


def test_a_number_of_another_width_is_read() -> None:
    """A TLV of 1 to 4 octets is a number whatever the table says; wider, it is no number but kept."""
    for octets, value in ((b"\0\x02", 2), (b"\0\0\0\x05", 5), (b"\x02", 2)):
        tlv = b"\x04\x27" + len(octets).to_bytes(2, "big") + octets
        pdu = decode(raw(Command.DELIVER_SM, deliver_body(tlvs=tlv)))
        assert (pdu.message_state, len(pdu.flaws)) == (value, len(octets) > 1)
        assert read_deliver_sm(raw(Command.DELIVER_SM, deliver_body(tlvs=tlv)))[1]["message_state"] == value
    wide = decode(raw(Command.DELIVER_SM, deliver_body(tlvs=b"\x04\x27\0\x05\0\0\0\0\x02")))
    assert (wide.message_state, wide.tlv(Tlv.MESSAGE_STATE)) == (None, b"\0\0\0\0\x02")


def test_of_a_repeated_tlv_the_first_counts_and_all_are_kept() -> None:
    """Attribute access gives the first; ``tlvs`` has them in wire order."""
    pdu = decode(raw(Command.DELIVER_SM, deliver_body(tlvs=b"\x04\x27\0\1\2\x04\x27\0\1\5")))
    assert (pdu.message_state, [value for _, value in pdu.tlvs]) == (2, [2, 5])
    twice = b"\x04\x27\0\1\2\x04\x27\0\1\5\0\x1e\0\2a\0\0\x1e\0\2b\0\2\4\0\2\0\1\2\4\0\2\0\2"
    twice += b"\4\x23\0\3\3\0\1\4\x23\0\3\3\0\2"
    read = read_deliver_sm(raw(Command.DELIVER_SM, deliver_body(tlvs=twice)))[1]
    assert (read["message_state"], read["receipted_message_id"]) == (2, b"a")
    assert (read["user_message_reference"], read["network_error_code"]) == (1, b"\3\0\1")


# ---- frames


@pytest.mark.parametrize("length", [0, 1, 15, 70_001, 0x7FFFFFFF, 0xFFFFFFFF, 0x47455420])
def test_an_impossible_length_ends_the_stream(length: int) -> None:
    """Four octets are enough to know; PDUs before it are not lost, whatever follows is not read."""
    good = Pdu(Command.ENQUIRE_LINK, 1)
    framer = Framer()
    first, lost = framer.feed(encode(good) + length.to_bytes(4, "big"))
    assert first == good
    assert isinstance(lost, Unrecoverable)
    assert isinstance(lost, RemoteProtocolError)
    assert (lost.command_length, lost.command_status) == (length, CommandStatus.ESME_RINVCMDLEN)
    assert (framer.feed(encode(good)), framer.pending) == ([lost], 0)


def test_the_limit_is_an_argument() -> None:
    """A carrier whose PDUs are short may be held to it; the greatest PDU of all passes by default."""
    longest = encode(Pdu(Command.DATA_SM, 1, message_payload=b"x" * 65535))
    assert len(Framer().feed(longest)) == 1
    assert isinstance(Framer(limit=1000).feed(longest)[0], Unrecoverable)
    with pytest.raises(Unrecoverable):
        decode(longest, limit=1000)
    with pytest.raises(ValueError, match="limit"):
        Framer(limit=15)


def test_a_pdu_must_fill_what_decode_is_given() -> None:
    """decode is for one whole PDU: less or more is out of step."""
    octets = encode(Pdu(Command.ENQUIRE_LINK, 1))
    for wrong in (b"", octets[:3], octets[:-1], octets + b"\0"):
        with pytest.raises(Unrecoverable):
            decode(wrong)


# ---- the hot paths


def test_the_template_writes_what_the_general_encoder_writes() -> None:
    """Constant fields of the carrier, changing ones of the segment: the same octets."""
    template = SubmitTemplate(service_type=b"CMT", priority_flag=1, tlvs=[(0x1400, b"id")])
    fields: dict[str, Any] = {
        "source_addr_ton": 5, "source_addr": b"Bank", "dest_addr_ton": 1, "dest_addr_npi": 1,
        "destination_addr": NUMBER, "esm_class": 0x40, "registered_delivery": 1, "data_coding": 8,
        "validity_period": b"000000000500000R", "short_message": b"\x05\0\x03\1\2\1text",
    }  # fmt: skip
    constant: dict[str, Any] = {"service_type": b"CMT", "priority_flag": 1}
    assert template.encode(7, **fields) == encode(Pdu(4, 7, tlvs=[(0x1400, b"id")], **constant, **fields))
    payload = fields | {"short_message": b"", "message_payload": b"x" * 2000}
    assert decode(template.encode(7, **payload)).message_payload == b"x" * 2000
    extra = template.encode(7, tlvs=[(Tlv.SAR_MSG_REF_NUM, 5)], **fields)
    assert decode(extra).tlvs == ((0x1400, b"id"), (Tlv.SAR_MSG_REF_NUM, 5))
    assert decode(SubmitTemplate().encode(1, b"", NUMBER, b"")) == Pdu(
        4, 1, destination_addr=NUMBER, dest_addr_ton=1, dest_addr_npi=1
    )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"source_addr": b"1" * 21}, "source_addr"),
        ({"source_addr": b"1\0"}, "source_addr"),
        ({"destination_addr": b""}, "destination_addr"),
        ({"destination_addr": b"1" * 21}, "destination_addr"),
        ({"validity_period": b"0000"}, "validity_period"),
        ({"short_message": b"x" * 255}, "short_message"),
        ({"message_payload": b"x"}, "message_payload"),
        ({"message_payload": b"x" * 65536, "short_message": b""}, "message_payload"),
        ({"sequence_number": 0}, "sequence_number"),
        ({"sequence_number": 0x80000000}, "sequence_number"),
    ],
)
def test_the_template_refuses_what_the_general_encoder_refuses(changes: dict[str, Any], field: str) -> None:
    """Every size is checked on the fast path too, and an empty destination besides."""
    arguments: dict[str, Any] = {
        "sequence_number": 1, "source_addr": b"Bank", "destination_addr": NUMBER, "short_message": b"hi",
    }  # fmt: skip
    with pytest.raises(LocalProtocolError) as caught:
        SubmitTemplate().encode(**arguments | changes)
    assert caught.value.field == field
    with pytest.raises(LocalProtocolError):
        SubmitTemplate(service_type=b"123456")
    with pytest.raises(LocalProtocolError):
        SubmitTemplate(tlvs=[(Tlv.MESSAGE_PAYLOAD, b"x")])


def test_responses_are_written_in_one_go() -> None:
    """deliver_sm_resp has its empty message_id, enquire_link_resp nothing; any sequence_number is echoed."""
    rows = [(1, 0), (0, 0x64), (0xFFFFFFFF, 0)]
    for command_id, body in ((Command.DELIVER_SM_RESP, b"\0"), (Command.ENQUIRE_LINK_RESP, b"")):
        fields: dict[str, Any] = {"message_id": b""} if body else {}
        octets = write_responses(command_id, rows)
        assert octets == b"".join(raw(command_id, body, status, number) for number, status in rows)
        assert Framer().feed(octets) == [Pdu(command_id, number, status, **fields) for number, status in rows]
    with pytest.raises(OverflowError):
        write_responses(Command.ENQUIRE_LINK_RESP, [(1 << 32, 0)])
    assert write_responses(Command.UNBIND_RESP, []) == b""


def test_responses_are_read_in_one_go() -> None:
    """Sequence, status and id of every submit_sm_resp in a buffer; a missing or broken id is None."""
    octets = (
        raw(Command.SUBMIT_SM_RESP, b"a1\0", 0, 1)
        + raw(Command.SUBMIT_SM_RESP, b"", 0x58, 2)
        + raw(Command.SUBMIT_SM_RESP, b"\0", 0, 3)
        + raw(Command.SUBMIT_SM_RESP, b"no NUL", 0, 4)
        + raw(Command.SUBMIT_SM_RESP, b"x" * 65 + b"\0", 0, 5)
    )
    assert read_submit_sm_resps(octets) == [
        (1, 0, b"a1"), (2, 0x58, None), (3, 0, b""), (4, 0, None), (5, 0, b"x" * 65),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="whole"):
        read_submit_sm_resps(octets + b"\0")
