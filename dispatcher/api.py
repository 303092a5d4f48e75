"""What programs outside see: events and names as JSON. HTTP, webhooks, event files and Kafka speak the same.

Values only; times are RFC 3339 in UTC with milliseconds. No full number and no text is in an event (law 11).
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from dispatcher.model import WHOLE, Event, EventKind, Outcome, Reason, TrafficClass
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


class Checked(Struct, frozen=True, kw_only=True, gc=False):
    """What would become of a message if it were sent now: a dry run."""

    alphabet: str
    segments: int
    units: int
    """Septets of GSM-7, octets of others."""
    forced_by: tuple[tuple[str, int], ...] = ()
    """Characters that force the alphabet, each with its position in the text, from 0."""
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
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


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


def masked(number: str) -> str:
    """Return a number as it may be shown: 7916***4567; of a short one, less."""
    shown = 4 if len(number) > 10 else 2
    return f"{number[:shown]}***{number[-shown:]}" if len(number) > 4 else "***"


def event_out(cursor: Cursor, event: Event, subject: Subject, carriers: dict[int, str]) -> EventOut:
    """Return an event as it is told outside. `carriers`: names by number."""
    kind = EventKind(event.kind)
    more: dict[str, int | str] = {}
    if event.segment != WHOLE and kind not in (EventKind.FINISHED, EventKind.CORRECTED, EventKind.REROUTED):
        more["segment"] = event.segment + 1
    if event.carrier:
        more["carrier"] = carriers.get(event.carrier, str(event.carrier))
    if subject.client_ref is not None:
        more["client_ref"] = subject.client_ref
    if subject.source:
        more["source"] = subject.source
    if kind is EventKind.CLAIMED:
        more["attempt"] = event.code
    elif kind is EventKind.SUBMITTED:
        more["smsc_message_id"] = event.tail.decode("latin-1")
    elif kind is EventKind.REFUSED:
        more["command_status"] = status(event.code).name
    elif kind is EventKind.RETRY:
        more["retry_at"] = rfc3339(int.from_bytes(event.tail, "little"))
    elif kind is EventKind.RECEIPTED:
        more["message_state"] = message_state_name(event.code)
        if event.tail:
            more["network_error"] = event.tail.decode("latin-1")
    elif kind in (EventKind.FINISHED, EventKind.CORRECTED, EventKind.FAILED):
        more["outcome"] = Outcome(event.code >> 16).name.lower()
        more["reason"] = Reason(event.code & 0xFFFF).name.lower()
    return EventOut(
        id=cursor_text(cursor),
        type=f"message.{kind.name.lower()}",
        at=rfc3339(event.at_ms),
        message_id=subject.message_id,
        traffic_class=TrafficClass(subject.traffic_class).name.lower(),
        segments=subject.segments,
        **more,  # type: ignore[arg-type]  # each of its own type
    )


_STATES: Final = {code: name.lower() for name, code in vars(MessageState).items() if name.isupper()}


def message_state_name(code: int) -> str:
    """Return the message_state of a RECEIPTED event's code, as SMPP spells it, in lower case."""
    return _STATES.get(code & 0xFF, str(code & 0xFF))
