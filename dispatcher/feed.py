"""The events as they are told outside: in order, from any place, each with what its message is told with.

Who reads is never waited for, and reads at his own pace: the journal is the queue (law 4: nobody's slowness
reaches the path). A message that is kept no longer has no events either.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from typing import Final

from dispatcher._ext.events import pick_events
from dispatcher.api import ABOUT_MESSAGES, Called, Cursor, EventOut, Subject, event_out
from dispatcher.model import Event, EventKind, Message, uuid_text
from dispatcher.store.journal import Journal

READ_OCTETS: Final = 256 << 10
"""Of events in one read: some 6,000, told in slices."""
SLICE: Final = 500
"""Events told in one turn of the loop: a millisecond or two."""
SUBJECTS_MAX: Final = 50_000
"""Messages remembered between their events, 15 MB; others are read again."""

_Picked = tuple[Cursor, Event, Subject]


class Feed:
    """All readers of one journal share what is remembered of messages."""

    def __init__(self, journal: Journal, carriers: dict[int, str]) -> None:
        self._journal = journal
        self.carriers = carriers
        """Names by number."""
        self._subjects: OrderedDict[int, Subject] = OrderedDict()
        self.is_closed = False
        """Set before the journal is closed: nobody follows any more."""

    @property
    def end(self) -> Cursor:
        """The cursor behind all that is durable now."""
        return self._journal.last_seq + 1, 0

    async def cursor_at(self, at_ms: int) -> Cursor:
        """Return the cursor before the first event that was written at a time or later."""
        return await self._journal.seq_at(at_ms), 0

    async def read(
        self, after: Cursor = (0, 0), kinds: Iterable[EventKind] = ABOUT_MESSAGES, *, follow: bool = True
    ) -> AsyncIterator[tuple[Cursor, list[EventOut]]]:
        """Yield slices of events behind a cursor, each with the cursor behind it; then, if asked, new ones.

        A slice may be empty: its cursor still says how far was read. Only what is durable is told.
        """
        carriers = self.carriers
        async for cursor, some in self._read(after, kinds, follow):
            yield cursor, [event_out(at, event, subject, carriers) for at, event, subject in some]

    async def calls(
        self, after: Cursor, kinds: Iterable[EventKind], *, follow: bool = True
    ) -> AsyncIterator[tuple[Cursor, list[Called]]]:
        """Yield the same of messages that have a callback, each with the message."""
        carriers = self.carriers
        async for cursor, some in self._read(after, kinds, follow):
            theirs = [each for each in some if each[2].callback is not None]
            messages = await self._journal.find({event.n for _, event, _ in theirs}) if theirs else {}
            yield (
                cursor,
                [
                    Called(event_out(at, event, subject, carriers), messages[event.n])
                    for at, event, subject in theirs
                    if event.n in messages
                ],
            )

    async def _read(
        self, after: Cursor, kinds: Iterable[EventKind], follow: bool
    ) -> AsyncIterator[tuple[Cursor, list[_Picked]]]:
        mask = sum({1 << kind for kind in kinds})
        seq, seen = after[0] - 1, after[1]
        while not self.is_closed:
            last_seq = self._journal.last_seq
            rows = await self._journal.events(seq, READ_OCTETS)
            for row in rows:
                count, places, events = pick_events(row.body, Event, mask)
                picked = [((row.seq, place), event) for place, event in zip(places, events, strict=True)]
                if row.seq == after[0] and seen:
                    picked = [each for each in picked if each[0][1] > seen]
                for at in range(SLICE, len(picked), SLICE):
                    yield picked[at - 1][0], await self.told(picked[at - SLICE : at])
                rest = len(picked) - 1 - (len(picked) - 1) % SLICE if picked else 0
                yield (row.seq, count), await self.told(picked[rest:])
                seq = row.seq
            if not rows:
                if not follow:
                    return
                await self._journal.wait_for_events(max(seq, last_seq))

    async def told(self, some: list[tuple[Cursor, Event]]) -> list[_Picked]:
        """Return each with what it is told with; of a message that is not known, nothing."""
        subjects = self._subjects
        missing = {event.n for _, event in some if event.n not in subjects}
        if missing:
            for n, message in (await self._journal.around(missing)).items():
                if n not in subjects:
                    subjects[n] = subject_of(message)
        told = [
            (cursor, event, subject)
            for cursor, event in some
            if (subject := subjects.get(event.n)) is not None
        ]
        while len(subjects) > SUBJECTS_MAX:
            subjects.popitem(last=False)
        return told


def subject_of(message: Message) -> Subject:
    """Return what the events of a message are told with."""
    return Subject(
        uuid_text(message.message_id),
        message.traffic_class,
        message.segments,
        message.accepted_ms,
        message.source,
        message.client_ref,
        message.callback,
        message.traceparent,
    )
