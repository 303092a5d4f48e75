"""What the events of an index add up to, read from its start to our own mark: pure.

Every place is in one of these states: never heard of (its record is to be taken as any other), in hand (its
events lead a book to where it stood), or ended. Records of an owner that was too late are left out: see
wire.py.
"""

from dispatcher._ext.places import grouped, renumbered
from dispatcher.model import EventKind
from dispatcher.worker.wire import CARRIED, EVENTS, Carried, Head, read_carried

_TOLD = (EventKind.FINISHED, EventKind.CORRECTED)


class InHand:
    """One message, under way or ended."""

    __slots__ = ("carried", "end", "events")

    def __init__(self) -> None:
        self.events: list[bytes] = []
        self.carried: Carried | None = None
        self.end = b""
        """Its FINISHED, where it has ended."""


class IndexState:
    """Of one index; `carriers`: numbers here by name, `add` is given records in their order."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.fence = 0
        self.told = -1
        self.strays_ms = 0
        self.messages: dict[int, InHand] = {}
        """By place."""
        self.references: dict[int, int] = {}
        self.ends: dict[int, int] = {}
        """Of ended ones, the offset of the record that says so."""
        self.ignored = 0
        """Records of owners that were too late."""

    def take(self, kind: bytes, head: Head, value: bytes, offset: int, carriers: dict[int, int]) -> None:
        """Take the next record. `carriers`: numbers here by those of the record. StoreError: it is broken."""
        if head.fence < self.fence:
            self.ignored += 1
            return
        self.fence = head.fence  # where its mark is kept no longer
        self.told = max(self.told, head.told)
        self.strays_ms = max(self.strays_ms, head.strays_ms)
        self.references.update(head.references)
        if kind == EVENTS:
            for place, event_kind, octets in grouped(value):
                self._event(place, event_kind, renumbered(octets, place, carriers), offset)
        elif kind == CARRIED:
            for each in read_carried(value):
                its = self.messages.setdefault(each.place, InHand())
                its.carried = each
                its.events = [renumbered(each.events, each.place, carriers)] if each.events else []

    def _event(self, place: int, kind: int, octets: bytes, offset: int) -> None:
        its = self.messages.setdefault(place, InHand())
        if kind in _TOLD:
            if not its.end:
                its.end = octets
                self.ends[place] = offset
        else:
            its.events.append(octets)

    def in_hand(self) -> dict[int, InHand]:
        """Return by place what has not ended, or has and was not told yet."""
        return {
            place: its for place, its in self.messages.items()
            if not its.end or self.ends[place] > self.told
        }  # fmt: skip

    def has_ended(self, place: int) -> bool:
        """Whether nothing is to be done about a place any more."""
        its = self.messages.get(place)
        return its is not None and bool(its.end) and self.ends[place] <= self.told
