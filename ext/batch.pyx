# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Many texts in one call: counts into arrays, segments into one buffer, no Python object per segment.

Plan: a Source hands out texts one by one as (pointer, kind, length), from a sequence of str or from UTF-8 with
offsets, as Apache Arrow lays out strings; `count_into` and `segment_into` run the encoder over it. A text that
is refused costs only itself: its status says why.
"""

cimport cython
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libc.stdlib cimport free, malloc

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
)
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE, PyByteArray_Resize
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_GET_ITEM

from dispatcher._ext.segment cimport CUTS_MAX, FITS, TOO_MANY, UNENCODABLE, Choice, Cut, Encoder, Plan
from text cimport ASCII, PyUnicode_DATA, PyUnicode_GET_LENGTH, kind_of

cdef extern from "Python.h":
    bint PyUnicode_Check(object text) noexcept
    object PySequence_Fast(object sequence, const char* message)
    Py_ssize_t PySequence_Fast_GET_SIZE(object sequence) noexcept
    PyObject* PySequence_Fast_GET_ITEM(object sequence, Py_ssize_t index) noexcept  # borrowed

cdef enum:
    NOT_TEXT = 3            # beyond the verdicts of segment.pxd: not a str, or not UTF-8
    NO_PLAN = 0xFF
    UDHI = 0x40
    SEGMENT_OCTETS = 161    # the longest user data and the octet that write_septets may store beyond

STATUS = ("ok", "too_many_segments", "unencodable", "not_text")
"""What the numbers in a status column mean."""


cdef struct Text:
    const void* data
    int kind
    Py_ssize_t length


cdef class Source:
    """A number of texts."""

    cdef Py_ssize_t size

    cdef Py_ssize_t longer_than(self, Py_ssize_t index, Py_ssize_t most) noexcept:
        """The characters of the text at `index` if they are surely more than `most`, else 0; copies nothing."""
        return 0

    cdef bint get(self, Py_ssize_t index, Text* text) except -1:
        """Set `text` to the text at `index`; False where there is none. Valid until the next call."""
        raise TypeError("a Source is StrSource or Utf8Source")

    def __len__(self):
        return self.size


@cython.final
cdef class StrSource(Source):
    """The str of a sequence. Anything else in it is NOT_TEXT."""

    cdef object items

    def __cinit__(self, texts):
        if isinstance(texts, (str, bytes)):
            raise TypeError(f"texts is a sequence of str, not one {type(texts).__name__}")
        self.items = PySequence_Fast(texts, "texts is a sequence of str")
        self.size = PySequence_Fast_GET_SIZE(self.items)

    cdef bint get(self, Py_ssize_t index, Text* text) except -1:
        if index >= PySequence_Fast_GET_SIZE(self.items):  # a list may shrink while we hold it
            return False
        item = <object>PySequence_Fast_GET_ITEM(self.items, index)
        if not PyUnicode_Check(item):
            return False
        text.data = PyUnicode_DATA(item)
        text.kind = kind_of(item)
        text.length = PyUnicode_GET_LENGTH(item)
        return True


@cython.final
cdef class Utf8Source(Source):
    """Text i is data[offsets[i]:offsets[i + 1]], in UTF-8. Invalid UTF-8 is NOT_TEXT.

    `offsets` holds int32 or int64, as many as there are texts and one more. ValueError: they do not ascend,
    or point beyond `data`.
    """

    cdef Py_buffer offsets, octets
    cdef bint wide
    cdef uint32_t* scratch
    cdef Py_ssize_t room

    def __cinit__(self, offsets, data):
        cdef Py_ssize_t at
        PyObject_GetBuffer(offsets, &self.offsets, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
        PyObject_GetBuffer(data, &self.octets, PyBUF_C_CONTIGUOUS)
        if self.offsets.itemsize not in (4, 8) or self.offsets.format[0] not in b"ilq":
            raise ValueError("offsets are int32 or int64")
        if self.offsets.len == 0:
            raise ValueError("offsets are one more than the texts: at least one")
        self.wide = self.offsets.itemsize == 8
        self.size = self.offsets.len // self.offsets.itemsize - 1
        if self.offset(0) < 0 or self.offset(self.size) > self.octets.len:
            raise ValueError(f"offsets point outside the {self.octets.len} octets of data")
        for at in range(self.size):
            if self.offset(at) > self.offset(at + 1):
                raise ValueError(f"offsets ascend, but not at {at + 1}")

    def __dealloc__(self):
        free(self.scratch)
        PyBuffer_Release(&self.offsets)
        PyBuffer_Release(&self.octets)

    cdef Py_ssize_t longer_than(self, Py_ssize_t index, Py_ssize_t most) noexcept:
        cdef int64_t start = self.offset(index), end = self.offset(index + 1), at
        cdef const uint8_t* octets = <const uint8_t*>self.octets.buf
        cdef Py_ssize_t characters = 0
        if (end - start) // 4 <= most or not 0 <= start <= end <= self.octets.len:
            return 0
        for at in range(start, end):
            characters += octets[at] & 0xC0 != 0x80
        return characters

    cdef inline int64_t offset(self, Py_ssize_t index) noexcept:
        if self.wide:
            return (<const int64_t*>self.offsets.buf)[index]
        return (<const int32_t*>self.offsets.buf)[index]

    cdef bint get(self, Py_ssize_t index, Text* text) except -1:
        cdef int64_t start = self.offset(index), end = self.offset(index + 1)
        cdef const uint8_t* octets = <const uint8_t*>self.octets.buf + start
        cdef Py_ssize_t n = <Py_ssize_t>(end - start)
        cdef uint8_t highest = 0
        cdef Py_ssize_t at
        if not 0 <= start <= end <= self.octets.len:  # checked before, but the array is not ours
            return False
        for at in range(n):
            highest = octets[at] if octets[at] > highest else highest
        if highest < 0x80:
            text.data = octets
            text.kind = ASCII
            text.length = n
            return True
        if n > self.room:
            free(self.scratch)
            self.room = 0
            self.scratch = <uint32_t*>malloc(n * 2 * sizeof(uint32_t))
            if self.scratch == NULL:
                raise MemoryError
            self.room = n * 2
        text.data = self.scratch
        if highest < FOUR_OCTETS:
            text.kind = 2
            text.length = decode_utf8_narrow(octets, n, <uint16_t*>self.scratch)
        else:
            text.kind = 4
            text.length = decode_utf8(octets, n, self.scratch)
        return text.length >= 0


cdef enum:
    INVALID = -1
    FOUR_OCTETS = 0xF0  # a character beyond U+FFFF begins with this octet or a higher one


cdef Py_ssize_t decode_utf8(const uint8_t* s, Py_ssize_t n, uint32_t* out) noexcept:
    """Decode strict UTF-8 (RFC 3629): return the characters, at most n, or INVALID."""
    cdef Py_ssize_t at = 0, length = 0
    cdef int more
    cdef uint32_t code, least
    while at < n:
        code = s[at]
        at += 1
        if code >= 0x80:
            if 0xC2 <= code < 0xE0:
                more, code, least = 1, code & 0x1F, 0x80
            elif 0xE0 <= code < 0xF0:
                more, code, least = 2, code & 0x0F, 0x800
            elif 0xF0 <= code < 0xF5:
                more, code, least = 3, code & 0x07, 0x10000
            else:
                return INVALID
            if more > n - at:
                return INVALID
            while more:
                if s[at] & 0xC0 != 0x80:
                    return INVALID
                code = code << 6 | (s[at] & 0x3F)
                at += 1
                more -= 1
            if code < least or code > 0x10FFFF or code >> 11 == 0x1B:
                return INVALID
        out[length] = code
        length += 1
    return length


cdef Py_ssize_t decode_utf8_narrow(const uint8_t* s, Py_ssize_t n, uint16_t* out) noexcept:
    """The same for texts without octets of 0xF0 and more: texts in one script are the rule, and half as wide
    they are cut and written twice as fast."""
    cdef Py_ssize_t at = 0, length = 0
    cdef uint32_t code
    while at < n:
        code = s[at]
        if code < 0x80:
            at += 1
        elif 0xC2 <= code < 0xE0:
            if n - at < 2 or s[at + 1] & 0xC0 != 0x80:
                return INVALID
            code = (code & 0x1F) << 6 | (s[at + 1] & 0x3F)
            at += 2
        elif 0xE0 <= code < 0xF0:
            if n - at < 3 or s[at + 1] & 0xC0 != 0x80 or s[at + 2] & 0xC0 != 0x80:
                return INVALID
            code = (code & 0x0F) << 12 | (<uint32_t>s[at + 1] & 0x3F) << 6 | (s[at + 2] & 0x3F)
            if code < 0x800 or code >> 11 == 0x1B:
                return INVALID
            at += 3
        else:
            return INVALID
        out[length] = <uint16_t>code
        length += 1
    return length


@cython.final
cdef class _Column:
    """A writable array of a caller: `length` items of `itemsize` octets."""

    cdef Py_buffer view

    def __cinit__(self, array, Py_ssize_t itemsize, Py_ssize_t length):
        PyObject_GetBuffer(array, &self.view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
        if self.view.itemsize != itemsize or self.view.len < itemsize * length:
            raise ValueError(f"a column of {length} items of {itemsize} octets is needed")

    def __dealloc__(self):
        PyBuffer_Release(&self.view)


@cython.final
cdef class _Counts:
    """The columns that both batch forms fill, one item a text: plan uint8 (index of the encoder's plans, 255
    where refused), units int32, segments int16, status uint8, detail int32 (the segments needed where too
    many; the position of the character where unencodable; else 0)."""

    cdef _Column plan, units, segments, status, detail

    def __cinit__(self, Py_ssize_t length, plan, units, segments, status, detail):
        self.plan = _Column(plan, 1, length)
        self.units = _Column(units, 4, length)
        self.segments = _Column(segments, 2, length)
        self.status = _Column(status, 1, length)
        self.detail = _Column(detail, 4, length)

    cdef inline void put(self, Py_ssize_t index, Choice* choice) noexcept:
        cdef bint fits = choice.verdict == FITS
        (<uint8_t*>self.plan.view.buf)[index] = choice.plan if fits else NO_PLAN
        (<int32_t*>self.units.view.buf)[index] = <int32_t>choice.units if fits else 0
        (<int16_t*>self.segments.view.buf)[index] = choice.segments if fits else 0
        (<uint8_t*>self.status.view.buf)[index] = choice.verdict
        (<int32_t*>self.detail.view.buf)[index] = (
            0 if fits or choice.verdict == NOT_TEXT
            else choice.segments if choice.verdict == TOO_MANY else <int32_t>choice.position
        )


cdef inline bint choose(Encoder encoder, Source source, Py_ssize_t index, Text* text, Cut* cuts,
                        Choice* choice) except -1:
    """Whether the text at `index` fits; `choice` says how, or why not."""
    cdef Py_ssize_t characters = source.longer_than(index, encoder.characters_max)
    if characters > encoder.characters_max:  # choose looks at nothing but the length
        encoder.choose(NULL, ASCII, characters, cuts, choice)
        return False
    if not source.get(index, text):
        choice.verdict = NOT_TEXT
        return False
    encoder.choose(text.data, text.kind, text.length, cuts, choice)
    if choice.verdict == UNENCODABLE:
        encoder.blame(text.data, text.kind, text.length, choice)
    return choice.verdict == FITS


def count_into(Encoder encoder not None, Source source not None, columns not None):
    """Count every text of `source` into the five columns (see _Counts), a tuple in that order."""
    cdef Cut cuts[CUTS_MAX]
    cdef Choice choice
    cdef Text text
    cdef Py_ssize_t index
    cdef _Counts counts = _Counts(source.size, *columns)
    for index in range(source.size):
        choose(encoder, source, index, &text, cuts, &choice)
        counts.put(index, &choice)


@cython.final
cdef class _Rows:
    """An array that grows: a bytearray of items, doubled when full."""

    cdef bytearray store
    cdef Py_ssize_t used, itemsize

    def __cinit__(self, Py_ssize_t itemsize):
        self.store = bytearray(4096)
        self.itemsize = itemsize

    cdef inline void* reserve(self, Py_ssize_t items) except NULL:
        """Room for so many more items, at the returned place."""
        if self.used + items * self.itemsize > PyByteArray_GET_SIZE(self.store):
            PyByteArray_Resize(self.store, self.used * 2 + items * self.itemsize)
        return PyByteArray_AS_STRING(self.store) + self.used

    cdef bytearray finish(self):
        PyByteArray_Resize(self.store, self.used)
        return self.store


def segment_into(Encoder encoder not None, Source source not None, columns not None, references=None):
    """Count as count_into and write all segments. Return seven bytearrays:

    user_data (octets of all segments, headers included), offsets (int64, one more than the segments),
    text_ends (int32 a segment: where its slice of the text ends), segment_units (int16 a segment), firsts
    (int64, one more than the texts: the number of a text's first segment), header_octets (uint8 a text) and
    esm_class (uint8 a text).

    `references` holds uint16, one a text; without it all are 0. ValueError: one beyond reference_max.
    """
    cdef Cut cuts[CUTS_MAX]
    cdef Choice choice
    cdef Text text
    cdef Plan plan
    cdef Py_ssize_t index, start, written = 0, segments = 0, header
    cdef int number, reference = 0, total
    cdef uint8_t* out
    cdef int64_t* offsets
    cdef int32_t* ends
    cdef int16_t* units
    cdef _Counts counts = _Counts(source.size, *columns)
    cdef _Column numbers = None if references is None else _Column(references, 2, source.size)
    cdef _Rows user_data = _Rows(1), all_offsets = _Rows(8), all_ends = _Rows(4), all_units = _Rows(2)
    cdef _Rows firsts = _Rows(8), headers = _Rows(1), esm = _Rows(1)
    (<int64_t*>all_offsets.reserve(1))[0] = 0
    all_offsets.used = 8
    (<int64_t*>firsts.reserve(source.size + 1))[0] = 0
    headers.reserve(source.size)
    esm.reserve(source.size)
    for index in range(source.size):
        total = 0
        header = 0
        if choose(encoder, source, index, &text, cuts, &choice):
            total = choice.segments
            plan = <Plan>PyTuple_GET_ITEM(encoder.plans, choice.plan)
            if numbers is not None:
                reference = (<uint16_t*>numbers.view.buf)[index]
                if reference > encoder.reference_max:
                    raise ValueError(f"references[{index}]: 0 to {encoder.reference_max}, not {reference}")
            out = <uint8_t*>user_data.reserve(total * <Py_ssize_t>SEGMENT_OCTETS)
            offsets = <int64_t*>all_offsets.reserve(total)
            ends = <int32_t*>all_ends.reserve(total)
            units = <int16_t*>all_units.reserve(total)
            header = encoder.header_octets(plan, total)
            start = 0
            for number in range(total):
                plan.write_header(reference, total, number + 1, header, out)
                written = plan.write(text.data, text.kind, start, cuts[number], header, out)
                out += written
                user_data.used += written
                start = cuts[number].end
                offsets[number] = user_data.used
                ends[number] = cuts[number].end
                units[number] = cuts[number].units
            all_offsets.used += total * 8
            all_ends.used += total * 4
            all_units.used += total * 2
        counts.put(index, &choice)
        segments += total
        (<int64_t*>PyByteArray_AS_STRING(firsts.store))[index + 1] = segments
        (<uint8_t*>PyByteArray_AS_STRING(headers.store))[index] = header
        (<uint8_t*>PyByteArray_AS_STRING(esm.store))[index] = UDHI if header else 0
    firsts.used = (source.size + 1) * 8
    headers.used = esm.used = source.size
    return (user_data.finish(), all_offsets.finish(), all_ends.finish(), all_units.finish(),
            firsts.finish(), headers.finish(), esm.finish())
