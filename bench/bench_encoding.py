"""The micro tier, in pytest's style:

    python -m pytest bench/bench_encoding.py                      all of it
    python -m pytest bench/bench_encoding.py -k 'count and otp'   some of it

Each benchmark works through a whole corpus per round; extra_info (in the JSON of --benchmark-json) says what
that is per text, and what we aim at. The aim is information: wall-clock is never asserted. For figures to
quote, and for peers, see bench.run: there the sides take turns.
"""

import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.corpora import CORPORA, corpus
from bench.encoding import TARGETS, import_command, text_buffer
from bench.machine import ROOT
from dispatcher.encoding import count, count_batch, decode, explain, segment, segment_batch

EXPLAINED = 200  # explain is for people, one text at a time: a whole corpus would take minutes

pytestmark = pytest.mark.benchmark(disable_gc=True, warmup=True, warmup_iterations=1, min_rounds=7)
each_corpus = pytest.mark.parametrize("name", CORPORA)


def run(
    benchmark: BenchmarkFixture, work: Callable[[], object], texts: int, target_ns: float | None = None
) -> None:
    """Time `work`, which deals with so many texts, and note what a text costs."""
    benchmark(work)
    if benchmark.stats is None:  # --benchmark-disable
        return
    per_text_ns = benchmark.stats.stats.median * 1e9 / texts
    benchmark.extra_info |= {
        "texts": texts,
        "ns_a_text": round(per_text_ns, 1),
        "mtexts_per_s": round(1e3 / per_text_ns, 3),
        "target_ns": target_ns,
        "within_target": None if target_ns is None else per_text_ns <= target_ns,
    }


def one_by_one(call: Callable[[str], object], texts: Sequence[str]) -> Callable[[], None]:
    """Return the loop over all texts; it costs some 4 ns a text of its own."""

    def loop() -> None:
        for text in texts:
            call(text)

    return loop


@each_corpus
def test_segment(benchmark: BenchmarkFixture, name: str) -> None:
    """Finished segments, a call a text."""
    texts = corpus(name)
    run(benchmark, one_by_one(segment, texts), len(texts), TARGETS["segment"][name])


@each_corpus
def test_count(benchmark: BenchmarkFixture, name: str) -> None:
    """Alphabet, units and segments, a call a text."""
    texts = corpus(name)
    run(benchmark, one_by_one(count, texts), len(texts), TARGETS["count"][name])


@each_corpus
def test_count_batch_of_str(benchmark: BenchmarkFixture, name: str) -> None:
    """The same for a list of str at once."""
    texts = corpus(name)
    run(benchmark, lambda: count_batch(texts), len(texts), TARGETS["count_batch str"].get(name))


@each_corpus
def test_count_batch_of_text_buffer(benchmark: BenchmarkFixture, name: str) -> None:
    """The same for UTF-8 with offsets."""
    buffer = text_buffer(corpus(name))
    run(benchmark, lambda: count_batch(buffer), len(corpus(name)))


@each_corpus
def test_segment_batch_of_str(benchmark: BenchmarkFixture, name: str) -> None:
    """Finished segments in one buffer."""
    texts = corpus(name)
    run(benchmark, lambda: segment_batch(texts), len(texts))


@each_corpus
def test_segment_batch_of_text_buffer(benchmark: BenchmarkFixture, name: str) -> None:
    """The same from UTF-8 with offsets."""
    buffer = text_buffer(corpus(name))
    run(benchmark, lambda: segment_batch(buffer), len(corpus(name)))


@each_corpus
def test_decode(benchmark: BenchmarkFixture, name: str) -> None:
    """The way back: every segment of the corpus to text."""
    received = [
        (part.user_data, message.data_coding, message.esm_class)
        for message in map(segment, corpus(name))
        for part in message.segments
    ]

    def loop() -> None:
        for user_data, data_coding, esm_class in received:
            decode(user_data, data_coding=data_coding, esm_class=esm_class)

    run(benchmark, loop, len(corpus(name)))


@each_corpus
def test_explain(benchmark: BenchmarkFixture, name: str) -> None:
    """Why a text costs what it costs, with suggestions."""
    texts = corpus(name, EXPLAINED)
    run(benchmark, one_by_one(explain, texts), len(texts))


def test_import(benchmark: BenchmarkFixture) -> None:
    """Importing the encoder in a fresh interpreter, its start included; bytecode is cached."""

    def start(program: str) -> None:
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True)

    start("import dispatcher.encoding")
    benchmark.pedantic(start, args=("import dispatcher.encoding",), rounds=15)  # type: ignore[no-untyped-call]
    alone = subprocess.run(import_command(), cwd=ROOT, check=True, capture_output=True, text=True)
    benchmark.extra_info["import_alone_ms"] = round(int(alone.stdout) / 1e6, 1)
