"""One trial: a rate offered for a while on a stage, looked at once a second."""

import os
import select
import subprocess
import time
from array import array
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from pathlib import Path
from statistics import mean
from typing import Final, NamedTuple
from zlib import crc32

import msgspec

from dispatcher.cli import rig
from dispatcher.cli.demo.traffic import PATTERN
from dispatcher.cli.load import mix
from dispatcher.cli.load.client import Answer
from dispatcher.cli.load.figures import Sample, Trial, latency_of
from dispatcher.cli.load.stage import Stage, Used

WARM_S: Final = 2.0
"""Of every trial, before anything counts: caches, connections, the first commits."""
SAMPLE_S: Final = 1.0
SAMPLES_MIN: Final = 12
"""Of a trial: a short one is looked at more often, or no growth could be told."""
START_S: Final = 1.0
"""About what a client takes until it sends."""
BEHIND_MAX_S: Final = 3.0
"""So many seconds' worth not reported: it will not be made up for."""
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_BUSY: Final = (1, 2, 3, 6, 7, 8)
"""Columns of /proc/stat: user, nice, system, irq, softirq, steal."""


class Meters(NamedTuple):
    """All counters at one moment."""

    at_ns: int
    taken: int
    reported: int
    waiting: int
    commits: int
    octets: int
    memory_bytes: int
    daemon_s: float
    carrier_s: float
    client_s: float
    busy_s: float


def run(stage: Stage, segments_per_s: float, seconds: float) -> Trial:
    """Offer so many segments a second for so long, after a warm-up; wait until all is reported.

    What is far behind is stopped early: the rate is not held. FailedError: a process failed.
    """
    first, yardstick = stage.first, yardstick_ns()
    begin = _read(stage, None)
    client = stage.client(segments_per_s, WARM_S + seconds)
    used = Used(client)
    readings, stopped = [], False
    every_s = min(SAMPLE_S, seconds / SAMPLES_MIN)
    begun_s = time.monotonic()
    while not _has_ended(client, every_s):
        readings.append(_read(stage, used))
        due = (time.monotonic() - begun_s - START_S) * segments_per_s
        if due - (readings[-1].reported - begin.reported) > BEHIND_MAX_S * segments_per_s:
            client.terminate()  # it sends no more, and ends when all is answered
            stopped = True
    answer = stage.answer(client)
    last_ns = answer.begun_ns + int(len(answer.took_ns) * answer.every_s * 1e9)
    stage.quiet()
    drained_s = max(0.0, (time.monotonic_ns() - last_ns) / 1e9)
    counted = [each for each in readings if answer.begun_ns + WARM_S * 1e9 <= each.at_ns <= last_ns]
    samples = [_sample(before, after, begin, segments_per_s, answer) for before, after in pairwise(counted)]
    came_ns = stage.carrier.came_ns(stage.folder / "came")
    segments = max(1, counted[-1].reported - counted[0].reported) if samples else 1
    cpu_s = counted[-1].daemon_s - counted[0].daemon_s if samples else 0.0
    skipped = _skipped(answer)
    waits = _waits(answer, came_ns, first)
    over_time = {"accepted": [latency_of(each) for each in _taken(answer)]}
    over_time |= {name: [latency_of(each) for each in seconds] for name, seconds in waits.items()}
    return Trial(
        segments_per_s=segments_per_s,
        seconds=seconds,
        messages=sum(len(second) for each in waits.values() for second in each),
        refused=answer.refused,
        samples=samples,
        accepted=latency_of(answer.took_ns[skipped:]),
        carrier={name: latency_of(list(chain.from_iterable(each))) for name, each in waits.items()},
        over_time=over_time,
        late=latency_of(answer.late_ns[skipped:]),
        growth=growth_of([each.behind for each in samples]) / every_s / segments_per_s,
        core=cpu_s / max(1e-9, (counted[-1].at_ns - counted[0].at_ns) / 1e9) if samples else 0.0,
        cpu_us=cpu_s / segments * 1e6,
        commits_per_s=mean([each.commits for each in samples]) if samples else 0.0,
        octets_a_segment=(counted[-1].octets - counted[0].octets) / segments if samples else 0.0,
        drain_s=drained_s,
        yardstick_ns=yardstick,
        stopped=stopped,
    )


def growth_of(behind: Sequence[int]) -> float:
    """Return by how much a queue grows from reading to reading: of its last third over its first, by means.

    Fewer than three readings tell nothing: more than any limit allows.
    """
    third = len(behind) // 3
    if not third:
        return 1e18  # JSON has no infinity
    return (mean(behind[-third:]) - mean(behind[:third])) / (len(behind) - third)


def yardstick_ns() -> float:
    """Return what a fixed piece of work takes now, CPU nanoseconds a record: pack it and check it."""
    records = [(n, "79001234567", f"Your one-time code is {n:06}", n, None) for n in range(2_000)]
    encode = msgspec.msgpack.Encoder().encode
    best = 0
    for _ in range(5):
        begun_ns = time.process_time_ns()
        for _ in range(5):
            crc32(b"".join([encode(record) for record in records]))
        took_ns = time.process_time_ns() - begun_ns
        best = min(best or took_ns, took_ns)
    return best / (5 * len(records))


def busy_s() -> float:
    """Return how long the cores that we may use have worked, for whomever."""
    cores = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    lines = [line.split() for line in Path("/proc/stat").read_text("ascii").splitlines()]
    return sum(int(line[at]) for line in lines if line[0] in cores for at in _BUSY) / _TICKS


# ---- the seconds ----


def _read(stage: Stage, client: Used | None) -> Meters:
    state = stage.state()
    return Meters(
        time.monotonic_ns(),
        sum(queue.taken for carrier in state.carriers for queue in carrier.queues.values()),
        state.receipts.get("matched", 0),
        rig.waiting(state),
        state.store.commits,
        state.store.octets,
        stage.daemon.memory_bytes(),
        stage.daemon.cpu_s(),
        stage.carrier.used.cpu_s(),
        client.cpu_s() if client is not None else 0.0,
        busy_s(),
    )


def _has_ended(process: "subprocess.Popen[str]", within_s: float) -> bool:
    """What it prints at its end is small enough for the pipe, or it is read by then: it waits for us."""
    assert process.stdout is not None
    return bool(select.select([process.stdout], [], [], within_s)[0])


def _sample(before: Meters, after: Meters, begin: Meters, segments_per_s: float, answer: Answer) -> Sample:
    seconds = (after.at_ns - before.at_ns) / 1e9
    since_s = (after.at_ns - answer.begun_ns) / 1e9
    due = int(since_s / answer.every_s + 1) * mix.segments_of(answer.batch)
    cpu = [(late - early) / seconds for late, early in zip(after[7:10], before[7:10], strict=True)]
    busy = (after.busy_s - before.busy_s) / seconds
    return Sample(
        at_s=round(since_s, 3),
        due=segments_per_s,
        taken=round((after.taken - before.taken) / seconds, 1),
        reported=round((after.reported - before.reported) / seconds, 1),
        behind=due - (after.reported - begin.reported),
        waiting=after.waiting,
        commits=round((after.commits - before.commits) / seconds, 1),
        octets=round((after.octets - before.octets) / seconds, 1),
        memory_bytes=after.memory_bytes,
        daemon=round(cpu[0], 4),
        carrier=round(cpu[1], 4),
        client=round(cpu[2], 4),
        others=round(max(0.0, busy - sum(cpu)), 4),
    )


# ---- the times of messages ----

Waits = dict[str, list["array[int]"]]
"""By class, for each second of the intended send: nanoseconds from it until the carrier had the message."""


def _skipped(answer: Answer) -> int:
    """Return how many requests are of the warm-up."""
    return min(len(answer.took_ns), round(WARM_S / answer.every_s))


def _waits(answer: Answer, came_ns: "array[int]", first: int) -> Waits:
    """A message that never came is not here: it was refused, or the proof fails."""
    seconds = _seconds(answer)
    waits: Waits = {name: [array("q") for _ in range(seconds)] for name in mix.CLASSES}
    for place, second in _places(answer):
        meant_ns = answer.begun_ns + int(place * answer.every_s * 1e9)
        start = first + place * answer.batch
        into = [waits[name][second] for name in PATTERN]
        for at, came in enumerate(came_ns[start : start + answer.batch]):
            if came:
                into[at % len(PATTERN)].append(came - meant_ns)
    return waits


def _taken(answer: Answer) -> list[list[int]]:
    """Return how long requests took, for each second of the intended send."""
    taken: list[list[int]] = [[] for _ in range(_seconds(answer))]
    for place, second in _places(answer):
        taken[second].append(answer.took_ns[place])
    return taken


def _places(answer: Answer) -> Iterator[tuple[int, int]]:
    """Yield each request that counts, and the second that it is of."""
    skipped, last = _skipped(answer), _seconds(answer) - 1
    for place in range(skipped, len(answer.took_ns)):
        yield place, min(last, int((place - skipped) * answer.every_s))


def _seconds(answer: Answer) -> int:
    return max(1, round((len(answer.took_ns) - _skipped(answer)) * answer.every_s))
