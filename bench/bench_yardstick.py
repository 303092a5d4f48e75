"""The yardstick: a fixed piece of work of Python's and zlib's own, beside which all others are compared."""

from zlib import crc32

import msgspec
from pytest_benchmark.fixture import BenchmarkFixture

RECORDS = [(n, "79001234567", f"Your one-time code is {n:06}", n, None) for n in range(2_000)]


def test_yardstick(benchmark: BenchmarkFixture) -> None:
    """Pack and check 2,000 records."""
    encode = msgspec.msgpack.Encoder().encode
    benchmark(lambda: crc32(b"".join([encode(record) for record in RECORDS])))
