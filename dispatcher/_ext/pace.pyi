from typing import final

from dispatcher.model import SendRequest

@final
class NumberPace:
    """Counts messages by source and number, in whole minutes and hours of the clock that `now_ms` is.

    A limit of 0 is none. Of numbers the last ten digits count: national and international forms are one.
    `numbers_max` pairs are remembered; the one that was quiet longest goes first. ValueError: fewer than 1.
    """

    def __new__(
        cls, request_type: type[SendRequest], per_minute: int, per_hour: int, numbers_max: int
    ) -> NumberPace: ...
    def __len__(self) -> int: ...
    @property
    def per_minute(self) -> int: ...
    @property
    def per_hour(self) -> int: ...
    def take(self, source: str, number: str, now_ms: int) -> int:
        """Count one message; return 0, or after how many milliseconds to come again: then it did not
        count."""

    def take_all(self, requests: list[SendRequest], now_ms: int) -> list[tuple[int, int]]:
        """The same for exact SendRequests; return [(place, milliseconds)] of those that did not count."""

    def force(self, source: str, number: str) -> None:
        """Count one message beyond the limits."""

    def give_back(self, source: str, number: str) -> None:
        """Take back what was counted last: no message came of it."""
