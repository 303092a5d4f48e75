"""Values that may end in a log say nothing personal (law 11)."""

from dispatcher.model import (
    WHOLE,
    Accepted,
    Event,
    EventKind,
    Message,
    Outcome,
    Reason,
    SendRequest,
    TrafficClass,
)
from dispatcher.store.projection import Status

SECRET = ("79161234567", "4821")


def test_no_repr_shows_a_number_or_a_text() -> None:
    """Neither a request nor a message, a verdict or a status shows whom it is for, or what it says."""
    text = "Your code is 4821"
    request = SendRequest(to="+79161234567", text=text, sender="Bank", client_ref="79161234567")
    message = Message(
        7, bytes(16), "79161234567", "Bank", text, TrafficClass.SERVICE, 0, 0, 0, 1, 0, (1,), "79161234567"
    )
    status = Status(7, bytes(16), "79161234567", "Bank", "79161234567", "", 1, 1, 1, 0, 0, 0, 0, 0, 0, b"")
    for value in (request, message, Accepted(message), status):
        shown = repr(value)
        assert not any(each in shown for each in SECRET), shown
    assert repr(message) == "<Message 7: service, 1 segments>"
    assert repr(request) == "<SendRequest transactional: 17 characters>"
    assert repr(status) == "<Status 7: no outcome yet, 1 segments>"
    assert status.events == []


def test_an_event_says_what_happened() -> None:
    """In words, for whoever prints it; every kind has some."""
    end = Event(EventKind.FINISHED, WHOLE, 1, Outcome.DELIVERED << 16 | Reason.RECEIPT, 7, 0, b"")
    assert str(end) == "message 7 finished: delivered (receipt), carrier 1"
    assert str(Event(EventKind.CLAIMED, 0, 2, 1, 7, 0, b"")) == "message 7 claimed, segment 0, carrier 2"
    for kind in EventKind:
        assert kind.name.lower() in str(end._replace(kind=kind))
