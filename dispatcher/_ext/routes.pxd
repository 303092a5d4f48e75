"""What other compiled modules take from ``ext/routes.pyx``."""

from libc.stdint cimport uint64_t

from dispatcher._ext.numbers cimport RangeTable

cdef enum:
    CLASSES = 4


cdef class Routes:
    cdef RangeTable zones
    cdef object moved           # digits -> operator, or None where no rule asks for one
    cdef object decide          # (zone, operator, sender, traffic_class) -> the orders among which n chooses
    cdef dict remembered
    cdef Py_ssize_t remembered_max
    # what was asked for last, of each class
    cdef int[CLASSES] last_zone
    cdef list last_sender, last_orders

    cdef tuple route(self, str to, str sender, int traffic_class, uint64_t n)
    cdef bint is_last(self, str sender, int traffic_class) noexcept
    cdef tuple orders_of(self, int zone, moved, str sender, int traffic_class)
