"""In which state a message is, by the last that happened to each of its segments."""

from collections.abc import Iterable, Sequence
from typing import Final

from dispatcher.model import WHOLE, Event, EventKind

WAITING, IN_FLIGHT, IN_DOUBT = "waiting", "in_flight", "in_doubt"
AWAITING, FINISHED = "awaiting_receipt", "finished"
STATES: Final = (WAITING, IN_FLIGHT, IN_DOUBT, AWAITING, FINISHED)
"""In the order of a message's life. In doubt: written, never answered, and not to be sent again yet."""

_LATE: Final = 1 << 16
_INTERMEDIATE: Final = 1 << 8
_SENT: Final = (EventKind.SUBMITTED, EventKind.RECEIPTED, EventKind.FAILED)


def state_of(segments: Sequence[int]) -> str:
    """Return the state of a message that has not finished, by the last kind of each segment; UNSENT: none."""
    if EventKind.CLAIMED in segments:
        return IN_FLIGHT
    if EventKind.UNANSWERED in segments:
        return IN_DOUBT
    return AWAITING if all(each in _SENT for each in segments) else WAITING


def state_after(segments: int, events: Iterable[Event]) -> str:
    """Return the state of a message of so many segments after its events, in order."""
    last: list[int] = [EventKind.UNSENT] * segments
    for event in events:
        if event.kind in (EventKind.FINISHED, EventKind.CORRECTED):
            return FINISHED
        if event.kind == EventKind.REROUTED:
            last = [EventKind.UNSENT] * segments
        elif event.segment != WHOLE and event.segment < segments:
            is_late = event.kind == EventKind.SUBMITTED and event.code & _LATE
            is_passing = event.kind == EventKind.RECEIPTED and event.code & _INTERMEDIATE
            if not is_passing and not (is_late and last[event.segment] == EventKind.CLAIMED):
                last[event.segment] = EventKind.UNSENT if event.kind == EventKind.RETRY else event.kind
    return state_of(last)
