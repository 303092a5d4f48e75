"""What other compiled modules may use of gsm7: the table of one alphabet, as C arrays."""

from libc.stdint cimport uint8_t, uint16_t

cdef enum:
    ESC = 0x1B
    NOT_IN_TABLE = 0xFF

cdef class Gsm7Table:
    cdef readonly int locking
    cdef readonly int single_shift
    cdef tuple made_of  # the arguments, for pickle
    # Indexed by the whole Basic Multilingual Plane, so that the hot loops need no branch: the pages of
    # calloc that no text touches cost no memory.
    cdef uint16_t* code         # septet, or ESC | septet << 8
    cdef uint8_t* cost          # 1, 2, or NOT_IN_TABLE
    cdef readonly bint ascii_regular  # ASCII is as in the default alphabet: see ext/ascii.pxd
    cdef uint16_t plain[128]    # septet -> UTF-16 unit
    cdef uint16_t shifted[128]  # septet after ESC -> UTF-16 unit, 0 where the standard has none

cdef Py_ssize_t pack_septets(const uint8_t* septets, Py_ssize_t n, int fill_bits, bint pad_cr,
                             uint8_t* out) noexcept nogil
