# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Messages to their records in the journal: msgpack arrays, back to back, in one buffer.

The same octets as msgspec's encoder makes of a Message (tests hold the two together), without an object for each record
and one more that joins them. What is rare in a message is left to that encoder.
"""

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE

from fields cimport FIELD, field_of
from msgpack cimport FIX_ARRAY_MAX, pack_array, pack_nil, pack_number, pack_octets, pack_text, room
from wire cimport Outbox, outbox_free, outbox_init, put_octets

cdef extern from "Python.h":
    bint PyBytes_CheckExact(object octets) noexcept
    bint PyUnicode_CheckExact(object text) noexcept
    bint PyTuple_CheckExact(object items) noexcept
    long long PyLong_AsLongLongAndOverflow(object number, int *overflow) except? -1

cdef enum Kind:                 # of a field
    NUMBER = 0
    OCTETS = 1
    TEXT = 2                    # or None
    NUMBERS = 3                 # a tuple of them
    VALUE = 4                   # None mostly

KINDS = {
    "n": NUMBER, "message_id": OCTETS, "to": TEXT, "sender": TEXT, "text": TEXT, "traffic_class": NUMBER,
    "accepted_ms": NUMBER, "deadline_ms": NUMBER, "send_after_ms": NUMBER, "segments": NUMBER, "reference": NUMBER,
    "carriers": NUMBERS, "client_ref": TEXT, "key_hash": NUMBER, "body_hash": NUMBER, "source": TEXT, "callback": VALUE,
    "traceparent": TEXT,
}


@cython.final
cdef class Packer:
    """Makes records of messages; see the stub."""

    def __cinit__(self, message_type, encode):
        cdef int index
        outbox_init(&self.out)
        if message_type.__struct_fields__ != tuple(KINDS):
            raise ValueError(f"a record has the fields {', '.join(KINDS)}")
        self.message_type, self.encode = message_type, encode
        for index, (name, kind) in enumerate(KINDS.items()):
            self.kinds[index] = kind
            self.at[index] = field_of(message_type, name.encode())

    def __dealloc__(self):
        outbox_free(&self.out)

    def pack(self, messages):
        """Return the records of messages, back to back."""
        self.out.used = 0
        for message in messages:
            if type(message) is not self.message_type:
                raise TypeError(f"a Message is expected, not {type(message).__name__}")
            self.put(&self.out, message)
        return PyBytes_FromStringAndSize(<char *>self.out.data, self.out.used)

    cdef int put(self, Outbox *out, object message) except -1:
        cdef int index
        cdef object value
        pack_array(out, FIELDS)
        for index in range(FIELDS):
            value = <object>FIELD(message, self.at[index])
            if self.kinds[index] == NUMBER:
                self.put_number(out, value)
            elif value is None:
                pack_nil(out)
            elif self.kinds[index] == TEXT and PyUnicode_CheckExact(value):
                pack_text(out, value)
            elif self.kinds[index] == OCTETS and PyBytes_CheckExact(value) and PyBytes_GET_SIZE(value) <= 0xFF:
                pack_octets(out, <const uint8_t *>PyBytes_AS_STRING(value), <uint8_t>PyBytes_GET_SIZE(value))
            elif self.kinds[index] == NUMBERS and PyTuple_CheckExact(value) and PyTuple_GET_SIZE(value) <= FIX_ARRAY_MAX:
                self.put_numbers(out, value)
            else:
                self.put_other(out, value)
        return 0

    cdef int put_record(self, Outbox *out, const Record *record) except -1:
        """The same of a message that is just being made: its numbers are none of Python's yet."""
        cdef object callback = <object>record.callback
        cdef bytes message_id = <bytes>record.message_id
        pack_array(out, FIELDS)
        pack_number(out, record.n)
        pack_octets(
            out, <const uint8_t *>PyBytes_AS_STRING(message_id), <uint8_t>PyBytes_GET_SIZE(message_id))
        self.put_text(out, <object>record.to)
        self.put_text(out, <object>record.sender)
        self.put_text(out, <object>record.text)
        pack_number(out, record.traffic_class)
        pack_number(out, record.accepted_ms)
        pack_number(out, record.deadline_ms)
        pack_number(out, record.send_after_ms)
        pack_number(out, record.segments)
        pack_number(out, record.reference)
        self.put_numbers(out, <tuple>record.carriers)
        self.put_text(out, <object>record.client_ref)
        pack_number(out, record.key_hash)
        pack_number(out, record.body_hash)
        self.put_text(out, <object>record.source)
        if callback is None:
            pack_nil(out)
        else:
            self.put_other(out, callback)
        return self.put_text(out, <object>record.traceparent)

    cdef int put_text(self, Outbox *out, object text) except -1:
        if text is None:
            return pack_nil(out)
        return pack_text(out, text) if PyUnicode_CheckExact(text) else self.put_other(out, text)

    cdef int put_number(self, Outbox *out, object value) except -1:
        cdef int overflow = 0
        cdef int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow)
        if overflow > 0:
            return pack_number(out, value)  # beyond 63 bits
        if overflow < 0 or number < 0:
            return self.put_other(out, value)
        return pack_number(out, number)

    cdef int put_numbers(self, Outbox *out, tuple numbers) except -1:
        cdef Py_ssize_t index
        pack_array(out, <uint32_t>PyTuple_GET_SIZE(numbers))
        for index in range(PyTuple_GET_SIZE(numbers)):
            self.put_number(out, <object>PyTuple_GET_ITEM(numbers, index))
        return 0

    cdef int put_other(self, Outbox *out, object value) except -1:
        cdef bytes octets = self.encode(value)
        cdef Py_ssize_t length = PyBytes_GET_SIZE(octets)
        put_octets(room(out, length), <const uint8_t *>PyBytes_AS_STRING(octets), length)
        out.used += length
        return 0
