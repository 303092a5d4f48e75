"""Pdu -> octets, and SubmitTemplate; a part of pdu.pyx. Nothing is cut: what does not fit is refused."""


cdef object refuse(str owner, str field, str what):
    """The error; `owner` is the PDU, or "" for a TLV or an argument."""
    return LocalProtocolError(f"{owner}.{field}: {what}" if owner else f"{field}: {what}", field)

cdef uint32_t check_uint32(str name, object value) except? 0xFFFFFFFF:
    if not isinstance(value, int):
        raise refuse("", name, f"an int is expected, not {type(value).__name__}")
    if not 0 <= value <= 0xFFFFFFFF:
        raise refuse("", name, "0 to 0xffffffff is possible")
    return value

cdef uint8_t *room(Outbox *outbox, Py_ssize_t octets) except NULL:
    cdef uint8_t *at = outbox_room(outbox, octets)
    if at == NULL:
        raise MemoryError
    return at

cdef bytes octets_of(str owner, str field, object value):
    if type(value) is bytes:
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, str):
        raise refuse(owner, field, "bytes are expected, not str: text is encoded before it comes here")
    raise refuse(owner, field, f"bytes are expected, not {type(value).__name__}")

cdef int append_number(Outbox *outbox, str owner, str field, object value, int size) except -1:
    cdef uint8_t *at
    cdef uint32_t number
    cdef int i
    if not isinstance(value, int):
        raise refuse(owner, field, f"an int is expected, not {type(value).__name__}")
    if not 0 <= value <= 0xFFFFFFFF or <uint64_t>value >> (8 * size):
        raise refuse(owner, field, f"{value} does not fit, 0 to {256 ** size - 1} is possible")
    number = value
    at = room(outbox, size)
    for i in range(size):
        at[i] = <uint8_t>(number >> (8 * (size - 1 - i)))
    outbox.used += size
    return 0

cdef int append_octets(Outbox *outbox, bytes octets) except -1:
    cdef Py_ssize_t length = PyBytes_GET_SIZE(octets)
    put_octets(room(outbox, length), <const uint8_t *>PyBytes_AS_STRING(octets), length)
    outbox.used += length
    return 0

cdef int append_c_octets(Outbox *outbox, str owner, str field, object value, Py_ssize_t size) except -1:
    cdef bytes octets = octets_of(owner, field, value)
    cdef Py_ssize_t length = PyBytes_GET_SIZE(octets)
    if length >= size:
        raise refuse(owner, field, f"{length} octets, at most {size - 1} and a NUL are possible; nothing is cut")
    if memchr(PyBytes_AS_STRING(octets), 0, length) != NULL:
        raise refuse(owner, field, "a NUL inside would end it early")
    put_u8(put_octets(room(outbox, length + 1), <const uint8_t *>PyBytes_AS_STRING(octets), length), 0)
    outbox.used += length + 1
    return 0

cdef int append_list(Outbox *outbox, str owner, str field, object value, int kind, Py_ssize_t most) except -1:
    cdef Py_ssize_t least = 1 if kind == DEST_ADDRESSES else 0
    if not isinstance(value, tuple):
        raise refuse(owner, field, f"a tuple is expected, not {type(value).__name__}")
    if not least <= len(value) <= most:
        raise refuse(owner, field, f"{len(value)} entries, {least} to {most} are possible")
    append_number(outbox, owner, field, len(value), 1)
    for entry in value:
        if not isinstance(entry, tuple) or len(entry) not in ({1, 3} if kind == DEST_ADDRESSES else {4}):
            raise refuse(owner, field, "an entry is an SmeAddress or a DistributionList; in a response an UnsuccessSme")
        if kind == DEST_ADDRESSES:
            append_number(outbox, owner, "dest_flag", 2 if len(entry) == 1 else 1, 1)
        if len(entry) == 1:
            append_c_octets(outbox, owner, "dl_name", entry[0], 21)
            continue
        append_number(outbox, owner, "dest_addr_ton", entry[0], 1)
        append_number(outbox, owner, "dest_addr_npi", entry[1], 1)
        append_c_octets(outbox, owner, "destination_addr", entry[2], 21)
        if kind == UNSUCCESS_SMES:
            append_number(outbox, owner, "error_status_code", entry[3], 4)
    return 0

cdef int append_field(Outbox *outbox, CommandSpec spec, int i, object value) except -1:
    cdef int kind = spec.kinds[i]
    cdef Py_ssize_t size = spec.sizes[i]
    cdef str field = spec.names[i]
    cdef bytes octets
    cdef Py_ssize_t length
    if kind == INTEGER:
        return append_number(outbox, spec.name, field, value, 1)
    if kind == C_OCTET:
        return append_c_octets(outbox, spec.name, field, value, size)
    if kind == DEST_ADDRESSES or kind == UNSUCCESS_SMES:
        return append_list(outbox, spec.name, field, value, kind, size)
    octets = octets_of(spec.name, field, value)
    length = PyBytes_GET_SIZE(octets)
    if kind == TIME:
        if length != 0 and length != 16:
            raise refuse(spec.name, field, f"{length} octets, b'' or 16 (YYMMDDhhmmsstnnp) are possible")
        return append_c_octets(outbox, spec.name, field, octets, size)
    if length > size:
        raise refuse(
            spec.name, field, f"{length} octets, at most {size} are possible; make segments, or use message_payload"
        )
    append_number(outbox, spec.name, field, length, 1)
    return append_octets(outbox, octets)

cdef int append_tlv(Outbox *outbox, object tag, object value) except -1:
    cdef uint8_t *at
    cdef bytes octets
    cdef Py_ssize_t length
    if not isinstance(tag, int) or not 0 <= tag <= 0xFFFF:
        raise refuse("", "TLV", "a tag is an int, 0 to 0xffff")
    row = TAGS.get(tag)
    field = f"0x{tag:04x}" if row is None else row.name
    if row is not None and row.kind == INTEGER:
        at = put_u16(room(outbox, 4), tag)
        put_u16(at, row.least)
        outbox.used += 4
        return append_number(outbox, "", field, value, row.least)
    octets = octets_of("", field, value)
    if row is not None and row.kind == C_OCTET:
        if b"\0" in octets:
            raise refuse("", field, "a NUL inside would end it early")
        octets += b"\0"
    length = PyBytes_GET_SIZE(octets)
    least, most = (0, 0xFFFF) if row is None else (row.least, row.most)
    if not least <= length <= most:
        raise refuse("", field, f"{length} octets, {least} to {most} are possible")
    at = put_u16(room(outbox, 4), tag)
    put_u16(at, <uint32_t>length)
    outbox.used += 4
    return append_octets(outbox, octets)

cdef int write_pdu(Outbox *outbox, Pdu pdu) except -1:
    cdef CommandSpec spec = pdu.spec
    cdef Py_ssize_t start = outbox.used
    cdef int i
    if not spec.response:
        if not 1 <= pdu.sequence_number <= SEQUENCE_MAX:
            raise refuse(spec.name, "sequence_number", "a request has 1 to 0x7fffffff")
        if pdu.command_status != 0:
            raise refuse(spec.name, "command_status", "a request has 0")
    room(outbox, HEADER_OCTETS)
    outbox.used += HEADER_OCTETS
    for i in range(spec.count):
        value = pdu.values[i]
        if value is None:
            rest = [name for name, v in zip(spec.names[i:], pdu.values[i:]) if v is not None]
            if not spec.response or rest or pdu.tlvs:
                raise refuse(spec.name, spec.names[i], "it is missing, and something follows it")
            break
        append_field(outbox, spec, i, value)
    payload = False
    for tag, value in pdu.tlvs:
        append_tlv(outbox, tag, value)
        payload = payload or (tag == 0x0424 and len(value) > 0)
    if payload and "short_message" in spec.index and pdu.short_message:
        raise refuse(spec.name, "message_payload", "short_message is filled too; exactly one may be (5.3.2.32)")
    length = outbox.used - start
    if length > COMMAND_LENGTH_MAX:
        raise refuse(spec.name, "command_length", f"{length} octets, at most {COMMAND_LENGTH_MAX} are possible")
    put_header(outbox.data + start, <uint32_t>length, spec.command_id, pdu.command_status, pdu.sequence_number)
    return 0

cdef int append_pdu(Outbox *outbox, Pdu pdu) except -1:
    cdef Py_ssize_t start = outbox.used
    try:
        write_pdu(outbox, pdu)
    except BaseException:
        outbox.used = start
        raise
    return 0

def encode(Pdu pdu not None):
    """The octets of one PDU."""
    cdef Outbox outbox
    outbox_init(&outbox)
    try:
        append_pdu(&outbox, pdu)
        return PyBytes_FromStringAndSize(<const char *>outbox.data, outbox.used)
    finally:
        outbox_free(&outbox)

cdef bytes encode_tlvs(object tlvs):
    cdef Outbox outbox
    outbox_init(&outbox)
    try:
        for tag, value in tlvs:
            append_tlv(&outbox, tag, value)
        return PyBytes_FromStringAndSize(<const char *>outbox.data, outbox.used)
    finally:
        outbox_free(&outbox)


@cython.final
cdef class SubmitTemplate:
    """What every submit_sm of a carrier has in common, checked once; see the stub."""

    def __init__(
        self, service_type=b"", protocol_id=0, priority_flag=0, replace_if_present_flag=0, sm_default_msg_id=0,
        tlvs=(),
    ):
        cdef bytes octets
        probe = Pdu(
            SUBMIT_SM, 1, service_type=service_type, protocol_id=protocol_id, priority_flag=priority_flag,
            replace_if_present_flag=replace_if_present_flag, sm_default_msg_id=sm_default_msg_id,
        )
        encode(probe)  # the same checks as everywhere
        octets = bytes(service_type)
        memset(&self.constant, 0, sizeof(self.constant))
        memcpy(self.constant.service_type, PyBytes_AS_STRING(octets), PyBytes_GET_SIZE(octets))
        self.constant.service_type_length = <uint8_t>(PyBytes_GET_SIZE(octets) + 1)
        self.constant.protocol_id = protocol_id
        self.constant.priority_flag = priority_flag
        self.constant.replace_if_present_flag = replace_if_present_flag
        self.constant.sm_default_msg_id = sm_default_msg_id
        tlvs = tuple(tlvs)
        if any([tag == 0x0424 for tag, _ in tlvs]):
            raise refuse("", "message_payload", "it differs from message to message: pass it to encode")
        self.tlv_octets = encode_tlvs(tlvs)
        self.constant.tlvs = octets_at(self.tlv_octets)

    def __cinit__(self):
        memset(&self.constant, 0, sizeof(self.constant))
        self.constant.service_type_length = 1
        self.tlv_octets = b""

    def encode(
        self, sequence_number, bytes source_addr not None, bytes destination_addr not None,
        bytes short_message not None, *, uint8_t source_addr_ton=0, uint8_t source_addr_npi=0,
        uint8_t dest_addr_ton=1, uint8_t dest_addr_npi=1, uint8_t esm_class=0, uint8_t registered_delivery=0,
        uint8_t data_coding=0, bytes validity_period not None=b"", bytes message_payload not None=b"", tlvs=(),
    ):
        """One submit_sm. A session calls hot.put_submit_sm instead."""
        cdef Outbox outbox
        cdef SubmitVar var
        cdef bytes more = encode_tlvs(tlvs) if tlvs else b""
        var.source_addr_ton = source_addr_ton
        var.source_addr_npi = source_addr_npi
        var.dest_addr_ton = dest_addr_ton
        var.dest_addr_npi = dest_addr_npi
        var.esm_class = esm_class
        var.registered_delivery = registered_delivery
        var.data_coding = data_coding
        var.source_addr = octets_at(source_addr)
        var.destination_addr = octets_at(destination_addr)
        var.validity_period = octets_at(validity_period)
        var.short_message = octets_at(short_message)
        var.message_payload = octets_at(message_payload)
        var.tlvs = octets_at(more)
        outbox_init(&outbox)
        try:
            check_put(put_submit_sm(&outbox, &self.constant, &var, check_uint32("sequence_number", sequence_number)), &var)
            return PyBytes_FromStringAndSize(<const char *>outbox.data, outbox.used)
        finally:
            outbox_free(&outbox)

cdef inline Octets octets_at(bytes octets) noexcept:
    """Borrowed: `octets` outlives it."""
    cdef Octets view
    view.at = <const uint8_t *>PyBytes_AS_STRING(octets)
    view.length = PyBytes_GET_SIZE(octets)
    return view

cdef int check_put(PutVerdict verdict, const SubmitVar *var) except -1:
    """Raise what put_submit_sm refused."""
    if verdict == PUT_OK:
        return 0
    if verdict == PUT_NO_MEMORY:
        raise MemoryError
    field, what = {
        PUT_SOURCE_ADDR: ("source_addr", f"{var.source_addr.length} octets, at most 20 without a NUL are possible"),
        PUT_DESTINATION_ADDR: (
            "destination_addr", f"{var.destination_addr.length} octets, 1 to 20 without a NUL are possible"
        ),
        PUT_VALIDITY_PERIOD: (
            "validity_period", f"{var.validity_period.length} octets, b'' or 16 (YYMMDDhhmmsstnnp) are possible"
        ),
        PUT_SHORT_MESSAGE: (
            "short_message", f"{var.short_message.length} octets, at most 254 are possible; make segments"
        ),
        PUT_BOTH: ("message_payload", "short_message is filled too; exactly one may be (5.3.2.32)"),
        PUT_TLVS: ("message_payload", "65,535 octets, and 70,000 for the whole PDU, are possible"),
        PUT_SEQUENCE_NUMBER: ("sequence_number", "a request has 1 to 0x7fffffff"),
    }[<int>verdict]
    raise refuse("submit_sm", field, what)
