"""Octets to text, as tolerant as the standards ask: any octets give a text, never an exception.

data_coding 0 means "the SMSC's default", which is GSM 7-bit nearly everywhere; `default` says what it is at
this carrier. Values up to 0x0F are those of SMPP 3.4, 5.2.19; above, the groups of 3GPP TS 23.038, 4.
"""

from typing import Final, Literal, TypeAlias

from dispatcher._ext.gsm7 import Gsm7Table, unpack
from dispatcher.encoding.options import table
from dispatcher.encoding.tables import DEFAULT, LANGUAGE_ID, LOCKING, SINGLE_SHIFT
from dispatcher.encoding.udh import UserDataHeader, split_header

Received: TypeAlias = Literal["gsm7", "ucs2", "latin1", "ascii", "iso8859_5", "iso8859_8", "binary"]
"""What received octets may be. "binary" is shown one character an octet, so that nothing is lost."""

UDHI: Final = 0x40
_SMPP: Final[dict[int, Received]] = {
    0x01: "ascii",
    0x03: "latin1",
    0x06: "iso8859_5",
    0x07: "iso8859_8",
    0x08: "ucs2",
}
_GSM: Final[tuple[Received, ...]] = ("gsm7", "binary", "ucs2", "binary")
_LANGUAGE: Final = {number: name for name, number in LANGUAGE_ID.items()}


def alphabet_of(data_coding: int, default: Received = "gsm7") -> Received:
    """Return what a data_coding value of 0 to 255 stands for; unknown values are "binary"."""
    if data_coding == 0:
        return default
    if data_coding < 0x10:
        return _SMPP.get(data_coding, "binary")
    if data_coding < 0x80:  # general groups: bit 5 would say compressed, bits 3-2 the alphabet
        return "binary" if data_coding & 0x20 else _GSM[data_coding >> 2 & 3]
    if data_coding >= 0xF0:
        return "binary" if data_coding & 0x04 else "gsm7"
    if data_coding >= 0xC0:  # message waiting
        return "ucs2" if data_coding >= 0xE0 else "gsm7"
    return "binary"


def decode(
    user_data: bytes,
    *,
    data_coding: int = 0,
    esm_class: int = 0,
    default: Received = "gsm7",
    packed: bool = False,
    septets: int | None = None,
    strip_cr: bool = False,
) -> str:
    """Return the text of one segment's user data; a header flagged in esm_class is taken off and obeyed.

    `packed` says that septets are packed; `septets` is their number (of the text alone) where the transport
    tells it, else as many as fit: then seven spare bits read as one more "@", unless `strip_cr` says that the
    sender fills them with a CR, as USSD and "packed-cr" do. Unknown escapes show the plain character, lone
    surrogates stay, octets that mean nothing become U+FFFD.
    """
    if not isinstance(user_data, bytes):
        raise TypeError(f"user_data is bytes, not {type(user_data).__name__}")
    header, body = split_header(user_data) if esm_class & UDHI else (None, user_data)
    alphabet = alphabet_of(data_coding, default)
    octets = body_octets(header, body, packed and alphabet == "gsm7", septets, strip_cr)
    return text_of(octets, alphabet, header)


def body_octets(
    header: UserDataHeader | None,
    body: bytes,
    packed: bool,
    septets: int | None = None,
    strip_cr: bool = False,
) -> bytes:
    """Return the body with its septets, if packed, unpacked: then the bodies of segments can be joined."""
    if not packed:
        return body
    fill_bits = 0 if header is None else (7 - header.octets % 7) % 7
    held = max(0, (len(body) * 8 - fill_bits) // 7)
    return unpack(
        body, None if septets is None else min(septets, held), fill_bits=fill_bits, strip_cr=strip_cr
    )


def text_of(body: bytes, alphabet: Received, header: UserDataHeader | None) -> str:
    """Return the text of octets that stand behind `header`, which may name national language tables."""
    if alphabet == "gsm7":
        return table_of(header).decode(body)
    if alphabet == "ucs2":
        text = body[: len(body) & ~1].decode("utf-16-be", "surrogatepass")
        return text + "\ufffd" if len(body) & 1 else text
    if alphabet == "binary":
        return body.decode("latin1")
    return body.decode(alphabet, "replace")


def table_of(header: UserDataHeader | None) -> Gsm7Table:
    """Return the GSM 7-bit table that a header asks for; the default for languages that nobody defined."""
    if header is None:
        return table()
    locking = _LANGUAGE.get(header.locking_shift, DEFAULT)
    single_shift = _LANGUAGE.get(header.single_shift, DEFAULT)
    return table(
        locking if locking in LOCKING else DEFAULT, single_shift if single_shift in SINGLE_SHIFT else DEFAULT
    )
