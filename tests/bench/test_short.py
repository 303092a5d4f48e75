"""A short form of every bench, so that none rots: it runs, its ledgers agree, its tables say what was found.

The engine's and the pipeline's are in tests/peers, `dispatcher bench` is in test_cli.py. No figure is judged.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec import convert

from bench import (
    daemon,
    daemon_tables,
    history,
    kafka,
    latency,
    latency_tables,
    micro,
    scaling,
    soak,
    store_tier,
)
from bench.compare import compare
from bench.machine import ROOT
from bench.results import Result, read, save
from dispatcher.cli.load.figures import Proof, Trial
from tests.kafka.brokers import absent

TOLD: tuple[tuple[str, Any], ...] = (("sustained", Trial), ("proof", Proof))
BENCHES = list((ROOT / "bench").glob("bench_*.py"))


def quiet(line: str) -> None:
    """Say nothing."""


def checked(result: Result, tmp_path: Path) -> Result:
    """Return a result as a reader of its file would see it: every price is there, and it equals itself."""
    save(result, tmp_path / "result.json")
    found = read(tmp_path / "result.json")
    assert all(each["median"] > 0 and min(each["yardstick"]) > 0 for each in found["rows"])
    assert not [each for each in compare(found, found) if each.bad]
    return found


def test_micro(tmp_path: Path) -> None:
    """Benches become rows over the yardstick, with the aims of those that have one."""
    files = ["bench_yardstick.py", "bench_pdu.py", "bench_record.py"]
    effort = ("--benchmark-min-rounds=1", "--benchmark-max-time=0.001")
    result = checked(micro.run_tier(files, effort, True, quiet), tmp_path)
    names = {f"{each['corpus']} {each['side']}" for each in result["rows"]}
    assert {name for name in micro.TARGETS_NS if name.split()[0] in ("pdu", "record")} <= names
    assert "yardstick" in {each["side"] for each in result["rows"] if not each["ours"]}
    assert "pack_messages" in micro.terminal(result)


def test_every_function_of_a_bench() -> None:
    """Each runs once, without being timed."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--benchmark-disable", *sorted(map(str, BENCHES))],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]


def test_store(tmp_path: Path) -> None:
    """Commits, reading and look-ups."""
    effort = store_tier.Effort(1, 0.05, (1, 10), 1_000)
    result = checked(store_tier.run_tier(effort, True, quiet, tmp_path), tmp_path)
    assert {each["corpus"] for each in result["rows"]} == {"commits of 1", "commits of 10", "reading"}
    assert "status by message_id" in store_tier.terminal(result)


def test_daemon(tmp_path: Path) -> None:
    """The headline at a lower rate, and posts; tables of it and of a soak; the history has a line."""
    effort = daemon.Effort(2, 0.5, 0, 0.3)
    result = checked(daemon.run_tier(effort, False, quiet, rate=1_000), tmp_path)
    assert [each["corpus"] for each in result["rows"]] == ["sustained", "posts"]
    table = daemon_tables.terminal(result)
    assert all(word in table for word in ("authorization", "marketing", "1,000 segments a second"))
    found, proof = (convert(result["flows"][name], kind) for name, kind in TOLD)
    soaked = checked(soak.result_of(found, proof, True), tmp_path)
    assert "memory grows by" in soak.terminal(soaked)
    assert "was appended" in history.append(result, tmp_path / "history.jsonl")
    assert "there already" in history.append(result, tmp_path / "history.jsonl")
    assert "codes p99" in history.table(tmp_path / "history.jsonl")
    result["quick"] = True
    assert "no history" in history.append(result, tmp_path / "history.jsonl")


def test_latency(tmp_path: Path) -> None:
    """Codes through the library and to the daemon; each of them came."""
    result = checked(
        latency.run_tier(latency.Effort(0.5, 0.5, (2_000,), 0.1, (latency.FLAT_OUT,)), True, quiet), tmp_path
    )
    assert [flow["codes"] for flow in result["flows"].values()] == [50, 50]
    assert "daemon, 2,000 TPS" in latency_tables.terminal(result)


@pytest.mark.skipif(bool(absent("tansu")), reason=f"LOUD: {absent('tansu')}")
def test_kafka(tmp_path: Path) -> None:
    """From topics to the topic of outcomes, its ledgers agree; every stage has its price; two workers beside
    one."""
    result = checked(kafka.run_tier(kafka.Effort(2_000, 500, 1_000, 1), True, quiet), tmp_path)
    assert result["flows"]["whole"]["messages"] == 2_000
    stages = {each["side"] for each in result["rows"] if each["corpus"] == "stages"}
    assert set(result["flows"]["stages"]) == stages
    assert result["flows"]["workers"]["ratio"] > 0
    assert "lost 0, doubled 0" in kafka.tables(result)


def test_scaling(tmp_path: Path) -> None:
    """Series have their points; that of the backlog is tests/peers/test_pipeline.py's."""
    effort = scaling.Effort(0, (0, 1_500), (9,), (), 0.1, 0.3, 0.1, (0,))
    result = checked(scaling.run_tier(effort, True, quiet), tmp_path)
    assert [len(points) for points in result["flows"].values()] == [2, 1, 1]
    assert "one for all" in scaling.terminal(result)


def test_a_slope_is_of_the_seconds_after_the_first_fifth() -> None:
    """What fills up at first is no leak."""
    assert soak._slope([1, 2, 3], [5, 7, 9]) == pytest.approx(2)
    assert soak._slope([1], [5]) == 0
