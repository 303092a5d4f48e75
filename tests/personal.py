"""Where numbers and texts that were sent occur in what a run has left behind (law 11).

``occurrences(paths, numbers, texts)`` reads every file below the paths as octets and looks for each number
(its digits, whatever stands before them) and each text, as UTF-8, as JSON escapes them, percent-encoded, and
in both orders of UTF-16. Files of the store, where texts live, are left out by their names.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote, quote_plus

STORE: Final = ("journal.db*", "journal.damaged*", "projection.db*", "*.dispatcher-state", "*.snapshot")
"""Names of files in which they may be."""
SLICE: Final = 8 << 20


class Occurrence(NamedTuple):
    """One place; `what` says the kind, the form and which one by its place in the list, never the value."""

    path: Path
    offset: int
    what: str

    def __str__(self) -> str:
        return f"{self.path} at octet {self.offset:,}: {self.what}"


def forms(value: str) -> dict[str, bytes]:
    """Return every form that a value is looked for in, by its name."""
    found = {
        "utf-8": value.encode(),
        "JSON": json.dumps(value)[1:-1].encode(),
        "percent": quote(value, safe="").encode(),
        "percent, lower case": re.sub("%..", lambda each: each[0].lower(), quote(value, safe="")).encode(),
        "form": quote_plus(value, safe="").encode(),
        "utf-16-be": value.encode("utf-16-be"),
        "utf-16-le": value.encode("utf-16-le"),
        "hexadecimal": value.encode().hex().encode(),
    }
    seen: set[bytes] = set()
    return {name: form for name, form in found.items() if not (form in seen or seen.add(form))}  # type: ignore[func-returns-value]


def occurrences(
    paths: Iterable[Path], numbers: Iterable[str], texts: Iterable[str], *, leave_out: Iterable[str] = STORE
) -> Iterator[Occurrence]:
    """Yield every place. `paths`: files or folders. ValueError: a number of under 7 digits proves nothing."""
    wanted: dict[bytes, str] = {}
    for kind, values in (("number", numbers), ("text", texts)):
        for place, value in enumerate(values):
            bare = value.lstrip("+") if kind == "number" else value
            if kind == "number" and len(bare) < 7:
                raise ValueError("a number of under 7 digits occurs by chance")
            for name, form in forms(bare).items():
                wanted.setdefault(form, f"{kind} {place} as {name}")
    if not wanted:
        return
    longest = max(map(len, wanted))
    pattern = re.compile(b"|".join(re.escape(form) for form in sorted(wanted, key=len, reverse=True)))
    leave_out = tuple(leave_out)
    for path in _files(paths):
        if any(path.match(each) for each in leave_out):
            continue
        with path.open("rb") as file:
            start, rest = 0, b""
            while octets := file.read(SLICE):
                octets = rest + octets
                keep = min(longest - 1, len(octets))
                for found in pattern.finditer(octets):
                    if found.end() > len(rest):  # what lies in the rest was seen before
                        yield Occurrence(path, start + found.start(), wanted[found[0]])
                start += len(octets) - keep
                rest = octets[len(octets) - keep :]


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        yield from sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
