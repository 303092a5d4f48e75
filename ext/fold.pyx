# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""A slice of the journal, folded by message: what stands there of each, as rows for the projection's tables.

Law: a record is the message as it was accepted, without its text and its callback, still msgpack; a trail is its
events, copied as they are. Bodies are read without the GIL and without an object; rows are made a few at a time, so
that nobody waits for the whole slice.
"""

import sys

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset

cimport cython

from event_record cimport CORRECTED, FINISHED, Head, get_event
from message_record cimport Accepted, get_message
from siphash cimport Seed, siphash

from dispatcher.errors import StoreError

if sys.byteorder != "little":
    raise ImportError("events are laid out for little-endian machines")

cdef enum:
    NONE = -1                   # as an index
    PART_BITS = 16              # of n: 65,536 messages share a part of the look-up table
    BUCKETS = 256               # of a part, by the first octet of the hash: some 500 entries each
    ENTRY_OCTETS = 10           # hash, and the last 16 bits of n
    KEYS_PART_BITS = 21         # more share one of keys: of these, many are asked for at a time

PART = 1 << PART_BITS
"""A part of the look-up table holds the recipients and references of so many messages."""
KEYS_PART = 1 << KEYS_PART_BITS
"""A part of the keys: those of message n are in part n // KEYS_PART."""

cdef struct Slot:               # a message that was accepted in this slice, or to which something happened
    int64_t n
    Accepted accepted           # at NULL: it was accepted before
    int32_t first               # piece, or NONE
    int32_t last
    Py_ssize_t trail_octets
    bint has_ended

cdef struct Piece:              # an event
    const uint8_t *at
    int32_t octets
    int32_t next

cdef struct Lookup:
    uint32_t rank               # what it is sorted by
    int64_t part
    int64_t hash
    int64_t n                   # or a slot


def ids_of(int64_t part, int64_t hash):
    """Return the first and the last id that entries with such a hash can stand under, in one part."""
    cdef int64_t first = (part * BUCKETS + bucket_of(hash)) << PART_BITS
    return first, first + 0xFFFF


def find(bytes entries not None, int64_t part, int64_t hash):
    """Return the numbers of the messages in some entries of a part that have a hash."""
    cdef const uint8_t *at = <const uint8_t*>PyBytes_AS_STRING(entries)
    cdef Py_ssize_t left = PyBytes_GET_SIZE(entries) // ENTRY_OCTETS
    cdef list found = []
    while left:
        if memcmp(at, &hash, 8) == 0:
            found.append(part << PART_BITS | at[8] | at[9] << 8)
        at += ENTRY_OCTETS
        left -= 1
    return found


def hash_of_ref(str client_ref not None):
    """Return what a client_ref is looked up by: a signed number of 64 bits."""
    octets = client_ref.encode()
    return hash_of(<const uint8_t*>PyBytes_AS_STRING(octets), PyBytes_GET_SIZE(octets))


def hash_of_recipient(str to not None):
    """The same of a recipient, digits of E.164. ValueError: something else."""
    return hash_of_number(int(to))


@cython.final
cdef class Fold:
    """One slice: `add` rows in order, `close`, then take the rows of each table until there are none."""

    cdef list bodies            # what all pointers below point into
    cdef Slot *slots
    cdef Piece *pieces
    cdef int32_t *index         # open addressing, by n: slot + 1; 0: free
    cdef Lookup *order          # slots, by n
    cdef Lookup *pairs          # of recipients and references, by part and hash
    cdef Lookup *key_pairs
    cdef int32_t slots_used, slots_size, pieces_used, pieces_size
    cdef Py_ssize_t index_size, pairs_used, key_pairs_used
    cdef Py_ssize_t at_insert, at_update, at_lookup, at_key

    def __cinit__(self):
        self.bodies = []

    def __dealloc__(self):
        free(self.slots)
        free(self.pieces)
        free(self.index)
        free(self.order)
        free(self.pairs)
        free(self.key_pairs)

    def add_messages(self, bytes body not None, Py_ssize_t count):
        """Take a row of accepted messages. StoreError: it does not hold `count` of them; those before that place
        have been taken."""
        cdef const uint8_t *at = <const uint8_t*>PyBytes_AS_STRING(body)
        cdef Py_ssize_t left = PyBytes_GET_SIZE(body)
        cdef bint is_good
        self.bodies.append(body)
        with nogil:
            is_good = self.take_messages(at, left, count)
        if not is_good:
            raise StoreError(f"a body of {left} octets does not hold {count} messages")

    def add_events(self, bytes body not None):
        """Take a row of events. StoreError: it is cut, or holds an unknown kind; those before have been taken."""
        cdef const uint8_t *at = <const uint8_t*>PyBytes_AS_STRING(body)
        cdef Py_ssize_t left = PyBytes_GET_SIZE(body)
        cdef bint is_good
        self.bodies.append(body)
        with nogil:
            is_good = self.take_events(at, left)
        if not is_good:
            raise StoreError(f"a body of {left} octets of events is cut, or holds an unknown kind")

    def close(self):
        """Put in order what was taken; nothing is added after it."""
        cdef bint is_good
        with nogil:
            is_good = self.sort()
        if not is_good:
            raise MemoryError

    def inserts(self, Py_ssize_t most):
        """Return the next rows of accepted messages, at most so many, by n, in one flat list.

        Each is n, accepted_ms, whether it has ended, record, trail.
        """
        cdef list rows = []
        cdef Slot *slot
        while most > 0 and self.at_insert < self.slots_used:
            slot = &self.slots[self.order[self.at_insert].n]
            self.at_insert += 1
            if slot.accepted.at != NULL:
                rows += (slot.n, slot.accepted.accepted_ms, slot.has_ended, record_of(slot), self.trail_of(slot))
                most -= 1
        return rows

    def updates(self, Py_ssize_t most):
        """Return the same of messages that were accepted before: n, whether it has ended by now, more trail."""
        cdef list rows = []
        cdef Slot *slot
        while most > 0 and self.at_update < self.slots_used:
            slot = &self.slots[self.order[self.at_update].n]
            self.at_update += 1
            if slot.accepted.at == NULL:
                rows += (slot.n, slot.has_ended, self.trail_of(slot))
                most -= 1
        return rows

    def lookups(self, Py_ssize_t most):
        """Return the next rows of what finds accepted messages by recipient and reference, in one flat list.

        Each is an id, see `ids_of`, and entries of one bucket: what `find` reads.
        """
        cdef list rows = []
        cdef Py_ssize_t end
        cdef Lookup *first
        while most > 0 and self.at_lookup < self.pairs_used:
            first = &self.pairs[self.at_lookup]
            end = self.at_lookup + 1
            while (
                end < self.pairs_used and self.pairs[end].part == first.part
                and bucket_of(self.pairs[end].hash) == bucket_of(first.hash)
            ):
                end += 1
            rows += row_of(first, end - self.at_lookup)
            self.at_lookup = end
            most -= 1
        return rows

    def keys(self, Py_ssize_t most):
        """Return the keys of accepted messages, in one flat list: part, hash as a signed number, n; nearly in order."""
        cdef list rows = []
        cdef Py_ssize_t end = min(self.key_pairs_used, self.at_key + most)
        cdef Lookup *pair
        while self.at_key < end:
            pair = &self.key_pairs[self.at_key]
            rows += (pair.part, pair.hash, pair.n)
            self.at_key += 1
        return rows

    # ---- without the GIL ----

    cdef bint take_messages(self, const uint8_t *at, Py_ssize_t left, Py_ssize_t count) noexcept nogil:
        cdef Accepted accepted
        cdef Slot *slot
        while count and left:
            if not get_message(at, left, &accepted):
                return False
            slot = self.slot_of(accepted.n)
            if slot == NULL:
                return False
            slot.accepted = accepted
            at += accepted.octets
            left -= accepted.octets
            count -= 1
        return not count and not left

    cdef bint take_events(self, const uint8_t *at, Py_ssize_t left) noexcept nogil:
        cdef Head head
        cdef Py_ssize_t octets, tail_octets = 0
        cdef Slot *slot
        cdef int32_t piece
        while left:
            octets = get_event(at, left, &head, &tail_octets)
            if octets <= 0:
                return False
            if head.n:
                slot = self.slot_of(head.n)
                piece = self.new_piece()
                if slot == NULL or piece == NONE:
                    return False
                self.pieces[piece] = Piece(at, <int32_t>octets, NONE)
                if slot.first == NONE:
                    slot.first = piece
                else:
                    self.pieces[slot.last].next = piece
                slot.last = piece
                slot.trail_octets += octets
                if head.kind == FINISHED or head.kind == CORRECTED:
                    slot.has_ended = True
            at += octets
            left -= octets
        return True

    cdef Slot *slot_of(self, int64_t n) noexcept nogil:
        cdef Py_ssize_t at
        if self.slots_used * 2 >= self.index_size and not self.grow():
            return NULL
        at = place_of(n, self.index_size)
        while self.index[at]:
            if self.slots[self.index[at] - 1].n == n:
                return &self.slots[self.index[at] - 1]
            at = (at + 1) & (self.index_size - 1)
        self.index[at] = self.slots_used + 1
        cdef Slot *slot = &self.slots[self.slots_used]
        memset(slot, 0, sizeof(Slot))
        slot.n, slot.first, slot.last = n, NONE, NONE
        self.slots_used += 1
        return slot

    cdef bint grow(self) noexcept nogil:
        """Twice as much room for slots, and their index anew."""
        cdef Py_ssize_t size = max(1024, self.index_size * 2), at
        cdef int32_t number
        cdef void *slots = realloc(self.slots, size // 2 * sizeof(Slot))
        if slots == NULL:
            return False
        self.slots = <Slot*>slots
        free(self.index)
        self.index_size = 0
        self.index = <int32_t*>calloc(size, sizeof(int32_t))
        if self.index == NULL:
            return False
        self.index_size = size
        for number in range(self.slots_used):
            at = place_of(self.slots[number].n, size)
            while self.index[at]:
                at = (at + 1) & (size - 1)
            self.index[at] = number + 1
        return True

    cdef int32_t new_piece(self) noexcept nogil:
        cdef void *pieces
        if self.pieces_used == self.pieces_size:
            pieces = realloc(self.pieces, max(4096, self.pieces_size * 2) * sizeof(Piece))
            if pieces == NULL:
                return NONE
            self.pieces, self.pieces_size = <Piece*>pieces, max(4096, self.pieces_size * 2)
        self.pieces_used += 1
        return self.pieces_used - 1

    cdef bint sort(self) noexcept nogil:
        cdef int32_t number
        cdef int64_t part, hash
        cdef Slot *slot
        self.order = <Lookup*>malloc((self.slots_used + 1) * sizeof(Lookup))
        self.pairs = <Lookup*>malloc((2 * self.slots_used + 1) * sizeof(Lookup))
        self.key_pairs = <Lookup*>malloc((self.slots_used + 1) * sizeof(Lookup))
        if self.order == NULL or self.pairs == NULL or self.key_pairs == NULL:
            return False
        for number in range(self.slots_used):
            slot = &self.slots[number]
            self.order[number] = Lookup(<uint32_t>slot.n, 0, 0, number)
            if slot.accepted.at == NULL:
                continue
            part = slot.n >> PART_BITS
            hash = hash_of_number(slot.accepted.recipient)
            self.pairs[self.pairs_used] = Lookup(rank_of(part, hash), part, hash, slot.n)
            self.pairs_used += 1
            if slot.accepted.ref_octets:
                hash = hash_of(slot.accepted.at + slot.accepted.ref_at, slot.accepted.ref_octets)
                self.pairs[self.pairs_used] = Lookup(rank_of(part, hash), part, hash, slot.n)
                self.pairs_used += 1
            if slot.accepted.key_hash:
                part, hash = slot.n >> KEYS_PART_BITS, <int64_t>slot.accepted.key_hash
                # SQLite has signed numbers in order.
                self.key_pairs[self.key_pairs_used] = Lookup(
                    rank_of(part, <int64_t>(slot.accepted.key_hash ^ <uint64_t>1 << 63)), part, hash, slot.n
                )
                self.key_pairs_used += 1
        return (
            in_order(&self.order, self.slots_used) and in_order(&self.pairs, self.pairs_used)
            and in_order(&self.key_pairs, self.key_pairs_used)
        )

    cdef bytes trail_of(self, const Slot *slot):
        cdef bytes trail = PyBytes_FromStringAndSize(NULL, slot.trail_octets)
        cdef char *to = PyBytes_AS_STRING(trail)
        cdef int32_t at = slot.first
        while at != NONE:
            memcpy(to, self.pieces[at].at, self.pieces[at].octets)
            to += self.pieces[at].octets
            at = self.pieces[at].next
        return trail


cdef bytes record_of(const Slot *slot):
    """The message, with an empty text, no callback, and nothing of what stands behind that."""
    cdef const Accepted *accepted = &slot.accepted
    cdef Py_ssize_t text_end = accepted.text_at + accepted.text_octets
    cdef Py_ssize_t end = accepted.callback_at if accepted.callback_at else accepted.octets
    cdef bytes record = PyBytes_FromStringAndSize(
        NULL, end - accepted.text_octets + 1 + accepted.callback_fields
    )
    cdef char *to = PyBytes_AS_STRING(record)
    memcpy(to, accepted.at, accepted.text_at)
    to[accepted.text_at] = <char>0xA0       # an empty string
    memcpy(to + accepted.text_at + 1, accepted.at + text_end, end - text_end)
    memset(to + accepted.text_at + 1 + end - text_end, 0xC0, accepted.callback_fields)  # nil
    return record


cdef inline Py_ssize_t place_of(int64_t n, Py_ssize_t size) noexcept nogil:
    return <Py_ssize_t>(<uint64_t>n * <uint64_t>0x9E3779B97F4A7C15 >> 32) & (size - 1)


cdef inline int64_t hash_of(const uint8_t *octets, Py_ssize_t length) noexcept nogil:
    """Whoever makes references collide looks through his own messages: the seed need be no secret."""
    cdef Seed seed = Seed(0, 0)
    cdef uint64_t low, high
    siphash(&seed, octets, length, &low, &high)
    return <int64_t>low


cdef tuple row_of(const Lookup *pairs, Py_ssize_t count):
    """The id and the entries of one bucket. Of its numbers the lowest makes the id unlike that of any other slice."""
    cdef bytes entries = PyBytes_FromStringAndSize(NULL, count * ENTRY_OCTETS)
    cdef char *to = PyBytes_AS_STRING(entries)
    cdef int64_t lowest = pairs[0].n
    cdef uint16_t n
    cdef Py_ssize_t at
    for at in range(count):
        n = <uint16_t>pairs[at].n
        memcpy(to, &pairs[at].hash, 8)
        memcpy(to + 8, &n, 2)
        to += ENTRY_OCTETS
        lowest = min(lowest, pairs[at].n)
    return (pairs[0].part * BUCKETS + bucket_of(pairs[0].hash)) << PART_BITS | lowest & 0xFFFF, entries


cdef inline int64_t bucket_of(int64_t hash) noexcept nogil:
    return <int64_t>(<uint64_t>hash >> 56)


cdef inline uint32_t rank_of(int64_t part, int64_t hash) noexcept nogil:
    """By part, then by hash: as far as 32 bits tell."""
    return <uint32_t>(part & 0xFF) << 24 | <uint32_t>(<uint64_t>hash >> 40)


cdef inline int64_t hash_of_number(int64_t number) noexcept nogil:
    """Spread them: numbers of one country lie close together. One to one (splitmix64)."""
    cdef uint64_t value = <uint64_t>number
    value = (value ^ value >> 30) * <uint64_t>0xBF58476D1CE4E5B9
    value = (value ^ value >> 27) * <uint64_t>0x94D049BB133111EB
    return <int64_t>(value ^ value >> 31)


cdef bint in_order(Lookup **lookups, Py_ssize_t used) noexcept nogil:
    """Sort by rank, octet by octet, in a copy; False: no memory."""
    cdef Lookup *to = <Lookup*>malloc((used + 1) * sizeof(Lookup))
    cdef Lookup *source
    cdef Py_ssize_t starts[257]
    cdef Py_ssize_t at
    cdef int shift, octet
    if to == NULL:
        return False
    for shift in range(0, 32, 8):
        source = lookups[0]
        memset(starts, 0, sizeof(starts))
        for at in range(used):
            starts[(source[at].rank >> shift & 0xFF) + 1] += 1
        for octet in range(256):
            starts[octet + 1] += starts[octet]
        for at in range(used):
            octet = source[at].rank >> shift & 0xFF
            to[starts[octet]] = source[at]
            starts[octet] += 1
        lookups[0], to = to, source
    free(to)
    return True
