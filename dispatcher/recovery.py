"""From a journal to the state in which the process died: the snapshot, the events after it, and what was in doubt.

Every accepted message is in one of these places afterwards, by what the events say of it:

* ended: nothing is done;
* submitted: the book awaits its receipt;
* claimed and not answered: it may have been written, so it is judged as an unanswered one;
* refused, unsent, waiting for a retry, moved: into the schedule, due when it was, or now;
* untouched: it still waits in its stream, behind the mark from which the queue reads on.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from dispatcher._ext.book import Book
from dispatcher.aftermath import Aftermath
from dispatcher.model import EventKind
from dispatcher.pipeline import Pipeline
from dispatcher.store.journal import Journal
from dispatcher.store.records import EVENTS_STREAM

FIND_MOST: Final = 2_000
"""Messages in doubt that are read from the journal at once."""


def restore(journal: Journal, book: Book) -> dict[str, int]:
    """Bring the book to the last event that is durable; return the marks of the snapshot. It blocks: call it before
    anything runs."""
    snapshot = journal.load_snapshot()
    events_seq, marks = 0, {}
    if snapshot is not None:
        book.load(snapshot.pieces)
        events_seq, marks = snapshot.events_seq, snapshot.marks
    for row in journal.event_rows(events_seq):
        book.replay(row.body)
    return marks


async def take_up(pipeline: Pipeline, aftermath: Aftermath, unsettled: list[tuple[int, int, int, int, int, int, int]]) -> None:
    """Put what was on its way where it belongs. Lanes are there and have no binds yet."""
    now_ms = pipeline.now_ms()
    doubtful = [each for each in unsettled if each[2] in (EventKind.CLAIMED, EventKind.UNANSWERED)]
    for n, segment, state, attempts, due_ms, carrier, _ in unsettled:
        if state not in (EventKind.CLAIMED, EventKind.UNANSWERED):
            aftermath.resume(n, segment, attempts, max(due_ms, now_ms), carrier)
    for start in range(0, len(doubtful), FIND_MOST):
        some = doubtful[start : start + FIND_MOST]
        found = await pipeline.journal.find([each[0] for each in some])
        for n, segment, _, attempts, _, carrier, _ in some:
            aftermath.doubt(found.get(n), n, segment, attempts, carrier, now_ms)
