"""bench.compare tells a change from noise. Made-up results; nothing is timed."""

import json
import sys
from pathlib import Path

import pytest

from bench import compare, tables
from bench.compare import Change
from bench.results import YARDSTICK, Result, Row, save

CALM = [0.98, 0.99, 1.0, 1.01, 1.02]
NOISY = [0.7, 0.8, 1.0, 1.2, 1.3]


def row(side: str, factor: float, rounds: list[float], yardstick_ns: float = 200.0, ours: bool = True) -> Row:
    """Make a row that takes `factor` times as long as its yardstick, give or take `rounds`."""
    relative = [factor * each for each in rounds]
    values = [each * yardstick_ns for each in relative]
    return {
        "corpus": "c1_otp_en",
        "side": side,
        "version": "",
        "ours": ours,
        "median": sorted(values)[2],
        "min": min(values),
        "max": max(values),
        "rounds": values,
        "yardstick": relative,
        "ratio": 1.0,
        "ratio_min": 1.0,
        "ratio_max": 1.0,
    }


def result(*rows: Row) -> Result:
    """Make a result of these rows."""
    return {
        "tier": "encoding",
        "run": {
            "date": "2026-11-24",
            "command": "made up",
            "machine": {"cpu": "", "cores": 1, "python": "", "compiler": "", "kernel": "", "load": 0.0},
        },
        "quick": False,
        "rounds": 5,
        "loop": 4.0,
        "import_ms": 20.0,
        "corpora": {},
        "rows": list(rows),
        "absent": {},
    }


@pytest.mark.parametrize(
    ("factor", "rounds", "verdict"),
    [
        (1.0, CALM, "same"),
        (1.04, CALM, "same"),
        (1.10, CALM, "slower"),
        (0.90, CALM, "faster"),
        (1.10, NOISY, "noise"),
        (0.90, NOISY, "noise"),
        (2.0, NOISY, "slower"),
    ],
)
def test_a_change_beyond_5_percent_and_beyond_the_noise_is_flagged(
    factor: float, rounds: list[float], verdict: str
) -> None:
    """Small changes are the same, large ones within the scatter of the rounds are noise."""
    [change] = compare.compare(result(row("segment", 1, rounds)), result(row("segment", factor, rounds)))
    assert change.verdict == verdict
    assert change.change == pytest.approx(factor - 1)
    assert change.bad == (verdict == "slower")


def test_a_slower_machine_is_not_a_slower_encoder() -> None:
    """Sides are compared over the yardstick of their run; --absolute compares nanoseconds."""
    before, after = result(row("segment", 1, CALM)), result(row("segment", 1, CALM, yardstick_ns=400))
    assert [change.verdict for change in compare.compare(before, after)] == ["same"]
    assert [change.verdict for change in compare.compare(before, after, absolute=True)] == ["slower"]


def test_a_side_that_is_no_longer_measured_is_bad_and_a_new_one_is_not() -> None:
    """Deleting a benchmark does not hide a regression."""
    changes = compare.compare(result(row("segment", 1, CALM)), result(row("count", 1, CALM)))
    assert changes == [
        Change("c1_otp_en", "segment", "gone", 0.0),
        Change("c1_otp_en", "count", "new", 0.0),
    ]
    assert [change.bad for change in changes] == [True, False]


def test_peers_are_not_compared() -> None:
    """Their speed is not our regression."""
    theirs = row("smpplib make_parts", 1, CALM, ours=False)
    slower = row("smpplib make_parts", 9, CALM, ours=False)
    assert compare.compare(result(theirs), result(slower)) == []


@pytest.mark.parametrize(("rounds", "said"), [(CALM, False), (NOISY, True)])
def test_a_table_tells_that_the_machine_was_busy(rounds: list[float], said: bool) -> None:
    """Figures taken beside other work say so themselves."""
    lines = tables.notes(result(row(YARDSTICK, 1, rounds), row("segment", 1, NOISY)))
    assert any("busy during c1_otp_en:" in line for line in lines) == said


@pytest.mark.parametrize(("factor", "status"), [(1.0, 0), (0.5, 0), (1.5, 1)])
def test_the_exit_status_is_1_on_a_regression(
    factor: float,
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """CI can rely on it, and the words say which side it was."""
    files = [tmp_path / "before.json", tmp_path / "after.json"]
    for path, times in zip(files, (1.0, factor), strict=True):
        save(result(row("segment", times, CALM)), path)
        assert json.loads(path.read_text("utf-8"))["rows"]
    monkeypatch.setattr(sys, "argv", ["compare", *map(str, files)])
    assert compare.main() == status
    assert f"{status} of 1 became slower or are gone" in capsys.readouterr().out
