# Where things are: the rows of a segment, the keys of ids, the carriers; and the events that say what happens.


cdef Work* touch(Book book, uint64_t n, int segment, int segments, int carrier) except? NULL:
    """The work of a segment, made with those of its siblings if the message is new; NULL: it needs none."""
    cdef int each
    cdef Fold* fold
    if state_of(&book.numbers, n) == UNTOUCHED:
        if not touch_number(&book.numbers, n):
            raise MemoryError
        fold = fold_of(book, n)
        if segments > 1 and fold == NULL:
            fold = make_fold(book, n, segments)
        for each in range(segments):
            if (fold == NULL or ends_of(fold)[each] == 0) and work_of(book, n, each) == NULL:
                make_work(book, n, each, carrier)
    return work_of(book, n, segment)


cdef int make_work(Book book, uint64_t n, int segment, int carrier) except -1:
    cdef uint32_t row = insert_row(&book.works, work_key(n, segment))
    if row == 0:
        raise MemoryError
    (<Work*>row_at(&book.works, row)).carrier = carrier
    return 0


cdef Work* work_of(Book book, uint64_t n, int segment) noexcept:
    cdef uint32_t row = find_row(&book.works, work_key(n, segment))
    return <Work*>row_at(&book.works, row) if row else NULL


cdef int drop_work(Book book, uint64_t n, int segment) noexcept:
    cdef uint32_t row = find_row(&book.works, work_key(n, segment))
    if row:
        remove_row(&book.works, row)
    return 0


cdef int move_work(Book book, uint64_t n, int segments, int carrier) except -1:
    cdef int segment
    cdef Work* work
    touch(book, n, 0, segments, carrier)
    for segment in range(segments):
        work = work_of(book, n, segment)
        if work != NULL:
            set_work(work, REROUTED, carrier, work.attempts, 0, 0)
    return 0


cdef Fold* make_fold(Book book, uint64_t n, int segments) except NULL:
    cdef uint32_t row = insert_row(&book.folds, n) if mark_number(&book.numbers, n) else 0
    cdef Fold* fold
    cdef uint8_t* ends
    if row == 0:
        raise MemoryError
    fold = <Fold*>row_at(&book.folds, row)
    if segments > ENDS:
        ends = <uint8_t*>calloc(segments, 1)
        if ends == NULL:
            remove_row(&book.folds, row)
            raise MemoryError
        memcpy(fold.ends, &ends, sizeof(ends))
    fold.segments = fold.remaining = segments
    return fold


cdef Fold* fold_of(Book book, uint64_t n) noexcept:
    cdef uint32_t row = fold_row_of(book, n)
    return <Fold*>row_at(&book.folds, row) if row else NULL


cdef uint32_t fold_row_of(Book book, uint64_t n) noexcept:
    return find_row(&book.folds, n) if book.folds.count and may_be_marked(&book.numbers, n) else 0


cdef bint has_ended(Book book, uint64_t n, int segment) except -1:
    cdef Fold* fold = fold_of(book, n)
    if fold == NULL:
        return state_of(&book.numbers, n) == ENDED
    check_segment(fold, segment)
    return ends_of(fold)[segment] != 0


cdef int check_segment(const Fold* fold, int segment) except -1:
    if segment >= fold.segments:
        raise ValueError(f"segment {segment} of message {fold.key}, which has {fold.segments}")
    return 0


cdef uint32_t best_of(Book book, const Key* key, int* awaiting) noexcept:
    """Of the segments that an id stands for, the newest that awaits a receipt, or else the newest; 0: none. Those
    that await one are counted."""
    cdef uint32_t row = find_row(&book.ids, key.low), best = 0
    cdef Id* id
    while row:
        id = id_at(book, row)
        if id.high == key.high and place_of(id) != EARLY:
            awaiting[0] += place_of(id) == AWAITING
            if best == 0 or stands_before(id, id_at(book, best)):
                best = row
        row = next_row(&book.ids, row)
    return best


cdef uint32_t id_row_of(Book book, const Key* key, uint64_t n, int segment) noexcept:
    """The row in which this id stands for this segment; 0: none."""
    cdef uint32_t row = find_row(&book.ids, key.low)
    cdef Id* id
    while row:
        id = id_at(book, row)
        if id.high == key.high and place_of(id) != EARLY and id.n == n and id.segment == segment:
            break
        row = next_row(&book.ids, row)
    return row


cdef int aim(Book book, uint64_t n, int segment, uint32_t row) except -1:
    """While recovering, lead from a segment to its row of ids."""
    cdef uint32_t aimed = insert_row(&book.targets, work_key(n, segment))
    if aimed == 0:
        raise MemoryError
    (<Target*>row_at(&book.targets, aimed)).row = row
    return 0


cdef int lose_aim(Book book, uint32_t row) noexcept:
    cdef Id* id = id_at(book, row)
    cdef uint32_t aimed = find_row(&book.targets, work_key(id.n, id.segment))
    while aimed and (<Target*>row_at(&book.targets, aimed)).row != row:
        aimed = next_row(&book.targets, aimed)
    if aimed:
        remove_row(&book.targets, aimed)
    return 0


cdef int key_of_response(Book book, Key* key, int carrier, bytes message_id) except -1:
    """The key of a message_id from submit_sm_resp."""
    if message_id is None:
        key.length, key.low = 0, 0
        return 0
    return make_key(
        book, key, carrier, <const uint8_t*>PyBytes_AS_STRING(message_id), PyBytes_GET_SIZE(message_id),
        book.carriers[carrier].response_base)


cdef int make_key(Book book, Key* key, int carrier, const uint8_t* id, Py_ssize_t length, int base) noexcept:
    """The key of an id as it came; its length is 0 where it is no id."""
    cdef char[KEY_MAX] digits
    cdef int size
    key.length, key.low = 0, 0
    if 0 < length <= ID_MAX:
        size = id_key(<const char*>id, <int>length, base, book.carriers[carrier].flags, digits)
        if size > 0:
            fill_key(book, key, carrier, <const uint8_t*>digits, size)
        elif size < 0:      # over 64 octets: as it is, as dispatcher._ext.receipt.key does
            fill_key(book, key, carrier, id, length)
    return 0


cdef int take_key(Book book, Key* key, int carrier, bytes text) except -1:
    """A key that Python made."""
    cdef Py_ssize_t length = PyBytes_GET_SIZE(text)
    if not 0 < length <= ID_MAX or memchr(PyBytes_AS_STRING(text), 0, length) != NULL:
        raise ValueError(f"a key has 1 to {ID_MAX} octets, none of them NUL")
    fill_key(book, key, carrier, <const uint8_t*>PyBytes_AS_STRING(text), length)
    return 0


cdef void fill_key(Book book, Key* key, int carrier, const uint8_t* text, Py_ssize_t length) noexcept:
    key.octets[0], key.octets[1] = carrier & 0xFF, carrier >> 8
    memcpy(key.octets + 2, text, length)
    key.length = length
    siphash(&book.seed, key.octets, length + 2, &key.low, &key.high)
    if key.low == 0:
        key.low = 1         # 0 is a free row


cdef Carrier* carrier_of(Book book, int carrier) except NULL:
    """What is known of a carrier; the default dialect, where nothing was said."""
    cdef Carrier* carriers
    cdef int each
    if not 0 <= carrier < CARRIERS_MAX:
        raise ValueError(f"carrier is 0 to {CARRIERS_MAX - 1}, not {carrier}")
    if carrier >= book.carrier_count:
        carriers = <Carrier*>realloc(book.carriers, (carrier + 1) * sizeof(Carrier))
        if carriers == NULL:
            raise MemoryError
        book.carriers = carriers
        memset(carriers + book.carrier_count, 0, (carrier + 1 - book.carrier_count) * sizeof(Carrier))
        for each in range(book.carrier_count, carrier + 1):
            carriers[each].receipts = True
            memcpy(carriers[each].outcomes, PyBytes_AS_STRING(<bytes>OUTCOMES), STATES)
            book.words.append(None)
        book.carrier_count = carrier + 1
    return &book.carriers[carrier]


cdef int check(Book book, int carrier) except -1:
    if book.recovering:
        raise RuntimeError("the book is being recovered: call recovered() first")
    carrier_of(book, carrier)
    return 0


cdef int put(
    Book book, int kind, int segment, int carrier, uint32_t code, uint64_t n, int64_t at_ms,
    const uint8_t* tail, Py_ssize_t tail_octets,
) except -1:
    cdef Head head
    if book.recovering:
        return 0
    if carrier < book.carrier_count:
        book.carriers[carrier].kinds[kind] += 1
    head.kind, head.segment, head.carrier, head.code, head.n, head.at_ms = kind, segment, carrier, code, n, at_ms
    if not put_event(&book.events.outbox, &head, tail, tail_octets):
        raise MemoryError
    book.events.records += 1
    return 0


# ---- messages that are another worker's from now on ----


cdef int leave(Book book, list numbers) except -1:
    """See Book.leave. One pass over each table, whatever there is to leave."""
    cdef uint64_t n, low = numbers[0], high = numbers[len(numbers) - 1]
    cdef uint8_t* gone = <uint8_t*>calloc(1, (high - low) // 8 + 1)
    cdef uint32_t row
    cdef uint64_t key
    cdef Id* id
    cdef Fold* fold
    if gone == NULL:
        raise MemoryError
    for n in numbers:
        if not low <= n <= high:
            free(gone)
            raise ValueError("numbers come in order")
        gone[(n - low) >> 3] |= 1 << (n - low & 7)
    for row in range(1, book.ids.top + 1):
        id = id_at(book, row)
        if id.key and place_of(id) != EARLY and is_gone(gone, low, high, id.n):
            if place_of(id) == AWAITING:
                take_from(&book.ids, &book.carriers[id.carrier].awaiting, row)
                book.carriers[id.carrier].classes[class_of(id)] -= 1
            else:
                take_from(&book.ids, &book.settled, row)
            remove_row(&book.ids, row)
    for row in range(1, book.works.top + 1):
        key = row_at(&book.works, row).key
        if key and is_gone(gone, low, high, key >> 8):
            remove_row(&book.works, row)
    for row in range(1, book.folds.top + 1):
        fold = <Fold*>row_at(&book.folds, row)
        if fold.key and fold.remaining and is_gone(gone, low, high, fold.key):
            if fold.segments > ENDS:
                free(ends_of(fold))
            remove_row(&book.folds, row)
    free(gone)
    for n in numbers:
        if not end_number(&book.numbers, n):
            raise MemoryError
    return 0


cdef inline bint is_gone(const uint8_t* gone, uint64_t low, uint64_t high, uint64_t n) noexcept:
    return low <= n <= high and gone[(n - low) >> 3] >> (n - low & 7) & 1
