"""Long messages that arrive in pieces: joined, bounded, never lost."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.encoding import Part, segment
from dispatcher.smpp.reassembly import Reassembler, Whole

SECOND = 1_000_000_000
TEXT = "Перевод 100 000 руб. выполнен. " * 8


def parts(text: str, reference: int) -> list[Part]:
    """Return the segments of a text."""
    message = segment(text, reference=reference)
    return [Part(part.user_data, message.data_coding, 0x40) for part in message.segments]


@given(order=st.permutations(range(4)))
@settings(deadline=None)
def test_any_order_gives_the_text(order: list[int]) -> None:
    """The last segment to come brings the whole text, and everything that was given with the segments."""
    segments, reassembler = parts(TEXT, 7), Reassembler[int]()
    assert len(segments) == 4
    results = [reassembler.add(b"1", b"2", segments[index], index, 0) for index in order]
    assert results[:-1] == [[], [], []]
    assert results[-1] == [Whole(TEXT, list(order))]
    assert len(reassembler) == 0


def test_a_single_segment_comes_back_at_once() -> None:
    """Without a header, with a useless one, or with one segment of one: a message of its own."""
    reassembler = Reassembler[str]()
    for user_data, esm_class in ((b"hi", 0), (b"\5\0\3\7\1\1hi", 0x40), (b"\x70hi", 0x40), (b"", 0)):
        ((text, items, missing),) = reassembler.add(b"1", b"2", Part(user_data, 0, esm_class), "x", 0)
        assert isinstance(text, str)
        assert (items, missing) == (["x"], ())
    assert len(reassembler) == 0


def test_messages_are_kept_apart() -> None:
    """Other sender, recipient, reference, width of it, SAR instead: none is mixed with another."""
    reassembler = Reassembler[int]()
    half = Part(b"\5\0\3\7\2\1ab", 0, 0x40)
    wide = Part(b"\6\x08\4\0\7\2\2cd", 0, 0x40)
    sar = Part(b"cd", 0, 0, (7, 2, 2))
    assert reassembler.add(b"1", b"2", half, 0, 0) == []
    other = Part(b"\5\0\3\7\2\2cd", 0, 0x40)
    for source, destination, part in (
        (b"9", b"2", other),
        (b"1", b"9", other),
        (b"1", b"2", Part(b"\5\0\3\x08\2\2cd", 0, 0x40)),
        (b"1", b"2", Part(b"\5\0\3\7\3\2cd", 0, 0x40)),
        (b"1", b"2", wide),
        (b"1", b"2", sar),
    ):
        assert reassembler.add(source, destination, part, 1, 0) == []
    assert reassembler.add(b"1", b"2", other, 2, 0) == [Whole("abcd", [0, 2])]
    assert reassembler.add(b"1", b"2", Part(b"ab", 0, 0, (7, 2, 1)), 3, 0) == [Whole("abcd", [1, 3])]


def test_a_repeated_segment_is_handed_back_too() -> None:
    """What the SMSC sent twice must be acknowledged twice."""
    reassembler = Reassembler[int]()
    first, second = Part(b"\5\0\3\7\2\1ab", 0, 0x40), Part(b"\5\0\3\7\2\2cd", 0, 0x40)
    reassembler.add(b"1", b"2", first, 0, 0)
    reassembler.add(b"1", b"2", first, 1, 0)
    assert reassembler.add(b"1", b"2", second, 2, 0) == [Whole("abcd", [0, 1, 2])]


def test_what_waits_too_long_is_handed_back() -> None:
    """Counted from the first segment; then the text is None, and what is missing is said."""
    reassembler = Reassembler[str](wait_ms=1000)
    for index, part in enumerate(parts(TEXT, 7)[:3]):
        reassembler.add(b"1", b"2", part, f"a{index}", index * SECOND // 10)
    reassembler.add(b"1", b"2", parts(TEXT, 8)[3], "b", SECOND // 2)
    assert reassembler.expire(SECOND - 1) == []
    assert reassembler.expire(SECOND) == [Whole(None, ["a0", "a1", "a2"], (4,))]
    assert reassembler.expire(2 * SECOND) == [Whole(None, ["b"], (1, 2, 3))]
    assert len(reassembler) == 0


@pytest.mark.parametrize("repeat", [False, True])
def test_the_number_of_segments_is_bounded(repeat: bool) -> None:
    """A flood of first segments, or of one segment repeated, takes no more memory: the oldest goes back."""
    reassembler = Reassembler[int](most=50)
    given_back = 0
    for number in range(1000):
        reference = 1 if repeat else number % 256
        part = Part(bytes([5, 0, 3, reference, 2, 1]) + b"ab", 0, 0x40)
        whole = reassembler.add(b"%d" % (0 if repeat else number), b"2", part, number, 0)
        given_back += sum(len(each.items) for each in whole)
        assert len(reassembler) <= 50
    assert given_back + len(reassembler) == 1000


@given(
    stream=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 4), st.integers(0, 4), st.binary(max_size=6)), max_size=60
    )
)
@settings(deadline=None, max_examples=200)
def test_every_item_comes_back_once(stream: list[tuple[int, int, int, bytes]]) -> None:
    """Whatever comes, each item is handed back once, sooner or later."""
    reassembler, back, numbers = Reassembler[int](most=7, wait_ms=5), [], itertools.count()
    for reference, total, number, body in stream:
        item = next(numbers)
        part = Part(bytes([5, 0, 3, reference, total, number]) + body, 0, 0x40)
        for whole in reassembler.add(b"1", b"2", part, item, item * 1_000_000):
            back += whole.items
        for whole in reassembler.expire(item * 1_000_000):
            back += whole.items
    for whole in reassembler.expire(10**18):
        back += whole.items
    assert sorted(back) == list(range(len(stream)))
