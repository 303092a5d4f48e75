# cython: language_level=3
"""What other compiled modules take from ``ext/events.pyx``: the buffer, to put records in without a call."""

from libc.stdint cimport uint64_t

from wire cimport Outbox


cdef class EventBuffer:
    cdef Outbox outbox              # records back to back, see event_record.pxd
    cdef Py_ssize_t records         # how many; whoever puts one counts it
