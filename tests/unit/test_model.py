"""Values that may end in a log say nothing personal (law 11)."""

from dispatcher.model import Accepted, Message, SendRequest, TrafficClass
from dispatcher.store.projection import Status

SECRET = ("79161234567", "4821")


def test_no_repr_shows_a_number_or_a_text() -> None:
    """Neither a request nor a message, a verdict or a status shows whom it is for, or what it says."""
    text = "Your code is 4821"
    request = SendRequest(to="+79161234567", text=text, sender="Bank", client_ref="79161234567")
    message = Message(
        7, bytes(16), "79161234567", "Bank", text, TrafficClass.SERVICE, 0, 0, 0, 1, 0, (1,), "79161234567"
    )
    status = Status(7, bytes(16), "79161234567", "Bank", "79161234567", 1, 1, 1, 0, 0, 0, 0, 0, 0, b"")
    for value in (request, message, Accepted(message), status):
        shown = repr(value)
        assert not any(each in shown for each in SECRET), shown
    assert repr(message) == "<Message 7: service, 1 segments>"
    assert repr(request) == "<SendRequest transactional: 17 characters>"
    assert repr(status) == "<Status 7: no outcome yet, 1 segments>"
    assert status.events == []
