"""The journal of a worker: truth is in topics, and what can be made from them again lies in a scratch folder.

Law: an event is told to be durable after the brokers have it, in the partition of its message's index, and
only then does it stand in the scratch journal, from which outcomes are told. So nobody hears of what another
worker would not find.

What was appended while a round of writing is under way is the next round, as in a group commit; so rounds are
in order, and so is whoever is told. An event about a message that is another worker's by now goes nowhere.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from msgspec.structs import replace

from dispatcher._ext.places import Places
from dispatcher.errors import ConfigError, MovedError, StoreError
from dispatcher.kafka.outbox import Outbox, Written
from dispatcher.kafka.tasks import begin
from dispatcher.store.journal import Journal
from dispatcher.store.lock import Lock
from dispatcher.store.records import EVENTS_STREAM, Row
from dispatcher.store.schema import JOURNAL
from dispatcher.store.writer import Done
from dispatcher.worker.wire import EVENTS, STRAYS, Head, record

log = logging.getLogger("dispatcher.worker")

SCRATCH: Final = "scratch"
"""A file that says of a folder that what lies there may be deleted."""
VALUE_OCTETS: Final = 256 << 10
"""Of events in one record: brokers take 1 MiB unless told otherwise."""
EVENT_OCTETS: Final = 25
"""Of an event without its tail, whose length stands last: see dispatcher.model.Event."""
GATE_S: Final = 0.02
"""How often it is looked whether we may write again."""


class Pending(NamedTuple):
    """What was appended and is not durable yet."""

    rows: Sequence[Row]
    body: bytes
    done: Done


class Gate(Protocol):
    """Who knows what is ours."""

    def may_write(self) -> bool:
        """Whether what is ours is ours beyond doubt."""

    def head(self, index: int) -> Head:
        """Return the head of the next record of an index."""


class SharedJournal(Journal):
    """A Journal whose events go through topics: opened as any other, and then joined to them by `share`.

    It is one by inheritance, against the custom of the house, because all of reading and all of the file are
    the same: what differs is when something is appended.
    """

    @classmethod
    def open_scratch(cls, folder: Path, **options: Any) -> Journal:
        """Empty a scratch folder and open it. ConfigError: it holds an embedded journal."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (folder / JOURNAL).exists() and not (folder / SCRATCH).exists():
            raise ConfigError(
                f"store: {folder} holds an embedded journal, which a worker would delete: give it a folder "
                "of its own, and drain that journal first"
            )
        lock = Lock(folder)
        try:
            (folder / SCRATCH).touch()
            for each in folder.iterdir():
                if each.name.startswith((JOURNAL, "projection.db", "journal.damaged", "reserve")):
                    each.unlink()
        finally:
            lock.release()
        journal = cls.open(folder, **options)
        journal._connection.execute("PRAGMA synchronous=OFF")
        return journal

    _pending: list[Pending] | None = None
    """None: not joined to topics, or no more."""

    def share(
        self,
        events: str,
        receipts: str,
        outbox: Outbox,
        places: Places,
        gate: Gate,
        on_round: Callable[[int, dict[int, int], list[bytes]], None],
    ) -> None:
        """Join it to the topics. `on_round`: told of each round its number, its last offset by index, its
        events."""
        self._pending = []
        self._topics = events, receipts
        self._outbox = outbox
        self._places = places
        self._gate = gate
        self._wake = asyncio.Event()
        self._rest: list[Callable[[], object]] = []
        self.ends: dict[int, int] = {}
        """Of each index, the offset behind its last record of ours."""
        self.since_octets = 0
        """Of events, since whoever counts set it to 0."""
        self.rounds = 0
        """Written, each with all that was appended before it was begun."""
        self._on_round = on_round
        self.strays = 0
        """Receipts handed on."""
        self._task = begin(self._write_rounds(), "events")

    async def unshare(self, limit_s: float) -> None:
        """Write what was appended within the limit; from now on events go nowhere, and who needs them is
        told."""
        try:
            async with asyncio.timeout(limit_s):
                await self.rest()
        except TimeoutError:
            log.warning("not all events were written before the worker stopped")
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        pending, self._pending = self._pending or [], None
        for each in pending:
            self.append(each.rows, each.done)

    def append(self, rows: Sequence[Row], done: Done, *, is_first: bool = False) -> None:
        """See Journal.append; `done` with MovedError: a receipt was about a message that is another
        worker's."""
        if self._pending is None:
            moved = any(row.stream == EVENTS_STREAM for row in rows)
            super().append(() if moved else rows, _moved(done) if moved else done, is_first=is_first)
            return
        body = b"".join([row.body for row in rows if row.stream == EVENTS_STREAM])
        self._pending.append(Pending(rows, body, done))
        self._wake.set()

    def keep(self, rows: Sequence[Row]) -> asyncio.Future[None]:
        """Write rows into the scratch journal alone: what they say is in the topics. Done once it is."""
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        super().append(rows, _after(_nobody, kept))
        return kept

    async def rest(self) -> None:
        """Return between two rounds, when all that was appended so far is durable."""
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.at_rest(lambda: None if reached.done() else reached.set_result(None))
        await reached

    def at_rest(self, call: Callable[[], object]) -> None:
        """Call something between two rounds, when all that was appended so far is durable."""
        self._rest.append(call)
        self._wake.set()

    # ---- inside ----

    async def _write_rounds(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            assert self._pending is not None
            round_, self._pending = self._pending, []
            calls, self._rest = self._rest, []
            if round_:
                await self._write(round_)
            for call in calls:
                call()

    async def _write(self, round_: list[Pending]) -> None:
        """Bring a round to the brokers, then into the scratch journal."""
        lost: set[int] = set()
        offsets: dict[int, int] = {}
        if any(each.body for each in round_):
            await self._may_write()
            bodies: dict[int, list[bytes]] = {}
            parked: list[bytes] = []
            for place, each in enumerate(round_):
                if each.body:
                    split, strays, is_lost = self._places.split(each.body)
                    for index, body in split.items():
                        bodies.setdefault(index, []).append(body)
                    if strays:
                        parked.append(strays)
                    if is_lost:
                        lost.add(place)
            offsets = await self._produce(bodies, parked)
            await self._may_write()  # what was written too late counts for nobody
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        told: list[bytes] = []
        for place, each in enumerate(round_):
            rows = each.rows
            if each.body:
                count, body = self._places.ours(each.body)
                rows = [row for row in rows if row.stream != EVENTS_STREAM]
                rows += [Row(EVENTS_STREAM, 0, 0, count, body)] if count else []
                told.append(body)
            done = _moved(each.done) if place in lost else each.done
            if place == len(round_) - 1:
                done = _after(done, durable)
            try:
                super().append(rows, done)
            except StoreError as error:
                done(error)
        await durable
        self.rounds += 1
        self._on_round(self.rounds, offsets, told)

    async def _may_write(self) -> None:
        while not self._gate.may_write():
            await asyncio.sleep(GATE_S)

    async def _produce(self, bodies: dict[int, list[bytes]], parked: list[bytes]) -> dict[int, int]:
        """Write events and strays; return the last offset of each index."""
        events, receipts = self._topics
        records = []
        for index, parts in bodies.items():
            head = self._gate.head(index)
            for value in _joined(parts):
                self.since_octets += len(value)
                records.append(record(EVENTS, head, value, index))
                head = replace(head, references=())
        head = self._gate.head(-1)
        strays = [record(STRAYS, head, value, 0)._replace(partition=None) for value in _joined(parked)]
        self.strays += len(strays)
        written, _ = await asyncio.gather(
            self._outbox.insist(events, records) if records else _nothing(),
            self._outbox.insist(receipts, strays) if strays else _nothing(),
        )
        offsets = {each.partition: each.offset for each in written}
        for index, offset in offsets.items():
            self.ends[index] = offset + 1
        return offsets


def _nobody(error: Exception | None) -> None:
    """Nobody else waits; that a journal failed is told elsewhere."""


async def _nothing() -> list[Written]:
    return []


def _joined(parts: list[bytes]) -> list[bytes]:
    """Join bodies of events up to VALUE_OCTETS; cut what is longer."""
    values: list[list[bytes]] = []
    octets = VALUE_OCTETS
    for part in (piece for whole in parts for piece in _cut(whole)):
        if octets + len(part) > VALUE_OCTETS:
            values.append([])
            octets = 0
        values[-1].append(part)
        octets += len(part)
    return [each[0] if len(each) == 1 else b"".join(each) for each in values]


def _cut(body: bytes) -> list[bytes]:
    if len(body) <= VALUE_OCTETS:
        return [body]
    pieces, start, at = [], 0, 0
    while at < len(body):
        octets = EVENT_OCTETS + body[at + EVENT_OCTETS - 1]
        if at + octets - start > VALUE_OCTETS:
            pieces.append(body[start:at])
            start = at
        at += octets
    return [*pieces, body[start:]]


def _moved(done: Done) -> Done:
    return lambda error: done(error or MovedError("a message is another worker's by now"))


def _after(done: Done, durable: asyncio.Future[None]) -> Done:
    def both(error: Exception | None) -> None:
        try:
            done(error)
        finally:
            if not durable.done():
                durable.set_result(None)

    return both
