"""Addresses: what may be sent as which TON and NPI, and their form in a TPDU (TS 23.040, 9.1.2).

The laws:

* an international number goes as digits without ``+``, at most 15; a short code has 3 to 8 digits; a name has
  at most 11 characters of the GSM default alphabet (none of its extension, which would count twice) and is
  not all digits;
* nothing is cut: what does not fit is a LocalProtocolError;
* numbers never stand in an error: lengths do, and one offending character.

Which TON and NPI a carrier wants for each of the three is a row of its profile; here are the usual ones.
"""

from typing import Final, NamedTuple

from dispatcher.errors import LocalProtocolError, RemoteProtocolError
from dispatcher.smpp.constants import Npi, Ton

INTERNATIONAL_DIGITS_MAX: Final = 15
"""E.164."""
SHORT_CODE_DIGITS: Final = range(3, 9)
NAME_CHARACTERS_MAX: Final = 11
"""TS 23.040, 9.1.2.5: ten octets of packed septets."""

GSM_DEFAULT: Final = (  # in code order, ESC as U+FFFD: a copy from encoding/tables.py
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\ufffdÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_SEMI_OCTETS: Final = "0123456789*#abc"  # the code of each is its index; F fills
_TP_DIGITS_MAX: Final = 20


class Address(NamedTuple):
    """A TON, an NPI and the octets that go into source_addr or destination_addr."""

    ton: int
    npi: int
    octets: bytes


def classify(text: str) -> Address:
    """Say what a text is: a ``+`` or nine digits and more are international, 3 to 8 digits a short code."""
    digits = text.removeprefix("+")
    if not _all_digits(digits):
        return alphanumeric(text)
    if not text.startswith("+") and len(digits) <= SHORT_CODE_DIGITS[-1]:
        return short_code(text)
    return international(text)


def international(text: str) -> Address:
    """Check a number with its country code; ``+`` is dropped."""
    digits = text.removeprefix("+")
    if not _all_digits(digits) or len(digits) > INTERNATIONAL_DIGITS_MAX:
        raise _illegal(
            text, f"an international number is 1 to {INTERNATIONAL_DIGITS_MAX} digits after an optional +"
        )
    return Address(Ton.INTERNATIONAL, Npi.ISDN, digits.encode("ascii"))


def short_code(text: str) -> Address:
    """Check a short code."""
    if not _all_digits(text) or len(text) not in SHORT_CODE_DIGITS:
        raise _illegal(text, f"a short code is {SHORT_CODE_DIGITS[0]} to {SHORT_CODE_DIGITS[-1]} digits")
    return Address(Ton.NETWORK_SPECIFIC, Npi.UNKNOWN, text.encode("ascii"))


def alphanumeric(text: str) -> Address:
    """Check a name. Its octets are ISO 8859-1: the GSM code of ``@`` is 0, which would end the string."""
    if not 1 <= len(text) <= NAME_CHARACTERS_MAX:
        raise _illegal(text, f"a name has 1 to {NAME_CHARACTERS_MAX} characters")
    if _all_digits(text):
        raise _illegal(text, "a name is not all digits: phones would show it as a number")
    for character in text:
        if character not in GSM_DEFAULT or character in "\n\r\ufffd" or ord(character) > 0xFF:
            raise _illegal(
                text,
                f"{character!r} is not possible in a name: only the GSM default alphabet without Greek is",
            )
    return Address(Ton.ALPHANUMERIC, Npi.UNKNOWN, text.encode("latin-1"))


def format_toa(ton: int, npi: int) -> int:
    """Return the type-of-address octet: 0x91 is international and ISDN."""
    if not 0 <= ton <= 7 or not 0 <= npi <= 15:
        raise LocalProtocolError(f"TON {ton}, NPI {npi}: three bits and four are possible")
    return 0x80 | ton << 4 | npi


def parse_toa(toa: int) -> tuple[int, int]:
    """Return the TON and the NPI of a type-of-address octet; reserved numbers pass."""
    if not toa & 0x80:
        raise RemoteProtocolError(f"type-of-address 0x{toa:02x}: its highest bit must be 1")
    return toa >> 4 & 0x07, toa & 0x0F


def format_semi_octets(number: str) -> bytes:
    """Write digits and ``*#abc`` two to an octet, the first in the low half, F filling the last."""
    codes = [_SEMI_OCTETS.find(character) for character in number.lower()]
    if -1 in codes:
        raise _illegal(number, f"{number[codes.index(-1)]!r} is not possible in a number: 0-9 * # a b c are")
    if len(codes) % 2:
        codes.append(0x0F)
    return bytes(low | high << 4 for low, high in zip(codes[::2], codes[1::2], strict=True))


def parse_semi_octets(octets: bytes, digits: int) -> str:
    """Read ``digits`` of them; a filler ends the number early."""
    halves = [half for octet in octets for half in (octet & 0x0F, octet >> 4)]
    if digits > len(halves):
        raise RemoteProtocolError(f"{digits} digits in {len(octets)} octets")
    halves = halves[:digits]
    if 0x0F in halves:
        halves = halves[: halves.index(0x0F)]
    return "".join(_SEMI_OCTETS[half] for half in halves)


def format_tp_address(text: str, ton: int, npi: int = Npi.UNKNOWN) -> bytes:
    """Write the address field of a TPDU: useful semi-octets, type-of-address, value."""
    if ton != Ton.ALPHANUMERIC:
        if len(text) > _TP_DIGITS_MAX:
            raise _illegal(text, f"{_TP_DIGITS_MAX} digits fit an address field")
        return bytes([len(text), format_toa(ton, npi)]) + format_semi_octets(text)
    if len(text) > NAME_CHARACTERS_MAX:
        raise _illegal(text, f"{NAME_CHARACTERS_MAX} characters fit an address field")
    packed = 0
    for position, character in enumerate(text):
        code = GSM_DEFAULT.find(character)
        if code < 0 or character == "\ufffd":
            raise _illegal(text, f"{character!r} is not in the GSM default alphabet")
        packed |= code << 7 * position
    bits = 7 * len(text)
    return bytes([(bits + 3) // 4, format_toa(ton, npi)]) + packed.to_bytes((bits + 7) // 8, "little")


def parse_tp_address(octets: bytes) -> tuple[str, int, int]:
    """Read the address field of a TPDU: the text, its TON and NPI."""
    if len(octets) < 2:
        raise RemoteProtocolError(f"an address field of {len(octets)} octets, it has at least 2")
    semi_octets, value = octets[0], octets[2:]
    ton, npi = parse_toa(octets[1])
    if ton != Ton.ALPHANUMERIC:
        return parse_semi_octets(value, semi_octets), ton, npi
    if semi_octets > 2 * len(value):
        raise RemoteProtocolError(f"{semi_octets} semi-octets in {len(value)} octets")
    packed = int.from_bytes(value, "little")
    text = "".join(GSM_DEFAULT[packed >> 7 * i & 0x7F] for i in range(semi_octets * 4 // 7))
    return text, ton, npi


def _all_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _illegal(text: str, what: str) -> LocalProtocolError:
    return LocalProtocolError(f"an address of {len(text)} characters: {what}", "source_addr")
