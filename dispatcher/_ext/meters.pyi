"""What is counted for each message or segment: durations in bins, and who sent what when."""

from typing import final

from dispatcher.model import Message

SOURCES_MAX: int
"""Sources that are told apart: a label of a metric must have an end. A bank has dozens of API keys."""
OTHERS: str
"""Stands for the sources beyond."""
BOUNDS_US: tuple[int, ...]
"""Upper bounds of the bins in microseconds: E12 steps from 100 us to 100,000 s. Beyond is one more."""

@final
class Histogram:
    """Durations in bins."""

    def observe(self, us: int, times: int = 1) -> None:
        """Count a duration in microseconds, so many times; a negative one is none at all."""

    def counts(self) -> list[int]:
        """Return the counts of the bins up to the last one that holds something."""

    @property
    def count(self) -> int:
        """How many were observed."""

    @property
    def sum_us(self) -> int:
        """Their sum in microseconds."""

@final
class Intake:
    """Who sent how many messages, and when which were accepted. `steps_max` bounds how exactly that is known.

    ValueError: fewer than 16 steps.
    """

    def __new__(cls, *, steps_max: int = 16_384) -> Intake: ...
    def __len__(self) -> int: ...
    @property
    def sources(self) -> dict[str, list[int]]:
        """Of each source, how many messages of each traffic class."""

    def add(self, messages: list[Message], at_ms: int, some_later: bool = False) -> None:
        """Count messages with consecutive numbers that were accepted at a time.

        `some_later`: some have a send_after_ms; since when those are under way is not known.
        """

    def since(self, n: int) -> int:
        """Return when a message was accepted, in milliseconds of UTC; 0: that is not known."""
