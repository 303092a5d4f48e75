"""What other compiled modules may use of session: the exchange of PDUs over one connection."""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint32_t, uint64_t, uint8_t

from hot cimport Deliver
from wire cimport Header, Inbox, Outbox


cdef struct Slot:               # one request of ours, from its writing to its answer
    uint32_t sequence_number    # 0: free
    uint32_t command_id
    uint32_t answered           # the sequence number that was answered here last: tells a duplicate
    bint expired                # given up by `expire`; kept so that a late answer finds its handle
    int64_t sent_ns
    uint64_t end                # where its last octet stands in the stream of octets out
    PyObject* handle            # owned
    Slot* older                 # the unanswered form a list in the order of writing
    Slot* newer


cdef class Incoming:
    cdef readonly bytes pdu
    cdef Deliver fields         # points into `pdu`
    cdef readonly uint32_t fault


cdef class Exchange:
    cdef Inbox inbox
    cdef Outbox outbox
    cdef Slot* slots
    cdef uint32_t mask
    cdef uint32_t next_number
    cdef Slot* oldest
    cdef Slot* newest
    cdef uint32_t pushed_id             # what we push: submit_sm, or deliver_sm as SMSC
    cdef uint32_t incoming_id           # what comes in: the other one
    cdef uint64_t octets_taken
    cdef readonly int window
    cdef readonly int in_flight
    cdef uint32_t asked                 # unanswered requests beside the window
    cdef uint32_t stragglers            # given up, their slots kept
    cdef public bint receives
    cdef readonly int64_t heard_ns
    cdef readonly int64_t said_ns
    cdef readonly int64_t answered_ns
    cdef readonly uint64_t octets_in
    cdef readonly uint64_t pushed
    cdef readonly uint64_t answered
    cdef readonly uint64_t received
    cdef readonly uint64_t late
    cdef readonly uint64_t duplicate
    cdef readonly uint64_t unknown
    cdef readonly uint64_t mismatched
    cdef readonly uint64_t malformed
    cdef readonly uint64_t enquiries
    cdef readonly object lost
    cdef list handles, statuses, message_ids, late_answers, coming, others

    cdef Slot* find(self, uint32_t sequence_number) noexcept
    cdef Slot* register(self, uint32_t command_id, object handle, int64_t now_ns)
    cdef object release(self, Slot* slot)
    cdef int response(self, const uint8_t* at, Py_ssize_t length, Header* header) except -1
    cdef int request(self, const uint8_t* at, Py_ssize_t length, Header* header) except -1
    cdef int other(self, const uint8_t* at, Py_ssize_t length, object handle) except -1
    cdef int received_octets(self, Py_ssize_t n, int64_t now_ns) except -1
    cdef void unlink(self, Slot* slot) noexcept
