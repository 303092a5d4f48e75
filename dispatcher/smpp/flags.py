"""What the bits of esm_class, registered_delivery and network_error_code say (5.2.12, 5.2.17, 5.3.2.31).

The law: bits are masked, never refused. Reserved combinations read as ``reserved``, 5.0's as 5.0 means them.
"""

from typing import Final, NamedTuple

from dispatcher.smpp.constants import EsmClass, RegisteredDelivery

_MODES: Final = ("default", "datagram", "forward", "store_and_forward")
_TYPES: Final = {
    0: "default",
    EsmClass.DELIVERY_RECEIPT: "delivery_receipt",
    EsmClass.DELIVERY_ACKNOWLEDGEMENT: "delivery_acknowledgement",
    EsmClass.USER_ACKNOWLEDGEMENT: "user_acknowledgement",
    EsmClass.CONVERSATION_ABORT: "conversation_abort",
    EsmClass.INTERMEDIATE_NOTIFICATION: "intermediate_delivery_notification",
}
_RECEIPTS: Final = ("none", "final", "failure", "success")
_ACKNOWLEDGEMENT_MASK: Final = EsmClass.CONVERSATION_ABORT  # two bits that hold a number, not two flags


class EsmParts(NamedTuple):
    """esm_class, taken apart."""

    mode: str
    type: str
    udhi: bool
    reply_path: bool


class RegisteredParts(NamedTuple):
    """registered_delivery, taken apart."""

    receipt: str
    delivery_acknowledgement: bool
    user_acknowledgement: bool
    intermediate: bool


class NetworkError(NamedTuple):
    """network_error_code; both numbers are None where the SMSC did not send a type and two octets."""

    network_type: int | None
    error_code: int | None
    raw: bytes


def esm_parts(esm_class: int) -> EsmParts:
    """Take an esm_class apart, for people: decisions are the functions below."""
    return EsmParts(
        _MODES[esm_class & EsmClass.MODE_MASK],
        _TYPES.get(esm_class & EsmClass.TYPE_MASK, "reserved"),
        has_udh(esm_class),
        has_reply_path(esm_class),
    )


def has_udh(esm_class: int) -> bool:
    """Whether short_message begins with a user data header."""
    return bool(esm_class & EsmClass.UDHI)


def has_reply_path(esm_class: int) -> bool:
    """Whether the reply path is set."""
    return bool(esm_class & EsmClass.REPLY_PATH)


def is_delivery_receipt(esm_class: int) -> bool:
    """Whether it is the SMSC's receipt; some set other bits of the type besides."""
    return bool(esm_class & EsmClass.DELIVERY_RECEIPT)


def is_intermediate(esm_class: int) -> bool:
    """Whether it is an intermediate notification: the state is not final."""
    return bool(esm_class & EsmClass.INTERMEDIATE_NOTIFICATION)


def is_delivery_acknowledgement(esm_class: int) -> bool:
    """Whether the handset's application says it was delivered: not a receipt of the SMSC."""
    return esm_class & _ACKNOWLEDGEMENT_MASK == EsmClass.DELIVERY_ACKNOWLEDGEMENT


def is_user_acknowledgement(esm_class: int) -> bool:
    """Whether the user says it was read: not a receipt of the SMSC."""
    return esm_class & _ACKNOWLEDGEMENT_MASK == EsmClass.USER_ACKNOWLEDGEMENT


def registered_parts(registered_delivery: int) -> RegisteredParts:
    """Take a registered_delivery apart. 3 is 5.0's "on success only", reserved in 3.4."""
    return RegisteredParts(
        _RECEIPTS[registered_delivery & RegisteredDelivery.RECEIPT_MASK],
        bool(registered_delivery & RegisteredDelivery.DELIVERY_ACKNOWLEDGEMENT),
        bool(registered_delivery & RegisteredDelivery.USER_ACKNOWLEDGEMENT),
        bool(registered_delivery & RegisteredDelivery.INTERMEDIATE_NOTIFICATION),
    )


def network_error(value: bytes) -> NetworkError:
    """Read a network_error_code: an octet of type, two of code. ASCII digits, as some send, stay raw."""
    if len(value) != 3 or value.isdigit():
        return NetworkError(None, None, value)
    return NetworkError(value[0], int.from_bytes(value[1:], "big"), value)
