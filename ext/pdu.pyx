# cython: language_level=3, boundscheck=False, wraparound=False
"""SMPP 3.4 PDUs: octets <-> ``Pdu``, driven by the tables of ``dispatcher/smpp/spec.py``.

The laws:

* any octets give a Pdu, a Recoverable or an Unrecoverable, nothing else; no read leaves the frame, no length
  from the peer is allocated before it was compared with what is there;
* strict on the frame and on requests, lenient on the optional ends of responses (``Pdu.flaws`` says what was
  tolerated); a Recoverable carries what could be read;
* encoding never cuts: a field that does not fit is a LocalProtocolError that says which, how long, what fits;
* numbers and lengths stand in messages and ``repr``, addresses and texts never do.

Plan: here the specs compiled from the tables, and the value; then ``pdu_decode.pxi`` (with the framer),
``pdu_encode.pxi`` (with SubmitTemplate), and at the end the hot readers of ``hot.pxd`` for callers without C.
``command_length`` is derived, as are ``sm_length``, ``number_of_dests``, ``no_unsuccess``.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject, PyObject_GenericGetAttr
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memchr, memcpy, memset

from hot cimport (
    DELIVER_SM_RESP, PUT_BOTH, PUT_DESTINATION_ADDR, PUT_NO_MEMORY, PUT_OK, PUT_SEQUENCE_NUMBER, PUT_SHORT_MESSAGE, PUT_SOURCE_ADDR,
    PUT_TLVS, PUT_VALIDITY_PERIOD, SUBMIT_SM, SUBMIT_SM_RESP, Deliver, PutVerdict, SubmitResp, SubmitVar, get_deliver_sm,
    get_submit_sm_resp, put_deliver_sm_resp, put_header_only, put_submit_sm,
)
from wire cimport (
    HEADER_OCTETS, OK, SHORT, UNTERMINATED, Cursor, Header, Inbox, Octets, Outbox, Verdict, frame_length,
    get_header, get_number, get_u32, inbox_free, inbox_init, inbox_next, inbox_room, outbox_free, outbox_init,
    outbox_room, put_header, put_octets, put_u8, put_u16, put_u32, take_c_octets, take_octets, take_tlv, take_u8,
    take_u32,
)

from dispatcher.errors import LocalProtocolError, Recoverable, Unrecoverable
import dispatcher.smpp.spec as _spec
from dispatcher.smpp.constants import COMMAND_LENGTH_MAX as _COMMAND_LENGTH_MAX
from dispatcher.smpp.constants import CommandStatus as _Status


# ---------------------------------------------------------------- the tables, compiled

cdef enum Kind:
    UNKNOWN = 0
    INTEGER = 1
    C_OCTET = 2
    TIME = 3
    OCTETS = 4
    SHORT_MESSAGE = 5
    DEST_ADDRESSES = 6
    UNSUCCESS_SMES = 7

cdef enum:
    FIELDS_MAX = 24
    COMMANDS_MAX = 0x104        # data_sm is 0x103
    TAGS_MAX = 0x1400           # its_session_info is 0x1383
    RESPONSE_BIT = 0x80000000
    SEQUENCE_MAX = 0x7FFFFFFF
    SUBMIT_MULTI = 0x21

@cython.final
@cython.internal
cdef class CommandSpec:
    cdef uint32_t command_id
    cdef uint32_t response_id
    cdef bint response
    cdef int count
    cdef uint8_t kinds[FIELDS_MAX]
    cdef Py_ssize_t sizes[FIELDS_MAX]
    cdef uint32_t statuses[FIELDS_MAX]
    cdef str name
    cdef tuple names
    cdef dict index             # field name -> position

cdef list SPECS = [None] * (2 * COMMANDS_MAX)
cdef uint8_t TAG_KINDS[TAGS_MAX]
cdef uint8_t TAG_WIDTHS[TAGS_MAX]   # of INTEGER ones, in octets
cdef dict TAGS = dict(_spec.TLVS)
cdef dict TAG_OF = dict(_spec.TLV_TAG)
cdef object SmeAddress = _spec.SmeAddress
cdef object DistributionList = _spec.DistributionList
cdef object UnsuccessSme = _spec.UnsuccessSme
cdef uint32_t RINVMSGLEN = _Status.ESME_RINVMSGLEN
cdef uint32_t RINVCMDLEN = _Status.ESME_RINVCMDLEN
cdef uint32_t RINVCMDID = _Status.ESME_RINVCMDID
cdef uint32_t RINVDESTFLAG = _Status.ESME_RINVDESTFLAG
cdef uint32_t RINVOPTPARSTREAM = _Status.ESME_RINVOPTPARSTREAM
cdef Py_ssize_t COMMAND_LENGTH_MAX = _COMMAND_LENGTH_MAX
cdef frozenset SHOWN = frozenset({  # octet fields that a repr may show: none names a person or a secret
    "system_id", "system_type", "service_type", "message_id", "schedule_delivery_time", "validity_period",
    "final_date", "receipted_message_id", "network_error_code",
})

cdef inline int slot(uint32_t command_id) noexcept:
    """Index into SPECS, or -1."""
    cdef uint32_t number = command_id & ~<uint32_t>RESPONSE_BIT
    if number >= COMMANDS_MAX:
        return -1
    return <int>number + (COMMANDS_MAX if command_id & RESPONSE_BIT else 0)

cdef inline object find_spec(uint32_t command_id):
    cdef int i = slot(command_id)
    return None if i < 0 else SPECS[i]

cdef int load_tables() except -1:
    cdef CommandSpec spec
    cdef int i
    memset(TAG_KINDS, 0, sizeof(TAG_KINDS))
    memset(TAG_WIDTHS, 0, sizeof(TAG_WIDTHS))
    for tag, row in TAGS.items():
        TAG_KINDS[<uint16_t>tag] = row.kind
        TAG_WIDTHS[<uint16_t>tag] = row.least if row.kind == INTEGER else 0
    for command_id, fields in _spec.COMMANDS.items():
        spec = CommandSpec.__new__(CommandSpec)
        spec.command_id = command_id
        spec.response = not not command_id & RESPONSE_BIT
        spec.response_id = _spec.response_id(command_id)
        spec.name = _spec.COMMAND_NAME[command_id]
        spec.names = tuple([field.name for field in fields])
        spec.index = {name: i for i, name in enumerate(spec.names)}
        spec.count = len(fields)
        for i, field in enumerate(fields):
            spec.kinds[i] = field.kind
            spec.sizes[i] = field.size
            spec.statuses[i] = field.status
        SPECS[slot(command_id)] = spec
    return 0

load_tables()
cdef CommandSpec BODYLESS = SPECS[slot(0x15)]


# ---------------------------------------------------------------- the value

@cython.final
@cython.no_gc           # it holds bytes, ints and tuples of them: no cycles, nothing for the collector to walk
@cython.freelist(64)
cdef class Pdu:
    """One PDU, never changed; see the stub."""

    def __cinit__(self):
        self.spec = BODYLESS        # never None, whoever calls __new__
        self.values = self.tlvs = self.flaws = ()

    def __init__(self, command_id, sequence_number, command_status=0, tlvs=(), **fields):
        cdef CommandSpec spec
        cdef list values
        cdef int i
        spec = find_spec(check_uint32("command_id", command_id))
        if spec is None:
            raise LocalProtocolError(f"command_id 0x{command_id:08x} is not of SMPP 3.4", "command_id")
        self.spec = spec
        self.command_id = spec.command_id
        self.command_status = check_uint32("command_status", command_status)
        self.sequence_number = check_uint32("sequence_number", sequence_number)
        bodyless = spec.response and self.command_status != 0 and spec.index.keys().isdisjoint(fields)
        values = [None if bodyless else empty(spec.kinds[i]) for i in range(spec.count)]
        options = [(tag, value) for tag, value in tlvs]
        for name, value in fields.items():
            if name in spec.index:
                values[spec.index[name]] = tuple(value) if type(value) is list else value
            elif name in TAG_OF:
                if value is not None:
                    options.append((TAG_OF[name], value))
            else:
                raise LocalProtocolError(
                    f"{spec.name} has no field {name!r}; it has {', '.join(spec.names) or 'no body'}, and TLVs", name
                )
        if bodyless and options:
            values = [empty(spec.kinds[i]) for i in range(spec.count)]
        self.values = tuple(values)
        self.tlvs = tuple(options)
        self.flaws = ()

    @property
    def name(self):
        return (<CommandSpec>self.spec).name

    @property
    def fields(self):
        return dict(zip((<CommandSpec>self.spec).names, self.values))

    @property
    def is_response(self):
        return (<CommandSpec>self.spec).response

    def tlv(self, tag, default=None):
        for key, value in self.tlvs:
            if key == tag:
                return value
        return default

    def response(self, command_status=0, **fields):
        response_id = (<CommandSpec>self.spec).response_id
        if response_id == 0:
            raise LocalProtocolError(f"{self.name}: SMPP has no answer to it", "command_id")
        return Pdu(response_id, self.sequence_number, command_status, (), **fields)

    def __getattribute__(self, name):
        cdef CommandSpec spec = self.spec
        position = spec.index.get(name)
        if position is not None:
            return self.values[<Py_ssize_t>position]
        tag = TAG_OF.get(name)
        if tag is not None:
            value = self.tlv(tag)
            return None if type(value) is bytes and TAG_KINDS[<uint16_t>tag] == INTEGER else value
        counted = COUNTED.get(name)
        if counted is not None and counted in spec.index:
            value = self.values[<Py_ssize_t>spec.index[counted]]
            return None if value is None else len(value)
        return PyObject_GenericGetAttr(self, name)

    def __eq__(self, other):
        return type(other) is Pdu and key_of(self) == key_of(<Pdu>other)

    def __hash__(self):
        return hash(key_of(self))

    def __reduce__(self):
        return _restore, (*key_of(self), self.flaws)

    def __repr__(self):
        cdef CommandSpec spec = self.spec
        parts = [f"{spec.name} sequence_number={self.sequence_number} command_status=0x{self.command_status:x}"]
        parts += [
            f"{name}={shown(name, value)}" for name, value in zip(spec.names, self.values) if value is None or value
        ]
        for tag, value in self.tlvs:
            name = TAGS[tag].name if tag in TAGS else f"0x{tag:04x}"
            parts.append(f"{name}={shown(name, value)}")
        if self.flaws:
            parts.append(f"flaws={list(self.flaws)}")
        return f"<{' '.join(parts)}>"

cdef dict COUNTED = {
    "sm_length": "short_message", "number_of_dests": "dest_address", "no_unsuccess": "unsuccess_sme",
}

cdef tuple key_of(Pdu pdu):
    return (pdu.command_id, pdu.command_status, pdu.sequence_number, pdu.values, pdu.tlvs)

cdef object empty(int kind):
    return 0 if kind == INTEGER else () if kind in (DEST_ADDRESSES, UNSUCCESS_SMES) else b""

cdef str shown(str name, object value):
    if type(value) is bytes and name not in SHOWN:
        return f"<{len(value)} octets>"
    if type(value) is tuple:
        return f"<{len(value)} entries>"
    return repr(value)

cdef Pdu make(CommandSpec spec, uint32_t status, uint32_t sequence_number, tuple values, tuple tlvs, tuple flaws):
    cdef Pdu pdu = Pdu.__new__(Pdu)
    pdu.spec = spec
    pdu.command_id = spec.command_id
    pdu.command_status = status
    pdu.sequence_number = sequence_number
    pdu.values = values
    pdu.tlvs = tlvs
    pdu.flaws = flaws
    return pdu

def _restore(command_id, command_status, sequence_number, values, tlvs, flaws):
    """What pickle and copy call."""
    return make(find_spec(command_id), command_status, sequence_number, values, tlvs, flaws)


include "pdu_decode.pxi"
include "pdu_encode.pxi"


# ---------------------------------------------------------------- the hot readers, for callers without C

cdef inline object bytes_or_none(const Octets *octets):
    return None if octets.length < 0 else as_bytes(octets)

def write_responses(uint32_t command_id, rows):
    """Responses to (sequence_number, command_status) rows: 17 octets for deliver_sm_resp, else 16."""
    cdef Outbox outbox
    outbox_init(&outbox)
    try:
        for sequence_number, command_status in rows:
            if command_id == DELIVER_SM_RESP:
                done = put_deliver_sm_resp(&outbox, command_status, sequence_number)
            else:
                done = put_header_only(&outbox, command_id, command_status, sequence_number)
            if not done:
                raise MemoryError
        return PyBytes_FromStringAndSize(<const char *>outbox.data, outbox.used)
    finally:
        outbox_free(&outbox)

def read_submit_sm_resps(const uint8_t[::1] data, Py_ssize_t limit=70_000):
    """(sequence_number, command_status, message_id or None) of every PDU in `data`; it holds nothing else."""
    cdef Py_ssize_t left = data.shape[0]
    cdef Py_ssize_t length
    cdef const uint8_t *at = &data[0] if left else NULL
    cdef SubmitResp resp
    cdef list rows = []
    while left > 0:
        length = frame_length(at, left, limit)
        if length <= 0 or get_u32(at + 4) != SUBMIT_SM_RESP:
            raise ValueError("not whole submit_sm_resp PDUs")
        get_submit_sm_resp(at, length, &resp)
        rows.append((resp.sequence_number, resp.command_status, bytes_or_none(&resp.message_id)))
        at += length
        left -= length
    return rows

def read_deliver_sm(const uint8_t[::1] data):
    """(command_status to answer or 0, what was read) of one whole deliver_sm or data."""
    cdef Deliver deliver
    cdef uint32_t status
    if frame_length(&data[0] if data.shape[0] else NULL, data.shape[0], COMMAND_LENGTH_MAX) != data.shape[0]:
        raise ValueError("not one whole PDU")
    status = get_deliver_sm(&data[0], data.shape[0], &deliver)
    return status, {
        "sequence_number": deliver.sequence_number,
        "source_addr_ton": deliver.source_addr_ton,
        "source_addr_npi": deliver.source_addr_npi,
        "dest_addr_ton": deliver.dest_addr_ton,
        "dest_addr_npi": deliver.dest_addr_npi,
        "esm_class": deliver.esm_class,
        "protocol_id": deliver.protocol_id,
        "priority_flag": deliver.priority_flag,
        "registered_delivery": deliver.registered_delivery,
        "data_coding": deliver.data_coding,
        "message_state": None if deliver.message_state < 0 else deliver.message_state,
        "user_message_reference": None if deliver.user_message_reference < 0 else deliver.user_message_reference,
        "service_type": bytes_or_none(&deliver.service_type),
        "source_addr": bytes_or_none(&deliver.source_addr),
        "destination_addr": bytes_or_none(&deliver.destination_addr),
        "short_message": bytes_or_none(&deliver.short_message),
        "receipted_message_id": bytes_or_none(&deliver.receipted_message_id),
        "network_error_code": bytes_or_none(&deliver.network_error_code),
    }
