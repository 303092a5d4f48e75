"""What other compiled modules take from ``ext/keys.pyx``: idempotency keys of late, ids, hashes."""

from libc.stdint cimport int64_t, uint64_t


cdef struct Entry:
    uint64_t key
    uint64_t body
    int64_t n           # 0: free


cdef bytes id_of(uint64_t now_ms, uint64_t n, uint64_t random_bits)
cdef uint64_t hash_of_key(str key, str source) noexcept


cdef class Keys:
    cdef Entry* young
    cdef Entry* old
    cdef uint64_t mask
    cdef Py_ssize_t young_size
    cdef Py_ssize_t old_size
    cdef readonly Py_ssize_t capacity
    cdef readonly int64_t forgotten_n
    cdef int64_t young_last
    cdef int64_t old_last

    cdef Entry* slot(self, Entry* table, uint64_t key) noexcept nogil
    cdef Entry* find(self, uint64_t key) noexcept nogil
    cdef void prefetch(self, uint64_t key) noexcept nogil
    cdef int remember(self, uint64_t key, uint64_t body, int64_t n) except -1
    cdef int turn(self) except -1
