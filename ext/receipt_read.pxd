# cython: language_level=3
"""A deliver_sm read as a receipt: its id, state and error, without a Python object.

Header-only. The rules are those of dispatcher.smpp.receipt_text: TLVs first, then the text, whatever it looks like.
What is found points into the PDU and lives no longer.
"""

from libc.stdint cimport int32_t, uint8_t

from hot cimport Deliver
from receipt_scan cimport FIELD_ERR, FIELD_ID, FIELD_STAT, STATE_ABSENT, Scan, is_blank, scan_receipt
from wire cimport Octets

cdef enum:
    DELIVERY_RECEIPT = 0x04     # esm_class
    INTERMEDIATE_NOTIFICATION = 0x20
    STATES = 10                 # message_state 0 to 9
    STATE_UNMAPPED = -3         # a message_state that there is not
    TEXT_MAX = 65_535           # a TLV holds no more: message_payload

cdef struct Receipt:
    Octets id                   # as it came, blanks and NULs around it left out; never empty
    bint from_tlv               # whose notation it has
    int state                   # message_state, STATE_OTHER or STATE_UNMAPPED
    Octets stat                 # the word, if there is one
    Octets err                  # network_error_code or err; absent: none
    bint intermediate           # never final
    bint sure                   # False: a receipt only if its id is known, else a message from a subscriber


cdef inline bint read_receipt(const Deliver *pdu, Receipt *receipt) noexcept nogil:
    """False: it is no receipt, or none that is understood; what stands in `receipt` means nothing."""
    cdef const uint8_t *text = pdu.short_message.at
    cdef Scan scan
    scan.state = STATE_ABSENT
    scan.at[FIELD_ID] = scan.at[FIELD_STAT] = scan.at[FIELD_ERR] = -1
    receipt.intermediate = pdu.esm_class & INTERMEDIATE_NOTIFICATION
    receipt.sure = (
        receipt.intermediate or pdu.esm_class & DELIVERY_RECEIPT
        or (pdu.receipted_message_id.length >= 0 and pdu.message_state >= 0)
    )
    if pdu.short_message.length > 0:
        scan_receipt(<const char *>text, <int32_t>min(pdu.short_message.length, TEXT_MAX), &scan)
    if not receipt.sure and (scan.at[FIELD_ID] < 0 or scan.state == STATE_ABSENT):
        return False
    receipt.id = stripped(pdu.receipted_message_id)
    receipt.from_tlv = receipt.id.length > 0
    if not receipt.from_tlv:
        receipt.id = field_of(&scan, FIELD_ID, text)
    receipt.stat = field_of(&scan, FIELD_STAT, text)
    receipt.err = pdu.network_error_code
    if receipt.err.length <= 0:
        receipt.err = field_of(&scan, FIELD_ERR, text)
    if 0 <= pdu.message_state < STATES:
        receipt.state = <int>pdu.message_state
    elif scan.state != STATE_ABSENT:
        receipt.state = scan.state
    else:
        receipt.state = STATE_UNMAPPED
    return receipt.id.length > 0 and (scan.state != STATE_ABSENT or pdu.message_state >= 0)


cdef inline Octets field_of(const Scan *scan, int field, const uint8_t *text) noexcept nogil:
    cdef Octets found
    found.at = NULL
    found.length = -1
    if scan.at[field] >= 0:
        found.at = text + scan.at[field]
        found.length = scan.size[field]
    return found


cdef inline Octets stripped(Octets id) noexcept nogil:
    while id.length > 0 and (id.at[id.length - 1] == 0 or is_blank(id.at[id.length - 1])):
        id.length -= 1
    while id.length > 0 and is_blank(id.at[0]):
        id.at += 1
        id.length -= 1
    return id
