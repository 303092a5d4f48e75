"""Idempotency keys: the last ones are known, older ones are known to be unknown."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher._ext.keys import Keys, message_id
from dispatcher.admission import number_of

HASH = st.integers(0, 2**64 - 1) | st.integers(0, 12)  # few values make collisions of slots and of keys


@given(st.integers(1, 9), st.lists(st.tuples(HASH, HASH), max_size=80))
def test_against_a_dictionary(capacity: int, puts: list[tuple[int, int]]) -> None:
    """The newest `capacity` are always known and right; what is not known is not newer than forgotten_n."""
    keys = Keys(capacity)
    truth: dict[int, tuple[int, int]] = {}
    for n, (key, body) in enumerate(puts, 1):
        keys.put(key, body, n)
        truth[key] = (n, body)
        newest = sorted(truth.values())[-capacity:]
        for known_key, value in truth.items():
            got = keys.get(known_key)
            assert got in (value, None)
            if got is None:
                assert value[0] <= keys.forgotten_n
                assert value not in newest
        assert keys.forgotten_n < n
        assert len(keys) <= 2 * capacity


@given(st.lists(st.integers(0, 40), min_size=1, max_size=30, unique=True), st.data())
def test_a_put_taken_back(added: list[int], data: st.DataObject) -> None:
    """What was dropped is unknown, its neighbours in the table are not, and it can come again."""
    keys = Keys(64)
    for n, key in enumerate(added, 1):
        keys.put(key << 58 | 3, key, n)  # all want the same slot
    dropped = data.draw(st.sampled_from(added))
    n = added.index(dropped) + 1
    keys.drop(dropped << 58 | 3, n + 100)
    assert keys.get(dropped << 58 | 3) == (n, dropped)
    keys.drop(dropped << 58 | 3, n)
    for key in {each & 0x3F for each in added}:
        expected = None if key == dropped else (added.index(key) + 1, key)
        assert keys.get(key << 58 | 3) == expected
    keys.put(dropped << 58 | 3, 9, 99)
    assert keys.get(dropped << 58 | 3) == (99, 9)


def test_a_put_taken_back_after_the_tables_turned() -> None:
    """A failed commit may come back when the key has moved to the old table."""
    keys = Keys(1)
    keys.put(1, 1, 1)
    keys.put(2, 2, 2)
    keys.drop(1, 1)
    assert keys.get(1) is None
    assert keys.get(2) == (2, 2)


@pytest.mark.parametrize("capacity", [0, -1, 2**26 + 1])
def test_a_capacity_out_of_range(capacity: int) -> None:
    """The error says what is possible."""
    with pytest.raises(ValueError, match="capacity is 1 to"):
        Keys(capacity)


def test_a_number_below_one() -> None:
    """0 means free in the table, so it cannot be a message."""
    with pytest.raises(ValueError, match="at least 1"):
        Keys(4).put(1, 1, 0)


@given(st.integers(0, 2**48 - 1), st.integers(1, 2**40 - 1), st.integers(0, 2**34 - 1))
def test_a_message_id_is_a_uuid_of_version_7(now_ms: int, n: int, random_bits: int) -> None:
    """Version and variant are those of RFC 9562; time and number can be read back; random bits count."""
    octets = message_id(now_ms, n, random_bits)
    value = uuid.UUID(bytes=octets)
    assert (value.version, value.variant) == (7, uuid.RFC_4122)
    assert int.from_bytes(octets[:6], "big") == now_ms
    assert number_of(octets) == n
    for bit in range(34):
        assert message_id(now_ms, n, random_bits ^ 1 << bit) != octets
