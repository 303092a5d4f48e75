"""A folded slice against a slow twin: what msgspec reads of messages, and events sorted by message."""

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher._ext.fold import KEYS_PART, PART, Fold, find, hash_of_recipient, hash_of_ref, ids_of
from dispatcher.errors import StoreError
from dispatcher.model import Callback, Event, EventKind, Message
from dispatcher.store.records import pack_messages, unpack_messages
from tests.ext.test_events import packed

NUMBERS = [1, 2, 3, 70_000, 2**40 - 1]

messages = st.builds(
    Message,
    n=st.sampled_from(NUMBERS),
    message_id=st.binary(min_size=16, max_size=16),
    to=st.integers(1, 10**15 - 1).map(str),
    sender=st.text(max_size=11),
    text=st.text(max_size=300),
    traffic_class=st.integers(0, 3),
    accepted_ms=st.integers(0, 2**50),
    deadline_ms=st.integers(0, 2**50),
    send_after_ms=st.integers(0, 2**50),
    segments=st.integers(1, 255),
    reference=st.integers(0, 65_535),
    carriers=st.lists(st.integers(1, 65_535), max_size=20).map(tuple),
    client_ref=st.none() | st.text(max_size=64),
    key_hash=st.sampled_from([0, 1, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1),
    body_hash=st.integers(0, 2**64 - 1),
    source=st.text(max_size=20),
    callback=st.none() | st.builds(Callback, st.text(max_size=300), st.integers(0, 31)),
    traceparent=st.none() | st.text(max_size=60),
)
few = st.builds(
    Event,
    kind=st.sampled_from(EventKind).map(int),
    segment=st.integers(0, 255),
    carrier=st.integers(0, 2),
    code=st.integers(0, 2**32 - 1),
    n=st.sampled_from([0, *NUMBERS, 4, 5]),
    at_ms=st.integers(0, 2**50),
    tail=st.binary(max_size=20),
)
slices = st.lists(st.lists(messages, min_size=1, max_size=5) | st.lists(few, max_size=20), max_size=6)


def taken(rows: Any, columns: int, most: int = 2) -> list[tuple[Any, ...]]:
    """All rows, some at a time."""
    found: list[tuple[Any, ...]] = []
    while flat := rows(most):
        assert len(flat) % columns == 0
        assert len(flat) <= columns * most
        found += [tuple(flat[at : at + columns]) for at in range(0, len(flat), columns)]
    return found


@given(slices)
@settings(max_examples=300, deadline=None)
def test_rows_are_what_the_slice_says(some: list[list[Any]]) -> None:
    """Each message once, without text and callback, with its events in order and whether it has ended; of
    older ones their events; each message is found by its recipient, reference and key."""
    fold = Fold()
    accepted: dict[int, Message] = {}
    trails: dict[int, bytes] = {}
    ended = set()
    for row in some:
        if row and isinstance(row[0], Message):
            fold.add_messages(pack_messages(row), len(row))
            accepted |= {each.n: each for each in row}
        else:
            fold.add_events(b"".join(map(packed, row)))
            for event in row:
                if event.n:
                    trails[event.n] = trails.get(event.n, b"") + packed(event)
                if event.kind in (EventKind.FINISHED, EventKind.CORRECTED):
                    ended.add(event.n)
    fold.close()
    inserts = taken(fold.inserts, 5)
    assert [row[0] for row in inserts] == sorted(accepted, key=lambda n: n & 0xFFFF_FFFF)
    for n, accepted_ms, has_ended, record, trail in inserts:
        whole = accepted[n]
        assert unpack_messages(record, 1) == [
            msgspec.structs.replace(whole, text="", callback=None, traceparent=None)
        ]
        assert (accepted_ms, has_ended) == (whole.accepted_ms, n in ended)
        assert trail == trails.get(n, b"")
    updates = taken(fold.updates, 3)
    assert sorted(updates) == sorted((n, n in ended, trails[n]) for n in trails if n not in accepted)
    places: dict[tuple[int, int], set[int]] = {}
    keys = []
    for n, each in accepted.items():
        places.setdefault((n // PART, hash_of_recipient(each.to)), set()).add(n)
        if each.client_ref:
            places.setdefault((n // PART, hash_of_ref(each.client_ref)), set()).add(n)
        if each.key_hash:
            signed = each.key_hash - (1 << 64) if each.key_hash >> 63 else each.key_hash
            keys.append((n // KEYS_PART, signed, n))
    assert sorted(taken(fold.keys, 3)) == sorted(keys)
    lookups = dict(taken(fold.lookups, 2))
    for (part, key), numbers in places.items():
        first, last = ids_of(part, key)
        rows = [entries for number, entries in lookups.items() if first <= number <= last]
        assert {n for entries in rows for n in find(entries, part, key)} == numbers
    assert sum(map(len, lookups.values())) == 10 * sum(
        1 + bool(each.client_ref) for each in accepted.values()
    )


def test_many_are_folded_as_few() -> None:
    """Tables grow; what finds messages comes in a row a bucket, keys come in order of their first bits."""
    one = Message(1, b"\1" * 16, "79000000001", "Bank", "text", 1, 5, 6, 0, 1, 1, (1,), "ref", 77, 5)
    many = [
        msgspec.structs.replace(
            one, n=n, to=str(79000000000 + n), client_ref=f"r{n}", key_hash=n * 0x9E3779B97F4A7C15 % 2**64
        )
        for n in range(1, 5_001)
    ]
    end = [packed(Event(EventKind.FINISHED, 255, 1, 1 << 16, each.n, 7, b"")) for each in many]
    fold = Fold()
    fold.add_messages(pack_messages(many), len(many))
    fold.add_events(b"".join(reversed(end)))
    fold.close()
    inserts = taken(fold.inserts, 5, 100)
    assert [(row[0], row[2], row[4]) for row in inserts] == [(each.n, True, end[each.n - 1]) for each in many]
    ids = [number for number, _ in taken(fold.lookups, 2, 100)]
    assert ids == sorted(ids)
    assert len(ids) == len({number >> 16 for number in ids}) == 256
    hashes = [key >> 40 for _, key, _ in taken(fold.keys, 3, 100)]
    assert len(hashes) == 5_000
    assert hashes == sorted(hashes)


@given(messages, st.data())
@settings(max_examples=200, deadline=None)
def test_what_is_cut_or_miscounted_is_refused(one: Message, data: st.DataObject) -> None:
    """Cut anywhere, with another count, or of another kind: a StoreError, and what stood before it counts."""
    octets = pack_messages([one])
    whole = msgspec.structs.replace(one, n=9)
    cut = pack_messages([whole]) + octets[: data.draw(st.integers(0, len(octets) - 1))]
    fold = Fold()
    with pytest.raises(StoreError):
        fold.add_messages(cut, 2)
    with pytest.raises(StoreError):
        fold.add_messages(octets, 0)
    with pytest.raises(StoreError):
        fold.add_events(b"\1" * 24)
    with pytest.raises(StoreError):
        fold.add_events(b"\xff" * 25)
    fold.close()
    assert [row[0] for row in taken(fold.inserts, 5)] == [9]


@given(st.binary(max_size=200), st.integers(0, 3))
@settings(max_examples=300, deadline=None)
def test_any_octets_are_messages_or_refused(octets: bytes, count: int) -> None:
    """Whatever stands there: no crash, and no message that is none."""
    fold = Fold()
    with suppress(StoreError):
        fold.add_messages(octets, count)
    fold.close()
    for _, _, _, record, _ in taken(fold.inserts, 5):
        assert msgspec.msgpack.decode(record)[4] == ""
