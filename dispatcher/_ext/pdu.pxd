# cython: language_level=3
"""What other compiled modules take from ``ext/pdu.pyx``: ``from dispatcher._ext.pdu cimport ...``."""

from libc.stdint cimport uint8_t, uint32_t

from hot cimport SubmitConst
from wire cimport Inbox, Outbox


cdef class Pdu:
    cdef readonly uint32_t command_id
    cdef readonly uint32_t command_status
    cdef readonly uint32_t sequence_number
    cdef readonly tuple tlvs        # of (tag, int | bytes), in wire order
    cdef readonly tuple flaws       # of str: what the decoder tolerated
    cdef object spec                # CommandSpec, private to pdu.pyx
    cdef tuple values               # mandatory parameters, in the order of the spec


cdef class SubmitTemplate:
    cdef SubmitConst constant       # `tlvs` points into `tlv_octets`
    cdef readonly bytes tlv_octets


cdef class Framer:
    cdef Inbox inbox
    cdef object lost                # the Unrecoverable that ended it, or None


cdef object decode_frame(const uint8_t *at, Py_ssize_t length)
"""A Pdu or a Recoverable, as values; `at` holds one whole frame, as frame_length said."""

cdef int append_pdu(Outbox *outbox, Pdu pdu) except -1
"""Append the octets of `pdu`, or raise LocalProtocolError and append nothing."""
