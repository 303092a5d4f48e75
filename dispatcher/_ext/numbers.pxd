"""What other compiled modules take from ``ext/numbers.pyx``."""

from libc.stdint cimport uint8_t, uint16_t, uint64_t


cdef class Normaliser:
    cdef tuple refusals
    cdef bytes code             # calling code of the country; b"": there is none
    cdef bytes trunk            # before a national number; b"": nothing
    cdef bytes mobile           # first digits of a mobile national number; b"": any
    cdef Py_ssize_t least, most  # digits of a national number
    cdef bint bare              # national numbers are written without the trunk prefix too

    cdef object read(self, str number)
    cdef object international(self, object number, const uint8_t *digits, Py_ssize_t count, bint other)
    cdef object national(self, object number, const uint8_t *digits, Py_ssize_t count, bint separated)
    cdef bint is_mobile(self, uint8_t first) noexcept
    cdef object refuse(self, int fault)


cdef class RangeTable:
    cdef const uint64_t[::1] starts
    cdef const uint64_t[::1] ends      # inclusive
    cdef const uint16_t[::1] values

    cdef int locate(self, str number) noexcept
