# cython: language_level=3
"""The PDUs that come by the million, without a Python object: submit_sm and its response, deliver_sm and its.

Header-only, on top of ``wire.pxd``. The general codec (``pdu.pyx``) knows every PDU; these know one each, in
the order of its fields, and the tests hold the two against each other.

Reading is lenient where the SMSC may be (a response without a body, one NUL, an id too long) and never fails
as a whole: what could be read stands in the struct, what could not is absent, the verdict says why. Writing
checks every size and writes nothing at all where one is wrong.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memchr
from wire cimport (
    HEADER_OCTETS, OK, Cursor, Octets, Outbox, Verdict, get_number, get_u32, outbox_room, put_header, put_octets,
    put_u8, put_u16, take_c_octets, take_octets, take_tlv, take_u8,
)


cdef enum HotCommand:
    GENERIC_NACK = 0x80000000
    SUBMIT_SM = 0x00000004
    SUBMIT_SM_RESP = 0x80000004
    DELIVER_SM = 0x00000005
    DELIVER_SM_RESP = 0x80000005
    UNBIND = 0x00000006
    UNBIND_RESP = 0x80000006
    ENQUIRE_LINK = 0x00000015
    ENQUIRE_LINK_RESP = 0x80000015

cdef enum HotStatus:            # what a reader blames a PDU with
    RINVMSGLEN = 0x01
    RINVSRCADR = 0x0A
    RINVDSTADR = 0x0B
    RINVSERTYP = 0x15
    RINVSCHED = 0x61
    RINVEXPIRY = 0x62
    RINVOPTPARSTREAM = 0xC0

cdef enum HotTag:
    TAG_RECEIPTED_MESSAGE_ID = 0x001E
    TAG_USER_MESSAGE_REFERENCE = 0x0204
    TAG_NETWORK_ERROR_CODE = 0x0423
    TAG_MESSAGE_PAYLOAD = 0x0424
    TAG_MESSAGE_STATE = 0x0427


# ---------------------------------------------------------------- submit_sm, out

cdef struct SubmitConst:        # the same for every submit_sm of a carrier; see pdu.SubmitTemplate
    uint8_t service_type[6]     # with its NUL
    uint8_t service_type_length # with its NUL: 1..6
    uint8_t protocol_id
    uint8_t priority_flag
    uint8_t replace_if_present_flag
    uint8_t sm_default_msg_id
    Octets tlvs                 # ready for the wire; borrowed from the template

cdef struct SubmitVar:          # one segment; every pointer is borrowed for the time of the call
    uint8_t source_addr_ton
    uint8_t source_addr_npi
    uint8_t dest_addr_ton
    uint8_t dest_addr_npi
    uint8_t esm_class
    uint8_t registered_delivery
    uint8_t data_coding
    Octets source_addr
    Octets destination_addr
    Octets validity_period      # 0 or 16 octets
    Octets short_message        # at most 254
    Octets message_payload      # length <= 0: none
    Octets tlvs                 # more TLVs, ready for the wire; length <= 0: none

cdef enum PutVerdict:
    PUT_OK = 0
    PUT_NO_MEMORY = 1
    PUT_SOURCE_ADDR = 2         # over 20 octets, or a NUL inside
    PUT_DESTINATION_ADDR = 3    # the same, or empty
    PUT_VALIDITY_PERIOD = 4     # neither 0 nor 16 octets, or a NUL inside
    PUT_SHORT_MESSAGE = 5       # over 254 octets
    PUT_BOTH = 6                # short_message and message_payload
    PUT_TLVS = 7                # message_payload over 65,535 octets, or a PDU over 70,000
    PUT_SEQUENCE_NUMBER = 8     # not 1..0x7FFFFFFF

cdef inline bint has_nul(const Octets *octets) noexcept nogil:
    return octets.length > 0 and memchr(octets.at, 0, octets.length) != NULL

cdef inline PutVerdict put_submit_sm(
    Outbox *outbox, const SubmitConst *const_, const SubmitVar *var, uint32_t sequence_number
) noexcept nogil:
    """Append one submit_sm, or nothing."""
    cdef Py_ssize_t length
    cdef uint8_t *start
    cdef uint8_t *at
    if var.source_addr.length < 0 or var.source_addr.length > 20 or has_nul(&var.source_addr):
        return PUT_SOURCE_ADDR
    if var.destination_addr.length < 1 or var.destination_addr.length > 20 or has_nul(&var.destination_addr):
        return PUT_DESTINATION_ADDR
    if (var.validity_period.length != 0 and var.validity_period.length != 16) or has_nul(&var.validity_period):
        return PUT_VALIDITY_PERIOD
    if var.short_message.length < 0 or var.short_message.length > 254:
        return PUT_SHORT_MESSAGE
    if sequence_number < 1 or sequence_number > 0x7FFFFFFF:
        return PUT_SEQUENCE_NUMBER
    length = (
        HEADER_OCTETS + const_.service_type_length + 2 + var.source_addr.length + 1 + 2
        + var.destination_addr.length + 1 + 3 + 1 + var.validity_period.length + 1 + 5
        + var.short_message.length
    )
    if var.message_payload.length > 0:
        if var.short_message.length > 0:
            return PUT_BOTH
        if var.message_payload.length > 0xFFFF:
            return PUT_TLVS
        length += 4 + var.message_payload.length
    if const_.tlvs.length > 0:
        length += const_.tlvs.length
    if var.tlvs.length > 0:
        length += var.tlvs.length
    if length > 70_000:
        return PUT_TLVS
    start = outbox_room(outbox, length)
    if start == NULL:
        return PUT_NO_MEMORY
    at = put_header(start, <uint32_t>length, SUBMIT_SM, 0, sequence_number)
    at = put_octets(at, const_.service_type, const_.service_type_length)
    at = put_u8(at, var.source_addr_ton)
    at = put_u8(at, var.source_addr_npi)
    at = put_u8(put_octets(at, var.source_addr.at, var.source_addr.length), 0)
    at = put_u8(at, var.dest_addr_ton)
    at = put_u8(at, var.dest_addr_npi)
    at = put_u8(put_octets(at, var.destination_addr.at, var.destination_addr.length), 0)
    at = put_u8(at, var.esm_class)
    at = put_u8(at, const_.protocol_id)
    at = put_u8(at, const_.priority_flag)
    at = put_u8(at, 0)          # schedule_delivery_time: we hold our own schedule
    at = put_u8(put_octets(at, var.validity_period.at, var.validity_period.length), 0)
    at = put_u8(at, var.registered_delivery)
    at = put_u8(at, const_.replace_if_present_flag)
    at = put_u8(at, var.data_coding)
    at = put_u8(at, const_.sm_default_msg_id)
    at = put_u8(at, <uint32_t>var.short_message.length)
    at = put_octets(at, var.short_message.at, var.short_message.length)
    if var.message_payload.length > 0:
        at = put_u16(at, TAG_MESSAGE_PAYLOAD)
        at = put_u16(at, <uint32_t>var.message_payload.length)
        at = put_octets(at, var.message_payload.at, var.message_payload.length)
    at = put_octets(at, const_.tlvs.at, const_.tlvs.length)
    put_octets(at, var.tlvs.at, var.tlvs.length)
    outbox.used += length
    return PUT_OK


# ---------------------------------------------------------------- answers, out

cdef inline bint put_header_only(
    Outbox *outbox, uint32_t command_id, uint32_t status, uint32_t sequence_number
) noexcept nogil:
    """enquire_link, unbind, their responses, generic_nack: 16 octets. False: no memory."""
    cdef uint8_t *at = outbox_room(outbox, HEADER_OCTETS)
    if at == NULL:
        return False
    put_header(at, HEADER_OCTETS, command_id, status, sequence_number)
    outbox.used += HEADER_OCTETS
    return True

cdef inline bint put_deliver_sm_resp(Outbox *outbox, uint32_t status, uint32_t sequence_number) noexcept nogil:
    """17 octets: the message_id is unused and empty (4.6.2). False: no memory."""
    cdef uint8_t *at = outbox_room(outbox, HEADER_OCTETS + 1)
    if at == NULL:
        return False
    put_u8(put_header(at, HEADER_OCTETS + 1, DELIVER_SM_RESP, status, sequence_number), 0)
    outbox.used += HEADER_OCTETS + 1
    return True


# ---------------------------------------------------------------- submit_sm_resp, in

cdef struct SubmitResp:
    uint32_t command_status
    uint32_t sequence_number
    Octets message_id           # -1: absent. May be longer than 64: still an id
    bint broken                 # the id has no NUL: resolve the window slot, count it, keep the session

cdef inline void get_submit_sm_resp(const uint8_t *pdu, Py_ssize_t length, SubmitResp *resp) noexcept nogil:
    """`pdu` is a whole frame of submit_sm_resp (data_sm_resp and deliver_sm_resp look the same)."""
    cdef Cursor cursor
    resp.command_status = get_u32(pdu + 8)
    resp.sequence_number = get_u32(pdu + 12)
    resp.message_id.at = NULL
    resp.message_id.length = -1
    cursor.at = pdu + HEADER_OCTETS
    cursor.left = length - HEADER_OCTETS
    resp.broken = cursor.left > 0 and take_c_octets(&cursor, &resp.message_id) != OK


# ---------------------------------------------------------------- deliver_sm, in

cdef struct Deliver:
    uint32_t command_status     # as received: 0 from every honest SMSC
    uint32_t sequence_number
    uint8_t source_addr_ton
    uint8_t source_addr_npi
    uint8_t dest_addr_ton
    uint8_t dest_addr_npi
    uint8_t esm_class
    uint8_t protocol_id
    uint8_t priority_flag
    uint8_t registered_delivery
    uint8_t data_coding
    int64_t message_state           # -1: absent
    int64_t user_message_reference  # -1: absent
    Octets service_type
    Octets source_addr
    Octets destination_addr
    Octets short_message        # message_payload where that came instead
    Octets receipted_message_id # without its NUL
    Octets network_error_code   # raw: some send ASCII digits

cdef inline void clear_deliver(Deliver *deliver) noexcept nogil:
    cdef Octets absent
    absent.at = NULL
    absent.length = -1
    deliver.message_state = deliver.user_message_reference = -1
    deliver.source_addr_ton = deliver.source_addr_npi = deliver.dest_addr_ton = deliver.dest_addr_npi = 0
    deliver.esm_class = deliver.protocol_id = deliver.priority_flag = 0
    deliver.registered_delivery = deliver.data_coding = 0
    deliver.service_type = deliver.source_addr = deliver.destination_addr = absent
    deliver.short_message = deliver.receipted_message_id = deliver.network_error_code = absent

cdef inline uint32_t take_string(
    Cursor *cursor, Octets *octets, Py_ssize_t most, uint32_t blame, uint32_t *fault
) noexcept nogil:
    """0, or RINVMSGLEN where the rest cannot be read. Too long only sets `fault`: the rest can be read."""
    if take_c_octets(cursor, octets) != OK:
        return RINVMSGLEN
    if octets.length > most and fault[0] == 0:
        fault[0] = blame
    return 0

cdef inline uint32_t get_deliver_sm(const uint8_t *pdu, Py_ssize_t length, Deliver *deliver) noexcept nogil:
    """0, or the command_status that the negative response would say; then what was read stands in `deliver`
    all the same. RINVOPTPARSTREAM: only the TLVs lie, a receipt can be booked and answered with 0."""
    cdef Cursor cursor
    cdef Octets skip
    cdef Octets value
    cdef uint8_t unused = 0
    cdef uint8_t sm_length = 0
    cdef uint32_t tag = 0
    cdef uint32_t fault = 0
    clear_deliver(deliver)
    deliver.command_status = get_u32(pdu + 8)
    deliver.sequence_number = get_u32(pdu + 12)
    cursor.at = pdu + HEADER_OCTETS
    cursor.left = length - HEADER_OCTETS
    if (
        take_string(&cursor, &deliver.service_type, 5, RINVSERTYP, &fault)
        or take_u8(&cursor, &deliver.source_addr_ton)
        or take_u8(&cursor, &deliver.source_addr_npi)
        or take_string(&cursor, &deliver.source_addr, 20, RINVSRCADR, &fault)
        or take_u8(&cursor, &deliver.dest_addr_ton)
        or take_u8(&cursor, &deliver.dest_addr_npi)
        or take_string(&cursor, &deliver.destination_addr, 20, RINVDSTADR, &fault)
        or take_u8(&cursor, &deliver.esm_class)
        or take_u8(&cursor, &deliver.protocol_id)
        or take_u8(&cursor, &deliver.priority_flag)
        or take_string(&cursor, &skip, 16, RINVSCHED, &fault)
        or take_string(&cursor, &skip, 16, RINVEXPIRY, &fault)
        or take_u8(&cursor, &deliver.registered_delivery)
        or take_u8(&cursor, &unused)        # replace_if_present_flag
        or take_u8(&cursor, &deliver.data_coding)
        or take_u8(&cursor, &unused)        # sm_default_msg_id
        or take_u8(&cursor, &sm_length)
        or take_octets(&cursor, sm_length, &deliver.short_message)
    ):
        return fault or RINVMSGLEN
    while cursor.left > 0:
        if take_tlv(&cursor, &tag, &value) != OK:
            if tag != TAG_MESSAGE_STATE and tag != TAG_USER_MESSAGE_REFERENCE:
                take_deliver_tlv(deliver, tag, &value)  # the end of a string is lost, a number would be wrong
            return fault or RINVOPTPARSTREAM
        take_deliver_tlv(deliver, tag, &value)
    return fault

cdef inline void take_deliver_tlv(Deliver *deliver, uint32_t tag, const Octets *value) noexcept nogil:
    """Of a tag that comes twice the first counts, as in Pdu."""
    cdef const uint8_t *end
    if tag == TAG_RECEIPTED_MESSAGE_ID:
        if value.length >= 0 and deliver.receipted_message_id.length < 0:
            deliver.receipted_message_id = value[0]
            end = <const uint8_t *>memchr(value.at, 0, value.length) if value.length else NULL
            if end != NULL:
                deliver.receipted_message_id.length = end - value.at
    elif tag == TAG_MESSAGE_STATE:
        if 1 <= value.length <= 4 and deliver.message_state < 0:
            deliver.message_state = get_number(value)
    elif tag == TAG_NETWORK_ERROR_CODE:
        if value.length >= 0 and deliver.network_error_code.length < 0:
            deliver.network_error_code = value[0]
    elif tag == TAG_MESSAGE_PAYLOAD:
        if value.length > 0 and deliver.short_message.length == 0:
            deliver.short_message = value[0]
    elif tag == TAG_USER_MESSAGE_REFERENCE:
        if 1 <= value.length <= 4 and deliver.user_message_reference < 0:
            deliver.user_message_reference = get_number(value)
