"""The events as they are told outside: in order, from any place, each with what its message is told with.

Who reads is never waited for, and reads at his own pace: the journal is the queue (law 4: nobody's slowness
reaches the path). A message that is kept no longer has no events either.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from typing import Final
from uuid import UUID

from dispatcher._ext.events import read_events
from dispatcher.api import ABOUT_MESSAGES, Cursor, EventOut, Subject, event_out
from dispatcher.model import Event, EventKind, Message
from dispatcher.store.journal import Journal

READ_OCTETS: Final = 256 << 10
"""Of events in one read: some 6,000, told in slices."""
SLICE: Final = 500
"""Events told in one turn of the loop: a millisecond or two."""
SUBJECTS_MAX: Final = 50_000
"""Messages remembered between their events, 15 MB; others are read again."""


class Feed:
    """All readers of one journal share what is remembered of messages."""

    def __init__(self, journal: Journal, carriers: dict[int, str]) -> None:
        self._journal = journal
        self.carriers = carriers
        """Names by number."""
        self._subjects: OrderedDict[int, Subject] = OrderedDict()
        self.is_closed = False
        """Set before the journal is closed: nobody follows any more."""

    async def read(
        self, after: Cursor = (0, 0), kinds: Iterable[EventKind] = ABOUT_MESSAGES, *, follow: bool = True
    ) -> AsyncIterator[tuple[Cursor, list[EventOut]]]:
        """Yield slices of events behind a cursor, each with the cursor behind it; then, if asked, new ones.

        A slice may be empty: its cursor still says how far was read. Only what is durable is told.
        """
        wanted = frozenset(kinds)
        seq, seen = after[0] - 1, after[1]
        while not self.is_closed:
            last_seq = self._journal.last_seq
            rows = await self._journal.events(seq, READ_OCTETS)
            for row in rows:
                events: list[Event] = read_events(row.body, Event)
                start = seen if row.seq == after[0] else 0
                for at in range(start, len(events), SLICE):
                    end = min(at + SLICE, len(events))
                    places = range(at, end)
                    some = [((row.seq, place + 1), events[place]) for place in places]
                    yield (row.seq, end), await self._told([each for each in some if each[1].kind in wanted])
                seq = row.seq
            if not rows:
                if not follow:
                    return
                await self._journal.wait_for_events(max(seq, last_seq))

    async def cursor_at(self, at_ms: int) -> Cursor:
        """Return a cursor before the first event of a time (UTC), and not long before."""
        return await self._journal.seq_at(at_ms), 0

    async def _told(self, some: list[tuple[Cursor, Event]]) -> list[EventOut]:
        subjects = self._subjects
        missing = {event.n for _, event in some if event.n not in subjects}
        if missing:
            for n, message in (await self._journal.find(sorted(missing))).items():
                subjects[n] = subject_of(message)
        told = [
            event_out(cursor, event, subject, self.carriers)
            for cursor, event in some
            if (subject := subjects.get(event.n)) is not None
        ]
        while len(subjects) > SUBJECTS_MAX:
            subjects.popitem(last=False)
        return told


def subject_of(message: Message) -> Subject:
    """Return what the events of a message are told with."""
    return Subject(
        str(UUID(bytes=message.message_id)),
        message.traffic_class,
        message.segments,
        message.accepted_ms,
        message.source,
        message.client_ref,
    )
