# cython: language_level=3
"""Octets on the wire, without a Python object: read cursor, frames, an inbox and a growing outbox.

Header-only: ``from wire cimport ...`` compiles these into the module that asks.

The laws:

* every read goes through a ``Cursor`` (pointer and octets left) and is checked against what is left, so
  nothing is read outside the buffer and no length from the peer is believed before it was compared;
* nothing is allocated on the word of a peer: an inbox has its whole size from the start, an illegal
  command_length is refused as soon as its four octets are there;
* every function is ``noexcept``: trouble is a return value.

Lifetimes: an ``Octets`` points into the buffer it was read from and lives no longer.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memchr, memcpy, memmove


cdef enum:
    HEADER_OCTETS = 16
    SEQUENCE_NUMBER_MAX = 0x7FFFFFFF

cdef enum Verdict:
    OK = 0
    SHORT = 1           # the body ends inside the field
    UNTERMINATED = 2    # the body ends before the NUL of a C-octet string

cdef struct Octets:
    const uint8_t *at
    Py_ssize_t length           # -1: absent

cdef struct Cursor:
    const uint8_t *at
    Py_ssize_t left

cdef struct Header:
    uint32_t command_length
    uint32_t command_id
    uint32_t command_status
    uint32_t sequence_number


# ---------------------------------------------------------------- numbers, most significant octet first

cdef inline uint32_t get_u16(const uint8_t *at) noexcept nogil:
    return (<uint32_t>at[0] << 8) | at[1]

cdef inline uint32_t get_u32(const uint8_t *at) noexcept nogil:
    return (<uint32_t>at[0] << 24) | (<uint32_t>at[1] << 16) | (<uint32_t>at[2] << 8) | at[3]

cdef inline uint32_t get_number(const Octets *octets) noexcept nogil:
    """1 to 4 octets as a number: some SMSCs send a TLV wider or narrower than the table says."""
    cdef uint32_t value = 0
    cdef Py_ssize_t i
    for i in range(octets.length):
        value = (value << 8) | octets.at[i]
    return value

cdef inline uint8_t *put_u8(uint8_t *at, uint32_t value) noexcept nogil:
    at[0] = <uint8_t>value
    return at + 1

cdef inline uint8_t *put_u16(uint8_t *at, uint32_t value) noexcept nogil:
    at[0] = <uint8_t>(value >> 8)
    at[1] = <uint8_t>value
    return at + 2

cdef inline uint8_t *put_u32(uint8_t *at, uint32_t value) noexcept nogil:
    at[0] = <uint8_t>(value >> 24)
    at[1] = <uint8_t>(value >> 16)
    at[2] = <uint8_t>(value >> 8)
    at[3] = <uint8_t>value
    return at + 4

cdef inline uint8_t *put_octets(uint8_t *at, const uint8_t *octets, Py_ssize_t length) noexcept nogil:
    if length > 0:
        memcpy(at, octets, length)
        at += length
    return at

cdef inline uint32_t next_sequence(uint32_t sequence_number) noexcept nogil:
    """1, 2, ... 0x7FFFFFFF, 1; never 0."""
    return sequence_number + 1 if sequence_number < SEQUENCE_NUMBER_MAX else 1


# ---------------------------------------------------------------- the cursor

cdef inline Verdict take_u8(Cursor *cursor, uint8_t *value) noexcept nogil:
    if cursor.left < 1:
        return SHORT
    value[0] = cursor.at[0]
    cursor.at += 1
    cursor.left -= 1
    return OK

cdef inline Verdict take_u32(Cursor *cursor, uint32_t *value) noexcept nogil:
    if cursor.left < 4:
        return SHORT
    value[0] = get_u32(cursor.at)
    cursor.at += 4
    cursor.left -= 4
    return OK

cdef inline Verdict take_octets(Cursor *cursor, Py_ssize_t length, Octets *octets) noexcept nogil:
    if length < 0 or cursor.left < length:
        return SHORT
    octets.at = cursor.at
    octets.length = length
    cursor.at += length
    cursor.left -= length
    return OK

cdef inline Verdict take_c_octets(Cursor *cursor, Octets *octets) noexcept nogil:
    """Up to the NUL, which is eaten and not part of `octets`. The caller judges the length."""
    cdef const uint8_t *end
    if cursor.left < 1:
        return SHORT
    end = <const uint8_t *>memchr(cursor.at, 0, cursor.left)
    if end == NULL:
        return UNTERMINATED
    octets.at = cursor.at
    octets.length = end - cursor.at
    cursor.left -= octets.length + 1
    cursor.at = end + 1
    return OK

cdef inline Verdict take_tlv(Cursor *cursor, uint32_t *tag, Octets *value) noexcept nogil:
    """On SHORT nothing is eaten; `value.length` is -1 where not even the TLV's header was whole, otherwise
    `tag` is set and `value` is the rest of the body."""
    cdef Py_ssize_t length
    value.length = -1
    if cursor.left < 4:
        return SHORT
    tag[0] = get_u16(cursor.at)
    length = get_u16(cursor.at + 2)
    value.at = cursor.at + 4
    if length > cursor.left - 4:
        value.length = cursor.left - 4
        return SHORT
    value.length = length
    cursor.at += 4 + length
    cursor.left -= 4 + length
    return OK


# ---------------------------------------------------------------- frames

cdef inline Py_ssize_t frame_length(const uint8_t *at, Py_ssize_t left, Py_ssize_t limit) noexcept nogil:
    """> 0: a whole PDU of so many octets stands at `at`. 0: it is not all here yet. -1: command_length is
    under 16 or over `limit`, framing is lost; said as soon as four octets are there."""
    cdef uint32_t command_length
    if left < 4:
        return 0
    command_length = get_u32(at)
    if command_length < HEADER_OCTETS or command_length > limit:
        return -1
    return command_length if command_length <= left else 0

cdef inline void get_header(const uint8_t *at, Header *header) noexcept nogil:
    """`at` holds at least 16 octets: frame_length said so."""
    header.command_length = get_u32(at)
    header.command_id = get_u32(at + 4)
    header.command_status = get_u32(at + 8)
    header.sequence_number = get_u32(at + 12)

cdef inline uint8_t *put_header(
    uint8_t *at, uint32_t length, uint32_t command_id, uint32_t status, uint32_t sequence_number
) noexcept nogil:
    at = put_u32(at, length)
    at = put_u32(at, command_id)
    at = put_u32(at, status)
    return put_u32(at, sequence_number)


# ---------------------------------------------------------------- inbox: what was read and not yet parsed

cdef struct Inbox:
    uint8_t *data
    Py_ssize_t size             # fixed from inbox_init to inbox_free: a memoryview on it stays valid
    Py_ssize_t start            # first octet not yet parsed
    Py_ssize_t end              # one past the last octet read
    Py_ssize_t limit            # greatest command_length

cdef inline bint inbox_init(Inbox *inbox, Py_ssize_t limit, Py_ssize_t read_octets) noexcept nogil:
    """Room for the longest unfinished PDU and one read more. False: no memory."""
    inbox.size = limit + read_octets
    inbox.limit = limit
    inbox.start = 0
    inbox.end = 0
    inbox.data = <uint8_t *>malloc(inbox.size)
    return inbox.data != NULL

cdef inline void inbox_free(Inbox *inbox) noexcept nogil:
    free(inbox.data)
    inbox.data = NULL
    inbox.size = inbox.start = inbox.end = 0

cdef inline uint8_t *inbox_room(Inbox *inbox, Py_ssize_t *room) noexcept nogil:
    """Where the next read may write, and how much. After inbox_next said 0 there are always at least
    `read_octets`; what was begun moves to the front (less than one PDU)."""
    if inbox.start > 0:
        if inbox.end > inbox.start:
            memmove(inbox.data, inbox.data + inbox.start, inbox.end - inbox.start)
        inbox.end -= inbox.start
        inbox.start = 0
    room[0] = inbox.size - inbox.end
    return inbox.data + inbox.end

cdef inline Py_ssize_t inbox_next(Inbox *inbox, const uint8_t **at) noexcept nogil:
    """As frame_length; a PDU that was handed out counts as parsed and stays in place until inbox_room."""
    cdef Py_ssize_t length
    at[0] = inbox.data + inbox.start
    length = frame_length(at[0], inbox.end - inbox.start, inbox.limit)
    if length > 0:
        inbox.start += length
    return length


# ---------------------------------------------------------------- outbox: what is to be written next

cdef struct Outbox:
    uint8_t *data
    Py_ssize_t used
    Py_ssize_t size

cdef inline void outbox_init(Outbox *outbox) noexcept nogil:
    outbox.data = NULL
    outbox.used = outbox.size = 0

cdef inline void outbox_free(Outbox *outbox) noexcept nogil:
    free(outbox.data)
    outbox_init(outbox)

cdef inline uint8_t *outbox_room(Outbox *outbox, Py_ssize_t octets) noexcept nogil:
    """Where to put `octets` more, grown by doubling; NULL: no memory, nothing changed. The caller adds what
    it wrote to `used`."""
    cdef Py_ssize_t size
    cdef uint8_t *data
    if outbox.size - outbox.used < octets:
        size = outbox.size * 2 if outbox.size else 4096
        while size - outbox.used < octets:
            size *= 2
        data = <uint8_t *>realloc(outbox.data, size)
        if data == NULL:
            return NULL
        outbox.data = data
        outbox.size = size
    return outbox.data + outbox.used
