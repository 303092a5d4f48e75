from collections.abc import Callable
from typing import final

from dispatcher._ext.numbers import RangeTable

@final
class Routes:
    """Carriers of messages, as rules decide.

    `zones` tells numbers apart as far as rules do, `moved` gives the operator that a number moved to (None:
    no rule asks). `decide` gives the orders of carriers among which a hash of n chooses, at least one; its
    answers are remembered, and forgotten when there are `remembered_max`. ValueError: fewer than 1.
    """

    def __new__(
        cls,
        zones: RangeTable,
        moved: Callable[[str], str | None] | None,
        decide: Callable[[int, str | None, str, int], tuple[tuple[int, ...], ...]],
        remembered_max: int,
    ) -> Routes: ...
    def __call__(self, to: str, sender: str, traffic_class: int, n: int) -> tuple[int, ...]:
        """Return the carriers of a message to the E.164 digits `to`, best first; empty: no rule fits."""

    def __len__(self) -> int: ...
