from collections.abc import Sequence
from typing import Final, final

NEVER: Final[int]
"""What `when` answers while the rate is 0; small enough to be added to a time."""

TPS_MAX: Final[int]
RESERVED: Final[tuple[float, float, float, float]]
MINIMUM: Final[tuple[float, float, float, float]]

@final
class Bucket:
    """Tokens of one carrier account; one token is one segment."""

    def __init__(
        self, now_ns: int, tps: float, *, reserved: Sequence[float] = ..., minimum: Sequence[float] = ...
    ) -> None: ...
    def take(self, now_ns: int, n: int, traffic_class: int) -> int:
        """Grant up to `n` tokens (0 to n) at once. Ask highest class first; n = 0 withdraws demand."""

    def when(self, now_ns: int, n: int, traffic_class: int) -> int:
        """Nanoseconds until `n` tokens (at most what can go at once) are free; NEVER: the rate is 0."""

    def give_back(self, taken_ns: int, n: int, traffic_class: int) -> None:
        """Return tokens that were taken at `taken_ns` and will not be sent; too old ones are gone anyway."""

    def set_rate(self, now_ns: int, tps: float) -> None:
        """Change the rate from now on; 0 pauses. Tokens of the last second count against the new rate."""

    def set_reserved(self, now_ns: int, reserved: Sequence[float]) -> None:
        """Change the reserves of the classes from now on: parts of the rate, authorization first."""

    def used(self, now_ns: int) -> tuple[int, int, int, int]:
        """Tokens taken in the last second, by traffic_class."""

    @property
    def tps(self) -> float:
        """The rate now in force."""

def spin(bucket: Bucket, now_ns: int, step_ns: int, calls: int, n: int, traffic_class: int) -> int:
    """Call the C side `calls` times, `step_ns` apart; returns the tokens granted. For benches, tests."""
