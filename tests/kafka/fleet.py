"""Several workers on one cluster, processes that can be killed, stopped and woken; a carrier, a producer.

    with Fleet(folder, address, Plan(tps=600)) as fleet:
        fleet.add("one"); fleet.add("two")
        fleet.produce(messages=6_000, rate=400)
        fleet.kill("one")
        fleet.wait()                      # until each message has its outcome, or nothing comes any more
        print(fleet.end())                # a Reckoning

Workers are started by ``dispatcher serve`` on configurations that differ in ports and scratch folder alone.
"""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from dispatcher.cli import rig
from dispatcher.cli.config import toml_lines
from tests.kafka.house import CLASSES, kafka_table, make_topics
from tests.kafka.producer import LEDGER, Order, Produced, poison
from tests.kafka.reckoning import Reckoning, Seen, Told, bound, reckon

IDLE_S: Final = 60.0
"""Without a new outcome: nothing comes any more. What is in doubt ends 25 s after it was written."""
START_S: Final = 60.0
END_S: Final = 40.0
SIMULATOR: Final = """\
ledger = "tokens"
times = true
tokens_max = 5000000
[accounts.bank]
latency_ms = 2
receipts = { delay_ms = 300, resend_after_ms = 2000 }
"""


Bind = tuple[str, int]
"""Account and number, as in the ledger of the carriers."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What all workers have in common."""

    tps: float = 0.0
    """Of the one account, over all workers."""
    carriers: dict[str, dict[str, Any]] = {}
    """Others than that one: keys of each."""
    simulator: str = SIMULATOR
    """What they are like."""
    binds: int = 2
    """Of each account and worker."""
    window: int = 20
    partitions: int = 6
    session_ms: int = 6_000
    prefix: str = "sms"
    """Of topics, and the group."""
    kafka: dict[str, Any] = {}
    """More of the section [kafka]."""
    more: dict[str, Any] = {}
    """More tables of the configuration."""

    @property
    def accounts(self) -> dict[str, dict[str, Any]]:
        """What each is configured with."""
        return self.carriers or {"bank": {"tps": self.tps}}

    def table(self, address: str) -> dict[str, Any]:
        """Return the section [kafka]."""
        topics = {name: f"{self.prefix}.{name}" for name in ("events", "receipts")}
        return kafka_table(
            address, self.prefix, mode="journal", topics=topics, partitions=self.partitions,
            session_ms=self.session_ms, **self.kafka,
        )  # fmt: skip

    def config(self, address: str, smsc_port: int, http_port: int, admin_port: int) -> dict[str, Any]:
        """Return the whole configuration of a worker."""
        carriers = {
            name: {
                "host": "127.0.0.1", "port": smsc_port, "system_id": name, "transceivers": self.binds,
                "window": self.window, "receipt_timer_ms": 25_000, **its,
            }
            for name, its in self.accounts.items()
        }  # fmt: skip
        grace = {name: {"grace_ms": 2_000} for name in ("transactional", "service")}
        return {
            "store": "store",
            "http": {"port": http_port},
            "admin": {"port": admin_port},
            "log": {"level": "info"},
            "process": {"drain_ms": 20_000},
            "classes": grace,
            "carriers": carriers,
            "routes": [{"carriers": list(carriers)}],
            "kafka": self.table(address),
            **self.more,
        }


class Worker:
    """One worker: its process, and the binds that it has had."""

    def __init__(self, name: str, folder: Path, ports: Sequence[int]) -> None:
        self.name = name
        self.folder = folder
        self.ports = ports
        self.daemon: rig.Daemon | None = None
        self.binds: set[Bind] = set()

    def __repr__(self) -> str:
        return f"<Worker {self.name}, {'up' if self.daemon else 'down'}>"

    @property
    def url(self) -> str:
        """Of its HTTP door."""
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def process(self) -> "subprocess.Popen[Any]":
        """It runs, or is stopped."""
        assert self.daemon is not None, f"{self!r}"
        return self.daemon.process

    def log(self) -> list[dict[str, Any]]:
        """Return what it has said, over its restarts."""
        lines = (self.folder / rig.LOG).read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def said(self, event: str) -> list[dict[str, Any]]:
        """Return what it said of an event."""
        return [line for line in self.log() if line["event"] == event]

    def metrics(self) -> dict[str, float]:
        """Return samples by name and labels, as they stand there."""
        text = rig.text(f"http://127.0.0.1:{self.ports[1]}/metrics")
        lines = (line.rpartition(" ") for line in text.splitlines() if line and line[0] != "#")
        return {name: float(value) for name, _, value in lines}


class Fleet:
    """Workers, their carrier, their producer; at the end nothing of it is left."""

    def __init__(self, folder: Path, address: str, plan: Plan) -> None:
        self.folder = folder
        self.address = address
        self.plan = plan
        self.workers: dict[str, Worker] = {}
        self.breaks: dict[str, int] = {}
        """What befell: binds that broke with what they had in flight."""
        self.told: list[Told] = []
        """Records of the topic of outcomes, as they came."""
        self.starts = 0
        """Of workers."""
        self.cpu_s = 0.0
        """Of all workers."""
        self._read: dict[int, int] = {}
        self.ended: set[str] = set()
        """Messages that have an outcome, by client_ref."""
        self._processes: list[subprocess.Popen[Any]] = []
        self._producer: subprocess.Popen[Any] | None = None

    def __enter__(self) -> "Fleet":
        asyncio.run(make_topics(self.plan.table(self.address)))
        self.carriers = rig.Carriers(self.folder, self.plan.simulator)
        self._processes.append(self.carriers.process)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.workers.values():
            if worker.daemon is not None:
                worker.process.send_signal(signal.SIGCONT)
        rig.kill_all(self._processes)

    # ---- workers ----

    def add(self, name: str, core: int | None = None) -> Worker:
        """Start one more, or one that has ended, again; it has taken its indices over when this returns."""
        worker = self.workers.get(name)
        if worker is None:
            (folder := self.folder / name).mkdir()
            worker = self.workers[name] = Worker(name, folder, rig.free_ports(2))
            config = self.plan.config(self.address, self.carriers.port, *worker.ports)
            (folder / rig.CONFIG).write_text("\n".join(toml_lines(config)) + "\n", "utf-8")
        before, self.starts = self.binds(), self.starts + 1
        worker.daemon = rig.Daemon(worker.folder, worker.ports[0], worker.ports[1], core)
        self._processes.append(worker.process)
        self.until(lambda: len(self.binds() - before) >= self._binds_each, f"{worker!r} binds")
        worker.binds |= self.binds() - before
        return worker

    def kill(self, name: str) -> None:
        """Kill -9."""
        worker = self.workers[name]
        self._broke("killed")
        self._rest(worker)
        rig.end(worker.process, signal.SIGKILL)
        worker.daemon = None

    def stop(self, name: str) -> None:
        """SIGSTOP: it does nothing, and the others cannot know why."""
        self._broke("stopped")
        self.workers[name].process.send_signal(signal.SIGSTOP)

    def wake(self, name: str) -> None:
        """SIGCONT."""
        self.workers[name].process.send_signal(signal.SIGCONT)

    def drain(self, name: str) -> int:
        """SIGTERM; return its exit code."""
        worker = self.workers[name]
        self._rest(worker)
        code = rig.end(worker.process, signal.SIGTERM)
        worker.daemon = None
        return code

    def _broke(self, what: str) -> None:
        self.breaks[what] = self.breaks.get(what, 0) + self._binds_each

    def _rest(self, worker: Worker) -> None:
        assert worker.daemon is not None
        self.cpu_s += worker.daemon.cpu_s()

    @property
    def _binds_each(self) -> int:
        return self.plan.binds * len(self.plan.accounts)

    def binds(self) -> set[Bind]:
        """Return the binds that there are now."""
        return {
            (name, each["number"])
            for name, account in self.carriers.accounts().items()
            for each in account["binds"]
            if each["state"].startswith("bound")
        }

    # ---- messages ----

    def produce(self, messages: int, rate: float, poison_each: int = 0) -> None:
        """Begin to fill the topics."""
        order = Order(self.address, self.plan.prefix, messages, rate, poison_each)
        (self.folder / "order.json").write_bytes(msgspec.json.encode(order))
        self._messages = messages
        self._producer = subprocess.Popen([sys.executable, "-m", "tests.kafka.producer", str(self.folder)])
        self._processes.append(self._producer)

    @property
    def producer(self) -> "subprocess.Popen[Any]":
        """It fills the topics, or has."""
        assert self._producer is not None
        return self._producer

    def until(self, condition: Callable[[], object], what: str = "", limit_s: float = START_S) -> None:
        """Wait for a condition; AssertionError: it does not come, or a worker has ended by itself."""
        end_s = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < end_s, f"never: {what or condition}; {self._state()}"
            for worker in self.workers.values():
                if worker.daemon is not None and worker.process.poll() is not None:
                    raise AssertionError(f"{worker!r} has ended: {self._state()}")
            time.sleep(0.05)

    def until_sent(self, share: float, limit_s: float = 300.0) -> None:
        """Wait until the carrier has seen so large a share of the segments."""
        segments = self._messages * 25 // 20
        self.until(lambda: self.carriers.submits() >= segments * share, f"{share:.0%} sent", limit_s)

    def wait(self, idle_s: float = IDLE_S) -> None:
        """Wait until all is produced and each message has an outcome, or none has come for a while."""
        last_s = time.monotonic()
        while len(self.ended) < self._messages and time.monotonic() < last_s + idle_s:
            new = self.read()
            if new or self.producer.poll() is None:
                last_s = time.monotonic()
            time.sleep(0.2)

    def read(self) -> int:
        """Read on in the topic of outcomes; return how many records came."""
        records = asyncio.run(self._topic("outcomes", self._read))
        some = [msgspec.json.decode(each, type=Told) for each in records]
        self.told += some
        self.ended.update(each.client_ref for each in some if each.type == "message.finished")
        return len(some)

    async def _topic(self, name: str, at: dict[int, int]) -> list[bytes]:
        """Return the values of a topic from `at`, which moves on, to its end."""
        topic, found = f"{self.plan.prefix}.{name}", []
        partitions = [TopicPartition(topic, each) for each in range(self.plan.partitions)]
        consumer = AIOKafkaConsumer(bootstrap_servers=self.address, group_id=None)
        await consumer.start()
        try:
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            for each in partitions:
                consumer.seek(each, at.setdefault(each.partition, 0))
            while any(at[each.partition] < ends[each] for each in partitions):
                for each, records in (await consumer.getmany(timeout_ms=500)).items():
                    found += [record.value for record in records]
                    at[each.partition] = records[-1].offset + 1
        finally:
            await consumer.stop()
        return found

    # ---- the end ----

    def end(self) -> Reckoning:
        """Drain all workers, end the carrier, compare the ledgers."""
        for name, worker in self.workers.items():
            if worker.daemon is not None:
                assert (code := self.drain(name)) == 0, f"{worker!r}: exit code {code}; {self._state()}"
        assert self.producer.wait(END_S) == 0, "the producer did not come to its end"
        self.read()
        dead = asyncio.run(self._topic("dead_letters", {}))
        if (cut := self.carriers.binds() - self.starts * self._binds_each) > 0:  # and bound again
            self.breaks["cut"] = cut
        self.carriers.end()
        seen = self.seen = msgspec.json.decode((self.folder / rig.LEDGER).read_bytes(), type=Seen)
        self.produced = msgspec.json.decode((self.folder / LEDGER).read_bytes(), type=Produced)
        return reckon(
            seen, self.told, dead, self.produced.sent_ms, [poison(n) for n in range(self.produced.poison)],
            doubled_most=bound(self.breaks, self.plan.window),
            tps={name: its["tps"] for name, its in self.plan.accounts.items()},
        )  # fmt: skip

    def _state(self) -> str:
        """Return what helps to see why something did not come."""
        told = [f"{len(self.ended)} ended, {self.carriers.submits()} submits"]
        for worker in self.workers.values():
            lines = (worker.folder / rig.LOG).read_text(errors="replace").splitlines()[-15:]
            told += [f"--- {worker!r}", *(line[:300] for line in lines)]
        return "\n".join(told)


def waits(fleet: Fleet) -> dict[str, int]:
    """Return how much waits in the topics of the classes that no worker has taken yet, by class."""
    found = dict.fromkeys(CLASSES, 0)
    for worker in fleet.workers.values():
        if worker.daemon is not None:
            for name, value in worker.metrics().items():
                if name.startswith("dispatcher_kafka_lag_records"):
                    for each in CLASSES:
                        found[each] += int(value) * (f".{each}" in name)
    return found
