"""Workers: lease, share, ids, what events of an index add up to; time is an argument."""

import msgspec
import pytest

from dispatcher._ext.events import EventBuffer
from dispatcher.errors import StoreError
from dispatcher.model import EventKind, Message, Outcome, Reason
from dispatcher.worker.journal import VALUE_OCTETS, _joined
from dispatcher.worker.lease import GROW_AFTER_NS, Lease, Share
from dispatcher.worker.state import IndexState
from dispatcher.worker.wire import (
    CARRIED,
    EVENTS,
    TAKEN,
    VERSION,
    Carried,
    Head,
    Place,
    encode_carried,
    id_of_key,
    id_of_place,
    place_of,
    place_of_id,
    read_head,
    record,
)

SECOND_NS = 1_000_000_000
TOPICS = ["a", "t", "s", "m"]


def event(kind: EventKind, place: int, code: int = 0, carrier: int = 1) -> bytes:
    """Return one event under its place."""
    buffer = EventBuffer()
    buffer.add(kind, place, 1, 0, carrier, code)
    return buffer.take()[1]


def head(fence: int, told: int = -1, worker: str = "w") -> Head:
    """Return the head of a record."""
    return Head(VERSION, worker, fence, told)


def test_a_lease_ends_before_a_session_does() -> None:
    """Nobody was heard for 0.8 of a session: nothing is sent, until somebody is heard again; what was asked
    before does not count from its answer."""
    lease = Lease(10_000)
    assert not lease.is_valid(0)
    lease.renew(5 * SECOND_NS)
    assert lease.is_valid(13 * SECOND_NS)
    assert not lease.is_valid(13 * SECOND_NS + 1)
    lease.renew(14 * SECOND_NS)
    lease.renew(9 * SECOND_NS)  # an older answer that came later
    assert lease.is_valid(22 * SECOND_NS)
    assert lease.age_s(20 * SECOND_NS) == 6


def test_a_share_shrinks_at_once_and_grows_a_second_later() -> None:
    """So two workers never have more than the whole between them in any second."""
    share = Share()
    share.assign(6, 6, 0)
    assert (share.now, share.look(GROW_AFTER_NS - 1)) == (0, False)
    assert (share.look(GROW_AFTER_NS), share.now) == (True, 1)
    share.assign(2, 6, 5 * SECOND_NS)
    assert share.now == pytest.approx(1 / 3)
    share.assign(4, 6, 6 * SECOND_NS)
    assert share.now == pytest.approx(1 / 3)
    share.assign(3, 6, 6 * SECOND_NS + GROW_AFTER_NS // 2)  # it begins to count again
    assert not share.look(6 * SECOND_NS + GROW_AFTER_NS)
    assert share.look(6 * SECOND_NS + 3 * GROW_AFTER_NS // 2)
    assert share.now == 0.5
    share.assign(0, 6, 9 * SECOND_NS)
    assert share.now == 0


@pytest.mark.parametrize(
    "place", [Place(0, 0, 0), Place(5, 2, 12_345), Place((1 << 14) - 1, 3, (1 << 44) - 1)]
)
def test_an_id_says_where_its_record_stands(place: Place) -> None:
    """A UUIDv7 by form and time, from which the place is read again; one of another topic says nothing."""
    found = id_of_place(place, 1_795_000_000_123, TOPICS[place.traffic_class])
    assert (found[6] >> 4, found[8] >> 6) == (7, 2)
    assert int.from_bytes(found[:6], "big") == 1_795_000_000_123
    assert place_of_id(found, TOPICS) == place
    assert place_of_id(found, ["other"] * 4) is None
    assert place_of(place.number, place.index) == place


def test_an_id_by_key_is_that_of_the_whole_request() -> None:
    """The same for the same, a UUIDv8 by form; another source, key or body has another."""
    its = id_of_key("bank", "key", b"body")
    assert (its[6] >> 4, its[8] >> 6) == (8, 2)
    assert its == id_of_key("bank", "key", b"body")
    others = [
        id_of_key("bankk", "ey", b"body"),
        id_of_key("bank", "ke", b"ybody"),
        id_of_key("bank", "key", b"b"),
    ]
    assert len({its, *others}) == 4
    assert place_of_id(its, TOPICS) is None


def test_records_of_others_are_refused() -> None:
    """Another version, or a record that no worker wrote: a StoreError that says so."""
    its = record(EVENTS, Head(VERSION + 1, "w"), b"", 0)
    with pytest.raises(StoreError, match="version"):
        read_head(its.headers)
    with pytest.raises(StoreError, match="no worker"):
        read_head([("schema", b"1")])
    kind, found = read_head(record(EVENTS, Head(VERSION, "w", 3, 4, 5, {1: "c"}, ((9, 2),)), b"", 0).headers)
    assert (kind, found.fence, found.told, found.carriers, list(map(tuple, found.references))) == (
        EVENTS, 3, 4, {1: "c"}, [(9, 2)],
    )  # fmt: skip


def test_who_was_too_late_is_not_heard() -> None:
    """What an owner wrote behind the mark of the next one counts for nothing; nor does his mark."""
    state = IndexState(0)
    state.take(TAKEN, head(4), b"", 0, {})
    state.take(EVENTS, head(4), event(EventKind.CLAIMED, 7), 1, {})
    state.take(TAKEN, head(5), b"", 2, {})
    state.take(EVENTS, head(4), event(EventKind.FINISHED, 7, Outcome.UNKNOWN << 16 | Reason.DEADLINE), 3, {})
    state.take(TAKEN, head(3), b"", 4, {})
    assert (state.fence, state.ignored) == (5, 2)
    assert list(state.in_hand()) == [7]
    assert not state.in_hand()[7].end


def test_what_was_not_told_is_in_hand_still() -> None:
    """An end whose outcome nobody has noted as told is to be told again; one that was is left alone."""
    state = IndexState(0)
    ended = Outcome.DELIVERED << 16 | Reason.RECEIPT
    state.take(EVENTS, head(1), event(EventKind.FINISHED, 7, ended), 10, {})
    state.take(EVENTS, head(1, told=10), event(EventKind.FINISHED, 8, ended), 11, {})
    assert list(state.in_hand()) == [8]
    assert (state.has_ended(7), state.has_ended(8), state.has_ended(9)) == (True, False, False)


def test_a_carried_message_replaces_what_was_before() -> None:
    """Its events are all there are, and what comes later follows them; carriers are those of the reader."""
    message = Message(3, b"i" * 16, "79001234567", "Bank", "text", 1, 0, 1, 0, 1, 0, (2,))
    state = IndexState(0)
    state.take(EVENTS, head(1), event(EventKind.CLAIMED, 7, carrier=2), 1, {2: 5})
    trail = event(EventKind.CLAIMED, 7, carrier=2) + event(EventKind.UNSENT, 7, carrier=2)
    state.take(CARRIED, head(1), encode_carried([Carried(7, message, trail)]), 2, {2: 5})
    state.take(EVENTS, head(1), event(EventKind.CLAIMED, 7, carrier=2), 3, {2: 5})
    its = state.in_hand()[7]
    assert its.carried is not None
    assert its.carried.message == message
    claimed, unsent = (event(kind, 7, carrier=5) for kind in (EventKind.CLAIMED, EventKind.UNSENT))
    assert b"".join(its.events) == claimed + unsent + claimed


def test_bodies_fit_their_records() -> None:
    """Many short ones share a record, a long one is cut between two events, nothing is lost."""
    one = event(EventKind.CLAIMED, 1)
    parts = [one * 3, one * 20_000, one, one * 2, b"", one * 9_000]
    values = _joined([part for part in parts if part])
    assert b"".join(values) == b"".join(parts)
    assert all(len(value) <= VALUE_OCTETS and len(value) % len(one) == 0 for value in values)
    assert len(values) <= 5


def test_head_is_small() -> None:
    """It goes with every record: some tens of octets."""
    assert (
        len(msgspec.msgpack.encode(Head(VERSION, "dispatcher-1a2b-18f", 3, 123_456, 1 << 41, {1: "first"})))
        < 60
    )
