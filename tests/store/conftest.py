"""What tests of the store share: messages, rows, and a journal that runs in a loop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from dispatcher._ext.events import EventBuffer
from dispatcher.model import EventKind, Message, Outcome, Reason
from dispatcher.store.journal import Journal, Row, StoredRow
from dispatcher.store.records import pack_messages, unpack_messages

NOW_MS = 1_795_000_000_000


def message(n: int, **changes: Any) -> Message:
    """A message whose text names it."""
    fields: dict[str, Any] = {
        "n": n,
        "message_id": n.to_bytes(16, "big"),
        "to": str(79000000000 + n),
        "sender": "Bank",
        "text": f"Code {n}",
        "traffic_class": 1,
        "accepted_ms": NOW_MS + n,
        "deadline_ms": NOW_MS + 60_000,
        "send_after_ms": 0,
        "segments": 1,
        "reference": n & 0xFF,
        "carriers": (1,),
        "client_ref": f"ref-{n}",
        "key_hash": n * 0x9E3779B97F4A7C15 % 2**63,
        "body_hash": n,
    }
    return Message(**fields | changes)


def row_of(messages: Sequence[Message], stream: int = 1) -> Row:
    """The row that the pipeline appends for a batch."""
    return Row(stream, messages[0].n, messages[-1].n, len(messages), pack_messages(messages))


def events(*numbers: int) -> Row:
    """A row with one FINISHED a number."""
    buffer = EventBuffer()
    for n in numbers:
        buffer.add(EventKind.FINISHED, n, NOW_MS, carrier=1, code=Outcome.DELIVERED << 16 | Reason.RECEIPT)
    count, body = buffer.take()
    return Row(0, 0, 0, count, body)


def opened(folder: Path, **options: Any) -> Journal:
    """A journal with a clock that stands still and a small reserve."""
    chosen: dict[str, Any] = {"clock_ms": lambda: NOW_MS, "reserve_octets": 1 << 16, "low_octets": 0}
    return Journal.open(folder, **chosen | options)


@asynccontextmanager
async def running(
    folder: Path, on_failure: Callable[[Exception], None] | None = None, **options: Any
) -> AsyncIterator[Journal]:
    """A started journal with a stream "1"; a failure that nobody expects is raised."""
    failures: list[Exception] = []
    journal = opened(folder, **options)
    journal.start(asyncio.get_running_loop(), on_failure=on_failure or failures.append)
    try:
        journal.stream("1")
        yield journal
    finally:
        await journal.close()
    if failures:
        raise failures[0]


async def commit(journal: Journal, *rows: Row) -> None:
    """Append and wait until it is durable; raises what `done` is called with."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done(error: Exception | None) -> None:
        if not future.done():
            future.set_result(None) if error is None else future.set_exception(error)

    journal.append(rows, done)
    await future


def messages_of(rows: Sequence[StoredRow]) -> list[Message]:
    """All messages of some rows, in order; events are left out."""
    return [each for row in rows if row.stream for each in unpack_messages(row.body, row.count)]
