# cython: language_level=3
"""Values as msgpack, in the shortest form as msgspec's encoder writes them, into an outbox.

MemoryError: there is none; UnicodeEncodeError: half of a surrogate pair, which no reader would take.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from text cimport ASCII, PyUnicode_DATA, PyUnicode_GET_LENGTH, char_at, kind_of
from utf8 cimport put_character
from wire cimport Outbox, outbox_room, put_octets, put_u8, put_u16, put_u32

cdef enum:
    NIL = 0xC0
    BIN8 = 0xC4
    UINT8 = 0xCC
    UINT16 = 0xCD
    UINT32 = 0xCE
    UINT64 = 0xCF
    STR8 = 0xD9
    STR16 = 0xDA
    STR32 = 0xDB
    ARRAY16 = 0xDC
    FIX_INT_MAX = 0x7F
    FIX_STRING = 0xA0
    FIX_STRING_MAX = 31
    FIX_ARRAY = 0x90
    FIX_ARRAY_MAX = 15
    HEAD_OCTETS = 9             # of any value, at most


cdef extern from "Python.h":
    bytes PyUnicode_AsUTF8String(object text)


cdef inline uint8_t *room(Outbox *out, Py_ssize_t octets) except NULL:
    cdef uint8_t *at = outbox_room(out, octets)
    if at == NULL:
        raise MemoryError
    return at

cdef inline int pack_nil(Outbox *out) except -1:
    cdef uint8_t *at = room(out, 1)
    at[0] = NIL
    out.used += 1
    return 0

cdef inline int pack_array(Outbox *out, uint32_t items) except -1:
    """Its head; of at most 65,535 items."""
    cdef uint8_t *start = room(out, HEAD_OCTETS)
    if items <= FIX_ARRAY_MAX:
        out.used += put_u8(start, FIX_ARRAY | items) - start
    else:
        out.used += put_u16(put_u8(start, ARRAY16), items) - start
    return 0

cdef inline int pack_number(Outbox *out, uint64_t number) except -1:
    cdef uint8_t *start = room(out, HEAD_OCTETS)
    cdef uint8_t *at = start
    if number <= FIX_INT_MAX:
        at = put_u8(at, <uint32_t>number)
    elif number <= 0xFF:
        at = put_u8(put_u8(at, UINT8), <uint32_t>number)
    elif number <= 0xFFFF:
        at = put_u16(put_u8(at, UINT16), <uint32_t>number)
    elif number <= 0xFFFFFFFF:
        at = put_u32(put_u8(at, UINT32), <uint32_t>number)
    else:
        at = put_u32(put_u32(put_u8(at, UINT64), <uint32_t>(number >> 32)), <uint32_t>number)
    out.used += at - start
    return 0

cdef inline int pack_octets(Outbox *out, const uint8_t *octets, uint8_t length) except -1:
    cdef uint8_t *start = room(out, HEAD_OCTETS + length)
    out.used += put_octets(put_u8(put_u8(start, BIN8), length), octets, length) - start
    return 0

cdef inline int pack_text(Outbox *out, str text) except -1:
    cdef const void *data = PyUnicode_DATA(text)
    cdef int kind = kind_of(text)
    cdef Py_ssize_t length = PyUnicode_GET_LENGTH(text), index, octets = length
    cdef uint32_t code
    cdef uint8_t *start
    cdef uint8_t *at
    if kind != ASCII:
        for index in range(length):
            code = char_at(data, kind, index)
            if code >> 11 == 0x1B:
                PyUnicode_AsUTF8String(text)
            octets += (code >= 0x80) + (code >= 0x800) + (code >= 0x10000)
    start = at = room(out, HEAD_OCTETS + octets)
    if octets <= FIX_STRING_MAX:
        at = put_u8(at, FIX_STRING | <uint32_t>octets)
    elif octets <= 0xFF:
        at = put_u8(put_u8(at, STR8), <uint32_t>octets)
    elif octets <= 0xFFFF:
        at = put_u16(put_u8(at, STR16), <uint32_t>octets)
    else:
        at = put_u32(put_u8(at, STR32), <uint32_t>octets)
    if kind == ASCII:
        memcpy(at, data, length)
        at += length
    else:
        for index in range(length):
            at = put_character(at, char_at(data, kind, index))
    out.used += at - start
    return 0
