"""The encoding tier: our encoder beside other people's, on the four corpora, in turns.

Each corpus is a race of its own. The yardstick is a piece of CPython, str.encode to UTF-16: it tells a slow
machine from a slow encoder, and two results are compared by it. A peer's ratio is taken to `segment`, which
does at least as much: it keeps grapheme clusters whole and writes headers.
"""

import json
import statistics
import subprocess
import sys
from array import array
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from bench import peers
from bench.corpora import CORPORA, TEXTS, corpus, describe
from bench.machine import ROOT, describe_run
from bench.peers import Absent, Peer, calculator
from bench.reference import Cut, Faults, judge
from bench.results import YARDSTICK, Result, Row
from bench.timing import Pass, Spread, alternate, at_once, loop_alone, one_by_one, ratios
from dispatcher.encoding import TextBuffer, count, count_batch, segment, segment_batch

SEGMENT, COUNT = "segment", "count"
BATCH_OTP_TEXTS_PER_S: Final = 20_000_000

TARGETS: Final[dict[str, dict[str, float]]] = {
    SEGMENT: dict(zip(CORPORA, (150, 500, 250, 450), strict=True)),
    COUNT: dict(zip(CORPORA, (60, 200, 80, 200), strict=True)),
    "count_batch str": {"c1_otp_en": 1e9 / BATCH_OTP_TEXTS_PER_S},
}
"""What we aim at, in nanoseconds a text. Information: wall-clock is never asserted."""


class Effort(NamedTuple):
    """How much is measured: rounds, how long a pass lasts, how many texts are judged."""

    rounds: int
    budget_ns: int
    judged: int


FULL: Final = Effort(rounds=21, budget_ns=30_000_000, judged=TEXTS)
QUICK: Final = Effort(rounds=5, budget_ns=6_000_000, judged=300)


def text_buffer(texts: Sequence[str]) -> TextBuffer:
    """Return the texts as Apache Arrow would hold them."""
    octets = [text.encode() for text in texts]
    return TextBuffer(array("i", accumulate(map(len, octets), initial=0)), b"".join(octets))


def ours(texts: Sequence[str], budget_ns: int) -> dict[str, Pass]:
    """Return our sides."""
    buffer = text_buffer(texts)
    n = len(texts)
    return {
        SEGMENT: one_by_one(segment, texts, budget_ns),
        COUNT: one_by_one(count, texts, budget_ns),
        "segment_batch str": at_once(lambda: segment_batch(texts), n, budget_ns),
        "segment_batch TextBuffer": at_once(lambda: segment_batch(buffer), n, budget_ns),
        "count_batch str": at_once(lambda: count_batch(texts), n, budget_ns),
        "count_batch TextBuffer": at_once(lambda: count_batch(buffer), n, budget_ns),
    }


def our_cut(text: str) -> Cut:
    """Return what `segment` makes of a text, in the reference's terms."""
    message = segment(text)
    assert message.alphabet in ("gsm7", "ucs2")
    return Cut(message.alphabet, tuple(part.body for part in message.segments))


def measure(quick: bool, progress: Callable[[str], object] = print) -> Result:
    """Run the tier."""
    effort = QUICK if quick else FULL
    rows: list[Row] = []
    absent = {peer.NAME: ready.reason for peer in peers.PEERS if isinstance(ready := peer.prepare(), Absent)}
    present = [peer for peer in peers.PEERS if peer.NAME not in absent]
    for name in CORPORA:
        progress(f"{name}: timing")
        rows += race(name, present, effort)
    return Result(
        tier="encoding",
        run=describe_run("bench.run"),
        quick=quick,
        rounds=effort.rounds,
        loop=loop_alone(corpus("c1_otp_en"), effort.rounds),
        import_ms=import_ms(effort.rounds),
        corpora={name: json.dumps(describe(name)._asdict()) for name in CORPORA},
        rows=rows,
        absent=absent,
    )


def race(name: str, present: Sequence[Peer], effort: Effort) -> list[Row]:
    """Time all sides on one corpus, in turns, and judge what they cut."""
    texts = corpus(name)
    sides = {YARDSTICK: one_by_one(_to_utf16, texts, effort.budget_ns), **ours(texts, effort.budget_ns)}
    our_names = set(sides) - {YARDSTICK}
    sides |= {peer.NAME: _timer(peer, texts, effort.budget_ns) for peer in present}
    figures = alternate(sides, effort.rounds)
    judged = texts[: effort.judged]
    faults = {SEGMENT: judge(list(map(our_cut, judged)), judged, clusters=True)}
    faults |= {peer.NAME: _judge(peer, judged) for peer in present if peer.SEGMENTS}
    versions = {peer.NAME: peer.version() for peer in present}
    rows: list[Row] = []
    for side, values in figures.items():
        to_ours = ratios(values, figures[COUNT if side.startswith(COUNT) else SEGMENT])
        spread = Spread.of(values)
        row = Row(
            corpus=name,
            side=side,
            version=versions.get(side, ""),
            ours=side in our_names,
            median=spread.median,
            min=spread.min,
            max=spread.max,
            rounds=values,
            yardstick=ratios(values, figures[YARDSTICK]),
            ratio=spread.median / statistics.median(figures[COUNT if side.startswith(COUNT) else SEGMENT]),
            ratio_min=min(to_ours),
            ratio_max=max(to_ours),
        )
        if side in faults:
            row["faults"] = str(faults[side])
        if (target := TARGETS.get(side, {}).get(name)) is not None:
            row["target"] = target
        rows.append(row)
    return rows


def import_command() -> list[str]:
    """Return the command that prints the nanoseconds which importing the encoder takes."""
    clock = "__import__('time').perf_counter_ns()"
    return [sys.executable, "-c", f"begin = {clock}\nimport dispatcher.encoding\nprint({clock} - begin)"]


def import_ms(runs: int) -> float:
    """Return how long a fresh interpreter takes to import the encoder, its bytecode cached."""

    def once() -> int:
        done = subprocess.run(import_command(), cwd=ROOT, capture_output=True, text=True, check=True)
        return int(done.stdout)

    once()
    return statistics.median(once() for _ in range(runs)) / 1e6


def _timer(peer: Peer, texts: Sequence[str], budget_ns: int) -> Pass:
    if peer.NAME == calculator.NAME:
        return calculator.timer(texts, budget_ns)
    call = peer.prepare()
    assert not isinstance(call, Absent)
    return one_by_one(call, texts, budget_ns)


def _judge(peer: Peer, texts: Sequence[str]) -> Faults:
    call = peer.prepare()
    assert not isinstance(call, Absent)
    results = calculator.segments(texts) if peer.NAME == calculator.NAME else map(call, texts)
    cuts = [peer.cut(text, result) for text, result in zip(texts, results, strict=True)]
    return judge(cuts, texts, peer.KEEPS_CLUSTERS)


def _to_utf16(text: str) -> bytes:
    return text.encode("utf-16-be")
