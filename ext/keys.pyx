# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Who a message is: its id; and idempotency keys of late: 64-bit hash of a key -> number of the message, hash of its body.

Two tables of fixed size take turns: when the young one is full it becomes the old one, and the old one is emptied.
So memory is bounded, nothing is ever rehashed or moved, and the last `capacity` keys at least are known. How far back
that reaches is told by `forgotten_n`: keys of messages up to there may be unknown here, and stand in the store.

Hashes are of BLAKE2b: who chooses keys cannot choose those that share a slot by the thousand.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint64_t
cimport cython
import sys

from blake2b cimport Hash, hash_begin, hash_end, hash_put
from rows cimport prefetch
from utf8 cimport hash_text

cdef extern from *:
    """
    #include <stddef.h>
    #include <sys/mman.h>
    /* Zeros that cost nothing until they are touched. Keys are met in no order: with pages of 4 KiB each costs a miss
       of the TLB beside those of the cache. */
    static void *map_table(size_t octets) {
        void *made = mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (made == MAP_FAILED)
            return NULL;
    #ifdef MADV_HUGEPAGE
        madvise(made, octets, MADV_HUGEPAGE);
    #endif
        return made;
    }
    static void unmap_table(void *table, size_t octets) {
        if (table != NULL)
            munmap(table, octets);
    }
    """
    void *map_table(size_t octets) noexcept nogil
    void unmap_table(void *table, size_t octets) noexcept nogil

if sys.byteorder != "little":
    raise ImportError("BLAKE2b reads its blocks as little-endian words")


def message_id(uint64_t now_ms, uint64_t n, uint64_t random_bits):
    """Return a UUIDv7 (RFC 9562, 5.7): 48 bits of time, 34 random ones, and 40 of the message's number."""
    return id_of(now_ms, n, random_bits)


def key_hash(str key not None, str source not None=""):
    """Return the hash of a key among the keys of its source."""
    return hash_of_key(key, source)


cdef bytes id_of(uint64_t now_ms, uint64_t n, uint64_t random_bits):
    cdef uint8_t octets[16]
    cdef uint64_t high = now_ms << 16 | 0x7000 | (random_bits >> 22 & 0xFFF)
    cdef uint64_t low = <uint64_t>1 << 63 | (random_bits & 0x3FFFFF) << 40 | n
    cdef int at
    for at in range(8):
        octets[at] = <uint8_t>(high >> 56 - 8 * at)
        octets[8 + at] = <uint8_t>(low >> 56 - 8 * at)
    return PyBytes_FromStringAndSize(<const char*>octets, 16)


cdef uint64_t hash_of_key(str key, str source) noexcept:
    cdef Hash hashed
    hash_begin(&hashed)
    if source:
        hash_text(&hashed, source)
        hash_put(&hashed, <const uint8_t*>b"\0", 1)
    hash_text(&hashed, key)
    return hash_end(&hashed)


@cython.final
cdef class Keys:
    """The last `capacity` (1 to 2**26) keys or more, at most twice as many; 48 octets each."""

    def __cinit__(self, Py_ssize_t capacity):
        cdef uint64_t size = 4
        if not 1 <= capacity <= 1 << 26:
            raise ValueError(f"capacity is 1 to {1 << 26}, not {capacity}")
        while size < <uint64_t>capacity * 2:
            size *= 2
        self.mask = size - 1
        self.capacity = capacity
        self.young = <Entry*>map_table(size * sizeof(Entry))
        self.old = <Entry*>map_table(size * sizeof(Entry))
        if self.young == NULL or self.old == NULL:
            raise MemoryError

    def __dealloc__(self):
        unmap_table(self.young, (self.mask + 1) * sizeof(Entry))
        unmap_table(self.old, (self.mask + 1) * sizeof(Entry))

    def __len__(self):
        return self.young_size + self.old_size

    def __repr__(self):
        return f"<Keys: {len(self)} known, forgotten up to {self.forgotten_n}>"

    cdef Entry* slot(self, Entry* table, uint64_t key) noexcept nogil:
        """The entry of a key, or the free one where it would stand: tables are never more than half full."""
        cdef uint64_t at = key & self.mask
        while table[at].n and table[at].key != key:
            at = (at + 1) & self.mask
        return &table[at]

    cdef Entry* find(self, uint64_t key) noexcept nogil:
        """The entry of a key, or one whose n is not above 0."""
        cdef Entry* entry = self.slot(self.young, key)
        return entry if entry.n else self.slot(self.old, key)

    cdef void prefetch(self, uint64_t key) noexcept nogil:
        prefetch(&self.young[key & self.mask])
        prefetch(&self.old[key & self.mask])

    def get(self, uint64_t key):
        """Return (n, hash of the body), or None where the key is not known."""
        cdef Entry* entry = self.find(key)
        return (entry.n, entry.body) if entry.n > 0 else None

    def put(self, uint64_t key, uint64_t body, int64_t n):
        """Remember a key; a known one gets the new values. `n` is at least 1."""
        if n < 1:
            raise ValueError(f"n is at least 1, not {n}")
        self.remember(key, body, n)

    cdef int remember(self, uint64_t key, uint64_t body, int64_t n) except -1:
        cdef Entry* entry = self.slot(self.young, key)
        if not entry.n:
            if self.young_size == self.capacity:
                self.turn()
                entry = self.slot(self.young, key)
            self.young_size += 1
        entry.key, entry.body, entry.n = key, body, n
        self.young_last = max(self.young_last, n)
        return 0

    def drop(self, uint64_t key, int64_t n):
        """Take back a `put`, where the message was not accepted after all."""
        cdef Entry* entry = self.slot(self.young, key)
        if entry.n != n:
            entry = self.slot(self.old, key)
        if entry.n == n:
            entry.n = -1  # known to nobody; a free entry would hide those that stand behind it

    cdef int turn(self) except -1:
        cdef size_t octets = (self.mask + 1) * sizeof(Entry)
        unmap_table(self.old, octets)  # not cleared: that would hold up the loop for longer than new memory does
        self.forgotten_n = self.old_last
        self.old, self.old_size, self.old_last = self.young, self.young_size, self.young_last
        self.young, self.young_size = <Entry*>map_table(octets), 0
        if self.young == NULL:
            raise MemoryError
        return 0
