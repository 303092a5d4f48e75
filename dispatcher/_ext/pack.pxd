"""What other compiled modules take from ``ext/pack.pyx``."""

from wire cimport Outbox

cdef enum:
    FIELDS = 18                 # of dispatcher.model.Message


cdef class Packer:
    cdef object message_type, encode
    cdef Py_ssize_t[FIELDS] at
    cdef int[FIELDS] kinds
    cdef Outbox out

    cdef int put(self, Outbox *out, object message) except -1
    cdef int put_number(self, Outbox *out, object value) except -1
    cdef int put_numbers(self, Outbox *out, tuple numbers) except -1
    cdef int put_other(self, Outbox *out, object value) except -1
