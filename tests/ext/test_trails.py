"""Trails against a slow twin: events sorted by message, and what they come to."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher._ext.trails import add_trails, last_state
from dispatcher.errors import StoreError
from dispatcher.model import Event, EventKind
from tests.ext.test_events import events, packed

few = st.builds(
    Event,
    kind=st.sampled_from(EventKind).map(int),
    segment=st.integers(0, 255),
    carrier=st.integers(0, 2),
    code=st.integers(0, 2**32 - 1),
    n=st.sampled_from([0, 1, 2, 3, 2**40]),
    at_ms=st.integers(0, 2**50),
    tail=st.binary(max_size=20),
)


@given(st.lists(st.lists(few, max_size=20), max_size=3))
@settings(max_examples=300, deadline=None)
def test_trails_are_the_events_of_each_message_in_order(bodies: list[list[Event]]) -> None:
    """Body after body, each event goes to its message, unchanged; those without a message go nowhere."""
    trails: dict[int, bytes] = {}
    expected: dict[int, bytes] = {}
    for body in bodies:
        add_trails(b"".join(map(packed, body)), trails)
        for event in body:
            if event.n:
                expected[event.n] = expected.get(event.n, b"") + packed(event)
    assert trails == expected


@given(st.lists(few, max_size=20))
@settings(max_examples=300, deadline=None)
def test_the_last_state_is_that_of_the_last_events(some: list[Event]) -> None:
    """The last carrier that is named; outcome and time of the last FINISHED or CORRECTED."""
    carriers = [event.carrier for event in some if event.carrier]
    ends = [event for event in some if event.kind in (EventKind.FINISHED, EventKind.CORRECTED)]
    expected = (carriers[-1] if carriers else 0, ends[-1].code if ends else 0, ends[-1].at_ms if ends else 0)
    assert last_state(b"".join(map(packed, some))) == expected


@given(events, st.data())
@settings(max_examples=200, deadline=None)
def test_a_cut_body_is_refused(event: Event, data: st.DataObject) -> None:
    """Cut anywhere within a record, both say so."""
    octets = packed(event)
    cut = octets + octets[: data.draw(st.integers(1, len(octets) - 1))]
    with pytest.raises(StoreError, match="the record is cut"):
        add_trails(cut, {})
    with pytest.raises(StoreError, match="is cut"):
        last_state(cut)
    unknown = b"\xff" + octets[1:]
    with pytest.raises(StoreError, match="unknown kind"):
        add_trails(unknown, {})
    with pytest.raises(StoreError, match="unknown kind"):
        last_state(unknown)
