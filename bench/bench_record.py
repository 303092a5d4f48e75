"""Journal records: messages into the body of a row and back, events into a buffer. Batches are of 1,000.

Run: ``python -m pytest bench/bench_record.py``. Divide by 1,000.
"""

from pytest_benchmark.fixture import BenchmarkFixture

from bench.store import message, story
from dispatcher._ext.events import EventBuffer, read_events
from dispatcher.store.records import pack_messages, unpack_messages

BATCH = 1000
MESSAGES = [message(n) for n in range(1, BATCH + 1)]


def test_pack_messages(benchmark: BenchmarkFixture) -> None:
    """1,000 codes of 160 octets."""
    assert unpack_messages(benchmark(pack_messages, MESSAGES), BATCH) == MESSAGES


def test_unpack_messages(benchmark: BenchmarkFixture) -> None:
    """The same back, as values."""
    assert len(benchmark(unpack_messages, pack_messages(MESSAGES), BATCH)) == BATCH


def test_add_events(benchmark: BenchmarkFixture) -> None:
    """The four events of each of 1,000 messages, one call each; the book adds them in bulk, from C."""
    buffer = EventBuffer()

    def add() -> tuple[int, bytes]:
        for n in range(1, BATCH + 1):
            story(buffer, n)
        return buffer.take()

    assert benchmark(add)[0] == 4 * BATCH


def test_read_events(benchmark: BenchmarkFixture) -> None:
    """4,000 events back, as tuples."""
    buffer = EventBuffer()
    for n in range(1, BATCH + 1):
        story(buffer, n)
    _, body = buffer.take()
    assert len(benchmark(lambda: list(read_events(body, tuple)))) == 4 * BATCH
