"""Steps of the wall clock, told from its run and from what NTP and leap seconds do to it; alarms of the
disk, told once."""

import pytest

from dispatcher.upkeep import LASTING_S, STEP_MS, Lasting, Steps

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


def test_what_is_worse_is_told_at_once_and_what_is_better_when_it_has_lasted() -> None:
    """F20, F24: each step down is told once; a value that flutters is told up once, at its end."""
    classes = Lasting(4)
    assert [classes.look(value, 0.0) for value in (4, 3, 3, 1, 0)] == [None, 3, None, 1, 0]
    flutter = [classes.look(second % 2, float(second)) for second in range(1, 101)]
    assert flutter == [None] * 100
    later = [classes.look(4, 200 + second) for second in (0.0, LASTING_S - 1, LASTING_S, LASTING_S + 1)]
    assert later == [None, None, 4, None]
