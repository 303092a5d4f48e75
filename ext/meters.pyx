# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""What is counted for each message or segment: durations in bins, and who sent what when.

Law: metrics cost at most 100 ns a message, all together. So nothing here is called once per message from
Python, and nothing is allocated while it is counted.

Since when a message is under way is asked for by its number: numbers grow in the order of acceptance, so it
is enough to keep the steps (from this number on, accepted at that time). They are bounded: when there are too
many, those that differ by little against their age are joined; 7,000 of them tell a day to one in 512.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, realloc

cimport cython

from histogram cimport BIN_BOUNDS, BOUNDS, counts_of, observe

cdef enum:
    CLASSES = 4
    EXACTNESS = 512             # a step that is joined with another errs by less than this part of its age

SOURCES_MAX = 200
OTHERS = "(others)"
BOUNDS_US = tuple([BIN_BOUNDS[index] for index in range(BOUNDS)])


@cython.final
cdef class Histogram:
    """Durations in bins, see the stub."""

    def observe(self, int64_t us, uint64_t times=1):
        """Count a duration in microseconds, so many times."""
        observe(&self.bins, us, times)

    def counts(self):
        """Return the counts of the bins up to the last one that holds something."""
        return counts_of(&self.bins)

    @property
    def count(self):
        """How many were observed."""
        return sum(counts_of(&self.bins))

    @property
    def sum_us(self):
        """Their sum in microseconds."""
        return self.bins.sum_us

    def __repr__(self):
        return f"<Histogram of {self.count}, {self.bins.sum_us} us in all>"


@cython.final
cdef class Intake:
    """Who sent how many messages, and when which were accepted; see the stub."""

    def __cinit__(self, *, Py_ssize_t steps_max=16_384):
        if steps_max < 16:
            raise ValueError("steps_max is 16 or more")
        self.sources = {}
        self.most = steps_max

    def __dealloc__(self):
        free(self.steps)

    def add(self, list messages not None, int64_t at_ms, bint some_later=False):
        """Count messages with consecutive numbers that were accepted at a time."""
        cdef uint64_t[CLASSES] counted
        cdef object last = None, source
        cdef int index
        for index in range(CLASSES):
            counted[index] = 0
        for message in messages:
            source = message.source
            if source is not last:
                self.count_source(last, counted)
                last = source
            counted[<int>message.traffic_class & 3] += 1
            if some_later:
                self.note(message.n, 0 if message.send_after_ms else at_ms)
        self.count_source(last, counted)
        if messages and not some_later:
            self.note(messages[0].n, at_ms)

    cdef int count_source(self, object source, uint64_t* counted) except -1:
        cdef list counts
        cdef int index
        if source is None:
            return 0
        if source not in self.sources and len(self.sources) >= SOURCES_MAX:
            source = OTHERS
        counts = self.sources.setdefault(source, [0] * CLASSES)
        for index in range(CLASSES):
            counts[index] += counted[index]
            counted[index] = 0
        return 0

    cdef int note(self, uint64_t n, int64_t at_ms) except -1:
        cdef Py_ssize_t size = 16
        cdef Step* steps
        if self.count and (self.steps[self.count - 1].at_ms == at_ms or self.steps[self.count - 1].n >= n):
            return 0
        if self.count == self.most:
            self.thin_out()
        if self.count & (self.count - 1) == 0:      # a power of two: it is full, or as good as
            while size <= self.count:
                size *= 2
            steps = <Step*>realloc(self.steps, size * sizeof(Step))
            if steps == NULL:
                raise MemoryError
            self.steps = steps
        self.steps[self.count].n, self.steps[self.count].at_ms = n, at_ms
        self.count += 1
        return 0

    cdef void thin_out(self) noexcept:
        """Join steps that differ by little against their age; where too few can be joined, let the oldest go."""
        cdef Py_ssize_t at, kept = 1, gone
        cdef int64_t newest_ms = self.steps[self.count - 1].at_ms
        cdef Step* before
        cdef Step* step
        for at in range(1, self.count):
            before, step = &self.steps[kept - 1], &self.steps[at]
            if before.at_ms and step.at_ms and (step.at_ms - before.at_ms) * EXACTNESS < newest_ms - step.at_ms:
                continue
            self.steps[kept] = step[0]
            kept += 1
        gone = self.most // 4 if kept > self.most - self.most // 4 else 0
        self.count = kept - gone
        for at in range(self.count):
            self.steps[at] = self.steps[at + gone]
        self.near = 0

    cpdef int64_t since(self, uint64_t n) noexcept:
        """When a message was accepted, in milliseconds of UTC; 0: that is not known."""
        cdef Py_ssize_t low = 0, high = self.count, middle
        if self.near < high and self.steps[self.near].n <= n:
            low = self.near
            if low + 2 < high and n < self.steps[low + 2].n:
                high = low + 2      # mostly: it is the same step, or the next
        while low < high:
            middle = (low + high) >> 1
            if self.steps[middle].n <= n:
                low = middle + 1
            else:
                high = middle
        if low == 0:
            return 0
        self.near = low - 1
        return self.steps[low - 1].at_ms

    def __len__(self):
        return self.count

    def __repr__(self):
        return f"<Intake of {len(self.sources)} sources, {self.count} steps>"
