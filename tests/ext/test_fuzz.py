"""The short form of ``make fuzz``: some turns of every target, always the same; and that failures show."""

import os
import time
from collections.abc import Callable
from random import Random

import pytest

from tests.fuzz import desk, run

TURNS = {"codec": 200, "streams": 500, "texts": 400, "buckets": 400, "encoder": 30}
"""About half a second each; every fortieth turn of the codec measures memory."""


@pytest.mark.parametrize("target", run.TARGETS)
def test_turns_of_every_target(target: str) -> None:
    """F55 to F62: whatever a peer sends, the laws of tests/fuzz hold."""
    for turn in range(TURNS[target]):
        assert run.TARGETS[target][0](run.dice_of(1, target, turn), turn) > 0


def breaks(dice: Random, turn: int) -> int:
    """Break a law in the third turn."""
    desk.DESK.note(b"\xab\xcd")
    desk.need(turn < 2, "a law", turn)
    return 1


def crashes(dice: Random, turn: int) -> int:
    """End the process, as a sanitizer does."""
    desk.DESK.note(b"\xab\xcd")
    if turn == 2:
        os._exit(77)
    return 1


def hangs(dice: Random, turn: int) -> int:
    """Never return."""
    desk.DESK.note(b"\xab\xcd")
    if turn == 2:
        time.sleep(60)
    return 1


@pytest.mark.parametrize(("target", "said"), [(breaks, "a law"), (crashes, "77"), (hangs, "hangs")])
def test_a_failure_names_its_input(
    target: Callable[[Random, int], int],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A broken law, a crash and a hang print the seed, the input and the command to repeat it."""
    monkeypatch.setattr(run, "TARGETS", {"mine": (target, 1.0)})
    monkeypatch.setattr(run, "HANG_S", 1)
    assert run.run(7, 10, 1) == 1
    out = capfd.readouterr().out
    assert said in out
    assert "input: abcd\n" in out
    assert "--seed 7 --target mine --turn 2" in out


def test_all_cases_are_tried(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Without a failure the counts are printed; two processes share the turns."""
    monkeypatch.setattr(run, "TARGETS", {"mine": (lambda *_: 1, 0.7), "other": (lambda *_: 3, 0.3)})
    assert run.run(7, 200, 2) == 0
    out = capfd.readouterr().out
    assert "0 failures" in out
    assert int(out.split()[0]) >= 200
    assert "mine 1" in out
    assert "other 6" in out
