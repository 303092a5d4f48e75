# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The live state of what is on the wire: who awaits an answer, who a receipt, which receipts came early, and how
the segments of a message fold into its one outcome.

Laws:

* every change is an event, put into the buffer in the same call: after load and replay the book is the same;
* a message finishes once; what a later receipt says otherwise is a correction;
* a segment is in one place: waiting or claimed (`works`), awaiting its receipt (`ids`), or ended;
* whatever comes from a carrier, twice, late, early or about nothing, is counted and harmless;
* no call does more than a little work for each of its items: the tables grow a bucket at a time (rows.pxd).

Plan. Four tables, none of which holds a Python object for each message:

``ids``     by the hash of (carrier, key of smsc_message_id): a segment that awaits its receipt; one that had it
            (so that a duplicate is known and a correction possible; the last `settled_max`); or a receipt that
            came first (at most `parked_max`). 48 octets a row and 4 a bucket for each of the millions.
``works``   by (n, segment): a segment that something has happened to and that is not submitted: what a restart
            must take up again.
``folds``   by n: the ends of the segments of a message of several; and of one that got two ids.
``numbers`` three bits a message: touched, finished, in ``folds``: most are not, and cost no look-up there.

An id itself is not kept but 128 bits of SipHash of it. Two ids share them by chance once in 2 ** 128 / 5,000,000
look-ups; by intent not at all, as the seed is secret: carriers choose ids.

An id that was given twice (F60) stands for the newest of its segments that awaits a receipt.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, qsort, realloc
from libc.string cimport memchr, memcpy, memset

cimport cython

from book_rows cimport (
    AWAITING, BY_RECEIPT, CARRIERS_MAX, CLASSES, CLASS_SHIFT, DELIVERED, EARLY, ENDS, ERR_MAX, EXPIRED, ID_MAX,
    INTERMEDIATE_CODE, LATE_CODE, NO_RECEIPT, NO_RECEIPT_ASKED, NO_SMSC_MESSAGE_ID, OUTCOME_MAX, REASON_MAX, REJECTED,
    SETTLED, SHARED, UNDELIVERED, UNKNOWN, Carrier, Fold, Id, Key, Target, Work, came_before, class_of, code_of, ends_of,
    outcome_of, place_of, set_settled, set_work, stands_before, wins, work_key, worst_of,
)
from event_record cimport (
    CLAIMED, CORRECTED, CUT, FAILED, FINISHED, KIND_MAX, ORPHANED, PARKED, RECEIPTED, RECORD_OCTETS, REFUSED, REROUTED, RETRY,
    SUBMITTED, UNANSWERED, UNSENT, WHOLE, Head, get_event, put_event,
)
from histogram cimport Bins, counts_of, observe
from numbers cimport (
    ALL_ENDED, ENDED, SPANS_MAX, SPAN_WORDS, UNTOUCHED, Numbers, Span, end_number, mark_number, may_be_marked,
    numbers_free, span_for, state_of, touch_number,
)
from receipt_read cimport STATES, Receipt, read_receipt
from receipt_scan cimport KEY_MAX, STATE_OTHER, id_key
from rows cimport (
    HEADS, ROWS, List, Row, Table, append_to, find_row, head_of, insert_row, next_row, prefetch, remove_row, row_at,
    table_free, table_init, take_from,
)
from siphash cimport Seed, siphash
from wire cimport Outbox, outbox_free, outbox_init, outbox_room

from dispatcher._ext.events cimport EventBuffer
from dispatcher._ext.meters cimport Histogram, Intake
from dispatcher._ext.session cimport Incoming

from dispatcher.errors import StoreError

cdef extern from *:
    """
    #define N_MAX (1ULL << 40)      /* a message_id has room for no more */
    """
    const uint64_t N_MAX

cdef enum:
    RING_MIN = 64
    BATCH = 32                  # looked up together, see rows.prefetch
    UNKNOWN_STATE = 7           # message_state

OUTCOMES = bytes([0, 0, DELIVERED, EXPIRED, UNDELIVERED, UNDELIVERED, 0, 0, REJECTED, UNDELIVERED])


include "ready.pxi"


@cython.final
cdef class Book:
    """Segments from their claim to their end.

    `events` is where every change goes. `seed`: 16 secret random octets. `parked_max` bounds the receipts that
    match nothing yet: beyond it the oldest is given up as ORPHANED. `settled_max` bounds the ids, and the messages
    of several segments, that are remembered after their end. ValueError: a seed of another size, a negative bound.

    Times are milliseconds of UTC and come as arguments. RuntimeError: a call that writes events, between `load` or
    `replay` and `recovered`.
    """

    cdef EventBuffer events
    cdef Table ids, works, folds, targets
    cdef Numbers numbers
    cdef List early, settled, closed     # rows of ids, ids, folds
    cdef Carrier* carriers
    cdef int carrier_count
    cdef list words                      # of each carrier: {word: message_state}, or None
    cdef Seed seed
    cdef uint32_t parked_max, settled_max
    cdef bint recovering                 # nothing is written, and `targets` leads from segments to their ids
    cdef readonly Intake intake
    cdef uint64_t[CLASSES + 1][OUTCOME_MAX + 1][REASON_MAX + 1] ended
    cdef Bins[CLASSES + 1] end_bins   # from acceptance to the outcome
    cdef list finished                   # what finishes in a call that tells it, or None
    cdef readonly uint64_t matched       # receipts that found their segment
    cdef readonly uint64_t duplicate     # ... and said what was known
    cdef readonly uint64_t overruled     # ... and were final and other than a final one that counts
    cdef readonly uint64_t ambiguous     # ... whose id stood for several segments
    cdef readonly uint64_t corrected     # outcomes
    cdef readonly uint64_t unmatched     # receipts that were parked
    cdef readonly uint64_t orphaned      # of these, given up
    cdef readonly uint64_t unmapped      # receipts with a state that the dialect does not know

    def __cinit__(self, EventBuffer events not None, *, bytes seed not None, Py_ssize_t parked_max, Py_ssize_t settled_max):
        if PyBytes_GET_SIZE(seed) != sizeof(Seed):
            raise ValueError(f"a seed has {sizeof(Seed)} octets")
        if not (0 < parked_max < 1 << 31 and 0 <= settled_max < 1 << 31):
            raise ValueError("parked_max is 1, settled_max 0, to 2 ** 31 - 1")
        memcpy(&self.seed, PyBytes_AS_STRING(seed), sizeof(Seed))
        self.events = events
        self.parked_max, self.settled_max = parked_max, settled_max
        self.words = []
        self.intake = Intake()
        if not (
            table_init(&self.ids, sizeof(Id)) and table_init(&self.works, sizeof(Work))
            and table_init(&self.folds, sizeof(Fold)) and table_init(&self.targets, sizeof(Target))
        ):
            raise MemoryError

    def __dealloc__(self):
        cdef uint32_t row
        cdef Fold* fold
        row = self.early.oldest
        while row:
            Py_DECREF(<object><PyObject*>id_at(self, row).n)
            row = id_at(self, row).newer
        for row in range(1, self.folds.top + 1):
            fold = <Fold*>row_at(&self.folds, row)
            if fold.key and fold.segments > ENDS:
                free(ends_of(fold))
        table_free(&self.ids)
        table_free(&self.works)
        table_free(&self.folds)
        table_free(&self.targets)
        numbers_free(&self.numbers)
        free(self.carriers)

    def set_dialect(
        self, int carrier, *, int response_base=0, int receipt_base=0, int tlv_base=0, int flags=0,
        bytes outcomes=None, dict words=None, bint own_words=False, bint receipts=True,
    ):
        """Say how a carrier writes ids and states; before anything of it comes, also before `load`.

        The bases are 0, 10 or 16, `flags` as in receipt_scan.pxd. `outcomes`: an octet for each message_state, the
        outcome that it is or 0 where it is not final; None: OUTCOMES. `words`: message_state by the words of stat, in capitals;
        `own_words`: they stand before those of the standard. `receipts`: they are asked for. ValueError: any other.
        """
        cdef Carrier* its
        cdef int state
        if any(base not in (0, 10, 16) for base in (response_base, receipt_base, tlv_base)) or not 0 <= flags <= 3:
            raise ValueError("a base is 0, 10 or 16, flags are 0 to 3")
        if outcomes is None:
            outcomes = OUTCOMES
        if PyBytes_GET_SIZE(outcomes) != STATES or any(outcome > OUTCOME_MAX for outcome in outcomes):
            raise ValueError(f"outcomes are {STATES} octets, each 0 to {OUTCOME_MAX}")
        its = carrier_of(self, carrier)
        its.response_base, its.receipt_base, its.tlv_base, its.flags = response_base, receipt_base, tlv_base, flags
        its.own_words, its.receipts = own_words, receipts
        for state in range(STATES):
            its.outcomes[state] = <uint8_t>PyBytes_AS_STRING(outcomes)[state]
        self.words[carrier] = words

    # ---- out: claims and answers ----

    def claim(self, list submissions not None, int carrier, int64_t at_ms):
        """Each of these may be written to the carrier once the events are durable: return those that may.

        Left out is what has ended meanwhile, or was accepted under an earlier attempt: a late answer or a receipt
        said so. Of the others `attempts` goes up by one.
        """
        cdef Submission each
        cdef Work* work
        cdef list claimed = []
        cdef uint8_t[2] tail
        check(self, carrier)
        for each in submissions:
            work = touch(self, each.n, each.segment, each.segments, carrier)
            if work == NULL:
                continue
            each.attempts += 1
            each.claimed = True
            each.carrier = carrier
            set_work(work, CLAIMED, carrier, each.attempts, at_ms, 0)
            tail[0], tail[1] = each.segments, each.traffic_class
            put(self, CLAIMED, each.segment, carrier, each.attempts, each.n, at_ms, tail, 2)
            claimed.append(each)
        return claimed

    def submitted(
        self, list submissions not None, list statuses not None, list message_ids not None, int carrier, int64_t at_ms
    ):
        """Take submit_sm_resp as the exchange gives them. Return (refused, finished).

        refused: [(submission, command_status, message_id)] to be decided upon. finished: [(n, outcome, reason)],
        where no receipt can come or it was here already. ValueError: lists of unequal length.
        """
        cdef Py_ssize_t first, index, count = len(submissions)
        cdef Submission each
        cdef uint32_t status
        cdef Work* work
        cdef list refused = [], finished = []
        cdef Key[BATCH] keys
        if not len(statuses) == len(message_ids) == count:
            raise ValueError("as many statuses and message_ids as submissions")
        check(self, carrier)
        self.finished = finished
        try:
            for first in range(0, count, BATCH):
                for index in range(first, min(first + BATCH, count)):
                    key_of_response(self, &keys[index - first], carrier, message_ids[index])
                    prefetch(head_of(&self.ids, keys[index - first].low))
                for index in range(first, min(first + BATCH, count)):
                    each = submissions[index]
                    status = statuses[index]
                    if status == 0:
                        accept(self, each, carrier, at_ms, message_ids[index], &keys[index - first], False)
                        continue
                    each.claimed = False
                    put(self, REFUSED, each.segment, carrier, status, each.n, at_ms, NULL, 0)
                    work = work_of(self, each.n, each.segment)
                    if work != NULL:
                        set_work(work, REFUSED, carrier, each.attempts, 0, status)
                        refused.append((each, status, message_ids[index]))
        finally:
            self.finished = None
        forget(self)
        return refused, finished

    def unanswered(self, list submissions not None, int carrier, int64_t at_ms):
        """No answer came in time, or the connection broke: return those that are still to be decided upon."""
        return self.came_back(UNANSWERED, submissions, carrier, at_ms)

    def unsent(self, list submissions not None, int carrier, int64_t at_ms):
        """They never left: that was no attempt. Return those that are still to be sent."""
        return self.came_back(UNSENT, submissions, carrier, at_ms)

    cdef list came_back(self, int kind, list submissions, int carrier, int64_t at_ms):
        cdef Submission each
        cdef Work* work
        cdef list still = []
        check(self, carrier)
        for each in submissions:
            each.claimed = False
            if kind == UNSENT and each.attempts:
                each.attempts -= 1
            put(self, kind, each.segment, carrier, each.attempts if kind == UNSENT else 0, each.n, at_ms, NULL, 0)
            work = work_of(self, each.n, each.segment)
            if work != NULL:
                set_work(work, kind, carrier, each.attempts, at_ms if kind == UNANSWERED else 0, 0)
                still.append(each)
        return still

    def retry(self, Submission submission not None, int64_t due_ms, int64_t at_ms):
        """It will be claimed again, not before `due_ms`. Return whether that is still of use."""
        cdef Work* work = work_of(self, submission.n, submission.segment)
        check(self, submission.carrier)
        if work == NULL:
            return False
        set_work(work, RETRY, submission.carrier, submission.attempts, due_ms, 0)
        put(
            self, RETRY, submission.segment, submission.carrier, 0, submission.n, at_ms, <const uint8_t*>&due_ms, sizeof(due_ms))
        return True

    def reroute(self, Submission submission not None, int carrier, int64_t at_ms):
        """Its message goes to another carrier from now on, with all segments that are not submitted."""
        cdef uint8_t[2] tail
        check(self, carrier)
        if state_of(&self.numbers, submission.n) == ENDED:
            return
        tail[0], tail[1] = submission.segments, submission.traffic_class
        put(self, REROUTED, WHOLE, carrier, 0, submission.n, at_ms, tail, 2)
        move_work(self, submission.n, submission.segments, carrier)

    def late(self, Submission submission not None, uint32_t status, bytes message_id, int carrier, int64_t at_ms):
        """An answer came after UNANSWERED. Return whether the carrier has the segment: then it is not sent again.

        A refusal says nothing that was not decided upon already.
        """
        cdef Key key
        check(self, carrier)
        if status or has_ended(self, submission.n, submission.segment):
            return False
        key_of_response(self, &key, carrier, message_id)
        accept(self, submission, carrier, at_ms, message_id, &key, True)
        forget(self)
        return True

    # ---- in: receipts ----

    def receipted(self, list incoming not None, int carrier, int64_t at_ms):
        """Take deliver_sm. Return those that are no receipts, or cannot be read here: Python decides, see `settle`."""
        cdef Py_ssize_t first, index, count = len(incoming)
        cdef Incoming each
        cdef list others = []
        cdef Receipt[BATCH] receipts
        cdef Key[BATCH] keys
        cdef const Id* id
        check(self, carrier)
        for first in range(0, count, BATCH):
            for index in range(first, min(first + BATCH, count)):
                each = incoming[index]
                read_incoming(self, each, carrier, &receipts[index - first], &keys[index - first])
                prefetch(head_of(&self.ids, keys[index - first].low))
            for index in range(first, min(first + BATCH, count)):
                prefetch(id_at(self, head_of(&self.ids, keys[index - first].low)[0]))
            for index in range(first, min(first + BATCH, count)):
                id = id_at(self, head_of(&self.ids, keys[index - first].low)[0])
                prefetch(id_at(self, id.chain if id.key != keys[index - first].low else id.newer))
                prefetch(id_at(self, id.older))
            for index in range(first, min(first + BATCH, count)):
                if keys[index - first].length == 0 or not book_receipt(
                    self, carrier, &receipts[index - first], &keys[index - first], at_ms
                ):
                    others.append(incoming[index])
        forget(self)
        return others

    def settle(self, int carrier, bytes key not None, int message_state, bytes err not None, int64_t at_ms, bint intermediate=False):
        """Take a receipt that Python has read; `key` is its id's, see dispatcher.smpp.dialect. Return whether it
        matched; else it is parked. ValueError: a message_state over 9, a key that is empty, over 128 octets or holds NUL."""
        cdef Key its
        check(self, carrier)
        if not 0 <= message_state < STATES:
            raise ValueError(f"message_state is 0 to {STATES - 1}, not {message_state}")
        take_key(self, &its, carrier, key)
        matched = take_receipt(
            self, &its, carrier, message_state | intermediate * INTERMEDIATE_CODE, <const uint8_t*>PyBytes_AS_STRING(err),
            PyBytes_GET_SIZE(err) if PyBytes_GET_SIZE(err) <= ERR_MAX else 0, at_ms, True)
        forget(self)
        return matched

    def knows(self, int carrier, bytes key not None):
        """Whether a receipt with this key would match."""
        cdef int awaiting = 0
        cdef Key its
        carrier_of(self, carrier)
        take_key(self, &its, carrier, key)
        return best_of(self, &its, &awaiting) != 0

    # ---- receipts that came first ----


    def orphan(self, int64_t parked_before_ms, int64_t now_ms, int budget):
        """Give up what was parked before a time and matched nothing, at most `budget` of it; return how many."""
        cdef int given_up = 0
        check(self, 0)
        while self.early.oldest and given_up < budget and id_at(self, self.early.oldest).at_ms < parked_before_ms:
            give_up(self, self.early.oldest, now_ms)
            given_up += 1
        return given_up

    # ---- ends ----

    def finish(self, uint64_t n, int outcome, int reason, int carrier, int64_t at_ms, int traffic_class=4):
        """End a whole message, whatever its segments do; False: it had ended. traffic_class 4: not known."""
        check(self, carrier)
        check_end(outcome, reason)
        check_class(traffic_class)
        if not 1 <= n < N_MAX:
            raise ValueError(f"n is 1 to 2 ** 40 - 1, not {n}")
        if state_of(&self.numbers, n) == ENDED:
            return False
        put(self, FINISHED, WHOLE, carrier, outcome << 16 | reason, n, at_ms, NULL, 0)
        count_end(self, n, outcome, reason, at_ms, traffic_class)
        close_message(self, n, outcome, reason)
        forget(self)
        return True

    def fail(self, Submission submission not None, int outcome, int reason, int64_t at_ms):
        """End one segment that will not be sent again; return whether that ended its message. Nothing happens
        where it has ended, or was submitted after all."""
        check(self, submission.carrier)
        check_end(outcome, reason)
        if touch(self, submission.n, submission.segment, submission.segments, submission.carrier) == NULL:
            return False
        end_unreceipted(
            self, submission.n, submission.segment, outcome, reason, submission.carrier, at_ms,
            submission.traffic_class)
        forget(self)
        return state_of(&self.numbers, submission.n) == ENDED

    def expire(self, int carrier, int64_t submitted_before_ms, int64_t now_ms, int budget):
        """End what was submitted to the carrier before a time and had no final receipt since, at most `budget`
        segments, oldest first; return how many. A later receipt still corrects it."""
        cdef int expired = 0
        cdef uint32_t row
        cdef Id* id
        check(self, carrier)
        while expired < budget:
            row = self.carriers[carrier].awaiting.oldest
            if row == 0 or id_at(self, row).at_ms >= submitted_before_ms:
                break
            id = id_at(self, row)
            settle_row(self, row, UNKNOWN)
            if not has_ended(self, id.n, id.segment):
                end_unreceipted(self, id.n, id.segment, UNKNOWN, NO_RECEIPT, carrier, now_ms, class_of(id))
            expired += 1
        forget(self)
        return expired

    def leave(self, list numbers not None):
        """Know nothing more of these, in order and not ended: another worker has them, with their receipts. No event."""
        check(self, 0)
        if numbers:
            leave(self, numbers)

    # ---- looking on ----

    @property
    def outstanding(self):
        """Segments that await a receipt; two ids of one count twice."""
        return self.ids.count - self.settled.count - self.early.count

    @property
    def parked(self):
        """Receipts that match nothing yet."""
        return self.early.count

    @property
    def work_max(self):
        """The most rows that any one operation on a table has touched."""
        return max(self.ids.work_max, self.works.work_max, self.folds.work_max, self.targets.work_max)

    @property
    def octets(self):
        """Octets of memory that its tables have taken, used or not."""
        return octets_of(&self.ids) + octets_of(&self.works) + octets_of(&self.folds) + octets_of(&self.targets)

    def kinds(self, int carrier):
        """Events of a carrier since the start, by EventKind."""
        cdef Carrier* its = carrier_of(self, carrier)
        return [its.kinds[kind] for kind in range(KIND_MAX + 1)]

    def taken(self, int carrier):
        """Segments that a carrier took in time, by traffic_class."""
        cdef Carrier* its = carrier_of(self, carrier)
        return its.taken[0], its.taken[1], its.taken[2], its.taken[3]

    def states(self, int carrier):
        """Receipts that told something new, by message_state; intermediate ones are not among them."""
        cdef Carrier* its = carrier_of(self, carrier)
        return [its.states[state] for state in range(STATES)]

    def receipts_after(self, int carrier):
        """(counts, sum_us): how long after its answer a segment's final receipt came, in the bins of Histogram."""
        cdef Carrier* its = carrier_of(self, carrier)
        return counts_of(&its.receipts_after), its.receipts_after.sum_us

    def ends(self, int traffic_class):
        """Messages of a class that ended: {(outcome, reason): count}. Class 4: of those whose class is not known."""
        cdef int outcome, reason
        check_class(traffic_class)
        return {
            (outcome, reason): self.ended[traffic_class][outcome][reason]
            for outcome in range(1, OUTCOME_MAX + 1) for reason in range(1, REASON_MAX + 1)
            if self.ended[traffic_class][outcome][reason]
        }

    def ended_after(self, int traffic_class):
        """(counts, sum_us): how long after its acceptance a message ended. Those for later are not among them."""
        check_class(traffic_class)
        return counts_of(&self.end_bins[traffic_class]), self.end_bins[traffic_class].sum_us

    def awaiting(self, int carrier):
        """Segments that await a receipt of a carrier, by traffic_class."""
        cdef Carrier* its = carrier_of(self, carrier)
        return its.classes[0], its.classes[1], its.classes[2], its.classes[3]

    def touched(self, uint64_t n):
        """Whether anything has happened to a message: then it is not to be taken up from the journal again."""
        return state_of(&self.numbers, n) != UNTOUCHED

    def is_finished(self, uint64_t n):
        """Whether a message has its outcome."""
        return state_of(&self.numbers, n) == ENDED

    def unsettled(self):
        """What a restart must take up: [(n, segment, state, attempts, due_ms, carrier, command_status)], in order.

        The segments of touched messages that are neither submitted nor ended. state: the kind of the last event,
        CLAIMED, REFUSED, UNANSWERED, UNSENT, RETRY or REROUTED; 0: only its siblings were claimed. due_ms is that of
        RETRY, and of CLAIMED and UNANSWERED when that was; command_status is that of REFUSED.
        """
        cdef uint32_t row
        cdef Work* work
        cdef list found = []
        for row in range(1, self.works.top + 1):
            work = <Work*>row_at(&self.works, row)
            if work.key:
                found.append((
                    work.key >> 8, <int>(work.key & 0xFF), <int>work.state, <int>work.attempts, work.due_ms,
                    <int>work.carrier, work.command_status))
        found.sort()
        return found

    # ---- restart: see book_recovery.pxi ----

    def dump(self):
        """Yield the book in pieces of at most 1 MiB. It may go on changing meanwhile: what happens from the first
        piece on must be replayed on top. Some pieces are empty."""
        return _dump(self)

    def load(self, pieces):
        """Take what `dump` gave into a new book. StoreError: it is none; RuntimeError: the book is not new."""
        load_pieces(self, pieces)

    def replay(self, bytes body not None):
        """Apply a body of events as if the calls had been made, but write nothing; return how many they were.
        StoreError: it is cut, or holds what no book has written."""
        return replay_body(self, body)

    def recovered(self, bint anew=True):
        """End recovery: live calls follow. Counters begin at 0, unless the book was live before, too."""
        self.recovering = False
        table_free(&self.targets)
        if not table_init(&self.targets, sizeof(Target)):
            raise MemoryError
        if not anew:
            forget(self)
            return
        self.matched = self.duplicate = self.overruled = self.ambiguous = self.corrected = 0
        self.unmatched = self.orphaned = self.unmapped = 0
        forget(self)

    def __repr__(self):
        return (f"<Book {self.outstanding} await a receipt, {self.works.count} on their way, {self.early.count} parked, "
                f"{self.matched} matched>")


cdef inline Id* id_at(Book book, uint32_t row) noexcept:
    return <Id*>row_at(&book.ids, row)


cdef inline uint64_t octets_of(const Table* table) noexcept nogil:
    return (
        <uint64_t>table.block_count * ROWS * table.row_octets + <uint64_t>table.head_blocks * HEADS * sizeof(uint32_t))


cdef int check_class(int traffic_class) except -1:
    if not 0 <= traffic_class <= CLASSES:
        raise ValueError(f"traffic_class is 0 to {CLASSES}, not {traffic_class}")
    return 0


cdef int check_end(int outcome, int reason) except -1:
    if not (1 <= outcome <= OUTCOME_MAX and 1 <= reason <= REASON_MAX):
        raise ValueError(f"no end: outcome {outcome}, reason {reason}")
    return 0


include "book_places.pxi"
include "book_receipts.pxi"
include "book_ends.pxi"
include "book_recovery.pxi"
