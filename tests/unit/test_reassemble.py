"""Segments back to one text: any order, any company."""

import itertools
import random
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.encoding import EncodingError, Part, Reassembled, pack, reassemble, segment
from tests import fuzz, oracle

MANY: Final = settings(max_examples=300, deadline=None, print_blob=True)


def part(reference: int, total: int, number: int, body: bytes, coding: int = 0, bits: int = 8) -> Part:
    """Return one segment as some other sender would make it."""
    return Part(oracle.header_of(oracle.concatenation(bits, reference, total, number)) + body, coding)


ABC: Final = [part(7, 3, 1, b"a"), part(7, 3, 2, b"b"), part(7, 3, 3, b"c")]


@pytest.mark.parametrize("order", itertools.permutations(range(3)))
def test_order_does_not_matter(order: tuple[int, ...]) -> None:
    """Every order gives the text, and nothing is complained of."""
    assert reassemble(ABC[at] for at in order) == Reassembled("abc", 7, 3, (), (), (), ())
    assert reassemble(ABC[at].user_data for at in order).text == "abc"


@pytest.mark.parametrize("lost", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)])
def test_what_is_missing_is_named(lost: tuple[int, ...]) -> None:
    """No text before the last segment came."""
    found = reassemble(each for at, each in enumerate(ABC) if at not in lost)
    assert found == Reassembled(None, 7, 3, tuple(at + 1 for at in lost), (), (), ())


def test_company() -> None:
    """Repeats, contradictions, other messages and single texts are told apart; the first part leads."""
    parts = [
        ABC[1],
        ABC[1],
        part(7, 3, 2, b"B"),
        part(8, 3, 1, b"x"),  # another reference
        part(7, 4, 4, b"x"),  # another total
        part(7, 3, 1, b"x", bits=16),  # another reference space
        Part(b"alone", esm_class=0),
        Part(b"a", esm_class=0, sar=(7, 3, 1)),  # the TLVs have a space of their own
        ABC[0],
        ABC[2],
        ABC[0],
    ]
    assert reassemble(parts) == Reassembled("abc", 7, 3, (), (1, 10), (2,), (3, 4, 5, 6, 7))


def test_no_parts() -> None:
    """Nothing in, nothing out."""
    assert reassemble([]) == Reassembled(None, None, 0, (), (), (), ())


@pytest.mark.parametrize(
    "single",
    [
        Part(b"Hi", esm_class=0),
        Part(b"\x02\x70\x00Hi"),
        Part(b"\x05\x00\x03\x07\x02\x00Hi"),
        Part(b"Hi", esm_class=0, sar=(7, 0, 0)),
        Part(b"Hi", esm_class=0, sar=(7, 2, 3)),
        Part(b"Hi", esm_class=0, sar=(7, 1 << 40, 1)),
    ],
)
def test_a_part_that_says_nothing_of_others_is_alone(single: Part) -> None:
    """Without a concatenation, or with one that contradicts itself; a second one is another message."""
    assert reassemble([single, single]) == Reassembled("Hi", None, 1, (), (), (), (1,))


def test_sar_values_join_and_a_header_wins() -> None:
    """The three TLVs do what a header does; where both are, the header."""
    parts = [Part(body, esm_class=0, sar=(9, 2, at)) for at, body in ((2, b"b"), (1, b"a"))]
    assert reassemble(parts) == Reassembled("ab", 9, 2, (), (), (), ())
    both = [each._replace(sar=(1, 3, 1)) for each in ABC]
    assert reassemble(both).text == "abc"


def test_a_pair_that_another_sender_cut_is_whole_again() -> None:
    """An escape, a surrogate pair and a UCS-2 unit cut in two are joined before they are decoded."""
    assert reassemble([part(1, 2, 2, b"\x65x"), part(1, 2, 1, b"x\x1b")]).text == "x€x"
    halves = "😀".encode("utf-16-be")
    for cut in (1, 2, 3):
        parts = [part(1, 2, 1, halves[:cut], 8), part(1, 2, 2, halves[cut:], 8)]
        assert reassemble(parts).text == "😀"


def test_segments_in_different_alphabets() -> None:
    """Each run is decoded as it came; an escape does not reach over to the next alphabet."""
    parts = [part(1, 3, 1, b"a\x1b"), part(1, 3, 2, "я".encode("utf-16-be"), 8), part(1, 3, 3, b"\x00")]
    assert reassemble(parts).text == "aя@"
    turkish = oracle.header_of(oracle.concatenation(8, 1, 2, 2) + b"\x25\x01\x01") + b"\x1d"
    assert reassemble([part(1, 2, 1, b"\x1d"), Part(turkish)]).text == "æş"
    assert reassemble([part(1, 2, 1, b"@", 0), part(1, 2, 2, b"@", 3)], default="latin1").text == "@@"


def test_packed_segments_join() -> None:
    """Septets are unpacked behind their fill bits, UCS-2 beside them stays as it is."""
    message = segment("a" * 153 + "b" * 160, packing="packed", reference=3)
    assert reassemble([Part(each.user_data) for each in message.segments], packed=True).text == message.text
    cyrillic = segment("я" * 90, packing="packed")
    assert (
        reassemble([Part(each.user_data, 8) for each in cyrillic.segments], packed=True).text == cyrillic.text
    )
    lone = Part(pack(b"12345678"), esm_class=0)
    assert reassemble([lone], packed=True).text == "12345678"


@MANY
@given(data=st.data(), seed=st.integers(0, 1 << 32))
def test_ours_in_any_order_with_repeats(data: st.DataObject, seed: int) -> None:
    """What `segment` made comes back, by header of either size or by TLVs, with repeats and strangers."""
    text = data.draw(
        st.lists(
            st.sampled_from([*fuzz.CLUSTERS, *fuzz.FILLERS]).flatmap(
                lambda char: st.integers(1, 80).map(lambda n: char * n)
            ),
            min_size=1,
            max_size=6,
        ).map("".join)
    )
    chosen: dict[str, Any] = data.draw(
        st.sampled_from(
            [
                {},
                {"reference_bits": 16},
                {"method": "sar"},
                {"languages": fuzz.LANGUAGES},
                {"alphabet": "ucs2"},
            ]
        )
    )
    try:
        message = segment(text, reference=seed % 256, max_segments=255, **chosen)
    except EncodingError:
        return
    if len(message) == 1:
        return
    shuffler = random.Random(seed)
    parts = [
        Part(each.user_data, message.data_coding, message.esm_class, each.sar) for each in message.segments
    ]
    order = [shuffler.randrange(len(parts)) for _ in range(4)] + list(range(len(parts)))
    shuffler.shuffle(order)
    found = reassemble(parts[at] for at in order)
    assert (found.text, found.total, found.reference) == (text, len(parts), seed % 256)
    assert len(found.duplicates) == len(order) - len(parts)
    assert (found.missing, found.conflicts, found.foreign) == ((), (), ())
    dropped = shuffler.randrange(len(parts))
    rest = reassemble([each for at, each in enumerate(parts) if at != dropped] + [Part(b"x", esm_class=0)])
    assert (rest.text, rest.missing) == (None, (dropped + 1,))
    assert rest.foreign == (len(parts) - 1,)


@MANY
@given(
    parts=st.lists(
        st.builds(
            Part,
            st.binary(max_size=20)
            | st.builds(
                lambda reference, total, number, body: part(reference, total, number, body).user_data,
                st.integers(0, 2),
                st.integers(0, 4),
                st.integers(0, 4),
                st.binary(max_size=5),
            ),
            st.sampled_from([0, 1, 3, 4, 6, 8, 0x18, 0x40, 0xF5]),
            st.sampled_from([0, 0x40]),
            st.none() | st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 3)),
        ),
        max_size=8,
    ),
    packed=st.booleans(),
)
def test_any_parts_are_accounted_for(parts: list[Part], packed: bool) -> None:
    """No exception; each part is used, repeated, in conflict or foreign, and a text needs them all."""
    found = reassemble(parts, packed=packed)
    if not parts:
        return
    odd = [*found.duplicates, *found.conflicts, *found.foreign]
    assert len(set(odd)) == len(odd)
    assert 0 not in odd
    assert len(parts) - len(odd) + len(found.missing) == found.total
    assert (found.text is None) == bool(found.missing)
