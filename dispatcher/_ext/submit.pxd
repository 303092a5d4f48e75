"""What other compiled modules take from ``ext/submit.pyx``: the frames of a message that is none yet."""

from libc.stdint cimport int64_t, uint8_t

from dispatcher._ext.segment cimport Cut, Encoder, Plan


cdef class SubmitBuilder:
    cdef Encoder encoder
    cdef object source          # str -> bytes: service_type, source_addr_ton, _npi, source_addr; b"": impossible
    cdef dict senders
    cdef Py_ssize_t senders_max
    cdef object last_sender     # and what it became: most are like the one before
    cdef bytes last_source
    cdef bytes tlvs
    cdef int validity
    cdef int64_t validity_max_s
    cdef uint8_t dest_addr_ton, dest_addr_npi, esm_class, protocol_id, priority_flag
    cdef uint8_t registered_delivery, registered_delivery_before
    cdef bint sar, payload

    cdef list build(self, str to, str sender, str text, int64_t deadline_ms, int64_t given, int64_t now_ms)
    cdef bytes frame(self, bytes source, object to, Plan plan, const void *data, int kind, Py_ssize_t start,
                     Cut cut, int total, int number, int reference, Py_ssize_t header,
                     const uint8_t *times, Py_ssize_t times_octets, bint as_payload)
    cdef bytes source_of(self, object sender)
    cdef Py_ssize_t put_validity(self, int64_t deadline_ms, int64_t now_ms, uint8_t *at) noexcept
