"""What the store costs: commits by size, what they wait for, reading, finding, the projection.

    python -m bench.store [--quick] [--folder F] [--output FILE]

The result is JSON, with date, machine and command. Latencies depend on what the disk of the folder takes for
an fsync, which is measured beside them; processor time does not.
"""

import argparse
import asyncio
import json
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import uvloop

from bench.machine import describe_run
from dispatcher._ext.events import EventBuffer
from dispatcher.model import EventKind, Message, Outcome, Reason
from dispatcher.store import schema, writer
from dispatcher.store.audit import audit
from dispatcher.store.journal import Journal, Row
from dispatcher.store.projection import Projection
from dispatcher.store.records import EVENTS_STREAM, pack_messages, unpack_messages

TEXT: Final = "Your one-time code is 482913. Do not tell it to anyone, not even."
DELIVERED: Final = Outcome.DELIVERED << 16 | Reason.RECEIPT
OUTSTANDING: Final = 64
"""Appends that are not done yet, where throughput is measured."""

Figures = dict[str, Any]


def message(n: int) -> Message:
    """A code, 160 octets as a record."""
    key = random.getrandbits(64)
    names = (n, os.urandom(16), f"7{9000000000 + n % 999999999}", "Bank", TEXT)
    return Message(
        *names, n % 4, 1_795_000_000_000 + n, 1_795_000_300_000, 0, 1, n % 256, (1,), f"ref-{n}", key, key
    )


def story(buffer: EventBuffer, n: int) -> None:
    """What happens to most messages."""
    for kind, code, tail in (
        (EventKind.CLAIMED, 1, b"\1\0"),
        (EventKind.SUBMITTED, 1 << 8, b"%010d" % n),
        (EventKind.RECEIPTED, 2, b"000"),
        (EventKind.FINISHED, DELIVERED, b""),
    ):
        buffer.add(kind, n, 1_795_000_000_000 + n, 0, 1, code, tail)


@contextmanager
def opened(folder: Path) -> Iterator[Journal]:
    """A store of its own, deleted afterwards."""
    store = Path(tempfile.mkdtemp(dir=folder))
    try:
        yield Journal.open(
            store, clock_ms=lambda: time.time_ns() // 1_000_000, reserve_octets=0, low_octets=0
        )
    finally:
        shutil.rmtree(store)


def in_loop(folder: Path, run: Callable[[Journal], Awaitable[Figures]]) -> Figures:
    """Run with a journal that is written."""

    async def main(journal: Journal) -> Figures:
        journal.start(asyncio.get_running_loop(), on_failure=lambda error: sys.exit(f"{error}"))
        for number in range(12):
            journal.stream(str(number))
        try:
            return await run(journal)
        finally:
            await journal.close()

    with opened(folder) as journal:
        return uvloop.run(main(journal))


def cpu_s() -> float:
    """Of this process, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def spread_ms(seconds: list[float]) -> Figures:
    """Median and 99th percentile."""
    ordered = sorted(seconds)
    return {
        "p50_ms": round(1e3 * ordered[len(ordered) // 2], 3),
        "p99_ms": round(1e3 * ordered[len(ordered) * 99 // 100], 3),
    }


def fsync(folder: Path, times: int) -> Figures:
    """What the disk takes for the least: write one page at the same place, and sync."""
    taken = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(times):
            started_s = time.perf_counter()
            os.pwrite(file.fileno(), bytes(4096), 0)
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - started_s)
    return spread_ms(taken)


# ---- commits ----


def one_by_one(folder: Path, records: int, streams: int, seconds: float) -> Figures:
    """Append, wait until it is done, append: how long a caller waits."""
    rows = _rows(records, streams)

    async def run(journal: Journal) -> Figures:
        loop = asyncio.get_running_loop()
        taken: list[float] = []
        end_s = time.perf_counter() + seconds
        while (started_s := time.perf_counter()) < end_s:
            done = loop.create_future()
            journal.append(rows, lambda error, done=done: done.set_result(error))  # type: ignore[misc]
            await done
            taken.append(time.perf_counter() - started_s)
        return {"commits_s": round(len(taken) / seconds), **spread_ms(taken)}

    return in_loop(folder, run)


def at_full_rate(folder: Path, records: int, streams: int, seconds: float) -> Figures:
    """Many appends at a time: records a second, and what one costs."""
    rows = _rows(records, streams)

    async def run(journal: Journal) -> Figures:
        loop = asyncio.get_running_loop()
        finished = loop.create_future()
        pending: deque[float] = deque()
        taken: list[float] = []
        begin_s, begin_cpu_s = time.perf_counter(), cpu_s()

        def more() -> None:
            pending.append(time.perf_counter())
            journal.append(rows, done)

        def done(error: Exception | None) -> None:
            now_s = time.perf_counter()
            taken.append(now_s - pending.popleft())
            if now_s < begin_s + seconds:
                more()
            elif not pending:
                finished.set_result(None)

        for _ in range(OUTSTANDING):
            more()
        await finished
        spent_s, spent_cpu_s = time.perf_counter() - begin_s, cpu_s() - begin_cpu_s
        written = len(taken) * records * streams
        return {
            "records_s": round(written / spent_s),
            "cpu_us_a_record": round(1e6 * spent_cpu_s / written, 3),
            "commits_s": round(journal.metrics.commits / spent_s),
            **spread_ms(taken),
        }

    return in_loop(folder, run)


def _rows(records: int, streams: int) -> list[Row]:
    messages = [message(n) for n in range(1, records + 1)]
    body = pack_messages(messages)
    return [Row(stream, 1, records, records, body) for stream in range(1, streams + 1)]


def beside_a_busy_loop(folder: Path, interval_s: float, turn_ms: float, seconds: float) -> Figures:
    """The loop computes in turns: how long an append waits, by the interval at which threads take turns."""
    rows = _rows(100, 1)

    async def run(journal: Journal) -> Figures:
        sys.setswitchinterval(interval_s)
        taken: list[float] = []
        end_s = time.perf_counter() + seconds
        while (started_s := time.perf_counter()) < end_s:
            journal.append(rows, lambda error, since_s=started_s: taken.append(time.perf_counter() - since_s))  # type: ignore[misc]
            while time.perf_counter() < started_s + turn_ms / 1e3:
                pass
            await asyncio.sleep(0)
        while journal.queue_appends:
            await asyncio.sleep(0.001)
        return spread_ms(taken)

    return in_loop(folder, run)


# ---- reading ----


def reading(folder: Path, messages: int, batch: int) -> Figures:
    """A store of many messages that have ended: read, find, fold, audit."""

    async def run(journal: Journal) -> Figures:
        buffer = EventBuffer()
        loop = asyncio.get_running_loop()
        for first in range(1, messages + 1, batch):
            some = [message(n) for n in range(first, min(first + batch, messages + 1))]
            for each in some:
                story(buffer, each.n)
            count, body = buffer.take()
            rows = [Row(1 + first // batch % 12, some[0].n, some[-1].n, len(some), pack_messages(some))]
            done = loop.create_future()
            journal.append(
                [*rows, Row(EVENTS_STREAM, 0, 0, count, body)],
                lambda error, done=done: done.set_result(error),  # type: ignore[misc]
            )
            await done
        figures = {"octets_a_message": round((journal.folder / schema.JOURNAL).stat().st_size / messages)}
        wanted = [random.randint(1, messages) for _ in range(200)]
        started_s = time.perf_counter()
        for n in wanted:
            assert (await journal.find([n]))[n].n == n
        figures["find_one_us"] = round(1e6 * (time.perf_counter() - started_s) / len(wanted))
        started_s = time.perf_counter()
        assert len(await journal.find(wanted)) == len(set(wanted))
        figures["find_200_us_each"] = round(1e6 * (time.perf_counter() - started_s) / len(wanted))
        figures |= await asyncio.to_thread(_alone, journal.folder, messages)
        return figures

    return in_loop(folder, run)


def _alone(folder: Path, messages: int) -> Figures:
    projection = Projection(folder, lambda *row: None)
    reader = projection._reader
    figures: Figures = {}

    def timed(name: str, call: Callable[[], object]) -> None:
        started_s, started_cpu_s = time.perf_counter(), cpu_s()
        call()
        figures[f"{name}_s"] = round(messages / (time.perf_counter() - started_s))
        figures[f"{name}_cpu_us_each"] = round(1e6 * (cpu_s() - started_cpu_s) / messages, 2)

    def read(unpack: bool) -> None:
        seq = 0
        while rows := reader.rows(seq, 4 << 20):
            for row in rows:
                if unpack and row.holds_messages:
                    unpack_messages(row.body, row.count)
            seq = rows[-1].seq

    def fold() -> None:
        while projection.catch_up():
            pass

    def look_up() -> None:
        for n in numbers:
            assert projection.lookup(n)

    timed("recovery_rows", lambda: read(False))
    timed("recovery_messages_unpacked", lambda: read(True))
    timed("projection_messages", fold)
    numbers = random.sample(range(1, messages + 1), 1000)
    started_s = time.perf_counter()
    look_up()
    figures["lookup_us"] = round(1e3 * (time.perf_counter() - started_s), 1)
    size = (folder / "projection.db").stat().st_size
    figures["projection_octets_a_message"] = round(size / messages)
    projection.close()
    timed("audit_messages", lambda: audit(folder))
    return figures


def measure(folder: Path, quick: bool) -> Figures:
    """Everything."""
    seconds = 0.3 if quick else 2.0
    result: Figures = {"run": describe_run("bench.store"), "quick": quick, "fsync": fsync(folder, 200)}
    say(f"fsync {result['fsync']}")
    for streams in (1, 12):
        for records in (1, 10, 100, 1000):
            key = f"{records} records in {streams} streams"
            result[key] = {
                "one by one": one_by_one(folder, records, streams, seconds),
                "at full rate": at_full_rate(folder, records, streams, seconds),
            }
            say(f"{key}: {result[key]}")
    normal = schema.PAGE_OCTETS
    for octets in (4096, 8192, 16384):
        schema.PAGE_OCTETS = octets  # type: ignore[misc]
        by_records = {
            str(records): [
                one_by_one(folder, records, 1, seconds),
                at_full_rate(folder, records, 12, seconds),
            ]
            for records in (1, 100)
        }
        result[f"pages of {octets}"] = by_records
        say(f"pages of {octets}: {by_records}")
    schema.PAGE_OCTETS = normal  # type: ignore[misc]
    for interval_s in (0.005, 0.001, writer.SWITCH_INTERVAL_S, 0.0001):
        figures = {
            f"turns of {turn} ms": beside_a_busy_loop(folder, interval_s, turn, seconds)
            for turn in (0.5, 2, 8)
        }
        result[f"switch interval {1e3 * interval_s} ms"] = figures
        say(f"switch interval {1e3 * interval_s} ms: {figures}")
    messages = 50_000 if quick else 1_000_000
    result["reading"] = {"messages": messages, **reading(folder, messages, 500)}
    say(f"reading: {result['reading']}")
    return result


def say(line: str) -> None:
    """Tell how far it is, beside the result."""
    print(line, file=sys.stderr)


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.store", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="coarsely, half a minute")
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()), help="on the disk to measure"
    )
    parser.add_argument("--output", type=Path, help="write the JSON there, and not to standard output")
    given = parser.parse_args()
    text = json.dumps(measure(given.folder, given.quick), indent=1)
    if given.output:
        given.output.write_text(text + "\n")
    else:
        print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
