# cython: language_level=3
"""BLAKE2b with a result of eight octets and no key (RFC 7693), fed piece by piece, without a Python object.

The same as ``hashlib.blake2b(octets, digest_size=8)``: what was stored by one is found by the other. hashlib takes
most of a microsecond for its object alone.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

cdef enum:
    BLOCK_OCTETS = 128
    DIGEST_OCTETS = 8

cdef struct Hash:
    uint64_t[8] state
    uint64_t length             # octets that are mixed in
    size_t used                 # of the block
    uint8_t[BLOCK_OCTETS] block

cdef extern from *:
    """
    static const uint64_t BLAKE_IV[8] = {
        0x6a09e667f3bcc908ULL, 0xbb67ae8584caa73bULL, 0x3c6ef372fe94f82bULL, 0xa54ff53a5f1d36f1ULL,
        0x510e527fade682d1ULL, 0x9b05688c2b3e6c1fULL, 0x1f83d9abfb41bd6bULL, 0x5be0cd19137e2179ULL,
    };
    #define BLAKE_ROTATE(x, b) (((x) >> (b)) | ((x) << (64 - (b))))
    #define BLAKE_MIX(a, b, c, d, x, y) do {                                                        \
        v[a] += v[b] + m[x]; v[d] = BLAKE_ROTATE(v[d] ^ v[a], 32);                                  \
        v[c] += v[d];        v[b] = BLAKE_ROTATE(v[b] ^ v[c], 24);                                  \
        v[a] += v[b] + m[y]; v[d] = BLAKE_ROTATE(v[d] ^ v[a], 16);                                  \
        v[c] += v[d];        v[b] = BLAKE_ROTATE(v[b] ^ v[c], 63);                                  \
    } while (0)
    #define BLAKE_ROUND(i0, i1, i2, i3, i4, i5, i6, i7, i8, i9, i10, i11, i12, i13, i14, i15) do {  \
        BLAKE_MIX(0, 4, 8, 12, i0, i1);   BLAKE_MIX(1, 5, 9, 13, i2, i3);                           \
        BLAKE_MIX(2, 6, 10, 14, i4, i5);  BLAKE_MIX(3, 7, 11, 15, i6, i7);                          \
        BLAKE_MIX(0, 5, 10, 15, i8, i9);  BLAKE_MIX(1, 6, 11, 12, i10, i11);                        \
        BLAKE_MIX(2, 7, 8, 13, i12, i13); BLAKE_MIX(3, 4, 9, 14, i14, i15);                         \
    } while (0)
    static void blake_compress(uint64_t *state, const uint64_t *m, uint64_t length, uint64_t last) {
        uint64_t v[16];
        for (int at = 0; at < 8; at++) {
            v[at] = state[at];
            v[at + 8] = BLAKE_IV[at];
        }
        v[12] ^= length;
        v[14] ^= last;
        BLAKE_ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        BLAKE_ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3);
        BLAKE_ROUND(11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4);
        BLAKE_ROUND(7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8);
        BLAKE_ROUND(9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13);
        BLAKE_ROUND(2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9);
        BLAKE_ROUND(12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11);
        BLAKE_ROUND(13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10);
        BLAKE_ROUND(6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5);
        BLAKE_ROUND(10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0);
        BLAKE_ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        BLAKE_ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3);
        for (int at = 0; at < 8; at++)
            state[at] ^= v[at] ^ v[at + 8];
    }
    """
    const uint64_t *BLAKE_IV
    void blake_compress(uint64_t *state, const uint64_t *m, uint64_t length, uint64_t last) noexcept nogil


cdef inline void hash_begin(Hash *it) noexcept nogil:
    memcpy(it.state, BLAKE_IV, sizeof(it.state))
    it.state[0] ^= 0x01010000 ^ DIGEST_OCTETS
    it.length = it.used = 0

cdef inline void hash_put(Hash *it, const uint8_t *octets, size_t length) noexcept nogil:
    """Numbers in a block are little-endian, as they are in memory here (keys.pyx refuses to load elsewhere)."""
    cdef size_t some
    while length:
        if it.used == BLOCK_OCTETS:  # only now: the last block is mixed in as such
            it.length += BLOCK_OCTETS
            blake_compress(it.state, <const uint64_t *>it.block, it.length, 0)
            it.used = 0
        some = min(length, BLOCK_OCTETS - it.used)
        memcpy(it.block + it.used, octets, some)
        it.used += some
        octets += some
        length -= some

cdef inline uint64_t hash_end(Hash *it) noexcept nogil:
    """The digest as a number, least significant octet first."""
    memset(it.block + it.used, 0, BLOCK_OCTETS - it.used)
    blake_compress(it.state, <const uint64_t *>it.block, it.length + it.used, ~<uint64_t>0)
    return it.state[0]
