"""How a daemon with Kafka is operated: metrics, readiness, drain, reload, a second one, its commands."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dispatcher.__main__ import main
from dispatcher.simulator import Simulator
from tests.integration.house import copies, run, until
from tests.integration.serving import Served, serving, write
from tests.kafka.house import (
    CLASSES,
    ask,
    committed,
    data_with,
    kafka_table,
    make_topics,
    message,
    outcomes_of,
    produce,
)

PREFIX = "dispatcher_kafka_"


async def metrics_of(daemon: Served) -> dict[tuple[str, ...], float]:
    """Return the metrics of Kafka: by name without its prefix, topic, and what other label there is."""
    families = text_string_to_metric_families(await ask(daemon, "/metrics"))
    samples = [sample for family in families for sample in family.samples]
    return {
        (sample.name.removeprefix(PREFIX), sample.labels["topic"], *_others(sample.labels)): sample.value
        for sample in samples
        if sample.name.startswith(PREFIX)
    }


def _others(labels: dict[str, str]) -> list[str]:
    return [value for label, value in labels.items() if label != "topic"]


def test_what_it_says_of_itself(crashable: str, fresh: str, tmp_path: Path) -> None:
    """Records in and out, lag, partitions and readiness are those of the brokers; a reload of another section
    goes through, one of [kafka] is refused; SIGTERM commits and leaves."""

    async def scenario() -> None:
        table = kafka_table(crashable, fresh)
        await make_topics(table)
        service = f"{fresh}.service"
        async with Simulator() as smsc:
            data = data_with(tmp_path, smsc, table, carrier={"tps": 50.0}, log={"level": "info"},
                             classes={"service": {"backlog_max": 20}})  # fmt: skip
            path = write(tmp_path, data)
            async with serving(path) as daemon:
                await daemon.says("kafka_assigned", len(CLASSES))
                await produce(crashable, service, [message(number) for number in range(100)])
                await produce(crashable, service, [b"{"], is_raw=True)
                lag = 0.0
                while not lag:  # its queue is full, and what waits in the topic is seen
                    seen = await metrics_of(daemon)
                    lag = sum(seen.get(("lag_records", service, str(each)), 0) for each in range(3))
                assert seen["partitions", service] == 3
                assert "12 partitions are ours" in await ask(daemon, "/readyz?verbose")
                await outcomes_of(crashable, f"{fresh}.outcomes", 100)
                seen = await metrics_of(daemon)
                assert seen["records_total", service, "accepted"] == 100
                assert seen["records_total", service, "dead"] == 1
                assert seen["up", service] == seen["up", f"{fresh}.outcomes"] == 1
                write(tmp_path, data | {"classes": {"service": {"backlog_max": 30}}})
                daemon.signal(signal.SIGHUP)
                await daemon.says("reloaded")
                write(tmp_path, data | {"kafka": table | {"poll_max": 7}})
                daemon.signal(signal.SIGHUP)
                assert "kafka: it cannot change" in (await daemon.says("reload_refused"))["msg"]
                daemon.signal(signal.SIGTERM)
                assert await daemon.ended() == 0
                assert not [line for line in daemon.raw if "+7900" in line or "4711" in line]
        assert await committed(crashable, f"{fresh}.service", service) == 101

    run(scenario(), 90)


def test_f96_a_second_daemon_joins_in_the_middle(crashable: str, fresh: str, tmp_path: Path) -> None:
    """F96: partitions move to another daemon, with a store of its own, while messages are read: what was
    polled is finished and committed first, so that nothing is lost and nothing goes twice."""

    async def scenario() -> None:
        table = kafka_table(crashable, fresh, partitions=4, poll_max=50)
        await make_topics(table)
        folders = [tmp_path / "one", tmp_path / "two"]
        count = 1_500
        async with Simulator() as smsc:
            paths = []
            for folder in folders:
                folder.mkdir()
                paths.append(write(folder, data_with(folder, smsc, table, carrier={"tps": 400.0},
                                                     classes={"service": {"backlog_max": 100}})))  # fmt: skip
            async with serving(paths[0]) as one:
                await one.says("kafka_assigned", len(CLASSES))
                await produce(crashable, f"{fresh}.service", [message(number) for number in range(count)])
                await until(lambda: len(copies(smsc)) > 200, "the first one sends")
                async with serving(paths[1]) as two:
                    await two.says("kafka_assigned", len(CLASSES))
                    told = await outcomes_of(crashable, f"{fresh}.outcomes", count, 60)
                    seen = [await metrics_of(daemon) for daemon in (one, two)]
                    taken = [each["records_total", f"{fresh}.service", "accepted"] for each in seen]
                    for daemon in (two, one):
                        daemon.signal(signal.SIGTERM)
                        assert await daemon.ended() == 0
            assert min(taken) > 0
            assert sum(taken) == count
            assert set(copies(smsc).values()) == {1}
            assert {each["client_ref"] for each in told} == {f"r{number}" for number in range(count)}

    run(scenario(), 120)


def test_init_and_check(
    crashable: str, fresh: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`kafka init` makes what is missing and leaves what is there; `check` says what is wrong, with 78."""
    table = kafka_table(crashable, fresh)

    def kafka(action: str, *more: str) -> tuple[int, Any]:
        code = main(["kafka", action, "--config", str(path), "--json", *more])
        return code, json.loads(capsys.readouterr().out)

    async def prepare() -> Path:
        async with Simulator() as smsc:
            return write(tmp_path, data_with(tmp_path, smsc, table))

    path = asyncio.run(prepare())
    code, said = kafka("check")
    assert code == 78
    assert len(said["problems"]) == 6
    assert kafka("init") == (0, dict.fromkeys(table["topics"].values(), "made"))
    assert set(kafka("init")[1].values()) == {"there"}
    code, said = kafka("check")
    assert (code, said["problems"]) == (0, [])


def test_without_brokers_commands_say_so(
    fresh: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 69, and no traceback."""
    table = kafka_table("127.0.0.1:1", fresh)

    async def prepare() -> Path:
        async with Simulator() as smsc:
            return write(tmp_path, data_with(tmp_path, smsc, table))

    path = asyncio.run(prepare())
    assert main(["kafka", "check", "--config", str(path)]) == 69
    assert "KafkaConnectionError" in capsys.readouterr().err


def test_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """`kafka schema` needs no configuration."""
    assert main(["kafka", "schema"]) == 0
    assert "MessageIn" in json.loads(capsys.readouterr().out)["$defs"]
