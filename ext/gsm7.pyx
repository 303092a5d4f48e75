# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""GSM 7-bit: one alphabet as a table, septets to text, packing (3GPP TS 23.038, 6.1.2 and 6.2.1).

Septets travel *unpacked*, one per octet with the top bit clear, as SMPP has them; `pack` and `unpack` are for
the carriers that want eight septets in seven octets.

Plan: Gsm7Table (what a character costs and becomes), decode, pack, unpack. Text to septets lives in
segment.pyx, which alone knows where a segment ends.
"""

from libc.stdint cimport uint8_t, uint16_t
from libc.stdlib cimport calloc, free, malloc

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

cdef extern from "Python.h":
    object PyUnicode_FromKindAndData(int kind, const void* data, Py_ssize_t size)
    const int PyUnicode_2BYTE_KIND

cdef enum:
    REPLACEMENT = 0xFFFD
    CARRIAGE_RETURN = 0x0D


cdef class Gsm7Table:
    """One GSM 7-bit alphabet: a locking table of 128 characters and a single shift table after ESC.

    `plain` is a str of 128 characters in code order, U+FFFD where there is none; `shifted` maps a code after
    ESC to its character. `locking` and `single_shift` are national language identifiers (0: the default).
    A character in both tables takes the plain code, which costs one septet instead of two.

    ValueError: a table of the wrong size, or a character outside the Basic Multilingual Plane.
    """

    def __cinit__(self, str plain, dict shifted, int locking=0, int single_shift=0):
        cdef Py_ssize_t septet
        cdef int unit
        self.code = <uint16_t*>calloc(0x10000, sizeof(uint16_t))
        self.cost = <uint8_t*>malloc(0x10000)
        if self.code == NULL or self.cost == NULL:
            raise MemoryError
        if len(plain) != 128:
            raise ValueError(f"a GSM 7-bit table has 128 characters, not {len(plain)}")
        self.locking = locking
        self.single_shift = single_shift
        self.made_of = plain, shifted, locking, single_shift
        for unit in range(0x10000):
            self.cost[unit] = NOT_IN_TABLE
        for septet in range(128):
            self.shifted[septet] = 0
        for code, char in shifted.items():
            if not 0 <= code < 128 or code == ESC or ord(char) > 0xFFFF:
                raise ValueError(f"a single shift table maps codes 0 to 127 but 27 to one character, not {code}")
            unit = ord(char)
            self.shifted[<int>code] = unit
            self.code[unit] = ESC | (<int>code << 8)
            self.cost[unit] = 2
        for septet in range(128):
            unit = ord(plain[septet])
            if unit > 0xFFFF:
                raise ValueError(f"code {septet}: U+{unit:04X} is outside the Basic Multilingual Plane")
            self.plain[septet] = unit
            if unit != REPLACEMENT and septet != ESC:
                self.code[unit] = septet
                self.cost[unit] = 1
        self.ascii_regular = True
        for unit in range(0x80):
            if unit < 0x20 and unit != "\n":
                continue
            septet = {"@": 0x00, "$": 0x02, "_": 0x11}.get(chr(unit), unit)
            cost = NOT_IN_TABLE if unit == 0x60 or unit == 0x7F else 2 if chr(unit) in "[\\]^{|}~" else 1
            if self.cost[unit] != cost or cost == 1 and self.code[unit] != septet:
                self.ascii_regular = False

    def __dealloc__(self):
        free(self.code)
        free(self.cost)

    def __reduce__(self):
        return Gsm7Table, self.made_of

    def __repr__(self):
        return f"Gsm7Table(locking={self.locking}, single_shift={self.single_shift})"

    def cost_of(self, str char):
        """Return what one character costs: 1 or 2 septets, or 0 where the alphabet does not have it."""
        cdef Py_ssize_t code = ord(char)
        if code > 0xFFFF or self.cost[code] == NOT_IN_TABLE:
            return 0
        return self.cost[code]

    def decode(self, bytes septets not None):
        """Return the text of unpacked septets. Any octets give a text: never an exception.

        ESC before a code that the single shift table lacks shows the plain character (TS 23.038, 6.2.1.1);
        ESC ESC shows a space; an ESC at the end is dropped. Octets above 0x7F and empty cells of a national
        table give U+FFFD.
        """
        cdef Py_ssize_t n = PyBytes_GET_SIZE(septets)
        cdef const uint8_t* data = <const uint8_t*>PyBytes_AS_STRING(septets)
        cdef uint16_t stack[512]
        cdef uint16_t* out = stack
        cdef Py_ssize_t at, length = 0
        cdef uint8_t octet
        cdef uint16_t unit
        cdef bint escaped = False
        stack[0] = 0
        if n > 512:
            out = <uint16_t*>malloc(n * sizeof(uint16_t))
            if out == NULL:
                raise MemoryError
        for at in range(n):
            octet = data[at]
            if octet == ESC and not escaped:
                escaped = True
                continue
            if octet > 0x7F:
                unit = REPLACEMENT
            elif octet == ESC:
                unit = u" "
            elif escaped and self.shifted[octet] != 0:
                unit = self.shifted[octet]
            else:
                unit = self.plain[octet]
            escaped = False
            out[length] = unit
            length += 1
        try:
            return PyUnicode_FromKindAndData(PyUnicode_2BYTE_KIND, out, length)
        finally:
            if out != stack:
                free(out)


cdef Py_ssize_t pack_septets(const uint8_t* septets, Py_ssize_t n, int fill_bits, bint pad_cr,
                             uint8_t* out) noexcept nogil:
    """Pack n septets after fill_bits zero bits; return the octets written, at most (n * 7 + fill_bits + 7) / 8
    and one more with pad_cr."""
    cdef unsigned int bits = 0
    cdef int held = fill_bits
    cdef Py_ssize_t at, octets = 0
    if n == 0:
        return 0
    for at in range(n):
        bits |= <unsigned int>(septets[at] & 0x7F) << held
        held += 7
        if held >= 8:
            out[octets] = bits & 0xFF
            octets += 1
            bits >>= 8
            held -= 8
    if pad_cr and held == 1:  # seven spare bits would read as one more "@": fill them with a CR
        bits |= CARRIAGE_RETURN << 1
    if held > 0:
        out[octets] = bits & 0xFF
        octets += 1
    elif pad_cr and n > 0 and septets[n - 1] == CARRIAGE_RETURN:  # a real CR there would be taken for padding
        out[octets] = CARRIAGE_RETURN
        octets += 1
    return octets


def pack(bytes septets not None, *, fill_bits=0, bint pad_cr=False):
    """Return unpacked septets packed, eight in seven octets, least significant bit first.

    `fill_bits` (0 to 6) zero bits come first: after a user data header they bring the text to a septet
    boundary. `pad_cr` follows the rule of USSD and cell broadcast (TS 23.038, 6.1.2.3.1): seven spare bits
    carry a CR, and a text that ends in CR at an octet boundary gets a second one; without it spare bits are
    zero, as in SMS, where the length counts septets.

    ValueError: fill_bits out of range, or an octet above 0x7F (its position is named).
    """
    cdef Py_ssize_t n = PyBytes_GET_SIZE(septets)
    cdef const uint8_t* data = <const uint8_t*>PyBytes_AS_STRING(septets)
    cdef Py_ssize_t at, size
    cdef int fill = check_fill_bits(fill_bits)
    cdef uint8_t* out
    for at in range(n):
        if data[at] > 0x7F:
            raise ValueError(f"position {at}: 0x{data[at]:02x} is not a septet (0x00 to 0x7f)")
    out = <uint8_t*>malloc((n * 7 + fill + 7) // 8 + 1)
    if out == NULL:
        raise MemoryError
    size = pack_septets(data, n, fill, pad_cr, out)
    try:
        return PyBytes_FromStringAndSize(<const char*>out, size)
    finally:
        free(out)


def unpack(bytes data not None, septets=None, *, fill_bits=0, bint strip_cr=False):
    """Return packed septets unpacked, one per octet.

    `septets` is their number where the transport says it (TP-UDL does, SMPP does not); without it as many as
    fit. Seven spare bits then look like one more septet, "@" or padding: nothing tells which. `strip_cr`
    undoes the padding of USSD: of a CR that ends at an octet boundary, one is removed.

    ValueError: fill_bits out of range, or more septets asked for than the data holds.
    """
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef const uint8_t* packed = <const uint8_t*>PyBytes_AS_STRING(data)
    cdef int fill = check_fill_bits(fill_bits)
    cdef Py_ssize_t held = size * 8 - fill, n, at, bit
    cdef unsigned int window
    cdef bytes result
    cdef uint8_t* out
    n = held // 7 if held > 0 else 0
    if septets is not None:
        if not 0 <= septets <= n:
            raise ValueError(f"{size} octets hold 0 to {n} septets, not {septets}")
        n = septets
    result = PyBytes_FromStringAndSize(NULL, n)
    out = <uint8_t*>PyBytes_AS_STRING(result)
    for at in range(n):
        bit = fill + at * 7
        window = packed[bit >> 3]
        if (bit & 7) > 1:
            window |= <unsigned int>packed[(bit >> 3) + 1] << 8
        out[at] = (window >> (bit & 7)) & 0x7F
    if strip_cr and n > 0 and out[n - 1] == CARRIAGE_RETURN and (fill + n * 7) % 8 == 0:
        return result[:n - 1]
    return result


cdef int check_fill_bits(fill_bits) except -1:
    if not isinstance(fill_bits, int):
        raise TypeError(f"fill_bits is an int, not {type(fill_bits).__name__}")
    if not 0 <= fill_bits <= 6:
        raise ValueError(f"fill_bits is 0 to 6, not {fill_bits}")
    return fill_bits
