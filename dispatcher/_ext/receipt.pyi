from typing import Final

ABSENT: Final[int]
"""The state of a text without stat."""

OTHER: Final[int]
"""The state of a text whose stat is none of the ten words of SMPP."""

def scan(
    data: bytes,
) -> tuple[
    bytes | None,
    int,
    bytes | None,
    bytes | None,
    bytes | None,
    bytes | None,
    bytes | None,
    bytes | None,
    bytes | None,
]:
    """Every field of one text: (id, state, stat, err, sub, dlvrd, submit date, done date, text)."""

def scan_many(texts: list[bytes]) -> list[tuple[bytes | None, int, bytes | None, bytes | None]]:
    """What correlation needs, of many texts: [(id, state, stat if state is OTHER, err)]."""

def key(message_id: bytes, base: int, flags: int) -> bytes:
    """The look-up key of a message_id: decimal digits of a number of `base` 10 or 16; 0: as it is."""

def local_seconds(value: bytes, pattern: bytes) -> int | None:
    """Seconds from 1970 of a date, without a zone; None where `value` does not fit `pattern`.

    In the pattern Y M D h m s stand for one digit each, any other octet for itself. YY below 70 is 20YY.
    """
