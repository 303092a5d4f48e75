# The scan of one receipt text: where its fields stand. Header only; to be cimported by compiled modules:
#
#     from receipt_scan cimport Scan, scan_receipt, id_key
#
# Law (13): any bytes give a Scan, nothing fails; every offset lies inside the text. No Python object, no GIL.
#
# Grammar, tolerant on purpose (SMPP 3.4 appendix B calls the layout vendor specific):
#
#     receipt = { anything | key blanks ":" blanks value }      any order, any case, any of them missing
#     key     = "id" | "sub" | "dlvrd" | "submit date" | "done date" | "stat" | "err" | "text"
#               at a word's beginning; between the two words of a key: any number of blanks, "_" or "-"
#     value   = octets up to a blank or control octet; or up to "," ";" "|" where a key or the end follows;
#               empty where a key follows at once. A date may go on after one blank with "hh:mm"
#     text    = the rest, without NULs at the end
#
# The first value of a key counts. `text:` ends the fields, as a user's text may hold "stat:" itself; only where
# no stat was seen before it are the fields that are still missing looked for behind it.

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    FIELD_ID = 0
    FIELD_STAT = 1
    FIELD_ERR = 2
    FIELD_SUB = 3
    FIELD_DLVRD = 4
    FIELD_SUBMIT = 5
    FIELD_DONE = 6
    FIELD_TEXT = 7
    FIELDS = 8
    NO_FIELD = -1

cdef enum:
    STATE_ABSENT = -1   # no stat
    STATE_OTHER = -2    # a stat that is none of the ten words: ask the dialect

cdef enum:
    KEY_FOLD_CASE = 1
    KEY_STRIP_ZEROS = 2
    KEY_MAX = 96        # room that id_key needs: 64 hexadecimal digits are 78 decimal ones

cdef struct Scan:
    int32_t at[FIELDS]    # offset of each field's value; -1: absent
    int32_t size[FIELDS]  # its length in octets
    int32_t state         # message_state 0 to 9, STATE_ABSENT or STATE_OTHER


cdef inline bint is_blank(uint8_t c) noexcept nogil:
    return c == 32 or c == 9


cdef extern from *:
    """
    #define RECEIPT_WORD 1      /* makes what follows it the middle of a word */
    #define RECEIPT_STOP 2      /* a blank or control octet, or "," ";" "|": may end a value */
    static const unsigned char receipt_octets[256] = {
        [0 ... 32] = RECEIPT_STOP, [','] = RECEIPT_STOP, [';'] = RECEIPT_STOP, ['|'] = RECEIPT_STOP,
        ['0' ... '9'] = RECEIPT_WORD, ['A' ... 'Z'] = RECEIPT_WORD, ['a' ... 'z'] = RECEIPT_WORD,
        ['_'] = RECEIPT_WORD, ['-'] = RECEIPT_WORD, ['.'] = RECEIPT_WORD, [128 ... 255] = RECEIPT_WORD,
    };
    """
    const uint8_t receipt_octets[256]
    const int RECEIPT_WORD
    const int RECEIPT_STOP


cdef inline bint is_word(uint8_t c) noexcept nogil:
    return receipt_octets[c] & RECEIPT_WORD


cdef inline bint folds_to(const uint8_t* p, const uint8_t* end, const char* word, int length) noexcept nogil:
    # Does the lower case `word` stand at p, in any case?
    cdef int index
    if end - p < length:
        return False
    for index in range(length):
        if (p[index] | 32) != <uint8_t>word[index]:
            return False
    return True


cdef inline const uint8_t* after_colon(const uint8_t* p, const uint8_t* end) noexcept nogil:
    while p < end and is_blank(p[0]):
        p += 1
    return p + 1 if p < end and p[0] == 58 else NULL


cdef inline const uint8_t* after_date(const uint8_t* p, const uint8_t* end) noexcept nogil:
    while p < end and (is_blank(p[0]) or p[0] == 95 or p[0] == 45):
        p += 1
    return after_colon(p + 4, end) if folds_to(p, end, b"date", 4) else NULL


cdef inline const uint8_t* key_at(const uint8_t* p, const uint8_t* end, int* field) noexcept nogil:
    # The octet after the colon of the key at p, or NULL.
    cdef uint8_t c
    if end - p < 3:
        return NULL
    c = p[0] | 32
    if c == 105:
        field[0] = FIELD_ID
        return after_colon(p + 2, end) if folds_to(p, end, b"id", 2) else NULL
    if c == 115:
        if folds_to(p, end, b"stat", 4):
            field[0] = FIELD_STAT
            return after_colon(p + 4, end)
        if not folds_to(p, end, b"sub", 3):
            return NULL
        if folds_to(p, end, b"submit", 6):
            field[0] = FIELD_SUBMIT
            return after_date(p + 6, end)
        field[0] = FIELD_SUB
        return after_colon(p + 3, end)
    if c == 100:
        if folds_to(p, end, b"dlvrd", 5):
            field[0] = FIELD_DLVRD
            return after_colon(p + 5, end)
        field[0] = FIELD_DONE
        return after_date(p + 4, end) if folds_to(p, end, b"done", 4) else NULL
    if c == 101:
        field[0] = FIELD_ERR
        return after_colon(p + 3, end) if folds_to(p, end, b"err", 3) else NULL
    if c == 116:
        field[0] = FIELD_TEXT
        return after_colon(p + 4, end) if folds_to(p, end, b"text", 4) else NULL
    return NULL


cdef inline bint begins_key(const uint8_t* p, const uint8_t* end) noexcept nogil:
    cdef int field
    return key_at(p, end, &field) != NULL


cdef inline bint ends_value(const uint8_t* p, const uint8_t* end) noexcept nogil:
    # Is the "," ";" or "|" at p a separator: does a key or the end follow?
    p += 1
    while p < end and p[0] <= 32:
        p += 1
    return p == end or begins_key(p, end)


cdef inline const uint8_t* value_end(const uint8_t* p, const uint8_t* end) noexcept nogil:
    while p < end:
        if receipt_octets[p[0]] & RECEIPT_STOP and (p[0] <= 32 or ends_value(p, end)):
            break
        p += 1
    return p


cdef inline bint is_clock(const uint8_t* p, const uint8_t* end) noexcept nogil:
    # " hh:mm" at p
    return (
        end - p >= 6 and p[0] == 32 and 48 <= p[1] <= 57 and 48 <= p[2] <= 57 and p[3] == 58
        and 48 <= p[4] <= 57 and 48 <= p[5] <= 57
    )


cdef inline int state_of(const uint8_t* p, int32_t length) noexcept nogil:
    # The ten words of SMPP 3.4 appendix B and 5.0; seven letters each.
    cdef const uint8_t* end = p + length
    if length != 7:
        if length == 9 and folds_to(p, end, b"scheduled", 9):
            return 0
        return STATE_OTHER
    if folds_to(p, end, b"delivrd", 7):
        return 2
    if folds_to(p, end, b"undeliv", 7):
        return 5
    if folds_to(p, end, b"expired", 7):
        return 3
    if folds_to(p, end, b"rejectd", 7):
        return 8
    if folds_to(p, end, b"acceptd", 7):
        return 6
    if folds_to(p, end, b"enroute", 7):
        return 1
    if folds_to(p, end, b"deleted", 7):
        return 4
    if folds_to(p, end, b"unknown", 7):
        return 7
    if folds_to(p, end, b"skipped", 7):
        return 9
    return STATE_OTHER


cdef inline void scan_receipt(const char* data, int32_t length, Scan* out) noexcept nogil:
    """Fill `out` with what stands in the `length` octets at `data`."""
    cdef const uint8_t* start = <const uint8_t*>data
    cdef const uint8_t* end = start + length
    cdef const uint8_t* p = start
    cdef const uint8_t* value
    cdef const uint8_t* stop
    cdef int field
    for field in range(FIELDS):
        out.at[field] = -1
        out.size[field] = 0
    out.state = STATE_ABSENT
    while p < end:
        value = key_at(p, end, &field)
        if value == NULL:
            while p < end and is_word(p[0]):
                p += 1
            while p < end and not is_word(p[0]):
                p += 1
            continue
        if field == FIELD_TEXT:
            if out.at[FIELD_TEXT] < 0:
                stop = end
                while stop > value and stop[-1] == 0:
                    stop -= 1
                out.at[FIELD_TEXT] = <int32_t>(value - start)
                out.size[FIELD_TEXT] = <int32_t>(stop - value)
            if out.at[FIELD_STAT] >= 0:
                return
            p = value
            while p < end and not is_word(p[0]):
                p += 1
            continue
        while value < end and is_blank(value[0]):
            value += 1
        stop = value
        if not begins_key(value, end):
            stop = value_end(value, end)
            if (field == FIELD_SUBMIT or field == FIELD_DONE) and is_clock(stop, end):
                stop = value_end(stop + 1, end)
        if out.at[field] < 0 and stop > value:
            out.at[field] = <int32_t>(value - start)
            out.size[field] = <int32_t>(stop - value)
            if field == FIELD_STAT:
                out.state = state_of(value, out.size[field])
        p = stop
        while p < end and not is_word(p[0]):
            p += 1


cdef inline int digit_of(uint8_t c) noexcept nogil:
    # The value of a hexadecimal digit; 99: none.
    if 48 <= c <= 57:
        return c - 48
    c |= 32
    return c - 87 if 97 <= c <= 102 else 99


cdef inline int id_key(const char* data, int length, int base, int flags, char* out) noexcept nogil:
    """Write the look-up key of a message_id of at most 64 octets to `out` (KEY_MAX octets); returns its length.

    Blanks around it and NULs behind it are no part of an id. `base` 10 or 16: the id is a number and the key its decimal digits; an id that is no such number, and every
    id at base 0, stays as it is but for the flags. Longer ids than 64 octets are cut by no one: -1.
    """
    cdef const uint8_t* p = <const uint8_t*>data
    cdef uint32_t limbs[9]          # base 1e9, least first: 81 digits
    cdef uint64_t carry
    cdef int used = 1, index, limb, digit, size, start
    cdef char digits[81]
    if length > 64:
        return -1
    while length and (p[length - 1] == 0 or is_blank(p[length - 1])):
        length -= 1
    while length and is_blank(p[0]):
        p += 1
        length -= 1
    limbs[0] = 0
    for index in range(length if base else 0):
        digit = digit_of(p[index])
        if digit >= base:
            used = 0
            break
        carry = digit
        for limb in range(used):
            carry += <uint64_t>limbs[limb] * <uint64_t>base
            limbs[limb] = <uint32_t>(carry % 1000000000)
            carry //= 1000000000
        if carry:
            limbs[used] = <uint32_t>carry
            used += 1
    if base and used and length:
        size = 81
        for limb in range(used):
            carry = limbs[limb]
            for index in range(9):
                size -= 1
                digits[size] = <char>(48 + carry % 10)
                carry //= 10
                if carry == 0 and limb == used - 1:
                    break
        memcpy(out, digits + size, 81 - size)
        return 81 - size
    start = 0
    if flags & KEY_STRIP_ZEROS:
        while start < length - 1 and p[start] == 48:
            start += 1
    for index in range(start, length):
        out[index - start] = p[index] + 32 if flags & KEY_FOLD_CASE and 65 <= p[index] <= 90 else p[index]
    return length - start
