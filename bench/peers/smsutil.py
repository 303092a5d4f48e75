"""smsutil's split, and the encoding of each part: its split yields text, and a segment is octets."""

from collections.abc import Callable
from typing import Any, Final

from bench.peers.face import Absent, absent, installed
from bench.reference import Cut

NAME: Final = "smsutil split + encode"
SEGMENTS: Final = True
KEEPS_CLUSTERS: Final = False


def version() -> str:
    """Return the installed version."""
    return installed("smsutil")


def prepare() -> Callable[[str], object] | Absent:
    """Return split, then the parts encoded with the encoding that split names."""
    try:
        import smsutil
        from smsutil.codecs import GSM0338Codec
    except ImportError:
        return absent("smsutil")
    # Not str.encode("gsm0338"): that name is whoever's codec was registered first.
    gsm = GSM0338Codec()

    def segments(text: str) -> Any:
        result = smsutil.split(text)
        if result.encoding == "gsm0338":
            return result.encoding, [gsm.encode(part.content)[0] for part in result.parts]
        return result.encoding, [part.content.encode("utf-16-be") for part in result.parts]

    return segments


def cut(text: str, result: Any) -> Cut:
    """There are no headers."""
    encoding, bodies = result
    return Cut("gsm7" if encoding == "gsm0338" else "ucs2", tuple(bodies))
