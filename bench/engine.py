"""The engine tier: submit_sm answered a second over loopback, our pool beside other ESMEs and the floor.

A side floods from a process of its own on one core; the SMSC, our simulator, has the other core. A run keeps
every window full, warms up, counts for a while, drains; then the simulator's ledger must agree with what the
side says it sent. Sides take turns, round by round, for each pair of binds and window, without receipts and
with one a message. The floor is a program in C that matches nothing: against our simulator it says what that
gives, and is the yardstick of its round; against an SMSC like itself, what the machine gives. Beside it stand
octets of the same sizes through uvloop, without SMPP on either side: what an event loop gives.
"""

import sys
from collections.abc import Callable, Sequence
from itertools import count
from statistics import median
from types import ModuleType
from typing import Final, NamedTuple

from bench.arena import FailedError, Figure, Gauge, Smsc, children_s, flood, smsc_of
from bench.clients import (
    aiosmpplib,
    cloudhopper,
    encoded,
    floor,
    gosmpp,
    jsmpp,
    kannel,
    node_smpp,
    pool,
    raw,
    smpp34,
    smpplib,
)
from bench.clients.face import Client, Job, Outcome
from bench.machine import describe_run
from bench.results import Result, Row
from bench.timing import Spread, ratios

BINDS: Final = (1, 4, 10)
WINDOWS: Final = (10, 100, 1000)
PEERS: Final[tuple[ModuleType, ...]] = (
    smpp34, aiosmpplib, smpplib, node_smpp, kannel, gosmpp, cloudhopper, jsmpp,
)  # fmt: skip
WARMER: Final = {cloudhopper.NAME: 10, jsmpp.NAME: 10, kannel.NAME: 5}
"""Times the warm-up of the others: what compiles while it runs, or fills a queue of its own first."""
PEERS_WINDOW: Final = 100
PEERS_ROUNDS: Final = 3
TRIES: Final = 3
"""More, of a run whose span saw nothing."""
C_PAIR: Final = "C flood, C SMSC"

BEST_PEER: Final = {
    (1, 10): 95_098, (1, 100): 113_478, (1, 1000): 119_735,
    (4, 10): 112_304, (4, 100): 168_369, (4, 1000): 306_892,
    (10, 10): 133_918, (10, 100): 232_163, (10, 1000): 288_794,
}  # fmt: skip
"""gosmpp, the fastest of ten clients, in messages a second without receipts; below, two C programs. Measured
on 2026-11-23 on two cores of an AMD EPYC. We aim at twice the peer, or at three quarters of the floor."""
C_FLOOR: Final = {
    (1, 10): 122_290, (1, 100): 1_080_296, (1, 1000): 6_993_104,
    (4, 10): 1_225_575, (4, 100): 6_930_857, (4, 1000): 18_458_081,
    (10, 10): 1_391_276, (10, 100): 8_932_514, (10, 1000): 18_229_516,
}  # fmt: skip
AIMS: Final = {(4, 100, 0): 1_500_000, (4, 100, 1): 700_000}
"""Promised, in messages a second, by binds, window, receipts."""


class Effort(NamedTuple):
    """How much is measured."""

    rounds: int
    warm_s: float
    span_s: float
    pairs: tuple[tuple[int, int], ...]


FULL: Final = Effort(5, 0.2, 0.5, tuple((binds, window) for binds in BINDS for window in WINDOWS))
QUICK: Final = Effort(2, 0.1, 0.15, ((1, 10), (4, 100)))


def measure(quick: bool, progress: Callable[[str], object] = print) -> Result:
    """Run the tier."""
    effort = QUICK if quick else FULL
    if (lacking := floor.missing()) is not None:
        raise SystemExit(f"the floor is the yardstick, and {lacking.reason}")
    lacks = {peer.NAME: peer.missing() for peer in PEERS}
    absent = {name: lack.reason for name, lack in lacks.items() if lack is not None}
    rows: list[Row] = []
    with smsc_of(floor.smsc(0)) as smsc:
        gauge = Gauge(smsc)
        for receipts in (0, 1):
            for binds, window in effort.pairs:
                race = Race(binds, window, receipts, effort, gauge)
                progress(race.name)
                rows += race.run([peer for peer in PEERS if peer.NAME not in absent])
                absent |= race.failed
        progress(str(gauge))
    return Result(
        tier="engine",
        run=describe_run("bench.run"),
        quick=quick,
        rounds=effort.rounds,
        method=f"{gauge}; warm-up {effort.warm_s} s, span {effort.span_s} s; see bench/README.md",
        corpora=dict.fromkeys((row["corpus"] for row in rows), "binds x window"),
        rows=rows,
        absent=absent,
    )


class Race:
    """All sides at one pair of binds and window."""

    def __init__(self, binds: int, window: int, receipts: int, effort: Effort, gauge: "Gauge") -> None:
        self.name = f"{binds} x {window}{', receipts' if receipts else ''}"
        self.failed: dict[str, str] = {}
        self._job = Job(0, "", binds, window, receipts, effort.warm_s, effort.span_s)
        self._rounds = effort.rounds
        self._gauge = gauge
        self._numbers = count()

    def run(self, peers: Sequence[ModuleType]) -> list[Row]:
        """Take turns; return the rows."""
        modules = [floor, pool, encoded, *(peers if self._job.window == PEERS_WINDOW else ())]
        sides = (*(each.NAME for each in modules), raw.NAME, C_PAIR)
        figures: dict[str, list[Figure]] = {side: [] for side in sides}
        simulator = [sys.executable, "-m", "bench.clients.smsc"]
        in_c = floor.smsc(self._job.receipts)
        octets = raw.smsc(self._job.receipts)
        with smsc_of(simulator) as ours, smsc_of(in_c) as theirs, smsc_of(octets) as none:
            for at in range(self._rounds):
                turn = at % len(modules)
                for module in modules[turn:] + modules[:turn]:
                    if module in peers and at >= PEERS_ROUNDS:
                        continue
                    try:
                        figures[module.NAME].append(self._once(module, ours, checked=True))
                    except FailedError as error:
                        if module not in peers:
                            raise
                        self.failed[f"{module.NAME} in a run of {self.name}"] = str(error)
                figures[raw.NAME].append(self._once(raw, none, checked=False))
                figures[C_PAIR].append(self._once(floor, theirs, checked=False))
        versions = {module.NAME: module.version() for module in (*modules, raw)}
        return [
            self._row(side, versions.get(side, ""), found, figures)
            for side, found in figures.items()
            if found
        ]

    def _once(self, client: Client, smsc: Smsc, *, checked: bool) -> Figure:
        """Let one side flood once, or until nothing disturbs it."""

        def once(tries: int = TRIES) -> tuple[Figure, float]:
            account = f"run{next(self._numbers)}"
            smsc_begun_s, begun_s = smsc.cpu_s, children_s()
            warm_s = self._job.warm_s * WARMER.get(client.NAME, 1)
            job = self._job._replace(port=smsc.port, system_id=account, warm_s=warm_s)
            outcome = flood(client.command(job))
            if checked:
                _agree(smsc, account, outcome, self._job.receipts)
            smsc_s = smsc.cpu_s - smsc_begun_s
            if not outcome.messages:  # others had its core all the time
                if not tries:
                    raise FailedError("nothing was answered in the span")
                return once(tries - 1)
            figure = Figure(
                outcome.seconds / outcome.messages * 1e9,
                outcome.cpu_s / outcome.messages * 1e6,
                smsc_s / outcome.sent * 1e6,
            )
            return figure, smsc_s + children_s() - begun_s

        return self._gauge.undisturbed(once)

    def _row(self, side: str, version: str, found: list[Figure], figures: dict[str, list[Figure]]) -> Row:
        values = [figure.ns for figure in found]
        yardstick = [figure.ns for figure in figures[floor.NAME]]
        our = [figure.ns for figure in figures[pool.NAME]]
        spread = Spread.of(values)
        to_ours = ratios(values, our[: len(values)])
        row = Row(
            corpus=self.name,
            side=side,
            version=version,
            ours=side in (pool.NAME, encoded.NAME),
            median=spread.median,
            min=spread.min,
            max=spread.max,
            rounds=values,
            yardstick=ratios(values, yardstick[: len(values)]),
            ratio=spread.median / median(our),
            ratio_min=min(to_ours),
            ratio_max=max(to_ours),
            cpu_us=median(figure.cpu_us for figure in found),
            smsc_cpu_us=median(figure.smsc_cpu_us for figure in found),
        )
        pair = (self._job.binds, self._job.window)
        if side == pool.NAME and (aim := aimed(*pair, self._job.receipts)):
            row["target"] = 1e9 / aim
        return row


def aimed(binds: int, window: int, receipts: int) -> float:
    """Return the messages a second that we aim at; 0: nothing was promised."""
    promised = AIMS.get((binds, window, receipts), 0)
    if receipts:
        return promised
    return max(promised, min(2 * BEST_PEER[binds, window], 0.75 * C_FLOOR[binds, window]))


def _agree(smsc: Smsc, account: str, outcome: Outcome, receipts: int) -> None:
    """Compare what a side says with the ledger."""
    for _ in range(100):  # it hears of the last acknowledgement a moment later
        totals = smsc.totals(account)
        accepted = totals["submits"] == totals["responses"].get("0", 0) == outcome.sent
        if accepted and (not receipts or totals["acknowledged"].get("0", 0) == outcome.sent):
            return
    raise FailedError(f"{outcome.sent} sent, but the ledger says {totals}")
