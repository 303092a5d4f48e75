# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""A number, a sender and a class to the carriers of a route: what the rules have decided once is remembered.

Law: a route depends on the message alone. Where carriers share the traffic, a hash of the message's number decides.
"""

from libc.stdint cimport uint64_t

from cpython.dict cimport PyDict_GetItem
from cpython.list cimport PyList_GET_ITEM
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE

cimport cython

from text cimport is_same

from dispatcher._ext.numbers cimport RangeTable

cdef extern from *:
    """
    #define SPREAD 0x9E3779B97F4A7C15ULL   /* 2**64 over the golden ratio: neighbours land far apart (Knuth, 6.4) */
    """
    const uint64_t SPREAD


@cython.final
cdef class Routes:
    """Routes by zone, operator, sender and class; see the stub."""

    def __cinit__(self, RangeTable zones not None, moved, decide, Py_ssize_t remembered_max):
        if remembered_max < 1:
            raise ValueError("remembered_max is 1 or more")
        self.zones, self.moved, self.decide = zones, moved, decide
        self.remembered = {}
        self.last_sender, self.last_orders = [None] * CLASSES, [None] * CLASSES
        self.remembered_max = remembered_max

    def __call__(self, str to not None, str sender not None, int traffic_class, uint64_t n):
        """Return the carriers of a message to the E.164 digits `to`, best first; empty: no rule fits."""
        return self.route(to, sender, traffic_class, n)

    cdef tuple route(self, str to, str sender, int traffic_class, uint64_t n):
        cdef object moved = None if self.moved is None else self.moved(to)
        cdef int zone = self.zones.locate(to)
        cdef bint is_plain = moved is None and 0 <= traffic_class < CLASSES
        cdef tuple orders
        if is_plain and zone == self.last_zone[traffic_class] and self.is_last(sender, traffic_class):
            orders = <tuple>PyList_GET_ITEM(self.last_orders, traffic_class)
        else:
            orders = self.orders_of(zone, moved, sender, traffic_class)
            if is_plain:
                self.last_zone[traffic_class] = zone
                self.last_sender[traffic_class], self.last_orders[traffic_class] = sender, orders
        return <tuple>PyTuple_GET_ITEM(orders, <Py_ssize_t>((n * SPREAD >> 32) % <uint64_t>PyTuple_GET_SIZE(orders)))

    cdef bint is_last(self, str sender, int traffic_class) noexcept:
        cdef object last = <object>PyList_GET_ITEM(self.last_sender, traffic_class)
        return last is not None and is_same(sender, last)

    cdef tuple orders_of(self, int zone, moved, str sender, int traffic_class):
        cdef tuple orders, key = (zone, moved, sender, traffic_class)
        cdef PyObject *found = PyDict_GetItem(self.remembered, key)
        if found != NULL:
            return <tuple>found
        orders = self.decide(*key)
        if len(self.remembered) >= self.remembered_max:
            self.remembered.clear()
        self.remembered[key] = orders
        return orders

    def __len__(self):
        return len(self.remembered)

    def __repr__(self):
        return f"<Routes {len(self.zones)} ranges, {len(self)} remembered>"
