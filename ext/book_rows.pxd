# cython: language_level=3
"""What the rows of a book are, see book.pyx; each begins with the fields of rows.Row."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from event_record cimport KIND_MAX
from histogram cimport Bins
from receipt_read cimport STATES
from rows cimport List

cdef enum:
    CLASSES = 4                 # traffic classes
    CARRIERS_MAX = 65_536       # a record of an event has two octets for it
    ID_MAX = 128                # octets; SMPP allows 64. What is longer is no id
    ERR_MAX = 64                # octets of the carrier's error; what is longer is none
    INTERMEDIATE_CODE = 0x100   # in the code of RECEIPTED and PARKED
    LATE_CODE = 0x10000         # in the code of SUBMITTED

cdef enum:                      # dispatcher.model.Outcome and Reason; a test holds them together
    DELIVERED = 1
    UNKNOWN = 2
    EXPIRED = 3
    UNDELIVERED = 4
    REJECTED = 5
    OUTCOME_MAX = 6
    BY_RECEIPT = 1
    NO_RECEIPT = 4
    NO_SMSC_MESSAGE_ID = 5
    NO_RECEIPT_ASKED = 11
    REASON_MAX = 15             # an end keeps four bits of it


# ---------------------------------------------------------------- ids

cdef enum:                      # flags of an Id
    AWAITING = 1                # it awaits a receipt
    SETTLED = 2                 # it has had a final one, or will wait for none
    EARLY = 3                   # a parked receipt: `segment` is its message_state, `n` its tail
    PLACE = 3                   # mask of these
    CLASS_SHIFT = 2             # two bits of traffic_class
    OUTCOME_SHIFT = 4           # three bits: the outcome it was settled with
    SHARED = 0x80               # its message has a fold, or had one; of a parked one: intermediate

cdef struct Id:                 # 48 octets
    uint64_t key                # 64 of the 128 bits that stand for the carrier and the key of the id
    uint32_t chain, older, newer
    uint16_t carrier
    uint8_t segment
    uint8_t flags
    uint64_t high               # the other 64
    uint64_t n                  # of a parked one: a PyObject *, owned, the bytes of its tail
    int64_t at_ms               # when it was submitted, or came


cdef inline int place_of(const Id *id) noexcept nogil:
    return id.flags & PLACE

cdef inline int class_of(const Id *id) noexcept nogil:
    return id.flags >> CLASS_SHIFT & 3

cdef inline int outcome_of(const Id *id) noexcept nogil:
    return id.flags >> OUTCOME_SHIFT & 7

cdef inline void set_settled(Id *id, int outcome) noexcept nogil:
    id.flags = <uint8_t>(id.flags & (SHARED | 3 << CLASS_SHIFT) | SETTLED | outcome << OUTCOME_SHIFT)

cdef inline uint32_t code_of(const Id *early) noexcept nogil:
    """The code of its event."""
    return early.segment | (INTERMEDIATE_CODE if early.flags & SHARED else 0)

cdef inline bint came_before(const Id *early, const Id *than) noexcept nogil:
    return early.at_ms < than.at_ms or (early.at_ms == than.at_ms and code_of(early) < code_of(than))

cdef inline bint stands_before(const Id *id, const Id *than) noexcept nogil:
    """Of two segments with one id: the one that awaits a receipt, then the newer one."""
    if place_of(id) != place_of(than):
        return place_of(id) == AWAITING
    if id.at_ms != than.at_ms:
        return id.at_ms > than.at_ms
    return id.n > than.n or (id.n == than.n and id.segment > than.segment)

cdef inline bint wins(int outcome, int known) noexcept nogil:
    """Whether what a receipt says replaces what is known: delivered does, and whatever replaces not knowing."""
    return outcome != 0 and outcome != known and (outcome == DELIVERED or known == UNKNOWN)


# ---------------------------------------------------------------- works

cdef enum:
    WAITING = 0                 # state of a segment that was never claimed, but a sibling was

cdef struct Work:
    uint64_t key                # n << 8 | segment
    uint32_t chain, older, newer
    uint16_t carrier
    uint16_t attempts
    int64_t due_ms              # of RETRY; of CLAIMED and UNANSWERED: since when it may have been written
    uint32_t command_status     # of REFUSED
    uint8_t state               # kind of the last event of this segment, or WAITING


cdef inline uint64_t work_key(uint64_t n, int segment) noexcept nogil:
    return n << 8 | <uint64_t>segment

cdef inline void set_work(
    Work *work, int state, int carrier, int attempts, int64_t due_ms, uint32_t command_status
) noexcept nogil:
    work.state = <uint8_t>state
    work.carrier = <uint16_t>carrier
    work.attempts = <uint16_t>attempts
    work.due_ms = due_ms
    work.command_status = command_status


# ---------------------------------------------------------------- folds

cdef enum:
    ENDS = 8                    # segments whose ends fit into a fold

cdef struct Fold:               # 32 octets
    uint64_t key                # n
    uint32_t chain, older, newer
    uint8_t segments
    uint8_t remaining           # that have not ended
    uint16_t unused
    uint8_t ends[ENDS]          # of each segment 0, or reason << 4 | outcome; beyond ENDS segments a pointer to them


cdef inline uint8_t *ends_of(Fold *fold) noexcept nogil:
    cdef uint8_t *ends = fold.ends
    if fold.segments > ENDS:
        memcpy(&ends, fold.ends, sizeof(ends))
    return ends

cdef inline uint8_t worst_of(Fold *fold) noexcept nogil:
    """The end of the message: that of the segment with the highest outcome, the first of these."""
    cdef uint8_t *ends = ends_of(fold)
    cdef uint8_t worst = 0
    cdef int segment
    for segment in range(fold.segments):
        if ends[segment] & 15 > worst & 15:
            worst = ends[segment]
    return worst


# ---------------------------------------------------------------- the rest

cdef struct Target:             # while recovering: from a segment to a row of ids
    uint64_t key                # work_key
    uint32_t chain, older, newer
    uint32_t row

cdef struct Carrier:
    uint8_t response_base       # notation of ids, see dispatcher.smpp.dialect
    uint8_t receipt_base
    uint8_t tlv_base
    uint8_t flags
    uint8_t receipts            # whether it is asked for them
    uint8_t own_words           # its words stand before those of the standard
    uint8_t outcomes[STATES]    # what a message_state ends a segment with; 0: it is not final
    List awaiting               # oldest first
    uint32_t classes[CLASSES]   # awaiting, by traffic_class
    uint64_t kinds[KIND_MAX + 1]    # events that were written, by kind
    uint64_t taken[CLASSES]     # SUBMITTED in time, by traffic_class
    uint64_t states[STATES]     # RECEIPTED, by message_state; intermediate ones are not among them
    Bins receipts_after         # from submit_sm_resp to the final receipt

cdef struct Key:
    uint8_t octets[ID_MAX + 2]  # the carrier, then the key of the id
    Py_ssize_t length           # of the key of the id; 0: there is none
    uint64_t low
    uint64_t high
