"""What other compiled modules may use of segment: plans, the encoder, and its two steps, choose and write."""

cimport cython
from libc.stdint cimport int32_t, uint8_t, uint32_t

from dispatcher._ext.gsm7 cimport Gsm7Table

cdef enum Form:  # what a unit is
    SEPTETS = 0
    OCTETS = 1
    UCS2 = 2

cdef enum Verdict:
    FITS = 0
    TOO_MANY = 1
    UNENCODABLE = 2

cdef enum:
    CUTS_MAX = 255  # dispatcher.limits.SEGMENTS_MAX; the size of an array on the stack

cdef struct Cut:  # where a segment ends in the text, and its units
    int32_t end
    int32_t units

cdef struct Choice:
    int verdict
    int plan              # index of the chosen plan, where verdict is FITS
    int segments          # needed; a lower bound where exact is 0
    int exact
    Py_ssize_t units
    Py_ssize_t position   # of the first character that no plan carries, where verdict is UNENCODABLE

@cython.final
cdef class Plan:
    cdef readonly str alphabet
    cdef readonly str language
    cdef readonly int data_coding
    cdef readonly int single_units   # capacity of a lone segment
    cdef readonly int segment_units  # capacity of each of several
    cdef readonly bytes header       # user data header of a lone segment, b"" for none
    cdef readonly bytes template     # the same of each of several; reference, total and number are 0
    cdef readonly Gsm7Table table
    cdef readonly bint packed
    cdef readonly bint pad_cr
    cdef bint decisive               # no later plan can need fewer segments
    cdef bint strict                 # C0 control codes but TAB, LF, FF, CR are lacking
    cdef int form
    cdef uint32_t code_max           # highest code point of an OCTETS alphabet
    cdef int reference_octets

    cdef Py_ssize_t cut(self, const void* data, int kind, Py_ssize_t n, bint clusters,
                        Cut* cuts, int room, Py_ssize_t* units) noexcept
    cdef Py_ssize_t fit(self, const void* data, int kind, Py_ssize_t start, Py_ssize_t n, int capacity,
                        Py_ssize_t* units) noexcept
    cdef Py_ssize_t fit_units(self, const void* data, int kind, Py_ssize_t start, Py_ssize_t n, int capacity,
                              Py_ssize_t* units) noexcept
    cdef int cost_at(self, const void* data, int kind, Py_ssize_t at) noexcept
    cdef bint carries(self, const void* data, int kind, Py_ssize_t at) noexcept
    cdef Py_ssize_t cluster_cut(self, const void* data, int kind, Py_ssize_t start, Py_ssize_t end,
                                Py_ssize_t n, Py_ssize_t* cost) noexcept
    cdef Py_ssize_t octets_max(self, Py_ssize_t units, Py_ssize_t header) noexcept
    cdef Py_ssize_t write(self, const void* data, int kind, Py_ssize_t start, Cut cut, Py_ssize_t header,
                          uint8_t* out) noexcept
    cdef void write_header(self, int reference, int total, int number, Py_ssize_t header,
                           uint8_t* out) noexcept

@cython.final
cdef class Encoder:
    cdef readonly tuple plans
    cdef readonly int max_segments
    cdef readonly str method
    cdef readonly bint clusters
    cdef readonly int reference_max
    cdef bint headed                 # method "udh": segments of several carry a header
    cdef bint payload                # method "payload": several go out as one
    cdef bint has_ucs2
    cdef Py_ssize_t characters_max

    cdef void choose(self, const void* data, int kind, Py_ssize_t n, Cut* cuts, Choice* choice) noexcept
    cdef Py_ssize_t header_octets(self, Plan plan, int total) noexcept
    cdef void blame(self, const void* data, int kind, Py_ssize_t n, Choice* choice) noexcept
    cdef int refuse(self, object text, Choice* choice) except -1
    cdef object segmented(self, object text, object given)
    cdef object counted(self, object text)
