"""The pace of numbers against a slow twin, and at its edges."""

from collections import OrderedDict
from random import Random

import pytest

from dispatcher._ext.pace import NumberPace
from dispatcher.model import SendRequest

MINUTE_MS, HOUR_MS = 60_000, 3_600_000


class Twin:
    """The same with dicts: of source and last digits minute, messages in it, hour, messages in it."""

    def __init__(self, per_minute: int, per_hour: int, numbers_max: int) -> None:
        self.per_minute, self.per_hour, self.numbers_max = per_minute, per_hour, numbers_max
        self.counts: OrderedDict[tuple[str, str], tuple[int, int, int, int]] = OrderedDict()

    @staticmethod
    def key(source: str, number: str) -> tuple[str, str]:
        """National and international forms are one."""
        return source, "".join(each for each in number if each in "0123456789")[-10:]

    def take(self, source: str, number: str, now_ms: int) -> int:
        """Count one."""
        key = self.key(source, number)
        minute, hour = now_ms // MINUTE_MS, now_ms // HOUR_MS
        if key not in self.counts:
            self.counts[key] = minute, 1, hour, 1
            if len(self.counts) > self.numbers_max:
                self.counts.popitem(last=False)
            return 0
        self.counts.move_to_end(key)
        its_minute, in_minute, its_hour, in_hour = self.counts[key]
        in_minute = in_minute if its_minute == minute else 0
        in_hour = in_hour if its_hour == hour else 0
        if self.per_hour and in_hour >= self.per_hour:
            return (hour + 1) * HOUR_MS - now_ms
        if self.per_minute and in_minute >= self.per_minute:
            return (minute + 1) * MINUTE_MS - now_ms
        self.counts[key] = minute, in_minute + 1, hour, in_hour + 1
        return 0

    def add(self, source: str, number: str, more: int) -> None:
        """Count more, or take back."""
        if (key := self.key(source, number)) in self.counts:
            minute, in_minute, hour, in_hour = self.counts[key]
            self.counts[key] = minute, max(0, in_minute + more), hour, max(0, in_hour + more)


NUMBERS = (
    "+79001234567",
    "89001234567",
    "+7 900 123-45-67",
    "9001234567",
    "1",
    "01",
    "001",
    "",
    "hello",
    "+٣٤5",
)


@pytest.mark.parametrize("seed", range(8))
def test_random_calls_are_answered_as_the_twin_does(seed: int) -> None:
    """One by one and many at once, taken back and forced, while hours go by and the table is full."""
    dice = Random(seed)
    limits = dice.choice((0, 1, 3)), dice.choice((0, 2, 7)), dice.choice((1, 5, 40))
    pace, twin = NumberPace(SendRequest, *limits), Twin(*limits)
    numbers = (*NUMBERS, *(f"+7901{number:07d}" for number in range(40)))
    now_ms = dice.randrange(HOUR_MS)
    for _ in range(600):
        now_ms += dice.choice((0, 1, 5_000, MINUTE_MS, 20 * MINUTE_MS))
        source, number = dice.choice(("", "a", "b")), dice.choice(numbers)
        match dice.randrange(4):
            case 0:
                pace.give_back(source, number)
                twin.add(source, number, -1)
            case 1:
                pace.force(source, number)
                twin.add(source, number, 1)
            case 2:
                assert pace.take(source, number, now_ms) == twin.take(source, number, now_ms)
            case 3:
                asked = [
                    SendRequest(to=dice.choice(numbers), text="t", sender="B", source=dice.choice("ab"))
                    for _ in range(dice.randrange(100))
                ]
                waits = [twin.take(each.source, each.to, now_ms) for each in asked]
                expected = [(place, wait_ms) for place, wait_ms in enumerate(waits) if wait_ms]
                assert pace.take_all(asked, now_ms) == expected
        assert len(pace) == len(twin.counts)


def test_a_program_s_slips_are_exceptions() -> None:
    """A stranger among requests is a TypeError, and is not read; a table of nothing is a ValueError."""
    pace = NumberPace(SendRequest, 1, 1, 10)
    with pytest.raises(TypeError, match="SendRequest"):
        pace.take_all(["+79001234567"], 0)  # type: ignore[list-item]
    with pytest.raises(ValueError, match="numbers_max"):
        NumberPace(SendRequest, 1, 1, 0)
    assert repr(pace) == "<NumberPace 1 a minute, 1 an hour, 0 numbers>"
