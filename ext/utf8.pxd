# cython: language_level=3
"""A str as UTF-8, into a hash or a buffer: CPython's own way would keep the octets beside every str."""

from libc.stdint cimport uint8_t, uint32_t

from blake2b cimport Hash, hash_put
from text cimport ASCII, PyUnicode_DATA, PyUnicode_GET_LENGTH, char_at, kind_of


cdef inline uint8_t *put_character(uint8_t *at, uint32_t code) noexcept nogil:
    """Up to four octets; half of a surrogate pair becomes three, as ``surrogatepass`` has it."""
    if code < 0x80:
        at[0] = <uint8_t>code
        return at + 1
    if code < 0x800:
        at[0] = <uint8_t>(0xC0 | code >> 6)
        at[1] = <uint8_t>(0x80 | code & 0x3F)
        return at + 2
    if code < 0x10000:
        at[0] = <uint8_t>(0xE0 | code >> 12)
        at[1] = <uint8_t>(0x80 | code >> 6 & 0x3F)
        at[2] = <uint8_t>(0x80 | code & 0x3F)
        return at + 3
    at[0] = <uint8_t>(0xF0 | code >> 18)
    at[1] = <uint8_t>(0x80 | code >> 12 & 0x3F)
    at[2] = <uint8_t>(0x80 | code >> 6 & 0x3F)
    at[3] = <uint8_t>(0x80 | code & 0x3F)
    return at + 4


cdef inline void hash_text(Hash *it, str text) noexcept:
    cdef uint8_t[4] octets
    cdef const void *data = PyUnicode_DATA(text)
    cdef int kind = kind_of(text)
    cdef Py_ssize_t at, length = PyUnicode_GET_LENGTH(text)
    if kind == ASCII:
        hash_put(it, <const uint8_t *>data, length)
        return
    for at in range(length):
        hash_put(it, octets, put_character(octets, char_at(data, kind, at)) - octets)
