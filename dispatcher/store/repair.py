"""A new journal of all that is whole in a damaged one.

Law: no record changes; what cannot be read is named. The damaged file stays beside the new one. What lost
rows said is put back where it is known, see mend.py. Snapshots are not taken along: a restart reads all
events instead.
"""

import mmap
from contextlib import suppress
from pathlib import Path
from typing import Final

import apsw
import msgspec
from msgspec.structs import astuple

from dispatcher._ext.trails import add_trails
from dispatcher.errors import StoreError
from dispatcher.store import names
from dispatcher.store.lock import Lock
from dispatcher.store.mend import Mended, mend
from dispatcher.store.records import EVENTS_STREAM, StoredRow, checksum
from dispatcher.store.salvage import Salvage
from dispatcher.store.schema import JOURNAL, open_writer, settle, sync_names, transaction

DAMAGED: Final = "journal.damaged"
NUMBERS_LOST_MAX: Final = 1_000_000
"""Numbers that are left out, because the last rows may be lost that gave them: seconds of full load."""
_WORKSHOP: Final = "repair"


class Repaired(msgspec.Struct, frozen=True):
    """What was found: how many rows, and the seq of those that were not."""

    rows: int
    lost: list[int]
    known: int
    """Events of lost rows that the projection had kept: they are put back."""
    doubtful: int
    """Messages of which it is not known whether lost rows claimed them: they count as not answered."""


def repair(folder: Path) -> Repaired:
    """Make the journal of a store anew, in its place; no dispatcher may run on it.

    StoreError: it is in use, or nothing can be found in it. OSError: no room for the new one.
    """
    lock = Lock(folder)
    try:
        trimmed_seq = _copy_wal(folder)
        wal = folder / f"{JOURNAL}-wal"
        is_tail_lost = trimmed_seq is None and wal.is_file() and wal.stat().st_size > 0
        path, workshop = folder / JOURNAL, folder / _WORKSHOP
        if not path.is_file() or not path.stat().st_size:
            raise StoreError(f"{folder} holds no {JOURNAL}")
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as octets:
            found = Salvage(octets, trimmed_seq or 0)
            if not found.rows and not found.names:
                raise StoreError(f"{path} holds nothing that can be read")
            workshop.mkdir(mode=0o700, exist_ok=True)
            for old in workshop.iterdir():
                old.unlink()
            lost, mended = _write(workshop, found, trimmed_seq, folder, is_tail_lost)
        path.rename(folder / DAMAGED)
        (workshop / JOURNAL).rename(path)
        for suffix in ("-wal", "-shm"):
            (folder / f"{JOURNAL}{suffix}").unlink(missing_ok=True)
        workshop.rmdir()
        sync_names(folder)
    finally:
        lock.release()
    return Repaired(len(found.rows), lost, mended.known, mended.doubtful)


def _copy_wal(folder: Path) -> int | None:
    """Let SQLite bring the file to its last commit, as far as it can; return up to which seq it is
    trimmed."""
    with suppress(apsw.NotADBError, apsw.CorruptError, apsw.CantOpenError, apsw.SQLError):
        connection = apsw.Connection(str(folder / JOURNAL), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        try:
            connection.pragma("user_version")  # only now it knows that there is a WAL
            settle(connection)
            trimmed_seq: int | None = connection.execute(
                "SELECT value FROM meta WHERE key = 'trimmed_seq'"
            ).get
            return trimmed_seq or 0
        finally:
            connection.close()
    return None


def _write(
    workshop: Path, found: Salvage, trimmed_seq: int | None, folder: Path, is_tail_lost: bool
) -> tuple[list[int], Mended]:
    """Write a journal of what was found; return the seq of what was not, and what is known of that."""
    connection = open_writer(workshop)
    columns = "seq, at_ms, stream, first, last, count, body, crc"
    statement = f"INSERT INTO journal ({columns}) VALUES (?,?,?,?,?,?,?,?)"
    seqs = sorted(found.rows)
    first_n, last_n = 0, 0
    with transaction(connection):
        for seq in seqs:
            row = found.row(seq)
            connection.execute(statement, (*astuple(row), checksum(row)))
            last_n = max(last_n, _highest_n(row))
            if row.holds_messages:
                first_n = min(first_n or row.first, row.first)
        for name in sorted(found.names):
            names.add(connection, *name)
        low, high = (seqs[0], seqs[-1]) if seqs else (1, 0)
        trimmed_seq = low - 1 if trimmed_seq is None else min(trimmed_seq, low - 1)
        lost = sorted({*range(trimmed_seq + 1, high + 1)}.difference(seqs))
        mended = mend(map(found.row, seqs), lost, folder, is_tail_lost)
        for row in mended.rows:
            connection.execute(statement, (*astuple(row), checksum(row)))
        marks = {
            "trimmed_seq": trimmed_seq,
            "trimmed_n": max(first_n - 1, 0),
            "last_n": last_n + NUMBERS_LOST_MAX,
        }
        connection.executemany("INSERT INTO meta VALUES (?, ?)", marks.items())
    settle(connection)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
    connection.close()  # synced: the WAL is copied and deleted
    return sorted(set(lost).difference(row.seq for row in mended.rows)), mended


def _highest_n(row: StoredRow) -> int:
    if row.stream != EVENTS_STREAM:
        return row.last
    trails: dict[int, bytes] = {}
    add_trails(row.body, trails)
    return max(trails, default=0)
