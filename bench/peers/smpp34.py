"""smpp34: a PDU codec in Rust. It takes finished octets and has no text encoder: nothing here to time.

tests/peers uses it the other way round: it must carry our segments unchanged.
"""

from collections.abc import Callable
from typing import Final

from bench.peers.face import Absent, absent, installed
from bench.reference import Cut

NAME: Final = "smpp34"
SEGMENTS: Final = False
KEEPS_CLUSTERS: Final = False


def version() -> str:
    """Return the installed version."""
    return installed("smpp34")


def prepare() -> Callable[[str], object] | Absent:
    """Say why there is nothing to time."""
    return Absent("it encodes PDUs, not text") if version() else absent("smpp34")


def cut(text: str, result: object) -> Cut:
    """Never called: there are no results."""
    raise NotImplementedError(repr(result))
