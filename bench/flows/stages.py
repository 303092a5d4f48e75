"""Flow: what a segment costs stage by stage, without sockets, on the parts of a real dispatcher.

The same requests go through all stages, one after the other, round by round; each stage is a span of CPU time
of its own. The journal's is that of all threads, on the real disk. What the event loop, sockets and callbacks
add is the price of the whole less the sum of these.
"""

import asyncio
from time import process_time_ns, thread_time_ns
from typing import Any, Final, cast

from bench.flows.house import BATCH, House, Job, config_of, yardstick_ns
from dispatcher._ext.book import Ready, Submission, submissions
from dispatcher._ext.session import Exchange
from dispatcher._ext.smsc import message_ids
from dispatcher.app import Dispatcher
from dispatcher.model import Accepted
from dispatcher.pipeline import Pipeline
from dispatcher.simulator.behaviour import Receipts
from dispatcher.simulator.receipts import Writer
from dispatcher.store.records import EVENTS_STREAM, Row

STAGES: Final = ("admit", "pack", "journal", "claim", "submit", "answer", "receipt")
ROUND: Final = 20
"""Batches of a round."""


class Smsc:
    """Answers all that it is fed, and reports on it; without a socket, and not timed."""

    def __init__(self) -> None:
        self._exchange = Exchange(window=BATCH, smsc=True)
        self._exchange.receives = True
        self._form = Writer(Receipts(), True, cast("Any", None)).form(2, 0, 0)
        self._first = 1

    def responses(self, octets: bytes) -> tuple[bytes, bytes]:
        """Return the responses to submit_sm, and a receipt for each."""
        exchange = self._exchange
        exchange.feed(octets, 0)
        incoming = exchange.take_incoming()
        ids = message_ids(self._first, len(incoming), 10, 10)
        self._first += len(incoming)
        exchange.answer(incoming, 0, ids)
        responses = exchange.outgoing(0)
        frames = [receipt.frame for receipt in self._form.make(incoming, ids, ids)]
        exchange.push(frames, frames, 0, 0)
        return responses, exchange.outgoing(0)

    def acknowledged(self, octets: bytes) -> int:
        """Take deliver_sm_resp; return how many."""
        self._exchange.feed(octets, 0)
        return len(self._exchange.take_answers()[0])


class Meter:
    """CPU time of stages."""

    def __init__(self) -> None:
        self.ns = dict.fromkeys(STAGES, 0)
        self._begun_ns = 0

    def begin(self) -> None:
        """A stage begins, in this thread."""
        self._begun_ns = thread_time_ns()

    def end(self, stage: str) -> None:
        """It has ended; another one may begin at once."""
        now_ns = thread_time_ns()
        self.ns[stage] += now_ns - self._begun_ns
        self._begun_ns = thread_time_ns()


async def run(job: Job) -> dict[str, Any]:
    """Send `messages` through all stages; return the rounds of each."""
    async with Dispatcher(config_of(job)) as dispatcher:
        house = House(dispatcher, job)
        line = Line(dispatcher.pipeline, house)
        await line.round()  # warm
        rounds: dict[str, list[float]] = {stage: [] for stage in STAGES}
        yardsticks = []
        for _ in range(max(1, job.messages // (ROUND * BATCH))):
            yardsticks.append(yardstick_ns())
            meter = await line.round()
            for stage in STAGES:
                rounds[stage].append(meter.ns[stage] / (ROUND * BATCH))
    return {"stages": rounds, "yardsticks_ns": yardsticks}


class Line:
    """All stages, in their order."""

    def __init__(self, pipeline: Pipeline, house: House) -> None:
        (self._lane,) = pipeline.lanes.values()
        self._pipeline = pipeline
        self._house = house
        self._stream = pipeline.journal.stream("bench")
        self._ready = Ready()
        self._esme = Exchange(window=BATCH)
        self._esme.receives = True
        self._smsc = Smsc()

    async def round(self) -> Meter:
        """Take some batches all the way."""
        meter = Meter()
        for at in range(ROUND):
            await self._batch(at, meter)
        return meter

    async def _batch(self, at: int, meter: Meter) -> None:
        pipeline, book, esme, ready = self._pipeline, self._pipeline.book, self._esme, self._ready
        requests, carrier = self._house.batch(at), self._lane.number
        matched = book.matched

        meter.begin()
        batch = pipeline.admission.admit(requests, pipeline.now_ms())
        segments = [
            segment
            for group in batch.groups.values()
            for segment in submissions(group.messages, group.frames, carrier)
        ]
        meter.end("admit")
        messages = batch.messages
        body = b"".join([group.body for group in batch.groups.values()])
        row = Row(self._stream, messages[0].n, messages[-1].n, len(messages), body)
        meter.end("pack")
        now_ms = pipeline.now_ms()
        book.claim(segments, carrier, now_ms)
        meter.end("claim")
        ready.extend(segments)
        taken: list[Submission] = []
        ready.pull(BATCH, now_ms, taken)
        esme.push(taken, [submission.frame for submission in taken], 0, 0)
        octets = esme.outgoing(0)
        meter.end("submit")
        responses, receipts = self._smsc.responses(octets)
        meter.begin()
        esme.feed(responses, 0)
        handles, statuses, ids = esme.take_answers()
        refused, _ = book.submitted(handles, statuses, ids, carrier, now_ms)
        meter.end("answer")
        esme.feed(receipts, 0)
        incoming = esme.take_incoming()
        odd = book.receipted(incoming, carrier, now_ms)
        esme.answer(incoming)
        acknowledgements = esme.outgoing(0)
        meter.end("receipt")
        count, body = pipeline.events.take()
        begun_ns = process_time_ns()
        await self._append([row, Row(EVENTS_STREAM, 0, 0, count, body)])
        meter.ns["journal"] += process_time_ns() - begun_ns

        acknowledged = self._smsc.acknowledged(acknowledgements)
        if refused or odd or not book.matched - matched == acknowledged == len(requests):
            raise SystemExit(f"{acknowledged} receipts of {len(requests)} requests")
        assert all(isinstance(verdict, Accepted) for verdict in batch.verdicts)

    async def _append(self, rows: list[Row]) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def told(error: Exception | None) -> None:
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        self._pipeline.journal.append(rows, told)
        await done
