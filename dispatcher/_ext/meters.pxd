# cython: language_level=3
"""What other compiled modules take from ``ext/meters.pyx``: histograms, and when what was accepted."""

from libc.stdint cimport int64_t, uint64_t

from histogram cimport Bins


cdef class Histogram:
    cdef Bins bins


cdef struct Step:
    uint64_t n                      # from this number on
    int64_t at_ms                   # ... messages were accepted then; 0: that says nothing of their age


cdef class Intake:
    cdef readonly dict sources      # of each source, a list: messages by traffic_class
    cdef Step* steps                # owned; in order of n
    cdef Py_ssize_t count, most
    cdef Py_ssize_t near            # where the last look-up ended: the next one is not far

    cdef int note(self, uint64_t n, int64_t at_ms) except -1
    cdef int count_source(self, object source, uint64_t* counted) except -1
    cdef void thin_out(self) noexcept
    cpdef int64_t since(self, uint64_t n) noexcept
