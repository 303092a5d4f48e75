"""``make demo-kafka``: the proof of ``make demo``, with several workers and Kafka instead of a journal.

A broker from PyPI (Tansu), three simulated carriers, two workers that share the topics. A producer writes a
day's mix to the topics of the classes; one worker is killed with -9 in the middle and started again. In the
end the ledgers of the producer, the carriers and the topics are compared (reckoning.py). It is among the
tests because its broker is: none is needed at run time.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.kafka.brokers import Broker, absent
from tests.kafka.fleet import IDLE_S, Fleet, Plan
from tests.kafka.reckoning import Reckoning, shown

SEGMENTS: Final = int(os.environ.get("DEMO_SEGMENTS", "100000"))
RATE: Final = 4_000
"""Segments a second: workers, broker, producer and carriers share two cores."""
LINE_S: Final = 2.0
SIMULATOR: Final = """\
ledger = "tokens"
times = true
[accounts.north]  # throttles what is above its limit
tps = 1200
latency_ms = 2
receipts = { delay_ms = 300, resend_after_ms = 2000 }
[accounts.south]  # answers in hexadecimal, reports in decimal, late
latency_ms = 5
receipts = { delay_ms = 2500, resend_after_ms = 2000, states = { DELIVRD = 0.98, UNDELIV = 0.02 } }
message_id = { notation = "HEX", receipt_notation = "decimal" }
[accounts.east]  # cuts the line now and then
latency_ms = 3
receipts = { delay_ms = 500, resend_after_ms = 2000 }
mischief = [{ kind = "reset", share = 0.00002 }]
"""
PLAN: Final = Plan(
    carriers={
        "north": {"tps": 1_400.0, "profile": "smpp34"},  # the contract said so once
        "south": {"tps": 3_000.0, "profile": "hex_ids"},
        "east": {"tps": 3_000.0, "profile": "smpp34"},
    },
    simulator=SIMULATOR,
    more={"routes": [{"carriers": ["north", "south", "east"], "weights": [3, 4, 3]}]},
)


def story(fleet: Fleet) -> Reckoning:
    """Start, produce, kill, start again, drain, stop."""
    began_s = time.monotonic()

    def tell(what: str) -> None:
        print(f"  {time.monotonic() - began_s:5.1f} s  {what}")

    def watch(is_enough: Callable[[], object]) -> None:
        """Say what goes on, until it is enough."""
        line_s, submits, told = time.monotonic(), fleet.carriers.submits(), len(fleet.told)
        while not is_enough():
            fleet.read()
            time.sleep(0.1)
            now_s = time.monotonic()
            if now_s >= line_s + LINE_S:
                sent = fleet.carriers.submits()
                told_now = len(fleet.told)
                passed_s = now_s - line_s
                tell(
                    f"{(sent - submits) / passed_s:>6,.0f} submitted/s {(told_now - told) / passed_s:>6,.0f} "
                    f"ended/s {sent:>9,} submitted {told_now:>9,} ended"
                )
                line_s, submits, told = now_s, sent, told_now

    messages = SEGMENTS * 20 // 25
    print(
        "A broker, three simulated carriers, two workers that share its topics. A producer writes "
        f"{messages:,} messages of four\nclasses to their topics, {SEGMENTS:,} segments, {RATE:,} a second."
    )
    fleet.add("one")
    fleet.add("two")
    tell("both workers have joined, and each has half of the indices")
    fleet.produce(messages, RATE * 20 / 25)
    watch(lambda: fleet.carriers.submits() >= SEGMENTS // 2)
    fleet.kill("one")
    tell(f"kill -9 of one worker, after {fleet.carriers.submits():,} segments")
    fleet.add("one")
    tell("it was started again: it has its indices, and what was in hand")
    watch(lambda: fleet.producer.poll() is not None)
    tell("all is produced; what is under way is waited for")
    last: list[Any] = [0, time.monotonic()]

    def is_over() -> bool:
        if len(fleet.ended) != last[0]:
            last[:] = [len(fleet.ended), time.monotonic()]
        return len(fleet.ended) == messages or time.monotonic() > last[1] + IDLE_S

    watch(is_over)
    found = fleet.end()
    cpu_us = fleet.cpu_s / max(found.sent, 1) * 1e6
    tell(f"all have ended well; {cpu_us:.0f} us of CPU a segment, of both workers, their starts included")
    return found


def main() -> int:
    """Tell the story; the exit code says whether the proof holds."""
    if why := absent("tansu"):
        print(why, file=sys.stderr)
        return 69
    folder = Path(tempfile.mkdtemp(prefix="dispatcher-demo-"))
    broker = Broker("tansu", folder)
    try:
        broker.start()
        with Fleet(folder, broker.address, PLAN) as fleet:
            found = story(fleet)
            cut = fleet.breaks.get("cut", 0)
    finally:
        broker.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print("\nThe ledgers of the producer, the carriers and the topics, side by side:")
    print("\n".join(shown(found)))
    print(f"  The bound: the windows of the worker that was killed, and of {cut} lines that a carrier cut.")
    for each in found.complaints():
        print(f"WRONG: {each}")
    print("The proof holds." if found.holds else "THE PROOF FAILS.")
    return 0 if found.holds else 1


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.exit(main())
