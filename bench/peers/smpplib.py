"""smpplib's make_parts: the usual way to segment in Python."""

from collections.abc import Callable
from typing import Any, Final, cast

from bench.peers.face import Absent, absent, installed
from bench.reference import Cut

NAME: Final = "smpplib make_parts"
SEGMENTS: Final = True
KEEPS_CLUSTERS: Final = False
UDHI: Final = 0x40
HEADER_OCTETS: Final = 6


def version() -> str:
    """Return the installed version."""
    return installed("smpplib")


def prepare() -> Callable[[str], object] | Absent:
    """Return make_parts with its defaults: GSM 7-bit, else UCS-2; the header's reference is random."""
    try:
        from smpplib.gsm import make_parts
    except ImportError:
        return absent("smpplib")
    return cast(Callable[[str], object], make_parts)


def cut(text: str, result: Any) -> Cut:
    """Take the headers off."""
    parts, data_coding, esm_class = result
    header = HEADER_OCTETS if esm_class & UDHI else 0
    return Cut("ucs2" if data_coding == 8 else "gsm7", tuple(part[header:] for part in parts))
