"""A slow, obvious twin of the PDU decoder, written from the specification and not from the codec's tables.

One line a PDU: ``name:size`` in wire order. ``cN`` is a C-octet string of at most N octets with its NUL,
``1`` an integer, ``sm`` sm_length and short_message, ``dests`` and ``unsuccess`` the lists of submit_multi.
"""

from typing import Any, NamedTuple

SOURCE = "source_addr_ton:1 source_addr_npi:1 source_addr:c21 "
DESTINATION = "dest_addr_ton:1 dest_addr_npi:1 destination_addr:c21 "
TIMES = "schedule_delivery_time:c17 validity_period:c17 "
MESSAGE = (
    "esm_class:1 protocol_id:1 priority_flag:1 " + TIMES + "registered_delivery:1 replace_if_present_flag:1 "
    "data_coding:1 sm_default_msg_id:1 short_message:sm"
)
BIND = "system_id:c16 password:c9 system_type:c13 interface_version:1 addr_ton:1 addr_npi:1 address_range:c41"
LAYOUT = {
    0x80000000: "",
    0x00000001: BIND,
    0x80000001: "system_id:c16",
    0x00000002: BIND,
    0x80000002: "system_id:c16",
    0x00000003: "message_id:c65 " + SOURCE,
    0x80000003: "message_id:c65 final_date:c17 message_state:1 error_code:1",
    0x00000004: "service_type:c6 " + SOURCE + DESTINATION + MESSAGE,
    0x80000004: "message_id:c65",
    0x00000005: "service_type:c6 " + SOURCE + DESTINATION + MESSAGE,
    0x80000005: "message_id:c65",
    0x00000006: "",
    0x80000006: "",
    0x00000007: "message_id:c65 "
    + SOURCE
    + TIMES
    + "registered_delivery:1 sm_default_msg_id:1 short_message:sm",
    0x80000007: "",
    0x00000008: "service_type:c6 message_id:c65 " + SOURCE + DESTINATION,
    0x80000008: "",
    0x00000009: BIND,
    0x80000009: "system_id:c16",
    0x0000000B: "system_id:c16 password:c9",
    0x00000015: "",
    0x80000015: "",
    0x00000021: "service_type:c6 " + SOURCE + "dest_address:dests " + MESSAGE,
    0x80000021: "message_id:c65 unsuccess_sme:unsuccess",
    0x00000102: "source_addr_ton:1 source_addr_npi:1 source_addr:c65 "
    "esme_addr_ton:1 esme_addr_npi:1 esme_addr:c65",
    0x00000103: "service_type:c6 "
    + (SOURCE + DESTINATION).replace("c21", "c65")
    + "esm_class:1 registered_delivery:1 data_coding:1",
    0x80000103: "message_id:c65",
}
NUMBER_TLVS = {  # tag -> octets
    **dict.fromkeys([0x05, 0x06, 0x07, 0x0D, 0x0E, 0x0F, 0x10, 0x19, 0x30], 1),
    **dict.fromkeys([0x0201, 0x0205, 0x020D, 0x020E, 0x020F, 0x0210, 0x0302, 0x0304], 1),
    **dict.fromkeys([0x0420, 0x0421, 0x0422, 0x0425, 0x0426, 0x0427, 0x0428, 0x0501, 0x0611], 1),
    **dict.fromkeys([0x1201, 0x1204, 0x1380], 1),
    **dict.fromkeys([0x08, 0x0204, 0x020A, 0x020B, 0x020C, 0x1203], 2),
    0x17: 4,
}
STRING_TLVS = {0x1D, 0x1E, 0x060D, 0x060E}
OCTET_TLVS = {
    0x0202, 0x0203, 0x0303, 0x0381, 0x0423, 0x0424, 0x060B, 0x060F, 0x0610, 0x0612, 0x0613, 0x130C, 0x1383,
}  # fmt: skip
BLAME = {
    "service_type": 0x15,
    "source_addr": 0x0A,
    "destination_addr": 0x0B,
    "dest_address": 0x0B,
    "unsuccess_sme": 0x0B,
    "dl_name": 0x34,
    "message_id": 0x0C,
    "system_id": 0x0F,
    "password": 0x0E,
    "system_type": 0x53,
    "schedule_delivery_time": 0x61,
    "validity_period": 0x62,
}


class Reading(NamedTuple):
    """What the twin made of a frame: ``status`` 0, or what the Recoverable would blame it with."""

    status: int
    fields: dict[str, Any]
    tlvs: list[tuple[int, Any]]


class Ends(Exception):  # noqa: N818 - it is no error here
    """The rest of the body cannot be read."""


class Body:
    """The octets after the header, and the first complaint about them."""

    def __init__(self, octets: bytes) -> None:
        self.octets = octets
        self.complaint = ""
        self.status = 0

    def blame(self, status: int, complaint: str) -> None:
        """Keep the first."""
        if not self.status:
            self.status, self.complaint = status, complaint

    def take(self, count: int) -> bytes:
        """Cut so many octets off the front."""
        if count > len(self.octets):
            self.blame(1, "ends")
            raise Ends
        taken, self.octets = self.octets[:count], self.octets[count:]
        return taken

    def string(self, size: int, name: str) -> bytes:
        """Cut a C-octet string off the front."""
        text, nul, rest = self.octets.partition(b"\0")
        if not nul:
            self.blame(1, "ends")
            raise Ends
        self.octets = rest
        if len(text) + 1 > size:
            self.blame(BLAME.get(name, 1), "long")
        return text


def frame(octets: bytes, limit: int = 70_000) -> int:
    """As frame_length in wire.pxd."""
    if len(octets) < 4:
        return 0
    length = int.from_bytes(octets[:4], "big")
    if not 16 <= length <= limit:
        return -1
    return length if length <= len(octets) else 0


def decode(pdu: bytes) -> Reading:
    """Read one whole frame."""
    command_id, command_status = int.from_bytes(pdu[4:8], "big"), int.from_bytes(pdu[8:12], "big")
    if command_id not in LAYOUT:
        return Reading(3, {}, [])
    response = command_id >= 0x80000000
    names = [item.split(":") for item in LAYOUT[command_id].split()]
    fields: dict[str, Any] = dict.fromkeys(name for name, _ in names)
    tlvs: list[tuple[int, Any]] = []
    body = Body(pdu[16:])
    try:
        for name, kind in names:
            if response and not body.octets:
                break
            fields[name] = take_field(body, name, kind)
        if not (response and body.octets == b"\0"):
            take_tlvs(body, tlvs, response, not names)
    except Ends:
        pass
    unanswered = response or command_id in (0x0B, 0x102)
    tolerated = (response and command_status != 0) or (unanswered and body.complaint == "long")
    return Reading(0 if tolerated else body.status, fields, tlvs)


def take_field(body: Body, name: str, kind: str) -> Any:
    """Read one mandatory parameter."""
    if kind == "1":
        return body.take(1)[0]
    if kind == "sm":
        return body.take(body.take(1)[0])
    if kind.startswith("c"):
        return body.string(int(kind[1:]), name)
    entries: list[tuple[Any, ...]] = []
    for _ in range(body.take(1)[0]):
        flag = body.take(1)[0] if kind == "dests" else 1
        if flag == 2:
            entries.append((body.string(21, "dl_name"),))
        elif flag == 1:
            ton, npi = body.take(1)[0], body.take(1)[0]
            address = body.string(21, name)
            error = (int.from_bytes(body.take(4), "big"),) if kind == "unsuccess" else ()
            entries.append((ton, npi, address, *error))
        else:
            body.blame(0x40, "flag")
            raise Ends
    return tuple(entries)


def take_tlvs(body: Body, tlvs: list[tuple[int, Any]], response: bool, bodyless: bool) -> None:
    """Read the optional parameters."""
    while body.octets:
        if len(body.octets) < 4:
            body.blame(2 if bodyless else 1 if response else 0xC0, "tlv header")
            return
        tag, length = (int.from_bytes(body.octets[i : i + 2], "big") for i in (0, 2))
        value = body.octets[4 : 4 + length]
        if len(value) < length:
            body.blame(2 if bodyless or response else 0xC0, "tlv value")
            if tag in STRING_TLVS | OCTET_TLVS:
                tlvs.append((tag, typed(tag, value)))
            return
        tlvs.append((tag, typed(tag, value)))
        body.octets = body.octets[4 + length :]


def typed(tag: int, value: bytes) -> Any:
    """Numbers as int, C-octet strings up to their NUL, the rest raw."""
    if tag in NUMBER_TLVS and 1 <= len(value) <= 4:
        return int.from_bytes(value, "big")
    return value.partition(b"\0")[0] if tag in STRING_TLVS else value
