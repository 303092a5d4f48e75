# How a book comes back after a restart: replay of events, and the snapshot that saves most of it.
#
# A snapshot is taken piece by piece while the book goes on changing, so it is of no single moment. It is right all
# the same once the events from its first piece on are replayed: each of them sets, and none of them adds, so that
# to apply one twice is to apply it once. The tables are written in the order of a segment's life backwards from
# what events cannot bring back: numbers, ids, works, folds; so a later table is never older than an earlier one.
#
# A piece is a tag and records of it, as they lie in memory: the numbers of one machine's making.
#
#     S  version and seed           of a book whose ids these are
#     N  spans of numbers           number of the span, 0 all ended or 1, then touched and ended bits
#     I  rows of ids, without what links them
#     P  parked receipts            records of events, PARKED
#     W  rows of works              F  rows of folds, then the ends of their segments

cdef enum:
    VERSION = 1
    PIECE_OCTETS = 1 << 20
    PIECE_ROWS = 16_384         # scanned for one piece: of ids they are 0.6 MiB
    LINKED_OCTETS = 20          # of a row: its key, and what links it, which is not written
    SPAN_OCTETS = 8 + 1 + 2 * 8 * SPAN_WORDS


# ---- replay ----

cdef object replay_body(Book book, bytes body):
    cdef const uint8_t* at = <const uint8_t*>PyBytes_AS_STRING(body)
    cdef Py_ssize_t left = PyBytes_GET_SIZE(body), octets, tail_octets = 0, count = 0
    cdef Head head
    if not book.recovering and book.events.records:
        raise RuntimeError("events that are not taken yet would be lost: replay first")
    book.recovering = True
    while left:
        octets = get_event(at, left, &head, &tail_octets)
        if octets <= 0:
            where = f"octet {PyBytes_GET_SIZE(body) - left} of a body of events"
            raise StoreError(f"{where}: " + ("the record is cut" if octets == CUT else f"unknown kind {head.kind}"))
        try:
            replay_event(book, &head, at + RECORD_OCTETS, tail_octets)
        except ValueError as error:
            raise StoreError(f"octet {PyBytes_GET_SIZE(body) - left} of a body of events: {error}") from error
        at += octets
        left -= octets
        count += 1
    forget(book)
    return count


cdef int replay_event(Book book, const Head* head, const uint8_t* tail, Py_ssize_t tail_octets) except -1:
    cdef uint64_t n = head.n
    cdef int kind = head.kind, segment = head.segment, carrier = head.carrier, segments
    cdef uint32_t row
    cdef int64_t due_ms = 0
    cdef Work* work
    cdef Key key
    carrier_of(book, carrier)
    if kind == PARKED or kind == ORPHANED:
        return replay_parked(book, head, tail, tail_octets)
    if not 1 <= n < N_MAX:
        raise ValueError(f"message {n}")
    if kind == CLAIMED or kind == REROUTED:
        segments = tail[0] if tail_octets == 2 else 0
        if segments == 0 or (kind == CLAIMED and segment >= segments):
            raise ValueError(f"segment {segment} of {segments}")
        if kind == REROUTED:
            return 0 if state_of(&book.numbers, n) == ENDED else move_work(book, n, segments, carrier)
        work = touch(book, n, segment, segments, carrier)
        if work != NULL:
            set_work(work, CLAIMED, carrier, head.code & 0xFFFF, head.at_ms, 0)
    elif kind == SUBMITTED:
        segments = head.code >> 8 & 0xFF
        if segment >= segments or head.code & 0xFF >= CLASSES:
            raise ValueError(f"segment {segment} of {segments}, traffic_class {head.code & 0xFF}")
        make_key(book, &key, carrier, tail, tail_octets, book.carriers[carrier].response_base)
        await_receipt(
            book, n, segment, segments, head.code & 0xFF, carrier, head.at_ms, &key, head.code & LATE_CODE != 0)
    elif kind == RECEIPTED:
        row = target_of(book, n, segment, carrier, False)
        if row:
            apply_receipt(book, row, head.code, tail, tail_octets, head.at_ms)
    elif kind == FAILED or kind == FINISHED:
        if head.code & 0xFFFF == NO_RECEIPT:
            row = target_of(book, n, segment if kind == FAILED else 0, carrier, True)
            if row:
                settle_row(book, row, UNKNOWN)
        check_end(head.code >> 16, head.code & 0xFFFF)
        if kind == FAILED:
            segments = tail[0] if tail_octets == 1 else 0
            if segment >= segments:
                raise ValueError(f"segment {segment} of {segments}")
            touch(book, n, segment, segments, carrier)
            if not has_ended(book, n, segment):
                end_segment(book, n, segment, head.code >> 16, head.code & 0xFFFF, carrier, head.at_ms, CLASSES)
        elif state_of(&book.numbers, n) != ENDED:
            close_message(book, n, head.code >> 16, head.code & 0xFFFF)
    elif kind != CORRECTED:     # which follows from the receipts
        work = work_of(book, n, segment)
        if work != NULL:
            if kind == RETRY and tail_octets == sizeof(due_ms):
                memcpy(&due_ms, tail, sizeof(due_ms))
            elif kind == UNANSWERED:
                due_ms = head.at_ms
            set_work(
                work, kind, carrier, <int>(head.code & 0xFFFF) if kind == UNSENT else work.attempts, due_ms,
                head.code if kind == REFUSED else 0)
    return 0


cdef int replay_parked(Book book, const Head* head, const uint8_t* tail, Py_ssize_t tail_octets) except -1:
    cdef const uint8_t* end = <const uint8_t*>memchr(tail, 0, tail_octets) if tail_octets else NULL
    cdef Py_ssize_t length = end - tail if end != NULL else tail_octets
    cdef Py_ssize_t err_octets = max(0, tail_octets - length - 1)
    cdef uint32_t row
    cdef Id* early
    cdef Key key
    if not 0 < length <= ID_MAX or err_octets > ERR_MAX or head.code & 0xFF >= STATES:
        raise ValueError("a parked receipt without an id or a state")
    fill_key(book, &key, head.carrier, tail, length)
    if head.kind == PARKED:
        return park_receipt(book, &key, head.carrier, head.code, tail + length + 1, err_octets, head.at_ms)
    row = find_row(&book.ids, key.low)
    while row:
        early = id_at(book, row)
        if place_of(early) == EARLY and early.high == key.high and code_of(early) == head.code:
            return drop_early(book, row)
        row = next_row(&book.ids, row)
    return 0


cdef uint32_t target_of(Book book, uint64_t n, int segment, int carrier, bint oldest) noexcept:
    """The row of ids that a receipt of this segment was for, or that expired; 0: it is forgotten."""
    cdef uint32_t aimed = find_row(&book.targets, work_key(n, segment)), row, best = 0
    cdef Id* id
    while aimed:
        row = (<Target*>row_at(&book.targets, aimed)).row
        id = id_at(book, row)
        if id.carrier == carrier and not (oldest and place_of(id) != AWAITING) and (
            best == 0 or stands_before(id, id_at(book, best)) != oldest
        ):
            best = row
        aimed = next_row(&book.targets, aimed)
    return best


cdef extern from *:
    uint32_t ones "__builtin_popcountll"(uint64_t bits) noexcept nogil


# ---- the snapshot, out ----

def _dump(Book book):
    cdef uint32_t at
    if book.recovering:
        raise RuntimeError("the book is being recovered: call recovered() first")
    yield b"S" + bytes([VERSION]) + PyBytes_FromStringAndSize(<const char*>&book.seed, sizeof(Seed))
    at = 0
    while at < book.numbers.count:
        yield piece_of_numbers(book, &at)
    at = 1
    while at <= book.ids.top:
        yield piece_of_rows(&book.ids, b"I", at, EARLY)
        yield piece_of_parked(book, at)
        at += PIECE_ROWS
    at = 1
    while at <= book.works.top:
        yield piece_of_rows(&book.works, b"W", at)
        at += PIECE_ROWS
    at = 1
    while at <= book.folds.top:
        yield piece_of_folds(book, &at)


cdef bytes piece_of_numbers(Book book, uint32_t* at):
    cdef Outbox piece
    cdef uint64_t number
    cdef uint8_t state
    outbox_init(&piece)
    put_octets(&piece, b"N", 1)
    while at[0] < book.numbers.count and piece.used <= PIECE_OCTETS - SPAN_OCTETS:
        span = book.numbers.spans[at[0]]
        if span != NULL:
            number, state = at[0], span != ALL_ENDED
            put_octets(&piece, &number, sizeof(number))
            put_octets(&piece, &state, 1)
            if state:
                put_octets(&piece, span.touched, sizeof(span.touched))
                put_octets(&piece, span.ended, sizeof(span.ended))
        at[0] += 1
    return taken(&piece)


cdef bytes piece_of_rows(const Table* table, bytes tag, uint32_t at, int without=0):
    """The rows in use of PIECE_ROWS from `at`, without what links them, and of ids without those in a place."""
    cdef Outbox piece
    cdef uint32_t row
    cdef const uint8_t* each
    outbox_init(&piece)
    put_octets(&piece, PyBytes_AS_STRING(tag), 1)
    for row in range(at, min(at + PIECE_ROWS, table.top + 1)):
        each = <const uint8_t*>row_at(table, row)
        if (<const Row*>each).key and not (without and place_of(<const Id*>each) == without):
            put_octets(&piece, each, sizeof(uint64_t))
            put_octets(&piece, each + LINKED_OCTETS, table.row_octets - LINKED_OCTETS)
    return taken(&piece)


cdef bytes piece_of_parked(Book book, uint32_t at):
    cdef Outbox piece
    cdef uint32_t row
    cdef Id* early
    cdef Head head
    outbox_init(&piece)
    put_octets(&piece, b"P", 1)
    for row in range(at, min(at + PIECE_ROWS, book.ids.top + 1)):
        early = id_at(book, row)
        if early.key and place_of(early) == EARLY:
            tail = <bytes><PyObject*>early.n
            head.kind, head.segment, head.carrier, head.code = PARKED, WHOLE, early.carrier, code_of(early)
            head.n, head.at_ms = 0, early.at_ms
            if not put_event(&piece, &head, <const uint8_t*>PyBytes_AS_STRING(tail), PyBytes_GET_SIZE(tail)):
                raise MemoryError
    return taken(&piece)


cdef bytes piece_of_folds(Book book, uint32_t* at):
    cdef Outbox piece
    cdef Fold* fold
    outbox_init(&piece)
    put_octets(&piece, b"F", 1)
    while at[0] <= book.folds.top and piece.used <= PIECE_OCTETS - 512:
        fold = <Fold*>row_at(&book.folds, at[0])
        if fold.key:
            put_octets(&piece, &fold.key, sizeof(fold.key))
            put_octets(&piece, &fold.segments, 1)
            put_octets(&piece, ends_of(fold), fold.segments)
        at[0] += 1
    return taken(&piece)


cdef int put_octets(Outbox* piece, const void* octets, Py_ssize_t length) except -1:
    cdef uint8_t* to = outbox_room(piece, length)
    if to == NULL:
        outbox_free(piece)
        raise MemoryError
    memcpy(to, octets, length)
    piece.used += length
    return 0


cdef bytes taken(Outbox* piece):
    try:
        return PyBytes_FromStringAndSize(<const char*>piece.data, piece.used)
    finally:
        outbox_free(piece)


# ---- the snapshot, in ----

cdef int load_pieces(Book book, pieces) except -1:
    cdef bytes piece
    cdef bint begun = False
    if book.ids.count or book.works.count or book.folds.count or book.numbers.count:
        raise RuntimeError("only a new book is loaded")
    book.recovering = True
    for piece in pieces:
        tag, size = piece[:1], PyBytes_GET_SIZE(piece) - 1
        if tag == b"S" and not begun and size == 1 + sizeof(Seed) and piece[1] == VERSION:
            memcpy(&book.seed, PyBytes_AS_STRING(piece) + 2, sizeof(Seed))
            begun = True
        elif not begun or not load_piece(book, tag, <const uint8_t*>PyBytes_AS_STRING(piece) + 1, size):
            raise StoreError(f"a snapshot of {size + 1} octets with tag {tag!r} is not of this version, or is broken")
    drop_ended_works(book)
    link_by_age(book)
    forget(book)
    return 0


cdef bint load_piece(Book book, bytes tag, const uint8_t* at, Py_ssize_t size) except -1:
    """False: it is broken."""
    cdef const uint8_t* end = at + size
    while at < end:
        if tag == b"N":
            at = load_span(book, at, end)
        elif tag == b"I":
            at = load_id(book, at, end)
        elif tag == b"W":
            at = load_work(book, at, end)
        elif tag == b"F":
            at = load_fold(book, at, end)
        elif tag == b"P":
            at = load_parked(book, at, end)
        else:
            return False
        if at == NULL:
            return False
    return at == end


cdef const uint8_t* load_span(Book book, const uint8_t* at, const uint8_t* end) except? NULL:
    cdef uint64_t number
    cdef Span* span
    cdef uint32_t word
    if end - at < <Py_ssize_t>sizeof(number) + 1:
        return NULL
    memcpy(&number, at, sizeof(number))
    at += sizeof(number)
    if number >= SPANS_MAX or at[0] > 1 or (at[0] and end - at < SPAN_OCTETS - 8):
        return NULL
    span = span_for(&book.numbers, number)
    if span == NULL:
        raise MemoryError
    if span == ALL_ENDED:
        return NULL
    if at[0] == 0:
        free(span)
        book.numbers.spans[number] = ALL_ENDED
        return at + 1
    memcpy(span.touched, at + 1, sizeof(span.touched))
    memcpy(span.ended, at + 1 + sizeof(span.touched), sizeof(span.ended))
    for word in range(<uint32_t>SPAN_WORDS):
        span.ended_count += ones(span.ended[word])
    return at + SPAN_OCTETS - 8


cdef uint32_t load_row(Table* table, const uint8_t* at, const uint8_t* end) except? 0:
    """The new row; 0: it is broken."""
    cdef uint64_t key
    cdef uint32_t row
    if end - at < table.row_octets - LINKED_OCTETS + 8:
        return 0
    memcpy(&key, at, sizeof(key))
    if key == 0:
        return 0
    row = insert_row(table, key)
    if row == 0:
        raise MemoryError
    memcpy(<uint8_t*>row_at(table, row) + LINKED_OCTETS, at + 8, table.row_octets - LINKED_OCTETS)
    return row


cdef const uint8_t* load_id(Book book, const uint8_t* at, const uint8_t* end) except? NULL:
    cdef uint32_t row = load_row(&book.ids, at, end)
    cdef Id* id
    if row == 0:
        return NULL
    id = id_at(book, row)
    if not (
        1 <= id.n < N_MAX and outcome_of(id) <= OUTCOME_MAX
        and place_of(id) == (SETTLED if outcome_of(id) else AWAITING)
    ):
        id.flags = 0
        remove_row(&book.ids, row)
        return NULL
    carrier_of(book, id.carrier)
    aim(book, id.n, id.segment, row)
    return at + book.ids.row_octets - LINKED_OCTETS + 8


cdef const uint8_t* load_work(Book book, const uint8_t* at, const uint8_t* end) except? NULL:
    cdef uint32_t row = load_row(&book.works, at, end)
    return at + book.works.row_octets - LINKED_OCTETS + 8 if row else NULL


cdef const uint8_t* load_fold(Book book, const uint8_t* at, const uint8_t* end) except? NULL:
    cdef uint64_t n
    cdef Fold* fold
    cdef uint8_t* ends
    cdef int segment
    if end - at < 9 or at[8] == 0 or end - at < 9 + at[8]:
        return NULL
    memcpy(&n, at, sizeof(n))
    if not 1 <= n < N_MAX:
        return NULL
    fold = make_fold(book, n, at[8])
    ends = ends_of(fold)
    for segment in range(fold.segments):
        ends[segment] = at[9 + segment]
        if ends[segment] and not 1 <= (ends[segment] & 15) <= OUTCOME_MAX:
            return NULL
        fold.remaining -= ends[segment] != 0
    if state_of(&book.numbers, n) == ENDED:
        append_to(&book.folds, &book.closed, find_row(&book.folds, n))
    return at + 9 + fold.segments


cdef const uint8_t* load_parked(Book book, const uint8_t* at, const uint8_t* end) except? NULL:
    cdef Head head
    cdef Py_ssize_t tail_octets = 0, octets = get_event(at, end - at, &head, &tail_octets)
    if octets <= 0 or head.kind != PARKED:
        return NULL
    carrier_of(book, head.carrier)
    try:
        replay_parked(book, &head, at + RECORD_OCTETS, tail_octets)
    except ValueError:
        return NULL
    return at + octets


cdef int drop_ended_works(Book book) noexcept:
    """The folds are newer: a segment may have ended since its work was written."""
    cdef uint32_t row
    cdef uint64_t key
    cdef Fold* fold
    for row in range(1, book.works.top + 1):
        key = row_at(&book.works, row).key
        fold = fold_of(book, key >> 8) if key else NULL
        if fold != NULL and (key & 0xFF) < fold.segments and ends_of(fold)[key & 0xFF]:
            remove_row(&book.works, row)
    return 0


cdef struct Aged:
    int64_t at_ms
    uint32_t row


cdef int by_age(const void* one, const void* other) noexcept nogil:
    cdef const Aged* a = <const Aged*>one
    cdef const Aged* b = <const Aged*>other
    return (a.at_ms > b.at_ms) - (a.at_ms < b.at_ms)


cdef int link_by_age(Book book) except -1:
    """Thread the lists again: rows come in the order of memory."""
    cdef Aged* aged = <Aged*>malloc((<size_t>book.ids.count + 1) * sizeof(Aged))
    cdef uint32_t row, count = 0, each
    cdef Id* id
    cdef Fold* fold
    cdef Carrier* its
    if aged == NULL:
        raise MemoryError
    for row in range(1, book.ids.top + 1):
        id = id_at(book, row)
        fold = fold_of(book, id.n) if id.key and place_of(id) != EARLY else NULL
        if fold != NULL and id.segment >= fold.segments:
            free(aged)
            raise StoreError(f"a snapshot with segment {id.segment} of message {id.n}, which has {fold.segments}")
        if id.key:
            aged[count].at_ms, aged[count].row = id_at(book, row).at_ms, row
            count += 1
    memset(&book.early, 0, sizeof(List))
    qsort(aged, count, sizeof(Aged), by_age)
    for each in range(count):
        row = aged[each].row
        id = id_at(book, row)
        its = &book.carriers[id.carrier]
        if place_of(id) == AWAITING:
            append_to(&book.ids, &its.awaiting, row)
            its.classes[class_of(id)] += 1
        else:
            append_to(&book.ids, &book.early if place_of(id) == EARLY else &book.settled, row)
    free(aged)
    return 0
