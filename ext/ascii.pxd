# ASCII text in the GSM default alphabet, eight characters at a time. Header-only: inline C functions.
#
# In ASCII the default alphabet is nearly ASCII itself: `@`, `$` and `_` have other codes, eight characters
# cost two septets, the backtick, DEL and the controls but LF are missing. Eight octets below 0x80 fit one
# 64-bit word with a spare bit each, so that a sum cannot carry into its neighbour: adding 0x80 - k sets the
# spare bit of exactly the octets >= k. (Form feed and CR are in the alphabet too, but rare: they are called
# irregular here and take the ordinary way through the table.)

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    WORD = 8


cdef inline uint64_t each(uint64_t octet) noexcept nogil:
    return octet * <uint64_t>0x0101010101010101ULL


cdef inline uint64_t at_least(uint64_t word, uint64_t k) noexcept nogil:
    """The spare bit of each octet >= k; the others' spare bits are 0, the other bits undefined."""
    return word + each(0x80 - k)


cdef inline uint64_t differs(uint64_t word, uint64_t k) noexcept nogil:
    """The spare bit of each octet that is not k."""
    return (word ^ each(k)) + each(0x7F)


cdef inline uint64_t two_septets(uint64_t word) noexcept nogil:
    """The spare bit of each of [ \\ ] ^ { | } ~: bit 5 set, they are 0x7B to 0x7E."""
    cdef uint64_t folded = word | each(0x20)
    return at_least(folded, 0x7B) & ~at_least(folded, 0x7F)


cdef inline uint64_t irregular(uint64_t word) noexcept nogil:
    """The spare bit of each octet that is above 0x7E, the backtick, or a control but LF."""
    return (at_least(word, 0x7F) | word | ~differs(word, 0x60)
            | (~at_least(word, 0x20) & differs(word, 0x0A)))


cdef inline uint64_t load_last(const uint8_t* s, Py_ssize_t n) noexcept nogil:
    """The last n < 8 octets before s + n, the rest of the word filled with spaces. At least 8 octets end there."""
    cdef uint64_t word
    memcpy(&word, s + n - WORD, WORD)
    return (word >> (8 * (WORD - n))) | (each(0x20) << (8 * n)) if n else each(0x20)


cdef inline Py_ssize_t ascii_septets(const uint8_t* s, Py_ssize_t n) noexcept nogil:
    """What n >= 8 ASCII characters cost in septets; -1 where one is irregular. n is at most 160."""
    cdef uint64_t word, odd = 0, doubles = 0
    cdef Py_ssize_t at = 0
    while at + WORD <= n:
        memcpy(&word, s + at, WORD)
        odd |= irregular(word)
        doubles += (two_septets(word) >> 7) & each(1)
        at += WORD
    word = load_last(s + at, n - at)
    odd |= irregular(word)
    doubles += (two_septets(word) >> 7) & each(1)
    if odd & each(0x80):
        return -1
    return n + <Py_ssize_t>((doubles * each(1)) >> 56)


cdef inline uint64_t translate(uint64_t word) noexcept nogil:
    """Eight regular one-septet characters as septets."""
    return (word
            ^ (((~differs(word, 0x40) >> 7) & each(1)) * 0x40)          # @ -> 0x00
            ^ (((~differs(word, 0x24) >> 7) & each(1)) * (0x24 ^ 0x02))  # $ -> 0x02
            ^ (((~differs(word, 0x5F) >> 7) & each(1)) * (0x5F ^ 0x11)))  # _ -> 0x11


cdef inline void translate_ascii(const uint8_t* s, Py_ssize_t n, uint8_t* out) noexcept nogil:
    """Write n >= 8 regular one-septet characters as septets. The last word overlaps the one before."""
    cdef uint64_t word
    cdef Py_ssize_t at = 0
    while at + WORD <= n:
        memcpy(&word, s + at, WORD)
        word = translate(word)
        memcpy(out + at, &word, WORD)
        at += WORD
    if at < n:
        memcpy(&word, s + n - WORD, WORD)
        word = translate(word)
        memcpy(out + n - WORD, &word, WORD)
