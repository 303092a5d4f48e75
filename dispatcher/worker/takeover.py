"""Taking an index over: what its events say is in hand is brought to where it stood, as after a restart.

::

    state        what events say of each place                              history.py, state.py
    records      of those that are in hand, read again from their topics    or carried with the events
    admit        under new numbers, with the ids and times that they had
    replay       their events, into the book
    take up      what was in doubt, refused, waiting                        recovery.py
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec.structs import replace

from dispatcher._ext.events import read_events
from dispatcher._ext.keys import key_hash
from dispatcher._ext.places import Places, renumbered
from dispatcher.ingest.kafka_records import Reading, dead_letter, read
from dispatcher.kafka.outbox import Outbox
from dispatcher.model import Event, Message, Refused, SendRequest
from dispatcher.pipeline import Pipeline
from dispatcher.recovery import take_up
from dispatcher.store.journal import Row
from dispatcher.store.records import EVENTS_STREAM, pack_messages
from dispatcher.worker.identity import given_of
from dispatcher.worker.journal import SharedJournal
from dispatcher.worker.state import IndexState, InHand
from dispatcher.worker.wire import Place, place_of

log = logging.getLogger("dispatcher.worker")

SLICE: Final = 500
"""Messages brought back in one turn of the loop."""
TAKEN_STREAM: Final = "taken"
"""Of the scratch journal: messages that no queue reads, because they are on their way."""
_OPEN: Final = (0, 0, 0, 0, 0)


class Rebuild:
    """Brings messages of indices that are ours from now on into a pipeline that runs."""

    def __init__(
        self,
        pipeline: Pipeline,
        journal: SharedJournal,
        places: Places,
        letters: Outbox,
        dead_topic: str,
        note: Callable[[Message, Place], None],
    ) -> None:
        self._pipeline = pipeline
        self._journal = journal
        self._places = places
        self._letters = letters
        self._dead_topic = dead_topic
        self._note = note
        self._stream = pipeline.journal.stream(TAKEN_STREAM)
        self._numbers: set[int] = set()
        """What was brought back and is to be taken up."""

    async def carried(self, state: IndexState) -> None:
        """Bring back what stands with the events themselves."""
        some = [
            (place_of(number, state.index), its) for number, its in state.in_hand().items() if its.carried
        ]
        for start in range(0, len(some), SLICE):
            messages = []
            for place, its in some[start : start + SLICE]:
                assert its.carried is not None
                n, self._pipeline.admission.next_n = (
                    self._pipeline.admission.next_n,
                    self._pipeline.admission.next_n + 1,
                )
                message = replace(its.carried.message, n=n)
                if message.key_hash:
                    self._pipeline.admission.keys.put(message.key_hash, message.body_hash, n)
                messages.append((message, place, its))
            await self._bring(messages)

    async def again(self, state: IndexState, records: Iterable[Any], reading: Reading) -> None:
        """Bring back records that were read again and are in hand; the others are taken as any other."""
        traffic_class = int(reading.traffic_class or 0)
        in_hand = state.in_hand()
        some: list[tuple[Place, InHand, Any]] = []
        for record in records:
            place = Place(state.index, traffic_class, record.offset)
            its = in_hand.get(place.number)
            if its is not None and its.carried is None:
                some.append((place, its, record))
        for start in range(0, len(some), SLICE):
            await self._again(some[start : start + SLICE], state, reading)

    async def _again(
        self, some: list[tuple[Place, InHand, Any]], state: IndexState, reading: Reading
    ) -> None:
        requests: list[SendRequest] = []
        given = []
        going: list[tuple[Place, InHand, Any]] = []
        refused: list[tuple[Any, Refused]] = []
        admission = self._pipeline.admission
        for place, its, record in some:
            asked = read(record, reading)
            if isinstance(asked, Refused):
                refused.append((record, asked))
                continue
            key = asked.client_ref if asked.idempotency_key is None else asked.idempotency_key
            if key is not None:  # it is this very record that it was known by
                hashed = key_hash(key, asked.source)
                if (known := admission.keys.get(hashed)) is not None and not self._places.has(known[0]):
                    admission.keys.drop(hashed, known[0])
            message_id, at_ms = given_of(record, place)
            requests.append(asked)
            given.append((message_id, at_ms, state.references.get(place.number, -1)))
            going.append((place, its, record))
        batch = admission.admit(requests, self._pipeline.now_ms(), _OPEN, given)
        at = dict(zip(batch.places, batch.messages, strict=True))
        messages = []
        for number, (place, its, record) in enumerate(going):
            if (message := at.get(number)) is not None:
                messages.append((message, place, its))
            elif isinstance(verdict := batch.verdicts[number], Refused):
                refused.append((record, verdict))
        for record, verdict in refused:  # the configuration is another than it was
            log.error("a message in hand cannot be sent any more: %s", verdict.code, extra={"event": "dead"})
            await self._letters.insist(self._dead_topic, [dead_letter(record, verdict)])
        await self._bring(messages)

    async def _bring(self, some: list[tuple[Message, Place, InHand]]) -> None:
        """Write the messages, replay their events: one turn of the loop."""
        if not some:
            return
        pipeline = self._pipeline
        messages = [message for message, _, _ in some]
        row = Row(self._stream, messages[0].n, messages[-1].n, len(messages), pack_messages(messages))
        pipeline.flush()
        known: list[bytes] = []
        count = 0
        for message, place, its in some:
            self._places.put(message.n, place.index, place.traffic_class, place.offset)
            self._note(message, place)
            if its.events:
                known.append(renumbered(b"".join(its.events), message.n))
                count += pipeline.book.replay(known[-1])
        pipeline.book.recovered(False)
        # What is known of them is in the topics already: here it is for whoever carries them, or asks.
        events = [Row(EVENTS_STREAM, 0, 0, count, b"".join(known))] if count else []
        kept = self._journal.keep([row, *events])
        for message, _, its in some:
            if its.end:  # told again: nobody knows whether it was
                (end,) = read_events(its.end, Event)
                pipeline.book.finish(
                    message.n,
                    end.code >> 16,
                    end.code & 0xFFFF,
                    end.carrier,
                    end.at_ms,
                    message.traffic_class,
                )
        pipeline.flush()
        await kept  # it is read from the journal when its time has come
        await pipeline.committed()
        for message, _, its in some:
            if pipeline.book.touched(message.n):
                self._numbers.add(message.n)
            elif not its.end:
                pipeline.aftermath.schedule.add(message.send_after_ms, message.n)

    async def take_up(self) -> tuple[int, int]:
        """Go on with all that was brought back: see recovery.take_up."""
        numbers, self._numbers = self._numbers, set()
        return await take_up(self._pipeline, numbers)
