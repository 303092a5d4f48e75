"""From a journal to the state in which the process died: its events, and what was in doubt.

Every accepted message is in one of these places afterwards, by what the events say of it:

* ended: nothing is done;
* submitted: the book awaits its receipt;
* claimed and not answered: it may have been written, so it is judged as an unanswered one;
* refused, unsent, waiting for a retry, moved: it goes on when it is due, or now;
* untouched: it still waits in its stream, and the queue reads on from its beginning.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from dispatcher.admission import KEYS_REMEMBERED
from dispatcher.carrier.schedule import Due
from dispatcher.model import EventKind
from dispatcher.pipeline import Pipeline
from dispatcher.store.journal import Journal
from dispatcher.store.records import unpack_messages

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
        for lane in pipeline.lanes.values():
            for queue in lane.queues:
                if snapshot is not None:
                    queue.loaded_n = snapshot.marks.get(str(queue.stream), 0)
                queue.tail_n, queue.tail_count = reader.tail(queue.stream, queue.loaded_n)
                queue.expires(queue.loaded_n + 1, queue.tail_n, 0)  # to be looked through at once
        admission = pipeline.admission
        admission.next_n = reader.last_n() + 1
        first_n = remembered = 0
        for row in reader.newest(KEYS_REMEMBERED, pipeline.now_ms() - admission.window_ms):
            admission.remember(unpack_messages(row.body, row.count))
            first_n, remembered = first_n or row.first, remembered + row.count
        if remembered >= KEYS_REMEMBERED:
            admission.unread_n = first_n - 1
        after_n = 0
        while rows := reader.stream(pipeline.later_stream, after_n, READ_OCTETS):
            for row in rows:
                messages = unpack_messages(row.body, row.count)
                pipeline.aftermath.wait([message for message in messages if not book.touched(message.n)])
            after_n = rows[-1].last
    finally:
        reader.close()


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


async def take_up(pipeline: Pipeline) -> None:
    """Put what was on its way where it belongs. Lanes are there and have no binds yet."""
    now_ms = pipeline.now_ms()
    aftermath = pipeline.aftermath
    doubtful = []
    for n, segment, state, attempts, due_ms, carrier, _ in pipeline.book.unsettled():
        if state in _DOUBTFUL:
            doubtful.append((n, segment, attempts, carrier, state == EventKind.UNANSWERED))
        else:
            aftermath.resume(Due(n, segment, attempts), carrier, max(due_ms, now_ms))
    for start in range(0, len(doubtful), FIND_MOST):
        some = doubtful[start : start + FIND_MOST]
        found = await pipeline.journal.find([each[0] for each in some])
        for n, segment, attempts, carrier, is_noted in some:
            aftermath.doubt(found.get(n), Due(n, segment, attempts), carrier, now_ms, is_noted)
    pipeline.flush_soon()
