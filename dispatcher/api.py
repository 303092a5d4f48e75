"""What programs outside see: events and names as JSON. HTTP, webhooks, event files and Kafka speak the same.

Values only; times are RFC 3339 in UTC with milliseconds. No full number and no text is in an event (law 11).
"""

import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from dispatcher.model import WHOLE, Callback, Event, EventKind, Message, Outcome, Reason, TrafficClass
from dispatcher.smpp.constants import MessageState
from dispatcher.smpp.status import status

Cursor = tuple[int, int]
"""A place in the history: the row of the journal, and how many of its events were seen."""


class Subject(Struct, frozen=True, gc=False):
    """Of a message, what its events are told with."""

    message_id: str
    traffic_class: int
    segments: int
    accepted_ms: int
    source: str = ""
    client_ref: str | None = None
    callback: Callback | None = None
    """Who is told of this message alone."""
    traceparent: str | None = None


class EventOut(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One fact about one message. `id` is its cursor: stable, and `after=` it the next one comes."""

    id: str
    type: str
    """``message.`` and an `EventKind` in lower case."""
    at: str
    message_id: str
    traffic_class: str
    segments: int
    client_ref: str | UnsetType = UNSET
    source: str | UnsetType = UNSET
    """The API key's name."""
    traceparent: str | UnsetType = UNSET
    """The sender's trace, as it came: the header of a record in Kafka."""
    segment: int | UnsetType = UNSET
    """From 1; not there: all of the message."""
    carrier: str | UnsetType = UNSET
    attempt: int | UnsetType = UNSET
    smsc_message_id: str | UnsetType = UNSET
    command_status: str | UnsetType = UNSET
    """As SMPP spells it: ESME_RTHROTTLED."""
    message_state: str | UnsetType = UNSET
    network_error: str | UnsetType = UNSET
    outcome: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    retry_at: str | UnsetType = UNSET


class Called(Struct, frozen=True, gc=False):
    """An event of a message that has a callback, and all of the message: its address may ask for anything."""

    event: EventOut
    message: Message

    def __repr__(self) -> str:
        """Say nothing personal (law 11): it may end in a log."""
        return f"<Called {self.event.type} {self.event.id}>"


class Checked(Struct, frozen=True, kw_only=True, gc=False):
    """What would become of a message if it were sent now: a dry run."""

    alphabet: str
    segments: int
    units: int
    """Septets of GSM-7, octets of others."""
    forced_by: tuple[tuple[str, int], ...] = ()
    """Characters that force the alphabet, each with its position in the text, from 0."""
    warnings: tuple[str, ...] = ()
    """What can be sent and may surprise who reads it."""
    cheaper: str | None = None
    """What would cost less; None: nothing would."""
    carriers: tuple[str, ...]
    """Its route: names, best first."""
    price: Decimal | None = None
    """Of all segments; None: not known."""
    currency: str


ABOUT_MESSAGES: Final = frozenset(EventKind) - {EventKind.PARKED, EventKind.ORPHANED}
"""Kinds that are told outside."""


def rfc3339(ms: int) -> str:
    """Return a time in milliseconds of UTC as 2026-11-24T10:00:00.123Z."""
    return f"{_second(ms // 1000)}{ms % 1000:03d}Z"


@lru_cache(maxsize=1024)
def _second(second: int) -> str:
    """Events of one second come together: its text is made once."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.")


def cursor_text(cursor: Cursor) -> str:
    """Return a cursor as its text: ``12-3``."""
    return f"{cursor[0]}-{cursor[1]}"


def cursor_of(text: str) -> Cursor:
    """Return the cursor that a text says. ValueError: none."""
    seq, dash, index = text.partition("-")
    if not (dash and seq.isascii() and seq.isdecimal() and index.isascii() and index.isdecimal()):
        raise ValueError("a cursor looks like 12-3: take the id of the last event that was seen")
    if len(text) > 40:
        raise ValueError("a cursor has at most 40 characters")
    return int(seq), int(index)


_TYPES: Final = {kind.value: f"message.{kind.name.lower()}" for kind in EventKind}
_CLASSES: Final = tuple(each.name.lower() for each in TrafficClass)
_OUTCOMES: Final = {each.value: each.name.lower() for each in Outcome}
_REASONS: Final = {each.value: each.name.lower() for each in Reason}
_STATES: Final = {code: name.lower() for name, code in vars(MessageState).items() if name.isupper()}
_OF_ALL: Final = frozenset({EventKind.FINISHED, EventKind.CORRECTED, EventKind.REROUTED})
_WITH_OUTCOME: Final = frozenset({EventKind.FINISHED, EventKind.CORRECTED, EventKind.FAILED})


def masked(number: str) -> str:
    """Return a number as it may be shown: 7916***4567; of a short one, less."""
    shown = 4 if len(number) > 10 else 2
    return f"{number[:shown]}***{number[-shown:]}" if len(number) > 4 else "***"


_CODE: Final = re.compile(
    rb"[A-Z_]{1,16}|[a-z_]{1,16}|[0-9A-Z:.-]{1,9}|(?:0x)?[0-9a-z:.-]{1,9}|0x[0-9A-F]{1,8}"
)
"""Fewer digits than any full number has."""


@lru_cache(maxsize=1024)
def code_word(octets: bytes) -> str:
    """Return an error or a state of a receipt as it may be shown; "": it does not look like one.

    Carriers put a part of the message's text where their codes belong: what is no short word in one case
    stays inside (law 11).
    """
    return octets.decode("ascii") if _CODE.fullmatch(octets) else ""


def event_out(cursor: Cursor, event: Event, subject: Subject, carriers: dict[int, str]) -> EventOut:
    """Return an event as it is told outside. `carriers`: names by number."""
    kind, segment, carrier, code, _, at_ms, tail = event
    outcome = reason = smsc_message_id = state = error = more = None
    if kind in _WITH_OUTCOME:  # by far the most that are asked for
        outcome, reason = _OUTCOMES[code >> 16], _REASONS[code & 0xFFFF]
    elif kind == EventKind.RECEIPTED:
        state = _STATES.get(code & 0xFF, str(code & 0xFF))
        error = code_word(tail)
    elif kind == EventKind.SUBMITTED:
        smsc_message_id = tail.decode("latin-1")
    elif kind == EventKind.REFUSED:
        more = status(code).name
    return EventOut(
        id=f"{cursor[0]}-{cursor[1]}",
        type=_TYPES[kind],
        at=rfc3339(at_ms),
        message_id=subject.message_id,
        traffic_class=_CLASSES[subject.traffic_class],
        segments=subject.segments,
        client_ref=UNSET if subject.client_ref is None else subject.client_ref,
        source=subject.source or UNSET,
        traceparent=subject.traceparent or UNSET,
        segment=UNSET if segment == WHOLE or kind in _OF_ALL else segment + 1,
        carrier=carriers.get(carrier, str(carrier)) if carrier else UNSET,
        attempt=code if kind == EventKind.CLAIMED else UNSET,
        smsc_message_id=UNSET if smsc_message_id is None else smsc_message_id,
        command_status=more or UNSET,
        message_state=state or UNSET,
        network_error=error or UNSET,
        outcome=outcome or UNSET,
        reason=reason or UNSET,
        retry_at=rfc3339(int.from_bytes(tail, "little")) if kind == EventKind.RETRY else UNSET,
    )


def message_state_name(code: int) -> str:
    """Return the message_state of a RECEIPTED event's code, as SMPP spells it, in lower case."""
    return _STATES.get(code & 0xFF, str(code & 0xFF))
