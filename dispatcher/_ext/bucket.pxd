# The declarations of dispatcher._ext.bucket, for `cimport` by other compiled modules:
#
#     from dispatcher._ext.bucket cimport Bucket
#
# Law: see ext/bucket.pyx. Every C method is noexcept, needs no GIL and touches no Python object. A bucket has
# one owner (the loop that drives its carrier account); calls are not synchronised.

from libc.stdint cimport int32_t, int64_t, uint32_t

cdef enum:
    CLASSES = 4      # authorization 0, transactional 1, service 2, marketing 3
    SLOTS = 1024     # a power of two above the 1,001 slots that a second can touch


cdef class Bucket:
    cdef:
        # The window: how many tokens each class took in each millisecond of the last second.
        uint32_t slots[SLOTS][CLASSES]
        int64_t slot             # number of the newest slot: its time / 1 ms
        int64_t window[CLASSES]  # sums over the live slots
        int64_t total            # sum of window
        int64_t limit            # tokens allowed in the window
        # The pace: accrues without drift in thousandths of token-nanoseconds.
        int64_t now_ns           # the latest time seen
        int64_t rate             # tokens per 1,000 s
        int64_t level            # at most level_max; below 0: authorization went ahead of the pace
        int64_t level_max
        int64_t fill_ns          # time from 0 to level_max; longer idle times do not count
        # The classes.
        int64_t reserve[CLASSES]       # tokens of the window that lower classes leave alone
        int64_t reserve_part[CLASSES]  # the same, in millionths of the limit
        int64_t minimum_part[CLASSES]  # guaranteed share of the rate, in millionths
        double pay[CLASSES]            # the same, in units of level per nanosecond
        double credit[CLASSES]         # earned of it and not yet had, in units of level
        double credit_max[CLASSES]
        int64_t credit_at[CLASSES]     # up to when
        int64_t wanted[CLASSES]        # what it last asked for
        int64_t asked_at[CLASSES]      # when that was
        int64_t patience_ns            # how long an ask counts as demand

    cdef int reserve_parts(self, reserved) except -1
    cdef int64_t grant(self, int64_t now_ns, int64_t n, int traffic_class) noexcept nogil
    cdef int64_t wait(self, int64_t now_ns, int64_t n, int traffic_class) noexcept nogil
    cdef void undo(self, int64_t taken_ns, int64_t n, int traffic_class) noexcept nogil
    cdef void retune(self, int64_t now_ns, int64_t rate) noexcept nogil
    cdef void advance(self, int64_t now_ns) noexcept nogil
    cdef int64_t room(self, int traffic_class) noexcept nogil
    cdef int64_t ahead(self, int traffic_class) noexcept nogil
    cdef int64_t kept_above(self, int traffic_class) noexcept nogil
    cdef int64_t owed_below(self, int traffic_class) noexcept nogil
    cdef double earn(self, int traffic_class) noexcept nogil
    cdef int64_t paced(self, int64_t n) noexcept nogil
    cdef int64_t earned(self, int traffic_class) noexcept nogil
    cdef int64_t drained(self, int64_t n, int traffic_class, bint reserves) noexcept nogil
