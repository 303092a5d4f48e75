"""Events in octets; the layout is that of dispatcher.model.Event."""

from typing import Any, TypeVar, final

_TupleT = TypeVar("_TupleT", bound=tuple[Any, ...])

@final
class EventBuffer:
    """Records of events, waiting for the next commit. It grows; it never shrinks and never forgets."""

    def __len__(self) -> int: ...
    @property
    def octets(self) -> int:
        """Octets of all records in it."""

    def add(
        self,
        kind: int,
        n: int,
        at_ms: int,
        segment: int = 255,
        carrier: int = 0,
        code: int = 0,
        tail: bytes = b"",
    ) -> None:
        """Append one event; ValueError where a field does not fit its octets or the kind is unknown."""

    def take(self) -> tuple[int, bytes]:
        """Return (how many, their octets) and be empty."""

def read_events(body: bytes, event_type: type[_TupleT]) -> list[_TupleT]:
    """Return the events of a body as a list of `event_type`: dispatcher.model.Event, or plain tuple.

    StoreError: the body is cut, or holds a kind that nobody knows. TypeError: `event_type` is no tuple.
    """

def pick_events(body: bytes, event_type: type[_TupleT], kinds: int) -> tuple[int, list[int], list[_TupleT]]:
    """Return how many events a body holds, and those of some kinds: their places, from 1, and themselves.

    `kinds`: a bit each, 1 << kind. What is not asked for costs some nanoseconds. Raises as read_events.
    """
