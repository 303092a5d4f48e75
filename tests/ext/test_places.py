"""Places of messages, and events under them: against a slow twin that is a dictionary."""

import random

import pytest

from dispatcher._ext.events import EventBuffer, read_events
from dispatcher._ext.places import Places, about_messages, grouped, renumbered
from dispatcher.errors import StoreError
from dispatcher.model import Event, EventKind

Place = tuple[int, int, int]


def number(place: Place) -> int:
    """Return what stands for a place in an event."""
    return place[1] << 44 | place[2]


def body_of(events: list[Event]) -> bytes:
    """Return events in octets."""
    buffer = EventBuffer()
    for each in events:
        buffer.add(each.kind, each.n, each.at_ms, each.segment, each.carrier, each.code, each.tail)
    return buffer.take()[1]


def some_event(chance: random.Random, n: int) -> Event:
    """Return any event of a message; n 0: a receipt that matches none."""
    kinds = [EventKind.PARKED, EventKind.ORPHANED] if not n else [
        kind for kind in EventKind if kind not in (EventKind.PARKED, EventKind.ORPHANED)
    ]  # fmt: skip
    tail = chance.randbytes(chance.randrange(20))
    return Event(chance.choice(kinds), chance.randrange(3), chance.randrange(9), chance.randrange(999), n,
                 chance.randrange(1 << 40), tail)  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
def test_events_go_where_their_messages_stand(seed: int) -> None:
    """Whatever is put, ended and forgotten: each event of ours is under its place, in order; no other is."""
    chance = random.Random(seed)
    places, twin, gone, ended = Places(), dict[int, Place](), set[int](), set[int]()
    for _ in range(300):
        n = chance.randrange(1, 20_000)
        if n not in twin:
            twin[n] = (chance.randrange(5), chance.randrange(4), chance.randrange(1 << 44))
            places.put(n, *twin[n])
    for _ in range(10):
        numbers = [chance.choice([0, chance.randrange(1, 20_000), *twin]) for _ in range(200)]
        events = [some_event(chance, n) for n in numbers]
        split, parked, lost = places.split(body_of(events))
        ours = [each for each in events if each.n in twin and each.n not in gone]
        assert {index: read_events(body, Event) for index, body in split.items()} == {
            index: mine for index in range(5)
            if (mine := [each._replace(n=number(twin[each.n])) for each in ours if twin[each.n][0] == index])
        }  # fmt: skip
        assert read_events(parked, Event) == [each for each in events if each.kind == EventKind.PARKED]
        others = [each for each in events if each.n and each not in ours]
        assert lost == any(each.kind == EventKind.RECEIPTED for each in others)
        kept = [each for each in events if not each.n or each in ours]
        assert places.ours(body_of(events)) == (len(kept), body_of(kept))
        about = [each for each in events if each.n]
        assert about_messages(body_of(events)) == (len(about), body_of(about))
        ended |= {each.n for each in ours if each.kind == EventKind.FINISHED}
        for index in range(5):
            below = chance.randrange(1, 25_000)
            live = [n for n in sorted(twin) if twin[n][0] == index and n not in gone | ended]
            assert places.live(index, below) == [n for n in live if n < below]
        if chance.random() < 0.3:
            index = chance.randrange(5)
            forgotten = [n for n in sorted(twin) if twin[n][0] == index and n not in gone | ended]
            assert places.forget(index) == forgotten
            gone |= {n for n in twin if twin[n][0] == index}
        for n in chance.sample(sorted(twin), 20):
            assert places.has(n) == (n not in gone)
            assert places.of(n) == twin[n]


def test_what_is_old_is_released() -> None:
    """A page goes when all on it has ended; one that waits keeps its page."""
    places = Places()
    for n in range(1, 40_000):
        places.put(n, 0, 1, n)
    finished = [
        Event(EventKind.FINISHED, 255, 0, 1 << 16 | 1, n, 0, b"") for n in range(1, 39_999) if n != 9_000
    ]
    places.split(body_of(finished))
    places.release(30_000)
    assert places.live(0, 1 << 40) == [9_000, 39_999]
    assert places.of(1) is None
    assert places.of(9_001) == (0, 1, 9_001)
    assert places.of(35_000) == (0, 1, 35_000)


def test_under_another_number() -> None:
    """Number and carrier are changed, all else stays; what has no new carrier keeps its own."""
    chance = random.Random(1)
    events = [some_event(chance, 5) for _ in range(50)]
    found = read_events(renumbered(body_of(events), 77, {3: 4, 4: 3}), Event)
    swapped = {3: 4, 4: 3}
    assert found == [each._replace(n=77, carrier=swapped.get(each.carrier, each.carrier)) for each in events]
    assert [(n, kind) for n, kind, _ in grouped(body_of(events))] == [(5, each.kind) for each in events]
    assert b"".join(octets for _, _, octets in grouped(body_of(events))) == body_of(events)


@pytest.mark.parametrize("place", [(-1, 0, 0), (1 << 14, 0, 0), (0, 4, 0), (0, 0, 1 << 44), (0, 0, -1)])
def test_no_place(place: Place) -> None:
    """What does not fit its bits is a ValueError, and never another place."""
    with pytest.raises(ValueError):
        Places().put(1, *place)


def test_a_cut_body_is_an_error() -> None:
    """A StoreError, from every reader."""
    places = Places()
    places.put(5, 0, 0, 0)
    cut = body_of([Event(EventKind.RETRY, 0, 1, 0, 5, 0, b"12345678")])[:-1]
    for read in (places.split, places.ours, grouped, about_messages, lambda body: renumbered(body, 1)):
        with pytest.raises(StoreError):
            read(cut)
