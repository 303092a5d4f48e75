# cython: language_level=3
"""A table of millions of fixed-size rows by a 64-bit key, none of whose operations takes long.

Law: one insertion, removal or look-up touches one bucket, and an insertion divides at most one other; nothing is
ever moved, copied or rehashed as a whole (law 12 of the design: the loop never blocks).

Plan. *Linear hashing* (Litwin, 1980): there are as many buckets as rows, and each insertion that would make more
rows than buckets divides the next bucket in turn in two. A bucket is a chain of row numbers. Rows and heads of
chains lie in blocks that are added one at a time and never move; a row keeps its number and its place for life.
Freed rows are used again. A table never shrinks.

A row is a struct that begins with the fields of `Row`. Keys need not be unique. Row numbers run from 1; 0 is none,
and reads as a free row with nothing behind it. Lists thread rows in an order of their own: by time.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memset

cdef extern from *:
    """
    #include <stdlib.h>
    #include <sys/mman.h>
    /* Millions of rows are met in no order: with pages of 4 KiB each costs a miss of the TLB beside that of the
       cache, which on a virtual machine is the dearer one. */
    #define HUGE_PAGE 2097152
    static void *huge_pages(size_t octets) {
        void *made;
        octets = (octets + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
        made = aligned_alloc(HUGE_PAGE, octets);
    #ifdef MADV_HUGEPAGE
        if (made != NULL)
            madvise(made, octets, MADV_HUGEPAGE);
    #endif
        return made;
    }
    """
    void *huge_pages(size_t octets) noexcept nogil

cdef extern from *:
    # Of many rows, first for all their heads, then for the rows, then the work: the misses of the cache overlap. Not in
    # a function that does nothing else: gcc takes it for one without effect, and leaves it out.
    void prefetch "__builtin_prefetch"(const void *at) noexcept nogil

cdef enum:
    ROW_BITS = 17
    ROWS = 1 << ROW_BITS        # in a block: a few pages of 2 MiB, which the system gives as they are touched
    HEAD_BITS = 19
    HEADS = 1 << HEAD_BITS      # 2 MiB
    BUCKETS_MIN = 1024

cdef struct Row:
    uint64_t key                # 0: a free row
    uint32_t chain              # the next row of its bucket, or of the free ones
    uint32_t older              # its neighbours in the list that it is in
    uint32_t newer

cdef struct List:
    uint32_t oldest
    uint32_t newest
    uint32_t count

cdef struct Table:
    Py_ssize_t row_octets
    uint8_t **blocks
    uint32_t **heads
    uint32_t block_count
    uint32_t head_blocks
    uint32_t top                # the highest row number ever used
    uint32_t freed
    uint32_t count
    uint32_t buckets
    uint32_t half               # the power of two that `buckets` has reached: those below buckets - half are divided
    uint32_t work_max           # the most rows that one operation has touched


cdef inline Row *row_at(const Table *table, uint32_t row) noexcept nogil:
    return <Row *>(table.blocks[row >> ROW_BITS] + (row & ROWS - 1) * table.row_octets)

cdef inline uint64_t spread(uint64_t key) noexcept nogil:
    """Keys may be numbers in a row: their low bits must come to depend on all of them."""
    key *= <uint64_t>0x9E3779B97F4A7C15
    return key ^ (key >> 32)

cdef inline uint32_t *head_of(const Table *table, uint64_t key) noexcept nogil:
    cdef uint64_t hashed = spread(key)
    cdef uint32_t bucket = <uint32_t>(hashed & (2 * <uint64_t>table.half - 1))
    if bucket >= table.buckets:
        bucket -= table.half
    return &table.heads[bucket >> HEAD_BITS][bucket & HEADS - 1]

cdef inline void *grown(void *blocks, uint32_t count, Py_ssize_t octets) noexcept nogil:
    """`blocks`, an array of pointers, with one block of so many octets more; NULL: no memory."""
    cdef void **more = <void **>realloc(blocks, (count + 1) * sizeof(void *))
    if more == NULL:
        return NULL
    more[count] = huge_pages(octets)
    return more

cdef inline bint table_init(Table *table, Py_ssize_t row_octets) noexcept nogil:
    """False: no memory."""
    memset(table, 0, sizeof(Table))
    table.row_octets = row_octets
    table.buckets = table.half = BUCKETS_MIN
    return add_heads(table) and add_rows(table)

cdef inline void table_free(Table *table) noexcept nogil:
    cdef uint32_t block
    for block in range(table.block_count):
        free(table.blocks[block])
    for block in range(table.head_blocks):
        free(table.heads[block])
    free(table.blocks)
    free(table.heads)
    memset(table, 0, sizeof(Table))

cdef inline bint add_heads(Table *table) noexcept nogil:
    cdef void *more = grown(table.heads, table.head_blocks, HEADS * sizeof(uint32_t))
    if more == NULL:
        return False
    table.heads = <uint32_t **>more
    if table.heads[table.head_blocks] == NULL:
        return False
    memset(table.heads[table.head_blocks], 0, HEADS * sizeof(uint32_t))
    table.head_blocks += 1
    return True

cdef inline bint add_rows(Table *table) noexcept nogil:
    cdef void *more = grown(table.blocks, table.block_count, ROWS * table.row_octets)
    if more == NULL:
        return False
    table.blocks = <uint8_t **>more
    if table.blocks[table.block_count] == NULL:
        return False
    if table.block_count == 0:
        memset(table.blocks[0], 0, table.row_octets)
    table.block_count += 1
    return True

cdef inline bint divide(Table *table) noexcept nogil:
    """One bucket more: what belongs there moves over from the one that it is split off."""
    cdef uint32_t bucket = table.buckets, row, after, touched = 0
    cdef uint32_t *low
    cdef uint32_t *high
    cdef Row *each
    if bucket >> HEAD_BITS >= table.head_blocks and not add_heads(table):
        return False
    high = &table.heads[bucket >> HEAD_BITS][bucket & HEADS - 1]
    bucket -= table.half
    low = &table.heads[bucket >> HEAD_BITS][bucket & HEADS - 1]
    row = low[0]
    low[0] = high[0] = 0
    while row:
        each = row_at(table, row)
        after = each.chain
        if spread(each.key) & table.half:
            each.chain = high[0]
            high[0] = row
        else:
            each.chain = low[0]
            low[0] = row
        row = after
        touched += 1
    table.buckets += 1
    if table.buckets == 2 * table.half:
        table.half = table.buckets
    if touched > table.work_max:
        table.work_max = touched
    return True

cdef inline uint32_t insert_row(Table *table, uint64_t key) noexcept nogil:
    """A new row, zeroed but for its key; 0: no memory."""
    cdef uint32_t row = table.freed
    cdef uint32_t *head
    cdef Row *made
    if table.count >= table.buckets and not divide(table):
        return 0
    if row:
        table.freed = row_at(table, row).chain
    else:
        row = table.top + 1
        if row >> ROW_BITS >= table.block_count and not add_rows(table):
            return 0
        table.top = row
    made = row_at(table, row)
    memset(made, 0, table.row_octets)
    made.key = key
    head = head_of(table, key)
    made.chain = head[0]
    head[0] = row
    table.count += 1
    return row

cdef inline void remove_row(Table *table, uint32_t row) noexcept nogil:
    """Free it; it is in no list any more."""
    cdef Row *gone = row_at(table, row)
    cdef uint32_t *link = head_of(table, gone.key)
    while link[0] != row:
        link = &row_at(table, link[0]).chain
    link[0] = gone.chain
    gone.key = 0
    gone.chain = table.freed
    table.freed = row
    table.count -= 1

cdef inline uint32_t find_row(Table *table, uint64_t key) noexcept nogil:
    """A row with this key, 0: none. The others: `next_row`."""
    return seek(table, head_of(table, key)[0], key)

cdef inline uint32_t next_row(Table *table, uint32_t row) noexcept nogil:
    """One more with the key of `row`; 0: no more."""
    cdef Row *found = row_at(table, row)
    return seek(table, found.chain, found.key)

cdef inline uint32_t seek(Table *table, uint32_t row, uint64_t key) noexcept nogil:
    cdef uint32_t touched = 1
    cdef Row *each
    while row:
        each = row_at(table, row)
        if each.key == key:
            break
        row = each.chain
        touched += 1
    if touched > table.work_max:
        table.work_max = touched
    return row


# ---------------------------------------------------------------- lists

cdef inline void append_to(Table *table, List *members, uint32_t row) noexcept nogil:
    """Make it the newest."""
    cdef Row *added = row_at(table, row)
    added.older = members.newest
    added.newer = 0
    if members.newest:
        row_at(table, members.newest).newer = row
    else:
        members.oldest = row
    members.newest = row
    members.count += 1

cdef inline void take_from(Table *table, List *members, uint32_t row) noexcept nogil:
    cdef Row *taken = row_at(table, row)
    if taken.older:
        row_at(table, taken.older).newer = taken.newer
    else:
        members.oldest = taken.newer
    if taken.newer:
        row_at(table, taken.newer).older = taken.older
    else:
        members.newest = taken.older
    members.count -= 1
