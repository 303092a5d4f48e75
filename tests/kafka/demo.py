"""``make demo-kafka``: the proof of ``make demo``, with Kafka at both ends.

A broker from PyPI (Tansu), three simulated carriers, a daemon on a fresh store. A producer writes a day's mix
to the topics of the classes at 20,000 segments a second, another one codes; the daemon is killed with -9 in
the middle and started again. In the end the ledgers of the producers, the store, the carriers and the topic
of outcomes are compared. It is among the tests because its broker is: none is needed at run time.
"""

import asyncio
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from dispatcher.cli import rig, screen
from dispatcher.cli.demo import traffic
from dispatcher.cli.demo.__main__ import summary
from dispatcher.cli.demo.proof import Proof, percentile, prove
from dispatcher.faces_kafka import Kafka
from dispatcher.kafka.client import Access
from dispatcher.kafka.outbox import Outbox, Record
from dispatcher.kafka.topics import create, wanted
from tests.kafka.brokers import Broker, absent

LIMIT_S: Final = 240.0
LINE_S: Final = 2.0
IDLE_S: Final = 30.0
"""Without a new outcome: what is in doubt ends 15 s after the last line that was cut."""
_KAFKA: Final = """
[kafka]
brokers = ["{address}"]
idempotent = false   # Tansu does not number batches
allow_unsafe = true  # one broker, in memory
session_ms = 6000    # the group notices a killed daemon after that
"""
_encode = msgspec.json.Encoder().encode


def kafka_of(address: str) -> Kafka:
    """Return the section as a value."""
    return Kafka(brokers=(address,), idempotent=False, allow_unsafe=True, replication=1, min_replication=1)


# ---- producers, a process each ----


async def campaign(outbox: Outbox, told: traffic.Answers) -> None:
    """Write the day's mix at its rate: each class takes what is due and was not written yet."""
    groups: dict[str, list[Record]] = {}
    for number in range(traffic.MESSAGES):
        message = traffic.message(number)
        name = message.pop("traffic_class")
        groups.setdefault(name, []).append(Record(message["to"].encode(), _encode(message), []))
    async with asyncio.TaskGroup() as group:
        for name, records in groups.items():
            group.create_task(_class(outbox, f"sms.{name}", records, told))


async def _class(outbox: Outbox, topic: str, records: list[Record], told: traffic.Answers) -> None:
    loop = asyncio.get_running_loop()
    started_s, seconds, written = loop.time(), traffic.SEGMENTS / traffic.RATE, 0
    while written < len(records):
        due = min(len(records), int(len(records) * (loop.time() - started_s) / seconds))
        if due > written:
            await outbox.insist(topic, records[written:due])
            told.answered += due - written
            written = due
        await asyncio.sleep(traffic.BATCH_S)


async def codes(outbox: Outbox, told: traffic.Answers) -> None:
    """Write codes at times fixed before, until SIGTERM."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    started_s = loop.time()
    while not ended.is_set():
        await asyncio.sleep(traffic.CODE_S)
        asked = range(len(told.asked_ms), int((loop.time() - started_s) / traffic.CODE_S))
        letters = [traffic.code(number) for number in asked]
        late_s = loop.time() - started_s
        told.asked_ms += [int((time.time() - late_s + each * traffic.CODE_S) * 1000) for each in asked]
        for each in letters:
            del each["traffic_class"]
        records = [Record(each["to"].encode(), _encode(each), []) for each in letters]
        await outbox.insist("sms.authorization", records)
        told.answered += len(asked)
        told.answer_ms += [time.time() * 1000 - told.asked_ms[number] for number in asked]


async def produce(what: str, folder: Path, address: str) -> None:
    """Run one producer, write what it knows."""
    outbox = Outbox(Access(kafka_of(address), None, None))
    told = traffic.Answers()
    await (campaign(outbox, told) if what == "campaign" else codes(outbox, told))
    await outbox.stop()
    (folder / f"{what}.json").write_bytes(_encode(told))


# ---- the story ----


class Story:
    """What happens, and what was seen of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.broker = Broker("tansu", folder)
        self.processes: list[subprocess.Popen[Any]] = []
        self.cpu_s = self.sending_s = 0.0
        self.doubled_most = 0
        self.told: list[Any] = []
        """Records of the topic of outcomes."""

    def tell(self) -> None:
        """Start, produce, kill, start again, drain, stop."""
        self.broker.start()
        asyncio.run(_topics(self.broker.address))
        self._carriers = carriers = rig.Carriers(self.folder, traffic.SIMULATOR)
        self.processes.append(carriers.process)
        self._ports = rig.free_ports(2)
        config = traffic.daemon_config(carriers.port, *self._ports)
        (self.folder / rig.CONFIG).write_text(config + _KAFKA.format(address=self.broker.address), "utf-8")
        print(
            "A broker, three simulated carriers, a daemon on a fresh store. One producer writes "
            f"{traffic.SEGMENTS:,} segments\nof four classes to their topics, {traffic.RATE:,} a second, "
            f"another one {1 / traffic.CODE_S:.0f} codes a second."
        )
        daemon = self._daemon()
        while not all(each.binds_up == len(each.binds) for each in daemon.state().carriers):
            time.sleep(0.1)
        began_s = time.monotonic()
        writing, asking = self._producer("campaign"), self._producer("codes")
        self._watch(daemon, lambda: carriers.submits() >= traffic.SEGMENTS // 2)
        self.cpu_s += daemon.cpu_s()
        rig.end(daemon.process, signal.SIGKILL)
        print(f"  kill -9 after {time.monotonic() - began_s:.1f} s and {carriers.submits():,} segments")
        daemon = self._daemon()
        print("  started again: it has what it had accepted, and the group gives it its partitions back")
        self._watch(daemon, lambda: writing.poll() is not None)
        self.sending_s = time.monotonic() - began_s
        rig.end(asking, signal.SIGTERM)
        expected = traffic.MESSAGES + len(_answers(self.folder, "codes").asked_ms)
        print(f"  all is produced after {self.sending_s:.1f} s; what is under way is waited for")
        self.told = asyncio.run(_read(self.broker.address, "sms.outcomes", expected))
        self.cpu_s += daemon.cpu_s()
        binds = carriers.binds()
        code = rig.end(daemon.process, signal.SIGTERM)
        if code or writing.returncode or asking.returncode:
            raise SystemExit(f"the daemon ended with exit code {code}, see above for the producers")
        carriers.end()
        all_binds = len(traffic.CARRIERS) * traffic.BINDS
        self.doubled_most = (all_binds + max(0, binds - 2 * all_binds)) * traffic.WINDOW

    def _daemon(self) -> rig.Daemon:
        daemon = rig.Daemon(self.folder, *self._ports)
        self.processes.append(daemon.process)
        return daemon

    def _producer(self, what: str) -> "subprocess.Popen[Any]":
        command = [sys.executable, "-m", "tests.kafka.demo", what, str(self.folder), self.broker.address]
        self.processes.append(process := subprocess.Popen(command))
        return process

    def _watch(self, daemon: rig.Daemon, enough: Callable[[], bool]) -> None:
        """Say what goes on, until it is enough."""
        end_s, before = time.monotonic() + LIMIT_S, None
        while not enough():
            if daemon.process.poll() is not None or time.monotonic() > end_s:
                raise SystemExit(f"not done, or dead:\n{(self.folder / rig.LOG).read_text()[-2000:]}")
            state = daemon.state()
            shown = screen.figures(before, state)
            if before is not None:
                print(f"  {summary(shown)}")
            before = state
            time.sleep(LINE_S)


def _answers(folder: Path, what: str) -> traffic.Answers:
    return msgspec.json.decode((folder / f"{what}.json").read_bytes(), type=traffic.Answers)


async def _topics(address: str) -> None:
    access = Access(kafka_of(address), None, None)
    admin = access.admin()
    await admin.start()
    await create(admin, wanted(access.kafka))
    await admin.close()


async def _read(address: str, topic: str, count: int) -> list[Any]:
    """Return the outcomes in a topic, once so many messages have one, or no more come for some seconds."""
    consumer = AIOKafkaConsumer(bootstrap_servers=address, group_id=None, auto_offset_reset="earliest")
    await consumer.start()
    cluster = await consumer._client.fetch_all_metadata()
    consumer.assign([TopicPartition(topic, each) for each in cluster.partitions_for_topic(topic)])
    found: list[Any] = []
    idle_s = time.monotonic()
    while time.monotonic() < idle_s + IDLE_S and len({each["message_id"] for each in found}) < count:
        for records in (await consumer.getmany(timeout_ms=500)).values():
            found += [msgspec.json.decode(record.value) for record in records]
            idle_s = time.monotonic()
    await consumer.stop()
    return found


def report(proof: Proof, story: Story) -> bool:
    """Print what the ledgers say; return whether it holds."""
    events = {each["id"]: each for each in story.told}
    finished = Counter(each["client_ref"] for each in events.values() if each["type"] == "message.finished")
    missing = proof.expected - len(finished)
    twice = sum(count > 1 for count in finished.values())
    repeated = len(story.told) - len(events)
    print("\nThe ledgers of the producers, the store, the carriers and the topic of outcomes, side by side:")
    print(f"  produced    {proof.accepted:>9,} messages, acknowledged by the broker")
    print(
        f"  submitted   {proof.sent:>9,} segments reached the carriers; {proof.throttled:,} more came again"
    )
    print(f"  delivered   {proof.delivered:>9,} messages, by {proof.receipts:,} receipts")
    print(
        f"  told        {len(finished):>9,} messages in the topic; {missing} missing, {twice} told twice with"
    )
    print(f"{'':24}different ids; {repeated} repetitions with the same id after the kill")
    print(f"  lost        {proof.lost:>9,}")
    print(f"  ended twice {proof.ended_twice:>9,}")
    print(
        f"  doubled     {proof.doubled:>9,} segments, {proof.doubled_marketing} of marketing, "
        f"{proof.unexplained} unexplained; bound {proof.doubled_most:,}"
    )
    wire = proof.wire_ms
    print(
        f"  codes       p50 {percentile(wire, 0.5):.1f} ms, p99 {percentile(wire, 0.99):.1f} ms from asked "
        f"for to read by the carrier, the outage included"
    )
    print(f"  CPU         {story.cpu_s / max(proof.sent, 1) * 1e6:>9.1f} us a segment, of the daemon")
    holds = proof.holds and not missing and not twice
    print("The proof holds." if holds else "THE PROOF FAILS.")
    return holds


def main() -> int:
    """Tell the story; the exit code says whether the proof holds."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    if why := absent("tansu"):
        print(why, file=sys.stderr)
        return 69
    folder = Path(tempfile.mkdtemp(prefix="dispatcher-demo-"))
    try:
        story = Story(folder)
        try:
            story.tell()
        finally:
            rig.kill_all(story.processes)
            story.broker.stop()
        return 0 if report(prove(folder, story.doubled_most), story) else 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    if len(sys.argv) > 1:
        import uvloop

        uvloop.run(produce(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
    else:
        sys.exit(main())
