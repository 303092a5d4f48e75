"""`dispatcher bench` as a user runs it: processes, ledgers, files, exit codes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dispatcher.__main__ import main
from dispatcher.cli import rig
from dispatcher.cli.load import figures, stage
from dispatcher.cli.load.stage import FailedError, Options, Stage


def test_a_short_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It measures, proves, writes JSON and page, leaves nothing behind; a report equals itself."""
    path = tmp_path / "out.json"
    words = ["bench", "--no-ceiling", "--rate", "2000", "--seconds", "3"]
    code = main([*words, "--folder", str(tmp_path), "--output", str(path)])
    found = figures.read(path)
    assert found.sustained is not None
    assert code == (0 if found.sustained.held else 1)
    assert (
        found.sustained.messages == 3 * 1600 == sum(each.count for each in found.sustained.carrier.values())
    )
    assert found.proof.segments == found.proof.acknowledged == 5 * 2000
    assert found.sustained.cpu_us > 0
    assert found.sustained.carrier["authorization"].p50 > 0
    assert "<svg" in path.with_suffix(".html").read_text("utf-8")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["out.html", "out.json"]
    assert "lost 0, doubled 0" in capsys.readouterr().out
    assert str(tmp_path) not in path.read_text("utf-8")
    assert main(["bench", "compare", str(path), str(path)]) == 0


@pytest.mark.parametrize(
    ("totals", "told"),
    [((2, 2, 2), 3), ((4, 3, 3), 3), ((3, 2, 2), 3), ((3, 3, 2), 3), ((3, 3, 3), 3), ((0, 0, 0), 0)],
)
def test_what_is_lost_leaves_no_figures(
    totals: tuple[int, int, int], told: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number of the carrier that differs from what the client was told: the proof fails."""
    submits, responses, acknowledged = totals
    ledger = {"submits": submits, "responses": {"0": responses}, "acknowledged": {"0": acknowledged}}
    some: Any = Stage(Options(folder=tmp_path))
    some.segments, some.folder = told, tmp_path
    some.carrier = SimpleNamespace(totals=lambda: ledger)
    some.daemon = SimpleNamespace(process=None)
    monkeypatch.setattr(rig, "end", lambda *ended: 0)
    monkeypatch.setattr(stage, "audit", lambda folder: SimpleNamespace(wrong={}))
    if totals == (told, told, told):
        assert some.prove().submits == told
    else:
        with pytest.raises(FailedError, match="ledgers do not agree"):
            some.prove()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--no-ceiling", "--no-sustained"], 2, "nothing to do"),
        (["--folder", "nowhere"], 66, "no folder"),
        (["--output", "x.html"], 2, "names the JSON"),
        (["compare", "a.json", "a.json"], 66, "a.json"),
    ],
)
def test_wrong_calls(
    words: list[str],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line that says what is wrong, before anything is started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stage, "Stage", None)
    assert main(["bench", *words]) == code
    assert said in capsys.readouterr().err
