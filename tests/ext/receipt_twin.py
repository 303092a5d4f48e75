"""The slow, obvious twin of the receipt scan and of the look-up key: the oracle of their tests."""

import re
from datetime import UTC, datetime

KEYS = rb"(id|sub|dlvrd|submit[ \t_-]*date|done[ \t_-]*date|stat|err|text)[ \t]*:"
AT_A_WORD = re.compile(rb"(?<![0-9A-Za-z_.\-\x80-\xff])" + KEYS, re.IGNORECASE)
HERE = re.compile(KEYS, re.IGNORECASE)
SEPARATOR = re.compile(rb"[,;|][\x00-\x20]*(?:" + KEYS + rb"|\Z)", re.IGNORECASE)
ORDER = ("id", "stat", "err", "sub", "dlvrd", "submitdate", "donedate", "text")
STATES = [
    *("SCHEDULED", "ENROUTE", "DELIVRD", "EXPIRED", "DELETED"),
    *("UNDELIV", "ACCEPTD", "UNKNOWN", "REJECTD", "SKIPPED"),
]

Fields = tuple[bytes | None, ...]


def value_at(data: bytes, start: int) -> int:
    """Where the value that starts here ends."""
    stop = start
    while stop < len(data) and data[stop] > 32 and not SEPARATOR.match(data, stop):
        stop += 1
    return stop


def scan(data: bytes) -> tuple[Fields, int]:
    """Every field in ORDER, and the state: -1 without stat, -2 for a word that is none of the ten."""
    found: dict[str, bytes] = {}
    position = 0
    while match := AT_A_WORD.search(data, position):
        name = re.sub(rb"[ \t_-]", b"", match[1]).decode().lower()
        start = match.end()
        if name == "text":
            found.setdefault("text", data[start:].rstrip(b"\0"))
            if "stat" in found:
                break
            position = start
            continue
        while data[start : start + 1] in (b" ", b"\t"):
            start += 1
        stop = start
        if not HERE.match(data, start):
            stop = value_at(data, start)
            if name.endswith("date") and re.compile(rb" \d\d:\d\d").match(data, stop):
                stop = value_at(data, stop + 1)
        if stop > start:
            found.setdefault(name, data[start:stop])
        position = stop
    word = found["stat"].upper().decode("latin-1") if "stat" in found else None
    state = -1 if word is None else STATES.index(word) if word in STATES else -2
    return tuple(found.get(name) for name in ORDER), state


def key(message_id: bytes, base: int, fold_case: bool, strip_zeros: bool) -> bytes:
    """The look-up key of an id of at most 64 octets."""
    message_id = re.sub(rb"\A[ \t]+|[ \t\0]+\Z", b"", message_id)
    digits = rb"[0-9]+" if base == 10 else rb"[0-9A-Fa-f]+"
    if base and re.fullmatch(digits, message_id):
        return b"%d" % int(message_id, base)
    if strip_zeros:
        message_id = re.sub(rb"\A0+(?=.)", b"", message_id, flags=re.DOTALL)
    return message_id.lower() if fold_case else message_id


def local_seconds(value: bytes, python_format: str, length: int) -> int | None:
    """A date by the standard library."""
    if len(value) != length or not value.isdigit():
        return None
    try:
        date = datetime.strptime(value.decode(), python_format).replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(date.timestamp()) if date.year >= 1970 else None
