"""Rows out of a damaged file: every record that can be found in its pages and whose CRC is right.

Law: nothing of SQLite's own structures is believed but what a CRC confirms: a leaf is read by its cell
pointers, and where that fails by trying every octet of the page as the beginning of a cell. A damaged octet
costs the row that it is in, and no other. The file must be at rest, with its WAL copied in.
"""

import mmap
from collections.abc import Iterator
from typing import Final, NamedTuple

from dispatcher.store.names import checksum as name_checksum
from dispatcher.store.records import StoredRow, checksum
from dispatcher.store.schema import PAGE_OCTETS

_TABLE_LEAF, _INDEX_LEAF, _INDEX_INTERIOR = 0x0D, 0x0A, 0x02
_LEAF_HEADER: Final = 8
_TABLE_LOCAL_MAX: Final = PAGE_OCTETS - 35
_INDEX_LOCAL_MAX: Final = (PAGE_OCTETS - 12) * 64 // 255 - 23
_LOCAL_MIN: Final = (PAGE_OCTETS - 12) * 32 // 255 - 23
_ROW_COLUMNS, _NAME_COLUMNS = 8, 5
_SMALLEST_CELL: Final = 12
_INT_OCTETS: Final = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)
"""By serial type: NULL, integers, a float, 0 and 1."""

Value = int | bytes | None


class Name(NamedTuple):
    """Of a stream or a carrier."""

    kind: str
    number: int
    name: str


class Salvage:
    """All rows after a seq, and all names, that are whole in the octets of a journal's file."""

    def __init__(self, octets: bytes | mmap.mmap, trimmed_seq: int) -> None:
        self._octets = octets
        self._trimmed_seq = trimmed_seq
        self.rows: dict[int, int] = {}
        """Where the cell of each row begins, by its seq."""
        self.names: set[Name] = set()
        self._used: set[int] = set()
        """Pages that are accounted for: overflow pages of whole rows."""
        doubtful = [page for page in range(len(octets) // PAGE_OCTETS) if not self._read_by_pointers(page)]
        for page in doubtful:
            if page not in self._used:
                self._read_everywhere(page)

    def row(self, seq: int) -> StoredRow:
        """Return one of the rows."""
        octets, at = _varint(self._octets, self.rows[seq])
        _, at = _varint(self._octets, at)
        payload, _ = self._payload(at, octets, _TABLE_LEAF)
        _, *numbers, _, body = _values(payload, _ROW_COLUMNS)
        return StoredRow(seq, *numbers, body)  # type: ignore[arg-type, call-arg]

    def _read_by_pointers(self, page: int) -> bool:
        """Read a leaf; False where it is none, or not all of it makes sense."""
        start = page * PAGE_OCTETS
        at = start + (100 if page == 0 else 0)
        kind = self._octets[at]
        if kind not in (_TABLE_LEAF, _INDEX_LEAF):
            return kind == _INDEX_INTERIOR
        cells = int.from_bytes(self._octets[at + 3 : at + 5], "big")
        pointers = at + _LEAF_HEADER
        if pointers + 2 * cells > start + PAGE_OCTETS:
            return False
        is_whole = True
        for index in range(cells):
            offset = int.from_bytes(self._octets[pointers + 2 * index : pointers + 2 * index + 2], "big")
            is_whole &= self._take(start + offset, kind)
        return is_whole

    def _read_everywhere(self, page: int) -> None:
        """Try every octet: the pointers to its cells are damaged."""
        start = page * PAGE_OCTETS
        for at in range(start, start + PAGE_OCTETS - _SMALLEST_CELL):
            self._take(at, _TABLE_LEAF, is_guess=True)
            self._take(at, _INDEX_LEAF, is_guess=True)

    def _take(self, at: int, kind: int, is_guess: bool = False) -> bool:
        """Take the cell there; False where it is damaged, or none of ours."""
        start = at
        try:
            octets, at = _varint(self._octets, at)
            seq = 0
            if kind == _TABLE_LEAF:
                seq, at = _varint(self._octets, at)
            columns = _ROW_COLUMNS if kind == _TABLE_LEAF else _NAME_COLUMNS
            if is_guess and not self._has_columns(at, octets, columns):
                return False
            payload, overflow = self._payload(at, octets, kind)
            values = list(_values(payload, columns))
        except (IndexError, ValueError):
            return False
        if kind == _INDEX_LEAF:
            return self._take_name(values)
        if seq <= self._trimmed_seq or (is_guess and seq in self.rows):
            return False
        return self._take_row(start, seq, values, overflow)

    def _take_row(self, start: int, seq: int, values: list[Value], overflow: list[int]) -> bool:
        _, *numbers, crc, body = values
        if not isinstance(body, bytes) or not all(isinstance(each, int) for each in (*numbers, crc)):
            return False
        row = StoredRow(seq, *numbers, body)  # type: ignore[arg-type, call-arg]
        if checksum(row) != crc:
            return False
        self.rows[seq] = start
        self._used.update(overflow)
        return True

    def _take_name(self, values: list[Value]) -> bool:
        kind, number, _, name, crc = values
        if not isinstance(kind, bytes) or not isinstance(name, bytes) or not isinstance(number, int):
            return False
        found = Name(kind.decode(errors="replace"), number, name.decode(errors="replace"))
        if name_checksum(*found) != crc:
            return False
        self.names.add(found)
        return True

    # ---- SQLite's file format, sections 1.6 and 2.1 ----

    def _has_columns(self, at: int, octets: int, columns: int) -> bool:
        """Tell quickly whether a record of so many columns may begin there."""
        header = self._octets[at]
        return columns < header <= columns * 4 and header <= octets <= len(self._octets)

    def _payload(self, at: int, octets: int, kind: int) -> tuple[bytes, list[int]]:
        """Return a payload and the pages that it overflows into."""
        most = _TABLE_LOCAL_MAX if kind == _TABLE_LEAF else _INDEX_LOCAL_MAX
        if octets > len(self._octets):
            raise ValueError("longer than the file")
        if octets <= most:
            return self._octets[at : at + octets], []
        local = _LOCAL_MIN + (octets - _LOCAL_MIN) % (PAGE_OCTETS - 4)
        local = local if local <= most else _LOCAL_MIN
        parts, pages = [self._octets[at : at + local]], []
        left, at = octets - local, at + local
        while left:
            page = int.from_bytes(self._octets[at : at + 4], "big") - 1
            at = page * PAGE_OCTETS
            if page <= 0 or at >= len(self._octets):
                raise ValueError("no such page")
            parts.append(self._octets[at + 4 : at + 4 + min(left, PAGE_OCTETS - 4)])
            pages.append(page)
            left -= len(parts[-1])
        return b"".join(parts), pages


def _values(payload: bytes, columns: int) -> Iterator[Value]:
    """Yield the values of a record; texts as octets. ValueError: it has not so many columns, or is cut."""
    header, at = _varint(payload, 0)
    types = []
    while at < header:
        kind, at = _varint(payload, at)
        types.append(kind)
    if len(types) != columns or at != header:
        raise ValueError("not so many columns")
    for kind in types:
        size = (kind - 12) // 2 if kind >= 12 else _INT_OCTETS[kind]
        octets = payload[at : at + size]
        if len(octets) != size:
            raise ValueError("cut")
        at += size
        if kind >= 12:
            yield octets
        else:
            yield None if kind == 0 else kind - 8 if kind >= 8 else int.from_bytes(octets, "big", signed=True)


def _varint(octets: bytes | mmap.mmap, at: int) -> tuple[int, int]:
    value = 0
    for index in range(8):
        octet = octets[at + index]
        value = value << 7 | octet & 0x7F
        if octet < 0x80:
            return value, at + index + 1
    return value << 8 | octets[at + 8], at + 9
