# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""A message to its whole submit_sm, one a segment, as one carrier wants them (SMPP 3.4, 4.4.1).

Law (9): nothing is cut; a message that this carrier cannot carry as it is gives no frame at all. What is the
same for all messages of a carrier is checked once by dispatcher.carrier.profile, which builds the SubmitBuilder;
what is the same for all of a sender is kept ready as octets. sequence_number is 0: the session fills it in.

::

    header 16 | service_type source_addr_ton source_addr_npi source_addr | dest_addr_ton dest_addr_npi
    destination_addr | esm_class protocol_id priority_flag | schedule_delivery_time "" | validity_period
    | registered_delivery replace_if_present_flag 0 data_coding sm_default_msg_id 0 sm_length short_message
    | the carrier's TLVs | sar_ TLVs, or message_payload
"""

cimport cython
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_ITEM

from text cimport PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_IS_ASCII, is_same, kind_of
from wire cimport HEADER_OCTETS, put_header, put_octets, put_u8, put_u16

from dispatcher._ext.segment cimport CUTS_MAX, FITS, Choice, Cut, Encoder, Plan

cdef extern from "Python.h":
    bint PyUnicode_CheckExact(object text) noexcept

cdef enum:
    SUBMIT_SM = 0x00000004
    UDHI = 0x40
    ADDRESS_MAX = 20            # octets of destination_addr, without its NUL
    TIME_OCTETS = 16
    SHORT_MESSAGE_MAX = 254
    PAYLOAD_MAX = 0xFFFF
    SAR_OCTETS = 16             # the three TLVs
    SECONDS_MAX = 32 * 86400 - 1  # DD of a relative time goes to 31

cdef enum Validity:
    NONE = 0
    RELATIVE = 1
    ABSOLUTE = 2


@cython.final
cdef class SubmitBuilder:
    """All that a carrier wants, and the senders that were seen; see the stub."""

    def __cinit__(
        self, Encoder encoder not None, source, *, Py_ssize_t senders_max, bytes tlvs not None, int validity,
        int64_t validity_max_s, uint8_t dest_addr_ton, uint8_t dest_addr_npi, uint8_t esm_class,
        uint8_t protocol_id, uint8_t priority_flag, uint8_t registered_delivery,
        uint8_t registered_delivery_before,
    ):
        if not NONE <= validity <= ABSOLUTE or not 1 <= validity_max_s <= SECONDS_MAX or senders_max < 1:
            raise ValueError("validity 0 to 2, validity_max_s 1 to 2764799, senders_max from 1")
        if len(tlvs) > PAYLOAD_MAX:
            raise ValueError("so many TLVs fit no PDU")
        for plan in encoder.plans:
            if (<Plan>plan).pad_cr:  # would make the length depend on the text
                raise ValueError("packed-cr is for USSD")
        self.encoder = encoder
        self.source = source
        self.senders = {}
        self.senders_max = senders_max
        self.tlvs = tlvs
        self.validity = validity
        self.validity_max_s = validity_max_s
        self.dest_addr_ton = dest_addr_ton
        self.dest_addr_npi = dest_addr_npi
        self.esm_class = esm_class
        self.protocol_id = protocol_id
        self.priority_flag = priority_flag
        self.registered_delivery = registered_delivery
        self.registered_delivery_before = registered_delivery_before
        self.payload = encoder.method == "payload"
        self.sar = encoder.method == "sar"

    def frames(self, message, int64_t now_ms):
        """Return the submit_sm of a Message (the stub says more)."""
        to, sender, text = message.to, message.sender, message.text
        if not (PyUnicode_CheckExact(to) and PyUnicode_CheckExact(sender) and PyUnicode_CheckExact(text)):
            raise TypeError("to, sender and text are str")
        return self.build(to, sender, text, message.deadline_ms, message.reference, now_ms)

    cdef list build(self, str to, str sender, str text, int64_t deadline_ms, int64_t given, int64_t now_ms):
        """The same for the parts of a message that count here."""
        cdef Cut cuts[CUTS_MAX]
        cdef Cut whole
        cdef Choice choice
        cdef uint8_t times[TIME_OCTETS + 1]
        cdef bytes source = self.source_of(sender)
        cdef int reference = <int>(given & self.encoder.reference_max)
        cdef Py_ssize_t start = 0, digits, header, times_octets
        cdef int kind, index, total
        cdef const void *data
        cdef Plan plan
        cdef bytes frame
        cdef list frames
        digits = PyUnicode_GET_LENGTH(to)
        if PyBytes_GET_SIZE(source) == 0 or not PyUnicode_IS_ASCII(to) or not 1 <= digits <= ADDRESS_MAX:
            return []
        data = PyUnicode_DATA(text)
        kind = kind_of(text)
        self.encoder.choose(data, kind, PyUnicode_GET_LENGTH(text), cuts, &choice)
        if choice.verdict != FITS:
            return []
        plan = <Plan>PyTuple_GET_ITEM(self.encoder.plans, choice.plan)
        times_octets = self.put_validity(deadline_ms, now_ms, times)
        total = choice.segments
        if self.payload and total > 1:
            whole.end = <int>PyUnicode_GET_LENGTH(text)
            whole.units = <int>choice.units
            if plan.octets_max(choice.units, 0) > PAYLOAD_MAX:
                return []
            return [self.frame(source, to, plan, data, kind, 0, whole, 1, 1, 0, 0, times, times_octets, True)]
        header = self.encoder.header_octets(plan, total)
        frames = PyList_New(total)
        for index in range(total):
            frame = self.frame(source, to, plan, data, kind, start, cuts[index], total, index + 1, reference,
                               header, times, times_octets, False)
            Py_INCREF(frame)
            PyList_SET_ITEM(frames, index, frame)
            start = cuts[index].end
        return frames

    cdef bytes frame(self, bytes source, object to, Plan plan, const void *data, int kind, Py_ssize_t start,
                     Cut cut, int total, int number, int reference, Py_ssize_t header,
                     const uint8_t *times, Py_ssize_t times_octets, bint as_payload):
        """One submit_sm; `to` is ASCII of 1 to ADDRESS_MAX characters, `cut` one of the plan's."""
        cdef Py_ssize_t octets = plan.octets_max(cut.units, header)
        cdef Py_ssize_t source_octets = PyBytes_GET_SIZE(source), digits = PyUnicode_GET_LENGTH(to)
        cdef Py_ssize_t tlv_octets = PyBytes_GET_SIZE(self.tlvs)
        cdef bint sar = self.sar and total > 1
        # 2 TON and NPI, a NUL, 3 flags, an empty schedule_delivery_time, 5 single octets behind the times
        cdef Py_ssize_t size = (HEADER_OCTETS + source_octets + 2 + digits + 1 + 3 + 1 + times_octets + 5
                                + octets + tlv_octets + sar * SAR_OCTETS + as_payload * 4)
        cdef bytes frame
        cdef uint8_t *at
        if not as_payload and octets > SHORT_MESSAGE_MAX:
            raise ValueError("a segment longer than short_message")  # no plan makes one
        frame = PyBytes_FromStringAndSize(NULL, size)
        at = <uint8_t *>PyBytes_AS_STRING(frame)
        at = put_header(at, <unsigned int>size, SUBMIT_SM, 0, 0)
        at = put_octets(at, <const uint8_t *>PyBytes_AS_STRING(source), source_octets)
        at = put_u8(at, self.dest_addr_ton)
        at = put_u8(at, self.dest_addr_npi)
        at = put_octets(at, <const uint8_t *>PyUnicode_DATA(to), digits)
        at = put_u8(at, 0)
        at = put_u8(at, self.esm_class | (UDHI if header else 0))
        at = put_u8(at, self.protocol_id)
        at = put_u8(at, self.priority_flag)
        at = put_u8(at, 0)
        at = put_octets(at, times, times_octets)
        at = put_u8(at, self.registered_delivery if number == total else self.registered_delivery_before)
        at = put_u8(at, 0)
        at = put_u8(at, plan.data_coding)
        at = put_u8(at, 0)
        if as_payload:
            at = put_u8(at, 0)
            at = put_octets(at, <const uint8_t *>PyBytes_AS_STRING(self.tlvs), tlv_octets)
            at = put_u16(at, 0x0424)
            at = put_u16(at, <unsigned int>octets)
            plan.write(data, kind, start, cut, 0, at)  # a zero beyond it falls on the NUL that ends every bytes
            return frame
        at = put_u8(at, <unsigned int>octets)
        plan.write_header(reference, total, number, header, at)
        plan.write(data, kind, start, cut, header, at)  # a zero beyond it is written over, or as above
        at += octets
        at = put_octets(at, <const uint8_t *>PyBytes_AS_STRING(self.tlvs), tlv_octets)
        if sar:
            at = put_u16(put_u16(put_u16(at, 0x020C), 2), reference)
            at = put_u8(put_u16(put_u16(at, 0x020E), 1), total)
            at = put_u8(put_u16(put_u16(at, 0x020F), 1), number)
        return frame

    cdef bytes source_of(self, object sender):
        """The octets of a sender, made once; all are forgotten when there are senders_max."""
        cdef PyObject *found
        if self.last_sender is not None and is_same(sender, self.last_sender):
            return self.last_source
        found = PyDict_GetItem(self.senders, sender)
        if found != NULL:
            self.last_sender, self.last_source = sender, <bytes>found
            return self.last_source
        if len(self.senders) >= self.senders_max:
            self.senders.clear()
        made = self.source(sender)
        if type(made) is not bytes:
            raise TypeError("a source is bytes")
        self.senders[sender] = made
        return made

    cdef Py_ssize_t put_validity(self, int64_t deadline_ms, int64_t now_ms, uint8_t *at) noexcept:
        """Write validity_period with its NUL; return its octets, 1 to 17. At least a second, and at most what
        the carrier takes: our own deadline holds in any case."""
        cdef int64_t seconds, left_s = 1
        cdef int64_t day, era, year_of_era, day_of_year, month, year
        at[0] = 0
        if self.validity == NONE:
            return 1
        if deadline_ms > now_ms and (deadline_ms - now_ms) // 1000 > 1:
            left_s = (deadline_ms - now_ms) // 1000
        if left_s > self.validity_max_s:
            left_s = self.validity_max_s
        at[TIME_OCTETS] = 0
        if self.validity == RELATIVE:
            seconds = left_s
            put_two(at, 0)
            put_two(at + 2, 0)
            put_two(at + 4, seconds // 86400)
            memcpy(at + 12, b"000R", 4)
        else:
            seconds = now_ms // 1000 + left_s
            if seconds < 0 or seconds >= <int64_t>253402300800:  # the year 10000
                at[0] = 0
                return 1
            # Days of the civil calendar: years begin in March, so that the leap day comes last.
            day = seconds // 86400 + 719468
            era = day // 146097
            day -= era * 146097
            year_of_era = (day - day // 1460 + day // 36524 - day // 146096) // 365
            day_of_year = day - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
            month = (5 * day_of_year + 2) // 153
            day = day_of_year - (153 * month + 2) // 5 + 1
            month += 3 if month < 10 else -9
            year = year_of_era + era * 400 + (month <= 2)
            put_two(at, year % 100)
            put_two(at + 2, month)
            put_two(at + 4, day)
            memcpy(at + 12, b"000+", 4)
        seconds %= 86400
        put_two(at + 6, seconds // 3600)
        put_two(at + 8, seconds // 60 % 60)
        put_two(at + 10, seconds % 60)
        return TIME_OCTETS + 1

    def __len__(self):
        return len(self.senders)

    def __repr__(self):
        return f"<SubmitBuilder {self.encoder!r}, {len(self.senders)} senders>"


cdef inline void put_two(uint8_t *at, int64_t number) noexcept:
    at[0] = <uint8_t>(48 + number // 10)
    at[1] = <uint8_t>(48 + number % 10)
