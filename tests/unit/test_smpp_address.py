"""Addresses: the three kinds that may be sent, and the form they have in a TPDU."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.encoding.tables import DEFAULT, LOCKING
from dispatcher.errors import LocalProtocolError, RemoteProtocolError
from dispatcher.smpp import address
from dispatcher.smpp.address import Address


def test_the_alphabet_is_that_of_the_encoder() -> None:
    """The copy here equals the table of the encoding library."""
    assert LOCKING[DEFAULT] == address.GSM_DEFAULT


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+79991234567", Address(1, 1, b"79991234567")),
        ("79991234567", Address(1, 1, b"79991234567")),
        ("+3541234", Address(1, 1, b"3541234")),
        ("1234", Address(3, 0, b"1234")),
        ("12345678", Address(3, 0, b"12345678")),
        ("123456789", Address(1, 1, b"123456789")),
        ("My Bank", Address(5, 0, b"My Bank")),
        ("900 Bank", Address(5, 0, b"900 Bank")),
        ("Bank@Home", Address(5, 0, b"Bank@Home")),
        ("Ünïon", None),
        ("Ünion", Address(5, 0, b"\xdcnion")),
        ("12", None),
        ("", None),
        ("١٢٣٤", None),
        ("1234567890123456", None),
        ("TwelveLetter", None),
        ("Bank€", None),
        ("Bank\n", None),
        ("ΔBank", None),
        ("Банк", None),
    ],
)
def test_an_address_is_classified_or_refused(text: str, expected: Address | None) -> None:
    """TON, NPI and octets; what cannot be sent is an error that does not repeat it."""
    if expected is not None:
        assert address.classify(text) == expected
        return
    with pytest.raises(LocalProtocolError) as caught:
        address.classify(text)
    assert len(text) < 2 or text not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (address.international, "Bank"),
        (address.international, "+"),
        (address.international, "+1234567890123456"),
        (address.short_code, "12"),
        (address.short_code, "123456789"),
        (address.short_code, "+123"),
        (address.alphanumeric, "12345"),
        (address.alphanumeric, "TwelveLetter"),
        (address.alphanumeric, "{bank}"),
        (address.alphanumeric, "`bank"),
    ],
)
def test_each_kind_refuses_the_others(kind: Callable[[str], Address], text: str) -> None:
    """A profile that says which kind it expects gets that kind or an error."""
    with pytest.raises(LocalProtocolError):
        kind(text)


@given(st.text("0123456789*#abc", max_size=20))
def test_digits_in_semi_octets_are_read_back(number: str) -> None:
    """Two to an octet, the odd one filled."""
    octets = address.format_semi_octets(number)
    assert len(octets) == (len(number) + 1) // 2
    assert address.parse_semi_octets(octets, len(number)) == number
    assert address.parse_tp_address(address.format_tp_address(number, 1, 1)) == (number, 1, 1)


@given(st.text(address.GSM_DEFAULT.replace("\ufffd", ""), max_size=11))
def test_a_packed_name_is_read_back(name: str) -> None:
    """Any name of up to 11 characters of the alphabet, in useful semi-octets."""
    octets = address.format_tp_address(name, 5)
    assert octets[0] == (7 * len(name) + 3) // 4
    assert address.parse_tp_address(octets) == (name, 5, 0)


@given(st.binary(max_size=14))
def test_any_octets_are_an_address_or_an_error(octets: bytes) -> None:
    """A peer cannot make the parser raise anything else."""
    try:
        text, ton, npi = address.parse_tp_address(octets)
    except RemoteProtocolError:
        return
    assert len(text) <= 255
    assert 0x80 | ton << 4 | npi == octets[1]


def test_what_does_not_fit_a_tpdu_is_refused() -> None:
    """21 digits, 12 characters, letters among digits, numbers beyond their bits."""
    for text, ton in (("1" * 21, 1), ("x" * 12, 5), ("12x", 1), ("€", 5)):
        with pytest.raises(LocalProtocolError):
            address.format_tp_address(text, ton)
    for ton, npi in ((8, 0), (0, 16), (-1, 0)):
        with pytest.raises(LocalProtocolError):
            address.format_toa(ton, npi)
