"""What became of a message: GET one or some, take one back, and the dry run.

A key sees what it sent itself, and everything if it may read all; other messages are as if they were not
there. Numbers are masked, texts are not shown.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final
from uuid import UUID

from aiohttp import web
from msgspec import UNSET, Struct, UnsetType

from dispatcher.admission import number_of
from dispatcher.api import (
    ABOUT_MESSAGES,
    Checked,
    EventOut,
    Subject,
    event_out,
    masked,
    message_state_name,
    rfc3339,
)
from dispatcher.ingest.bodies import encoder
from dispatcher.ingest.door import StatusView
from dispatcher.ingest.messages import read_messages
from dispatcher.ingest.problems import Problem, ProblemError, problem
from dispatcher.ingest.service import Call
from dispatcher.model import WHOLE, Event, EventKind, Outcome, Reason, Refused, SendRequest, TrafficClass

LIMIT_DEFAULT: Final = 100
LIMIT_MAX: Final = 200
"""Messages of one page: each takes some 20 us of the loop."""
CHECK_MAX: Final = 1000
"""Messages of one dry run; nothing is gained by more."""


class SegmentOut(Struct, kw_only=True, omit_defaults=True, gc=False):
    """One segment. `state`: waiting, sending, sent; then message_state, or how it failed."""

    segment: int
    """From 1."""
    state: str = "waiting"
    carrier: str | UnsetType = UNSET
    smsc_message_id: str | UnsetType = UNSET
    attempts: int = 0


class MessageOut(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a message."""

    message_id: str
    state: str
    """waiting, sending, sent; then its outcome."""
    reason: str | UnsetType = UNSET
    """Of the outcome."""
    to: str
    """Masked."""
    sender: str
    traffic_class: str
    client_ref: str | UnsetType = UNSET
    source: str | UnsetType = UNSET
    accepted_at: str
    finished_at: str | UnsetType = UNSET
    price: Decimal | UnsetType = UNSET
    """Not known yet."""
    segments: list[SegmentOut]
    events: list[EventOut] | UnsetType = UNSET
    """Only of a message that is asked for alone. Their ids are their places in it, not cursors."""


class Page(Struct, frozen=True, kw_only=True):
    """Messages, newest first."""

    messages: list[MessageOut]
    before: str | None
    """Give it as ``before`` for the next page; null: this was the last."""


async def get_message(call: Call) -> web.StreamResponse:
    """Return one message."""
    status = await _own(call)
    return _answer(message_out(status, call.service.door.feed.carriers, with_events=True))


async def find_messages(call: Call) -> web.StreamResponse:
    """Return the messages of a client_ref or to a number, a page at a time."""
    query = call.query
    client_ref, to = query("client_ref"), query("to")
    if (client_ref is None) == (to is None):
        raise ProblemError("malformed", "give client_ref or to, one of them", path="client_ref")
    if to is not None:
        to = to.strip().removeprefix("+")  # an unescaped + of a query is a blank
        if not (to.isascii() and to.isdecimal() and len(to) <= 18):
            raise ProblemError("malformed", "the digits of E.164 are expected", path="to")
    limit = _limit(query("limit"))
    before_n = 1 << 62
    if (before := query("before")) is not None:
        before_n = number_of(_uuid(before, "before").bytes)
    source = None if call.caller.may_read_all else call.caller.source
    found = await call.service.door.find(
        client_ref=client_ref, to=to, source=source, most=limit + 1, before_n=before_n
    )
    carriers = call.service.door.feed.carriers
    messages = [message_out(each, carriers) for each in found[:limit]]
    return _answer(Page(messages=messages, before=messages[-1].message_id if len(found) > limit else None))


async def cancel_message(call: Call) -> web.StreamResponse:
    """Take back a message that still waits: 200, or 409 with why not."""
    status = await _own(call)
    if not await call.service.door.cancel(call.argument):
        status = await _own(call)
        if status.outcome:
            detail = f"it has ended: {Outcome(status.outcome).name.lower()}"
        else:
            detail = "it is being sent, or was: nobody can take it back"
        raise ProblemError("not_cancellable", detail)
    return web.Response(body=b'{"cancelled":true}', content_type="application/json")


async def check_messages(call: Call) -> web.StreamResponse:
    """Say what would become of messages: alphabet, segments, what forces the cost, route, price."""
    asked = await read_messages(call, CHECK_MAX)
    good = [each for each in asked if isinstance(each, SendRequest)]
    checked = iter(await call.service.door.check(good))
    verdicts = [each if isinstance(each, Refused) else next(checked) for each in asked]
    results: list[Checked | Problem] = [
        problem(each, at=f"$.messages[{place}]") if isinstance(each, Refused) else each
        for place, each in enumerate(verdicts)
    ]
    return _answer({"results": results})


def message_out(status: StatusView, carriers: Mapping[int, str], *, with_events: bool = False) -> MessageOut:
    """Return what is known of a message as it is told outside."""
    message_id = str(UUID(bytes=status.message_id))
    events = status.events
    segments = _segments(status.segments, events, carriers)
    told: list[EventOut] | UnsetType = UNSET
    if with_events:
        subject = Subject(
            message_id,
            status.traffic_class,
            status.segments,
            status.accepted_ms,
            status.source,
            status.client_ref,
        )
        about = [event for event in events if event.kind in ABOUT_MESSAGES]
        told = [event_out((0, place), event, subject, dict(carriers)) for place, event in enumerate(about, 1)]
    return MessageOut(
        message_id=message_id,
        state=_state(status, segments),
        reason=Reason(status.reason).name.lower() if status.outcome else UNSET,
        to=masked(status.to),
        sender=status.sender,
        traffic_class=TrafficClass(status.traffic_class).name.lower(),
        client_ref=UNSET if status.client_ref is None else status.client_ref,
        source=status.source or UNSET,
        accepted_at=rfc3339(status.accepted_ms),
        finished_at=rfc3339(status.finished_ms) if status.finished_ms else UNSET,
        segments=segments,
        events=told,
    )


def _state(status: StatusView, segments: list[SegmentOut]) -> str:
    if status.outcome:
        return Outcome(status.outcome).name.lower()
    states = {segment.state for segment in segments}
    if states == {"waiting"}:
        return "waiting"
    return "sending" if states & {"waiting", "sending"} else "sent"


_STATES: Final = {
    EventKind.CLAIMED: "sending",
    EventKind.SUBMITTED: "sent",
    EventKind.REFUSED: "refused",
    EventKind.UNANSWERED: "unanswered",
    EventKind.UNSENT: "waiting",
    EventKind.RETRY: "waiting",
    EventKind.REROUTED: "waiting",
}
"""Of a segment after an event; after a receipt it is what the receipt says."""


def _segments(count: int, events: list[Event], carriers: Mapping[int, str]) -> list[SegmentOut]:
    segments = [SegmentOut(segment=number + 1) for number in range(count)]
    for event in events:
        concerned = segments if event.segment == WHOLE else segments[event.segment : event.segment + 1]
        for segment in concerned:
            _note(segment, event, carriers)
    return segments


def _note(segment: SegmentOut, event: Event, carriers: Mapping[int, str]) -> None:
    kind = EventKind(event.kind)
    if kind in (EventKind.FINISHED, EventKind.CORRECTED):
        return
    if event.carrier:
        segment.carrier = carriers.get(event.carrier, str(event.carrier))
    if kind is EventKind.CLAIMED:
        segment.attempts = event.code
    elif kind is EventKind.SUBMITTED:
        segment.smsc_message_id = event.tail.decode("latin-1")
    if kind is EventKind.RECEIPTED:
        segment.state = message_state_name(event.code)
    elif kind is EventKind.FAILED:
        segment.state = Outcome(event.code >> 16).name.lower()
    else:
        segment.state = _STATES.get(kind, segment.state)


async def _own(call: Call) -> StatusView:
    """Return the message that is asked for, if it is the caller's business."""
    _uuid(call.argument, "")
    status = await call.service.door.status(call.argument)
    if status is None or not call.caller.may_see(status.source):
        raise ProblemError("not_found", "no such message, or it is kept no longer")
    return status


def _uuid(text: str, path: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ProblemError("not_found" if not path else "malformed", "no message_id", path=path) from None


def _limit(text: str | None) -> int:
    if text is None:
        return LIMIT_DEFAULT
    if not (text.isascii() and text.isdecimal() and len(text) < 9 and 1 <= int(text) <= LIMIT_MAX):
        raise ProblemError("malformed", f"1 to {LIMIT_MAX} is expected", path="limit")
    return int(text)


def _answer(value: object) -> web.Response:
    return web.Response(body=encoder.encode(value), content_type="application/json")
