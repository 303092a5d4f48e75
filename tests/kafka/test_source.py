"""A daemon that takes messages from topics and tells outcomes to one, on real brokers, as a process."""

import signal
from pathlib import Path

import msgspec

from dispatcher.simulator import Simulator
from tests.integration.house import copies, run, until
from tests.integration.serving import serving, write
from tests.kafka.house import (
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


def test_from_a_topic_to_the_topic_of_outcomes(bootstrap: str, fresh: str, tmp_path: Path) -> None:
    """Messages of every class reach the carrier once, each has one outcome by its client_ref, offsets are
    committed behind all of them, and the daemon drains."""

    async def scenario() -> None:
        table = kafka_table(bootstrap, fresh)
        await make_topics(table)
        async with Simulator() as smsc:
            data = data_with(tmp_path, smsc, table)
            async with serving(write(tmp_path, data)) as daemon:
                for start, name in ((0, "authorization"), (100, "transactional"), (200, "marketing")):
                    await produce(
                        bootstrap, f"{fresh}.{name}", [message(start + number) for number in range(100)]
                    )
                told = await outcomes_of(bootstrap, f"{fresh}.outcomes", 300)
                assert sorted(each["client_ref"] for each in told) == sorted(f"r{n}" for n in range(300))
                assert {each["outcome"] for each in told} == {"delivered"}
                classes = {each["client_ref"]: each["traffic_class"] for each in told}
                assert (classes["r1"], classes["r101"], classes["r201"]) == (
                    "authorization", "transactional", "marketing",
                )  # fmt: skip
                daemon.signal(signal.SIGTERM)
                assert await daemon.ended() == 0, daemon.raw[-20:]
            assert set(copies(smsc).values()) == {1}
            assert len(copies(smsc)) == 300
        assert await committed(bootstrap, f"{fresh}.authorization", f"{fresh}.authorization") == 100

    run(scenario(), 90)


def test_headers_come_back_with_the_outcome(crashable: str, fresh: str, tmp_path: Path) -> None:
    """The trace and the tenant of a record are headers of its outcome, also where the daemon was killed in
    between and its successor tells the end; other records have none."""
    traces = {f"r{number}": f"00-{number:032x}-{number:016x}-01" for number in range(1, 31)}

    async def scenario() -> None:
        table = kafka_table(crashable, fresh, tenants=["cards", "loans"])
        await make_topics(table)
        async with Simulator() as smsc:
            classes = {"service": {"on_unknown": "resend"}}  # or it waits for a late receipt
            data = data_with(tmp_path, smsc, table, carrier={"tps": 20.0}, classes=classes)
            path = write(tmp_path, data)
            async with serving(path) as daemon:
                for number in range(1, 31):
                    tenant = "cards" if number % 2 else "loans"
                    headers = [("traceparent", traces[f"r{number}"].encode()), ("tenant", tenant.encode())]
                    await produce(crashable, f"{fresh}.service", [message(number)], headers)
                await produce(crashable, f"{fresh}.service", [message(99)])
                await until(lambda: len(copies(smsc)) > 5, "some are sent")
                daemon.signal(signal.SIGKILL)
                await daemon.ended()
            async with serving(path):
                await outcomes_of(crashable, f"{fresh}.outcomes", 31)
                told = await records_of(crashable, f"{fresh}.outcomes", 31)
        for record in told:
            outcome, said = msgspec.json.decode(record.value), headers_of(record)
            ref = outcome["client_ref"]
            assert said.get("traceparent") == traces.get(ref) == outcome.get("traceparent")
            whose = None if ref == "r99" else "cards" if int(ref[1:]) % 2 else "loans"
            assert said.get("tenant") == whose

    run(scenario(), 90)


def test_f97_poison_among_good_ones(bootstrap: str, fresh: str, tmp_path: Path) -> None:
    """F97: bad JSON, an unknown schema, a refused number, a wrong class, nothing at all: each to the topic of
    dead letters with its reason and place, and its neighbours in the same partition go on."""
    poison: list[tuple[bytes, list[tuple[str, bytes]], str]] = [
        (b'{"to": "+79000000001", "text": ', [], "malformed"),
        (msgspec.json.encode(message(2)), [("schema", b"2")], "schema_unknown"),
        (msgspec.json.encode(message(3, to="12")), [], "number_malformed"),
        (msgspec.json.encode(message(4, traffic_class="marketing")), [], "class_not_allowed"),
        (msgspec.json.encode(message(5, txt="x")), [], "malformed"),
        (b"", [], "malformed"),
        (b"\xff\xfe", [("content-type", b"text/plain")], "media_type"),
        (msgspec.msgpack.encode({"to": b"x"}), [("content-type", b"application/msgpack")], "malformed"),
    ]

    async def scenario() -> None:
        table = kafka_table(bootstrap, fresh, partitions=1)
        await make_topics(table)
        async with Simulator() as smsc:
            async with serving(write(tmp_path, data_with(tmp_path, smsc, table))):
                topic = f"{fresh}.authorization"
                for number, (value, headers, _) in enumerate(poison):
                    await produce(bootstrap, topic, [message(100 + number)])
                    await produce(bootstrap, topic, [value], headers, is_raw=True)
                packed = [msgspec.msgpack.encode(message(200))]
                await produce(
                    bootstrap, topic, packed, [("content-type", b"application/msgpack")], is_raw=True
                )
                told = await outcomes_of(bootstrap, f"{fresh}.outcomes", len(poison) + 1)
                dead = await records_of(bootstrap, f"{fresh}.dead_letters", len(poison))
            assert {each["client_ref"] for each in told} == {"r200"} | {
                f"r{100 + n}" for n in range(len(poison))
            }
            assert len(dead) == len(poison)
            by_offset = sorted(dead, key=lambda record: int(headers_of(record)["dead-offset"]))
            for number, (record, (value, headers, reason)) in enumerate(zip(by_offset, poison, strict=True)):
                said = headers_of(record)
                assert said["dead-reason"] == reason, (number, said)
                assert (said["dead-topic"], said["dead-partition"]) == (topic, "0")
                assert said["dead-offset"] == str(2 * number + 1)
                assert record.value == value
                assert headers_of(record) | {name: octets.decode() for name, octets in headers} == said
            assert headers_of(by_offset[2])["dead-path"] == "$.to"

    run(scenario(), 90)


def test_a_reader_waits_where_too_much_waits(crashable: str, fresh: str, tmp_path: Path) -> None:
    """Back-pressure: where marketing's queue is full its topic waits, unread and uncommitted, while codes go
    through; once there is room, all of it comes, in order and once."""
    address = crashable

    async def scenario() -> None:
        table = kafka_table(address, fresh, partitions=1, poll_max=50)
        await make_topics(table)
        marketing = f"{fresh}.marketing"
        async with Simulator() as smsc:
            data = data_with(
                tmp_path, smsc, table, carrier={"tps": 100.0}, classes={"marketing": {"backlog_max": 50}}
            )
            async with serving(write(tmp_path, data)):
                await produce(address, marketing, [message(number) for number in range(500)])
                await until(lambda: len(copies(smsc)) > 10, "marketing is sent")
                await produce(address, f"{fresh}.authorization", [message(1000 + n) for n in range(20)])
                await until(
                    lambda: sum(token > "t1" and len(token) == 5 for token in copies(smsc)) == 20, "codes"
                )
                assert await committed(address, f"{fresh}.marketing", marketing) < 500
                told = await outcomes_of(address, f"{fresh}.outcomes", 520)
            assert len(told) == 520
            assert set(copies(smsc).values()) == {1}
            assert len(await records_of(address, f"{fresh}.dead_letters", 0)) == 0

    run(scenario(), 90)
