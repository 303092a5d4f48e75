"""Callbacks as Kannel 1.4.5 makes them: which event is told as which type, and what its address becomes.

Who came from Kannel has addresses like ``http://bank/dlr?id=4711&type=%d&reply=%A``. `wanted` says whether an
event is one that the mask asks for, `values_of` what is known about it, `expand` what address is fetched.
The escapes were read from Debian's Kannel 1.4.5, with a simulated SMSC that gave every kind of answer.

Two differences, on purpose: a type is told once a message, not once a segment; and where nothing is known of
a message any more (the outcome is unknown, without a receipt that says so) nothing is said, as Kannel does,
but a correction of an outcome is told again.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import quote_plus

from msgspec import UNSET, UnsetType

from dispatcher.api import EventOut, rfc3339
from dispatcher.model import Message
from dispatcher.smpp.constants import CommandStatus
from dispatcher.smpp.status import status

DELIVERED: Final = 1
NOT_DELIVERED: Final = 2
QUEUED: Final = 4
"""The SMSC keeps it for later: the telephone is off."""
ACCEPTED: Final = 8
REJECTED: Final = 16
"""The SMSC refused it, or no SMSC could be asked."""
EXPIRED: Final = 32
"""Together with NOT_DELIVERED, as Kannel 1.4.5 says it of EXPIRED; its guide does not mention it."""
MASK_MAX: Final = 66
"""The largest dlr-mask that Kannel 1.4.5 takes."""

_QUEUED_STATES: Final = frozenset({"enroute", "accepted", "scheduled"})
_STATS: Final = {
    "delivered": "DELIVRD",
    "undelivered": "UNDELIV",
    "expired": "EXPIRED",
    "rejected": "REJECTD",
    "cancelled": "DELETED",
    "unknown": "UNKNOWN",
    "enroute": "ENROUTE",
    "accepted": "ACCEPTD",
    "scheduled": "SCHEDULED",
}
"""Outcomes and states that wait, by the words of a receipt."""

SOURCE: Final = "kannel:"
"""Before the user's name it is the source of his messages."""


def wanted(mask: int, event: EventOut) -> int | None:
    """Return the type by which an event is told to who asked with this dlr-mask; None: not at all."""
    kind = _type_of(event)
    return kind if kind is not None and kind & mask else None


def _type_of(event: EventOut) -> int | None:
    if event.type == "message.submitted":  # of several segments the last: they go in order
        return ACCEPTED if event.segment == event.segments else None
    if event.type == "message.receipted":
        is_last = event.segment == event.segments
        return QUEUED if is_last and event.message_state in _QUEUED_STATES else None
    if event.type not in ("message.finished", "message.corrected"):
        return None
    by_receipt = event.reason == "receipt"
    if event.outcome == "delivered":
        return DELIVERED
    if event.outcome == "unknown":
        return NOT_DELIVERED if by_receipt else None
    if event.outcome == "expired" and by_receipt:
        return NOT_DELIVERED | EXPIRED
    return REJECTED if event.outcome == "rejected" and not by_receipt else NOT_DELIVERED


def values_of(
    kind: int,
    event: EventOut,
    message: Message,
    *,
    smsc_message_id: str = "",
    command_status: str = "",
    network_error: str = "",
) -> dict[str, str]:
    """Return what each escape stands for, by its letter.

    `kind` is what `wanted` gave. The keywords are for who remembers more than the event at hand tells: the id
    that the SMSC gave, the status that it refused with ("ESME_RINVDSTADR"), the error of its receipt.
    """
    smsc_message_id = smsc_message_id or _said(event.smsc_message_id)
    network_error = network_error or _said(event.network_error) or "000"
    at = datetime.fromisoformat(event.at)
    if kind == ACCEPTED:
        reply = "ACK/"
    elif kind == REJECTED:
        reply = f"NACK/{_refusal(command_status) or _said(event.reason)}"
    else:
        stat = _said(event.outcome) or _said(event.message_state)
        reply = (
            f"id:{smsc_message_id} sub:{message.segments:03d} "
            f"dlvrd:{message.segments if kind == DELIVERED else 0:03d} "
            f"submit date:{_short(rfc3339(message.accepted_ms))} done date:{_short(event.at)} "
            f"stat:{_STATS.get(stat, stat.upper())} err:{network_error} text:"
        )
    to, sender = message.to, message.sender
    return {
        "d": str(kind),
        "A": reply,
        "a": reply,
        "b": reply,
        "p": to,  # the report's sender: who got the message
        "P": sender,
        "q": _with_plus(to),
        "Q": _with_plus(sender),
        "t": at.strftime("%Y-%m-%d %H:%M:%S"),
        "T": str(int(at.timestamp())),
        "i": _said(event.carrier),
        "I": event.message_id,
        "F": smsc_message_id,
        "n": message.source.removeprefix(SOURCE),
    }


_FIXED: Final = {"c": "-1", "m": "-1", "M": "-1", "C": "UTF-8", "O": "00"} | dict.fromkeys("uBofvVDksSre", "")
"""Escapes that say nothing of a report: Kannel puts this in their place."""


def expand(url: str, values: Mapping[str, str]) -> str:
    """Return the address with its escapes replaced, each value encoded for a query.

    ``%%`` is a percent sign, ``%R`` the address itself as it was given; what is no escape of Kannel stays.
    """
    pieces = url.split("%")
    found = [pieces[0]]
    rest = iter(pieces[1:])
    for piece in rest:
        letter = piece[:1]
        if not piece:  # %% or the end
            found.append("%" + next(rest, ""))
        elif letter == "R":
            found.append(quote_plus(url, safe="") + piece[1:])
        elif letter in values or letter in _FIXED:
            value = values.get(letter, _FIXED.get(letter, ""))
            found.append(quote_plus(value, safe=":" if letter == "t" else "") + piece[1:])
        else:
            found.append("%" + piece)
    return "".join(found)


def _refusal(name: str) -> str:
    """ESME_RINVDSTADR -> 0x0000000b/invalid destination address; one without a name goes by its number."""
    if name.startswith("ESME_"):
        code: int = vars(CommandStatus)[name]
        return f"0x{code:08x}/{status(code).meaning}"
    return name


def _said(field: str | UnsetType) -> str:
    return "" if field is UNSET else field


def _short(at: str) -> str:
    """2026-11-24T10:00:00.123Z -> 2611241000."""
    return at[2:4] + at[5:7] + at[8:10] + at[11:13] + at[14:16]


def _with_plus(number: str) -> str:
    return f"+{number[2:]}" if number.startswith("00") else number
