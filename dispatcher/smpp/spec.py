"""Every PDU of SMPP 3.4 as a table: read it beside chapters 4 and 5.3 (layer 0: the standard library only).

One row a field, in wire order: name, type, greatest size in octets (the NUL included, as the specification
counts), and the command_status that a negative response blames it with. The compiled codec is driven by these
tables; nobody else writes down a size.
"""

from typing import Final, NamedTuple

from dispatcher.smpp.constants import RESPONSE_BIT, Command, CommandStatus, Tlv

# The types. The numbers are the compiled codec's and mean nothing else.
INTEGER: Final = 1
"""One octet in a body; 1, 2 or 4 in a TLV, most significant first."""
C_OCTET: Final = 2
"""C-octet string: octets and a NUL; ``bytes`` without the NUL."""
TIME: Final = 3
"""C-octet string of exactly 1 or 17 octets: empty, or ``YYMMDDhhmmsstnnp``."""
OCTETS: Final = 4
"""Octet string; only in TLVs, where a length stands before it."""
SHORT_MESSAGE: Final = 5
"""sm_length, one octet, then as many octets."""
DEST_ADDRESSES: Final = 6
"""number_of_dests, one octet, then as many dest_address: a dest_flag and an SME address or a list's name."""
UNSUCCESS_SMES: Final = 7
"""no_unsuccess, one octet, then as many unsuccess_sme."""


class Field(NamedTuple):
    """One mandatory parameter."""

    name: str
    kind: int
    size: int
    status: int = CommandStatus.ESME_RINVMSGLEN


class TlvSpec(NamedTuple):
    """One optional parameter: sizes of its value in octets."""

    name: str
    kind: int
    least: int
    most: int


class SmeAddress(NamedTuple):
    """A dest_address with dest_flag 1."""

    dest_addr_ton: int
    dest_addr_npi: int
    destination_addr: bytes


class DistributionList(NamedTuple):
    """A dest_address with dest_flag 2."""

    dl_name: bytes


class UnsuccessSme(NamedTuple):
    """A destination that submit_multi could not serve, and why."""

    dest_addr_ton: int
    dest_addr_npi: int
    destination_addr: bytes
    error_status_code: int


_SYSTEM_ID = Field("system_id", C_OCTET, 16, CommandStatus.ESME_RINVSYSID)
_PASSWORD = Field("password", C_OCTET, 9, CommandStatus.ESME_RINVPASWD)
_MESSAGE_ID = Field("message_id", C_OCTET, 65, CommandStatus.ESME_RINVMSGID)
_SERVICE_TYPE = Field("service_type", C_OCTET, 6, CommandStatus.ESME_RINVSERTYP)
_SOURCE = (
    Field("source_addr_ton", INTEGER, 1),
    Field("source_addr_npi", INTEGER, 1),
    Field("source_addr", C_OCTET, 21, CommandStatus.ESME_RINVSRCADR),
)
_DESTINATION = (
    Field("dest_addr_ton", INTEGER, 1),
    Field("dest_addr_npi", INTEGER, 1),
    Field("destination_addr", C_OCTET, 21, CommandStatus.ESME_RINVDSTADR),
)
_LONG_SOURCE = (*_SOURCE[:2], _SOURCE[2]._replace(size=65))
_LONG_DESTINATION = (*_DESTINATION[:2], _DESTINATION[2]._replace(size=65))
_TIMES = (
    Field("schedule_delivery_time", TIME, 17, CommandStatus.ESME_RINVSCHED),
    Field("validity_period", TIME, 17, CommandStatus.ESME_RINVEXPIRY),
)
_SHORT_MESSAGE = Field("short_message", SHORT_MESSAGE, 254)
_MESSAGE = (  # the common end of submit_sm, deliver_sm and submit_multi
    Field("esm_class", INTEGER, 1),
    Field("protocol_id", INTEGER, 1),
    Field("priority_flag", INTEGER, 1),
    *_TIMES,
    Field("registered_delivery", INTEGER, 1),
    Field("replace_if_present_flag", INTEGER, 1),
    Field("data_coding", INTEGER, 1),
    Field("sm_default_msg_id", INTEGER, 1),
    _SHORT_MESSAGE,
)
_BIND = (  # 4.1.1, 4.1.3, 4.1.5
    _SYSTEM_ID,
    _PASSWORD,
    Field("system_type", C_OCTET, 13, CommandStatus.ESME_RINVSYSTYP),
    Field("interface_version", INTEGER, 1),
    Field("addr_ton", INTEGER, 1),
    Field("addr_npi", INTEGER, 1),
    Field("address_range", C_OCTET, 41),
)

COMMANDS: Final[dict[int, tuple[Field, ...]]] = {
    Command.BIND_TRANSMITTER: _BIND,
    Command.BIND_TRANSMITTER_RESP: (_SYSTEM_ID,),
    Command.BIND_RECEIVER: _BIND,
    Command.BIND_RECEIVER_RESP: (_SYSTEM_ID,),
    Command.BIND_TRANSCEIVER: _BIND,
    Command.BIND_TRANSCEIVER_RESP: (_SYSTEM_ID,),
    Command.OUTBIND: (_SYSTEM_ID, _PASSWORD),  # 4.1.7
    Command.UNBIND: (),
    Command.UNBIND_RESP: (),
    Command.GENERIC_NACK: (),
    Command.SUBMIT_SM: (_SERVICE_TYPE, *_SOURCE, *_DESTINATION, *_MESSAGE),  # 4.4.1
    Command.SUBMIT_SM_RESP: (_MESSAGE_ID,),
    Command.SUBMIT_MULTI: (  # 4.5.1
        _SERVICE_TYPE,
        *_SOURCE,
        Field("dest_address", DEST_ADDRESSES, 254, CommandStatus.ESME_RINVNUMDESTS),
        *_MESSAGE,
    ),
    Command.SUBMIT_MULTI_RESP: (_MESSAGE_ID, Field("unsuccess_sme", UNSUCCESS_SMES, 255)),
    Command.DELIVER_SM: (_SERVICE_TYPE, *_SOURCE, *_DESTINATION, *_MESSAGE),  # 4.6.1
    Command.DELIVER_SM_RESP: (_MESSAGE_ID,),
    Command.DATA_SM: (  # 4.7.1
        _SERVICE_TYPE,
        *_LONG_SOURCE,
        *_LONG_DESTINATION,
        Field("esm_class", INTEGER, 1),
        Field("registered_delivery", INTEGER, 1),
        Field("data_coding", INTEGER, 1),
    ),
    Command.DATA_SM_RESP: (_MESSAGE_ID,),
    Command.QUERY_SM: (_MESSAGE_ID, *_SOURCE),  # 4.8.1
    Command.QUERY_SM_RESP: (
        _MESSAGE_ID,
        Field("final_date", TIME, 17),
        Field("message_state", INTEGER, 1),
        Field("error_code", INTEGER, 1),
    ),
    Command.CANCEL_SM: (_SERVICE_TYPE, _MESSAGE_ID, *_SOURCE, *_DESTINATION),  # 4.9.1
    Command.CANCEL_SM_RESP: (),
    Command.REPLACE_SM: (  # 4.10.1
        _MESSAGE_ID,
        *_SOURCE,
        *_TIMES,
        Field("registered_delivery", INTEGER, 1),
        Field("sm_default_msg_id", INTEGER, 1),
        _SHORT_MESSAGE,
    ),
    Command.REPLACE_SM_RESP: (),
    Command.ENQUIRE_LINK: (),
    Command.ENQUIRE_LINK_RESP: (),
    Command.ALERT_NOTIFICATION: (  # 4.12.1
        *_LONG_SOURCE,
        Field("esme_addr_ton", INTEGER, 1),
        Field("esme_addr_npi", INTEGER, 1),
        Field("esme_addr", C_OCTET, 65),
    ),
}

COMMAND_NAME: Final[dict[int, str]] = {
    value: name.lower() for name, value in vars(Command).items() if name.isupper()
}

UNANSWERED: Final = frozenset({Command.OUTBIND, Command.ALERT_NOTIFICATION})
"""Requests to which SMPP has no response."""

_BYTE: Final = (INTEGER, 1, 1)
_WORD: Final = (INTEGER, 2, 2)

_TLVS: Final[dict[str, tuple[int, int, int]]] = {
    "dest_addr_subunit": _BYTE,
    "dest_network_type": _BYTE,
    "dest_bearer_type": _BYTE,
    "dest_telematics_id": _WORD,
    "source_addr_subunit": _BYTE,
    "source_network_type": _BYTE,
    "source_bearer_type": _BYTE,
    "source_telematics_id": _BYTE,
    "qos_time_to_live": (INTEGER, 4, 4),
    "payload_type": _BYTE,
    "additional_status_info_text": (C_OCTET, 1, 256),
    "receipted_message_id": (C_OCTET, 1, 65),
    "ms_msg_wait_facilities": _BYTE,
    "privacy_indicator": _BYTE,
    "source_subaddress": (OCTETS, 2, 23),
    "dest_subaddress": (OCTETS, 2, 23),
    "user_message_reference": _WORD,
    "user_response_code": _BYTE,
    "source_port": _WORD,
    "destination_port": _WORD,
    "sar_msg_ref_num": _WORD,
    "language_indicator": _BYTE,
    "sar_total_segments": _BYTE,
    "sar_segment_seqnum": _BYTE,
    "sc_interface_version": _BYTE,
    "callback_num_pres_ind": _BYTE,
    "callback_num_atag": (OCTETS, 0, 65),
    "number_of_messages": _BYTE,
    "callback_num": (OCTETS, 4, 19),
    "dpf_result": _BYTE,
    "set_dpf": _BYTE,
    "ms_availability_status": _BYTE,
    "network_error_code": (OCTETS, 3, 3),
    "message_payload": (OCTETS, 0, 65535),
    "delivery_failure_reason": _BYTE,
    "more_messages_to_send": _BYTE,
    "message_state": _BYTE,
    "congestion_state": _BYTE,
    "ussd_service_op": _BYTE,
    "billing_identification": (OCTETS, 1, 1024),
    "source_network_id": (C_OCTET, 7, 65),
    "dest_network_id": (C_OCTET, 7, 65),
    "source_node_id": (OCTETS, 6, 6),
    "dest_node_id": (OCTETS, 6, 6),
    "dest_addr_np_resolution": _BYTE,
    "dest_addr_np_information": (OCTETS, 10, 10),
    "dest_addr_np_country": (OCTETS, 1, 5),
    "display_time": _BYTE,
    "sms_signal": _WORD,
    "ms_validity": _BYTE,
    "alert_on_message_delivery": (OCTETS, 0, 1),  # none in 3.4, one in 5.0
    "its_reply_type": _BYTE,
    "its_session_info": (OCTETS, 2, 2),
}

TLVS: Final[dict[int, TlvSpec]] = {
    getattr(Tlv, name.upper()): TlvSpec(name, *sizes) for name, sizes in _TLVS.items()
}

TLV_TAG: Final[dict[str, int]] = {spec.name: tag for tag, spec in TLVS.items()}


def response_id(command_id: int) -> int:
    """Return the command_id of the answer: generic_nack to an unknown request, 0 where none may be sent."""
    if command_id & RESPONSE_BIT or command_id in UNANSWERED:
        return 0
    return command_id | RESPONSE_BIT if command_id in COMMANDS else Command.GENERIC_NACK
