"""Segments back to a text, in any order and company."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.encoding import Part, reassemble, segment


def parts_of(text: str, reference: int = 7, **options: object) -> list[Part]:
    """Return a text's segments as they would arrive."""
    message = segment(text, reference=reference, **options)  # type: ignore[arg-type]
    return [
        Part(each.user_data, message.data_coding, message.esm_class, each.sar) for each in message.segments
    ]


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=500), st.randoms())
def test_any_order_with_duplicates_gives_the_text(text: str, dice: Random) -> None:
    """Shuffled, and one of them twice, they are one text."""
    parts = parts_of(text)
    if len(parts) > 1:
        parts.append(dice.choice(parts))
    dice.shuffle(parts)
    done = reassemble(parts)
    assert done.text == text
    assert len(done.duplicates) == (1 if len(parts) > 1 else 0)
    assert (done.missing, done.conflicts, done.foreign) == ((), (), ())


def test_missing_segments_are_named() -> None:
    """Without all segments there is no text, and the missing numbers are said."""
    parts = parts_of("я" * 300)
    done = reassemble([parts[3], parts[1]])
    assert (done.text, done.total, done.missing, done.reference) == (None, 5, (1, 3, 5), 7)


def test_parts_of_another_message_are_foreign() -> None:
    """Another reference, another total, another size of reference, and a message alone: none belongs here."""
    ours = parts_of("x" * 200)
    others = [
        parts_of("x" * 200, reference=8)[0],
        parts_of("x" * 400)[0],
        parts_of("x" * 200, reference_bits=16)[0],
        Part(b"alone", 0, 0),
        parts_of("x" * 200, method="sar")[0],
    ]
    done = reassemble([ours[0], *others, ours[1]])
    assert done.text == "x" * 200
    assert done.foreign == (1, 2, 3, 4, 5)


def test_the_same_number_with_another_content_is_a_conflict() -> None:
    """The first that came is used, the other reported."""
    ours, theirs = parts_of("x" * 200), parts_of("y" * 200)
    done = reassemble([ours[0], theirs[1], ours[1]])
    assert done.text == "x" * 153 + "y" * 47
    assert done.conflicts == (2,)


def test_sar_values_join_like_a_header() -> None:
    """Where the TLVs say it, no header is needed."""
    parts = parts_of("Привет " * 30, method="sar")
    assert all(part.esm_class == 0 and part.sar for part in parts)
    assert reassemble(parts[::-1]).text == "Привет " * 30


def test_pairs_cut_by_another_sender_are_whole_again() -> None:
    """An escape or a surrogate pair split over two segments is joined before it is decoded."""
    head = b"\x05\x00\x03\x01\x02"
    assert reassemble([head + b"\x01a\x1b", head + b"\x02\x65b"]).text == "a€b"
    halves = "😀".encode("utf-16-be")
    parts = [Part(head + b"\x01" + halves[:2], 8), Part(head + b"\x02" + halves[2:], 8)]
    assert reassemble(parts).text == "😀"


def test_segments_may_differ_in_their_alphabet() -> None:
    """Some senders choose per segment: each is read by its own data_coding."""
    head = b"\x05\x00\x03\x01\x02"
    done = reassemble([Part(head + b"\x01hi ", 0), Part(head + b"\x02" + "мир".encode("utf-16-be"), 8)])
    assert done.text == "hi мир"


def test_national_and_packed_segments_come_back() -> None:
    """The header's language elements are obeyed; packed septets are unpacked behind their fill bits."""
    assert reassemble(parts_of("Şifre ğ " * 40, languages=("tr",))).text == "Şifre ğ " * 40
    packed = parts_of("x" * 306, packing="packed")  # twice 153 septets: no spare one in the last octet
    assert reassemble(packed, packed=True).text == "x" * 306


def test_a_message_alone_is_whole_and_nothing_is_nothing() -> None:
    """One part without a word of others is its own message; no parts give no text."""
    assert reassemble([Part(b"hi", 0, 0)])[:3] == ("hi", None, 1)
    assert reassemble([]) == (None, None, 0, (), (), (), ())


@given(st.lists(st.builds(Part, st.binary(max_size=20), st.integers(0, 255), st.sampled_from([0, 64]))))
def test_no_parts_raise(parts: list[Part]) -> None:
    """Whatever the octets."""
    done = reassemble(parts)
    named = [*done.duplicates, *done.conflicts, *done.foreign]
    assert len(named) == len(set(named))
    assert (done.text is None) == (not parts or bool(done.missing))


@pytest.mark.parametrize("sar", [(1, 256, 1), (1, 1 << 40, 1), (1, 0, 0), (1, 2, 3), (1, 2, 0)])
def test_sar_values_out_of_range_are_no_concatenation(sar: tuple[int, int, int]) -> None:
    """Totals and numbers have one octet: a larger total would only invite a list of what is missing."""
    assert reassemble([Part(b"hi", 0, 0, sar)])[:4] == ("hi", None, 1, ())
