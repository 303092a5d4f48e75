"""Events in octets: the compiled buffer and reader against the layout that dispatcher.model.Event states."""

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher._ext.events import EventBuffer, pick_events, read_events
from dispatcher.errors import StoreError
from dispatcher.model import WHOLE, Event, EventKind

HEAD = struct.Struct("<BBHIQqB")
"""kind, segment, carrier, code, n, at_ms, length of the tail: written here from the docstring of Event."""

events = st.builds(
    Event,
    kind=st.sampled_from(EventKind).map(int),
    segment=st.integers(0, 255),
    carrier=st.integers(0, 2**16 - 1),
    code=st.integers(0, 2**32 - 1),
    n=st.integers(0, 2**64 - 1),
    at_ms=st.integers(-(2**63), 2**63 - 1),
    tail=st.binary(max_size=255),
)


def packed(event: Event) -> bytes:
    """One record by the standard library."""
    kind, segment, carrier, code, n, at_ms, tail = event
    return HEAD.pack(kind, segment, carrier, code, n, at_ms, len(tail)) + tail


def put(buffer: EventBuffer, event: Event) -> None:
    """Add it by the names of its fields."""
    buffer.add(**event._asdict())


@given(st.lists(events, max_size=20))
@settings(max_examples=300, deadline=None)
def test_events_are_put_and_read_as_the_layout_says(some: list[Event]) -> None:
    """The octets are those of struct, reading gives the same events of the asked type, and take empties."""
    buffer = EventBuffer()
    for event in some:
        put(buffer, event)
    expected = b"".join(map(packed, some))
    assert (len(buffer), buffer.octets) == (len(some), len(expected))
    assert buffer.take() == (len(some), expected)
    assert (len(buffer), buffer.octets, buffer.take()) == (0, 0, (0, b""))
    read = read_events(expected, Event)
    assert read == some
    assert all(type(event) is Event for event in read)
    assert read_events(expected, tuple) == [tuple(event) for event in some]


@given(st.lists(events, max_size=20), st.sets(st.sampled_from(EventKind)))
@settings(max_examples=300, deadline=None)
def test_events_of_some_kinds_are_picked_with_their_places(some: list[Event], kinds: set[EventKind]) -> None:
    """Those that a filter over all of them finds, their places from 1, and how many there are in all."""
    body = b"".join(map(packed, some))
    count, places, picked = pick_events(body, Event, sum(1 << kind for kind in kinds))
    expected = [(place, event) for place, event in enumerate(some, 1) if event.kind in kinds]
    assert (count, list(zip(places, picked, strict=True))) == (len(some), expected)
    if some:
        with pytest.raises(StoreError, match="cut"):
            pick_events(body[:-1], Event, 0)


@given(st.lists(events, min_size=1, max_size=3), st.data())
@settings(max_examples=300, deadline=None)
def test_a_cut_body_is_refused_and_never_read_wrongly(some: list[Event], data: st.DataObject) -> None:
    """Cut anywhere but between two records, a body is a StoreError."""
    body = b"".join(map(packed, some))
    cut = data.draw(st.integers(0, len(body)))
    whole = [len(b"".join(map(packed, some[:count]))) for count in range(len(some) + 1)]
    if cut in whole:
        assert read_events(body[:cut], Event) == some[: whole.index(cut)]
    else:
        with pytest.raises(StoreError, match="cut"):
            read_events(body[:cut], Event)


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_octets_give_events_or_a_store_error(body: bytes) -> None:
    """Rubbish is either a sequence of records, octet for octet, or a StoreError."""
    try:
        read = read_events(body, Event)
    except StoreError:
        return
    assert b"".join(map(packed, read)) == body


@pytest.mark.parametrize("kind", [0, max(EventKind) + 1, 255])
def test_an_unknown_kind_is_refused(kind: int) -> None:
    """A kind that nobody knows is a StoreError that says where; adding it is a ValueError."""
    body = packed(Event(int(EventKind.CLAIMED), 0, 1, 1, 1, 0, b""))
    with pytest.raises(StoreError, match=f"octet {len(body)} .*unknown kind {kind}"):
        read_events(body + packed(Event(kind, 0, 1, 1, 1, 0, b"")), Event)
    with pytest.raises(ValueError, match="kind"):
        EventBuffer().add(kind, 1, 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("n", value) for value in (-1, 2**64)),
        *(("at_ms", value) for value in (-(2**63) - 1, 2**63)),
        *(("segment", value) for value in (-1, 256)),
        *(("carrier", value) for value in (-1, 2**16)),
        *(("code", value) for value in (-1, 2**32)),
        ("tail", bytes(256)),
    ],
)
def test_what_does_not_fit_is_refused_and_not_cut(field: str, value: Any) -> None:
    """One too many or too few of any field is a ValueError, and nothing is added."""
    buffer = EventBuffer()
    fields = Event(int(EventKind.RETRY), 0, 1, 1, 1, 0, b"")._replace(**{field: value})
    with pytest.raises(ValueError, match=r"no event|at most"):
        put(buffer, fields)
    assert len(buffer) == 0


def test_what_is_not_said_is_the_whole_message() -> None:
    """Kind, n and time are enough: segment is WHOLE, the rest is empty."""
    buffer = EventBuffer()
    buffer.add(EventKind.FINISHED, 7, 5)
    assert read_events(buffer.take()[1], Event) == [Event(EventKind.FINISHED, WHOLE, 0, 0, 7, 5, b"")]


def test_only_tuples_are_read_into() -> None:
    """Any other class is a broken contract."""
    with pytest.raises(TypeError, match="tuples"):
        read_events(b"", list)  # type: ignore[type-var]
