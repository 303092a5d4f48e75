# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Events in octets: a buffer that they are put into, and a reader.

Law: a record is as dispatcher.model.Event says; bodies of records can be joined. Reading checks every length
and every kind, so a body that was cut or overwritten is a StoreError and never a wrong event.
"""

import sys

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_SET_ITEM
from libc.stdint cimport uint8_t

cimport cython

from event_record cimport (
    CLAIMED, CUT, KIND_MAX, RECORD_OCTETS, TAIL_MAX, WHOLE, Head, get_event, put_event,
)
from wire cimport outbox_free, outbox_init

from dispatcher.errors import StoreError

cdef extern from *:
    """
    static PyObject *tuple_of_type(PyObject *type, Py_ssize_t size) {
        return ((PyTypeObject *)type)->tp_alloc((PyTypeObject *)type, size);
    }
    """
    object tuple_of_type(object type, Py_ssize_t size)

cdef enum:
    FIELDS = 7                  # of dispatcher.model.Event

if sys.byteorder != "little":
    raise ImportError("events are laid out for little-endian machines")


@cython.final
cdef class EventBuffer:
    """Records of events, waiting for the next commit. It grows; it never shrinks and never forgets."""

    def __cinit__(self):
        outbox_init(&self.outbox)

    def __dealloc__(self):
        outbox_free(&self.outbox)

    def __len__(self):
        return self.records

    @property
    def octets(self):
        """Octets of all records in it."""
        return self.outbox.used

    def add(self, kind, n, at_ms, segment=255, carrier=0, code=0, bytes tail=b""):
        """Append one event; ValueError where a field does not fit its octets or the kind is unknown."""
        cdef Head head
        if not (
            CLAIMED <= kind <= KIND_MAX and 0 <= n < 1 << 64 and -(1 << 63) <= at_ms < 1 << 63
            and 0 <= segment <= WHOLE and 0 <= carrier < 1 << 16 and 0 <= code < 1 << 32
        ):
            raise ValueError(
                f"no event: kind {kind}, n {n}, at_ms {at_ms}, segment {segment}, carrier {carrier}, code {code}"
            )
        if tail is None or PyBytes_GET_SIZE(tail) > TAIL_MAX:
            raise ValueError(f"a tail is at most {TAIL_MAX} octets of bytes")
        head.kind, head.segment, head.carrier, head.code = kind, segment, carrier, code
        head.n, head.at_ms = n, at_ms
        if not put_event(&self.outbox, &head, <const uint8_t*>PyBytes_AS_STRING(tail), PyBytes_GET_SIZE(tail)):
            raise MemoryError
        self.records += 1

    def take(self):
        """Return (how many, their octets) and be empty."""
        cdef Py_ssize_t count = self.records
        body = PyBytes_FromStringAndSize(<const char*>self.outbox.data, self.outbox.used)
        self.outbox.used = self.records = 0
        return count, body

    def __repr__(self):
        return f"<EventBuffer {self.records} events, {self.outbox.used} octets>"


def read_events(bytes body not None, event_type not None):
    """Return the events of a body as a list of `event_type`: dispatcher.model.Event, or plain tuple.

    StoreError: the body is cut, or holds a kind that nobody knows. TypeError: `event_type` is no tuple.
    """
    cdef const uint8_t* at = <const uint8_t*>PyBytes_AS_STRING(body)
    cdef Py_ssize_t left = PyBytes_GET_SIZE(body), octets, tail_octets = 0
    cdef Head head
    cdef list events = []
    if not isinstance(event_type, type) or not issubclass(event_type, tuple):
        raise TypeError("event_type is a class of tuples")
    while left:
        octets = get_event(at, left, &head, &tail_octets)
        if octets <= 0:
            raise refused(at - <const uint8_t*>PyBytes_AS_STRING(body), octets, head.kind)
        events.append(event_of(event_type, &head, at + RECORD_OCTETS, tail_octets))
        at += octets
        left -= octets
    return events


def pick_events(bytes body not None, event_type not None, unsigned int kinds):
    """Return how many events a body holds, and those of some kinds: their places, from 1, and themselves.

    `kinds`: a bit each, 1 << kind. What is not asked for costs some nanoseconds. Raises as read_events.
    """
    cdef const uint8_t* at = <const uint8_t*>PyBytes_AS_STRING(body)
    cdef Py_ssize_t left = PyBytes_GET_SIZE(body), octets, tail_octets = 0, place = 0
    cdef Head head
    cdef list places = [], events = []
    if not isinstance(event_type, type) or not issubclass(event_type, tuple):
        raise TypeError("event_type is a class of tuples")
    while left:
        octets = get_event(at, left, &head, &tail_octets)
        if octets <= 0:
            raise refused(at - <const uint8_t*>PyBytes_AS_STRING(body), octets, head.kind)
        place += 1
        if kinds >> head.kind & 1:
            places.append(place)
            events.append(event_of(event_type, &head, at + RECORD_OCTETS, tail_octets))
        at += octets
        left -= octets
    return place, places, events


cdef object refused(Py_ssize_t offset, Py_ssize_t octets, uint8_t kind):
    why = "the record is cut" if octets == CUT else f"unknown kind {kind}"
    return StoreError(f"octet {offset} of a body of events: {why}")


cdef object event_of(object event_type, const Head* head, const uint8_t* tail, Py_ssize_t tail_octets):
    # The values first: the new tuple is known to the collector, and must not be seen half filled.
    kind, segment, carrier, code = head.kind, head.segment, head.carrier, head.code
    n, at_ms = head.n, head.at_ms
    octets = PyBytes_FromStringAndSize(<const char*>tail, tail_octets)
    event = tuple_of_type(event_type, FIELDS)
    put_item(event, 0, kind)
    put_item(event, 1, segment)
    put_item(event, 2, carrier)
    put_item(event, 3, code)
    put_item(event, 4, n)
    put_item(event, 5, at_ms)
    put_item(event, 6, octets)
    return event


cdef inline void put_item(object event, Py_ssize_t index, object value) noexcept:
    Py_INCREF(value)
    PyTuple_SET_ITEM(event, index, value)
