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
``numbers`` two bits a message: touched, finished.

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
    CLAIMED, CORRECTED, CUT, FAILED, FINISHED, ORPHANED, PARKED, RECEIPTED, RECORD_OCTETS, REFUSED, REROUTED, RETRY,
    SUBMITTED, UNANSWERED, UNSENT, WHOLE, Head, get_event, put_event,
)
from numbers cimport (
    ALL_ENDED, ENDED, SPANS_MAX, SPAN_WORDS, UNTOUCHED, Numbers, Span, end_number, numbers_free, span_for, state_of,
    touch_number,
)
from receipt_read cimport STATES, Receipt, read_receipt
from receipt_scan cimport KEY_MAX, STATE_OTHER, id_key
from rows cimport (
    HEADS, ROWS, List, Row, Table, append_to, expect_key, expect_row, find_row, insert_row, next_row, remove_row,
    row_at, table_free, table_init, take_from,
)
from siphash cimport Seed, siphash
from wire cimport Outbox, outbox_free, outbox_init, outbox_room

from dispatcher._ext.events cimport EventBuffer
from dispatcher._ext.session cimport Incoming

from dispatcher.errors import StoreError

cdef extern from *:
    """
    #define N_MAX (1ULL << 40)      /* a message_id has room for no more */
    """
    const uint64_t N_MAX

cdef enum:
    RING_MIN = 64
    BATCH = 32                  # looked up together, see rows.expect_key
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
        bytes outcomes=OUTCOMES, dict words=None, bint own_words=False, bint receipts=True,
    ):
        """Say how a carrier writes ids and states; before anything of it comes, also before `load`.

        The bases are 0, 10 or 16, `flags` as in receipt_scan.pxd. `outcomes`: an octet for each message_state, the
        outcome that it is or 0 where it is not final. `words`: message_state by the words of stat, in capitals;
        `own_words`: they stand before those of the standard. `receipts`: they are asked for. ValueError: any other.
        """
        cdef Carrier* its
        cdef int state
        if any(base not in (0, 10, 16) for base in (response_base, receipt_base, tlv_base)) or not 0 <= flags <= 3:
            raise ValueError("a base is 0, 10 or 16, flags are 0 to 3")
        if outcomes is None or PyBytes_GET_SIZE(outcomes) != STATES or any(outcome > OUTCOME_MAX for outcome in outcomes):
            raise ValueError(f"outcomes are {STATES} octets, each 0 to {OUTCOME_MAX}")
        its = self.carrier_of(carrier)
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
        self.check(carrier)
        for each in submissions:
            work = self.touch(each.n, each.segment, each.segments, carrier)
            if work == NULL:
                continue
            each.attempts += 1
            each.claimed = True
            each.carrier = carrier
            set_work(work, CLAIMED, carrier, each.attempts, 0, 0)
            tail[0], tail[1] = each.segments, each.traffic_class
            self.put(CLAIMED, each.segment, carrier, each.attempts, each.n, at_ms, tail, 2)
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
        self.check(carrier)
        self.finished = finished
        for first in range(0, count, BATCH):
            for index in range(first, min(first + BATCH, count)):
                self.make_key(&keys[index - first], carrier, message_ids[index])
                expect_key(&self.ids, keys[index - first].low)
            for index in range(first, min(first + BATCH, count)):
                each = submissions[index]
                status = statuses[index]
                if status == 0:
                    self.accept(each, carrier, at_ms, message_ids[index], &keys[index - first], False)
                    continue
                each.claimed = False
                self.put(REFUSED, each.segment, carrier, status, each.n, at_ms, NULL, 0)
                work = self.work_of(each.n, each.segment)
                if work != NULL:
                    set_work(work, REFUSED, carrier, each.attempts, 0, status)
                    refused.append((each, status, message_ids[index]))
        self.finished = None
        self.forget()
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
        self.check(carrier)
        for each in submissions:
            each.claimed = False
            if kind == UNSENT and each.attempts:
                each.attempts -= 1
            self.put(kind, each.segment, carrier, each.attempts if kind == UNSENT else 0, each.n, at_ms, NULL, 0)
            work = self.work_of(each.n, each.segment)
            if work != NULL:
                set_work(work, kind, carrier, each.attempts, 0, 0)
                still.append(each)
        return still

    def retry(self, Submission submission not None, int64_t due_ms, int64_t at_ms):
        """It will be claimed again, not before `due_ms`. Return whether that is still of use."""
        cdef Work* work = self.work_of(submission.n, submission.segment)
        self.check(submission.carrier)
        if work == NULL:
            return False
        set_work(work, RETRY, submission.carrier, submission.attempts, due_ms, 0)
        self.put(
            RETRY, submission.segment, submission.carrier, 0, submission.n, at_ms, <const uint8_t*>&due_ms, sizeof(due_ms))
        return True

    def reroute(self, Submission submission not None, int carrier, int64_t at_ms):
        """Its message goes to another carrier from now on, with all segments that are not submitted."""
        cdef uint8_t[2] tail
        self.check(carrier)
        if state_of(&self.numbers, submission.n) == ENDED:
            return
        tail[0], tail[1] = submission.segments, submission.traffic_class
        self.put(REROUTED, WHOLE, carrier, 0, submission.n, at_ms, tail, 2)
        self.move(submission.n, submission.segments, carrier)

    cdef int move(self, uint64_t n, int segments, int carrier) except -1:
        cdef int segment
        cdef Work* work
        self.touch(n, 0, segments, carrier)
        for segment in range(segments):
            work = self.work_of(n, segment)
            if work != NULL:
                set_work(work, REROUTED, carrier, work.attempts, 0, 0)
        return 0

    def late(self, Submission submission not None, uint32_t status, bytes message_id, int carrier, int64_t at_ms):
        """An answer came after UNANSWERED. Return whether the carrier has the segment: then it is not sent again.

        A refusal says nothing that was not decided upon already.
        """
        cdef Key key
        self.check(carrier)
        if status or self.has_ended(submission.n, submission.segment):
            return False
        self.make_key(&key, carrier, message_id)
        self.accept(submission, carrier, at_ms, message_id, &key, True)
        self.forget()
        return True

    cdef int accept(
        self, Submission submission, int carrier, int64_t at_ms, bytes message_id, const Key* key, bint late
    ) except -1:
        cdef Py_ssize_t octets = PyBytes_GET_SIZE(message_id) if message_id is not None else 0
        self.put(
            SUBMITTED, submission.segment, carrier,
            late * LATE_CODE | submission.segments << 8 | submission.traffic_class, submission.n, at_ms,
            <const uint8_t*>PyBytes_AS_STRING(message_id) if 0 < octets <= ID_MAX else NULL, octets if octets <= ID_MAX else 0)
        return self.await_receipt(
            submission.n, submission.segment, submission.segments, submission.traffic_class, carrier, at_ms, key, late)

    cdef int await_receipt(
        self, uint64_t n, int segment, int segments, int traffic_class, int carrier, int64_t at_ms, const Key* key,
        bint late,
    ) except -1:
        """ESME_ROK: the segment awaits its receipt, if one can come."""
        cdef Carrier* its = &self.carriers[carrier]
        cdef uint32_t row = find_row(&self.works, work_key(n, segment))
        cdef Work* work = <Work*>row_at(&self.works, row) if row else NULL
        cdef Fold* fold = self.fold_of(n)
        cdef bint second = work == NULL or (late and work.state == CLAIMED)
        cdef Id* awaiting
        if second and fold == NULL and state_of(&self.numbers, n) != ENDED:
            fold = self.make_fold(n, segments)  # two ids for one segment: its message is folded like one of several
        if row:
            remove_row(&self.works, row)
        if not its.receipts or key.length == 0:
            if not self.has_ended(n, segment):
                self.end(n, segment, UNKNOWN, NO_SMSC_MESSAGE_ID if its.receipts else NO_RECEIPT_ASKED, carrier, at_ms)
            return 0
        if self.recovering and self.id_row_of(key, n, segment):
            return 0
        row = insert_row(&self.ids, key.low)
        if row == 0:
            raise MemoryError
        awaiting = id_at(self, row)
        awaiting.high, awaiting.n, awaiting.at_ms = key.high, n, at_ms
        awaiting.carrier, awaiting.segment = carrier, segment
        awaiting.flags = AWAITING | traffic_class << CLASS_SHIFT | (SHARED if second or fold != NULL or segments > 1 else 0)
        append_to(&self.ids, &its.awaiting, row)
        its.classes[traffic_class] += 1
        if self.recovering:
            self.aim(n, segment, row)
        return self.unpark(key, row)

    # ---- in: receipts ----

    def receipted(self, list incoming not None, int carrier, int64_t at_ms):
        """Take deliver_sm. Return those that are no receipts, or cannot be read here: Python decides, see `settle`."""
        cdef Py_ssize_t first, index, count = len(incoming)
        cdef Incoming each
        cdef list others = []
        cdef Receipt[BATCH] receipts
        cdef Key[BATCH] keys
        self.check(carrier)
        for first in range(0, count, BATCH):
            for index in range(first, min(first + BATCH, count)):
                each = incoming[index]
                self.read(each, carrier, &receipts[index - first], &keys[index - first])
                expect_key(&self.ids, keys[index - first].low)
            for index in range(first, min(first + BATCH, count)):
                expect_row(&self.ids, keys[index - first].low)
            for index in range(first, min(first + BATCH, count)):
                if keys[index - first].length == 0 or not self.book_receipt(
                    carrier, &receipts[index - first], &keys[index - first], at_ms
                ):
                    others.append(incoming[index])
        self.forget()
        return others

    cdef int read(self, Incoming incoming, int carrier, Receipt* receipt, Key* key) except -1:
        """The key of its id has no length where Python decides."""
        cdef Carrier* its = &self.carriers[carrier]
        key.length, key.low = 0, 0
        if not read_receipt(&incoming.fields, receipt):
            return 0
        if receipt.err.length < 0 or receipt.err.length > ERR_MAX:
            receipt.err.length = 0
        self.make_key_of(
            key, carrier, receipt.id.at, receipt.id.length, its.tlv_base if receipt.from_tlv else its.receipt_base)
        if receipt.state == STATE_OTHER or (its.own_words and not 0 <= incoming.fields.message_state < STATES):
            receipt.state = self.state_of_word(carrier, receipt)
        return 0

    cdef bint book_receipt(self, int carrier, const Receipt* receipt, const Key* key, int64_t at_ms) except -1:
        """False: it is a message that looks like a receipt."""
        cdef uint32_t code = receipt.state if receipt.state >= 0 else UNKNOWN_STATE
        if receipt.intermediate:
            code |= INTERMEDIATE_CODE
        if not self.take_receipt(
            key, carrier, code, receipt.err.at, receipt.err.length, at_ms, receipt.sure
        ) and not receipt.sure:
            return False
        self.unmapped += receipt.state < 0
        return True

    cdef int state_of_word(self, int carrier, const Receipt* receipt) except -1:
        """The message_state that stat means by the dialect; STATE_OTHER: none."""
        words = self.words[carrier]
        if words is None or receipt.stat.length < 0:
            return receipt.state
        state = words.get(PyBytes_FromStringAndSize(<const char*>receipt.stat.at, receipt.stat.length).upper())
        return STATE_OTHER if state is None else state

    def settle(self, int carrier, bytes key not None, int message_state, bytes err not None, int64_t at_ms, bint intermediate=False):
        """Take a receipt that Python has read; `key` is its id's, see dispatcher.smpp.dialect. Return whether it
        matched; else it is parked. ValueError: a message_state over 9, a key that is empty, over 128 octets or holds NUL."""
        cdef Key its
        self.check(carrier)
        if not 0 <= message_state < STATES:
            raise ValueError(f"message_state is 0 to {STATES - 1}, not {message_state}")
        self.take_key(&its, carrier, key)
        matched = self.take_receipt(
            &its, carrier, message_state | intermediate * INTERMEDIATE_CODE, <const uint8_t*>PyBytes_AS_STRING(err),
            PyBytes_GET_SIZE(err) if PyBytes_GET_SIZE(err) <= ERR_MAX else 0, at_ms, True)
        self.forget()
        return matched

    def knows(self, int carrier, bytes key not None):
        """Whether a receipt with this key would match."""
        cdef Key its
        self.carrier_of(carrier)
        self.take_key(&its, carrier, key)
        return self.best_of(&its) != 0

    cdef bint take_receipt(
        self, const Key* key, int carrier, uint32_t code, const uint8_t* err, Py_ssize_t err_octets, int64_t at_ms,
        bint park,
    ) except -1:
        """Apply it to the segment that its id stands for, and say so; or else park it."""
        cdef uint32_t row = self.best_of(key)
        if row:
            self.matched += 1
            self.apply(row, code, err, err_octets, at_ms)
            return True
        if park:
            self.park(key, carrier, code, err, err_octets, at_ms)
        return False

    cdef int apply(self, uint32_t row, uint32_t code, const uint8_t* err, Py_ssize_t err_octets, int64_t at_ms) except -1:
        """A receipt about a row of ids that awaits one, or had one."""
        cdef Id* id = id_at(self, row)
        cdef bint first = place_of(id) == AWAITING
        cdef int outcome = 0, known = outcome_of(id)
        cdef uint64_t n = id.n
        if not code & INTERMEDIATE_CODE:
            outcome = self.carriers[id.carrier].outcomes[code & 0xFF]
        if not first and not wins(outcome, known):
            if outcome == 0 or outcome == known:
                self.duplicate += 1
            else:
                self.overruled += 1
            return 0
        self.put(RECEIPTED, id.segment, id.carrier, code, n, at_ms, err, err_octets)
        if outcome == 0:
            return 0
        self.settle_row(row, outcome)
        if self.fold_of(n) != NULL or state_of(&self.numbers, n) != ENDED:
            self.end(n, id.segment, outcome, BY_RECEIPT, id.carrier, at_ms)
        elif not id.flags & SHARED and (outcome == DELIVERED or not first):
            self.correct(n, outcome, BY_RECEIPT, id.carrier, at_ms)  # awaiting, and ended: for want of a receipt
        return 0

    cdef int settle_row(self, uint32_t row, int outcome) except -1:
        """It has its final receipt, or will wait for none."""
        cdef Id* id = id_at(self, row)
        cdef Carrier* its = &self.carriers[id.carrier]
        if place_of(id) == AWAITING:
            take_from(&self.ids, &its.awaiting, row)
            its.classes[class_of(id)] -= 1
            append_to(&self.ids, &self.settled, row)
        set_settled(id, outcome)
        return 0

    # ---- receipts that came first ----

    cdef int park(
        self, const Key* key, int carrier, uint32_t code, const uint8_t* err, Py_ssize_t err_octets, int64_t at_ms
    ) except -1:
        cdef uint8_t[ID_MAX + 1 + ERR_MAX] tail
        cdef Py_ssize_t octets = key.length
        cdef uint32_t row = find_row(&self.ids, key.low)
        cdef Id* early
        while row:
            early = id_at(self, row)
            if place_of(early) == EARLY and early.high == key.high and code_of(early) == code:
                self.duplicate += 1
                return 0
            row = next_row(&self.ids, row)
        if self.early.count >= self.parked_max and not self.recovering:
            self.give_up(self.early.oldest, at_ms)
        memcpy(tail, key.octets + 2, octets)
        if err_octets:
            tail[octets] = 0
            memcpy(tail + octets + 1, err, err_octets)
            octets += 1 + err_octets
        kept = PyBytes_FromStringAndSize(<const char*>tail, octets)
        row = insert_row(&self.ids, key.low)
        if row == 0:
            raise MemoryError
        early = id_at(self, row)
        early.high, early.at_ms, early.carrier, early.segment = key.high, at_ms, carrier, code & 0xFF
        early.flags = EARLY | (SHARED if code & INTERMEDIATE_CODE else 0)
        early.n = <uint64_t><PyObject*>kept
        Py_INCREF(kept)
        append_to(&self.ids, &self.early, row)
        self.unmatched += 1
        self.put(PARKED, WHOLE, carrier, code, 0, at_ms, tail, octets)
        return 0

    cdef int unpark(self, const Key* key, uint32_t row) except -1:
        """Apply what was parked for the id of `row`, in the order of arrival."""
        cdef uint32_t each, oldest = 1
        cdef Id* early
        cdef const uint8_t* err
        cdef Py_ssize_t octets
        cdef uint32_t code
        cdef int64_t came_ms
        while self.early.count and oldest:
            oldest, each = 0, find_row(&self.ids, key.low)
            while each:
                early = id_at(self, each)
                if place_of(early) == EARLY and early.high == key.high and (
                    oldest == 0 or came_before(early, id_at(self, oldest))
                ):
                    oldest = each
                each = next_row(&self.ids, each)
            if oldest:
                early = id_at(self, oldest)
                code, came_ms = code_of(early), early.at_ms
                kept = <bytes><PyObject*>early.n
                self.drop_early(oldest)
                if self.recovering:  # RECEIPTED follows
                    continue
                err = <const uint8_t*>PyBytes_AS_STRING(kept) + key.length
                octets = PyBytes_GET_SIZE(kept) - key.length
                self.matched += 1
                self.apply(row, code, err + 1, octets - 1 if octets else 0, came_ms)
        return 0

    def orphan(self, int64_t parked_before_ms, int64_t now_ms, int budget):
        """Give up what was parked before a time and matched nothing, at most `budget` of it; return how many."""
        cdef int given_up = 0
        self.check(0)
        while self.early.oldest and given_up < budget and id_at(self, self.early.oldest).at_ms < parked_before_ms:
            self.give_up(self.early.oldest, now_ms)
            given_up += 1
        return given_up

    cdef int give_up(self, uint32_t row, int64_t at_ms) except -1:
        cdef Id* early = id_at(self, row)
        tail = <bytes><PyObject*>early.n
        self.put(
            ORPHANED, WHOLE, early.carrier, code_of(early), 0, at_ms, <const uint8_t*>PyBytes_AS_STRING(tail),
            PyBytes_GET_SIZE(tail))
        self.orphaned += 1
        return self.drop_early(row)

    cdef int drop_early(self, uint32_t row) except -1:
        tail = <object><PyObject*>id_at(self, row).n
        take_from(&self.ids, &self.early, row)
        remove_row(&self.ids, row)
        Py_DECREF(tail)
        return 0

    # ---- ends ----

    def finish(self, uint64_t n, int outcome, int reason, int carrier, int64_t at_ms):
        """End a whole message, whatever its segments do; False: it had ended."""
        self.check(carrier)
        check_end(outcome, reason)
        if not 1 <= n < N_MAX:
            raise ValueError(f"n is 1 to 2 ** 40 - 1, not {n}")
        if state_of(&self.numbers, n) == ENDED:
            return False
        self.put(FINISHED, WHOLE, carrier, outcome << 16 | reason, n, at_ms, NULL, 0)
        self.close(n, outcome, reason)
        self.forget()
        return True

    def fail(self, Submission submission not None, int outcome, int reason, int64_t at_ms):
        """End one segment that will not be sent again; return whether that ended its message. Nothing happens
        where it has ended, or was submitted after all."""
        self.check(submission.carrier)
        check_end(outcome, reason)
        if self.touch(submission.n, submission.segment, submission.segments, submission.carrier) == NULL:
            return False
        self.end_unreceipted(submission.n, submission.segment, outcome, reason, submission.carrier, at_ms)
        self.forget()
        return state_of(&self.numbers, submission.n) == ENDED

    def expire(self, int carrier, int64_t submitted_before_ms, int64_t now_ms, int budget):
        """End what was submitted to the carrier before a time and had no final receipt since, at most `budget`
        segments, oldest first; return how many. A later receipt still corrects it."""
        cdef int expired = 0
        cdef uint32_t row
        cdef Id* id
        self.check(carrier)
        while expired < budget:
            row = self.carriers[carrier].awaiting.oldest
            if row == 0 or id_at(self, row).at_ms >= submitted_before_ms:
                break
            id = id_at(self, row)
            self.settle_row(row, UNKNOWN)
            if not self.has_ended(id.n, id.segment):
                self.end_unreceipted(id.n, id.segment, UNKNOWN, NO_RECEIPT, carrier, now_ms)
            expired += 1
        self.forget()
        return expired

    cdef int end_unreceipted(self, uint64_t n, int segment, int outcome, int reason, int carrier, int64_t at_ms) except -1:
        cdef Fold* fold = self.fold_of(n)
        if fold != NULL:
            self.put(FAILED, segment, carrier, outcome << 16 | reason, n, at_ms, &fold.segments, 1)
        return self.end(n, segment, outcome, reason, carrier, at_ms)

    cdef int end(self, uint64_t n, int segment, int outcome, int reason, int carrier, int64_t at_ms) except -1:
        """One segment ends, or is found to have ended otherwise; its message, if it was the last."""
        cdef Fold* fold = self.fold_of(n)
        cdef uint8_t* ends
        cdef uint8_t before, worst
        if fold == NULL:
            return self.finish_message(n, outcome, reason, carrier, at_ms)
        self.check_segment(fold, segment)
        ends = ends_of(fold)
        if ends[segment] == 0:
            ends[segment] = reason << 4 | outcome
            fold.remaining -= 1
            self.drop_work(n, segment)
            if fold.remaining == 0:
                worst = worst_of(fold)
                self.finish_message(n, worst & 15, worst >> 4, carrier, at_ms)
        elif wins(outcome, ends[segment] & 15):
            before = worst_of(fold)
            ends[segment] = reason << 4 | outcome
            worst = worst_of(fold)
            if fold.remaining == 0 and worst & 15 != before & 15:
                self.correct(n, worst & 15, worst >> 4, carrier, at_ms)
        elif outcome == ends[segment] & 15:
            self.duplicate += 1
        else:
            self.overruled += 1
        return 0

    cdef int finish_message(self, uint64_t n, int outcome, int reason, int carrier, int64_t at_ms) except -1:
        if self.recovering:  # FINISHED follows
            return 0
        self.put(FINISHED, WHOLE, carrier, outcome << 16 | reason, n, at_ms, NULL, 0)
        if self.finished is not None:
            self.finished.append((n, outcome, reason))
        return self.close(n, outcome, reason)

    cdef int correct(self, uint64_t n, int outcome, int reason, int carrier, int64_t at_ms) except -1:
        self.corrected += 1
        return self.put(CORRECTED, WHOLE, carrier, outcome << 16 | reason, n, at_ms, NULL, 0)

    cdef int close(self, uint64_t n, int outcome, int reason) except -1:
        """The message has ended: no work is left of it, and whatever segment was open ended with it."""
        cdef uint32_t row = find_row(&self.folds, n)
        cdef Fold* fold
        cdef uint8_t* ends
        cdef int segment
        if not end_number(&self.numbers, n):
            raise MemoryError
        if row == 0:
            return self.drop_work(n, 0)
        fold = <Fold*>row_at(&self.folds, row)
        ends = ends_of(fold)
        for segment in range(fold.segments):
            if ends[segment] == 0:
                ends[segment] = reason << 4 | outcome
            self.drop_work(n, segment)
        fold.remaining = 0
        append_to(&self.folds, &self.closed, row)
        return 0

    cdef int forget(self) except -1:
        """Of what has ended, the oldest beyond `settled_max`."""
        cdef uint32_t row
        cdef Fold* fold
        while self.settled.count > self.settled_max:
            row = self.settled.oldest
            if self.recovering:
                self.lose_aim(row)
            take_from(&self.ids, &self.settled, row)
            remove_row(&self.ids, row)
        while self.closed.count > self.settled_max:
            row = self.closed.oldest
            fold = <Fold*>row_at(&self.folds, row)
            if fold.segments > ENDS:
                free(ends_of(fold))
            take_from(&self.folds, &self.closed, row)
            remove_row(&self.folds, row)
        return 0

    # ---- where things are ----

    cdef Work* touch(self, uint64_t n, int segment, int segments, int carrier) except? NULL:
        """The work of a segment, made with those of its siblings if the message is new; NULL: it needs none."""
        cdef int each
        cdef Fold* fold
        if state_of(&self.numbers, n) == UNTOUCHED:
            if not touch_number(&self.numbers, n):
                raise MemoryError
            fold = self.fold_of(n)
            if segments > 1 and fold == NULL:
                fold = self.make_fold(n, segments)
            for each in range(segments):
                if (fold == NULL or ends_of(fold)[each] == 0) and self.work_of(n, each) == NULL:
                    self.make_work(n, each, carrier)
        return self.work_of(n, segment)

    cdef int make_work(self, uint64_t n, int segment, int carrier) except -1:
        cdef uint32_t row = insert_row(&self.works, work_key(n, segment))
        if row == 0:
            raise MemoryError
        (<Work*>row_at(&self.works, row)).carrier = carrier
        return 0

    cdef Work* work_of(self, uint64_t n, int segment) noexcept:
        cdef uint32_t row = find_row(&self.works, work_key(n, segment))
        return <Work*>row_at(&self.works, row) if row else NULL

    cdef int drop_work(self, uint64_t n, int segment) noexcept:
        cdef uint32_t row = find_row(&self.works, work_key(n, segment))
        if row:
            remove_row(&self.works, row)
        return 0

    cdef Fold* make_fold(self, uint64_t n, int segments) except NULL:
        cdef uint32_t row = insert_row(&self.folds, n)
        cdef Fold* fold
        cdef uint8_t* ends
        if row == 0:
            raise MemoryError
        fold = <Fold*>row_at(&self.folds, row)
        if segments > ENDS:
            ends = <uint8_t*>calloc(segments, 1)
            if ends == NULL:
                remove_row(&self.folds, row)
                raise MemoryError
            memcpy(fold.ends, &ends, sizeof(ends))
        fold.segments = fold.remaining = segments
        return fold

    cdef Fold* fold_of(self, uint64_t n) noexcept:
        cdef uint32_t row = find_row(&self.folds, n) if self.folds.count else 0
        return <Fold*>row_at(&self.folds, row) if row else NULL

    cdef bint has_ended(self, uint64_t n, int segment) except -1:
        cdef Fold* fold = self.fold_of(n)
        if fold == NULL:
            return state_of(&self.numbers, n) == ENDED
        self.check_segment(fold, segment)
        return ends_of(fold)[segment] != 0

    cdef int check_segment(self, const Fold* fold, int segment) except -1:
        if segment >= fold.segments:
            raise ValueError(f"segment {segment} of message {fold.key}, which has {fold.segments}")
        return 0

    cdef uint32_t best_of(self, const Key* key) noexcept:
        """Of the segments that an id stands for, the newest that awaits a receipt, or else the newest; 0: none."""
        cdef uint32_t row = find_row(&self.ids, key.low), best = 0
        cdef int awaiting = 0
        cdef Id* id
        while row:
            id = id_at(self, row)
            if id.high == key.high and place_of(id) != EARLY:
                awaiting += place_of(id) == AWAITING
                if best == 0 or stands_before(id, id_at(self, best)):
                    best = row
            row = next_row(&self.ids, row)
        self.ambiguous += awaiting > 1
        return best

    cdef uint32_t id_row_of(self, const Key* key, uint64_t n, int segment) noexcept:
        """The row in which this id stands for this segment; 0: none."""
        cdef uint32_t row = find_row(&self.ids, key.low)
        cdef Id* id
        while row:
            id = id_at(self, row)
            if id.high == key.high and place_of(id) != EARLY and id.n == n and id.segment == segment:
                break
            row = next_row(&self.ids, row)
        return row

    cdef int aim(self, uint64_t n, int segment, uint32_t row) except -1:
        """While recovering, lead from a segment to its row of ids."""
        cdef uint32_t aimed = insert_row(&self.targets, work_key(n, segment))
        if aimed == 0:
            raise MemoryError
        (<Target*>row_at(&self.targets, aimed)).row = row
        return 0

    cdef int lose_aim(self, uint32_t row) noexcept:
        cdef Id* id = id_at(self, row)
        cdef uint32_t aimed = find_row(&self.targets, work_key(id.n, id.segment))
        while aimed and (<Target*>row_at(&self.targets, aimed)).row != row:
            aimed = next_row(&self.targets, aimed)
        if aimed:
            remove_row(&self.targets, aimed)
        return 0

    cdef int make_key(self, Key* key, int carrier, bytes message_id) except -1:
        """The key of a message_id from submit_sm_resp."""
        if message_id is None:
            key.length, key.low = 0, 0
            return 0
        return self.make_key_of(
            key, carrier, <const uint8_t*>PyBytes_AS_STRING(message_id), PyBytes_GET_SIZE(message_id),
            self.carriers[carrier].response_base)

    cdef int make_key_of(self, Key* key, int carrier, const uint8_t* id, Py_ssize_t length, int base) noexcept:
        """The key of an id as it came; its length is 0 where it is no id."""
        cdef char[KEY_MAX] digits
        cdef int size
        key.length, key.low = 0, 0
        if 0 < length <= ID_MAX:
            size = id_key(<const char*>id, <int>length, base, self.carriers[carrier].flags, digits)
            if size > 0:
                self.fill_key(key, carrier, <const uint8_t*>digits, size)
            elif size < 0:      # over 64 octets: as it is, as dispatcher._ext.receipt.key does
                self.fill_key(key, carrier, id, length)
        return 0

    cdef int take_key(self, Key* key, int carrier, bytes text) except -1:
        """A key that Python made."""
        cdef Py_ssize_t length = PyBytes_GET_SIZE(text)
        if not 0 < length <= ID_MAX or memchr(PyBytes_AS_STRING(text), 0, length) != NULL:
            raise ValueError(f"a key has 1 to {ID_MAX} octets, none of them NUL")
        self.fill_key(key, carrier, <const uint8_t*>PyBytes_AS_STRING(text), length)
        return 0

    cdef void fill_key(self, Key* key, int carrier, const uint8_t* text, Py_ssize_t length) noexcept:
        key.octets[0], key.octets[1] = carrier & 0xFF, carrier >> 8
        memcpy(key.octets + 2, text, length)
        key.length = length
        siphash(&self.seed, key.octets, length + 2, &key.low, &key.high)
        if key.low == 0:
            key.low = 1         # 0 is a free row

    cdef Carrier* carrier_of(self, int carrier) except NULL:
        """What is known of a carrier; the default dialect, where nothing was said."""
        cdef Carrier* carriers
        cdef int each
        if not 0 <= carrier < CARRIERS_MAX:
            raise ValueError(f"carrier is 0 to {CARRIERS_MAX - 1}, not {carrier}")
        if carrier >= self.carrier_count:
            carriers = <Carrier*>realloc(self.carriers, (carrier + 1) * sizeof(Carrier))
            if carriers == NULL:
                raise MemoryError
            self.carriers = carriers
            memset(carriers + self.carrier_count, 0, (carrier + 1 - self.carrier_count) * sizeof(Carrier))
            for each in range(self.carrier_count, carrier + 1):
                carriers[each].receipts = True
                memcpy(carriers[each].outcomes, PyBytes_AS_STRING(<bytes>OUTCOMES), STATES)
                self.words.append(None)
            self.carrier_count = carrier + 1
        return &self.carriers[carrier]

    cdef int check(self, int carrier) except -1:
        if self.recovering:
            raise RuntimeError("the book is being recovered: call recovered() first")
        self.carrier_of(carrier)
        return 0

    cdef int put(
        self, int kind, int segment, int carrier, uint32_t code, uint64_t n, int64_t at_ms, const uint8_t* tail,
        Py_ssize_t tail_octets,
    ) except -1:
        cdef Head head
        if self.recovering:
            return 0
        head.kind, head.segment, head.carrier, head.code, head.n, head.at_ms = kind, segment, carrier, code, n, at_ms
        if not put_event(&self.events.outbox, &head, tail, tail_octets):
            raise MemoryError
        self.events.records += 1
        return 0

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

    def awaiting(self, int carrier):
        """Segments that await a receipt of a carrier, by traffic_class."""
        cdef Carrier* its = self.carrier_of(carrier)
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
        RETRY, command_status that of REFUSED.
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

    # ---- restart: see recovery.pxi ----

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

    def recovered(self):
        """End recovery: live calls follow. Counters begin at 0."""
        self.recovering = False
        table_free(&self.targets)
        if not table_init(&self.targets, sizeof(Target)):
            raise MemoryError
        self.matched = self.duplicate = self.overruled = self.ambiguous = self.corrected = 0
        self.unmatched = self.orphaned = self.unmapped = 0
        self.forget()

    def __repr__(self):
        return (f"<Book {self.outstanding} await a receipt, {self.works.count} on their way, {self.early.count} parked, "
                f"{self.matched} matched>")


cdef inline Id* id_at(Book book, uint32_t row) noexcept:
    return <Id*>row_at(&book.ids, row)


cdef inline uint64_t octets_of(const Table* table) noexcept nogil:
    return (
        <uint64_t>table.block_count * ROWS * table.row_octets + <uint64_t>table.head_blocks * HEADS * sizeof(uint32_t))


cdef int check_end(int outcome, int reason) except -1:
    if not (1 <= outcome <= OUTCOME_MAX and 1 <= reason <= REASON_MAX):
        raise ValueError(f"no end: outcome {outcome}, reason {reason}")
    return 0


include "recovery.pxi"
