"""What is not kept for ever: texts, and later whole rows; in small slices between commits.

Law: the journal is trimmed from its beginning only. So it has no gaps, every event of a message that is still
there is there, and what is missing is damage. A row goes when it is old, all messages in it have ended, and
the projection and both snapshots have come past it. Texts go earlier, and one by one: the message stays, with
an empty text.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import apsw
import msgspec

from dispatcher.config import DAY_MS, Retention
from dispatcher.store.journal import Journal
from dispatcher.store.records import StoredRow, checksum, pack_messages, unpack_messages

SLICE_OCTETS: Final = 512 << 10
"""Of bodies in one transaction: a few milliseconds between two commits."""

Finished = Callable[[list[int]], Awaitable[set[int]]]
"""Says which of some messages have ended, or are not known any more: see Projection.finished."""


async def retain(journal: Journal, finished: Finished, kept: Retention, most_seq: int, now_ms: int) -> None:
    """Let go of texts, then of rows, that are kept no longer; see below."""
    await forget_texts(journal, finished, now_ms - kept.texts_days * DAY_MS)
    await trim(journal, finished, now_ms - kept.events_days * DAY_MS, most_seq)


async def forget_texts(journal: Journal, finished: Finished, before_ms: int) -> int:
    """Empty the texts of messages that have ended and were written before that time; return how many.

    OverloadedError, StoreError: as Journal.run; what was emptied before stays so.
    """
    seq = await journal.mark("texts_seq")
    forgotten, is_first = 0, True  # of the rows that are not all empty
    while rows := await journal.rows(seq, SLICE_OCTETS):
        changed: list[StoredRow] = []
        done_seq = 0
        for row in rows:
            if row.at_ms >= before_ms:
                break
            seq = row.seq
            if row.holds_messages:
                emptied, count, is_all = await _emptied(row, finished)
                is_first = is_first and is_all
                forgotten += count
                if count:
                    changed.append(emptied)
            if is_first:
                done_seq = row.seq
        if changed or done_seq:
            await journal.run(partial(_rewrite, changed, done_seq))
        if seq != rows[-1].seq:
            break
    return forgotten


async def trim(journal: Journal, finished: Finished, before_ms: int, most_seq: int) -> int:
    """Delete rows from the beginning that were written before that time, up to `most_seq`; return how many.

    `most_seq` is how far everybody has read who reads on: the projection, the sinks. Without a snapshot
    nothing goes: a restart needs it all. OverloadedError, StoreError: as Journal.run.
    """
    limit = min([most_seq, journal.last_seq - 1, *(await journal.snapshot_seqs() or [0])])
    trimmed, is_going = 0, True
    while is_going and (rows := await journal.rows(0, SLICE_OCTETS)):
        last_seq = last_n = 0
        for row in rows:
            is_going = row.seq <= limit and row.at_ms < before_ms and await _has_ended(row, finished)
            if not is_going:
                break
            last_seq, last_n = row.seq, max(last_n, row.last)
        if last_seq:
            trimmed += await journal.run(partial(_delete, last_seq, last_n))
    return trimmed


async def _has_ended(row: StoredRow, finished: Finished) -> bool:
    if not row.holds_messages:
        return True
    numbers = [each.n for each in unpack_messages(row.body, row.count)]
    return len(await finished(numbers)) == len(numbers)


async def _emptied(row: StoredRow, finished: Finished) -> tuple[StoredRow, int, bool]:
    """Return the row with the texts emptied that may go, how many, and whether no text is left."""
    messages = unpack_messages(row.body, row.count)
    with_text = [each.n for each in messages if each.text]
    ended = await finished(with_text) if with_text else set()
    if ended:
        messages = [msgspec.structs.replace(each, text="") if each.n in ended else each for each in messages]
        row = msgspec.structs.replace(row, body=pack_messages(messages))
    return row, len(ended), len(ended) == len(with_text)


def _rewrite(rows: list[StoredRow], done_seq: int, connection: apsw.Connection) -> None:
    connection.execute("PRAGMA secure_delete=ON")  # zeros in its place, also on pages that become free
    for row in rows:
        statement = "UPDATE journal SET body = ?, crc = ? WHERE seq = ?"
        connection.execute(statement, (row.body, checksum(row), row.seq))
    connection.execute("PRAGMA secure_delete=FAST")
    if done_seq:
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('texts_seq', ?)", (done_seq,))


def _delete(last_seq: int, last_n: int, connection: apsw.Connection) -> int:
    """Delete all up to a row. What the journal begins with is noted, and the highest number: it is not given
    again."""
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute("DELETE FROM journal WHERE seq <= ?", (last_seq,))
    deleted = connection.changes()
    connection.execute("PRAGMA secure_delete=FAST")  # snapshots hold no texts, and are large
    highest = "max(?, coalesce((SELECT value FROM meta WHERE key = 'trimmed_n'), 0))"
    connection.execute(f"INSERT OR REPLACE INTO meta VALUES ('trimmed_n', {highest})", (last_n,))
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('trimmed_seq', ?)", (last_seq,))
    return deleted
