"""Where the sides of the engine tier run: each in a process of its own, pinned, when nobody else works."""

import json
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final, NamedTuple

from bench.clients import floor
from bench.clients.face import Job, Outcome
from bench.machine import ROOT

RUN_LIMIT_S: Final = 40
PATIENCE_S: Final = 2.0
"""How long a run waits for a quiet machine; $DISPATCHER_BENCH_PATIENCE_S overrides it."""
TICKS: Final = os.sysconf("SC_CLK_TCK")


class FailedError(Exception):
    """A side did not do what it says."""


class Figure(NamedTuple):
    """One run of one side."""

    ns: float
    """A message, by the clock."""
    cpu_us: float
    smsc_cpu_us: float


class Smsc:
    """An SMSC in a process of its own, on its core."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.port = int(self._line())

    @property
    def cpu_s(self) -> float:
        """How much CPU time it has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def totals(self, account: str) -> dict[str, Any]:
        """Ask our simulator for an account's totals."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{account}\n")
        self._process.stdin.flush()
        totals: dict[str, Any] = json.loads(self._line())
        return totals

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


class Gauge:
    """Lets runs wait until nobody else works; repeats those that were disturbed all the same.

    Others are seen in /proc/stat. Neighbours on the host are not; but where they work a virtual machine wakes
    up slowly, which shows in a C flood whose windows are so small that waking rules.
    """

    QUIET: Final = 0.75
    """Of the best flood that was ever seen."""
    OTHERS: Final = 0.15
    """Of one core, that others may use."""
    LOOK_S: Final = 0.1

    def __init__(self, smsc: Smsc) -> None:
        self._job = Job(smsc.port, "gauge", 1, 10, 0, 0.01, 0.05)
        self._patience_s = float(os.environ.get("DISPATCHER_BENCH_PATIENCE_S", PATIENCE_S))
        self._best = 0.0
        self._runs = self._disturbed = self._counted = 0
        for _ in range(10):
            self._flood()

    def __str__(self) -> str:
        return (
            f"{self._runs} runs, {self._disturbed} of them disturbed, of which {self._counted} count; "
            f"at 1 x 10 a C flood at best reached {self._best:,.0f} messages/s"
        )

    def undisturbed(self, run: Callable[[], tuple[Figure, float]]) -> Figure:
        """Return the figure of a run that had the machine to itself, or of the first one after our patience.

        `run` says, too, how much CPU time it used.
        """
        end = monotonic() + self._patience_s
        while True:
            while monotonic() < end and not self._quiet():
                pass
            begun, busy_begun_s = monotonic(), busy_s()
            figure, used_s = run()
            self._runs += 1
            if busy_s() - busy_begun_s - used_s < self.OTHERS * (monotonic() - begun):
                return figure
            self._disturbed += 1
            if monotonic() >= end:
                self._counted += 1
                return figure

    def _quiet(self) -> bool:
        begun_s = busy_s()
        sleep(self.LOOK_S)
        return busy_s() - begun_s < self.OTHERS * self.LOOK_S and self._flood() >= self.QUIET * self._best

    def _flood(self) -> float:
        outcome = flood(floor.command(self._job))
        rate = outcome.messages / outcome.seconds
        self._best = max(self._best, rate)
        return rate


def flood(command: list[str]) -> Outcome:
    """Run a side on the first core."""
    return Outcome(**json.loads(run(command)))


def run(command: list[str], limit_s: float = RUN_LIMIT_S) -> str:
    """Run a command on the first core; return what it prints."""
    try:
        done = subprocess.run(
            _pinned(command, 0), cwd=ROOT, capture_output=True, text=True, check=False, timeout=limit_s
        )
    except subprocess.TimeoutExpired:
        raise FailedError(f"not done after {limit_s} s") from None
    if done.returncode:
        raise FailedError(done.stderr.strip().rpartition("\n")[2][:200] or f"exit status {done.returncode}")
    return done.stdout


def killed(command: list[str]) -> str:
    """Run a command on the first core until it has printed a line; kill it with -9, return the line."""
    with subprocess.Popen(_pinned(command, 0), cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.kill()
    if not line:
        raise FailedError("it ended before it said anything")
    return line


@contextmanager
def smsc_of(command: list[str], place: int = 1) -> Iterator[Smsc]:
    """Run an SMSC on the second core; `place` 0: on the first, which it shares, then."""
    pinned = _pinned(command, place)
    with subprocess.Popen(
        pinned, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Smsc(process)
        finally:
            process.terminate()


def _pinned(command: list[str], place: int) -> list[str]:
    """Return the command, to run on the first or the second of the cores that we may use."""
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[place % len(cores)]), *command]


def busy_s() -> float:
    """Return how long the cores that we may use have worked, for whomever; idle and iowait are no work."""
    cores = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    lines = [line.split() for line in Path("/proc/stat").read_text("ascii").splitlines()]
    return (
        sum(int(each) for name, *times in lines if name in cores for each in times[:3] + times[5:8]) / TICKS
    )


def children_s() -> float:
    """Return the CPU time of all children that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
