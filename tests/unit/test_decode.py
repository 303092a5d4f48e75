"""Octets to text: whatever a carrier sends becomes a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.encoding import alphabet_of, decode, segment, split_header
from tests import oracle


@pytest.mark.parametrize(
    ("data_coding", "alphabet"),
    [
        (0x00, "gsm7"), (0x01, "ascii"), (0x02, "binary"), (0x03, "latin1"), (0x04, "binary"),
        (0x06, "iso8859_5"), (0x07, "iso8859_8"), (0x08, "ucs2"), (0x0D, "binary"), (0x10, "gsm7"),
        (0x11, "gsm7"), (0x14, "binary"), (0x18, "ucs2"), (0x1B, "ucs2"), (0x20, "binary"), (0x40, "gsm7"),
        (0x48, "ucs2"), (0x60, "binary"), (0x80, "binary"),
        (0xC0, "gsm7"), (0xD8, "gsm7"), (0xE0, "ucs2"), (0xF0, "gsm7"), (0xF1, "gsm7"), (0xF4, "binary"),
    ],
)  # fmt: skip
def test_data_coding_names_an_alphabet(data_coding: int, alphabet: str) -> None:
    """SMPP's values below 0x10, the groups of TS 23.038 above."""
    assert alphabet_of(data_coding) == alphabet


def test_the_carriers_default_decides_what_0_means() -> None:
    """data_coding 0 is the SMSC's own default alphabet, whatever that is."""
    assert decode(b"\x00@", data_coding=0) == "@¡"
    assert decode(b"\xe9@", data_coding=0, default="latin1") == "é@"


def test_escapes_are_shown_as_the_standard_asks() -> None:
    """Unknown escape: the plain character; two escapes: a space; one at the end: nothing."""
    assert decode(b"\x1bea\x1bZ\x1b\x1bb\x1b") == "€aZ b"


def test_lone_surrogates_and_odd_octets_are_shown_somehow() -> None:
    """UCS-2 keeps a lone surrogate; a trailing octet becomes U+FFFD."""
    assert decode(b"\xd8\x00\x04\x10", data_coding=8) == "\ud800А"
    assert decode(b"\x04\x10\x04", data_coding=8) == "А\ufffd"


def test_octets_that_mean_nothing_become_replacement_characters() -> None:
    """In ASCII and GSM 7-bit octets above 0x7F mean nothing; binary keeps every octet."""
    assert decode(b"a\xff", data_coding=1) == "a\ufffd"
    assert decode(b"a\xff") == "a\ufffd"
    assert decode(b"a\xff", data_coding=4) == "a\xff"


def test_a_header_is_taken_off_only_where_it_is_flagged() -> None:
    """esm_class says whether there is one; a length octet that points outside leaves the data raw."""
    with_header = b"\x05\x00\x03\x07\x02\x01hi"
    assert decode(with_header, esm_class=0x40) == "hi"
    assert decode(with_header) == "é@¥ì$£hi"
    assert decode(b"\x30hi", esm_class=0x40) == "0hi"


def test_national_tables_are_obeyed_and_unknown_ones_ignored() -> None:
    """Language 1 is Turkish; language 99 is nobody's: the default is used."""
    assert decode(b"\x03\x25\x01\x01\x1c", esm_class=0x40) == "Ş"
    assert decode(b"\x03\x24\x01\x01\x1b\x73", esm_class=0x40) == "ş"
    assert decode(b"\x03\x25\x01\x63\x1c", esm_class=0x40) == "Æ"
    assert decode(b"\x03\x25\x01\x02\x1c", esm_class=0x40) == "Æ"  # Spanish has no locking table


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=70))
def test_what_was_encoded_comes_back(text: str) -> None:
    """Every single segment decodes to its text."""
    message = segment(text, alphabet="ucs2", max_segments=3)
    for part in message.segments:
        assert decode(part.user_data, data_coding=8, esm_class=message.esm_class) == part.text


@given(st.text(alphabet=sorted(oracle.codes()), max_size=300), st.integers(0, 3))
def test_packed_text_comes_back_by_its_septets(text: str, shape: int) -> None:
    """With the number of septets, packed text is exact behind any header."""
    elements = b"\x70" + bytes([shape]) + bytes(shape)
    message = segment(text, alphabet="gsm7", packing="packed", elements=elements)
    for part in message.segments:
        assert decode(part.user_data, esm_class=0x40, packed=True, septets=part.units) == part.text


@given(
    st.binary(max_size=200),
    st.integers(0, 255),
    st.sampled_from([0, 0x40, 0x44]),
    st.booleans(),
    st.none() | st.integers(0, 300),
)
def test_no_octets_raise(
    data: bytes, data_coding: int, esm_class: int, packed: bool, septets: int | None
) -> None:
    """Any octets under any flags give a text."""
    decode(data, data_coding=data_coding, esm_class=esm_class, packed=packed, septets=septets)


@given(st.binary(max_size=40))
def test_headers_are_read_like_the_twin_reads_them(data: bytes) -> None:
    """Elements and body agree with the twin; what runs over the end is said and dropped."""
    header, body = split_header(data)
    parts = oracle.elements_of(data)
    if parts is None:
        assert (header, body) == (None, data)
        return
    assert header is not None
    assert (list(header.elements), body) == parts
    length = 1 + sum(2 + len(value) for _, value in header.elements)
    assert (header.error is None) == (length == header.octets)


def test_the_last_of_repeated_elements_counts() -> None:
    """TS 23.040, 9.2.3.24: of two concatenations, and of an 8-bit and a 16-bit one, the last is meant."""
    header, _ = split_header(b"\x0b\x00\x03\x01\x02\x01\x08\x04\x00\x09\x03\x02rest")
    assert header is not None
    assert header.concatenation == (9, 3, 2, 16)


@pytest.mark.parametrize("element", [b"\x00\x03\x01\x02\x00", b"\x00\x03\x01\x02\x03", b"\x00\x02\x01\x01"])
def test_a_concatenation_that_contradicts_itself_is_none(element: bytes) -> None:
    """Number 0, a number beyond the total, or the wrong length."""
    header, _ = split_header(bytes([len(element)]) + element)
    assert header is not None
    assert header.concatenation is None


def test_ports_are_read() -> None:
    """Application ports in 16 and in 8 bits."""
    wide, _ = split_header(b"\x06\x05\x04\x0b\x84\x23\xf0")
    assert wide is not None
    assert wide.ports == (2948, 9200)
    narrow, _ = split_header(b"\x04\x04\x02\x15\xb3")
    assert narrow is not None
    assert narrow.ports == (0x15, 0xB3)


def test_only_septets_are_packed() -> None:
    """Under `packed` UCS-2 stays what it is; the CR of the USSD rule is taken off on request."""
    ucs2 = segment("Привет", packing="packed").segments[0].user_data
    assert decode(ucs2, data_coding=8, packed=True) == "Привет"
    padded = segment("1234567", packing="packed-cr").segments[0].user_data
    assert decode(padded, packed=True, strip_cr=True) == "1234567"
    assert decode(padded, packed=True) == "1234567\r"
