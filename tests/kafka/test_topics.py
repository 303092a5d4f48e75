"""F95: what befalls topics and brokers beneath a daemon. Nothing acknowledged is lost, and it is told."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from dispatcher.simulator import Simulator
from tests.integration.house import copies, run, until
from tests.integration.serving import Served, serving, write
from tests.kafka.brokers import BOOTSTRAP, Broker, absent
from tests.kafka.front import Front
from tests.kafka.house import ask, data_with, kafka_table, make_topics, message, outcomes_of, produce
from tests.kafka.test_crash import ended_once


@asynccontextmanager
async def admin_of(address: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """Yield a client for topics."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def until_said(daemon: Served, words: str, path: str = "/readyz?verbose") -> None:
    """Wait until the admin port says it."""
    async with asyncio.timeout(30):
        while words not in await ask(daemon, path):
            await asyncio.sleep(0.1)


def test_f95_too_few_in_step_is_refused(tansu_session: Broker, fresh: str, tmp_path: Path) -> None:
    """Three copies, of which one is enough for an acknowledgement: exit code 78, and the setting is named."""
    address = tansu_session.address

    async def scenario() -> None:
        await make_topics(kafka_table(address, fresh, replication=3, min_replication=1))
        async with Simulator() as smsc:
            table = kafka_table(address, fresh, replication=3, min_replication=2, allow_unsafe=False)
            path = write(tmp_path, data_with(tmp_path, smsc, table))
            async with serving(path, wait_ready=False) as daemon:
                assert await daemon.ended() == 78
                said = daemon.said("start_failed")[0]["msg"]
                assert "min.insync.replicas = 1, min_replication is 2" in said
            write(tmp_path, data_with(tmp_path, smsc, table | {"allow_unsafe": True}))
            async with serving(path) as daemon:
                assert "min.insync.replicas = 1" in daemon.said("kafka_unsafe")[0]["msg"]

    run(scenario())


def test_f95_retention_shorter_than_wanted_is_told(tansu_session: Broker, fresh: str, tmp_path: Path) -> None:
    """It starts, and warns that a backlog may be deleted before it is read."""
    address = tansu_session.address

    async def scenario() -> None:
        await make_topics(kafka_table(address, fresh, retention_hours=1))
        async with Simulator() as smsc:
            path = write(tmp_path, data_with(tmp_path, smsc, kafka_table(address, fresh)))
            async with serving(path) as daemon:
                told = [line["msg"] for line in daemon.said("kafka_unsafe")]
                assert f"topic {fresh}.service keeps records for 1 h, 168 h are wanted" in told

    run(scenario())


def test_f95_records_deleted_before_they_were_read_are_told(
    noida: Broker, fresh: str, tmp_path: Path
) -> None:
    """Retention overtook a daemon that was away: how many are gone is in the log and a metric; it goes on
    with what is left."""

    async def scenario() -> None:
        table = kafka_table(noida.address, fresh, partitions=1)
        topic = f"{fresh}.service"
        await make_topics(table)
        async with Simulator() as smsc:
            path = write(tmp_path, data_with(tmp_path, smsc, table))
            async with serving(path) as daemon:
                await produce(noida.address, topic, [message(number) for number in range(5)])
                await outcomes_of(noida.address, f"{fresh}.outcomes", 5)
                daemon.signal(signal.SIGTERM)
                assert await daemon.ended() == 0
            await produce(noida.address, topic, [message(number) for number in range(5, 30)])
            async with admin_of(noida.address) as admin:
                await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=20)})
            async with serving(path) as daemon:
                await outcomes_of(noida.address, f"{fresh}.outcomes", 15)
                (told,) = daemon.said("kafka_records_gone")
                assert "offset 5: 15 records were deleted before they were read" in told["msg"]
                gone = f'dispatcher_kafka_records_total{{result="gone",topic="{topic}"}} 15'
                await until_said(daemon, gone, "/metrics")
            assert set(copies(smsc)) == {f"t{number}" for number in (*range(5), *range(20, 30))}

    run(scenario(), 90)


def test_f95_a_topic_deleted_in_mid_run_is_told(noida: Broker, fresh: str, tmp_path: Path) -> None:
    """Gone, or made anew by the broker as it likes: in the log and in /readyz; other classes go on, and it is
    read again from its beginning, without a restart, once it is back."""

    async def scenario() -> None:
        table = kafka_table(noida.address, fresh, request_timeout_ms=1_000)
        service, codes = f"{fresh}.service", f"{fresh}.authorization"
        await make_topics(table)
        async with Simulator() as smsc, admin_of(noida.address) as admin:
            async with serving(write(tmp_path, data_with(tmp_path, smsc, table))) as daemon:
                await produce(noida.address, service, [message(number) for number in range(50)])
                await outcomes_of(noida.address, f"{fresh}.outcomes", 50)
                await admin.delete_topics([service])
                told = await daemon.says("kafka_topic_changed")
                assert service in told["msg"]
                await until_said(daemon, f"[-] kafka: topic {service}")
                await produce(noida.address, codes, [message(number) for number in range(100, 110)])
                await outcomes_of(noida.address, f"{fresh}.outcomes", 60)
                await make_topics(table)  # where the broker did not
                await produce(noida.address, service, [message(number) for number in range(200, 210)])
                ended = await outcomes_of(noida.address, f"{fresh}.outcomes", 70)
                assert len(ended) == 70
            assert set(copies(smsc).values()) == {1}

    run(scenario(), 120)


@pytest.fixture
def fronted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Broker, Front]]:
    """Run a Tansu whose clients come through a front, which the test enters."""
    if BOOTSTRAP:
        pytest.skip("a cluster has no front, and one broker of Apache Kafka never has too few in step")
    if why := absent("tansu"):
        pytest.skip(f"LOUD: {why}")
    front = Front()
    broker = Broker("tansu", tmp_path_factory.mktemp("tansu"), advertised=front.port)
    front.to(broker.port)
    broker.start()
    yield broker, front
    broker.stop()


@pytest.mark.parametrize("trouble", ["too few in step", "parted"])
def test_f95_outcomes_wait_for_copies_in_step(
    fronted: tuple[Broker, Front], fresh: str, tmp_path: Path, trouble: str
) -> None:
    """NOT_ENOUGH_REPLICAS, or a network that swallows all: outcomes wait in the journal, which is told; once
    it is over each is in the topic, though it was ended and told of meanwhile, and nothing was sent twice."""
    _, front = fronted

    async def scenario() -> None:
        async with front, Simulator() as smsc:
            address = f"127.0.0.1:{front.port}"
            table = kafka_table(address, fresh, request_timeout_ms=5_000)
            await make_topics(table)
            path = write(tmp_path, data_with(tmp_path, smsc, table))
            async with serving(path) as daemon:
                await produce(address, f"{fresh}.service", [message(number) for number in range(100)])
                await outcomes_of(address, f"{fresh}.outcomes", 100)
                await produce(address, f"{fresh}.service", [message(number) for number in range(100, 300)])
                if trouble == "parted":
                    front.part()
                else:
                    front.has_replicas = False
                    await until(lambda: len(copies(smsc)) == 300, "all are sent")
                await daemon.says("kafka_write_failed" if trouble != "parted" else "kafka_assigned")
                await until_said(daemon, "[-] kafka: failing")
                front.has_replicas = True
                front.join()
                told = await outcomes_of(address, f"{fresh}.outcomes", 300, 60)
                await until_said(daemon, "[+] kafka")
            assert front.refused or trouble == "parted"
            assert set(copies(smsc).values()) == {1}
            ended_once(told, {f"r{number}" for number in range(300)})

    run(scenario(), 150)
