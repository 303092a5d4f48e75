"""A file of messages, row by row: CSV or NDJSON, each row with its line; a bad row costs only itself.

Memory does not grow with the file: lines are read to a limit, one at a time.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

from dispatcher.cli.exits import CommandError, Exit

FIELDS: Final = (
    "to", "text", "sender", "traffic_class", "client_ref", "ttl_ms", "send_after", "callback_url",
)  # fmt: skip
"""What a row may say, spelled as in the API."""
NEEDED: Final = ("to", "text", "sender")
DELIMITERS: Final = ",;\t|"
LINE_MAX: Final = 256 << 10
"""Characters: what the daemon takes of one line, see faces.Http.line_max_bytes."""


class Row(NamedTuple):
    """One message of a file. `flaw`: why it cannot be sent at all; `source`: as the file has it."""

    line: int
    """Where it begins, from 1."""
    values: dict[str, Any]
    flaw: str
    source: tuple[str, ...]


class Shape(msgspec.Struct, frozen=True):
    """How a file is to be read: columns that are fields of other names, and what rows leave out."""

    format: str = "auto"
    """csv, ndjson, or auto: by the name, else by the first line."""
    encoding: str = "utf-8"
    delimiter: str = ""
    names: dict[str, str] = {}
    """Column -> field; ``""``: the column is not used."""
    defaults: dict[str, str] = {}


class Rows:
    """The rows of an open file, once. CommandError: it cannot be read as asked."""

    def __init__(self, file: BinaryIO, name: str, shape: Shape) -> None:
        encoding = (
            "utf-8-sig" if shape.encoding.lower().replace("_", "-") in ("utf-8", "utf8") else shape.encoding
        )
        try:
            self._text = io.TextIOWrapper(file, encoding, errors="surrogateescape", newline="")
        except LookupError:
            raise CommandError(f"--encoding: nobody knows {shape.encoding!r}", Exit.USAGE) from None
        self._shape = shape
        self._read = 0
        self._long = False
        self._lines = self._read_lines()
        self.columns: tuple[str, ...] = FIELDS
        """Of `Row.source`."""
        self.unused: tuple[str, ...] = ()
        """Columns that are no field."""
        first = next(self._lines, "")
        self.is_ndjson = _is_ndjson(shape.format, name, first)
        lines = chain([first] if first else [], self._lines)
        self._rows = self._ndjson(lines) if self.is_ndjson else self._csv(first, lines)

    def __iter__(self) -> Iterator[Row]:
        return self._rows

    def _read_lines(self) -> Iterator[str]:
        while line := self._text.readline(LINE_MAX):
            self._read += 1
            if len(line) == LINE_MAX and not line.endswith("\n"):
                self._long = True
                while (more := self._text.readline(LINE_MAX)) and not more.endswith("\n"):
                    pass
                line = line[:100] + "\n"  # a row of it is refused
            yield line

    # ---- CSV ----

    def _csv(self, first: str, lines: Iterable[str]) -> Iterator[Row]:
        shape = self._shape
        delimiter = shape.delimiter or _sniffed(first, shape)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            header = [name.strip() for name in next(reader, [])]
        except csv.Error as error:
            raise CommandError(f"the header line is not CSV: {error}", Exit.DATA) from None
        self.columns = tuple(header)
        fields = [shape.names.get(name, name if name in FIELDS else "") for name in header]
        self.unused = tuple(name for name, field in zip(header, fields, strict=True) if not field)
        given = [field for field in fields if field]
        if twice := {field for field in given if given.count(field) > 1}:
            raise CommandError(f"two columns are {', '.join(sorted(twice))}", Exit.DATA)
        _check_names(shape, header)
        for field in NEEDED:
            if field not in given and field not in shape.defaults:
                known = ", ".join(header) or "the file is empty"
                raise CommandError(
                    f"no column is {field!r} (there are: {known}): name one with --map COLUMN={field}, or "
                    f"give all rows one with --default {field}=VALUE",
                    Exit.DATA,
                )
        return self._csv_rows(reader, fields)

    def _csv_rows(self, reader: Iterator[list[str]], fields: list[str]) -> Iterator[Row]:
        while True:
            line = self._read + 1
            flaw = ""
            cells: list[str] = []
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                flaw = f"not CSV: {error}" + (f" (to line {self._read})" if self._read > line else "")
            if not cells and not flaw:
                continue
            if not flaw and len(cells) != len(fields):
                flaw = f"{len(cells)} columns, the header has {len(fields)}"
            values: dict[str, Any] = {}
            if not flaw:
                values = {field: cell for field, cell in zip(fields, cells, strict=True) if field and cell}
            yield self._finished(line, values, flaw, tuple(cells))

    # ---- NDJSON ----

    def _ndjson(self, lines: Iterable[str]) -> Iterator[Row]:
        names = self._shape.names
        for text in lines:
            if not text.strip() and not self._long:
                continue
            flaw, values = "", {}
            try:
                found = msgspec.json.decode(text)
                if isinstance(found, dict):
                    renamed = ((names.get(name, name), value) for name, value in found.items())
                    values = {name: value for name, value in renamed if name and value is not None}
                else:
                    flaw = "a JSON object is expected"
            except (msgspec.DecodeError, UnicodeEncodeError):
                flaw = "not JSON" if _is_text(text) else self._not_in_encoding
            source = tuple(str(values.get(name, "")) for name in FIELDS)
            yield self._finished(self._read, values, flaw, source)

    # ---- both ----

    @property
    def _not_in_encoding(self) -> str:
        return f"not {self._shape.encoding}; --encoding names another, e.g. cp1251"

    def _finished(self, line: int, values: dict[str, Any], flaw: str, source: tuple[str, ...]) -> Row:
        if self._long:
            self._long = False
            flaw = f"longer than {LINE_MAX:,} characters"
        elif not flaw and not all(_is_text(value) for value in values.values() if isinstance(value, str)):
            flaw = self._not_in_encoding
        values = {**self._shape.defaults, **values}
        milliseconds = values.get("ttl_ms")
        if isinstance(milliseconds, str):
            if milliseconds.isascii() and milliseconds.isdecimal():
                values["ttl_ms"] = int(milliseconds)
            else:
                flaw = flaw or "ttl_ms: whole milliseconds are expected"
        return Row(line, values, flaw, source)


def _check_names(shape: Shape, header: list[str]) -> None:
    for column in shape.names:
        if column not in header:
            raise CommandError(f"--map: no column {column!r}; there are: {', '.join(header)}", Exit.USAGE)


def _is_ndjson(asked: str, name: str, first: str) -> bool:
    if asked != "auto":
        return asked == "ndjson"
    suffix = name.rpartition(".")[2].lower()
    return suffix in ("ndjson", "jsonl") or (suffix != "csv" and first.lstrip().startswith("{"))


def _sniffed(header: str, shape: Shape) -> str:
    """Return the delimiter that makes the most known names of a header line; of equals the most columns."""
    known = {*FIELDS, *shape.names}

    def worth(delimiter: str) -> tuple[int, int]:
        cells = [cell.strip(' "\r\n') for cell in header.split(delimiter)]
        return sum(cell in known for cell in cells), len(cells)

    return max(DELIMITERS, key=worth)


def _is_text(text: str) -> bool:
    """Whether it holds no octet that the encoding has no character for, read with surrogateescape."""
    return not any("\udc80" <= character <= "\udcff" for character in text)


def pairs(words: Iterable[str], option: str) -> Mapping[str, str]:
    """Return what ``LEFT=RIGHT`` words say. CommandError: one has no ``=``."""
    found = {}
    for word in words:
        left, equals, right = word.partition("=")
        if not (left and equals):
            raise CommandError(f"{option}: expected NAME=VALUE, not {word!r}", Exit.USAGE)
        found[left] = right
    return found
