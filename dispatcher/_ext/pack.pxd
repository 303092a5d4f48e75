"""What other compiled modules take from ``ext/pack.pyx``."""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint64_t

from wire cimport Outbox

cdef enum:
    FIELDS = 18                 # of dispatcher.model.Message

cdef struct Record:             # a Message, its numbers as such; what it points to is borrowed
    uint64_t n, key_hash, body_hash
    int64_t accepted_ms, deadline_ms, send_after_ms
    unsigned int traffic_class, segments, reference
    PyObject *message_id
    PyObject *to
    PyObject *sender
    PyObject *text
    PyObject *carriers
    PyObject *client_ref
    PyObject *source
    PyObject *callback
    PyObject *traceparent


cdef class Packer:
    cdef object message_type, encode
    cdef Py_ssize_t[FIELDS] at
    cdef int[FIELDS] kinds
    cdef Outbox out

    cdef int put(self, Outbox *out, object message) except -1
    cdef int put_record(self, Outbox *out, const Record *record) except -1
    cdef int put_text(self, Outbox *out, object text) except -1
    cdef int put_number(self, Outbox *out, object value) except -1
    cdef int put_numbers(self, Outbox *out, tuple numbers) except -1
    cdef int put_other(self, Outbox *out, object value) except -1
