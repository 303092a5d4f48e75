"""From a journal to the state in which the process died: its events, and what was in doubt.

Every accepted message is in one of these places afterwards, by what the events say of it:

* ended: nothing is done;
* submitted: the book awaits its receipt;
* claimed and not answered: it may have been written, so it is judged as an unanswered one;
* refused, unsent, waiting for a retry, moved: it goes on when it is due, or now;
* untouched: it still waits in its stream, and the queue reads on from it.
"""

import logging
import time
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Final

from dispatcher.admission import KEYS_REMEMBERED
from dispatcher.carrier.desk import Switch
from dispatcher.carrier.queue import ClassQueue
from dispatcher.carrier.schedule import Due
from dispatcher.errors import StoreError
from dispatcher.model import EventKind, Message
from dispatcher.pipeline import Pipeline
from dispatcher.store.journal import Journal
from dispatcher.store.reader import Reader
from dispatcher.store.records import StoredRow, unpack_messages

log = logging.getLogger("dispatcher.recovery")

FIND_MOST: Final = 2_000
"""Messages in doubt that are read from the journal at once."""
READ_OCTETS: Final = 4 << 20
"""Of a stream, in one read."""
_DOUBTFUL: Final = (EventKind.CLAIMED, EventKind.UNANSWERED)


def restore(journal: Journal, pipeline: Pipeline) -> None:
    """Bring book, queues and numbers to the last commit. It blocks; nothing else runs yet."""
    reader = journal.reader()
    book = pipeline.book
    try:
        snapshot = reader.snapshot()
        if snapshot is not None:
            book.load(unframed(snapshot.chunks))
        for row in reader.event_rows(snapshot.seq if snapshot is not None else 0):
            book.replay(row.body)
        book.recovered()
        _restore_keys(reader, pipeline)
        after_n = 0
        while rows := reader.stream(pipeline.later_stream, after_n, READ_OCTETS):
            for row in rows:
                pipeline.aftermath.wait([each for each in _messages(row) if not book.touched(each.n)])
            after_n = rows[-1].last
        for lane in pipeline.lanes.values():
            lane.switch = Switch(reader.mark(switch_key(lane.number)))
        queues = [queue for lane in pipeline.lanes.values() for queue in lane.queues]
        for queue in queues:
            queue.loaded_n = snapshot.marks.get(str(queue.stream), 0) if snapshot is not None else 0
        _adopt(reader, pipeline)
        later = {due.n for due in pipeline.aftermath.schedule}
        numbers = range(min(queue.loaded_n for queue in queues) + 1, pipeline.admission.next_n)
        waiting = array("q", [n for n in numbers if not book.touched(n) and n not in later])
        for queue in queues:
            _find_tail(queue, reader, waiting)
    finally:
        reader.close()


def switch_key(carrier: int) -> str:
    """Return under which name the journal notes what the operator wants of a carrier."""
    return f"switch {carrier}"


def _messages(row: StoredRow) -> list[Message]:
    """Return the messages of a row; of one that cannot be read, none: its neighbours go on."""
    try:
        return unpack_messages(row.body, row.count)
    except StoreError as error:
        log.error("row %d of the journal cannot be read: %s", row.seq, error)
        return []


def _adopt(reader: Reader, pipeline: Pipeline) -> None:
    """Take up what waits for a carrier that is not configured any more: it goes elsewhere, or ends."""
    ours = {queue.stream for lane in pipeline.lanes.values() for queue in lane.queues}
    for name, stream in reader.numbers_of("stream").items():
        if stream in ours or "/" not in name:
            continue
        after_n = adopted = 0
        while rows := reader.stream(stream, after_n, READ_OCTETS):
            for row in rows:
                for message in _messages(row):
                    if not pipeline.book.touched(message.n):
                        pipeline.aftermath.schedule.add(0, message.n)
                        adopted += 1
            after_n = rows[-1].last
        if adopted:
            log.warning("%d messages waited for %s, which is not configured any more", adopted, name)


def _restore_keys(reader: Reader, pipeline: Pipeline) -> None:
    """Go on with the next number, and know again which keys came: who was not answered repeats them (F02)."""
    admission = pipeline.admission
    admission.next_n = reader.last_n() + 1
    first_n = remembered = 0
    for row in reader.newest(KEYS_REMEMBERED, pipeline.now_ms() - admission.window_ms):
        admission.remember(_messages(row))
        first_n, remembered = first_n or row.first, remembered + row.count
    if remembered >= KEYS_REMEMBERED:
        admission.unread_n = first_n - 1


def _find_tail(queue: ClassQueue, reader: Reader, waiting: Sequence[int]) -> None:
    """Begin behind the rows of which nothing waits.

    Numbers of several queues interleave: it may be too early, and `tail_count` too high by what others have
    between.
    """
    for first, last, count in reader.spans(queue.stream, queue.loaded_n):
        held = bisect_right(waiting, last) - bisect_left(waiting, first)
        if held:
            queue.tail_count += min(held, count)
        elif not queue.tail_count:
            queue.loaded_n = last
        queue.tail_n = last
    if queue.is_behind:
        queue.expires(queue.loaded_n + 1, queue.tail_n, 0)  # to be looked through at once


def framed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Put its length, four octets, before each piece, so that they can be told apart when they are joined."""
    for piece in pieces:
        yield len(piece).to_bytes(4, "little") + piece


def unframed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Undo `framed`, however the octets were cut."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) >= 4 and len(held) >= 4 + (length := int.from_bytes(held[:4], "little")):
            yield bytes(held[4 : 4 + length])
            del held[: 4 + length]


async def take_up(pipeline: Pipeline, among: Container[int] | None = None) -> tuple[int, int]:
    """Put what was on its way where it belongs; return how many segments may have been written, and how many
    are to be tried again. Lanes are there. `among`: only these messages."""
    now_ms = pipeline.now_ms()
    aftermath = pipeline.aftermath
    doubtful = []
    again = 0
    for n, segment, state, attempts, due_ms, carrier, _ in pipeline.book.unsettled():
        if among is not None and n not in among:
            continue
        if state in _DOUBTFUL:
            doubtful.append((n, segment, attempts, carrier, state == EventKind.UNANSWERED, due_ms or now_ms))
        else:
            again += 1
            aftermath.resume(Due(n, segment, attempts), carrier, max(due_ms, now_ms))
    for start in range(0, len(doubtful), FIND_MOST):
        some = doubtful[start : start + FIND_MOST]
        found = await pipeline.journal.find([each[0] for each in some])
        for n, segment, attempts, carrier, is_noted, since_ms in some:
            aftermath.doubt(found.get(n), Due(n, segment, attempts), carrier, now_ms, is_noted, since_ms)
    pipeline.flush_soon()
    return len(doubtful), again


async def recover(pipeline: Pipeline, began_s: float) -> None:
    """Take up what was on its way, and say in the log what there was and how long it took since `began_s`."""
    queues = [queue for lane in pipeline.lanes.values() for queue in lane.queues]
    waiting = sum(queue.messages for queue in queues) + len(pipeline.aftermath.schedule)
    awaiting = pipeline.book.outstanding
    unanswered, again = await take_up(pipeline)
    took_ms = int((time.monotonic() - began_s) * 1000)
    said = {"waiting": waiting, "unanswered": unanswered, "again": again, "awaiting_receipt": awaiting}
    log.info(
        "recovered in %d ms: %d messages wait, %d segments were left unanswered, %d are to be tried again, "
        "%d await their receipts",
        took_ms,
        *said.values(),
        extra={"event": "recovered", "ms": took_ms, **said},
    )
