"""Workers on real brokers, as processes: one from topic to outcome, two that share, one that is killed."""

import asyncio
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from dispatcher.simulator import Simulator
from dispatcher.simulator.behaviour import Behaviour
from dispatcher.simulator.settings import parse
from tests.integration.house import copies, run, until
from tests.integration.serving import Served, serving, write
from tests.kafka.brokers import Broker
from tests.kafka.house import (
    ask,
    committed,
    data_with,
    headers_of,
    kafka_table,
    make_topics,
    message,
    outcomes_of,
    produce,
    records_of,
)

WINDOW = 20
"""Of the one bind of a worker."""

TRACE = f"00-{'a1' * 16}-{'b2' * 8}-01"
OPEN = {"port": 0, "require_key": False}

LATE = 400
"""Messages that are taken after the last checkpoint, as a rule."""


def worker_table(address: str, fresh: str, **more: Any) -> dict[str, Any]:
    """Return the section [kafka] of a worker."""
    return kafka_table(
        address, fresh, mode="journal",
        topics={"events": f"{fresh}.events", "receipts": f"{fresh}.receipts"}, **more,
    )  # fmt: skip


def test_one_worker_from_topic_to_outcome(crashable: str, fresh: str, tmp_path: Path) -> None:
    """Messages of every class reach the carrier once, each has one outcome, and the worker drains."""

    async def scenario() -> None:
        table = worker_table(crashable, fresh)
        await make_topics(table)
        async with Simulator() as smsc:
            async with serving(write(tmp_path, data_with(tmp_path, smsc, table))) as worker:
                for start, name in ((0, "authorization"), (100, "transactional"), (200, "marketing")):
                    await produce(
                        crashable, f"{fresh}.{name}", [message(start + number) for number in range(100)]
                    )
                told = await outcomes_of(crashable, f"{fresh}.outcomes", 300)
                assert sorted(each["client_ref"] for each in told) == sorted(f"r{n}" for n in range(300))
                assert {each["outcome"] for each in told} == {"delivered"}
                worker.signal(signal.SIGTERM)
                assert await worker.ended() == 0, worker.raw[-20:]
            assert set(copies(smsc).values()) == {1}
            assert len(copies(smsc)) == 300
            assert await committed(crashable, fresh, f"{fresh}.authorization") == 100

    run(scenario(), 90)


def test_poison_and_headers(crashable: str, fresh: str, tmp_path: Path) -> None:
    """What cannot be taken is a dead letter with its reason, its neighbours go on; the trace of a record goes
    with its outcome; a repeated key is the same message; a long message is one."""

    async def scenario() -> None:
        table = worker_table(crashable, fresh, partitions=1)
        await make_topics(table)
        service = f"{fresh}.service"
        async with Simulator() as smsc, serving(write(tmp_path, data_with(tmp_path, smsc, table))):
            await produce(crashable, service, [message(1)], [("traceparent", TRACE.encode())])
            await produce(crashable, service, [b"{", b"[]"], is_raw=True)
            await produce(crashable, service, [message(1), message(2, text="long word " * 40)])
            await produce(crashable, service, [message(3)], [("schema", b"2")])
            await outcomes_of(crashable, f"{fresh}.outcomes", 2)
            dead = await records_of(crashable, f"{fresh}.dead_letters", 3)
            told = await records_of(crashable, f"{fresh}.outcomes", 2)
        reasons = sorted(headers_of(each)["dead-reason"] for each in dead)
        assert reasons == ["malformed", "malformed", "schema_unknown"]
        traces = {
            msgspec.json.decode(each.value)["client_ref"]: headers_of(each).get("traceparent")
            for each in told
        }  # fmt: skip
        assert traces == {"r1": TRACE, "r2": None}

    run(scenario(), 90)


def test_all_are_killed_and_one_comes_back(crashable: str, fresh: str, tmp_path: Path) -> None:
    """What waits, is on its way and has been sent is found in the topics by a worker with an empty folder."""
    count = 1_000

    async def scenario() -> None:
        table = worker_table(crashable, fresh)
        await make_topics(table)
        async with Simulator(parse({"receipts": {"delay_ms": 1_000}}, Behaviour)) as smsc:
            carrier = {"tps": 300.0, "window": WINDOW}
            paths = [
                write(_made(tmp_path / name), data_with(tmp_path / name, smsc, table, carrier=carrier))
                for name in ("one", "two")
            ]
            async with serving(paths[0]) as one:
                await produce(crashable, f"{fresh}.authorization", [message(each) for each in range(count)])
                await until(lambda: len(copies(smsc)) > count // 3, "some are sent")
                one.signal(signal.SIGKILL)
                await one.ended()
            async with serving(paths[1]):
                told = await outcomes_of(crashable, f"{fresh}.outcomes", count, 60)
        ends = {each["id"]: each["client_ref"] for each in told if each["type"] == "message.finished"}
        assert Counter(ends.values()) == Counter(f"r{n}" for n in range(count))
        assert sum(copies(smsc).values()) - count <= WINDOW

    run(scenario(), 120)


def test_two_workers_and_one_is_killed(crashable: str, fresh: str, tmp_path: Path) -> None:
    """Two workers share the partitions; one is killed in the middle. The other takes over: everything ends,
    each message has one outcome, and what went twice is within what may be unanswered."""
    count = 3_000

    async def scenario() -> None:
        table = worker_table(crashable, fresh, partitions=4)
        await make_topics(table)
        async with Simulator() as smsc:
            paths = []
            for name in ("one", "two"):
                folder = tmp_path / name
                folder.mkdir()
                paths.append(
                    write(folder, data_with(folder, smsc, table, carrier={"tps": 600.0, "window": WINDOW}))
                )
            async with serving(paths[0]) as one, serving(paths[1]) as two:
                await two.says("worker_took_over")
                for part, name in enumerate(("authorization", "transactional", "service")):
                    numbers = range(part * count // 3, (part + 1) * count // 3)
                    await produce(crashable, f"{fresh}.{name}", [message(each) for each in numbers])
                await until(lambda: len(copies(smsc)) > count // 4, "some are sent")
                await produce(
                    crashable,
                    f"{fresh}.authorization",
                    [message(each) for each in range(count, count + LATE)],
                )  # too late to be carried
                late = {f"t{number}" for number in range(count, count + LATE)}
                await until(lambda: len(late & copies(smsc).keys()) > LATE // 4, "some of these are sent")
                one.signal(signal.SIGKILL)
                await one.ended()
                told = await outcomes_of(crashable, f"{fresh}.outcomes", count + LATE, 90)
                assert not two.said("take_over_failed")
                two.signal(signal.SIGTERM)
                assert await two.ended() == 0, two.raw[-20:]
            sent = copies(smsc)
            assert len(sent) == count + LATE
            assert sum(sent.values()) - len(sent) <= 2 * WINDOW
            ends = {each["id"]: each for each in told if each["type"] == "message.finished"}
            assert Counter(each["client_ref"] for each in ends.values()) == Counter(
                f"r{n}" for n in range(count + LATE)
            )

    run(scenario(), 150)


def test_http_at_a_worker(crashable: str, fresh: str, tmp_path: Path) -> None:
    """202 is answered with the id that the outcome has; a key again is the same message, wherever it is;
    what is wrong is refused at once; what the worker took, it knows."""

    async def scenario() -> None:
        table = worker_table(crashable, fresh)
        await make_topics(table)
        async with Simulator() as smsc:
            paths = [
                write(_made(tmp_path / name), data_with(tmp_path / name, smsc, table, http=OPEN))
                for name in ("one", "two")
            ]
            async with serving(paths[0]) as one, serving(paths[1]) as two:
                ports = [await _port(each) for each in (one, two)]
                async with aiohttp.ClientSession() as client:
                    plain = await _post(client, ports[0], message(1, client_ref=None))
                    assert plain[0] == 202
                    keyed = [await _post(client, port, message(2)) for port in ports]
                    assert [status for status, _ in keyed] == [202, 202]
                    assert keyed[0][1]["message_id"] == keyed[1][1]["message_id"]
                    assert (await _post(client, ports[0], message(3, to="12")))[1][
                        "code"
                    ] == "number_malformed"
                    told = await outcomes_of(crashable, f"{fresh}.outcomes", 2)
                    assert {each["message_id"] for each in told} == {
                        plain[1]["message_id"], keyed[0][1]["message_id"],
                    }  # fmt: skip
                    found = [await _get(client, port, plain[1]["message_id"]) for port in ports]
                    assert sorted(status for status, _ in found) == [200, 404]
                    (known,) = [body for status, body in found if status == 200]
                    assert known["state"] == "delivered"
            assert set(copies(smsc).values()) == {1}

    run(scenario(), 90)


def test_http_while_the_broker_hangs(tansu: Broker, fresh: str, tmp_path: Path) -> None:
    """503 with Retry-After, nothing accepted; once it goes on, messages are."""

    async def scenario() -> None:
        table = worker_table(tansu.address, fresh)
        await make_topics(table)
        async with Simulator() as smsc:
            path = write(tmp_path, data_with(tmp_path, smsc, table, http=OPEN))
            async with serving(path) as one, aiohttp.ClientSession() as client:
                port = await _port(one)
                tansu.signal(signal.SIGSTOP)
                assert (await _post(client, port, message(1)))[0] == 503
                tansu.signal(signal.SIGCONT)
                while (await _post(client, port, message(2)))[0] != 202:
                    await asyncio.sleep(0.1)
                assert len(await outcomes_of(tansu.address, f"{fresh}.outcomes", 1)) >= 1

    run(scenario(), 90)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


async def _port(worker: Served) -> int:
    return int((await worker.says("http_port"))["msg"].rpartition(":")[2])


async def _post(client: aiohttp.ClientSession, port: int, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    body = {name: value for name, value in body.items() if value is not None}
    async with client.post(f"http://127.0.0.1:{port}/v1/messages", json=body) as answer:
        return answer.status, await answer.json(content_type=None)


async def _get(client: aiohttp.ClientSession, port: int, message_id: str) -> tuple[int, dict[str, Any]]:
    async with client.get(f"http://127.0.0.1:{port}/v1/messages/{message_id}") as answer:
        return answer.status, await answer.json(content_type=None)


def test_receipts_at_the_other_worker(crashable: str, fresh: str, tmp_path: Path) -> None:
    """Receipts come at the other worker than the one that sent, some before the answer, some twice: each
    finds its message, and nothing is sent again."""
    receipts = {"bind": "other", "before_response": 0.3, "duplicate": 0.2, "delay_ms": 50}

    async def scenario() -> None:
        table = worker_table(crashable, fresh, partitions=4)
        await make_topics(table)
        async with Simulator(parse({"receipts": receipts}, Behaviour)) as smsc:
            paths = [write(_made(tmp_path / name), data_with(tmp_path / name, smsc, table)) for name in "ab"]
            async with serving(paths[0]), serving(paths[1]) as two:
                await two.says("worker_took_over")
                await produce(crashable, f"{fresh}.service", [message(each) for each in range(400)])
                told = await outcomes_of(crashable, f"{fresh}.outcomes", 400)
                assert {each["outcome"] for each in told} == {"delivered"}
                assert 'strays_total{what="matched"}' in (said := await ask(two, "/metrics"))
                assert 'strays_total{what="matched"} 0.0' not in said
            assert set(copies(smsc).values()) == {1}

    run(scenario(), 90)
