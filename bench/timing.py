"""How everything here is timed: sides take turns in one process, and what is compared are their medians.

A machine that does other work too slows all sides of a round alike; so the order turns round by round,
ratios are taken within a run, and a median with its range is reported, never a best case. A pass lasts at
least `budget_ns`, so that neither the clock's grain nor a single interruption is a result. The garbage
collector is emptied, frozen and off, for everyone. The Python loop around each call (some 4 ns) is part of
every figure, and reported beside them.
"""

import gc
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter_ns
from typing import Final, TypeAlias

from dispatcher.cli.load.spread import Spread

__all__ = [
    "Pass",
    "Spread",
    "alternate",
    "at_once",
    "loop_alone",
    "no_collector",
    "one_by_one",
    "ratios",
    "sample",
]

Pass: TypeAlias = Callable[[], float]
"""Does its work once and returns the nanoseconds a text took."""

LOOP_TIMES: Final = 20
TRIAL_TEXTS: Final = 50  # enough to see the magnitude of the slowest peer in 50 ms


@contextmanager
def no_collector() -> Iterator[None]:
    """Switch the garbage collector off for all that is timed within."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def one_by_one(call: Callable[[str], object], texts: Sequence[str], budget_ns: int) -> Pass:
    """Return a pass that calls `call` with text after text: all of them several times, or the first few."""

    def elapsed(some: Sequence[str], times: int) -> int:
        begin = perf_counter_ns()
        for _ in range(times):
            for text in some:
                call(text)
        return perf_counter_ns() - begin

    some, times = sample(texts, budget_ns, lambda trial: elapsed(trial, 1))
    return lambda: elapsed(some, times) / (times * len(some))


def at_once(call: Callable[[], object], texts: int, budget_ns: int) -> Pass:
    """Return a pass that calls `call`, which works on so many texts at once, until the budget is spent."""

    def elapsed(times: int) -> int:
        begin = perf_counter_ns()
        for _ in range(times):
            call()
        return perf_counter_ns() - begin

    elapsed(1)
    times = max(1, round(budget_ns / elapsed(1)))
    return lambda: elapsed(times) / (times * texts)


def loop_alone(texts: Sequence[str], rounds: int) -> float:
    """Return what the loop of `one_by_one` costs a text when nothing is called in it."""

    def once() -> float:
        begin = perf_counter_ns()
        for _ in range(LOOP_TIMES):
            for _text in texts:
                pass
        return (perf_counter_ns() - begin) / (LOOP_TIMES * len(texts))

    with no_collector():
        return statistics.median(once() for _ in range(rounds))


def sample(
    texts: Sequence[str], budget_ns: int, elapsed: Callable[[Sequence[str]], int]
) -> tuple[Sequence[str], int]:
    """Return how many of the texts, and how many times over, cost about `budget_ns`; warms up on the way."""
    trial = texts[:TRIAL_TEXTS]
    elapsed(trial)
    per_text = max(1, elapsed(trial)) / len(trial)
    fitting = max(len(trial), int(budget_ns / per_text))
    if fitting < len(texts):
        return texts[:fitting], 1
    return texts, max(1, round(fitting / len(texts)))


def alternate(sides: Mapping[str, Pass], rounds: int) -> dict[str, list[float]]:
    """Run every side once a round, in turning order; return each side's figure of every round."""
    figures: dict[str, list[float]] = {name: [] for name in sides}
    order = list(sides)
    with no_collector():
        for _ in range(rounds):
            for name in order:
                figures[name].append(sides[name]())
            order = order[1:] + order[:1]
    return figures


def ratios(side: Sequence[float], ours: Sequence[float]) -> list[float]:
    """Return, round by round, how many times as long as ours a side took."""
    return [theirs / our for theirs, our in zip(side, ours, strict=True)]
