"""The token bucket: the cost of a call from Python and from C, and the use of the rate at a 1 ms poll.

Run: ``python -m pytest bench/bench_bucket.py``. The C figures are of 100,000 calls: divide by that.
"""

from itertools import count

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from dispatcher._ext.bucket import Bucket, spin

MS = 1_000_000
CALLS = 100_000


def test_take_from_python_in_a_loop(benchmark: BenchmarkFixture) -> None:
    """A thousand calls in a Python loop: divide by 1,000; the loop itself is in it."""
    bucket, times = Bucket(0, 1_000_000), count(0, 1_000_000)

    def run() -> None:
        start = next(times)
        take = bucket.take
        for now in range(start, start + 1_000_000, 1000):
            take(now, 1, 3)

    benchmark(run)


@pytest.mark.parametrize(
    ("step_ns", "n"), [(1000, 1), (500, 1), (MS, 20)], ids=["granted", "half refused", "1 ms poll"]
)
def test_take_from_c(benchmark: BenchmarkFixture, step_ns: int, n: int) -> None:
    """100,000 calls of `grant` from C."""
    tps = 1_000_000 if n == 1 else 20_000
    bucket, times = Bucket(0, tps), count(0, step_ns * CALLS)
    benchmark(lambda: spin(bucket, next(times), step_ns, CALLS, n, 3))


@pytest.mark.parametrize("tps", [3, 20_000])
def test_when(benchmark: BenchmarkFixture, tps: int) -> None:
    """The time until the next token, in a full window."""
    bucket = Bucket(0, tps)
    spin(bucket, 0, MS, 3000, 10**6, 3)
    benchmark(bucket.when, 3000 * MS, 1, 3)


@pytest.mark.parametrize("tps", [1, 3, 100, 20_000, 1_000_000])
def test_use_at_a_1_ms_poll(benchmark: BenchmarkFixture, tps: int) -> None:
    """A virtual minute at a 1 ms poll; the share of the rate that was used is in extra_info."""

    def run() -> int:
        return spin(Bucket(0, tps), 0, MS, 60_000, 10**6, 3)

    benchmark.extra_info["used"] = benchmark(run) / (60 * tps)
