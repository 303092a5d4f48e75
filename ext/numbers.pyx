# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Telephone numbers: what a person wrote to the digits of E.164, and the digits to the range they lie in.

Law: a number written with ``+`` is never rewritten. A national form is understood only where a country is given,
and only where it cannot be a number of another country: what could be both is refused, not guessed.

Plan: a Normaliser reads a str in place and returns it, a new one, or one of the refusals that it was given. A
RangeTable is three sorted arrays and a binary search. Numbers of all lengths are compared as prefixes are: from
the left, filled up with zeros to 15 digits, as one 64-bit integer.
"""

cimport cython
from libc.stdint cimport uint8_t, uint16_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.tuple cimport PyTuple_GET_ITEM

from text cimport PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_IS_ASCII

cdef extern from "Python.h":
    bint PyUnicode_CheckExact(object text) noexcept
    object PyUnicode_New(Py_ssize_t size, unsigned int most)

cdef enum:
    DIGITS_MIN = 7     # the shortest international numbers in use, country code included
    DIGITS_MAX = 15    # E.164
    LENGTH_MAX = 40    # of what a person writes, blanks and brackets included

cdef enum Fault:       # an index into the refusals of a Normaliser
    NOT_DIGITS = 0
    LENGTH = 1
    LEADING_ZERO = 2
    NATIONAL_FORM = 3
    AMBIGUOUS = 4
    FAULTS = 5


@cython.final
cdef class Normaliser:
    """Reads destination numbers; see the stub."""

    def __cinit__(self, tuple refusals not None, *, bytes code not None=b"", bytes trunk not None=b"",
                  bytes mobile not None=b"", Py_ssize_t least=0, Py_ssize_t most=0, bint bare=False):
        if len(refusals) != FAULTS:
            raise ValueError(f"{FAULTS} refusals are needed")
        if len(code) > 3 or len(trunk) > 3 or not 0 <= least <= most <= DIGITS_MAX - len(code):
            raise ValueError("a code or a trunk prefix has 3 digits at most, a number 15")
        self.refusals = refusals
        self.code, self.trunk, self.mobile = code, trunk, mobile
        self.least, self.most, self.bare = least, most, bare

    def __call__(self, number):
        """Return the digits of E.164, or the refusal that says what is wrong."""
        if not PyUnicode_CheckExact(number):
            raise TypeError(f"a number is a str, not {type(number).__name__}")
        return self.read(number)

    cdef object read(self, str number):
        cdef const uint8_t *at
        cdef uint8_t digits[DIGITS_MAX]
        cdef Py_ssize_t length, i, count = 0
        cdef bint plus = False, separated = False
        cdef uint8_t c
        length = PyUnicode_GET_LENGTH(number)
        if not PyUnicode_IS_ASCII(number):
            return self.refuse(NOT_DIGITS)
        if length > LENGTH_MAX:
            return self.refuse(LENGTH)
        at = <const uint8_t *>PyUnicode_DATA(number)
        for i in range(length):
            c = at[i]
            if <uint8_t>(c - 48) < 10:
                if count == DIGITS_MAX:
                    return self.refuse(LENGTH)
                digits[count] = c
                count += 1
            elif c == b"+":
                if plus or count:
                    return self.refuse(NOT_DIGITS)
                plus = True
            elif c == b" " or c == b"-" or c == b"(" or c == b")" or c == b".":
                separated = True
            else:
                return self.refuse(NOT_DIGITS)
        if count == 0:
            return self.refuse(NOT_DIGITS)
        if PyBytes_GET_SIZE(self.code):
            if not plus:
                return self.national(number, digits, count, separated)
        elif separated:
            return self.refuse(NATIONAL_FORM)
        return self.international(number, digits, count, plus or separated)

    cdef object international(self, object number, const uint8_t *digits, Py_ssize_t count, bint other):
        """`other`: the digits alone are not what was written."""
        if not DIGITS_MIN <= count <= DIGITS_MAX:
            return self.refuse(LENGTH)
        if digits[0] == b"0":
            return self.refuse(LEADING_ZERO)
        return joined(b"", digits, count) if other else number

    cdef object national(self, object number, const uint8_t *digits, Py_ssize_t count, bint separated):
        cdef Py_ssize_t code = PyBytes_GET_SIZE(self.code), trunk = PyBytes_GET_SIZE(self.trunk)
        if self.least <= count - code <= self.most and begins(digits, self.code):
            return self.international(number, digits, count, separated)
        if trunk and self.least <= count - trunk <= self.most and begins(digits, self.trunk):
            if self.is_mobile(digits[trunk]):
                return joined(self.code, digits + trunk, count - trunk)
            return self.refuse(AMBIGUOUS)
        if self.bare and self.least <= count <= self.most and digits[0] != b"0":
            if self.is_mobile(digits[0]):
                return joined(self.code, digits, count)
            return self.refuse(AMBIGUOUS)
        return self.international(number, digits, count, separated)

    cdef bint is_mobile(self, uint8_t first) noexcept:
        return (PyBytes_GET_SIZE(self.mobile) == 0
                or memchr(PyBytes_AS_STRING(self.mobile), first, PyBytes_GET_SIZE(self.mobile)) != NULL)

    cdef object refuse(self, int fault):
        return <object>PyTuple_GET_ITEM(self.refusals, fault)


cdef inline bint begins(const uint8_t *digits, bytes prefix) noexcept:
    """Of at least so many digits."""
    return memcmp(digits, PyBytes_AS_STRING(prefix), PyBytes_GET_SIZE(prefix)) == 0


cdef object joined(bytes code, const uint8_t *digits, Py_ssize_t count):
    cdef Py_ssize_t first = PyBytes_GET_SIZE(code)
    cdef object made = PyUnicode_New(first + count, 127)
    memcpy(PyUnicode_DATA(made), PyBytes_AS_STRING(code), first)
    memcpy(<uint8_t *>PyUnicode_DATA(made) + first, digits, count)
    return made


@cython.final
cdef class RangeTable:
    """Sorted ranges of left-aligned numbers, each with a value; see the stub."""

    def __cinit__(self, const uint64_t[::1] starts not None, const uint64_t[::1] ends not None,
                  const uint16_t[::1] values not None):
        cdef Py_ssize_t i, count = starts.shape[0]
        if ends.shape[0] != count or values.shape[0] != count:
            raise ValueError("starts, ends and values are equally many")
        for i in range(count):
            if ends[i] < starts[i] or (i and starts[i] <= ends[i - 1]):
                raise ValueError(f"range {i} is empty, or not behind the one before it")
        self.starts, self.ends, self.values = starts, ends, values

    def find(self, number):
        """Return the value of the range that a number of 1 to 15 ASCII digits lies in; -1: in none."""
        if not PyUnicode_CheckExact(number):
            raise TypeError(f"a number is a str, not {type(number).__name__}")
        return self.locate(number)

    cdef int locate(self, str number) noexcept:
        cdef const uint8_t *at
        cdef Py_ssize_t length, i, low = 0, half, count = self.starts.shape[0]
        cdef uint64_t aligned = 0
        length = PyUnicode_GET_LENGTH(number)
        if not PyUnicode_IS_ASCII(number) or not 1 <= length <= DIGITS_MAX or count == 0:
            return -1
        at = <const uint8_t *>PyUnicode_DATA(number)
        for i in range(length):
            if <uint8_t>(at[i] - 48) >= 10:
                return -1
            aligned = aligned * 10 + (at[i] - 48)
        for i in range(length, DIGITS_MAX):
            aligned *= 10
        while count > 1:  # the last start that is not above the number
            half = count // 2
            if self.starts[low + half] <= aligned:
                low += half
            count -= half
        if self.starts[low] <= aligned <= self.ends[low]:
            return self.values[low]
        return -1

    def __len__(self):
        return self.starts.shape[0]
