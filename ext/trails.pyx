# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Trails: the events of one message, taken out of bodies that hold those of many, in order.

Law: a record is copied as it is, and checked as events.pyx checks it. What projections fold a journal with.
"""

import sys

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

from event_record cimport CORRECTED, CUT, FINISHED, Head, get_event

from dispatcher.errors import StoreError

if sys.byteorder != "little":
    raise ImportError("events are laid out for little-endian machines")


def add_trails(bytes body not None, dict trails not None):
    """Append each event of a body to the trail of its message: trails[n] is all of them, back to back.

    Events without a message (n = 0) are left out. StoreError: the body is cut, or holds an unknown kind; the events
    before that place have been added.
    """
    cdef const uint8_t* start = <const uint8_t*>PyBytes_AS_STRING(body)
    cdef const uint8_t* at = start
    cdef Py_ssize_t left = PyBytes_GET_SIZE(body), octets, tail_octets = 0
    cdef Head head
    while left:
        octets = get_event(at, left, &head, &tail_octets)
        if octets <= 0:
            what = "the record is cut" if octets == CUT else "unknown kind"
            raise StoreError(f"octet {at - start} of a body of events: {what}")
        if head.n:
            n = head.n
            record = PyBytes_FromStringAndSize(<const char*>at, octets)
            before = trails.get(n)
            trails[n] = record if before is None else <bytes>before + <bytes>record
        at += octets
        left -= octets


def last_state(bytes trail not None):
    """Return (carrier, code, at_ms) of a trail.

    `carrier` is that of the last event that names one, else 0; `code` (outcome << 16 | reason) and `at_ms` are those
    of the last FINISHED or CORRECTED, else 0. StoreError: as add_trails.
    """
    cdef const uint8_t* at = <const uint8_t*>PyBytes_AS_STRING(trail)
    cdef Py_ssize_t left = PyBytes_GET_SIZE(trail), octets, tail_octets = 0
    cdef uint16_t carrier = 0
    cdef uint32_t code = 0
    cdef int64_t at_ms = 0
    cdef Head head
    while left:
        octets = get_event(at, left, &head, &tail_octets)
        if octets <= 0:
            raise StoreError("a trail is cut, or holds an unknown kind")
        if head.carrier:
            carrier = head.carrier
        if head.kind == FINISHED or head.kind == CORRECTED:
            code, at_ms = head.code, head.at_ms
        at += octets
        left -= octets
    return carrier, code, at_ms
