"""Workers on real brokers, as processes: one from topic to outcome, two that share, one that is killed."""

import signal
from collections import Counter
from pathlib import Path
from typing import Any

from dispatcher.simulator import Simulator
from tests.integration.house import copies, run, until
from tests.integration.serving import serving, write
from tests.kafka.house import data_with, kafka_table, make_topics, message, outcomes_of, produce

WINDOW = 20
"""Of the one bind of a worker."""


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

    run(scenario(), 90)


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
                one.signal(signal.SIGKILL)
                await one.ended()
                told = await outcomes_of(crashable, f"{fresh}.outcomes", count, 90)
                two.signal(signal.SIGTERM)
                assert await two.ended() == 0, two.raw[-20:]
            sent = copies(smsc)
            assert len(sent) == count
            assert sum(sent.values()) - count <= 2 * WINDOW
            ends = {each["id"]: each for each in told if each["type"] == "message.finished"}
            assert Counter(each["client_ref"] for each in ends.values()) == Counter(
                f"r{n}" for n in range(count)
            )

    run(scenario(), 150)
