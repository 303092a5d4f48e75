"""gsm0338: a codec of the default alphabet. It does not segment, and refuses what the alphabet lacks."""

from collections.abc import Callable
from typing import Any, Final

from bench.peers.face import Absent, absent, installed
from bench.reference import Cut

NAME: Final = "gsm0338 encode only"
SEGMENTS: Final = False
KEEPS_CLUSTERS: Final = False


def version() -> str:
    """Return the installed version."""
    return installed("gsm0338")


def prepare() -> Callable[[str], object] | Absent:
    """Return the codec's encode, and UTF-16 where it refuses, as any user of it must."""
    try:
        from gsm0338 import Codec
    except ImportError:
        return absent("gsm0338")
    encode = Codec().encode

    def encoded(text: str) -> Any:
        try:
            return "gsm7", encode(text)[0]
        except UnicodeEncodeError:
            return "ucs2", text.encode("utf-16-be")

    return encoded


def cut(text: str, result: Any) -> Cut:
    """All octets in one body, whatever its size."""
    alphabet, body = result
    return Cut(alphabet, (body,))
