# Characters counted and written: the loops of the encoder, one function for each form of alphabet, each of
# them for every kind of str. Header-only: inline C functions over (pointer, length) that the caller checked.

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from ascii cimport ascii_septets
from text cimport char_t

from dispatcher._ext.gsm7 cimport NOT_IN_TABLE

cdef enum:
    BLOCK = 64  # characters summed before a look at the sum: 64 * 2 stays below NOT_IN_TABLE


# ---- how much fits: one function an alphabet form, for each kind of str ----
#
# Each returns how many of the n characters at s fit into `capacity` units, and sets `units` to what they
# cost; or -1 - index at the first character that the alphabet lacks. No more is read than may fit.

cdef inline Py_ssize_t fit_septets(const uint8_t* cost, const char_t* s, Py_ssize_t n, int capacity,
                                   Py_ssize_t* units) noexcept:
    cdef Py_ssize_t take = n if n < capacity else capacity
    cdef Py_ssize_t at = 0, stop, total = 0
    cdef unsigned int block
    while at < take:
        stop = at + BLOCK if at + BLOCK < take else take
        block = 0
        while at < stop:
            block += cost[plane0(s[at])]
            at += 1
        if block >= NOT_IN_TABLE:
            at = stop - BLOCK if stop > BLOCK else 0
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
    cdef Py_ssize_t total = ascii_septets(s, take)
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
    cdef bint lone = False
    if char_t is uint8_t:
        pass
    else:
        for at in range(take):
            lone |= surrogate(s[at])
        if lone:
            at = 0
            while not surrogate(s[at]):
                at += 1
            return -1 - at
    if char_t is uint32_t:
        for at in range(take):
            pairs += s[at] > 0xFFFF
        total += pairs
        while total > capacity:
            take -= 1
            total -= 1 + (s[take] > 0xFFFF)
    units[0] = total
    return take


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
    cdef Py_ssize_t at
    cdef uint32_t code
    for at in range(n):
        if char_t is uint32_t:
            code = s[at]
            if code > 0xFFFF:
                code -= 0x10000
                out[0] = 0xD8 | (code >> 18)
                out[1] = (code >> 10) & 0xFF
                out[2] = 0xDC | ((code >> 8) & 0x03)
                out[3] = code & 0xFF
                out += 4
            else:
                out[0] = code >> 8
                out[1] = code & 0xFF
                out += 2
        else:
            out[at * 2] = (<uint16_t>s[at]) >> 8
            out[at * 2 + 1] = s[at] & 0xFF
