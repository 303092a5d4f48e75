"""``python -m tests.fuzz.run --cases N [--jobs J] [--seed S]``: random and mangled input for all readers.

``make fuzz`` runs it under the sanitizers. Every target gets its share of the cases, in turns; a turn's dice
are made of the seed, the target and the turn's number, so ``--target NAME --turn N`` repeats it alone. A
failure, a crash and a hang all print the input under test and the command that repeats it; exit code 1.
"""

import argparse
import faulthandler
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from random import Random
from typing import Final, NamedTuple

from tests.fuzz import buckets, codec, desk, encoder, streams, texts

TARGETS: Final[dict[str, tuple[Callable[[Random, int], int], float]]] = {
    "codec": (codec.turn, 0.45),
    "streams": (streams.turn, 0.25),
    "texts": (texts.turn, 0.2),
    "buckets": (buckets.turn, 0.05),
    "encoder": (encoder.turn, 0.05),
}
"""What is tried, and its share of the cases. An input is a PDU, a text, a header, a time, a call."""

HANG_S: Final = 20
"""A turn takes some milliseconds; one that takes so long never ends."""


class Worker(NamedTuple):
    """A process that tries its share, and what it tells."""

    process: multiprocessing.process.BaseProcess
    inbox: Connection
    desk: desk.Desk


def dice_of(seed: int, target: str, turn: int) -> Random:
    """Return the dice of one turn."""
    return Random(f"{seed}/{target}/{turn}")


def work(seed: int, cases: int, first: int, step: int, own: desk.Desk, outbox: Connection) -> None:
    """Try turns first, first + step, ... of every target; tell what was done, or what failed."""
    faulthandler.enable()
    desk.DESK = own
    done = dict.fromkeys(TARGETS, 0)
    turns = dict.fromkeys(TARGETS, first)
    slowest, told = 0.0, time.monotonic()
    began = told
    while sum(done.values()) < cases:
        name = min(TARGETS, key=lambda each: done[each] / TARGETS[each][1])
        turn = turns[name]
        own.begin([*TARGETS].index(name), turn)
        try:
            done[name] += TARGETS[name][0](dice_of(seed, name, turn), turn)
        except Exception as error:
            outbox.send(("failed", f"{type(error).__name__}: {error!r:.3000}"))
            raise
        turns[name] = turn + step
        now = time.monotonic()
        slowest, began = max(slowest, now - began), now
        if now - told > 1:
            outbox.send(("alive", dict(done)))
            told = now
    outbox.send(("done", (done, slowest)))


def start(seed: int, cases: int, jobs: int) -> list[Worker]:
    """Start the processes: forked, so that their desks are ours too."""
    fork = multiprocessing.get_context("fork")
    workers = []
    for index in range(jobs):
        inbox, outbox = fork.Pipe(duplex=False)
        own = desk.Desk()
        arguments = (seed, -(-cases // jobs), index, jobs, own, outbox)
        process = fork.Process(target=work, args=arguments, daemon=True)
        process.start()
        outbox.close()
        workers.append(Worker(process, inbox, own))
    return workers


def blame(worker: Worker, seed: int, what: str) -> None:
    """Print what failed, its input, and how to repeat it."""
    index, turn, octets = worker.desk.read()
    target = [*TARGETS][index]
    print(f"FAILED: {what}\ninput: {octets.hex()}")
    print(f"again: make fuzz ARGS='--seed {seed} --target {target} --turn {turn}'", flush=True)


def run(seed: int, cases: int, jobs: int) -> int:
    """Run all targets in `jobs` processes; return the exit code."""
    began = time.monotonic()
    workers = start(seed, cases, jobs)
    done: dict[int, dict[str, int]] = {}
    heard = dict.fromkeys(range(jobs), began)
    slowest, running = 0.0, set(range(jobs))
    failed = False
    while running and not failed:
        ready = wait([workers[index].inbox for index in running], timeout=1)
        for index in [*running]:
            worker = workers[index]
            if worker.inbox in ready:
                try:
                    kind, said = worker.inbox.recv()
                except EOFError:  # it died, and did not say of what
                    worker.process.join()
                    kind, said = "failed", f"the process ended with {worker.process.exitcode}; see above"
                heard[index] = time.monotonic()
                if kind == "failed":
                    failed = True
                    blame(worker, seed, said)
                elif kind == "alive":
                    done[index] = said
                else:
                    done[index], took = said
                    slowest = max(slowest, took)
                    running.discard(index)
            elif time.monotonic() - heard[index] > HANG_S:
                failed = True
                os.kill(worker.process.pid or 0, signal.SIGABRT)  # faulthandler prints where it is
                worker.process.join(5)
                blame(worker, seed, f"no turn takes {HANG_S} s: it hangs")
        if sys.stderr.isatty():
            tried = sum(sum(each.values()) for each in done.values())
            print(f"\r{tried:,} cases", end="", file=sys.stderr)
    for worker in workers:
        worker.process.kill()
        worker.process.join()
    if failed:
        return 1
    total = {name: sum(each[name] for each in done.values()) for name in TARGETS}
    took, tried = time.monotonic() - began, sum(total.values())
    shares = ", ".join(f"{name} {count:,}" for name, count in total.items())
    print(f"{tried:,} cases ({shares}), 0 failures, slowest turn {slowest * 1000:.0f} ms")
    print(f"{took:.0f} s in {jobs} processes, {tried / took:,.0f} a second")
    return 0


def repeat(seed: int, target: str, turn: int) -> int:
    """Run one turn in this process; return the exit code."""
    faulthandler.dump_traceback_later(HANG_S, exit=True)
    try:
        tried = TARGETS[target][0](dice_of(seed, target, turn), turn)
    except Exception:
        print(f"input: {desk.DESK.read()[2].hex()}", flush=True)
        raise
    finally:
        faulthandler.cancel_dump_traceback_later()
    print(f"{target}, turn {turn}: {tried} cases, 0 failures")
    return 0


def main() -> int:
    """Read the arguments; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes; the cores there are"
    )
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--target", choices=TARGETS, default=None, help="with --turn: repeat one turn of it")
    parser.add_argument("--turn", type=int, default=None)
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else Random().randrange(1 << 32)
    if (given.target is None) != (given.turn is None):
        parser.error("--target and --turn go together")
    if given.target is not None:
        return repeat(seed, given.target, given.turn)
    print(f"seed {seed}", flush=True)
    return run(seed, given.cases, given.jobs)


if __name__ == "__main__":
    sys.exit(main())
