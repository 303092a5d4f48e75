# Characters counted and written: the loops of the encoder, one function for each form of alphabet, each of
# them for every kind of str. Header-only: inline C functions over (pointer, length) that the caller checked.

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from ascii cimport WORD, ascii_septets
from text cimport char_t

from dispatcher._ext.gsm7 cimport NOT_IN_TABLE

cdef extern from *:
    int __builtin_ctz(unsigned int bits) noexcept

cdef enum:
    BLOCK = 64  # characters summed before a look at the sum: 64 * 2 stays below NOT_IN_TABLE
    FIRST = 8   # of the first block: most texts that the alphabet lacks show it at once


# ---- how much fits: one function an alphabet form, for each kind of str ----
#
# Each returns how many of the n characters at s fit into `capacity` units, and sets `units` to what they
# cost; or -1 - index at the first character that the alphabet lacks. No more is read than may fit.

cdef inline Py_ssize_t fit_septets(const uint8_t* cost, const char_t* s, Py_ssize_t n, int capacity,
                                   Py_ssize_t* units) noexcept:
    cdef Py_ssize_t take = n if n < capacity else capacity
    cdef Py_ssize_t at = 0, start, stop = FIRST, total = 0
    cdef unsigned int block
    while at < take:
        start = at
        if stop > take:
            stop = take
        block = 0
        while at < stop:
            block += cost[plane0(s[at])]
            at += 1
        stop += BLOCK
        if block >= NOT_IN_TABLE:
            at = start
            while cost[plane0(s[at])] != NOT_IN_TABLE:
                at += 1
            return -1 - at
        total += block
    while total > capacity:
        take -= 1
        total -= cost[plane0(s[take])]
    units[0] = total
    return take


cdef inline Py_ssize_t fit_ascii(const uint8_t* cost, const uint8_t* s, Py_ssize_t n, int capacity,
                                 Py_ssize_t* units) noexcept:
    """fit_septets for at least WORD characters of ASCII, in a table that is regular there."""
    cdef Py_ssize_t take = n if n < capacity else capacity
    cdef Py_ssize_t total = ascii_septets(s, take) if take >= WORD else -1
    if total < 0:
        return fit_septets(cost, s, n, capacity, units)
    while total > capacity:
        take -= 1
        total -= cost[s[take]]
    units[0] = total
    return take


cdef inline uint16_t plane0(char_t code) noexcept:
    """An index into a table of the Basic Multilingual Plane; U+FFFF, in no table, for what lies beyond."""
    if char_t is uint32_t:
        return <uint16_t>code if code < 0xFFFF else 0xFFFF
    else:
        return code


cdef inline Py_ssize_t fit_octets(uint32_t code_max, const char_t* s, Py_ssize_t n, int capacity,
                                  Py_ssize_t* units) noexcept:
    cdef Py_ssize_t take = n if n < capacity else capacity
    cdef Py_ssize_t at
    cdef bint lacking = False
    for at in range(take):
        lacking |= s[at] > code_max
    if lacking:
        at = 0
        while s[at] <= code_max:
            at += 1
        return -1 - at
    units[0] = take
    return take


cdef inline Py_ssize_t fit_ucs2(const char_t* s, Py_ssize_t n, int capacity, Py_ssize_t* units) noexcept:
    cdef Py_ssize_t take = n if n < capacity else capacity
    cdef Py_ssize_t at, total = take
    cdef unsigned int pairs = 0
    cdef char_t lone = 0  # as wide as a character, so that the loop works on whole vectors
    if char_t is uint8_t:
        pass
    else:
        for at in range(take):
            lone |= <char_t>(s[at] >> 11 == 0x1B)
            if char_t is uint32_t:
                pairs += s[at] > 0xFFFF
        if lone:
            at = 0
            while not surrogate(s[at]):
                at += 1
            return -1 - at
    if char_t is uint32_t:
        total += pairs
        while total > capacity:
            take -= 1
            total -= 1 + (s[take] > 0xFFFF)
    units[0] = total
    return take


cdef inline Py_ssize_t before_control(const char_t* s, Py_ssize_t n) noexcept:
    """Return how many of n characters stand before the first C0 control code but TAB, LF, FF, CR."""
    cdef Py_ssize_t at
    cdef char_t bad = 0  # as wide as a character, so that the loop works on whole vectors
    for at in range(n):
        bad |= <char_t>control(s[at])
    if not bad:
        return n
    at = 0
    while not control(s[at]):
        at += 1
    return at


cdef inline bint control(char_t code) noexcept:
    return (code < 0x20) & (code != 0x09) & (code != 0x0A) & (code != 0x0C) & (code != 0x0D)


cdef inline bint surrogate(uint32_t code) noexcept:
    return code >> 11 == 0x1B


# ---- characters to octets ----

cdef inline void write_septets(const uint16_t* code, const uint8_t* cost, const char_t* s, Py_ssize_t n,
                               uint8_t* out) noexcept:
    """Both octets are stored every time and the second overwritten by the next: no branch on the way. The
    last store may touch one octet beyond; it is 0 then, and the caller's buffer has room for it."""
    cdef Py_ssize_t at
    cdef uint16_t unit
    for at in range(n):
        unit = code[plane0(s[at])]
        out[0] = unit & 0xFF
        out[1] = unit >> 8
        out += cost[plane0(s[at])]


cdef inline void write_octets(const char_t* s, Py_ssize_t n, uint8_t* out) noexcept:
    cdef Py_ssize_t at
    for at in range(n):
        out[at] = <uint8_t>s[at]


cdef inline void write_ucs2(const char_t* s, Py_ssize_t n, uint8_t* out) noexcept:
    cdef Py_ssize_t at = 0, width
    cdef uint32_t word
    cdef uint64_t two, more, both
    if char_t is uint32_t:
        while at + 4 <= n:  # four at a time, in two words, up to the first that needs a pair
            memcpy(&two, s + at, 8)
            memcpy(&more, s + at + 2, 8)
            both = swap_octets(narrow(two) | narrow(more) << 32)
            memcpy(out, &both, 8)
            if (two | more) & <uint64_t>0xFFFF0000FFFF0000ULL == 0:
                at += 4
                out += 8
                continue
            word = __builtin_ctz(beyond(two) | beyond(more) << 2)
            at += word + 1
            out += 2 * word + 4
            word = utf16(s[at - 1])
            memcpy(out - 4, &word, 4)
        while at < n:
            word = utf16(s[at])
            width = 2 + 2 * (s[at] > 0xFFFF)
            memcpy(out, &word, width)
            at += 1
            out += width
    else:
        for at in range(n):
            out[at * 2] = (<uint16_t>s[at]) >> 8
            out[at * 2 + 1] = s[at] & 0xFF


cdef inline uint32_t utf16(uint32_t code) noexcept:
    """The octets of a character in the order they are stored; of one below U+10000 two of them count."""
    cdef uint32_t pair = <uint32_t>0 - <uint32_t>(code > 0xFFFF)
    cdef uint32_t first = ((0xD7C0 + (code >> 10)) & pair) | (code & ~pair)
    return (first >> 8 & 0xFF) | (first & 0xFF) << 8 | (0xDC | (code >> 8 & 0x03)) << 16 | (code & 0xFF) << 24


cdef inline uint32_t beyond(uint64_t two) noexcept:
    """A bit for each of two 32-bit characters that is beyond U+FFFF, the first in bit 0."""
    return <uint32_t>(two & <uint64_t>0xFFFF0000ULL != 0) | <uint32_t>(two >> 48 != 0) << 1


cdef inline uint64_t narrow(uint64_t two) noexcept:
    """Two 32-bit characters below U+10000 as two 16-bit ones."""
    return (two & 0xFFFF) | (two >> 16 & <uint64_t>0xFFFF0000ULL)


cdef inline uint64_t swap_octets(uint64_t four) noexcept:
    """Four 16-bit characters, the most significant octet of each first."""
    return (four & <uint64_t>0x00FF00FF00FF00FFULL) << 8 | (four >> 8 & <uint64_t>0x00FF00FF00FF00FFULL)
