# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Where messages stand in topics: from a number of this process to (index, class, offset), and events from one to
the other.

Law: events leave under the place of their message, which all workers know it by, and never under a number, which is
this process's own. An event of a message that is not ours any more goes nowhere, and that is said.

Plan. A number has a word: whether it is used and ended, its class, index and offset. Words lie in pages, which are
given up when they are old and all their messages have ended or are not ours. `place` in octets is what stands for n
in an event outside: class << 44 | offset; its index is the partition that the event stands in.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

cimport cython

from event_record cimport (
    CORRECTED, CUT, FINISHED, HEAD_OCTETS, KIND_MAX, ORPHANED, PARKED, RECEIPTED, RECORD_OCTETS, Head, get_event, put_event,
)
from wire cimport Outbox, outbox_free, outbox_init, outbox_room

from dispatcher.errors import StoreError

cdef enum:
    PAGE_BITS = 12
    PAGE = 1 << PAGE_BITS
    OFFSET_BITS = 44            # 17 trillion records of one partition
    INDEX_MAX = 1 << 14         # partitions of a topic
    AT_CARRIER = 2              # of an event, in its octets
    AT_N = 8

cdef extern from *:
    """
    #define USED (1ULL << 63)
    #define ENDED_BIT (1ULL << 62)
    #define GONE (1ULL << 61)
    #define PLACE_MASK ((1ULL << 46) - 1)
    #define OFFSET_MAX (1ULL << 44)
    """
    const uint64_t USED
    const uint64_t ENDED_BIT
    const uint64_t GONE
    const uint64_t PLACE_MASK
    const uint64_t OFFSET_MAX

cdef struct Page:
    uint32_t live               # used and not ended
    uint64_t[PAGE] words        # USED, ENDED_BIT, GONE, 14 bits index, 2 bits class, 44 bits offset


cdef inline int index_of(uint64_t word) noexcept nogil:
    return <int>(word >> 46 & (INDEX_MAX - 1))


@cython.final
cdef class Places:
    """The places of this process's messages; see the stub."""

    cdef Page **pages
    cdef uint64_t count         # of pages
    cdef uint64_t first         # page that is not given up

    def __dealloc__(self):
        cdef uint64_t at
        for at in range(self.count):
            free(self.pages[at])
        free(self.pages)

    def put(self, uint64_t n, int index, int traffic_class, int64_t offset):
        """Say where a message stands."""
        cdef uint64_t at = n >> PAGE_BITS, size
        cdef Page **pages
        cdef Page *page
        if not (0 <= index < INDEX_MAX and 0 <= traffic_class < 4 and 0 <= offset < <int64_t>OFFSET_MAX):
            raise ValueError(f"no place: index {index}, class {traffic_class}, offset {offset}")
        if not 1 <= n < 1 << 40:
            raise ValueError(f"n is 1 to 2 ** 40 - 1, not {n}")
        if at >= self.count:
            size = at + at // 2 + 64
            pages = <Page **>realloc(self.pages, size * sizeof(Page *))
            if pages == NULL:
                raise MemoryError
            memset(pages + self.count, 0, (size - self.count) * sizeof(Page *))
            self.pages, self.count = pages, size
        if self.pages[at] == NULL:
            self.pages[at] = <Page *>calloc(1, sizeof(Page))
            if self.pages[at] == NULL:
                raise MemoryError
            self.first = min(self.first, at)
        page = self.pages[at]
        page.live += not page.words[n & (PAGE - 1)]
        page.words[n & (PAGE - 1)] = USED | <uint64_t>index << 46 | <uint64_t>traffic_class << OFFSET_BITS | <uint64_t>offset

    cdef uint64_t *word(self, uint64_t n) noexcept:
        """NULL: never put, given up, or forgotten."""
        cdef uint64_t at = n >> PAGE_BITS
        cdef uint64_t *word
        if at >= self.count or self.pages[at] == NULL:
            return NULL
        word = &self.pages[at].words[n & (PAGE - 1)]
        return word if word[0] & (USED | GONE) == USED else NULL

    def of(self, uint64_t n):
        """Return (index, traffic_class, offset) of a message that is ours, or was; None: it is not known."""
        cdef uint64_t at = n >> PAGE_BITS, word
        word = self.pages[at].words[n & (PAGE - 1)] if at < self.count and self.pages[at] != NULL else 0
        if not word:
            return None
        return index_of(word), <int>(word >> OFFSET_BITS & 3), <int64_t>(word & (OFFSET_MAX - 1))

    def has(self, uint64_t n):
        """Whether a message is ours."""
        return self.word(n) != NULL

    def split(self, bytes body not None):
        """Divide events: ({index: events under their places}, parked receipts, whether a receipt was not ours).

        A message that finishes in it is live no more. StoreError: the body is cut, or holds an unknown kind.
        """
        cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(body)
        cdef Py_ssize_t left = PyBytes_GET_SIZE(body), octets, tail_octets = 0, each
        cdef Head head
        cdef uint64_t *word
        cdef Outbox *outs = NULL
        cdef Outbox parked
        cdef int index, most = 0
        cdef bint lost = False
        cdef dict found = {}
        outbox_init(&parked)
        try:
            while left:
                octets = get_event(at, left, &head, &tail_octets)
                if octets <= 0:
                    raise StoreError("a body of events is cut" if octets == CUT else f"unknown kind {head.kind}")
                if head.kind == PARKED:
                    put_or_raise(&parked, &head, at + RECORD_OCTETS, tail_octets)
                elif head.kind != ORPHANED:
                    word = self.word(head.n)
                    if word == NULL:
                        lost = lost or head.kind == RECEIPTED
                    else:
                        index = index_of(word[0])
                        if index >= most:
                            outs = grown(outs, most, index + 1)
                            most = index + 1
                        if head.kind == FINISHED and not word[0] & ENDED_BIT:
                            self.pages[head.n >> PAGE_BITS].live -= 1
                            word[0] |= ENDED_BIT
                        head.n = word[0] & PLACE_MASK
                        put_or_raise(&outs[index], &head, at + RECORD_OCTETS, tail_octets)
                at += octets
                left -= octets
            for index in range(most):
                if outs[index].used:
                    found[index] = PyBytes_FromStringAndSize(<char *>outs[index].data, outs[index].used)
            return found, PyBytes_FromStringAndSize(<char *>parked.data, parked.used), lost
        finally:
            for index in range(most):
                outbox_free(&outs[index])
            free(outs)
            outbox_free(&parked)

    def ours(self, bytes body not None):
        """Return (how many, their octets) of the events that are about our messages, or about none."""
        cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(body)
        cdef Py_ssize_t left = PyBytes_GET_SIZE(body), octets, tail_octets = 0, count = 0, total = 0
        cdef Head head
        cdef Outbox out
        outbox_init(&out)
        try:
            while left:
                octets = get_event(at, left, &head, &tail_octets)
                if octets <= 0:
                    raise StoreError("a body of events is cut, or holds an unknown kind")
                total += 1
                if head.n == 0 or self.word(head.n) != NULL:
                    count += 1
                    put_or_raise(&out, &head, at + RECORD_OCTETS, tail_octets)
                at += octets
                left -= octets
            if count == total:
                return count, body
            return count, PyBytes_FromStringAndSize(<char *>out.data, out.used)
        finally:
            outbox_free(&out)

    def live(self, int index, uint64_t below_n):
        """Return the numbers of an index that have not ended, in order, up to one."""
        cdef list found = []
        cdef uint64_t at, n
        cdef Page *page
        for at in range(self.first, self.count):
            page = self.pages[at]
            if page == NULL or not page.live:
                continue
            for n in range(<uint64_t>PAGE):
                if page.words[n] & (USED | ENDED_BIT | GONE) == USED and index_of(page.words[n]) == index:
                    if (at << PAGE_BITS | n) >= below_n:
                        return found
                    found.append(at << PAGE_BITS | n)
        return found

    def forget(self, int index):
        """Forget all of an index; return the numbers of it that had not ended, in order."""
        cdef list found = self.live(index, <uint64_t>1 << 40)
        cdef uint64_t at, n
        cdef Page *page
        for at in range(self.first, self.count):
            page = self.pages[at]
            if page == NULL:
                continue
            for n in range(<uint64_t>PAGE):
                if page.words[n] & (USED | GONE) == USED and index_of(page.words[n]) == index:
                    page.live -= not page.words[n] & ENDED_BIT
                    page.words[n] |= GONE
        return found

    def release(self, uint64_t below_n):
        """Give up pages of numbers below one that hold nothing live: what happens to those later goes nowhere."""
        cdef uint64_t at
        for at in range(self.first, min(self.count, below_n >> PAGE_BITS)):
            if self.pages[at] != NULL and not self.pages[at].live:
                free(self.pages[at])
                self.pages[at] = NULL
        while self.first < self.count and self.first < below_n >> PAGE_BITS and self.pages[self.first] == NULL:
            self.first += 1

    def __repr__(self):
        return f"<Places of {sum([self.pages[at].live for at in range(self.first, self.count) if self.pages[at] != NULL])} live>"


def grouped(bytes body not None):
    """Return (place, kind, octets) of each event that stands under its place, in order.

    StoreError: the body is cut, or holds an unknown kind.
    """
    cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(body)
    cdef Py_ssize_t left = PyBytes_GET_SIZE(body), octets, tail_octets = 0
    cdef Head head
    cdef list found = []
    while left:
        octets = get_event(at, left, &head, &tail_octets)
        if octets <= 0:
            raise StoreError("a body of events is cut, or holds an unknown kind")
        found.append((head.n, <int>head.kind, PyBytes_FromStringAndSize(<const char *>at, octets)))
        at += octets
        left -= octets
    return found


def renumbered(bytes body not None, uint64_t n, dict carriers=None):
    """Return events, all of one message, under another number or place; `carriers`: their numbers here by theirs.

    What has no number here keeps its own. StoreError: the body is cut, or holds an unknown kind.
    """
    cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(body)
    cdef Py_ssize_t left = PyBytes_GET_SIZE(body), octets, tail_octets = 0
    cdef Head head
    cdef PyObject *number
    made = PyBytes_FromStringAndSize(PyBytes_AS_STRING(body), left)
    cdef uint8_t *to = <uint8_t *>PyBytes_AS_STRING(made)
    cdef uint16_t carrier
    while left:
        octets = get_event(at, left, &head, &tail_octets)
        if octets <= 0:
            raise StoreError("a body of events is cut, or holds an unknown kind")
        memcpy(to + AT_N, &n, sizeof(n))
        if carriers is not None:
            number = PyDict_GetItem(carriers, <object><int>head.carrier)
            if number != NULL:
                carrier = <object>number
                memcpy(to + AT_CARRIER, &carrier, sizeof(carrier))
        at += octets
        to += octets
        left -= octets
    return made


def about_messages(bytes body not None):
    """Return (how many, their octets) of the events of a body that are about a message: none of parked receipts."""
    cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(body)
    cdef Py_ssize_t left = PyBytes_GET_SIZE(body), octets, tail_octets = 0, count = 0
    cdef Head head
    cdef Outbox out
    outbox_init(&out)
    try:
        while left:
            octets = get_event(at, left, &head, &tail_octets)
            if octets <= 0:
                raise StoreError("a body of events is cut, or holds an unknown kind")
            if head.n:
                count += 1
                put_or_raise(&out, &head, at + RECORD_OCTETS, tail_octets)
            at += octets
            left -= octets
        return count, PyBytes_FromStringAndSize(<char *>out.data, out.used)
    finally:
        outbox_free(&out)


cdef int put_or_raise(Outbox *out, const Head *head, const uint8_t *tail, Py_ssize_t tail_octets) except -1:
    if not put_event(out, head, tail, tail_octets):
        raise MemoryError
    return 0


cdef Outbox *grown(Outbox *outs, int had, int wanted) except NULL:
    cdef Outbox *made = <Outbox *>realloc(outs, wanted * sizeof(Outbox))
    cdef int each
    if made == NULL:
        raise MemoryError
    for each in range(had, wanted):
        outbox_init(&made[each])
    return made
