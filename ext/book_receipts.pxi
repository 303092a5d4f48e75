# What the carrier says: ESME_ROK, after which a segment awaits its receipt, and the receipts, early, late or again.


cdef int accept(
    Book book, Submission submission, int carrier, int64_t at_ms, bytes message_id, const Key* key, bint late
) except -1:
    cdef Py_ssize_t octets = PyBytes_GET_SIZE(message_id) if message_id is not None else 0
    if not late:
        book.carriers[carrier].taken[submission.traffic_class] += 1
    put(
        book, SUBMITTED, submission.segment, carrier,
        late * LATE_CODE | submission.segments << 8 | submission.traffic_class, submission.n, at_ms,
        <const uint8_t*>PyBytes_AS_STRING(message_id) if 0 < octets <= ID_MAX else NULL, octets if octets <= ID_MAX else 0)
    return await_receipt(
        book, submission.n, submission.segment, submission.segments, submission.traffic_class, carrier, at_ms, key, late)


cdef int await_receipt(
    Book book, uint64_t n, int segment, int segments, int traffic_class, int carrier, int64_t at_ms, const Key* key,
    bint late,
) except -1:
    """ESME_ROK: the segment awaits its receipt, if one can come."""
    cdef Carrier* its = &book.carriers[carrier]
    cdef uint32_t row = find_row(&book.works, work_key(n, segment)), known = 0
    cdef Work* work = <Work*>row_at(&book.works, row) if row else NULL
    cdef Fold* fold = fold_of(book, n)
    cdef bint ended = state_of(&book.numbers, n) == ENDED
    cdef bint receipt_can_come = its.receipts and key.length
    cdef bint second = work == NULL or (late and work.state == CLAIMED)     # id of this segment
    cdef Id* awaiting
    if book.recovering and work == NULL:        # or is it that the snapshot's works are newer than this event?
        second = ended or find_row(&book.targets, work_key(n, segment))
    if receipt_can_come and (second or book.recovering):
        known = id_row_of(book, key, n, segment)
    if second and not known and fold == NULL and not ended:
        fold = make_fold(book, n, segments)     # its message is folded like one of several
    if row:
        remove_row(&book.works, row)
    if known:
        return unpark(book, key, known)
    if not receipt_can_come:
        if not has_ended(book, n, segment):
            end_segment(
                book, n, segment, UNKNOWN, NO_SMSC_MESSAGE_ID if its.receipts else NO_RECEIPT_ASKED, carrier, at_ms,
                traffic_class)
        return 0
    row = insert_row(&book.ids, key.low)
    if row == 0:
        raise MemoryError
    awaiting = id_at(book, row)
    awaiting.high, awaiting.n, awaiting.at_ms = key.high, n, at_ms
    awaiting.carrier, awaiting.segment = carrier, segment
    awaiting.flags = AWAITING | traffic_class << CLASS_SHIFT | (SHARED if second or fold != NULL or segments > 1 else 0)
    append_to(&book.ids, &its.awaiting, row)
    its.classes[traffic_class] += 1
    if book.recovering:
        aim(book, n, segment, row)
    return unpark(book, key, row)


cdef int read_incoming(Book book, Incoming incoming, int carrier, Receipt* receipt, Key* key) except -1:
    """The key of its id has no length where Python decides."""
    cdef Carrier* its = &book.carriers[carrier]
    key.length, key.low = 0, 0
    if not read_receipt(&incoming.fields, receipt):
        return 0
    if receipt.err.length < 0 or receipt.err.length > ERR_MAX:
        receipt.err.length = 0
    make_key(
        book, key, carrier, receipt.id.at, receipt.id.length, its.tlv_base if receipt.from_tlv else its.receipt_base)
    if receipt.state == STATE_OTHER or (its.own_words and not 0 <= incoming.fields.message_state < STATES):
        receipt.state = state_of_word(book, carrier, receipt)
    return 0


cdef bint book_receipt(Book book, int carrier, const Receipt* receipt, const Key* key, int64_t at_ms) except -1:
    """False: it is a message that looks like a receipt."""
    cdef uint32_t code = receipt.state if receipt.state >= 0 else UNKNOWN_STATE
    if receipt.intermediate:
        code |= INTERMEDIATE_CODE
    if not take_receipt(
        book, key, carrier, code, receipt.err.at, receipt.err.length, at_ms, receipt.sure
    ) and not receipt.sure:
        return False
    book.unmapped += receipt.state < 0
    return True


cdef int state_of_word(Book book, int carrier, const Receipt* receipt) except -1:
    """The message_state that stat means by the dialect; STATE_OTHER: none."""
    words = book.words[carrier]
    if words is None or receipt.stat.length < 0:
        return receipt.state
    state = words.get(PyBytes_FromStringAndSize(<const char*>receipt.stat.at, receipt.stat.length).upper())
    return STATE_OTHER if state is None else state


cdef bint take_receipt(
    Book book, const Key* key, int carrier, uint32_t code, const uint8_t* err, Py_ssize_t err_octets, int64_t at_ms,
    bint park,
) except -1:
    """Apply it to the segment that its id stands for, and say so; or else park it."""
    cdef int awaiting = 0
    cdef uint32_t row = best_of(book, key, &awaiting)
    if row:
        book.matched += 1
        book.ambiguous += awaiting > 1
        apply_receipt(book, row, code, err, err_octets, at_ms)
        return True
    if park:
        park_receipt(book, key, carrier, code, err, err_octets, at_ms)
    return False


cdef int apply_receipt(
    Book book, uint32_t row, uint32_t code, const uint8_t* err, Py_ssize_t err_octets, int64_t at_ms
) except -1:
    """A receipt about a row of ids that awaits one, or had one."""
    cdef Id* id = id_at(book, row)
    cdef bint first = place_of(id) == AWAITING
    cdef int outcome = 0, known = outcome_of(id)
    cdef uint64_t n = id.n
    if not code & INTERMEDIATE_CODE:
        outcome = book.carriers[id.carrier].outcomes[code & 0xFF]
    if not first and not wins(outcome, known):
        if outcome == 0 or outcome == known:
            book.duplicate += 1
        else:
            book.overruled += 1
        return 0
    put(book, RECEIPTED, id.segment, id.carrier, code, n, at_ms, err, err_octets)
    if not (code & INTERMEDIATE_CODE or book.recovering):
        book.carriers[id.carrier].states[code & 0xFF] += 1
    if outcome == 0:
        return 0
    if first and not book.recovering:
        observe(&book.carriers[id.carrier].receipts_after, (at_ms - id.at_ms) * 1000, 1)
    settle_row(book, row, outcome)
    if fold_of(book, n) != NULL or state_of(&book.numbers, n) != ENDED:
        end_segment(book, n, id.segment, outcome, BY_RECEIPT, id.carrier, at_ms, class_of(id))
    elif not id.flags & SHARED and (outcome == DELIVERED or not first):
        correct_outcome(book, n, outcome, BY_RECEIPT, id.carrier, at_ms)
    return 0


cdef int settle_row(Book book, uint32_t row, int outcome) except -1:
    """It has its final receipt, or will wait for none."""
    cdef Id* id = id_at(book, row)
    cdef Carrier* its = &book.carriers[id.carrier]
    if place_of(id) == AWAITING:
        take_from(&book.ids, &its.awaiting, row)
        its.classes[class_of(id)] -= 1
        append_to(&book.ids, &book.settled, row)
    set_settled(id, outcome)
    return 0


cdef int park_receipt(
    Book book, const Key* key, int carrier, uint32_t code, const uint8_t* err, Py_ssize_t err_octets, int64_t at_ms
) except -1:
    cdef uint8_t[ID_MAX + 1 + ERR_MAX] tail
    cdef Py_ssize_t octets = key.length
    cdef uint32_t row = find_row(&book.ids, key.low)
    cdef Id* early
    while row:
        early = id_at(book, row)
        if place_of(early) == EARLY and early.high == key.high and code_of(early) == code:
            book.duplicate += 1
            return 0
        row = next_row(&book.ids, row)
    if book.early.count >= book.parked_max and not book.recovering:
        give_up(book, book.early.oldest, at_ms)
    memcpy(tail, key.octets + 2, octets)
    if err_octets:
        tail[octets] = 0
        memcpy(tail + octets + 1, err, err_octets)
        octets += 1 + err_octets
    kept = PyBytes_FromStringAndSize(<const char*>tail, octets)
    row = insert_row(&book.ids, key.low)
    if row == 0:
        raise MemoryError
    early = id_at(book, row)
    early.high, early.at_ms, early.carrier, early.segment = key.high, at_ms, carrier, code & 0xFF
    early.flags = EARLY | (SHARED if code & INTERMEDIATE_CODE else 0)
    early.n = <uint64_t><PyObject*>kept
    Py_INCREF(kept)
    append_to(&book.ids, &book.early, row)
    book.unmatched += 1
    put(book, PARKED, WHOLE, carrier, code, 0, at_ms, tail, octets)
    return 0


cdef int unpark(Book book, const Key* key, uint32_t row) except -1:
    """Apply what was parked for the id of `row`, in the order of arrival."""
    cdef uint32_t each, oldest = 1
    cdef Id* early
    cdef const uint8_t* err
    cdef Py_ssize_t octets
    cdef uint32_t code
    while book.early.count and oldest:
        oldest, each = 0, find_row(&book.ids, key.low)
        while each:
            early = id_at(book, each)
            if place_of(early) == EARLY and early.high == key.high and (
                oldest == 0 or came_before(early, id_at(book, oldest))
            ):
                oldest = each
            each = next_row(&book.ids, each)
        if oldest:
            early = id_at(book, oldest)
            code = code_of(early)
            kept = <bytes><PyObject*>early.n
            drop_early(book, oldest)
            if book.recovering:  # RECEIPTED follows
                continue
            err = <const uint8_t*>PyBytes_AS_STRING(kept) + key.length
            octets = PyBytes_GET_SIZE(kept) - key.length
            book.matched += 1
            apply_receipt(book, row, code, err + 1, octets - 1 if octets else 0, id_at(book, row).at_ms)
    return 0


cdef int give_up(Book book, uint32_t row, int64_t at_ms) except -1:
    cdef Id* early = id_at(book, row)
    tail = <bytes><PyObject*>early.n
    put(
        book, ORPHANED, WHOLE, early.carrier, code_of(early), 0, at_ms, <const uint8_t*>PyBytes_AS_STRING(tail),
        PyBytes_GET_SIZE(tail))
    book.orphaned += 1
    return drop_early(book, row)


cdef int drop_early(Book book, uint32_t row) except -1:
    tail = <object><PyObject*>id_at(book, row).n
    take_from(&book.ids, &book.early, row)
    remove_row(&book.ids, row)
    Py_DECREF(tail)
    return 0
