"""The numbers of SMPP 3.4, spelled as in the specification (layer 0: the standard library only).

Plain ints in namespaces, not enums: a PDU carries whatever number the peer sent, an unknown one too, and
importing this file must cost nothing. Where 5.0 adds a harmless value it is marked.
"""

from typing import Final

INTERFACE_VERSION: Final = 0x34
"""What we say in a bind. 5.0 only by option of a carrier."""

HEADER_OCTETS: Final = 16
"""command_length, command_id, command_status, sequence_number."""

COMMAND_LENGTH_MAX: Final = 70_000
"""The longest PDU we take or make: a message_payload of 65,535 octets and everything around it fit."""

SEQUENCE_NUMBER_MAX: Final = 0x7FFFFFFF
"""The last number a requester uses; the next is 1. A response echoes any uint32, even 0."""

SHORT_MESSAGE_OCTETS_MAX: Final = 254
"""sm_length of 255 is reserved (5.2.21)."""

RESPONSE_BIT: Final = 0x80000000
"""Set in the command_id of every response, and of generic_nack."""


class Command:
    """command_id (5.1.2.1)."""

    GENERIC_NACK: Final = 0x80000000
    BIND_RECEIVER: Final = 0x00000001
    BIND_RECEIVER_RESP: Final = 0x80000001
    BIND_TRANSMITTER: Final = 0x00000002
    BIND_TRANSMITTER_RESP: Final = 0x80000002
    QUERY_SM: Final = 0x00000003
    QUERY_SM_RESP: Final = 0x80000003
    SUBMIT_SM: Final = 0x00000004
    SUBMIT_SM_RESP: Final = 0x80000004
    DELIVER_SM: Final = 0x00000005
    DELIVER_SM_RESP: Final = 0x80000005
    UNBIND: Final = 0x00000006
    UNBIND_RESP: Final = 0x80000006
    REPLACE_SM: Final = 0x00000007
    REPLACE_SM_RESP: Final = 0x80000007
    CANCEL_SM: Final = 0x00000008
    CANCEL_SM_RESP: Final = 0x80000008
    BIND_TRANSCEIVER: Final = 0x00000009
    BIND_TRANSCEIVER_RESP: Final = 0x80000009
    OUTBIND: Final = 0x0000000B
    ENQUIRE_LINK: Final = 0x00000015
    ENQUIRE_LINK_RESP: Final = 0x80000015
    SUBMIT_MULTI: Final = 0x00000021
    SUBMIT_MULTI_RESP: Final = 0x80000021
    ALERT_NOTIFICATION: Final = 0x00000102
    DATA_SM: Final = 0x00000103
    DATA_SM_RESP: Final = 0x80000103


class CommandStatus:
    """command_status (5.1.3; from 0x100 on: 5.0). What to do about each stands in ``smpp/status.py``."""

    ESME_ROK: Final = 0x00000000
    ESME_RINVMSGLEN: Final = 0x00000001
    ESME_RINVCMDLEN: Final = 0x00000002
    ESME_RINVCMDID: Final = 0x00000003
    ESME_RINVBNDSTS: Final = 0x00000004
    ESME_RALYBND: Final = 0x00000005
    ESME_RINVPRTFLG: Final = 0x00000006
    ESME_RINVREGDLVFLG: Final = 0x00000007
    ESME_RSYSERR: Final = 0x00000008
    ESME_RINVSRCADR: Final = 0x0000000A
    ESME_RINVDSTADR: Final = 0x0000000B
    ESME_RINVMSGID: Final = 0x0000000C
    ESME_RBINDFAIL: Final = 0x0000000D
    ESME_RINVPASWD: Final = 0x0000000E
    ESME_RINVSYSID: Final = 0x0000000F
    ESME_RCANCELFAIL: Final = 0x00000011
    ESME_RREPLACEFAIL: Final = 0x00000013
    ESME_RMSGQFUL: Final = 0x00000014
    ESME_RINVSERTYP: Final = 0x00000015
    ESME_RINVNUMDESTS: Final = 0x00000033
    ESME_RINVDLNAME: Final = 0x00000034
    ESME_RINVDESTFLAG: Final = 0x00000040
    ESME_RINVSUBREP: Final = 0x00000042
    ESME_RINVESMCLASS: Final = 0x00000043
    ESME_RCNTSUBDL: Final = 0x00000044
    ESME_RSUBMITFAIL: Final = 0x00000045
    ESME_RINVSRCTON: Final = 0x00000048
    ESME_RINVSRCNPI: Final = 0x00000049
    ESME_RINVDSTTON: Final = 0x00000050
    ESME_RINVDSTNPI: Final = 0x00000051
    ESME_RINVSYSTYP: Final = 0x00000053
    ESME_RINVREPFLAG: Final = 0x00000054
    ESME_RINVNUMMSGS: Final = 0x00000055
    ESME_RTHROTTLED: Final = 0x00000058
    ESME_RINVSCHED: Final = 0x00000061
    ESME_RINVEXPIRY: Final = 0x00000062
    ESME_RINVDFTMSGID: Final = 0x00000063
    ESME_RX_T_APPN: Final = 0x00000064
    ESME_RX_P_APPN: Final = 0x00000065
    ESME_RX_R_APPN: Final = 0x00000066
    ESME_RQUERYFAIL: Final = 0x00000067
    ESME_RINVOPTPARSTREAM: Final = 0x000000C0  # ESME_RINVTLVSTREAM in 5.0
    ESME_ROPTPARNOTALLWD: Final = 0x000000C1  # ESME_RTLVNOTALLWD in 5.0
    ESME_RINVPARLEN: Final = 0x000000C2  # ESME_RINVTLVLEN in 5.0
    ESME_RMISSINGOPTPARAM: Final = 0x000000C3  # ESME_RMISSINGTLV in 5.0
    ESME_RINVOPTPARAMVAL: Final = 0x000000C4  # ESME_RINVTLVVAL in 5.0
    ESME_RDELIVERYFAILURE: Final = 0x000000FE
    ESME_RUNKNOWNERR: Final = 0x000000FF
    ESME_RSERTYPUNAUTH: Final = 0x00000100
    ESME_RPROHIBITED: Final = 0x00000101
    ESME_RSERTYPUNAVAIL: Final = 0x00000102
    ESME_RSERTYPDENIED: Final = 0x00000103
    ESME_RINVDCS: Final = 0x00000104
    ESME_RINVSRCADDRSUBUNIT: Final = 0x00000105
    ESME_RINVDSTADDRSUBUNIT: Final = 0x00000106
    ESME_RINVBCASTFREQINT: Final = 0x00000107
    ESME_RINVBCASTALIAS_NAME: Final = 0x00000108
    ESME_RINVBCASTAREAFMT: Final = 0x00000109
    ESME_RINVNUMBCAST_AREAS: Final = 0x0000010A
    ESME_RINVBCASTCNTTYPE: Final = 0x0000010B
    ESME_RINVBCASTMSGCLASS: Final = 0x0000010C
    ESME_RBCASTFAIL: Final = 0x0000010D
    ESME_RBCASTQUERYFAIL: Final = 0x0000010E
    ESME_RBCASTCANCELFAIL: Final = 0x0000010F
    ESME_RINVBCAST_REP: Final = 0x00000110
    ESME_RINVBCASTSRVGRP: Final = 0x00000111
    ESME_RINVBCASTCHANIND: Final = 0x00000112


VENDOR_STATUS_FIRST: Final = 0x400
VENDOR_STATUS_LAST: Final = 0x4FF
"""The range that every SMSC vendor fills as it likes."""


class Tlv:
    """Tags of the optional parameters (5.3.2). Their types and sizes stand in ``smpp/spec.py``."""

    DEST_ADDR_SUBUNIT: Final = 0x0005
    DEST_NETWORK_TYPE: Final = 0x0006
    DEST_BEARER_TYPE: Final = 0x0007
    DEST_TELEMATICS_ID: Final = 0x0008
    SOURCE_ADDR_SUBUNIT: Final = 0x000D
    SOURCE_NETWORK_TYPE: Final = 0x000E
    SOURCE_BEARER_TYPE: Final = 0x000F
    SOURCE_TELEMATICS_ID: Final = 0x0010
    QOS_TIME_TO_LIVE: Final = 0x0017
    PAYLOAD_TYPE: Final = 0x0019
    ADDITIONAL_STATUS_INFO_TEXT: Final = 0x001D
    RECEIPTED_MESSAGE_ID: Final = 0x001E
    MS_MSG_WAIT_FACILITIES: Final = 0x0030
    PRIVACY_INDICATOR: Final = 0x0201
    SOURCE_SUBADDRESS: Final = 0x0202
    DEST_SUBADDRESS: Final = 0x0203
    USER_MESSAGE_REFERENCE: Final = 0x0204
    USER_RESPONSE_CODE: Final = 0x0205
    SOURCE_PORT: Final = 0x020A
    DESTINATION_PORT: Final = 0x020B
    SAR_MSG_REF_NUM: Final = 0x020C
    LANGUAGE_INDICATOR: Final = 0x020D
    SAR_TOTAL_SEGMENTS: Final = 0x020E
    SAR_SEGMENT_SEQNUM: Final = 0x020F
    SC_INTERFACE_VERSION: Final = 0x0210
    CALLBACK_NUM_PRES_IND: Final = 0x0302
    CALLBACK_NUM_ATAG: Final = 0x0303
    NUMBER_OF_MESSAGES: Final = 0x0304
    CALLBACK_NUM: Final = 0x0381
    DPF_RESULT: Final = 0x0420
    SET_DPF: Final = 0x0421
    MS_AVAILABILITY_STATUS: Final = 0x0422
    NETWORK_ERROR_CODE: Final = 0x0423
    MESSAGE_PAYLOAD: Final = 0x0424
    DELIVERY_FAILURE_REASON: Final = 0x0425
    MORE_MESSAGES_TO_SEND: Final = 0x0426
    MESSAGE_STATE: Final = 0x0427
    CONGESTION_STATE: Final = 0x0428  # 5.0
    USSD_SERVICE_OP: Final = 0x0501
    BILLING_IDENTIFICATION: Final = 0x060B  # 5.0
    SOURCE_NETWORK_ID: Final = 0x060D  # 5.0
    DEST_NETWORK_ID: Final = 0x060E  # 5.0
    SOURCE_NODE_ID: Final = 0x060F  # 5.0
    DEST_NODE_ID: Final = 0x0610  # 5.0
    DEST_ADDR_NP_RESOLUTION: Final = 0x0611  # 5.0
    DEST_ADDR_NP_INFORMATION: Final = 0x0612  # 5.0
    DEST_ADDR_NP_COUNTRY: Final = 0x0613  # 5.0
    DISPLAY_TIME: Final = 0x1201
    SMS_SIGNAL: Final = 0x1203
    MS_VALIDITY: Final = 0x1204
    ALERT_ON_MESSAGE_DELIVERY: Final = 0x130C
    ITS_REPLY_TYPE: Final = 0x1380
    ITS_SESSION_INFO: Final = 0x1383


class Ton:
    """Type of number (5.2.5)."""

    UNKNOWN: Final = 0
    INTERNATIONAL: Final = 1
    NATIONAL: Final = 2
    NETWORK_SPECIFIC: Final = 3
    SUBSCRIBER_NUMBER: Final = 4
    ALPHANUMERIC: Final = 5
    ABBREVIATED: Final = 6


class Npi:
    """Numbering plan indicator (5.2.6)."""

    UNKNOWN: Final = 0
    ISDN: Final = 1
    DATA: Final = 3
    TELEX: Final = 4
    LAND_MOBILE: Final = 6
    NATIONAL: Final = 8
    PRIVATE: Final = 9
    ERMES: Final = 10
    INTERNET: Final = 14
    WAP_CLIENT_ID: Final = 18


class EsmClass:
    """esm_class (5.2.12): a mode, a type, two feature bits. Mask first: reserved bits are no error."""

    MODE_MASK: Final = 0x03
    DEFAULT_MODE: Final = 0x00
    DATAGRAM: Final = 0x01
    FORWARD: Final = 0x02
    STORE_AND_FORWARD: Final = 0x03

    TYPE_MASK: Final = 0x3C
    DELIVERY_RECEIPT: Final = 0x04
    DELIVERY_ACKNOWLEDGEMENT: Final = 0x08
    USER_ACKNOWLEDGEMENT: Final = 0x10
    CONVERSATION_ABORT: Final = 0x18
    INTERMEDIATE_NOTIFICATION: Final = 0x20

    UDHI: Final = 0x40
    REPLY_PATH: Final = 0x80


class RegisteredDelivery:
    """registered_delivery (5.2.17)."""

    RECEIPT_MASK: Final = 0x03
    NO_RECEIPT: Final = 0x00
    RECEIPT: Final = 0x01
    RECEIPT_ON_FAILURE: Final = 0x02
    RECEIPT_ON_SUCCESS: Final = 0x03  # 5.0; reserved in 3.4

    ACKNOWLEDGEMENT_MASK: Final = 0x0C
    DELIVERY_ACKNOWLEDGEMENT: Final = 0x04
    USER_ACKNOWLEDGEMENT: Final = 0x08

    INTERMEDIATE_NOTIFICATION: Final = 0x10


class DataCoding:
    """data_coding (5.2.19); groups 0x10 and up are those of TS 23.038, see ``smpp/data_coding.py``."""

    SMSC_DEFAULT: Final = 0x00
    IA5: Final = 0x01
    BINARY_ALIAS: Final = 0x02
    LATIN_1: Final = 0x03
    BINARY: Final = 0x04
    JIS: Final = 0x05
    CYRILLIC: Final = 0x06
    LATIN_HEBREW: Final = 0x07
    UCS2: Final = 0x08
    PICTOGRAM: Final = 0x09
    ISO_2022_JP: Final = 0x0A
    EXTENDED_KANJI_JIS: Final = 0x0D
    KS_C_5601: Final = 0x0E


class MessageState:
    """message_state (5.2.28)."""

    SCHEDULED: Final = 0  # 5.0
    ENROUTE: Final = 1
    DELIVERED: Final = 2
    EXPIRED: Final = 3
    DELETED: Final = 4
    UNDELIVERABLE: Final = 5
    ACCEPTED: Final = 6
    UNKNOWN: Final = 7
    REJECTED: Final = 8
    SKIPPED: Final = 9  # 5.0


class PriorityFlag:
    """priority_flag (5.2.14) in GSM networks; what an SMSC makes of it is the vendor's."""

    NONE: Final = 0
    PRIORITY_1: Final = 1
    PRIORITY_2: Final = 2
    PRIORITY_3: Final = 3


class DestFlag:
    """dest_flag of submit_multi (5.2.25)."""

    SME_ADDRESS: Final = 1
    DISTRIBUTION_LIST: Final = 2


def is_request(command_id: int) -> bool:
    """Whether a PDU asks: bit 31 is clear. generic_nack is a response."""
    return not command_id & RESPONSE_BIT


def next_sequence_number(sequence_number: int, last: int = SEQUENCE_NUMBER_MAX) -> int:
    """Return what follows: 1, 2, ... ``last``, 1 again; never 0."""
    return sequence_number + 1 if sequence_number < last else 1
