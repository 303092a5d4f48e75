"""What a data_coding says (SMPP 3.4, 5.2.19, and TS 23.038, 4): group, alphabet, class, message waiting.

For reading and explaining. What a carrier takes each value for, 0 above all, stands in its profile; a value
that no table knows is passed through, never refused.
"""

from typing import Final, NamedTuple

_SMPP: Final = (  # 0x00 to 0x0F are SMPP's own
    "default",
    "ia5",
    "unspecified_2",  # binary too, says 5.2.19
    "latin1",
    "8_bit",
    "jis",
    "cyrillic",
    "latin_hebrew",
    "ucs2",
    "pictogram_encoding",
    "iso_2022_jp_music_codes",
    "reserved_11",
    "reserved_12",
    "jis_x_0212_1990",
    "ks_c_5601",
    "reserved_15",
)
_GENERAL: Final = ("default", "8_bit", "ucs2", "reserved_12")  # bits 3 and 2 of TS 23.038
_WAITING: Final = ("voicemail", "fax", "electronic", "other")


class DataCodingParts(NamedTuple):
    """A data_coding, taken apart."""

    group: str
    """``character_encoding``, ``general``, ``message_waiting``, ``message_class`` or ``reserved``."""
    alphabet: str
    message_class: int | None
    """0 is flash."""
    compressed: bool
    waiting: str | None = None
    """What waits: ``voicemail``, ``fax``, ``electronic``, ``other``."""
    waiting_active: bool = False
    store: bool = True
    """False: the handset may discard the text and keep the indicator."""


def data_coding_parts(data_coding: int) -> DataCodingParts:
    """Take a data_coding apart."""
    high, low = data_coding >> 4, data_coding & 0x0F
    if high == 0:
        return DataCodingParts("character_encoding", _SMPP[low], None, False)
    if high < 0x4:
        return DataCodingParts(
            "general", _GENERAL[low >> 2], low & 3 if high & 1 else None, compressed=bool(high & 2)
        )
    if high < 0xC:
        return DataCodingParts("reserved", "reserved", None, False)
    if high < 0xF:
        return DataCodingParts(
            "message_waiting",
            "ucs2" if high == 0xE else "default",
            None,
            False,
            _WAITING[low & 3],
            bool(low & 8),
            high != 0xC,
        )
    return DataCodingParts("message_class", "8_bit" if low & 4 else "default", low & 3, False)
