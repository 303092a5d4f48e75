"""``make kafka-long``: three workers, many messages, and all that befalls them; the exit code is the verdict.

    python -m tests.kafka.long --messages 200000

One worker is killed with -9, another one stopped (SIGSTOP) for longer than its session and woken, a fourth
one added, while a producer of its own fills the topics, poison among the messages. Then the ledgers of the
producer, the carrier and the topics are compared: reckoning.py. On a broker from PyPI, on Apache Kafka, or on
the cluster that KAFKA_BOOTSTRAP names.
"""

import argparse
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.kafka.apache import VERSION, apache
from tests.kafka.brokers import BOOTSTRAP, Broker, absent
from tests.kafka.fleet import Fleet, Plan
from tests.kafka.reckoning import Reckoning, shown

STOPPED: Final = 1.5
"""Of a session, that a worker is stopped for."""
POISON_EACH: Final = 100


def story(fleet: Fleet, messages: int, rate: float) -> Reckoning:
    """Let it all happen; return what the ledgers say."""
    began_s = time.monotonic()

    def tell(what: str) -> None:
        print(f"  {time.monotonic() - began_s:6.1f} s  {fleet.carriers.submits():>9,} segments  {what}")

    for name in ("one", "two", "three"):
        fleet.add(name)
    tell("three workers have joined")
    fleet.produce(messages, rate, POISON_EACH)
    fleet.until_sent(0.25)
    fleet.kill("one")
    tell("one is killed with -9")
    fleet.until_sent(0.45)
    fleet.stop("two")
    tell("two is stopped")
    time.sleep(fleet.plan.session_ms / 1000 * STOPPED)
    fleet.wake("two")
    tell(f"two is woken, after {STOPPED} of its session")
    fleet.until_sent(0.65)
    fleet.add("four")
    tell("four is added")
    fleet.wait()
    tell("nothing more comes")
    found = fleet.end()
    cpu_us = fleet.cpu_s / max(found.sent, 1) * 1e6
    print(f"  all have ended well; {cpu_us:.1f} us of CPU a segment, of all workers, their starts included")
    return found


def cluster(stack: ExitStack, folder: Path, is_apache: bool) -> tuple[str, str]:
    """Return the address of brokers that are there until the stack ends, and what they are."""
    if is_apache:
        return stack.enter_context(apache())["KAFKA_BOOTSTRAP"], f"Apache Kafka {VERSION}"
    if BOOTSTRAP:
        return BOOTSTRAP, BOOTSTRAP
    broker = Broker("tansu", folder)
    stack.callback(broker.stop)
    broker.start()
    return broker.address, f"a broker from PyPI ({broker.kind})"


def main() -> int:
    """Read the command line; 0: the proof holds, 1: it does not, 69: there is no broker."""
    parser = argparse.ArgumentParser(prog="python -m tests.kafka.long")
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--tps", type=float, default=3_000.0, help="of the account, over all workers")
    parser.add_argument("--apache", action="store_true", help="on Apache Kafka itself, as make test-kafka")
    parser.add_argument(
        "--keep", action="store_true", help="leave logs and ledgers where they are, and say where"
    )
    given = parser.parse_args()
    if not (BOOTSTRAP or given.apache) and (why := absent("tansu")):
        print(why, file=sys.stderr)
        return 69
    folder = Path(tempfile.mkdtemp(prefix="dispatcher-long-"))
    try:
        with ExitStack() as stack:
            address, what = cluster(stack, folder, given.apache)
            print(f"{given.messages:,} messages of four classes through {what}, {given.tps:,.0f} TPS:")
            more = {"idempotent": bool(BOOTSTRAP or given.apache)}  # Tansu cannot
            plan = Plan(tps=given.tps, prefix=f"long-{folder.name[-8:]}", kafka=more)
            fleet = stack.enter_context(Fleet(folder, address, plan))
            found = story(fleet, given.messages, given.tps * 0.8 * 20 / 25)
    finally:
        if given.keep:
            print(f"logs and ledgers: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print("The ledgers of the producer, the carrier and the topics, side by side:")
    print("\n".join(shown(found)))
    for each in found.complaints():
        print(f"WRONG: {each}")
    for each in () if found.holds else found.examples:
        print(f"  {each}")
    print("The proof holds." if found.holds else "THE PROOF FAILS.")
    return 0 if found.holds else 1


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.exit(main())
