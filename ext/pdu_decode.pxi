"""Octets -> Pdu; a part of pdu.pyx."""


cdef enum Trouble:
    NONE = 0
    ENDS = 1            # the body ends inside a field
    NO_NUL = 2
    TOO_LONG = 3        # the rest can be read
    DEST_FLAG = 4
    TLV_HEADER = 5
    TLV_VALUE = 6

cdef struct Fault:      # the first of a PDU
    Trouble trouble
    int field           # position, or -1: TLVs
    uint32_t status
    Py_ssize_t got
    Py_ssize_t most

cdef inline void blame(Fault *fault, Trouble trouble, int field, uint32_t status, Py_ssize_t got, Py_ssize_t most) noexcept:
    if fault.trouble == NONE:
        fault.trouble = trouble
        fault.field = field
        fault.status = status
        fault.got = got
        fault.most = most

cdef inline bytes as_bytes(const Octets *octets):
    return PyBytes_FromStringAndSize(<const char *>octets.at, octets.length)

cdef object decode_frame(const uint8_t *at, Py_ssize_t length):
    cdef CommandSpec spec
    cdef Header header
    cdef Cursor cursor
    cdef Fault fault
    cdef tuple values
    cdef tuple tlvs = ()
    cdef list flaws = None
    cdef bint reading = True
    cdef int i
    cdef Pdu pdu
    get_header(at, &header)
    spec = find_spec(header.command_id)
    if spec is None:
        return Recoverable(
            f"command_id 0x{header.command_id:08x} is not of SMPP 3.4", header.command_id, RINVCMDID,
            header.sequence_number, _spec.response_id(header.command_id),
        )
    cursor.at = at + HEADER_OCTETS
    cursor.left = length - HEADER_OCTETS
    fault.trouble = NONE
    values = PyTuple_New(spec.count)
    for i in range(spec.count):
        value = None
        if reading and not (spec.response and cursor.left == 0):   # a response may end after any field
            value = take_field(spec, i, &cursor, &fault)
            reading = value is not None
        Py_INCREF(value)
        PyTuple_SET_ITEM(values, i, value)
    if reading and cursor.left > 0:
        flaws = []
        if spec.response and cursor.left == 1 and cursor.at[0] == 0:
            flaws.append("one NUL after the body")
        else:
            tlvs = take_tlvs(spec, &cursor, &fault, flaws)
    pdu = make(spec, header.command_status, header.sequence_number, values, tlvs, ())
    if fault.trouble != NONE:
        text = describe(spec, &fault)
        # tolerated: a body nobody needs, and a string too long in a PDU that nobody can answer
        if not (spec.response and header.command_status != 0 or spec.response_id == 0 and fault.trouble == TOO_LONG):
            if flaws:
                pdu.flaws = tuple(flaws)
            return Recoverable(
                text, spec.command_id, fault.status, header.sequence_number, spec.response_id, pdu
            )
        flaws = [text, *flaws] if flaws else [text]
    if flaws:
        pdu.flaws = tuple(flaws)
    return pdu

cdef object take_field(CommandSpec spec, int i, Cursor *cursor, Fault *fault):
    """The value, or None: the rest of the body cannot be read."""
    cdef Octets octets
    cdef uint8_t number
    cdef int kind = spec.kinds[i]
    if kind == INTEGER:
        if take_u8(cursor, &number) != OK:
            blame(fault, ENDS, i, RINVMSGLEN, 0, 1)
            return None
        return number
    if kind == C_OCTET or kind == TIME:
        return take_string(spec.statuses[i], i, spec.sizes[i], cursor, fault)
    if kind == SHORT_MESSAGE:
        if take_u8(cursor, &number) != OK:
            blame(fault, ENDS, i, RINVMSGLEN, 0, 1)
            return None
        if take_octets(cursor, number, &octets) != OK:
            blame(fault, ENDS, i, RINVMSGLEN, cursor.left, number)
            return None
        return as_bytes(&octets)
    return take_list(kind, i, spec.statuses[i], cursor, fault)

cdef object take_string(uint32_t status, int i, Py_ssize_t size, Cursor *cursor, Fault *fault):
    cdef Octets octets
    cdef Verdict verdict = take_c_octets(cursor, &octets)
    if verdict != OK:
        blame(fault, ENDS if verdict == SHORT else NO_NUL, i, RINVMSGLEN, cursor.left, size)
        return None
    if octets.length >= size:
        blame(fault, TOO_LONG, i, status, octets.length, size - 1)
    return as_bytes(&octets)

cdef object take_list(int kind, int i, uint32_t status, Cursor *cursor, Fault *fault):
    cdef uint8_t count, flag, ton, npi
    cdef uint32_t error
    cdef list entries = []
    cdef int n
    if take_u8(cursor, &count) != OK:
        blame(fault, ENDS, i, RINVMSGLEN, 0, 1)
        return None
    for n in range(count):
        flag = 1
        if kind == DEST_ADDRESSES and take_u8(cursor, &flag) != OK:
            blame(fault, ENDS, i, RINVMSGLEN, n, count)
            return None
        if flag == 2:
            address = take_string(_Status.ESME_RINVDLNAME, i, 21, cursor, fault)
            if address is None:
                return None
            entries.append(DistributionList(address))
            continue
        if flag != 1:
            blame(fault, DEST_FLAG, i, RINVDESTFLAG, flag, 2)
            return None
        if take_u8(cursor, &ton) != OK or take_u8(cursor, &npi) != OK:
            blame(fault, ENDS, i, RINVMSGLEN, n, count)
            return None
        address = take_string(_Status.ESME_RINVDSTADR, i, 21, cursor, fault)
        if address is None:
            return None
        if kind == DEST_ADDRESSES:
            entries.append(SmeAddress(ton, npi, address))
            continue
        if take_u32(cursor, &error) != OK:
            blame(fault, ENDS, i, RINVMSGLEN, n, count)
            return None
        entries.append(UnsuccessSme(ton, npi, address, error))
    return tuple(entries)

cdef tuple take_tlvs(CommandSpec spec, Cursor *cursor, Fault *fault, list flaws):
    """All of them. Of the last, where its length lies, a known string is kept as far as it came."""
    cdef Octets octets
    cdef uint32_t tag = 0
    cdef Verdict verdict
    cdef list tlvs = []
    cdef int kind
    while cursor.left > 0:
        verdict = take_tlv(cursor, &tag, &octets)
        if verdict != OK and octets.length < 0:
            # RINVOPTPARSTREAM is what 3.4 has for it; a response gets no answer, a PDU without a body
            # has no TLVs, there the length is to blame
            blame(
                fault, TLV_HEADER, -1,
                RINVCMDLEN if spec.count == 0 else RINVMSGLEN if spec.response else RINVOPTPARSTREAM,
                cursor.left, 4,
            )
            break
        kind = TAG_KINDS[tag] if tag < TAGS_MAX else UNKNOWN
        if verdict != OK:
            blame(
                fault, TLV_VALUE, -1, RINVCMDLEN if spec.response or spec.count == 0 else RINVOPTPARSTREAM,
                octets.length, tag,
            )
            if kind == C_OCTET or kind == OCTETS:
                tlvs.append((tag, tlv_value(kind, &octets)))
            break
        if kind == INTEGER and octets.length != TAG_WIDTHS[tag]:
            flaws.append(f"{TAGS[tag].name}: {octets.length} octets, {TAG_WIDTHS[tag]} expected")
        tlvs.append((tag, tlv_value(kind, &octets)))
    return tuple(tlvs)

cdef inline object tlv_value(int kind, const Octets *octets):
    """Numbers of 1 to 4 octets as int, whatever the table says of their width; C-octet strings up to the first
    NUL, or whole where the SMSC forgot it; the rest, and unknown tags, as they came."""
    cdef Cursor cursor
    cdef Octets text
    if kind == INTEGER and 1 <= octets.length <= 4:
        return get_number(octets)
    if kind == C_OCTET:
        cursor.at = octets.at
        cursor.left = octets.length
        if take_c_octets(&cursor, &text) == OK:
            return as_bytes(&text)
    return as_bytes(octets)

cdef str describe(CommandSpec spec, Fault *fault):
    if fault.field < 0:
        if fault.trouble == TLV_HEADER:
            return f"{spec.name}: {fault.got} octets stand after the last field, not even the header of a TLV"
        return f"{spec.name}: TLV 0x{fault.most:04x} says it is longer than the {fault.got} octets that are left"
    where = f"{spec.name}.{spec.names[fault.field]}"
    if fault.trouble == TOO_LONG:
        return f"{where}: {fault.got} octets, at most {fault.most} are allowed"
    if fault.trouble == NO_NUL:
        return f"{where}: no NUL in the {fault.got} octets up to the end of the PDU"
    if fault.trouble == DEST_FLAG:
        return f"{where}: dest_flag {fault.got}, 1 (SME address) or 2 (distribution list) expected"
    return f"{where}: the PDU ends inside it ({fault.got} of {fault.most})"

cdef object unrecoverable(uint32_t command_length, Py_ssize_t limit):
    return Unrecoverable(
        f"command_length {command_length}, {HEADER_OCTETS} to {limit} is possible: not SMPP, or out of step",
        RINVCMDLEN, command_length,
    )

def decode(const uint8_t[::1] data, Py_ssize_t limit=70_000):
    """The one PDU that fills `data`."""
    cdef Py_ssize_t length = data.shape[0]
    cdef const uint8_t *at = &data[0] if length else NULL
    cdef Py_ssize_t framed = frame_length(at, length, limit)
    if framed != length or length == 0:
        if framed < 0:
            raise unrecoverable(get_u32(at), limit)
        claimed = get_u32(at) if length >= 4 else 0
        raise Unrecoverable(f"command_length {claimed}, but there are {length} octets", RINVCMDLEN, claimed)
    pdu = decode_frame(at, length)
    if type(pdu) is not Pdu:
        raise pdu
    return pdu


@cython.final
cdef class Framer:
    """Reads of any size in, whole PDUs out; see the stub."""

    def __cinit__(self, Py_ssize_t limit=70_000, Py_ssize_t read_octets=65536):
        if not HEADER_OCTETS <= limit <= 16_777_216 or not 1 <= read_octets <= 16_777_216:
            raise ValueError("limit: 16 to 16777216 octets; read_octets: 1 to 16777216")
        if not inbox_init(&self.inbox, limit, read_octets):
            raise MemoryError

    def __dealloc__(self):
        inbox_free(&self.inbox)

    @property
    def pending(self):
        """Octets of a PDU begun but not yet whole; over 0 for long means a read timeout."""
        return self.inbox.end - self.inbox.start

    def feed(self, const uint8_t[::1] data):
        """The PDUs that `data` completes, broken ones as Recoverable; an Unrecoverable is the last for ever."""
        cdef Py_ssize_t left = data.shape[0]
        cdef Py_ssize_t done = 0
        cdef Py_ssize_t room = 0
        cdef Py_ssize_t length
        cdef const uint8_t *at = NULL
        cdef uint8_t *target
        cdef list pdus = []
        if self.lost is not None:
            return [self.lost]
        while left > 0:
            target = inbox_room(&self.inbox, &room)
            if room > left:
                room = left
            memcpy(target, &data[done], room)
            self.inbox.end += room
            done += room
            left -= room
            while True:
                length = inbox_next(&self.inbox, &at)
                if length <= 0:
                    break
                pdus.append(decode_frame(at, length))
            if length < 0:
                self.lost = unrecoverable(get_u32(at), self.inbox.limit)
                self.inbox.start = self.inbox.end = 0
                pdus.append(self.lost)
                break
        return pdus

    def __repr__(self):
        return f"<Framer pending={self.pending} limit={self.inbox.limit} lost={self.lost is not None}>"
