# cython: language_level=3
"""The record of one event in octets: how it is put and how it is read, without a Python object.

Header-only: ``from event_record cimport ...``. The layout is that of dispatcher.model.Event:

    octets  0 kind  1 segment  2-3 carrier  4-7 code  8-15 n  16-23 at_ms  24 length of the tail, then the tail

little-endian, which is also how `Head` lies in memory here (events.pyx refuses to load elsewhere).
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from wire cimport Outbox, outbox_room

cdef enum:                      # dispatcher.model.EventKind; a test holds the two together
    CLAIMED = 1
    SUBMITTED = 2
    REFUSED = 3
    UNANSWERED = 4
    UNSENT = 5
    RETRY = 6
    RECEIPTED = 7
    FINISHED = 8
    CORRECTED = 9
    PARKED = 10
    ORPHANED = 11
    REROUTED = 12
    FAILED = 13
    KIND_MAX = 13

cdef enum:
    WHOLE = 255                 # as segment: the whole message
    TAIL_MAX = 255
    HEAD_OCTETS = 24
    RECORD_OCTETS = 25          # without the tail
    CUT = 0                     # what get_event says of a record that is not all there
    UNKNOWN_KIND = -1

cdef struct Head:
    uint8_t kind
    uint8_t segment
    uint16_t carrier
    uint32_t code
    uint64_t n
    int64_t at_ms


cdef inline bint put_event(Outbox *outbox, const Head *head, const uint8_t *tail, Py_ssize_t tail_octets) noexcept nogil:
    """Append one record; the tail has at most TAIL_MAX octets. False: no memory, nothing was appended."""
    cdef uint8_t *at = outbox_room(outbox, RECORD_OCTETS + tail_octets)
    if at == NULL:
        return False
    memcpy(at, head, HEAD_OCTETS)
    at[HEAD_OCTETS] = <uint8_t>tail_octets
    if tail_octets:
        memcpy(at + RECORD_OCTETS, tail, tail_octets)
    outbox.used += RECORD_OCTETS + tail_octets
    return True


cdef inline Py_ssize_t get_event(const uint8_t *at, Py_ssize_t left, Head *head, Py_ssize_t *tail_octets) noexcept nogil:
    """The octets of the record at `at`, whose tail stands at its end; or CUT, or UNKNOWN_KIND."""
    if left < RECORD_OCTETS or left < RECORD_OCTETS + <Py_ssize_t>at[HEAD_OCTETS]:
        return CUT
    memcpy(head, at, HEAD_OCTETS)
    if head.kind < CLAIMED or head.kind > KIND_MAX:
        return UNKNOWN_KIND
    tail_octets[0] = at[HEAD_OCTETS]
    return RECORD_OCTETS + tail_octets[0]
