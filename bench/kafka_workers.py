"""Workers that share topics: one against two on the same cores, in one run, by turns; what a segment costs.

The topics are full before workers start, all at once, so that they join one generation of the group. Broker,
carrier and workers share whatever cores there are: with two, two workers have half of one each when the rest
wants the other, so the ratio by the clock says more of this machine than of the workers; their CPU price says
what sharing costs. A flow counts only if the ledgers agree.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import SIGTERM
from statistics import median
from time import monotonic, sleep
from typing import Any, Final, NamedTuple

from bench.arena import FailedError
from bench.machine import ROOT
from dispatcher.cli import rig
from dispatcher.cli.config import toml_lines
from tests.kafka.brokers import Broker
from tests.kafka.fleet import Plan
from tests.kafka.house import make_topics
from tests.kafka.producer import Order, Writer

LIMIT_S: Final = 300.0
START_S: Final = 40.0
STEP_S: Final = 0.05
SIMULATOR: Final = """\
ledger = "counts"
[accounts.bank]
receipts = { delay_ms = 100 }
"""
Counter = Callable[[str, str, int], Any]
"""Waits until a topic at a broker has told of so many: bench.kafka.count."""
PLAN: Final = Plan(carriers={"bank": {"tps": 1_000_000.0}}, simulator=SIMULATOR, binds=4, window=250)


class Turn(NamedTuple):
    """What so many workers did once."""

    workers: int
    segments: int
    seconds: float
    cpu_s: float
    """Of all workers, between the first submit and the last outcome."""

    @property
    def per_s(self) -> float:
        """Segments a second, by the clock."""
        return self.segments / self.seconds

    @property
    def cpu_ns(self) -> float:
        """Of a segment."""
        return self.cpu_s / self.segments * 1e9


def by_turns(messages: int, rounds: int, count: Counter, progress: Callable[[str], object]) -> dict[str, Any]:
    """Let one worker, then two, empty full topics, so many times; return the figures."""
    turns: dict[int, list[Turn]] = {1: [], 2: []}
    for number in range(rounds):
        for workers, done in turns.items():
            done.append(turn(messages, workers, count))
            progress(f"round {number + 1}: {workers} worker(s), {done[-1].per_s:,.0f} segments a second")
    ratios = [two.per_s / one.per_s for one, two in zip(turns[1], turns[2], strict=True)]
    return {
        "messages": messages,
        "segments": turns[1][0].segments,
        "rounds": rounds,
        "cores": len(os.sched_getaffinity(0)),
        "per_s": {str(workers): [each.per_s for each in done] for workers, done in turns.items()},
        "cpu_ns": {str(workers): [each.cpu_ns for each in done] for workers, done in turns.items()},
        "ratio": median(ratios),
        "by_price": 2 * median(each.cpu_ns for each in turns[1]) / median(each.cpu_ns for each in turns[2]),
        "ratios": ratios,
    }


def turn(messages: int, workers: int, count: Counter) -> Turn:
    """Empty full topics through so many workers. FailedError: the ledgers do not agree."""
    (ROOT / "build").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-workers-", dir=ROOT / "build"))
    broker = Broker("tansu", folder)
    processes: list[Any] = []
    try:
        broker.start()
        asyncio.run(make_topics(PLAN.table(broker.address)))
        asyncio.run(Writer(Order(broker.address, PLAN.prefix, messages, 1e9)).run())
        carriers = rig.Carriers(folder, SIMULATOR)
        processes.append(carriers.process)
        folders: list[tuple[Path, int, int]] = []
        for number in range(workers):
            (place := folder / f"worker-{number}").mkdir()
            ports = rig.free_ports(2)
            config = PLAN.config(broker.address, carriers.port, *ports) | {"log": {"level": "error"}}
            (place / rig.CONFIG).write_text("\n".join(toml_lines(config)) + "\n", "utf-8")
            folders.append((place, ports[0], ports[1]))
        with ThreadPoolExecutor(workers) as starters:
            daemons = list(starters.map(lambda its: rig.Daemon(*its), folders))
        processes += [each.process for each in daemons]
        start_s = monotonic()
        while not (begun := carriers.submits()):
            if monotonic() > start_s + START_S:
                raise FailedError(f"nothing is sent: {(folders[0][0] / rig.LOG).read_text()[-2000:]}")
            sleep(STEP_S)
        begun_s, cpu_s = monotonic(), sum(each.cpu_s() for each in daemons)
        asyncio.run(count(broker.address, f"{PLAN.prefix}.outcomes", messages))
        seconds = monotonic() - begun_s
        cpu_s = sum(each.cpu_s() for each in daemons) - cpu_s
        codes = [rig.end(each.process, SIGTERM) for each in daemons]
        submits = carriers.submits()
    finally:
        rig.kill_all(processes)
        broker.stop()
        shutil.rmtree(folder, ignore_errors=True)
    segments = messages * 25 // 20
    if any(codes) or submits != segments:
        raise FailedError(f"{segments} segments, {submits} at the carrier; workers ended with {codes}")
    return Turn(workers, segments - begun, seconds, cpu_s)
