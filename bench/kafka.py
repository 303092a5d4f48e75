"""The Kafka tier: from a topic to the topic of outcomes, one daemon on one core; and what each stage takes.

The topics are full before the daemon starts, so that it is never idle; the broker (Tansu, from PyPI) and the
carrier have the other core. A flow counts only if the ledgers agree: what was produced, what the carrier
took, what was told. Stages are measured alone, on real records of the same broker, in CPU time.
"""

import asyncio
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import monotonic, process_time_ns, sleep
from typing import Any, Final, NamedTuple

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.arena import FailedError
from bench.flows.house import yardstick_ns
from bench.kafka_workers import by_turns
from bench.machine import ROOT, describe_run, sentence
from bench.pipeline import row
from bench.results import Result
from bench.tables import grid
from dispatcher.api import Subject, event_out
from dispatcher.cli import rig
from dispatcher.cli.demo import traffic
from dispatcher.faces_kafka import Kafka
from dispatcher.ingest.kafka_records import Reading, read_all
from dispatcher.kafka.client import Access
from dispatcher.kafka.outbox import Outbox, Record
from dispatcher.kafka.topics import create, wanted
from dispatcher.model import Event, EventKind, TrafficClass
from tests.kafka.brokers import Broker, absent

SEGMENTS_PER_S: Final = 60_000
"""Our aim, on one core."""
START_S: Final = 30.0
LIMIT_S: Final = 200.0
CLASSES: Final = ("authorization", "transactional", "service", "marketing")
_CONFIG: Final = """\
store = "store"
[http]
port = {http_port}
[admin]
port = {admin_port}
[log]
level = "error"
[carriers.bank]
host = "127.0.0.1"
port = {port}
system_id = "bank"
transceivers = 4
window = 250
tps = 1000000
[[routes]]
carriers = ["bank"]
[kafka]
brokers = ["{broker}"]
idempotent = false
allow_unsafe = true
"""
_SIMULATOR: Final = """\
ledger = "counts"
[accounts.bank]
receipts = { delay_ms = 100 }
"""


class Effort(NamedTuple):
    """How much is measured: messages of the whole way, records of a stage, turns of workers."""

    messages: int
    stage: int
    shared: int
    """Messages of one turn of workers."""
    rounds: int
    """Of workers."""


FULL: Final = Effort(600_000, 200_000, 200_000, 3)
QUICK: Final = Effort(60_000, 20_000, 20_000, 1)


def measure(quick: bool, progress: Callable[[str], object] = print) -> Result:
    """Run the tier."""
    return run_tier(QUICK if quick else FULL, quick, progress)


def run_tier(effort: Effort, quick: bool, progress: Callable[[str], object]) -> Result:
    """Run it with an effort."""
    flows: dict[str, Any] = {}
    rows, missing = [], {}
    if why := absent("tansu"):
        missing["kafka"] = why
    else:
        progress(f"{effort.messages:,} messages from topics to the topic of outcomes")
        flows["whole"] = found = whole(effort)
        aim_ns = 1e9 / SEGMENTS_PER_S
        rows.append(row("whole", "CPU", [found["cpu_ns"]], yardstick_ns(), target=aim_ns))
        progress("stages")
        flows["stages"] = found = stages(effort)
        rows += [row("stages", name, [ns], yardstick_ns()) for name, ns in found.items()]
        progress(f"one worker and two, {effort.rounds} times by turns")
        flows["workers"] = found = by_turns(effort.shared, effort.rounds, count, progress)
        rows += [
            row("workers", f"CPU, {number}", ns, yardstick_ns(), target=aim_ns)
            for number, ns in found["cpu_ns"].items()
        ]
    return Result(
        tier="kafka",
        run=describe_run("bench.run"),
        quick=quick,
        rounds=effort.rounds,
        method="compared are CPU prices of the daemon; see bench/README.md",
        flows=flows,
        corpora={"whole": "", "stages": "", "workers": ""},
        rows=rows,
        absent=missing,
    )


def whole(effort: Effort) -> dict[str, Any]:
    """Empty full topics through a daemon on core 0; everything else is on core 1."""
    (ROOT / "build").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-kafka-", dir=ROOT / "build"))
    broker = Broker("tansu", folder)
    processes: list[subprocess.Popen[Any]] = []
    try:
        broker.start(core=1)
        asyncio.run(fill(broker.address, effort.messages))
        carriers = rig.Carriers(folder, _SIMULATOR, core=1)
        processes.append(carriers.process)
        ports = rig.free_ports(2)
        config = _CONFIG.format(
            http_port=ports[0], admin_port=ports[1], port=carriers.port, broker=broker.address
        )
        (folder / rig.CONFIG).write_text(config, "utf-8")
        daemon = rig.Daemon(folder, ports[0], ports[1], core=0)
        processes.append(daemon.process)
        start_s = monotonic()
        while not carriers.submits():
            if monotonic() > start_s + START_S:
                raise FailedError(f"nothing is sent: {(folder / rig.LOG).read_text()[-2000:]}")
            sleep(0.05)
        begun_s, cpu_s = monotonic(), daemon.cpu_s()
        told = asyncio.run(count(broker.address, "sms.outcomes", effort.messages))
        seconds, cpu_s = monotonic() - begun_s, daemon.cpu_s() - cpu_s
        memory = daemon.memory_bytes()
        if rig.end(daemon.process, signal.SIGTERM):
            raise FailedError("the daemon did not end well")
        totals = carriers.accounts()["bank"]["totals"]
    finally:
        rig.kill_all(processes)
        broker.stop()
        shutil.rmtree(folder, ignore_errors=True)
    segments = sum(
        1 + (traffic.message(number)["traffic_class"] == "marketing") for number in range(effort.messages)
    )
    if totals["submits"] != segments or told != effort.messages:
        raise FailedError(f"{effort.messages} messages, {told} told, and the carrier says {totals}")
    return {
        "messages": effort.messages,
        "segments": segments,
        "seconds": seconds,
        "per_s": segments / seconds,
        "cpu_ns": cpu_s / segments * 1e9,
        "core_per_s": segments / cpu_s,
        "memory_bytes": memory,
    }


def stages(effort: Effort) -> dict[str, float]:
    """Return what each stage takes alone, in CPU nanoseconds a record."""
    folder = Path(tempfile.mkdtemp(prefix="bench-kafka-"))
    broker = Broker("tansu", folder)
    try:
        broker.start()
        return uvloop.run(_stages(broker.address, effort.stage))
    finally:
        broker.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def _stages(address: str, number: int) -> dict[str, float]:
    await fill(address, number, one_class="service")
    found: dict[str, float] = {}
    kafka = _kafka(address)
    access = Access(kafka, None, None)
    consumer = access.consumer(None)
    await consumer.start()
    consumer.assign([TopicPartition("sms.service", each) for each in range(kafka.partitions)])
    records: list[Any] = []
    begun_ns = process_time_ns()
    while len(records) < number:
        for some in (await consumer.getmany(timeout_ms=1000, max_records=kafka.poll_max)).values():
            records += some
    found["poll"] = (process_time_ns() - begun_ns) / number
    await consumer.stop()
    reading = Reading("sms.service", TrafficClass.SERVICE, "json", frozenset())
    begun_ns = process_time_ns()
    for start in range(0, number, kafka.poll_max):
        read_all(records[start : start + kafka.poll_max], reading)
    found["read"] = (process_time_ns() - begun_ns) / number
    event = Event(EventKind.FINISHED, 255, 1, 1 << 16 | 1, 1, 1_764_000_000_000, b"")
    subject = Subject(
        "019ab4a5-6a3f-7000-8000-000000000001", 2, 1, 1_764_000_000_000, "kafka:sms.service", "m1"
    )
    begun_ns = process_time_ns()
    encode = msgspec.json.Encoder().encode
    letters = [
        Record(b"%d" % each, encode(event_out((1, each), event, subject, {1: "bank"})), [("schema", b"1")])
        for each in range(number)
    ]
    found["tell: event and JSON"] = (process_time_ns() - begun_ns) / number
    outbox = Outbox(access)
    await outbox.start()
    begun_ns = process_time_ns()
    for start in range(0, number, 1_000):
        await outbox.put("sms.outcomes", letters[start : start + 1_000])
    found["tell: produce"] = (process_time_ns() - begun_ns) / number
    await outbox.stop()
    return found


# ---- what they stand on ----


def _kafka(address: str) -> Kafka:
    return Kafka(brokers=(address,), idempotent=False, allow_unsafe=True, replication=1, min_replication=1)


async def fill(address: str, messages: int, one_class: str = "") -> None:
    """Make the topics, put messages in; each in its class's topic, or all in one."""
    access = Access(_kafka(address), None, None)
    admin = access.admin()
    await admin.start()
    await create(admin, wanted(access.kafka))
    await admin.close()
    outbox = Outbox(access)
    for start in range(0, messages, 10_000):
        groups: dict[str, list[Record]] = {name: [] for name in CLASSES}
        for number in range(start, min(start + 10_000, messages)):
            message = traffic.message(number)
            name = one_class or message.pop("traffic_class")
            message.pop("traffic_class", None)
            groups[name].append(Record(message["to"].encode(), msgspec.json.encode(message), []))
        for name, records in groups.items():
            await outbox.put(f"sms.{name}", records)
    await outbox.stop()


async def count(address: str, topic: str, messages: int) -> int:
    """Read a topic until it has told of so many; return how many. FailedError: they do not come."""
    consumer = AIOKafkaConsumer(bootstrap_servers=address, group_id=None, auto_offset_reset="earliest")
    await consumer.start()
    cluster = await consumer._client.fetch_all_metadata()
    consumer.assign([TopicPartition(topic, each) for each in cluster.partitions_for_topic(topic)])
    end_s, told = monotonic() + LIMIT_S, 0
    try:
        while told < messages:
            told += sum(map(len, (await consumer.getmany(timeout_ms=200)).values()))
            if monotonic() > end_s:
                raise FailedError(f"{told} of {messages} were told within {LIMIT_S:.0f} s")
    finally:
        await consumer.stop()
    return told


def tables(result: Result) -> str:
    """Return everything that was found, as Markdown tables."""
    flows = result["flows"]
    if not flows:
        return f"kafka: not measured: {result['absent']['kafka']}"
    whole, parts = flows["whole"], flows["stages"]
    head = ("from topic to topic of outcomes, receipts included", "found")
    lines = [
        ("messages, segments", f"{whole['messages']:,}, {whole['segments']:,}; lost 0, doubled 0"),
        ("segments a second, by the clock", f"{whole['per_s']:,.0f}"),
        (
            "CPU of a segment, one daemon",
            f"{whole['cpu_ns'] / 1e3:.1f} us: {whole['core_per_s']:,.0f}/s a core",
        ),
        ("memory at the end", f"{whole['memory_bytes'] / 2**20:.0f} MiB"),
    ]
    # a record has as many segments as the whole flow has to its messages
    price_ns = whole["cpu_ns"] * whole["segments"] / whole["messages"]
    stages = [(name, f"{ns / 1e3:.2f}", f"{ns / price_ns:.0%}") for name, ns in parts.items()]
    rest_ns = price_ns - sum(parts.values())
    stages.append(
        ("all else: the dispatcher's own path", f"{rest_ns / 1e3:.2f}", f"{rest_ns / price_ns:.0%}")
    )
    shared = flows["workers"]
    against = (
        f"Two workers against one on the same {shared['cores']} cores, which broker and carrier share: "
        f"{shared['ratio']:.2f} times as many segments a second, median of {shared['rounds']}. "
        f"By the CPU price of a segment, two whole cores do {shared['by_price']:.2f} times what one can."
    )
    return "\n\n".join(
        [
            grid(head, lines),
            grid(("stage alone", "CPU us a record", "of a segment's price"), stages),
            grid(("workers", "segments a second", "CPU us a segment"), _workers(shared)),
            against,
            sentence(result["run"]),
        ]
    )


def _workers(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (number, f"{median(per_s):,.0f}", f"{median(found['cpu_ns'][number]) / 1e3:.1f}")
        for number, per_s in found["per_s"].items()
    ]
