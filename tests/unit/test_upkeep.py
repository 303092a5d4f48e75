"""Steps of the wall clock, told from its run and from what NTP and leap seconds do to it."""

import pytest

from dispatcher.upkeep import STEP_MS, Steps

SECOND_NS = 1_000_000_000
NOW_MS = 1_795_000_000_000


@pytest.mark.parametrize("step_ms", [3_600_000, -3_600_000, -86_400_000, STEP_MS + 1, -STEP_MS - 1])
def test_a_step_is_told_once(step_ms: int) -> None:
    """F12: forward or back by more than 5 s; however long the look took, and never a second time."""
    steps = Steps(NOW_MS, 0)
    assert steps.look(NOW_MS + 1_000, SECOND_NS) == 0
    assert steps.look(NOW_MS + 60_000 + step_ms, 60 * SECOND_NS) == step_ms
    assert steps.look(NOW_MS + 61_000 + step_ms, 61 * SECOND_NS) == 0


@pytest.mark.parametrize("step_ms", [1_000, -1_000, STEP_MS, -STEP_MS])
def test_a_leap_second_is_no_step(step_ms: int) -> None:
    """F12: a second that comes twice or not at all, and whatever is no more than 5 s."""
    assert Steps(NOW_MS, 0).look(NOW_MS + 250 + step_ms, SECOND_NS // 4) == 0


def test_a_slew_is_no_step() -> None:
    """F12: NTP slews by 500 millionths, for a day: 43 s in the end, and no step."""
    steps = Steps(NOW_MS, 0)
    for second in range(86_400):
        assert steps.look(NOW_MS + second * 1000 + second * 1000 // 2000, second * SECOND_NS) == 0
