# cython: language_level=3
"""A histogram of durations in microseconds, in one struct: what is measured for each segment.

Bounds are the twelve steps of the E12 series in each decade, 100 us to 100,000 s, so that a quantile is known
within a tenth. A duration is in the first bin whose bound is not below it; the last bin has no bound.
"""

from libc.stdint cimport int64_t, uint64_t

cdef extern from *:
    """
    #define DECADE(d) 10ULL*d, 12ULL*d, 15ULL*d, 18ULL*d, 22ULL*d, 27ULL*d, \
                      33ULL*d, 39ULL*d, 47ULL*d, 56ULL*d, 68ULL*d, 82ULL*d
    #define BOUNDS 109
    #define BINS (BOUNDS + 1)
    static const uint64_t BIN_BOUNDS[BOUNDS] = {
        DECADE(10), DECADE(100), DECADE(1000), DECADE(10000), DECADE(100000), DECADE(1000000),
        DECADE(10000000), DECADE(100000000), DECADE(1000000000), 100000000000ULL
    };
    """
    enum:
        BOUNDS
        BINS
    const uint64_t* BIN_BOUNDS

cdef struct Bins:
    uint64_t[BINS] counts
    uint64_t sum_us


cdef inline int bin_of(uint64_t us) noexcept nogil:
    cdef int low = 0, high = BOUNDS, middle
    while low < high:
        middle = (low + high) >> 1
        if BIN_BOUNDS[middle] < us:
            low = middle + 1
        else:
            high = middle
    return low


cdef inline void observe(Bins* bins, int64_t us, uint64_t times) noexcept nogil:
    """Count a duration; what a clock that was put back makes negative is none at all."""
    if us < 0:
        us = 0
    bins.counts[bin_of(<uint64_t>us)] += times
    bins.sum_us += <uint64_t>us * times


cdef inline list counts_of(const Bins* bins):
    """The counts of the bins, up to the last one that holds something."""
    cdef int used = BINS, index
    while used and bins.counts[used - 1] == 0:
        used -= 1
    return [bins.counts[index] for index in range(used)]
