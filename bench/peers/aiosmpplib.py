"""aiosmpplib's split_sms_udh."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from bench.peers.face import Absent, absent, installed
from bench.reference import SEPTETS, Alphabet, Cut

NAME: Final = "aiosmpplib split_sms_udh"
SEGMENTS: Final = True
KEEPS_CLUSTERS: Final = False
HEADER: Final = bytes([5, 0, 3, 0])  # followed by total and number


def version() -> str:
    """Return the installed version."""
    return installed("aiosmpplib")


def prepare() -> Callable[[str], object] | Absent:
    """Return split_sms_udh with its own choice of alphabet and the reference 0."""
    try:
        from aiosmpplib.utils import split_sms_udh
    except ImportError:
        return absent("aiosmpplib")
    return partial(split_sms_udh, csms_ref=0)


def cut(text: str, result: Any) -> Cut:
    """Take the headers off several parts; off a lone one the sm_length octet that it alone begins with.

    The result does not tell its alphabet: it is what aiosmpplib's own detect_format says, any text of
    characters in the table.
    """
    alphabet: Alphabet = "gsm7" if all(char in SEPTETS for char in text) else "ucs2"
    if len(result) == 1:
        return Cut(alphabet, (result[0][1:],))
    return Cut(alphabet, tuple(part[len(HEADER) + 2 :] for part in result))
