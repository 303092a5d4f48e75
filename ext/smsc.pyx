# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""What a simulated SMSC makes by the million: message ids, and receipts from the submit_sm they report on.

Laws:

* a receipt is finished octets: a deliver_sm whose sequence_number the exchange fills in;
* what does not vary inside a batch (dates, state, words, their order) comes ready made, as pieces of text
  around the id and the beginning of the message: the dialect stands in Python, as data.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

cimport cython

from hot cimport DELIVER_SM, TAG_MESSAGE_PAYLOAD, TAG_RECEIPTED_MESSAGE_ID
from wire cimport HEADER_OCTETS, Octets, put_header, put_octets, put_u8, put_u16

from dispatcher._ext.session cimport Incoming

cdef enum:
    PIECE_ID = 0                # pieces that stand for what varies
    PIECE_TEXT = 1
    SHORT_MESSAGE_MAX = 254     # sm_length 255 is reserved; more goes into message_payload
    TEXT_MAX = 65_535           # a TLV holds no more
    DIGITS_MAX = 64             # message_id holds 64 characters
    UDHI = 0x40
    UCS2 = 0x08

ID = PIECE_ID
TEXT = PIECE_TEXT


def message_ids(uint64_t first, Py_ssize_t count, uint32_t base=10, Py_ssize_t width=0, bint upper=False):
    """Return `count` numbers from `first` on as digits, zeros in front up to `width`."""
    cdef char[DIGITS_MAX] digits
    cdef const char* letters = b"0123456789ABCDEF" if upper else b"0123456789abcdef"
    cdef Py_ssize_t at
    cdef uint64_t number, rest
    cdef list made = []
    if not 2 <= base <= 16 or not 0 <= width <= DIGITS_MAX:
        raise ValueError(f"base is 2 to 16, width 0 to {DIGITS_MAX}")
    for number in range(first, first + count):
        at = DIGITS_MAX
        rest = number
        while True:
            at -= 1
            digits[at] = letters[rest % base]
            rest //= base
            if rest == 0:
                break
        while DIGITS_MAX - at < width:
            at -= 1
            digits[at] = b"0"
        made.append(PyBytes_FromStringAndSize(&digits[at], DIGITS_MAX - at))
    return made


@cython.final
@cython.freelist(1024)
cdef class Receipt:
    """A deliver_sm that waits to be sent, or for its answer."""

    cdef readonly bytes frame
    cdef readonly int state
    cdef public object record
    cdef public int tries
    cdef public tuple rules

    def __init__(self, bytes frame not None, object record=None, int state=-1):
        self.frame = frame
        self.record = record
        self.state = state
        self.rules = ()

    def __repr__(self):
        return f"<Receipt state {self.state}, {len(self.frame)} octets, {self.tries} tries>"


cdef class ReceiptForm:
    """One form of receipt: everything but the id, the addresses and the text of the message.

    `pieces` are octets, or ID or TEXT for what varies; `tlvs` are ready for the wire. `id_tlv` adds a
    receipted_message_id. `swap`: the receipt comes from the number that the message went to. `payload`: the
    text goes into a message_payload. TEXT stands for the first `text_octets` of the message, its header
    skipped, and for nothing where it was UCS-2.
    """

    cdef tuple pieces
    cdef bytes tlvs
    cdef uint32_t esm_class
    cdef readonly int state
    cdef bint id_tlv, swap, payload
    cdef Py_ssize_t text_octets

    def __init__(
        self,
        tuple pieces not None,
        *,
        int state=2,
        bytes tlvs=b"",
        uint32_t esm_class=4,
        bint id_tlv=True,
        bint swap=True,
        bint payload=False,
        Py_ssize_t text_octets=20,
    ):
        for piece in pieces:
            if not isinstance(piece, bytes) and piece not in (ID, TEXT):
                raise ValueError("a piece is octets, ID or TEXT")
        self.pieces = pieces
        self.state = state
        self.tlvs = tlvs
        self.esm_class = esm_class
        self.id_tlv = id_tlv
        self.swap = swap
        self.payload = payload
        self.text_octets = text_octets

    def make(self, list incoming not None, list text_ids not None, list tlv_ids not None, list records=None):
        """Return a Receipt for each submit_sm, with records[i] as its record."""
        cdef Py_ssize_t index, count = len(incoming)
        cdef list made = []
        cdef Receipt receipt
        if len(text_ids) != count or len(tlv_ids) != count or (records is not None and len(records) != count):
            raise ValueError("as many ids and records as PDUs")
        for index in range(count):
            receipt = Receipt.__new__(Receipt)
            receipt.frame = self.frame(incoming[index], text_ids[index], tlv_ids[index])
            receipt.state = self.state
            receipt.rules = ()
            if records is not None:
                receipt.record = records[index]
            made.append(receipt)
        return made

    cdef bytes frame(self, Incoming incoming, bytes text_id, bytes tlv_id):
        cdef Octets source, destination, text
        cdef Py_ssize_t size, length = 0, skipped
        cdef uint8_t* at
        cdef bytes frame
        cdef bint payload
        source, destination = incoming.fields.source_addr, incoming.fields.destination_addr
        text = incoming.fields.short_message
        if incoming.fields.data_coding == UCS2 or text.length < 0:
            text.length = 0
        if incoming.fields.esm_class & UDHI and text.length:
            skipped = min(text.length, 1 + <Py_ssize_t>text.at[0])
            text.at += skipped
            text.length -= skipped
        text.length = min(text.length, self.text_octets)
        for piece in self.pieces:
            if type(piece) is bytes:
                length += PyBytes_GET_SIZE(piece)
            else:
                length += PyBytes_GET_SIZE(text_id) if piece == PIECE_ID else text.length
        if length > TEXT_MAX:
            raise ValueError(f"a receipt of {length} octets does not fit")
        payload = length > 0 and (self.payload or length > SHORT_MESSAGE_MAX)
        size = HEADER_OCTETS + 17 + max(0, source.length) + max(0, destination.length) + length
        size += PyBytes_GET_SIZE(self.tlvs) + 4 * payload
        if self.id_tlv:
            size += 5 + PyBytes_GET_SIZE(tlv_id)
        frame = PyBytes_FromStringAndSize(NULL, size)
        at = put_header(<uint8_t*>PyBytes_AS_STRING(frame), <uint32_t>size, DELIVER_SM, 0, 1)
        at = put_u8(at, 0)                  # service_type
        if self.swap:
            at = self.address(at, incoming.fields.dest_addr_ton, incoming.fields.dest_addr_npi, &destination)
            at = self.address(at, incoming.fields.source_addr_ton, incoming.fields.source_addr_npi, &source)
        else:
            at = self.address(at, incoming.fields.source_addr_ton, incoming.fields.source_addr_npi, &source)
            at = self.address(at, incoming.fields.dest_addr_ton, incoming.fields.dest_addr_npi, &destination)
        at = put_u8(at, self.esm_class)
        at = put_u16(at, 0)                 # protocol_id, priority_flag
        at = put_u16(at, 0)                 # schedule_delivery_time, validity_period
        at = put_u16(at, 0)                 # registered_delivery, replace_if_present_flag
        at = put_u16(at, 0)                 # data_coding, sm_default_msg_id
        at = put_u8(at, 0 if payload else <uint32_t>length)
        if payload:
            at = put_u16(at, TAG_MESSAGE_PAYLOAD)
            at = put_u16(at, <uint32_t>length)
        for piece in self.pieces:
            if type(piece) is bytes:
                at = put_octets(at, <const uint8_t*>PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
            elif piece == PIECE_ID:
                at = put_octets(at, <const uint8_t*>PyBytes_AS_STRING(text_id), PyBytes_GET_SIZE(text_id))
            else:
                at = put_octets(at, text.at, text.length)
        if self.id_tlv:
            at = put_u16(at, TAG_RECEIPTED_MESSAGE_ID)
            at = put_u16(at, <uint32_t>PyBytes_GET_SIZE(tlv_id) + 1)
            at = put_octets(at, <const uint8_t*>PyBytes_AS_STRING(tlv_id), PyBytes_GET_SIZE(tlv_id))
            at = put_u8(at, 0)
        put_octets(at, <const uint8_t*>PyBytes_AS_STRING(self.tlvs), PyBytes_GET_SIZE(self.tlvs))
        return frame

    cdef inline uint8_t* address(self, uint8_t* at, uint32_t ton, uint32_t npi, const Octets* digits) noexcept:
        at = put_u8(put_u8(at, ton), npi)
        return put_u8(put_octets(at, digits.at, digits.length), 0)
