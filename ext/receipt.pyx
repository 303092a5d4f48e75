# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Receipt texts from Python: scan one, scan many, keys of message ids, dates.

Law (13): any bytes give a value, never an exception. The scan itself stands in receipt_scan.pxd, so that the
compiled session can use it without Python objects; this module only turns its offsets into bytes.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_SIZE
from libc.stdint cimport int32_t, int64_t, uint8_t

from receipt_scan cimport (
    FIELD_DLVRD, FIELD_DONE, FIELD_ERR, FIELD_ID, FIELD_STAT, FIELD_SUB, FIELD_SUBMIT, FIELD_TEXT, KEY_MAX,
    STATE_ABSENT, STATE_OTHER, Scan, id_key, scan_receipt,
)

cdef extern from *:
    """
    #define TEXT_MAX 65535   /* a TLV holds no more: message_payload */
    """
    const Py_ssize_t TEXT_MAX

ABSENT = STATE_ABSENT
OTHER = STATE_OTHER


def scan(bytes data not None):
    """Every field of one text: (id, state, stat, err, sub, dlvrd, submit date, done date, text)."""
    cdef Scan found
    scan_bytes(data, &found)
    return (
        piece(data, &found, FIELD_ID),
        found.state,
        piece(data, &found, FIELD_STAT),
        piece(data, &found, FIELD_ERR),
        piece(data, &found, FIELD_SUB),
        piece(data, &found, FIELD_DLVRD),
        piece(data, &found, FIELD_SUBMIT),
        piece(data, &found, FIELD_DONE),
        piece(data, &found, FIELD_TEXT),
    )


def scan_many(list texts not None):
    """What correlation needs, of many texts: [(id, state, stat if state is OTHER, err)]."""
    cdef Py_ssize_t index, count = PyList_GET_SIZE(texts)
    cdef list result = []
    cdef Scan found
    cdef bytes data
    for index in range(count):
        data = texts[index]
        scan_bytes(data, &found)
        result.append((
            piece(data, &found, FIELD_ID),
            found.state,
            piece(data, &found, FIELD_STAT) if found.state == STATE_OTHER else None,
            piece(data, &found, FIELD_ERR),
        ))
    return result


def key(bytes message_id not None, int base, int flags):
    """The look-up key of a message_id: decimal digits of a number of `base` 10 or 16; 0: as it is."""
    cdef char out[KEY_MAX]
    cdef int size
    if base not in (0, 10, 16):
        raise ValueError("base is 0, 10 or 16")
    if PyBytes_GET_SIZE(message_id) > 64:
        return message_id  # no carrier's id (the field holds 64): looked up as it is
    size = id_key(PyBytes_AS_STRING(message_id), <int>PyBytes_GET_SIZE(message_id), base, flags, out)
    return PyBytes_FromStringAndSize(out, size)


def local_seconds(bytes value not None, bytes pattern not None):
    """Seconds from 1970 of a date, without a zone; None where `value` does not fit `pattern`.

    In the pattern Y M D h m s stand for one digit each, any other octet for itself. YY below 70 is 20YY.
    """
    cdef const uint8_t* p = <const uint8_t*>PyBytes_AS_STRING(value)
    cdef const uint8_t* form = <const uint8_t*>PyBytes_AS_STRING(pattern)
    cdef Py_ssize_t index, length = PyBytes_GET_SIZE(pattern)
    cdef int64_t year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0
    cdef int64_t* part
    cdef int years = 0
    if PyBytes_GET_SIZE(value) != length or length > 32:
        return None
    for index in range(length):
        if form[index] == c"Y":
            part = &year
            years += 1
        elif form[index] == c"M":
            part = &month
        elif form[index] == c"D":
            part = &day
        elif form[index] == c"h":
            part = &hour
        elif form[index] == c"m":
            part = &minute
        elif form[index] == c"s":
            part = &second
        elif form[index] == p[index]:
            continue
        else:
            return None
        if p[index] < 48 or p[index] > 57:
            return None
        part[0] = part[0] * 10 + p[index] - 48
    if years == 2:
        year += 2000 if year < 70 else 1900
    if not (1970 <= year <= 9999 and 1 <= month <= 12 and 1 <= day <= days_of(year, month)):
        return None
    if hour > 23 or minute > 59 or second > 60:
        return None
    return (days_until(year, month, day) * 24 + hour) * 3600 + minute * 60 + second


cdef int64_t days_of(int64_t year, int64_t month) noexcept nogil:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


cdef int64_t days_until(int64_t year, int64_t month, int64_t day) noexcept nogil:
    # From 1970-01-01; years are counted from March, so that the leap day comes last.
    cdef int64_t march = (month + 9) % 12
    if month <= 2:
        year -= 1
    return year * 365 + year // 4 - year // 100 + year // 400 + (march * 153 + 2) // 5 + day - 1 - 719468


cdef inline int scan_bytes(bytes data, Scan* found) except -1:
    if data is None:
        raise TypeError("a receipt text is bytes, not None")
    scan_receipt(PyBytes_AS_STRING(data), <int32_t>min(PyBytes_GET_SIZE(data), TEXT_MAX), found)
    return 0


cdef inline bytes piece(bytes data, Scan* found, int field):
    if found.at[field] < 0:
        return None
    return PyBytes_FromStringAndSize(PyBytes_AS_STRING(data) + found.at[field], found.size[field])
