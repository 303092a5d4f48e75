# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""How many messages a source sent to a number of late: see dispatcher.policy.pace, which says what for.

Plan. A row for each pair of source and number, by a hash that is secret: the last ten digits are a number of less than
2 ** 64, and sources are as many as there are keys. Rows stand in a list by their last use; when there are too many,
the foremost goes. Of many requests the heads of the chains are fetched together, then the rows, then they count.
"""

cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t

from fields cimport FIELD, field_of
from rows cimport (
    List, Table, append_to, find_row, head_of, insert_row, prefetch, remove_row, row_at, table_free, table_init, take_from
)
from text cimport PyUnicode_DATA, PyUnicode_GET_LENGTH, char_at, kind_of

cdef enum:
    BATCH = 32                  # looked up together
    DIGITS = 10                 # the last ones tell numbers apart: national and international forms are one
    MINUTE_MS = 60_000
    MINUTES = 60                # of an hour

cdef struct Count:
    uint64_t key
    uint32_t chain, older, newer
    uint32_t minute             # of the last message; its hour follows from it
    uint32_t in_minute, in_hour


@cython.final
cdef class NumberPace:
    """Counts messages by source and number; see the stub."""

    cdef Table table
    cdef List used              # all rows, the one that was quiet longest first
    cdef readonly uint32_t per_minute, per_hour
    cdef uint32_t numbers_max
    cdef uint64_t source_hash   # of the source that was asked about last
    cdef object source
    cdef object request_type
    cdef Py_ssize_t at_to, at_source

    def __cinit__(self, request_type, uint32_t per_minute, uint32_t per_hour, uint32_t numbers_max):
        if numbers_max < 1:
            raise ValueError("numbers_max is 1 or more")
        self.request_type = request_type
        self.at_to, self.at_source = field_of(request_type, b"to"), field_of(request_type, b"source")
        self.per_minute, self.per_hour, self.numbers_max = per_minute, per_hour, numbers_max
        if not table_init(&self.table, sizeof(Count)):
            raise MemoryError

    def __dealloc__(self):
        table_free(&self.table)

    def __len__(self):
        return self.used.count

    def __repr__(self):
        return f"<NumberPace {self.per_minute} a minute, {self.per_hour} an hour, {len(self)} numbers>"

    def take(self, str source not None, str number not None, int64_t now_ms):
        """Count one message; return 0, or after how many milliseconds to come again: then it did not count."""
        return self.count(self.key_of(source, number), now_ms)

    def take_all(self, list requests not None, int64_t now_ms):
        """The same for exact SendRequests; return [(place, milliseconds)] of those that did not count."""
        cdef uint64_t[BATCH] keys
        cdef Py_ssize_t start, some, at
        cdef int64_t wait_ms
        cdef list limited = []
        for start in range(0, len(requests), BATCH):
            some = min(<Py_ssize_t>BATCH, len(requests) - start)
            for at in range(some):
                request = requests[start + at]
                if type(request) is not self.request_type:
                    raise TypeError(f"a SendRequest is expected, not {type(request).__name__}")
                keys[at] = self.key_of(<str>FIELD(request, self.at_source), <str>FIELD(request, self.at_to))
                prefetch(head_of(&self.table, keys[at]))
            for at in range(some):
                prefetch(row_at(&self.table, head_of(&self.table, keys[at])[0]))
            for at in range(some):
                if wait_ms := self.count(keys[at], now_ms):
                    limited.append((start + at, wait_ms))
        return limited

    def force(self, str source not None, str number not None):
        """Count one message beyond the limits."""
        self.add(source, number, 1)

    def give_back(self, str source not None, str number not None):
        """Take back what was counted last: no message came of it."""
        self.add(source, number, -1)

    cdef uint64_t key_of(self, str source, str number) except? 0:
        cdef const void *data = PyUnicode_DATA(number)
        cdef int kind = kind_of(number), digits = 0
        cdef Py_ssize_t at = PyUnicode_GET_LENGTH(number)
        cdef uint64_t found = 1, digit, place = 1
        if source is not self.source:
            self.source_hash, self.source = <uint64_t>hash(source), source
        while at and digits < DIGITS:
            at -= 1
            digit = char_at(data, kind, at) - 48
            if digit < 10:
                found += digit * place
                place *= 10
                digits += 1
        found = (found + place) * <uint64_t>0x9E3779B97F4A7C15  # with as many digits as there are, and spread
        found = (found ^ found >> 32) + self.source_hash
        return found or 1

    cdef int64_t count(self, uint64_t key, int64_t now_ms) except -1:
        cdef uint32_t row = find_row(&self.table, key), minute = <uint32_t>(now_ms // MINUTE_MS)
        cdef uint32_t in_minute, in_hour
        cdef Count *its
        if not row:
            if self.used.count >= self.numbers_max:
                row = self.used.oldest
                take_from(&self.table, &self.used, row)
                remove_row(&self.table, row)
            row = insert_row(&self.table, key)
            if not row:
                raise MemoryError
            append_to(&self.table, &self.used, row)
            its = <Count *>row_at(&self.table, row)
            its.minute, its.in_minute, its.in_hour = minute, 1, 1
            return 0
        if row != self.used.newest:
            take_from(&self.table, &self.used, row)
            append_to(&self.table, &self.used, row)
        its = <Count *>row_at(&self.table, row)
        in_minute = its.in_minute if its.minute == minute else 0
        in_hour = its.in_hour if its.minute // MINUTES == minute // MINUTES else 0
        if self.per_hour and in_hour >= self.per_hour:
            return (<int64_t>(minute // MINUTES) + 1) * MINUTES * MINUTE_MS - now_ms
        if self.per_minute and in_minute >= self.per_minute:
            return (<int64_t>minute + 1) * MINUTE_MS - now_ms
        its.minute, its.in_minute, its.in_hour = minute, in_minute + 1, in_hour + 1
        return 0

    cdef int add(self, str source, str number, int more) except -1:
        cdef uint32_t row = find_row(&self.table, self.key_of(source, number))
        cdef Count *its = <Count *>row_at(&self.table, row)
        if row:
            its.in_minute = max(0, <int64_t>its.in_minute + more)
            its.in_hour = max(0, <int64_t>its.in_hour + more)
        return 0
