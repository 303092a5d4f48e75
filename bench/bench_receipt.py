"""Receipts: the scan alone and in batches, the whole parse, look-up keys.

Run: ``python -m pytest bench/bench_receipt.py``. Batches are of 1,000: divide by that.
"""

from datetime import UTC, timedelta, timezone

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from dispatcher._ext.receipt import scan, scan_many
from dispatcher.smpp.dialect import Dialect
from dispatcher.smpp.receipt_text import parse, recognise

TYPICAL = (
    b"id:0123456789 sub:002 dlvrd:001 submit date:1005232039 done date:1005242339 "
    b"stat:DELIVRD err:012 text:This is a sample mes"
)
UUID = TYPICAL.replace(b"0123456789", b"74e02ee1-4e2f-4a6e-a78b-4b247d756a22")
BATCH = 1000


@pytest.mark.parametrize("text", [TYPICAL, UUID], ids=["10 digits", "uuid"])
def test_scan_many(benchmark: BenchmarkFixture, text: bytes) -> None:
    """id, state and err of 1,000 receipts in one call."""
    batch = [bytes(bytearray(text)) for _ in range(BATCH)]
    assert benchmark(scan_many, batch)[0][1] == 2


def test_scan_many_of_no_receipts(benchmark: BenchmarkFixture) -> None:
    """1,000 ordinary texts: what a look at a message from a subscriber costs."""
    batch = [b"Yes, please send me the statement for September by post to my home address. " * 2] * BATCH
    benchmark(scan_many, batch)


def test_scan_one(benchmark: BenchmarkFixture) -> None:
    """All nine fields of one receipt as Python objects."""
    benchmark(scan, TYPICAL)


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=3))], ids=["utc", "+03:00"])
def test_parse(benchmark: BenchmarkFixture, zone: timezone) -> None:
    """The whole value, dates included."""
    dialect = Dialect(submit_zone=zone, done_zone=zone)
    benchmark(parse, TYPICAL, {0x001E: b"38601fa\0", 0x0427: b"\2"}, dialect)


def test_recognise(benchmark: BenchmarkFixture) -> None:
    """By the text alone: the dearest case."""
    benchmark(recognise, 0, TYPICAL)


def test_key(benchmark: BenchmarkFixture) -> None:
    """A hexadecimal id to its decimal key."""
    benchmark(Dialect(id_notation="response_hex").key_of_response, b"70BA8A69")
