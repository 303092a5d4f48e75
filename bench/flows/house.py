"""What all flows have in common: a dispatcher on a real store, what it is fed, and meters.

The store lies on the disk of the checkout and is synced in full. Prices are CPU times, thread by thread: they
hardly change when others use the machine, the clock does.
"""

import asyncio
import os
import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count, pairwise
from pathlib import Path
from tempfile import mkdtemp
from time import clock_gettime_ns, monotonic_ns, perf_counter_ns, process_time_ns, pthread_getcpuclockid
from typing import Any, Final, NamedTuple
from zlib import crc32

import msgspec

from bench.clients.face import CODES, DESTINATIONS
from bench.machine import ROOT
from dispatcher._ext.events import read_events
from dispatcher.app import Dispatcher
from dispatcher.carrier.lane import Lane
from dispatcher.config import Config, from_dict
from dispatcher.model import Accepted, EventKind, SendRequest, TrafficClass
from dispatcher.store.reader import Reader

BATCH: Final = 1_000
"""Requests of one accept: an HTTP body or a Kafka poll."""
PREPARED: Final = 100
"""Batches made before; they are handed over again and again, without keys, so that each is new."""
FEEDERS: Final = 4
"""Callers that wait for their verdicts side by side: they share commits."""
HEAD: Final = 15_000
"""Messages waiting at backlog 0: the lane is never dry, and nothing has to be read back from the journal."""
ROUTE_MAX: Final = 8
"""Carriers of a route; the configuration allows no more."""
OUTSTANDING_MAX: Final = 10_000_000
"""Receipts that are waited for: above the 5 million of the scaling tier."""
NOBODY_PORT: Final = 1
"""Of a carrier that is down: nobody listens there."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a flow is to do; the one argument of its process, as JSON."""

    port: int = NOBODY_PORT
    store: str = ""
    binds: int = 4
    window: int = 250
    tps: float = 1_000_000
    warm_s: float = 2.0
    span_s: float = 20.0
    slice_s: float = 1.0
    messages: int = 0
    """How many are to be waiting."""
    carriers: int = 1
    """Accounts, each with so many binds; the route shares messages between eight of them at most."""
    levels: tuple[int, ...] = ()
    """Backlogs to be measured at, the highest first."""
    begun_ns: int = 0
    """By the monotonic clock: when the process was started."""


class Reading(NamedTuple):
    """Meters at one moment; times in nanoseconds."""

    at_ns: int
    process_ns: int
    threads_ns: dict[str, int]
    finished: int
    commits: int
    octets: int

    def since(self, before: "Reading") -> "Reading":
        """Return the differences."""
        threads = {name: ns - before.threads_ns.get(name, 0) for name, ns in self.threads_ns.items()}
        return Reading(
            self.at_ns - before.at_ns,
            self.process_ns - before.process_ns,
            threads,
            self.finished - before.finished,
            self.commits - before.commits,
            self.octets - before.octets,
        )


class House:
    """A dispatcher with one carrier, and its feeders. `level` is how many messages they keep waiting."""

    def __init__(
        self, dispatcher: Dispatcher, job: Job, traffic_class: TrafficClass = TrafficClass.TRANSACTIONAL
    ) -> None:
        self.dispatcher = dispatcher
        self.level = HEAD
        self.accepted = 0
        self.refused = 0
        self.accept_ns: list[int] = []
        """How long each accept took, since `note`."""
        self.traffic_class = traffic_class
        self._job = job
        self._stops = False
        self._feeders: list[asyncio.Task[None]] = []
        self._batches = [_batch(at, self.traffic_class) for at in range(PREPARED)]

    @property
    def lane(self) -> Lane:
        """Of the first carrier, in most flows the only one."""
        return next(iter(self.dispatcher.pipeline.lanes.values()))

    @property
    def waiting(self) -> int:
        """Messages, in memory and in the journal."""
        lanes = self.dispatcher.pipeline.lanes.values()
        return sum([lane.queues[self.traffic_class].messages for lane in lanes])

    @property
    def finished(self) -> int:
        """Messages with a receipt: each has one segment and gets one."""
        return self.dispatcher.pipeline.book.matched

    def read(self) -> Reading:
        """Read the meters."""
        metrics = self.dispatcher.journal.metrics
        threads = {
            thread.name: clock_gettime_ns(pthread_getcpuclockid(thread.ident))
            for thread in threading.enumerate()
            if thread.ident is not None
        }
        finished = self.finished
        return Reading(
            perf_counter_ns(), process_time_ns(), threads, finished, metrics.commits, metrics.octets
        )

    async def bound(self) -> None:
        """Wait until every bind is there and takes its whole window: a bind starts slowly."""
        job = self._job
        lanes = list(self.dispatcher.pipeline.lanes.values())[: job.carriers]
        for lane in lanes:
            while len([each for each in lane.pool.snapshot().binds if each.stage == "bound"]) < job.binds:
                await asyncio.sleep(0.01)
        await asyncio.sleep(1.1)  # nothing goes in the first second of a bind
        places = count()
        for lane in lanes:
            while lane.pool.room + lane.unsettled < job.binds * job.window:
                some = self.batch(next(places))  # all digits, so that each route gets some
                await self.send(some if len(lanes) > 1 else some[:1])
                await asyncio.sleep(0.05)

    @property
    def one(self) -> list[SendRequest]:
        """A batch of one request."""
        return self._batches[0][:1]

    def batch(self, at: int) -> list[SendRequest]:
        """Return one of the prepared batches, any number will do."""
        return self._batches[at % PREPARED]

    async def send(self, batch: list[SendRequest]) -> None:
        """Hand over a batch, and count verdicts."""
        verdicts = await self.dispatcher.send(batch)
        taken = sum([isinstance(verdict, Accepted) for verdict in verdicts])
        self.accepted += taken
        self.refused += len(verdicts) - taken

    def feed(self) -> None:
        """Start feeding."""
        self._stops = False
        self._feeders = [asyncio.create_task(self._feed(at)) for at in range(FEEDERS)]

    async def stop(self) -> None:
        """Feed no more."""
        self._stops = True
        await asyncio.gather(*self._feeders)

    async def fill(self, messages: int) -> None:
        """Have so many accepted."""
        at = iter(range(messages // BATCH))

        async def some() -> None:
            for place in at:
                await self.send(self.batch(place))

        await asyncio.gather(*(some() for _ in range(FEEDERS)))

    async def drain(self, level: int, limit_s: float = 300) -> None:
        """Wait until no more than so many wait; at 0, until everything is finished and on disk."""
        end_ns = perf_counter_ns() + int(limit_s * 1e9)
        while self.waiting > level or (not level and self.finished < self.accepted):
            if perf_counter_ns() > end_ns:
                raise SystemExit(f"after {limit_s} s not drained: {self.dispatcher!r}")
            await asyncio.sleep(0.01)
        if not level:
            await self.dispatcher.committed()

    async def nap(self) -> None:
        """Let the dispatcher work for a moment."""
        await asyncio.sleep(0.002)

    async def slices(self, span_s: float, slice_s: float) -> list[Reading]:
        """Return what happened in each slice of a span."""
        readings = [self.read()]
        for _ in range(max(1, round(span_s / slice_s))):
            await asyncio.sleep(slice_s)
            readings.append(self.read())
        return [after.since(before) for before, after in pairwise(readings)]

    async def _feed(self, at: int) -> None:
        while not self._stops:
            if self.waiting >= self.level:
                await asyncio.sleep(0.001)
                continue
            begun_ns = perf_counter_ns()
            await self.send(self.batch(at))
            self.accept_ns.append(perf_counter_ns() - begun_ns)
            at += FEEDERS


def config_of(job: Job) -> Config:
    """Return the smallest configuration: carriers that are alike, all of them in one route or several."""
    carrier = {
        "host": "127.0.0.1",
        "port": job.port,
        "system_id": "bank",
        "transceivers": job.binds,
        "window": job.window,
        "tps": job.tps,
    }
    names = [f"c{at}" for at in range(job.carriers)]
    return from_dict(
        {
            "store": job.store,
            "carriers": dict.fromkeys(names, carrier),
            "routes": _routes(names),
            "limits": {"outstanding_max": OUTSTANDING_MAX},
        }
    )


def _routes(names: Sequence[str]) -> list[dict[str, Any]]:
    """Carriers share alike; more than a route may have are in routes by the digit behind 79."""
    groups = [names[at : at + ROUTE_MAX] for at in range(0, len(names), ROUTE_MAX)]
    last = {"carriers": groups[-1], "weights": [1] * len(groups[-1])}
    digits = [[digit for digit in range(10) if digit % len(groups) == at] for at in range(len(groups))]
    return [
        {"carriers": group, "weights": [1] * len(group), "prefixes": [f"79{digit}" for digit in some]}
        for group, some in zip(groups[:-1], digits, strict=False)
    ] + [last]


@contextmanager
def new_store() -> Iterator[str]:
    """Yield the name of an empty folder on the disk of the checkout, and remove it in the end."""
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    folder = mkdtemp(prefix="bench-store-", dir=build)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


class Proof(NamedTuple):
    """What the journal says in the end."""

    claimed: int
    submitted: int
    finished: int
    """Messages; more events than messages raise."""


def prove(store: str) -> Proof:
    """Count the events of a closed store; SystemExit where a message has two outcomes."""
    counts = [0] * 16
    ended: set[int] = set()
    reader = Reader(Path(store), lambda *row: sys.exit(f"a damaged row: {row}"))
    for row in reader.event_rows(0):
        for event in read_events(row.body, tuple):
            counts[event[0]] += 1
            if event[0] == EventKind.FINISHED:
                ended.add(event[4])
    reader.close()
    if len(ended) != counts[EventKind.FINISHED]:
        raise SystemExit(f"{counts[EventKind.FINISHED]} outcomes of {len(ended)} messages")
    return Proof(counts[EventKind.CLAIMED], counts[EventKind.SUBMITTED], len(ended))


def yardstick_ns() -> float:
    """Return what a fixed piece of work takes now, CPU nanoseconds a record: pack it and check it."""
    records = [(n, "79001234567", CODES[n % len(CODES)], n, None) for n in range(2_000)]
    encode = msgspec.msgpack.Encoder().encode
    best = 0
    for _ in range(5):
        begun_ns = process_time_ns()
        for _ in range(5):
            crc32(b"".join([encode(record) for record in records]))
        took_ns = process_time_ns() - begun_ns
        best = min(best or took_ns, took_ns)
    return best / (5 * len(records))


def resident_bytes() -> int:
    """Return the memory of this process that is in RAM."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def percentile(values: list[int], share: float) -> float:
    """Return the value that such a share of the values does not exceed; 0 of none."""
    ordered = sorted(values)
    return float(ordered[min(len(ordered) - 1, int(share * len(ordered)))]) if ordered else 0.0


def summed(slices: list[Reading]) -> dict[str, Any]:
    """Return a span and its slices as plain values: seconds, prices in nanoseconds a segment."""
    slices = [each for each in slices if each.finished]
    finished = sum(each.finished for each in slices)
    if not finished:
        raise SystemExit("nothing was finished in the span")
    names = sorted({name for each in slices for name in each.threads_ns})
    return {
        "seconds": sum(each.at_ns for each in slices) / 1e9,
        "segments": finished,
        "commits": sum(each.commits for each in slices),
        "octets": sum(each.octets for each in slices),
        "threads_ns": {
            name: sum(each.threads_ns.get(name, 0) for each in slices) / finished for name in names
        },
        "cpu_ns": sum(each.process_ns for each in slices) / finished,
        "cpu_ns_rounds": [each.process_ns / each.finished for each in slices],
        "clock_ns_rounds": [each.at_ns / each.finished for each in slices],
    }


def since_ns(job: Job) -> int:
    """Return how long the process has lived."""
    return monotonic_ns() - job.begun_ns


def _batch(at: int, traffic_class: TrafficClass) -> list[SendRequest]:
    places = range(at * BATCH, (at + 1) * BATCH)
    return [
        SendRequest(
            to=DESTINATIONS[place % len(DESTINATIONS)],
            text=CODES[place % len(CODES)],
            sender="Bank",
            traffic_class=traffic_class,
        )
        for place in places
    ]
