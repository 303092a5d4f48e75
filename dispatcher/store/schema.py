"""The journal's file: its tables, its format version, and how connections to it are opened.

WAL, synchronous=FULL: a commit has returned when its frames are synced. Checkpoints are never automatic: they
would run inside a commit. The file is open to any SQLite 3.37 or newer for reading.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Final
from urllib.parse import quote

import apsw

from dispatcher import private
from dispatcher.errors import StoreError

JOURNAL: Final = "journal.db"
BESIDE: Final = (f"{JOURNAL}-wal", "journal.damaged", "projection.db", "reserve")
"""Files of a store that are made after its journal."""
FORMAT: Final = 1
"""Of the tables and of the records in them; a store of a newer format is refused."""
APPLICATION_ID: Final = 0x534D5344
"""Tells the file from other SQLite files: "SMSD"."""
PAGE_OCTETS: Final = 4096
"""Smallest writes for small commits; measured beside 8 and 16 KiB in bench/README.md."""
CHECKED_ROWS: Final = 1_000_000
"""Up to so many, the order of the index is checked when the journal is opened: 0.8 s."""
BUSY_MS: Final = 5_000
"""How long to wait for another process that recovers or resets the WAL: milliseconds in practice."""

_TABLES: Final = """
CREATE TABLE journal (
    seq INTEGER PRIMARY KEY,  -- grows by one; never used twice, because the newest row is never trimmed
    at_ms INTEGER NOT NULL,   -- when it was written
    stream INTEGER NOT NULL,  -- 0: events; others: see name
    first INTEGER NOT NULL,   -- lowest n in it; 0 for events
    last INTEGER NOT NULL,    -- highest n in it; grows along a stream
    count INTEGER NOT NULL,   -- records in it
    crc INTEGER NOT NULL,     -- of all the others: store/records.py
    body BLOB NOT NULL
) STRICT;
CREATE INDEX journal_stream ON journal (stream, last);
CREATE TABLE name (
    kind TEXT NOT NULL,       -- 'stream' or 'carrier'
    number INTEGER NOT NULL,  -- from 1
    copy INTEGER NOT NULL,    -- each stands twice: store/names.py
    name TEXT NOT NULL,
    crc INTEGER NOT NULL,     -- of kind, number and name
    PRIMARY KEY (kind, number, copy)
) STRICT, WITHOUT ROWID;
CREATE TABLE meta (
    key TEXT PRIMARY KEY,     -- 'id': of this journal, at random; others: journal.py, retention.py, repair.py
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE snapshot (
    id INTEGER NOT NULL,      -- the newest is the highest
    part INTEGER NOT NULL,    -- from 1; 0 is the head, written last: without it the snapshot is torn
    crc INTEGER NOT NULL,     -- of the body
    body BLOB NOT NULL,
    PRIMARY KEY (id, part)
) STRICT;
"""


def open_writer(folder: Path, vfs: str | None = None) -> apsw.Connection:
    """Open the journal for writing, and make it if there is none. The caller holds the lock.

    StoreError: it is no journal, or of a newer format. apsw.Error: it cannot be opened.
    """
    private.make(folder / JOURNAL)
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_NOMUTEX
    connection = apsw.Connection(str(folder / JOURNAL), flags=flags, vfs=vfs)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    try:
        connection.execute(f"PRAGMA page_size={PAGE_OCTETS}")
        if _check_format(connection, folder) == 0:
            connection.execute("PRAGMA synchronous=EXTRA")  # or a deleted rollback journal may come back
            connection.execute("PRAGMA journal_mode=WAL")
            with transaction(connection):
                connection.execute(_TABLES)
                connection.execute(
                    "INSERT INTO meta VALUES ('id', ?)", (int.from_bytes(os.urandom(7), "big"),)
                )
                connection.pragma("application_id", APPLICATION_ID)
                connection.pragma("user_version", FORMAT)
            sync_names(folder)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA secure_delete=FAST")  # no text is left behind where pages are split
        connection.wal_autocheckpoint(0)
    except BaseException:
        connection.close()
        raise
    return connection


def check_left_alone(folder: Path) -> None:
    """StoreError: the journal is gone and what belongs to it is not: a new one would forget all, silently."""
    left = [name for name in BESIDE if (folder / name).exists()]
    if left and not (folder / JOURNAL).exists():
        raise StoreError(
            f"{folder / JOURNAL} is gone, and {', '.join(left)} of its store is not: put it back, "
            f"with its -wal, or begin anew in an empty folder"
        )


def settle(connection: apsw.Connection) -> None:
    """Copy the WAL out, synced, and begin anew: after a failed fsync it may not be on disk as it is read.

    apsw.FullError: there is no room for it.
    """
    connection.set_busy_timeout(BUSY_MS)
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_FULL)
    connection.set_busy_timeout(0)
    with suppress(apsw.BusyError):  # somebody reads it: a later commit will begin it anew
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def check_index(connection: apsw.Connection) -> None:
    """Make the index by stream anew if it is not what it should be: a damaged one would hide rows, silently.

    apsw.CorruptError: the rows themselves cannot be read.
    """
    low, high = connection.execute("SELECT coalesce(min(seq), 1), coalesce(max(seq), 0) FROM journal").get
    index = "FROM journal INDEXED BY journal_stream"
    try:
        count, total = connection.execute(
            f"SELECT count(*), coalesce(sum(seq), 0) {index} WHERE stream >= 0"
        ).get
        is_right = count == high - low + 1 and total == (low + high) * count // 2
        if is_right and count <= CHECKED_ROWS:
            entries = connection.execute(f"SELECT stream, last, seq {index} ORDER BY stream, last, seq")
            is_right = all(
                a[:2] < b[:2] or (a < b and not b[1]) for a, b in pairwise(entries)
            )  # 0: no numbers
    except (apsw.CorruptError, TypeError):  # what stands there may not even be numbers
        is_right = False
    if not is_right:
        connection.execute("REINDEX journal_stream")


def open_reader(folder: Path, vfs: str | None = None) -> apsw.Connection:
    """Open the journal for reading, whether or not another process writes it. Raises as open_writer.

    PermissionError: it may not be read.
    """
    path = folder / JOURNAL
    try:
        # Not by opening it: closing a descriptor would drop all locks that this process has on it, and
        # whoever closed the store next would delete the WAL that we write (sqlite.org, How To Corrupt).
        if path.exists() and not os.access(path, os.R_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        connection = _read_only(str(path), vfs)
        try:
            is_empty = _check_format(connection, folder) == 0
        except (apsw.CantOpenError, apsw.ReadOnlyError):  # it wants a -shm, and the folder cannot be written
            connection.close()
            wal = path.with_name(BESIDE[0])
            if wal.exists() and wal.stat().st_size:
                why = f"part of it is in {wal.name}, which cannot be read where nothing can be written"
                raise StoreError(f"{path}: {why}: copy both elsewhere") from None
            connection = _read_only(f"file:{quote(str(path))}?immutable=1", vfs)
            is_empty = _check_format(connection, folder) == 0
    except apsw.CantOpenError:
        raise StoreError(f"{folder} holds no {JOURNAL} that can be read") from None
    if is_empty:
        connection.close()
        raise StoreError(f"{path} is empty")
    return connection


def _read_only(name: str, vfs: str | None) -> apsw.Connection:
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_NOMUTEX | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(name, flags=flags, vfs=vfs)
    connection.set_busy_timeout(BUSY_MS)
    return connection


def open_checkpointer(folder: Path, vfs: str | None = None) -> apsw.Connection:
    """Open the journal for copying its WAL, beside its writer."""
    connection = apsw.Connection(str(folder / JOURNAL), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.execute("PRAGMA synchronous=FULL")
    connection.wal_autocheckpoint(0)
    return connection


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """All or nothing; SQLite may have rolled back already where the disk is full."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def damaged(folder: Path, error: Exception) -> StoreError:
    """Return the error that says what to do."""
    advice = "`dispatcher repair` makes a new one of all that is whole"
    return StoreError(f"{folder / JOURNAL} is damaged ({error}): {advice}")


def sync_names(folder: Path) -> None:
    """Make sure that the files are still in their folder, and it in its own, after a power cut."""
    for each in (folder, folder.parent):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _check_format(connection: apsw.Connection, folder: Path) -> int:
    """Return the format version, 0 for a file with nothing in it."""
    path = folder / JOURNAL
    try:
        version, application = connection.pragma("user_version"), connection.pragma("application_id")
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").get
    except apsw.NotADBError:
        raise StoreError(f"{path} is no SQLite file, or its first page is damaged") from None
    except apsw.CorruptError as error:
        raise damaged(folder, error) from error
    if (version, application, tables) == (0, 0, 0):
        return 0
    if application != APPLICATION_ID:
        raise StoreError(f"{path} is not a journal of this program (application id {application:#x})")
    if version > FORMAT:
        newer = f"format {version}, written by a newer version of this program"
        raise StoreError(f"{path} has {newer}; this one knows {FORMAT}")
    return int(version)
