# cython: language_level=3
"""SipHash-2-4 with a result of 128 bits (Aumasson and Bernstein, 2012): who does not know the seed can neither
choose keys that collide nor keys that share a bucket."""

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

cdef struct Seed:
    uint64_t low
    uint64_t high

cdef extern from *:
    """
    #define SIP_ROTATE(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
    #define SIP_ROUND(v0, v1, v2, v3) do {                                                          \
        v0 += v1; v1 = SIP_ROTATE(v1, 13); v1 ^= v0; v0 = SIP_ROTATE(v0, 32);                       \
        v2 += v3; v3 = SIP_ROTATE(v3, 16); v3 ^= v2;                                                \
        v0 += v3; v3 = SIP_ROTATE(v3, 21); v3 ^= v0;                                                \
        v2 += v1; v1 = SIP_ROTATE(v1, 17); v1 ^= v2; v2 = SIP_ROTATE(v2, 32);                       \
    } while (0)
    """
    void SIP_ROUND(uint64_t v0, uint64_t v1, uint64_t v2, uint64_t v3) noexcept nogil


cdef inline void siphash(
    const Seed *seed, const uint8_t *octets, Py_ssize_t length, uint64_t *low, uint64_t *high
) noexcept nogil:
    cdef uint64_t v0 = seed.low ^ <uint64_t>0x736f6d6570736575
    cdef uint64_t v1 = seed.high ^ <uint64_t>0x646f72616e646f6d ^ 0xee
    cdef uint64_t v2 = seed.low ^ <uint64_t>0x6c7967656e657261
    cdef uint64_t v3 = seed.high ^ <uint64_t>0x7465646279746573
    cdef uint64_t word
    cdef Py_ssize_t left = length
    cdef int index
    while left >= 8:
        memcpy(&word, octets, 8)
        v3 ^= word
        SIP_ROUND(v0, v1, v2, v3)
        SIP_ROUND(v0, v1, v2, v3)
        v0 ^= word
        octets += 8
        left -= 8
    word = <uint64_t>length << 56
    for index in range(<int>left):
        word |= <uint64_t>octets[index] << (8 * index)
    v3 ^= word
    SIP_ROUND(v0, v1, v2, v3)
    SIP_ROUND(v0, v1, v2, v3)
    v0 ^= word
    v2 ^= 0xee
    for index in range(4):
        SIP_ROUND(v0, v1, v2, v3)
    low[0] = v0 ^ v1 ^ v2 ^ v3
    v1 ^= 0xdd
    for index in range(4):
        SIP_ROUND(v0, v1, v2, v3)
    high[0] = v0 ^ v1 ^ v2 ^ v3
