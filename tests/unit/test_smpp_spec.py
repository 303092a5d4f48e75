"""The tables of PDUs, TLVs, bits and numbers hang together."""

from dispatcher.smpp import flags, spec
from dispatcher.smpp.constants import Command, Tlv, is_request
from dispatcher.smpp.data_coding import data_coding_parts
from tests.ext import twin_pdu


def test_every_command_and_tag_has_its_row() -> None:
    """Nothing is named in the constants that the tables do not describe, and nothing twice."""
    commands = [value for name, value in vars(Command).items() if name.isupper()]
    tags = [value for name, value in vars(Tlv).items() if name.isupper()]
    assert sorted(spec.COMMANDS) == sorted(commands)
    assert sorted(spec.TLVS) == sorted(tags)
    assert len(set(commands)) == 27
    assert len([tag for tag in tags if tag != Tlv.CONGESTION_STATE and not 0x600 <= tag < 0x700]) == 44
    assert all(getattr(Tlv, row.name.upper()) == tag for tag, row in spec.TLVS.items())


def test_every_request_has_the_response_that_smpp_gives_it() -> None:
    """Its own with bit 31 set; outbind and alert_notification have none; an unknown request gets a nack."""
    for command_id in spec.COMMANDS:
        answer = spec.response_id(command_id)
        if is_request(command_id) and command_id not in (Command.OUTBIND, Command.ALERT_NOTIFICATION):
            assert answer == command_id + 0x80000000
            assert spec.COMMAND_NAME[answer] == f"{spec.COMMAND_NAME[command_id]}_resp"
        else:
            assert answer == 0
    assert spec.response_id(0x111) == Command.GENERIC_NACK
    assert spec.response_id(0x80000111) == 0


def test_sizes_are_those_of_the_specification() -> None:
    """The sizes that peers get wrong: a password of 8 and a NUL, addresses of 20 and of 64."""
    sizes = {
        (command_id, field.name): field.size for command_id, row in spec.COMMANDS.items() for field in row
    }
    assert sizes[Command.BIND_TRANSCEIVER, "system_id"] == 16
    assert sizes[Command.BIND_TRANSCEIVER, "password"] == 9
    assert sizes[Command.BIND_TRANSCEIVER, "system_type"] == 13
    assert sizes[Command.BIND_TRANSCEIVER, "address_range"] == 41
    assert sizes[Command.SUBMIT_SM, "service_type"] == 6
    assert sizes[Command.SUBMIT_SM, "destination_addr"] == 21
    assert sizes[Command.SUBMIT_SM, "validity_period"] == 17
    assert sizes[Command.SUBMIT_SM, "short_message"] == 254
    assert sizes[Command.SUBMIT_SM_RESP, "message_id"] == 65
    assert sizes[Command.DATA_SM, "destination_addr"] == 65
    assert sizes[Command.ALERT_NOTIFICATION, "esme_addr"] == 65


def test_widths_of_tlvs_are_those_of_the_twin() -> None:
    """The twin decoder's own list of numbers, strings and octets says the same of every TLV."""
    widths = {tag: row.least for tag, row in spec.TLVS.items() if row.kind == spec.INTEGER}
    assert widths == twin_pdu.NUMBER_TLVS
    assert {tag for tag, row in spec.TLVS.items() if row.kind == spec.C_OCTET} == twin_pdu.STRING_TLVS
    assert {tag for tag, row in spec.TLVS.items() if row.kind == spec.OCTETS} == twin_pdu.OCTET_TLVS


def test_every_octet_can_be_explained() -> None:
    """No value of a bit field or of data_coding is an error."""
    for value in range(256):
        assert flags.esm_parts(value).type
        assert flags.registered_parts(value).receipt
        assert data_coding_parts(value).alphabet
    assert flags.is_user_acknowledgement(0x10)
    assert not flags.is_user_acknowledgement(0x18)
    assert not flags.is_delivery_acknowledgement(0x18)
    assert flags.network_error(b"\x03\x00\x08") == (3, 8, b"\x03\x00\x08")
    assert flags.network_error(b"\x03") == (None, None, b"\x03")
