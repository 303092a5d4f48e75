# The ends of segments, and how they fold into the one outcome of their message.


cdef int end_unreceipted(
    Book book, uint64_t n, int segment, int outcome, int reason, int carrier, int64_t at_ms, int traffic_class
) except -1:
    cdef Fold* fold = fold_of(book, n)
    if fold != NULL:
        put(book, FAILED, segment, carrier, outcome << 16 | reason, n, at_ms, &fold.segments, 1)
    return end_segment(book, n, segment, outcome, reason, carrier, at_ms, traffic_class)


cdef int end_segment(
    Book book, uint64_t n, int segment, int outcome, int reason, int carrier, int64_t at_ms, int traffic_class
) except -1:
    """One segment ends, or is found to have ended otherwise; its message, if it was the last."""
    cdef Fold* fold = fold_of(book, n)
    cdef uint8_t* ends
    cdef uint8_t before, worst
    if fold == NULL:
        return finish_message(book, n, outcome, reason, carrier, at_ms, traffic_class)
    check_segment(fold, segment)
    ends = ends_of(fold)
    if ends[segment] == 0:
        ends[segment] = reason << 4 | outcome
        fold.remaining -= 1
        drop_work(book, n, segment)
        if fold.remaining == 0:
            worst = worst_of(fold)
            finish_message(book, n, worst & 15, worst >> 4, carrier, at_ms, traffic_class)
    elif wins(outcome, ends[segment] & 15):
        before = worst_of(fold)
        ends[segment] = reason << 4 | outcome
        worst = worst_of(fold)
        if fold.remaining == 0 and worst & 15 != before & 15:
            correct_outcome(book, n, worst & 15, worst >> 4, carrier, at_ms)
    elif outcome == ends[segment] & 15:
        book.duplicate += 1
    else:
        book.overruled += 1
    return 0


cdef int finish_message(
    Book book, uint64_t n, int outcome, int reason, int carrier, int64_t at_ms, int traffic_class
) except -1:
    if book.recovering:  # FINISHED follows
        return 0
    put(book, FINISHED, WHOLE, carrier, outcome << 16 | reason, n, at_ms, NULL, 0)
    count_end(book, n, outcome, reason, at_ms, traffic_class)
    if book.finished is not None:
        book.finished.append((n, outcome, reason))
    return close_message(book, n, outcome, reason)


cdef void count_end(Book book, uint64_t n, int outcome, int reason, int64_t at_ms, int traffic_class) noexcept:
    cdef int64_t since_ms = book.intake.since(n)
    book.ended[traffic_class][outcome][reason] += 1
    if since_ms:
        observe(&book.end_bins[traffic_class], (at_ms - since_ms) * 1000, 1)


cdef int correct_outcome(Book book, uint64_t n, int outcome, int reason, int carrier, int64_t at_ms) except -1:
    book.corrected += 1
    return put(book, CORRECTED, WHOLE, carrier, outcome << 16 | reason, n, at_ms, NULL, 0)


cdef int close_message(Book book, uint64_t n, int outcome, int reason) except -1:
    """The message has ended: no work is left of it, and whatever segment was open ended with it."""
    cdef uint32_t row = fold_row_of(book, n)
    cdef Fold* fold
    cdef uint8_t* ends
    cdef int segment
    if not end_number(&book.numbers, n):
        raise MemoryError
    if row == 0:
        return drop_work(book, n, 0)
    fold = <Fold*>row_at(&book.folds, row)
    ends = ends_of(fold)
    for segment in range(fold.segments):
        if ends[segment] == 0:
            ends[segment] = reason << 4 | outcome
        drop_work(book, n, segment)
    fold.remaining = 0
    append_to(&book.folds, &book.closed, row)
    return 0


cdef int forget(Book book) except -1:
    """Of what has ended, the oldest beyond `settled_max`."""
    cdef uint32_t row
    cdef uint32_t[BATCH] rows
    cdef int count, index
    cdef Fold* fold
    while book.settled.count > book.settled_max:
        count, row = 0, book.settled.oldest
        while count < BATCH and book.settled.count - count > book.settled_max:
            rows[count] = row
            prefetch(head_of(&book.ids, id_at(book, row).key))
            row = id_at(book, row).newer
            count += 1
        for index in range(count):
            prefetch(id_at(book, head_of(&book.ids, id_at(book, rows[index]).key)[0]))
        for index in range(count):
            if book.recovering:
                lose_aim(book, rows[index])
            take_from(&book.ids, &book.settled, rows[index])
            remove_row(&book.ids, rows[index])
    while book.closed.count > book.settled_max:
        row = book.closed.oldest
        fold = <Fold*>row_at(&book.folds, row)
        if fold.segments > ENDS:
            free(ends_of(fold))
        take_from(&book.folds, &book.closed, row)
        remove_row(&book.folds, row)
    return 0
