"""Octets to text: what each data_coding stands for, and that any octets give a text."""

from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dispatcher.encoding import alphabet_of, decode, pack, segment
from dispatcher.encoding.decode import Received
from dispatcher.encoding.tables import LANGUAGE_ID, LOCKING, SINGLE_SHIFT
from tests import oracle

MANY: Final = settings(max_examples=400, deadline=None, print_blob=True)
RECEIVED: Final[tuple[Received, ...]] = (
    "gsm7", "ucs2", "latin1", "ascii", "iso8859_5", "iso8859_8", "binary",
)  # fmt: skip

SMPP: Final[dict[int, Received]] = {
    0x00: "gsm7",
    0x01: "ascii",
    0x02: "binary",
    0x03: "latin1",
    0x04: "binary",
    0x05: "binary",  # JIS: not decoded
    0x06: "iso8859_5",
    0x07: "iso8859_8",
    0x08: "ucs2",
    **dict.fromkeys(range(0x09, 0x10), "binary"),  # pictograms, ISO 2022, KS C 5601, reserved
}
"""SMPP 3.4, 5.2.19."""


def by_ts_23_038(coding: int) -> Received:
    """Return the alphabet of a data coding scheme as section 4 of TS 23.038 has it, bit by bit."""
    bits = f"{coding:08b}"
    alphabets: dict[str, Received] = {"00": "gsm7", "01": "binary", "10": "ucs2", "11": "binary"}
    if bits[:1] == "0":  # 00: general; 01: marked for automatic deletion, coded exactly the same
        return "binary" if bits[2] == "1" else alphabets[bits[4:6]]
    groups: dict[str, Received] = {"1100": "gsm7", "1101": "gsm7", "1110": "ucs2"}
    if bits[:4] == "1111":
        return "binary" if bits[5] == "1" else "gsm7"
    return groups.get(bits[:4], "binary")


@pytest.mark.parametrize("coding", range(256))
def test_each_data_coding(coding: int) -> None:
    """Up to 0x0F as SMPP has it, above as TS 23.038 has it."""
    assert alphabet_of(coding) == (SMPP[coding] if coding in SMPP else by_ts_23_038(coding))


@pytest.mark.parametrize("default", RECEIVED)
def test_zero_is_what_the_carrier_says(default: Received) -> None:
    """Only the value 0 depends on the carrier."""
    assert alphabet_of(0, default) == default
    assert all(alphabet_of(coding, default) == alphabet_of(coding) for coding in range(1, 256))


EXAMPLES: Final[list[tuple[bytes, dict[str, Any], str]]] = [
    (b"", {}, ""),
    (b"\x00\x02\x1b\x65", {}, "@$€"),
    (b"a\x1b", {}, "a"),
    (b"\x1b\x1b", {}, " "),
    (b"\x1b\x00", {}, "@"),
    (b"\x80\xff", {}, "\ufffd\ufffd"),
    (b"a\x00", {}, "a@"),
    (b"\x04\x10\x04\x4f", {"data_coding": 8}, "Ая"),
    (b"\x04\x10\x04", {"data_coding": 8}, "А\ufffd"),
    (b"\xd8\x3d\xde\x00", {"data_coding": 8}, "😀"),
    (b"\xd8\x3d", {"data_coding": 8}, "\ud83d"),
    (b"\xde\x00\xd8\x3d", {"data_coding": 0x18}, "\ude00\ud83d"),
    (b"\xfe\xff\x04\x10", {"data_coding": 8}, "\ufeffА"),
    (b"\x00\xff", {"data_coding": 3}, "\x00ÿ"),
    (b"a\x80", {"data_coding": 1}, "a\ufffd"),
    (b"\xbf\xd0", {"data_coding": 6}, "Па"),
    (b"\xf5\xa1", {"data_coding": 7}, "ץ\ufffd"),
    (b"\x00\x80\xff", {"data_coding": 4}, "\x00\x80ÿ"),
    (b"\x05\x00\x03\x07\x02\x01Hi", {"esm_class": 0x40}, "Hi"),
    (b"\x05\x00\x03\x07\x02\x01Hi", {}, "é@¥ì$£Hi"),
    (b"\x05\x00\x03\x07\x02\x01\x04\x10", {"esm_class": 0x43, "data_coding": 8}, "А"),
    (b"\x20Hi", {"esm_class": 0x40}, " Hi"),
    (b"", {"esm_class": 0x40}, ""),
    (b"\x00Hi", {"esm_class": 0x40}, "Hi"),
    (b"@", {"default": "latin1"}, "@"),
    (b"\x04\x10", {"default": "ucs2"}, "А"),
    (bytes.fromhex("31d98c56b3dd00"), {"packed": True}, "1234567@"),
    (bytes.fromhex("31d98c56b3dd00"), {"packed": True, "septets": 7}, "1234567"),
    (bytes.fromhex("31d98c56b3dd00"), {"packed": True, "septets": 70}, "1234567@"),
    (b"", {"packed": True}, ""),
    (b"\x03\x24\x01\x01\x1bs", {"esm_class": 0x40}, "ş"),
    (b"\x03\x25\x01\x01\x1d", {"esm_class": 0x40}, "ş"),
    (b"\x03\x25\x01\x02\x1d", {"esm_class": 0x40}, "æ"),
    (b"\x03\x25\x01\x63\x1d", {"esm_class": 0x40}, "æ"),
    (b"\x03\x24\x01\xff\x1b\x65", {"esm_class": 0x40}, "€"),
    (b"\x06\x25\x01\x01\x25\x01\x00\x1d", {"esm_class": 0x40}, "æ"),
    (b"\x04\x25\x02\x01\x01\x1d", {"esm_class": 0x40}, "æ"),
]


@pytest.mark.parametrize(("octets", "chosen", "text"), EXAMPLES)
def test_examples(octets: bytes, chosen: dict[str, Any], text: str) -> None:
    """One of each kind of trouble."""
    assert decode(octets, **chosen) == text


@MANY
@given(
    octets=st.binary(max_size=160)
    | st.builds(
        lambda header, body: bytes([len(header)]) + header + body, st.binary(max_size=20), st.binary()
    ),
    coding=st.integers(0, 255),
    esm_class=st.sampled_from([0, 0x40, 0x43]),
    default=st.sampled_from(RECEIVED),
    packed=st.booleans(),
    septets=st.none() | st.integers(0, 400),
)
@example(b"\x01\x25\x01", 0, 0x40, "gsm7", True, 3)
def test_any_octets_give_a_text(
    octets: bytes, coding: int, esm_class: int, default: Received, packed: bool, septets: int | None
) -> None:
    """No exception, and no more characters than units."""
    text = decode(
        octets, data_coding=coding, esm_class=esm_class, default=default, packed=packed, septets=septets
    )
    assert isinstance(text, str)
    assert len(text) <= len(octets) * 8 // 7 + 1
    if alphabet_of(coding, default) == "gsm7" and septets is None and esm_class:
        assert text == oracle.from_gsm7(octets, packed)


@pytest.mark.parametrize("packing", ["packed", "packed-cr"])
@pytest.mark.parametrize("text", ["Привет, это сообщение", "я" * 100, "😀"])
def test_only_septets_are_packed(text: str, packing: Any) -> None:
    """A carrier that packs septets sends UCS-2 as it is: the same call reads both."""
    message = segment(text, packing=packing)
    assert message.alphabet == "ucs2"
    for part in message.segments:
        shown = decode(
            part.user_data, data_coding=message.data_coding, esm_class=message.esm_class, packed=True
        )
        assert shown == part.text


@pytest.mark.parametrize("header", [b"", *(bytes([n, 0x70, n - 2]) + bytes(n - 2) for n in range(2, 17))])
def test_packed_septets_begin_at_a_septet_boundary(header: bytes) -> None:
    """Behind a header of any length: the fill bits are skipped."""
    septets = b"Hello World"
    fill_bits = oracle.fill_bits(len(header))
    octets = header + pack(septets, fill_bits=fill_bits)
    assert decode(octets, esm_class=0x40 if header else 0, packed=True, septets=11) == "Hello World"


@pytest.mark.parametrize("locking", range(16))
@pytest.mark.parametrize("single_shift", range(16))
def test_each_pair_of_language_elements(locking: int, single_shift: int) -> None:
    """Both elements at once, in either order; a language without such a table leaves the default."""
    names = {number: name for name, number in LANGUAGE_ID.items()}
    base = names.get(locking, "")
    septets = bytes(code for code in range(128) if code != 0x1B)
    septets += b"".join(bytes([0x1B, code]) for code in range(128))
    wanted = oracle.from_septets(
        septets, base if base in LOCKING else "", names.get(single_shift, "") if single_shift < 14 else ""
    )
    one, two = bytes([0x25, 1, locking]), bytes([0x24, 1, single_shift])
    for elements in (one + two, two + one):
        assert decode(bytes([6]) + elements + septets, esm_class=0x40) == wanted


def test_the_tables_hold_no_surrogates_or_controls() -> None:
    """What a handset shows is text: of the controls only line feed, carriage return and form feed."""
    for characters in [*LOCKING.values(), *("".join(table.values()) for table in SINGLE_SHIFT.values())]:
        assert all(char >= " " or char in "\n\r\f" for char in characters)
        assert not any(ord(char) in oracle.SURROGATES for char in characters)


@pytest.mark.parametrize("wrong", [None, "abc", 5])
def test_user_data_is_bytes(wrong: Any) -> None:
    """Anything else is a TypeError."""
    with pytest.raises(TypeError):
        decode(wrong)
