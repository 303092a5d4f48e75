# cython: language_level=3
"""Three bits a message number: has anything happened to it, has it finished, may it be looked for in a table of few.

Numbers come in order and end in about that order. They lie in spans of SPAN numbers; a span is made when its
first number is touched, and given up, but for one pointer, when its last one has finished.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memset

cdef enum:
    SPAN = 32_768
    SPAN_WORDS = SPAN // 64
    SPANS_MAX = 1 << 25         # 2 ** 40 numbers: a message_id has room for no more

cdef enum NumberState:
    UNTOUCHED = 0
    TOUCHED = 1
    ENDED = 2

cdef struct Span:
    uint32_t ended_count
    uint64_t touched[SPAN_WORDS]
    uint64_t ended[SPAN_WORDS]
    uint64_t marked[SPAN_WORDS]

cdef struct Numbers:
    Span **spans                # NULL: untouched; ALL_ENDED: given up
    uint32_t count

cdef extern from *:
    """
    #define ALL_ENDED ((void *)1)
    """
    Span *ALL_ENDED


cdef inline NumberState state_of(const Numbers *numbers, uint64_t n) noexcept nogil:
    cdef uint64_t at = n // SPAN, bit = <uint64_t>1 << (n & 63)
    cdef uint32_t word = (n & (SPAN - 1)) >> 6
    cdef const Span *span
    if at >= numbers.count or numbers.spans[at] == NULL:
        return UNTOUCHED
    span = numbers.spans[at]
    if span == ALL_ENDED or span.ended[word] & bit:
        return ENDED
    return TOUCHED if span.touched[word] & bit else UNTOUCHED

cdef inline Span *span_for(Numbers *numbers, uint64_t at) noexcept nogil:
    """The span, made if need be; ALL_ENDED; or NULL: no memory."""
    cdef Span **spans
    cdef uint32_t size
    if at >= numbers.count:
        size = max(1024, <uint32_t>(at + at // 2))
        spans = <Span **>realloc(numbers.spans, size * sizeof(Span *))
        if spans == NULL:
            return NULL
        memset(spans + numbers.count, 0, (size - numbers.count) * sizeof(Span *))
        numbers.spans = spans
        numbers.count = size
    if numbers.spans[at] == NULL:
        numbers.spans[at] = <Span *>calloc(1, sizeof(Span))
    return numbers.spans[at]

cdef inline bint touch_number(Numbers *numbers, uint64_t n) noexcept nogil:
    """False: no memory."""
    cdef Span *span = span_for(numbers, n // SPAN)
    if span == NULL:
        return False
    if span != ALL_ENDED:
        span.touched[(n & (SPAN - 1)) >> 6] |= <uint64_t>1 << (n & 63)
    return True

cdef inline bint end_number(Numbers *numbers, uint64_t n) noexcept nogil:
    """Once and for all; False: no memory."""
    cdef uint64_t at = n // SPAN, bit = <uint64_t>1 << (n & 63)
    cdef uint32_t word = (n & (SPAN - 1)) >> 6
    cdef Span *span = span_for(numbers, at)
    if span == NULL:
        return False
    if span == ALL_ENDED or span.ended[word] & bit:
        return True
    span.touched[word] |= bit
    span.ended[word] |= bit
    span.ended_count += 1
    if span.ended_count == SPAN:
        free(span)
        numbers.spans[at] = ALL_ENDED
    return True

cdef inline bint mark_number(Numbers *numbers, uint64_t n) noexcept nogil:
    """False: no memory."""
    cdef Span *span = span_for(numbers, n // SPAN)
    if span == NULL:
        return False
    if span != ALL_ENDED:
        span.marked[(n & (SPAN - 1)) >> 6] |= <uint64_t>1 << (n & 63)
    return True

cdef inline bint may_be_marked(const Numbers *numbers, uint64_t n) noexcept nogil:
    """Whether it was; of a span that was given up nobody knows."""
    cdef uint64_t at = n // SPAN
    if at >= numbers.count or numbers.spans[at] == NULL:
        return False
    if numbers.spans[at] == ALL_ENDED:
        return True
    return numbers.spans[at].marked[(n & (SPAN - 1)) >> 6] >> (n & 63) & 1

cdef inline void numbers_free(Numbers *numbers) noexcept nogil:
    cdef uint32_t at
    for at in range(numbers.count):
        if numbers.spans[at] != ALL_ENDED:
            free(numbers.spans[at])
    free(numbers.spans)
    memset(numbers, 0, sizeof(Numbers))
