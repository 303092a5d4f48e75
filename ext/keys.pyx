# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Who a message is: its id; and idempotency keys of late: 64-bit hash of a key -> number of the message, hash of its body.

Two tables of fixed size take turns: when the young one is full it becomes the old one, and the old one is emptied.
So memory is bounded, nothing is ever rehashed or moved, and the last `capacity` keys at least are known. How far back
that reaches is told by `forgotten_n`: keys of messages up to there may be unknown here, and stand in the store.

Hashes are made by the caller, with a keyed or cryptographic hash: who chooses keys cannot choose slots.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free

cimport cython

def message_id(uint64_t now_ms, uint64_t n, uint64_t random_bits):
    """Return a UUIDv7 (RFC 9562, 5.7): 48 bits of time, 34 random ones, and 40 of the message's number."""
    cdef uint8_t octets[16]
    cdef uint64_t high = now_ms << 16 | 0x7000 | (random_bits >> 22 & 0xFFF)
    cdef uint64_t low = <uint64_t>1 << 63 | (random_bits & 0x3FFFFF) << 40 | n
    cdef int at
    for at in range(8):
        octets[at] = <uint8_t>(high >> 56 - 8 * at)
        octets[8 + at] = <uint8_t>(low >> 56 - 8 * at)
    return PyBytes_FromStringAndSize(<const char*>octets, 16)


cdef struct Entry:
    uint64_t key
    uint64_t body
    int64_t n           # 0: free


@cython.final
cdef class Keys:
    """The last `capacity` (1 to 2**26) keys or more, at most twice as many; 48 octets each."""

    cdef Entry* young
    cdef Entry* old
    cdef uint64_t mask
    cdef Py_ssize_t young_size
    cdef Py_ssize_t old_size
    cdef readonly Py_ssize_t capacity
    cdef readonly int64_t forgotten_n
    cdef int64_t young_last
    cdef int64_t old_last

    def __cinit__(self, Py_ssize_t capacity):
        cdef uint64_t size = 4
        if not 1 <= capacity <= 1 << 26:
            raise ValueError(f"capacity is 1 to {1 << 26}, not {capacity}")
        while size < <uint64_t>capacity * 2:
            size *= 2
        self.mask = size - 1
        self.capacity = capacity
        self.young = <Entry*>calloc(size, sizeof(Entry))
        self.old = <Entry*>calloc(size, sizeof(Entry))
        if self.young == NULL or self.old == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.young)
        free(self.old)

    def __len__(self):
        return self.young_size + self.old_size

    def __repr__(self):
        return f"<Keys: {len(self)} known, forgotten up to {self.forgotten_n}>"

    cdef Entry* find(self, Entry* table, uint64_t key) noexcept nogil:
        """Return the entry of a key, or the free one where it would stand: tables are never more than half full."""
        cdef uint64_t at = key & self.mask
        while table[at].n and table[at].key != key:
            at = (at + 1) & self.mask
        return &table[at]

    def get(self, uint64_t key):
        """Return (n, hash of the body), or None where the key is not known."""
        cdef Entry* entry = self.find(self.young, key)
        if not entry.n:
            entry = self.find(self.old, key)
        return (entry.n, entry.body) if entry.n > 0 else None

    def put(self, uint64_t key, uint64_t body, int64_t n):
        """Remember a key; a known one gets the new values. `n` is at least 1."""
        cdef Entry* entry
        if n < 1:
            raise ValueError(f"n is at least 1, not {n}")
        entry = self.find(self.young, key)
        if not entry.n:
            if self.young_size == self.capacity:
                self.turn()
                entry = self.find(self.young, key)
            self.young_size += 1
        entry.key, entry.body, entry.n = key, body, n
        self.young_last = max(self.young_last, n)

    def drop(self, uint64_t key, int64_t n):
        """Take back a `put`, where the message was not accepted after all."""
        cdef Entry* entry = self.find(self.young, key)
        if entry.n != n:
            entry = self.find(self.old, key)
        if entry.n == n:
            entry.n = -1  # known to nobody; a free entry would hide those that stand behind it

    cdef int turn(self) except -1:
        free(self.old)  # not cleared: that would hold up the loop for longer than new memory does
        self.forgotten_n = self.old_last
        self.old, self.old_size, self.old_last = self.young, self.young_size, self.young_last
        self.young, self.young_size = <Entry*>calloc(self.mask + 1, sizeof(Entry)), 0
        if self.young == NULL:
            raise MemoryError
        return 0
