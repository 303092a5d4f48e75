"""Septets: tables, decoding and packing, equal to strings of bits and to the standard's examples."""

from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dispatcher.encoding import Gsm7Table, pack, table, unpack
from dispatcher.encoding.tables import DEFAULT, LANGUAGE_ID, LOCKING, SINGLE_SHIFT
from tests import oracle

MANY: Final = settings(max_examples=400, deadline=None, print_blob=True)
TABLES: Final = [(locking, single) for locking in LOCKING for single in SINGLE_SHIFT]

septets = st.binary(max_size=400).map(lambda data: bytes(octet & 0x7F for octet in data)) | st.builds(
    lambda n, last: bytes([0x31]) * n + last,
    st.integers(0, 330),
    st.sampled_from([b"", b"\r", b"\0", b"\r\r"]),
)


# ---- packing ----------------------------------------------------------------------------------------------


@MANY
@given(given_septets=septets, fill_bits=st.integers(0, 6), pad_cr=st.booleans())
@example(b"", 0, True)
@example(b"", 1, True)
@example(b"1234567", 0, True)
@example(b"1234567\r", 0, True)
def test_packing_equals_a_string_of_bits(given_septets: bytes, fill_bits: int, pad_cr: bool) -> None:
    """Eight septets in seven octets, the least significant bit first, behind the fill bits."""
    packed = pack(given_septets, fill_bits=fill_bits, pad_cr=pad_cr)
    assert packed == oracle.pack(given_septets, fill_bits, pad_cr)
    assert unpack(packed, len(given_septets), fill_bits=fill_bits) == given_septets


@MANY
@given(data=st.binary(max_size=300), fill_bits=st.integers(0, 6), strip_cr=st.booleans(), seed=st.integers(0))
def test_unpacking_equals_a_string_of_bits(data: bytes, fill_bits: int, strip_cr: bool, seed: int) -> None:
    """Any octets unpack to as many septets as are asked for, or as fit."""
    held = max(0, (len(data) * 8 - fill_bits) // 7)
    for number in (None, held, 0, seed % (held + 1)):
        found = unpack(data, number, fill_bits=fill_bits, strip_cr=strip_cr)
        assert found == oracle.unpack(data, number, fill_bits, strip_cr)
        assert max(found, default=0) < 128


@pytest.mark.parametrize("n", range(34))
def test_padding_as_ussd_has_it(n: int) -> None:
    """8n - 1 septets carry a CR in the spare bits and lose it on the way back; others stay as they are."""
    text = b"1" * n
    packed = pack(text, pad_cr=True)
    assert len(packed) == (n * 7 + 7) // 8
    assert unpack(packed, strip_cr=True) == text
    assert unpack(packed) == (text + b"\r" if n % 8 == 7 else text)
    own = b"1" * n + b"\r"  # a CR of the text's own stays, at an octet boundary because another one follows
    assert unpack(pack(own, pad_cr=True), strip_cr=True) == (own + b"\r" if n % 8 == 7 else own)


@pytest.mark.parametrize("fill_bits", [-1, 7, 8, 1 << 31, 1 << 40, -(1 << 40)])
def test_fill_bits_out_of_range_are_a_value_error(fill_bits: int) -> None:
    """0 to 6 bits bring text to a septet boundary."""
    with pytest.raises(ValueError, match="fill_bits"):
        pack(b"a", fill_bits=fill_bits)
    with pytest.raises(ValueError, match="fill_bits"):
        unpack(b"a", fill_bits=fill_bits)


@pytest.mark.parametrize("asked", [-1, 9, 1 << 40])
def test_more_septets_than_there_are_is_a_value_error(asked: int) -> None:
    """Seven octets hold eight septets."""
    assert len(unpack(bytes(7), 8)) == 8
    with pytest.raises(ValueError, match="7 octets hold 0 to 8 septets"):
        unpack(bytes(7), asked)


@pytest.mark.parametrize("at", [0, 1, 7, 8, 200])
def test_an_octet_is_not_a_septet(at: int) -> None:
    """The top bit set: the position is named."""
    with pytest.raises(ValueError, match=f"position {at}: 0x80"):
        pack(bytes(at) + b"\x80\xff")


@pytest.mark.parametrize("wrong", [None, "abc", bytearray(b"abc"), 5])
def test_septets_are_bytes(wrong: Any) -> None:
    """Anything else is a TypeError."""
    for call in (pack, unpack, table().decode):
        with pytest.raises(TypeError):
            call(wrong)
    with pytest.raises(TypeError):
        unpack(b"abc", "2")  # type: ignore[arg-type]


# ---- tables -----------------------------------------------------------------------------------------------


@MANY
@given(octets=st.binary(max_size=700), tables=st.sampled_from(TABLES))
@example(b"\x1b\x1b\x1b", ("", ""))
@example(b"a\x1b", ("tr", "tr"))
@example(b"\x1b\x00\x1b\xff\xff\x1b\x80", ("", ""))
@example(b"\x1b" * 600, ("", ""))
def test_any_octets_give_a_text(octets: bytes, tables: tuple[str, str]) -> None:
    """Unknown escapes show the plain character, ESC ESC a space, a lone ESC nothing: never an exception."""
    assert table(*tables).decode(octets) == oracle.from_septets(octets, *tables)


@pytest.mark.parametrize(("locking", "single_shift"), TABLES)
def test_every_character_costs_what_the_tables_say(locking: str, single_shift: str) -> None:
    """One septet in the plain table, two behind ESC, 0 for all others of the Basic Multilingual Plane."""
    own = table(locking, single_shift)
    known = oracle.codes(locking, single_shift)
    others = {
        *map(chr, range(0x500)),
        *map(chr, range(0xE00, 0xE80)),
        "\uffff",
        "\ufffd",
        "\U00010041",
    }
    for char in others | set(known):
        assert own.cost_of(char) == len(known.get(char, b"")), f"U+{ord(char):04X}"
    for char, code in known.items():
        assert own.decode(code) == char
    assert (own.locking, own.single_shift) == (LANGUAGE_ID[locking], LANGUAGE_ID[single_shift])


def test_every_pair_of_octets() -> None:
    """All 65,536 of them, in the default alphabet and in Turkish."""
    for tables in (("", ""), ("tr", "tr")):
        decode = table(*tables).decode
        for first in range(256):
            octets = b"".join(bytes([first, second, 0x61]) for second in range(256))
            assert decode(octets) == oracle.from_septets(octets, *tables)


def test_tables_are_compiled_once() -> None:
    """The same object for the same languages."""
    assert table() is table()
    assert table("tr", DEFAULT) is table("tr", DEFAULT)
    assert table("tr", "tr") is not table("tr", "")
    assert "text" not in repr(table())
    assert repr(table("tr", "es")) == "Gsm7Table(locking=1, single_shift=2)"


@pytest.mark.parametrize("wrong", ["", "ab", None, 5, b"a"])
def test_a_cost_is_that_of_one_character(wrong: Any) -> None:
    """Anything else is an error."""
    with pytest.raises((TypeError, ValueError)):
        table().cost_of(wrong)


BAD_TABLES: Final[list[tuple[Any, Any]]] = [
    ("a" * 127, {}),
    ("a" * 129, {}),
    ("", {}),
    ("😀" + "a" * 127, {}),
    ("a" * 128, {128: "x"}),
    ("a" * 128, {-1: "x"}),
    ("a" * 128, {0x1B: "x"}),
    ("a" * 128, {1: "😀"}),
]


@pytest.mark.parametrize(("plain", "shifted"), BAD_TABLES)
def test_a_bad_table_is_a_value_error(plain: Any, shifted: Any) -> None:
    """A table of the wrong size, a code beyond septets or ESC itself, a character beyond U+FFFF."""
    with pytest.raises(ValueError):
        Gsm7Table(plain, shifted)


@pytest.mark.parametrize(
    ("plain", "shifted"), [(None, {}), ("a" * 128, None), ("a" * 128, {1: "ab"}), (5, {})]
)
def test_a_table_of_other_types_is_refused(plain: Any, shifted: Any) -> None:
    """None and numbers are no tables, two characters are not one."""
    with pytest.raises((TypeError, ValueError, AttributeError)):
        Gsm7Table(plain, shifted)


def test_a_made_table_is_obeyed() -> None:
    """A character in both tables takes the plain code; U+FFFD marks an empty cell."""
    own = Gsm7Table("\ufffd" * 65 + "A" + "\ufffd" * 62, {0x41: "B", 0x42: "A"})
    assert [own.cost_of(char) for char in "AB\ufffd@"] == [1, 2, 0, 0]
    assert own.decode(b"\x41\x1b\x41\x1b\x42\x00") == "ABA\ufffd"
