# What the encoder returns: a part of segment.pyx, which includes it. Values without a way to change them, kept
# from the garbage collector: they hold str and bytes alone, so that no cycle can begin in them.

@cython.final
@cython.no_gc
@cython.freelist(256)
cdef class Segment:
    """One segment of a text: what goes into one submit_sm."""

    cdef readonly bytes user_data
    """Finished user data, header included: the short_message field."""
    cdef readonly int units
    """Septets, octets or UTF-16 units of text, by the alphabet."""
    cdef readonly int number
    """Its place among the segments, from 1."""
    cdef readonly int total
    """Segments of the message."""
    cdef readonly int reference
    """What joins the segments of a message on the handset."""
    cdef Py_ssize_t start, end
    cdef object source
    cdef uint8_t header_octets
    cdef bint by_tlv

    @property
    def udh(self):
        """The user data header with its length octet; b"" where there is none."""
        return self.user_data[:self.header_octets]

    @property
    def body(self):
        """The user data after the header."""
        return self.user_data[self.header_octets:]

    @property
    def text(self):
        """The slice of the text that this segment carries."""
        if self.source is None:
            return ""
        if self.start == 0 and self.end == PyUnicode_GET_LENGTH(self.source):
            return self.source
        return PyUnicode_Substring(self.source, self.start, self.end)

    @property
    def sar(self):
        """(sar_msg_ref_num, sar_total_segments, sar_segment_seqnum) for the TLVs, or None."""
        if self.by_tlv and self.total > 1:
            return self.reference, self.total, self.number
        return None

    def __eq__(self, other):
        if not isinstance(other, Segment):
            return NotImplemented
        return self._key() == (<Segment>other)._key()

    def __hash__(self):
        return hash(self._key())

    def _key(self):
        return self.user_data, self.header_octets, self.number, self.total, self.reference, self.text

    def __repr__(self):
        return (f"<Segment {self.number}/{self.total}: {self.units} units, "
                f"{len(self.user_data)} octets>")


@cython.final
@cython.no_gc
@cython.freelist(128)
cdef class Segmented:
    """A text as finished segments. Its repr shows no text: what is sent to people stays out of logs."""

    cdef readonly object text
    """The text, as given."""
    cdef readonly tuple segments
    """The segments in order; their `text` joined is `text`."""
    cdef readonly int reference
    cdef readonly Py_ssize_t units
    """Units of the whole text, in the terms of the alphabet."""
    cdef Plan chosen
    cdef uint8_t esm
    cdef bint as_payload

    cdef inline Plan used(self):
        if self.chosen is None:
            raise TypeError("a Segmented is made by segment()")
        return self.chosen

    @property
    def plan(self):
        """The Plan that was chosen: capacities, and what each character costs."""
        return self.chosen

    @property
    def alphabet(self):
        """"gsm7", "ucs2", "latin1" or "ascii"."""
        return self.used().alphabet

    @property
    def language(self):
        """The national language tables in use: "" for the default alphabet, else e.g. "tr" (both tables),
        "tr-single" (single shift only) or "tr-locking"."""
        return self.used().language

    @property
    def data_coding(self):
        """The PDU field, the same for all segments."""
        return self.used().data_coding

    @property
    def esm_class(self):
        """The PDU field: 0x40 where the user data begins with a header, else 0."""
        return self.esm

    @property
    def message_payload(self):
        """The whole text encoded, for the TLV, where the method is "payload" and it needs several segments;
        else None, and each segment's user_data goes out in its own short_message."""
        cdef Cut whole
        cdef bytes payload
        if not self.as_payload:
            return None
        whole.end = <int>PyUnicode_GET_LENGTH(self.text)
        whole.units = <int>self.units
        payload = PyBytes_FromStringAndSize(NULL, self.used().octets_max(self.units, 0))
        self.used().write(PyUnicode_DATA(self.text), kind_of(self.text), 0, whole, 0,
                        <uint8_t*>PyBytes_AS_STRING(payload))
        return payload

    def __len__(self):
        return len(self.segments)

    def __eq__(self, other):
        if not isinstance(other, Segmented):
            return NotImplemented
        return self._key() == (<Segmented>other)._key()

    def __hash__(self):
        return hash(self._key())

    def _key(self):
        return self.text, self.segments, self.alphabet, self.language, self.data_coding, self.as_payload

    def __repr__(self):
        return (f"<Segmented {self.alphabet}{' ' if self.language else ''}{self.language}: "
                f"{self.units} units in {len(self.segments)} segment{'' if len(self.segments) == 1 else 's'}>")


@cython.final
@cython.no_gc
@cython.freelist(128)
cdef class Count:
    """What a text costs: alphabet, units, segments. Unpacks like a tuple of the three."""

    cdef readonly str alphabet
    cdef readonly Py_ssize_t units
    cdef readonly int segments

    def __iter__(self):
        return iter((self.alphabet, self.units, self.segments))

    def __eq__(self, other):
        if isinstance(other, Count):
            other = tuple(other)
        return tuple(self) == other if isinstance(other, tuple) else NotImplemented

    def __hash__(self):
        return hash(tuple(self))

    def __repr__(self):
        return f"Count(alphabet={self.alphabet!r}, units={self.units}, segments={self.segments})"
