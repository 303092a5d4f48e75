"""What metrics cost: for each message on the path, and for each scrape.

Run: ``python -m pytest bench/bench_meters.py``. A round is 1,000 messages: divide by that. The book's own
counters are part of what bench_book.py measures.

Measured 2026-11-24 on two shared Xeon cores under load, CPython 3.11, ns a message of one segment: intake 19,
wrote 7, since at most 28 (a Python call each, which the book does not make); the book before and after, at
200,000 outstanding: claim 29 and 30, submitted 69 and 69, receipted 276 and 273. So all in all below 60. A
scrape of ten carriers of ten binds: 2,200 samples, 180 KB, 10 ms of which no turn of the loop takes over 2.5.
"""

import asyncio
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from dispatcher._ext.book import Submission, wrote
from dispatcher._ext.meters import Histogram, Intake
from dispatcher.app import Dispatcher
from dispatcher.config import from_dict
from dispatcher.ingest.metrics import exposition
from dispatcher.model import Message
from dispatcher.survey import Survey

BATCH = 1000


def message(n: int) -> Message:
    """Return an accepted message."""
    return Message(n, bytes(16), "1", "Bank", "x", n % 4, 0, 0, 0, 1, 0, (), source="core")


def test_intake(benchmark: BenchmarkFixture) -> None:
    """Accepted messages by source and class, and when."""
    intake = Intake()
    batch = [message(n) for n in range(1, BATCH + 1)]
    benchmark(intake.add, batch, 1_000)


def test_wrote(benchmark: BenchmarkFixture) -> None:
    """How long each segment had waited for its first write."""
    waited = tuple(Histogram() for _ in range(4))
    batch = [Submission(None, n + 1, 0, 1, n % 4, 0, b"") for n in range(BATCH)]

    def run() -> None:
        wrote(batch, BATCH, 10_000, waited)

    def setup() -> None:
        for each in batch:
            each.since_ms = 10_000 - each.n

    benchmark.pedantic(run, setup=setup, rounds=500)  # type: ignore[no-untyped-call]


def test_since(benchmark: BenchmarkFixture) -> None:
    """When each message that ends was accepted: asked from Python, which alone is most of it."""
    intake = Intake()
    for n in range(1, 1_000_000, 20):
        intake.add([message(n)], n)

    def run() -> None:
        for n in range(900_000, 900_000 + BATCH):
            intake.since(n)

    benchmark(run)


def test_observe(benchmark: BenchmarkFixture) -> None:
    """One duration for a whole batch of answers: once a read, not once a segment."""
    histogram = Histogram()

    def run() -> None:
        for us in range(1_000, 1_000_000, BATCH):
            histogram.observe(us, 50)

    benchmark(run)


def test_scrape(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Ten carriers of ten binds, every histogram filled: state and text; the loop is free in between."""
    loop = asyncio.new_event_loop()
    carrier = {"host": "127.0.0.1", "port": 9, "system_id": "bank", "transceivers": 10}
    names = [f"carrier-{number}" for number in range(10)]
    config = from_dict(
        {
            "store": str(tmp_path),
            "carriers": dict.fromkeys(names, carrier),
            "routes": [{"carriers": names[:8]}],
        }
    )
    dispatcher = Dispatcher(config)
    loop.run_until_complete(dispatcher.open())
    survey = Survey(dispatcher)
    for lane in dispatcher.pipeline.lanes.values():
        for us in range(1_000, 1_000_000, 1_000):
            lane.answered_after.observe(us)
            for queue in lane.queues:
                queue.waited.observe(us)

    def run() -> bytes:
        return loop.run_until_complete(exposition(survey.state(), survey.checks()))

    text = benchmark(run)
    benchmark.extra_info["samples"] = sum(not line.startswith(b"#") for line in text.splitlines())
    loop.run_until_complete(dispatcher.close(100))
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
