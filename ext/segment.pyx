# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Text to finished segments: choose the alphabet, cut, write (3GPP TS 23.040, 9.2.3.24; TS 23.038).

One rule for everything: `Plan.cut` alone decides where segments end, so that counting, segmenting and the
batch forms cannot disagree; `Plan.write` alone turns characters into octets. The loops are in units.pxd.

Plan: a Plan is one alphabet with everything that follows from the options (capacities, header, data_coding);
an Encoder holds the plans it may choose from, best first; what it returns is in segmented.pxi.
dispatcher.encoding.options builds plans and encoders and checks what the user asked for.
"""

cimport cython
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE, PyTuple_New, PyTuple_SET_ITEM
from cpython.ref cimport Py_INCREF

from ascii cimport WORD, translate_ascii
from text cimport ASCII, PyUnicode_DATA, PyUnicode_GET_LENGTH, char_at, is_boundary, kind_of
from units cimport (
    before_control, fit_ascii, fit_octets, fit_septets, fit_ucs2, plane0, write_octets, write_septets, write_ucs2
)

from dispatcher._ext.gsm7 cimport Gsm7Table, pack_septets

from dispatcher.errors import TooManySegmentsError, UnencodableError

cdef extern from "Python.h":
    bint PyUnicode_Check(object text) noexcept
    bint PyUnicode_CheckExact(object text) noexcept
    object PyUnicode_FromObject(object text)
    object PyUnicode_Substring(object text, Py_ssize_t start, Py_ssize_t end)
    long PyLong_AsLongAndOverflow(object number, int* overflow) except? -1

cdef enum:
    UDHI = 0x40        # esm_class: the user data begins with a header (SMPP 3.4, 5.2.12)
    SEPTETS_MAX = 160  # of one segment
    OCTETS_MAX = 160   # of one segment: unpacked septets, or 140 octets; headers are within them
    HEADER_MAX = 139


@cython.final
cdef class Plan:
    """One alphabet and what follows from the options: capacities, headers, data_coding.

    Built by dispatcher.encoding.options, which checks the values. `form` is 0 septets, 1 octets, 2 UCS-2;
    capacities are in units of that form.
    """

    def __cinit__(self, str alphabet, *, int form, int data_coding, int single_units, int segment_units,
                  bytes header not None, bytes template not None, int reference_octets, Gsm7Table table=None, str language="",
                  uint32_t code_max=0xFF, bint packed=False, bint pad_cr=False, bint decisive=False,
                  bint strict=False):
        if form == SEPTETS and table is None:
            raise ValueError(f"{alphabet}: an alphabet of septets needs its table")
        if not 0 <= form <= UCS2 or reference_octets not in (1, 2):
            raise ValueError(f"{alphabet}: form is 0 to 2, reference_octets 1 or 2")
        # What is written into memory rests on these: a segment never has more than OCTETS_MAX octets.
        if not 4 <= segment_units <= single_units <= SEPTETS_MAX:
            raise ValueError(f"{alphabet}: {segment_units} and {single_units} units: no room for text")
        if len(template) < 5 + reference_octets:
            raise ValueError(f"{alphabet}: a header of {len(template)} octets cannot hold a concatenation")
        for units, octets in ((single_units, len(header)), (segment_units, len(template))):
            if octets + (units * 2 if form == UCS2 else units) > OCTETS_MAX + octets * (form == SEPTETS):
                raise ValueError(f"{alphabet}: {units} units do not fit behind a header of {octets} octets")
            if octets > HEADER_MAX:
                raise ValueError(f"{alphabet}: a header has {HEADER_MAX} octets at most, not {octets}")
        self.alphabet = alphabet
        self.form = form
        self.data_coding = data_coding
        self.single_units = single_units
        self.segment_units = segment_units
        self.header = header
        self.template = template
        self.reference_octets = reference_octets
        self.table = table
        self.language = language
        self.code_max = code_max
        self.packed = packed
        self.pad_cr = pad_cr
        self.decisive = decisive
        self.strict = strict and form != SEPTETS  # the GSM alphabet has LF, FF and CR alone

    def __reduce__(self):
        return restore_plan, (self.alphabet, dict(
            form=self.form, data_coding=self.data_coding, single_units=self.single_units,
            segment_units=self.segment_units, header=self.header, template=self.template,
            reference_octets=self.reference_octets, table=self.table, language=self.language,
            code_max=self.code_max, packed=self.packed, pad_cr=self.pad_cr, decisive=self.decisive,
            strict=self.strict))

    def cost_of(self, str character not None):
        """Return the units that one character costs, 0 where the alphabet lacks it."""
        cdef const void* data = PyUnicode_DATA(character)
        cdef int kind = kind_of(character)
        if PyUnicode_GET_LENGTH(character) != 1:
            raise ValueError("cost_of takes one character")
        return self.cost_at(data, kind, 0) if self.carries(data, kind, 0) else 0

    def __repr__(self):
        return (f"Plan({self.alphabet!r}, language={self.language!r}, data_coding=0x{self.data_coding:02x}, "
                f"units={self.single_units}/{self.segment_units})")

    cdef inline Py_ssize_t fit(self, const void* data, int kind, Py_ssize_t start, Py_ssize_t n, int capacity,
                               Py_ssize_t* units) noexcept:
        cdef Py_ssize_t take, clean, found
        if not self.strict:
            return self.fit_units(data, kind, start, n, capacity, units)
        take = n if n < capacity else capacity
        if kind <= 1:
            clean = before_control(<const uint8_t*>data + start, take)
        elif kind == 2:
            clean = before_control(<const uint16_t*>data + start, take)
        else:
            clean = before_control(<const uint32_t*>data + start, take)
        if clean == take:
            return self.fit_units(data, kind, start, n, capacity, units)
        found = self.fit_units(data, kind, start, clean, capacity, units) if clean else 0
        return found if found < clean else -1 - clean  # lacking, or full, before the control code

    cdef inline Py_ssize_t fit_units(self, const void* data, int kind, Py_ssize_t start, Py_ssize_t n,
                                     int capacity, Py_ssize_t* units) noexcept:
        if self.form == SEPTETS:
            if kind <= 1:
                if kind == ASCII and self.table.ascii_regular and n >= WORD:
                    return fit_ascii(self.table.cost, <const uint8_t*>data + start, n, capacity, units)
                return fit_septets(self.table.cost, <const uint8_t*>data + start, n, capacity, units)
            if kind == 2:
                return fit_septets(self.table.cost, <const uint16_t*>data + start, n, capacity, units)
            return fit_septets(self.table.cost, <const uint32_t*>data + start, n, capacity, units)
        if self.form == UCS2:
            if kind <= 1:
                return fit_ucs2(<const uint8_t*>data + start, n, capacity, units)
            if kind == 2:
                return fit_ucs2(<const uint16_t*>data + start, n, capacity, units)
            return fit_ucs2(<const uint32_t*>data + start, n, capacity, units)
        if kind <= 1:
            return fit_octets(self.code_max, <const uint8_t*>data + start, n, capacity, units)
        if kind == 2:
            return fit_octets(self.code_max, <const uint16_t*>data + start, n, capacity, units)
        return fit_octets(self.code_max, <const uint32_t*>data + start, n, capacity, units)

    cdef inline int cost_at(self, const void* data, int kind, Py_ssize_t at) noexcept:
        cdef uint32_t code = char_at(data, kind, at)
        if self.form == SEPTETS:
            return self.table.cost[plane0(code)]
        return 2 if self.form == UCS2 and code > 0xFFFF else 1

    cdef bint carries(self, const void* data, int kind, Py_ssize_t at) noexcept:
        """Whether the alphabet has the character at `at`."""
        cdef Py_ssize_t ignored
        return self.fit(data, kind, at, 1, 2, &ignored) >= 0

    cdef Py_ssize_t cut(self, const void* data, int kind, Py_ssize_t n, bint clusters,
                        Cut* cuts, int room, Py_ssize_t* units) noexcept:
        """Cut n characters into segments: return their number, at least 1, and set `units` to their sum; or
        -1 - position of the first character that the alphabet lacks. Only the first `room` cuts are kept.
        """
        cdef Py_ssize_t start = 0, end, take, cost, total = 0
        cdef int count = 0
        if n <= self.single_units:
            take = self.fit(data, kind, 0, n, self.single_units, &cost)
            if take < 0:
                return take
            if take == n:
                cuts[0].end = <int>n
                cuts[0].units = <int>cost
                units[0] = cost
                return 1
        while start < n:
            take = self.fit(data, kind, start, n - start, self.segment_units, &cost)
            if take < 0:
                return take - start
            end = start + take
            if clusters and end < n and not is_boundary(data, kind, start, end):
                end = self.cluster_cut(data, kind, start, end, n, &cost)
                if end < 0:
                    return end
            if count < room:
                cuts[count].end = <int>end
                cuts[count].units = <int>cost
            count += 1
            total += cost
            start = end
        units[0] = total
        return count

    cdef Py_ssize_t cluster_cut(self, const void* data, int kind, Py_ssize_t start, Py_ssize_t end,
                                Py_ssize_t n, Py_ssize_t* cost) noexcept:
        """Move a cut at `end`, which lies inside a grapheme cluster, before that cluster, unless the cluster
        begins the segment or is longer than any segment: then it stays. Lowers `cost` by what moved."""
        cdef Py_ssize_t first = end - 1, last, take, ignored
        while first > start and not is_boundary(data, kind, start, first):
            first -= 1
        if first == start:
            return end
        take = self.fit(data, kind, first, n - first, self.segment_units, &ignored)
        if take < 0:
            return take - first
        last = end + 1
        while last < n and last <= first + take and not is_boundary(data, kind, first, last):
            last += 1
        if last > first + take:
            return end
        for last in range(first, end):
            cost[0] -= self.cost_at(data, kind, last)
        return first

    cdef Py_ssize_t octets_max(self, Py_ssize_t units, Py_ssize_t header) noexcept:
        """Octets of user data, header included: exact, but one less may be written with pad_cr."""
        if self.packed:
            return header + (units * 7 + fill_bits(header) + 7) // 8 + self.pad_cr
        return header + (units * 2 if self.form == UCS2 else units)

    cdef Py_ssize_t write(self, const void* data, int kind, Py_ssize_t start, Cut cut, Py_ssize_t header,
                          uint8_t* out) noexcept:
        """Write the characters from `start` to the cut behind a header of `header` octets that is in place at
        `out`; return the octets of user data. Unpacked septets store one octet more (see write_septets);
        packed text is at most one segment long.
        """
        cdef uint8_t septets[SEPTETS_MAX + 1]
        cdef uint8_t* to = out + header
        cdef Py_ssize_t n = cut.end - start
        if self.form == SEPTETS:
            if self.packed:
                to = septets
            if kind == ASCII and cut.units == n >= WORD and self.table.ascii_regular:
                translate_ascii(<const uint8_t*>data + start, n, to)
            elif kind <= 1:
                write_septets(self.table.code, self.table.cost, <const uint8_t*>data + start, n, to)
            elif kind == 2:
                write_septets(self.table.code, self.table.cost, <const uint16_t*>data + start, n, to)
            else:
                write_septets(self.table.code, self.table.cost, <const uint32_t*>data + start, n, to)
            if self.packed:
                return header + pack_septets(septets, cut.units, fill_bits(header), self.pad_cr, out + header)
            return header + cut.units
        if self.form == UCS2:
            if kind <= 1:
                write_ucs2(<const uint8_t*>data + start, n, to)
            elif kind == 2:
                write_ucs2(<const uint16_t*>data + start, n, to)
            else:
                write_ucs2(<const uint32_t*>data + start, n, to)
            return header + cut.units * 2
        if kind <= 1:
            memcpy(to, <const uint8_t*>data + start, n)
        elif kind == 2:
            write_octets(<const uint16_t*>data + start, n, to)
        else:
            write_octets(<const uint32_t*>data + start, n, to)
        return header + n

    cdef void write_header(self, int reference, int total, int number, Py_ssize_t header,
                           uint8_t* out) noexcept:
        """Write the `header` octets (see Encoder.header_octets) of one of `total` segments: of several, the
        concatenation element comes first in it."""
        if header == 0:
            return
        if total == 1:
            memcpy(out, PyBytes_AS_STRING(self.header), header)
            return
        memcpy(out, PyBytes_AS_STRING(self.template), header)
        out += 3
        if self.reference_octets == 2:
            out[0] = reference >> 8
            out += 1
        out[0] = reference & 0xFF
        out[1] = total
        out[2] = number


cdef inline int fill_bits(Py_ssize_t header) noexcept:
    """Zero bits between a header of so many octets and packed text (TS 23.040, figure 9.2.3.24)."""
    return <int>((7 - header % 7) % 7)


include "segmented.pxi"


@cython.final
cdef class Encoder:
    """Compiled options: `segment` and `count` any number of texts with them.

    Made by dispatcher.encoding.encoder. Plans come best first: of those that carry a text in equally few
    segments the first is chosen. Immutable; safe to share between threads.
    """

    def __cinit__(self, tuple plans, *, int max_segments, str method, bint clusters, int reference_max):
        cdef Plan plan
        cdef Py_ssize_t most
        if not plans or not 1 <= max_segments <= CUTS_MAX:
            raise ValueError("an encoder needs a plan, and 1 to 255 segments")
        self.plans = plans
        self.max_segments = max_segments
        self.method = method
        self.headed = method == "udh"
        self.payload = method == "payload"
        self.clusters = clusters
        self.reference_max = reference_max
        self.characters_max = 0
        if None in plans:
            raise TypeError("plans are Plans, not None")
        for plan in plans:  # a character costs one unit at least: longer texts are refused unread
            self.has_ucs2 |= plan.form == UCS2
            most = plan.segment_units * max_segments
            if most < plan.single_units or max_segments == 1:
                most = plan.single_units
            if most > self.characters_max:
                self.characters_max = most

    cdef void choose(self, const void* data, int kind, Py_ssize_t n, Cut* cuts, Choice* choice) noexcept:
        """Find the plan with the fewest segments and cut by it; `cuts` has room for CUTS_MAX."""
        cdef Py_ssize_t found, units = 0
        cdef int index, last_cut = -1
        cdef Plan plan
        choice.verdict = UNENCODABLE
        choice.position = 0
        choice.exact = 1
        if n > self.characters_max:
            choice.verdict = TOO_MANY
            choice.exact = 0
            choice.segments = <int>min((n * self.max_segments + self.characters_max - 1) // self.characters_max,
                                       <Py_ssize_t>0x7FFFFFFF)
            return
        for index in range(PyTuple_GET_SIZE(self.plans)):
            plan = <Plan>PyTuple_GET_ITEM(self.plans, index)
            if kind == 4 and plan.form != UCS2 and self.has_ucs2:
                continue  # a str is this wide only for a character beyond U+FFFF, which UCS-2 alone has
            found = plan.cut(data, kind, n, self.clusters, cuts, CUTS_MAX, &units)
            last_cut = index  # whether it found an end or not, `cuts` is its own now
            if found < 0:
                if choice.verdict == UNENCODABLE and -1 - found > choice.position:
                    choice.position = -1 - found
                continue
            if choice.verdict == UNENCODABLE or found < choice.segments:
                choice.verdict = FITS
                choice.plan = index
                choice.segments = <int>found
                choice.units = units
            if plan.decisive or found == 1:
                break
        if choice.verdict == FITS:
            if choice.segments > self.max_segments:
                choice.verdict = TOO_MANY
            elif choice.plan != last_cut:
                plan = <Plan>PyTuple_GET_ITEM(self.plans, choice.plan)
                plan.cut(data, kind, n, self.clusters, cuts, CUTS_MAX, &units)

    cdef Py_ssize_t header_octets(self, Plan plan, int total) noexcept:
        """Octets of the header in each of `total` segments; the esm_class says whether there is one."""
        if total == 1:
            return PyBytes_GET_SIZE(plan.header)
        return PyBytes_GET_SIZE(plan.template) if self.headed else 0

    cdef int refuse(self, object text, Choice* choice) except -1:
        if choice.verdict == TOO_MANY:
            raise TooManySegmentsError(choice.segments, self.max_segments, bool(choice.exact))
        cdef const void* data = PyUnicode_DATA(text)
        self.blame(data, kind_of(text), PyUnicode_GET_LENGTH(text), choice)
        lacking = [plan.alphabet for plan in self.plans
                   if not (<Plan>plan).carries(data, kind_of(text), choice.position)]
        raise UnencodableError(choice.position, text[choice.position], list(dict.fromkeys(lacking)))

    cdef void blame(self, const void* data, int kind, Py_ssize_t n, Choice* choice) noexcept:
        """Of an UNENCODABLE text, move `position` to the first character that no alphabet has; it stays where
        each lacks another one."""
        cdef Py_ssize_t at
        cdef int index
        cdef bint carried
        for at in range(choice.position, n):
            carried = False
            for index in range(PyTuple_GET_SIZE(self.plans)):
                carried |= (<Plan>PyTuple_GET_ITEM(self.plans, index)).carries(data, kind, at)
            if not carried:
                choice.position = at
                return

    def count(self, text):
        """Return the Count of `text`.

        TypeError: not a str. UnencodableError: a character that no allowed alphabet has.
        TooManySegmentsError: it needs more than max_segments.
        """
        return self.counted(text)

    cdef object counted(self, object text):
        cdef Cut cuts[CUTS_MAX]
        cdef Choice choice
        cdef Count count
        text = exact(text)
        self.choose(PyUnicode_DATA(text), kind_of(text), PyUnicode_GET_LENGTH(text), cuts, &choice)
        if choice.verdict != FITS:
            self.refuse(text, &choice)
        count = Count.__new__(Count)
        count.alphabet = (<Plan>PyTuple_GET_ITEM(self.plans, choice.plan)).alphabet
        count.units = choice.units
        count.segments = choice.segments
        return count

    def segment(self, text, *, reference=0):
        """segment($self, text, *, reference=0)

        Return `text` as Segmented. `reference` joins the segments on the handset: 0 to 255, or to 65,535
        with reference_bits=16; count it up per destination, so that no two long messages there share one.

        TypeError: not a str, or the reference is no int. ValueError: reference out of range. UnencodableError: a character that no
        allowed alphabet has. TooManySegmentsError: it needs more than max_segments.
        """
        return self.segmented(text, reference)

    cdef object segmented(self, object text, object given):
        cdef Cut cuts[CUTS_MAX]
        cdef Choice choice
        cdef Segmented result
        cdef Segment segment
        cdef Plan plan
        cdef const void* data
        cdef int kind, index, total, overflow = 0
        cdef long reference
        cdef Py_ssize_t start = 0, header, size, written
        cdef bytes user_data
        cdef tuple segments
        text = exact(text)
        reference = PyLong_AsLongAndOverflow(given, &overflow)
        if overflow or not 0 <= reference <= self.reference_max:
            raise ValueError(f"reference is 0 to {self.reference_max}, not {given}")
        data = PyUnicode_DATA(text)
        kind = kind_of(text)
        self.choose(data, kind, PyUnicode_GET_LENGTH(text), cuts, &choice)
        if choice.verdict != FITS:
            self.refuse(text, &choice)
        plan = <Plan>PyTuple_GET_ITEM(self.plans, choice.plan)
        total = choice.segments
        header = self.header_octets(plan, total)
        segments = PyTuple_New(total)
        for index in range(total):
            size = plan.octets_max(cuts[index].units, header)
            user_data = PyBytes_FromStringAndSize(NULL, size)
            plan.write_header(<int>reference, total, index + 1, header, <uint8_t*>PyBytes_AS_STRING(user_data))
            written = plan.write(data, kind, start, cuts[index], header, <uint8_t*>PyBytes_AS_STRING(user_data))
            if written < size:  # only pad_cr asks for an octet that it may not need
                user_data = user_data[:written]
            segment = Segment.__new__(Segment)
            segment.user_data = user_data
            segment.units = cuts[index].units
            segment.number = index + 1
            segment.total = total
            segment.reference = <int>reference
            segment.start = start
            segment.end = start = cuts[index].end
            segment.source = text
            segment.header_octets = <uint8_t>header
            segment.by_tlv = not self.headed
            Py_INCREF(segment)
            PyTuple_SET_ITEM(segments, index, segment)
        result = Segmented.__new__(Segmented)
        result.text = text
        result.segments = segments
        result.reference = <int>reference
        result.units = choice.units
        result.chosen = plan
        result.esm = UDHI if header else 0
        result.as_payload = total > 1 and self.payload
        return result

    def __reduce__(self):
        return restore_encoder, (self.plans, dict(
            max_segments=self.max_segments, method=self.method, clusters=self.clusters,
            reference_max=self.reference_max))

    def __repr__(self):
        names = ", ".join(dict.fromkeys(plan.alphabet for plan in self.plans))
        return f"<Encoder {names}: max_segments={self.max_segments}, method={self.method!r}>"


def restore_plan(alphabet, arguments):
    """For pickle: keywords do not travel otherwise."""
    return Plan(alphabet, **arguments)


def restore_encoder(plans, arguments):
    """For pickle."""
    return Encoder(plans, **arguments)


cdef inline object exact(object text):
    """`text` as a plain str: what a subclass overrides is not what is stored."""
    if PyUnicode_CheckExact(text):
        return text
    if PyUnicode_Check(text):
        return PyUnicode_FromObject(text)
    raise wrong_type(text)


cdef object wrong_type(object text):
    kind = type(text).__name__
    hint = "; decode it first, e.g. text.decode('utf-8')" if isinstance(text, (bytes, bytearray)) else ""
    return TypeError(f"text is a str, not {kind}{hint}")


def cluster_start(str text not None, Py_ssize_t at):
    """Return the last place at or before `at` that lies inside no grapheme cluster; 0 to len(text)."""
    cdef const void* data = PyUnicode_DATA(text)
    cdef int kind = kind_of(text)
    if not 0 <= at <= PyUnicode_GET_LENGTH(text):
        raise IndexError(f"{at} is outside the text")
    while 0 < at < PyUnicode_GET_LENGTH(text) and not is_boundary(data, kind, 0, at):
        at -= 1
    return at


# ---- the two functions that most callers use ----
#
# They live here because a call through a Python function costs as much as the encoding itself. What other
# options mean is not known in this layer: it is handed in.

cdef Encoder default_encoder = None
cdef object make_encoder = None


cdef inline Encoder installed():
    if default_encoder is None:
        raise RuntimeError("import dispatcher.encoding: it gives these functions their encoder")
    return default_encoder


def install(Encoder default not None, factory not None):
    """Give `segment` and `count` the encoder for calls without options, and what makes one from options."""
    global default_encoder, make_encoder
    default_encoder = default
    make_encoder = factory


def segment(text, *, reference=0, **options):
    """segment(text, *, reference=0, **options)

    Return `text` as finished segments: Encoder.segment with the encoder for these options.
    """
    if options:
        return (<Encoder>make_encoder(**options)).segmented(text, reference)
    return installed().segmented(text, reference)


def count(text, **options):
    """count(text, **options)

    Return alphabet, units and segments of `text` alone: Encoder.count with the encoder for these options.
    """
    if options:
        return (<Encoder>make_encoder(**options)).counted(text)
    return installed().counted(text)
