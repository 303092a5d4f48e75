"""Reading a receipt: TLVs first, then the text, whatever it looks like.

Law (13): any octets give a value, never an exception. A bad date never loses the state; what is missing is
None; what was sent is kept as it came. Plan: `recognise` says whether a deliver_sm (or data_sm) is a receipt,
`parse` reads it. The text is found by a compiled scan (its grammar stands in ``ext/receipt_scan.pxd``).

Only a receipt whose id is known may be believed on its looks alone: anyone can text "id:1 stat:DELIVRD".
"""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final, NamedTuple

from dispatcher._ext.receipt import ABSENT, OTHER, scan
from dispatcher.smpp.dialect import DEFAULT, UNKNOWN, Dialect

RECEIPTED_MESSAGE_ID: Final = 0x001E
NETWORK_ERROR_CODE: Final = 0x0423
MESSAGE_STATE: Final = 0x0427

_NO_TLVS: Final[Mapping[int, bytes]] = MappingProxyType({})
_RECEIPT: Final = 0x04
_INTERMEDIATE: Final = 0x20
_STATE_MAX: Final = 9
_COUNTER_DIGITS_MAX: Final = 9
"""sub and dlvrd have three digits by the standard; more than nine are no counter."""


class Kind(Enum):
    """What a deliver_sm is."""

    MESSAGE = "message"
    """From a subscriber, or something else that reports on nothing of ours."""
    RECEIPT = "receipt"
    INTERMEDIATE = "intermediate"
    """An intermediate notification: never final, whatever its state."""
    LOOKS_LIKE = "looks_like"
    """A receipt if its id is known, else a message from a subscriber."""


class ReceiptText(NamedTuple):
    """What one receipt says; None for what it does not say."""

    message_id: bytes | None
    """As it came; for the look-up: ``dialect.key_of_receipt(message_id, id_from_tlv)``."""
    id_from_tlv: bool
    state: int | None
    """message_state, 0 to 9."""
    stat: bytes | None
    """The word in the text, as it came."""
    unmapped: bool
    """The carrier sent a state that the dialect does not know: ``state`` is UNKNOWN, and an alarm is due."""
    err: bytes | None
    """The carrier's own code, as it came."""
    network_error: tuple[int, int] | None
    """network_error_code: network type and code."""
    sub: int | None
    dlvrd: int | None
    submit_date: bytes | None
    done_date: bytes | None
    submit_at_s: int | None
    """Seconds from 1970 UTC by the dialect; may be later than ``done_at_s``: carriers' clocks are."""
    done_at_s: int | None
    text: bytes | None


def recognise(esm_class: int, text: bytes, tlvs: Mapping[int, bytes] = _NO_TLVS) -> Kind:
    """Say whether a deliver_sm is a receipt: by esm_class, else the TLV pair, else its look."""
    if esm_class & _INTERMEDIATE:
        return Kind.INTERMEDIATE
    if esm_class & _RECEIPT or (RECEIPTED_MESSAGE_ID in tlvs and MESSAGE_STATE in tlvs):
        return Kind.RECEIPT
    message_id, state, *_ = scan(text)
    return Kind.MESSAGE if message_id is None or state == ABSENT else Kind.LOOKS_LIKE


def parse(text: bytes, tlvs: Mapping[int, bytes] = _NO_TLVS, dialect: Dialect = DEFAULT) -> ReceiptText:
    """Read a receipt. `text` is short_message or, if that is empty, the message_payload TLV."""
    fields = scan(text)
    if fields[0] is None and fields[1] == ABSENT and text[:1] == b"\0":
        fields = scan(_narrow(text))
    message_id, scanned, stat, err, sub, dlvrd, submit_date, done_date, rest = fields
    state, unmapped = _state(scanned, stat, tlvs.get(MESSAGE_STATE), dialect)
    tlv_id = tlvs.get(RECEIPTED_MESSAGE_ID, b"").rstrip(b"\0").strip(b" ")
    return ReceiptText(
        tlv_id or message_id,
        bool(tlv_id),
        state,
        stat,
        unmapped,
        err,
        _network_error(tlvs.get(NETWORK_ERROR_CODE)),
        _counter(sub),
        _counter(dlvrd),
        submit_date,
        done_date,
        None if submit_date is None else dialect.submit_seconds(submit_date),
        None if done_date is None else dialect.done_seconds(done_date),
        rest,
    )


def _state(scanned: int, stat: bytes | None, tlv: bytes | None, dialect: Dialect) -> tuple[int | None, bool]:
    if tlv is not None and len(tlv) == 1 and tlv[0] <= _STATE_MAX:
        return tlv[0], False
    if stat is None:
        return (None, False) if tlv is None else (UNKNOWN, True)
    if scanned != OTHER and not dialect.states:
        return scanned, False
    state = dialect.state_of(stat)
    return (UNKNOWN, True) if state is None else (state, False)


def _network_error(tlv: bytes | None) -> tuple[int, int] | None:
    # A type and two octets; some carriers send three ASCII digits, which is a code without a type.
    if tlv is None or len(tlv) != 3:
        return None
    return (0, int(tlv)) if tlv.isdigit() else (tlv[0], tlv[1] << 8 | tlv[2])


def _counter(value: bytes | None) -> int | None:
    return int(value) if value is not None and value.isdigit() and len(value) <= _COUNTER_DIGITS_MAX else None


def _narrow(text: bytes) -> bytes:
    # A whole receipt in UCS-2: its fields are ASCII, so each second octet is enough.
    return text[1::2]
