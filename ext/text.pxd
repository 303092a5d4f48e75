# A str seen in place, and grapheme clusters over it. Header-only: inline C functions, no Python calls.
#
# CPython stores a str as 1, 2 or 4 octets a character; `char_t` lets one function serve the three. Everything
# here works on (pointer, length) that the caller has checked; nothing allocates.

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcmp

cdef extern from "Python.h":
    int PyUnicode_KIND(object text) noexcept
    void* PyUnicode_DATA(object text) noexcept
    Py_ssize_t PyUnicode_GET_LENGTH(object text) noexcept
    bint PyUnicode_IS_ASCII(object text) noexcept

cdef extern from "grapheme_tables.h":
    const uint8_t grapheme_stage1[]
    const uint8_t grapheme_stage2[]

ctypedef fused char_t:
    uint8_t
    uint16_t
    uint32_t


cdef enum:
    ASCII = 0  # a kind of ours: one octet a character, all below 0x80


cdef inline bint is_same(object text, object other) noexcept:
    """Whether two str are equal. Of many requests one is like the one before: cheaper than a look-up of either."""
    if <void*>text == <void*>other:
        return True
    return (
        PyUnicode_GET_LENGTH(text) == PyUnicode_GET_LENGTH(other) and PyUnicode_KIND(text) == PyUnicode_KIND(other)
        and memcmp(PyUnicode_DATA(text), PyUnicode_DATA(other), PyUnicode_GET_LENGTH(text) * PyUnicode_KIND(text)) == 0
    )


cdef inline int kind_of(object text) noexcept:
    """ASCII, 1, 2 or 4: the octets of a character, with ASCII told apart from Latin-1."""
    return ASCII if PyUnicode_IS_ASCII(text) else PyUnicode_KIND(text)


cdef inline uint32_t char_at(const void* data, int kind, Py_ssize_t at) noexcept nogil:
    """The character at index `at` of a str of any kind."""
    if kind <= 1:
        return (<const uint8_t*>data)[at]
    if kind == 2:
        return (<const uint16_t*>data)[at]
    return (<const uint32_t*>data)[at]


# ---- grapheme clusters: Unicode Standard Annex #29, extended clusters, rules by their numbers ----

cdef enum:
    # Grapheme_Cluster_Break, bits 0-3 of a property octet
    CR = 1, LF = 2, CONTROL = 3, EXTEND = 4, ZWJ = 5, REGIONAL = 6, PREPEND = 7, SPACING = 8
    HANGUL_L = 9, HANGUL_V = 10, HANGUL_T = 11, HANGUL_LV = 12, HANGUL_LVT = 13
    # bit 4, and bits 5-6: Indic_Conjunct_Break
    PICTOGRAPH = 0x10
    CONSONANT = 0x20, LINKER = 0x40, CONJUNCT_EXTEND = 0x60, CONJUNCT = 0x60


cdef inline int property_of(uint32_t code) noexcept nogil:
    if code > 0x10FFFF:
        return 0
    return grapheme_stage2[(<uint32_t>grapheme_stage1[code >> 8] << 8) | (code & 0xFF)]


cdef inline bint is_boundary(const void* data, int kind, Py_ssize_t start, Py_ssize_t at) noexcept nogil:
    """Whether a cluster ends between characters at-1 and at. Looks back no further than `start`; start < at."""
    cdef int before = property_of(char_at(data, kind, at - 1))
    cdef int after = property_of(char_at(data, kind, at))
    cdef int left = before & 0x0F
    cdef int right = after & 0x0F
    cdef int conjunct
    cdef bint linked = False
    cdef Py_ssize_t back
    if before | after == 0:  # GB999 for nearly every text
        return True
    if left == CR and right == LF:  # GB3
        return False
    if CR <= left <= CONTROL or CR <= right <= CONTROL:  # GB4, GB5
        return True
    if left == HANGUL_L and (right == HANGUL_L or right == HANGUL_V or right == HANGUL_LV or right == HANGUL_LVT):
        return False  # GB6
    if (left == HANGUL_LV or left == HANGUL_V) and (right == HANGUL_V or right == HANGUL_T):  # GB7
        return False
    if (left == HANGUL_LVT or left == HANGUL_T) and right == HANGUL_T:  # GB8
        return False
    if right == EXTEND or right == ZWJ or right == SPACING or left == PREPEND:  # GB9, GB9a, GB9b
        return False
    if after & CONJUNCT == CONSONANT and before & CONJUNCT >= LINKER:  # GB9c: consonant, linker among extends
        back = at - 1
        while back >= start:
            conjunct = property_of(char_at(data, kind, back)) & CONJUNCT
            if conjunct == LINKER:
                linked = True
            elif conjunct == CONSONANT:
                if linked:
                    return False
                break
            elif conjunct != CONJUNCT_EXTEND:
                break
            back -= 1
    if left == ZWJ and after & PICTOGRAPH:  # GB11
        back = at - 2
        while back >= start and property_of(char_at(data, kind, back)) & 0x0F == EXTEND:
            back -= 1
        if back >= start and property_of(char_at(data, kind, back)) & PICTOGRAPH:
            return False
    if left == REGIONAL and right == REGIONAL:  # GB12, GB13: flags are pairs
        back = at - 1
        while back >= start and property_of(char_at(data, kind, back)) & 0x0F == REGIONAL:
            back -= 1
        return (at - 1 - back) % 2 == 0
    return True
