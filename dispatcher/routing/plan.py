"""The numbering plan: ranges of numbers and the operators that hold them; ported numbers win over it.

Law: a bad line costs only itself and is named; what overlaps is refused: the order of lines means nothing.

Two forms of a line, told apart by the first one:

* the Russian register (DEF-9xx.csv): ``code;from;to;capacity;operator;region;...;inn``, without the 7;
* ``prefix_from,prefix_to,operator[,region]``: both inclusive, equally long.

Inside, a number is an integer of 15 digits, filled up with zeros at its right, so that a prefix is a range.
"""

import csv
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from dispatcher._ext.numbers import RangeTable
from dispatcher.errors import ConfigError

DIGITS: Final = 15
HOLDERS_MAX: Final = 65_536
"""Pairs of operator and region: an index of two octets. Russia has some thousands."""
HEADING: Final = "prefix_from,prefix_to,operator,region\n"
"""Of the plain form."""
_RUSSIA: Final = "7"


class Holder(NamedTuple):
    """Who has a range."""

    operator: str
    region: str


class Range(NamedTuple):
    """Numbers from first to last, both inclusive, as integers of 15 digits; and the line it stands on."""

    first: int
    last: int
    holder: Holder
    line: int = 0


class Complaint(NamedTuple):
    """What is wrong with a line, counted from 1."""

    line: int
    what: str

    def __str__(self) -> str:
        """Say it as a person reads it."""
        return f"line {self.line}: {self.what}"


class NumberingPlan:
    """Ranges without overlaps, to be searched."""

    __slots__ = ("_table", "holders", "operators", "ranges")

    def __init__(self, ranges: Iterable[Range]) -> None:
        """Sort and join them; ConfigError: two overlap."""
        self.ranges = tuple(_joined(sorted(ranges)))
        self.holders = tuple(dict.fromkeys(each.holder for each in self.ranges))
        self.operators = frozenset(holder.operator for holder in self.holders)
        if len(self.holders) > HOLDERS_MAX:
            raise ConfigError(f"{len(self.holders)} pairs of operator and region, {HOLDERS_MAX} are possible")
        index = {holder: number for number, holder in enumerate(self.holders)}
        self._table = RangeTable(
            array("Q", [each.first for each in self.ranges]),
            array("Q", [each.last for each in self.ranges]),
            array("H", [index[each.holder] for each in self.ranges]),
        )

    def __len__(self) -> int:
        return len(self.ranges)

    def __repr__(self) -> str:
        """Say how large it is."""
        return f"<NumberingPlan {len(self.ranges)} ranges, {len(self.operators)} operators>"

    def find(self, number: str) -> Holder | None:
        """Return who has the digits of a number; None: nobody."""
        found = self._table.find(number)
        return None if found < 0 else self.holders[found]


def parse(lines: Iterable[str]) -> tuple[list[Range], list[Complaint]]:
    """Return the ranges of a file's lines, and what is wrong with the others. A heading is passed over."""
    lines = iter(lines)
    first = next(lines, "")
    russian = first.count(";") > first.count(",")
    ranges: list[Range] = []
    complaints: list[Complaint] = []
    rows = csv.reader(_chain(first, lines), delimiter=";" if russian else ",")
    read = _russian if russian else _plain
    while True:
        try:
            row = next(rows, None)
            if row is None:
                break
            cells = [cell.strip() for cell in row]
            if not any(cells) or (rows.line_num == 1 and not cells[0].isdigit()):
                continue
            ranges.append(read(cells)._replace(line=rows.line_num))
        except (ValueError, csv.Error) as error:
            complaints.append(Complaint(rows.line_num, str(error)))
    return ranges, complaints


def overlaps(ranges: Iterable[Range]) -> Iterator[Complaint]:
    """Yield a complaint for each range that begins inside another."""
    before: Range | None = None
    for each in sorted(ranges):
        if before is not None and each.first <= before.last:
            yield Complaint(each.line, f"overlaps the range of line {before.line}")
        if before is None or each.last > before.last:
            before = each


def written(ranges: Sequence[Range]) -> Iterator[str]:
    """Yield the lines of the plain form, with a heading and as short as prefixes can be; each ends in LF."""
    yield HEADING
    for each in ranges:
        first, last = f"{each.first:015d}", f"{each.last:015d}"
        length = DIGITS
        while length > 1 and first[length - 1] == "0" and last[length - 1] == "9":
            length -= 1
        yield ",".join([first[:length], last[:length], *map(_quoted, each.holder)]) + "\n"


def aligned(prefix: str) -> tuple[int, int]:
    """Return the first and last number, as integers of 15 digits, that begin with a prefix."""
    fill = 10 ** (DIGITS - len(prefix))
    return int(prefix) * fill, (int(prefix) + 1) * fill - 1


def _joined(ranges: list[Range]) -> Iterator[Range]:
    """Join neighbours with one holder; ConfigError: two overlap."""
    if complaint := next(overlaps(ranges), None):
        raise ConfigError(str(complaint))
    current: Range | None = None
    for each in ranges:
        if current and current.holder == each.holder and current.last + 1 == each.first:
            current = current._replace(last=each.last)
        else:
            if current:
                yield current
            current = each
    if current:
        yield current


def _plain(cells: list[str]) -> Range:
    if len(cells) not in (3, 4):
        raise ValueError(f"{len(cells)} columns; expected prefix_from,prefix_to,operator and perhaps region")
    return _range(cells[0], cells[1], cells[2], cells[3] if len(cells) == 4 else "")


def _russian(cells: list[str]) -> Range:
    if len(cells) < 6:
        raise ValueError(
            f"{len(cells)} columns; expected code;from;to;capacity;operator;region and perhaps more"
        )
    code, first, last, capacity, operator, region = cells[:6]
    if not (code.isdigit() and len(code) == 3):
        raise ValueError("code: expected 3 digits")
    found = _range(_RUSSIA + code + first.zfill(7), _RUSSIA + code + last.zfill(7), operator, region)
    if capacity.isdigit() and int(capacity) != int(last) - int(first) + 1:
        raise ValueError(f"capacity is {capacity}, from and to hold {int(last) - int(first) + 1}")
    return found


def _range(first: str, last: str, operator: str, region: str) -> Range:
    for name, value in (("from", first), ("to", last)):
        if not (value.isascii() and value.isdigit() and 1 <= len(value) <= DIGITS):
            raise ValueError(f"{name}: expected 1 to {DIGITS} digits")
    if len(first) != len(last):
        raise ValueError(f"from has {len(first)} digits, to has {len(last)}")
    if first > last:
        raise ValueError("from is greater than to")
    if first[0] == "0":
        raise ValueError("from: an international number does not begin with 0")
    if not operator:
        raise ValueError("operator: it is empty")
    return Range(aligned(first)[0], aligned(last)[1], Holder(operator, region))


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if any(mark in cell for mark in ',"\n\r') else cell


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    if first:
        yield first
    yield from rest
