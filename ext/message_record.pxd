# cython: language_level=3
"""The record of an accepted message in octets: where its fields stand in the msgpack, without a Python object.

Header-only: ``from message_record cimport ...``. The layout is that of dispatcher.model.Message: one array a message.
Every length is checked against what is left, so nothing is read outside the body.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t

cdef enum:                      # places of fields in dispatcher.model.Message; a test holds the two together
    N = 0
    TO = 2
    TEXT = 4
    ACCEPTED_MS = 6
    CLIENT_REF = 12
    KEY_HASH = 13
    CALLBACK = 16
    NEEDED = 12                 # fields without a default

cdef struct Accepted:
    const uint8_t *at
    Py_ssize_t octets
    int64_t n
    int64_t accepted_ms
    int64_t recipient           # `to` as a number
    uint64_t key_hash           # 0: none
    Py_ssize_t text_at          # offsets from `at`; with the octets that say how long it is
    Py_ssize_t text_octets
    Py_ssize_t ref_at           # of the octets of client_ref themselves
    Py_ssize_t ref_octets       # 0: none
    Py_ssize_t callback_at      # 0: no such field
    int callback_fields         # it, and those behind it


cdef inline uint64_t big_endian(const uint8_t *at, int octets) noexcept nogil:
    cdef uint64_t value = 0
    cdef int i
    for i in range(octets):
        value = value << 8 | at[i]
    return value


cdef inline Py_ssize_t head_of(const uint8_t *at, Py_ssize_t left, uint64_t *value, int *items) noexcept nogil:
    """How many octets a value has, but for the items that are nested in it; 0: it is cut, or nothing that we write.

    `value`: a number, or how many octets a string has after its head; `items`: of an array.
    """
    cdef uint8_t first
    cdef int width = 0
    cdef Py_ssize_t octets
    if left < 1:
        return 0
    first = at[0]
    items[0] = 0
    value[0] = 0
    if first <= 0x7F:                           # a small number
        value[0] = first
        return 1
    if 0x90 <= first <= 0x9F:                   # a short array
        items[0] = first & 0x0F
        return 1
    if 0xA0 <= first <= 0xBF:                   # a short string
        value[0] = first & 0x1F
        octets = 1 + <Py_ssize_t>value[0]
        return octets if octets <= left else 0
    if first == 0xC0 or first == 0xC2 or first == 0xC3 or first >= 0xE0:    # nil, false, true, -32 to -1
        return 1
    if first == 0xC4 or first == 0xD9:          # octets, a string
        width = 1
    elif first == 0xC5 or first == 0xDA:
        width = 2
    elif first == 0xC6 or first == 0xDB:
        width = 4
    if width:
        if left < 1 + width:
            return 0
        value[0] = big_endian(at + 1, width)
        octets = 1 + width + <Py_ssize_t>value[0]
        return octets if octets <= left else 0
    if 0xCC <= first <= 0xD3:                   # a number of 1, 2, 4, 8 octets, without and with a sign
        width = 1 << (first & 3)
        if left < 1 + width:
            return 0
        value[0] = big_endian(at + 1, width)
        return 1 + width
    if first == 0xDC:                           # an array
        if left < 3:
            return 0
        items[0] = <int>big_endian(at + 1, 2)
        return 3
    return 0


cdef inline Py_ssize_t length_of(const uint8_t *at, Py_ssize_t left) noexcept nogil:
    """The octets of one whole value, with all that is nested in it; 0: as head_of."""
    cdef uint64_t value
    cdef int items, pending = 1
    cdef Py_ssize_t octets = 0, head
    while pending:
        head = head_of(at + octets, left - octets, &value, &items)
        if not head:
            return 0
        octets += head
        pending += items - 1
    return octets


cdef inline bint get_message(const uint8_t *at, Py_ssize_t left, Accepted *found) noexcept nogil:
    """Read the message at `at`; False: it is cut, or no message."""
    cdef uint64_t value
    cdef int fields, items, field
    cdef Py_ssize_t octets, head, i, offset = head_of(at, left, &value, &fields)
    if not offset or fields < NEEDED:
        return False
    found.at = at
    found.text_at = found.ref_octets = found.callback_at = found.callback_fields = 0
    found.recipient = 0
    found.key_hash = 0
    for field in range(fields):
        head = head_of(at + offset, left - offset, &value, &items)
        octets = length_of(at + offset, left - offset)
        if not head or not octets:
            return False
        if field == N:
            found.n = <int64_t>value
        elif field == TO:
            for i in range(offset + octets - <Py_ssize_t>value, offset + octets):
                if not 48 <= at[i] <= 57 or found.recipient >= <int64_t>10 ** 17:
                    return False
                found.recipient = 10 * found.recipient + at[i] - 48
        elif field == TEXT:
            found.text_at, found.text_octets = offset, octets
        elif field == ACCEPTED_MS:
            found.accepted_ms = <int64_t>value
        elif field == CLIENT_REF:
            found.ref_at, found.ref_octets = offset + octets - <Py_ssize_t>value, <Py_ssize_t>value
        elif field == KEY_HASH:
            found.key_hash = value
        elif field == CALLBACK:
            found.callback_at = offset
            found.callback_fields = fields - CALLBACK
        offset += octets
    found.octets = offset
    return found.n > 0
