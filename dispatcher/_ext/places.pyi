"""Where messages stand in topics, and events from numbers to places and back."""

from typing import final

@final
class Places:
    """Of each message of this process: the index of its partitions, its traffic class, its offset."""

    def put(self, n: int, index: int, traffic_class: int, offset: int) -> None:
        """Say where a message stands. ValueError: a number beyond its bits."""

    def of(self, n: int) -> tuple[int, int, int] | None:
        """Return (index, traffic_class, offset) of a message that is ours, or was; None: it is not known."""

    def has(self, n: int) -> bool:
        """Whether a message is ours."""

    def split(self, body: bytes) -> tuple[dict[int, bytes], bytes, bool]:
        """Divide events: ({index: events under their places}, parked receipts, whether a receipt was not
        ours).

        A message that finishes in it is live no more. StoreError: the body is cut, or holds an unknown kind.
        """

    def ours(self, body: bytes) -> tuple[int, bytes]:
        """Return (how many, their octets) of the events that are about our messages, or about none."""

    def live(self, index: int, below_n: int) -> list[int]:
        """Return the numbers of an index that have not ended, in order, up to one."""

    def forget(self, index: int) -> list[int]:
        """Forget all of an index; return the numbers of it that had not ended, in order."""

    def release(self, below_n: int) -> None:
        """Give up pages of numbers below one that hold nothing live: later events of those go nowhere."""

def grouped(body: bytes) -> list[tuple[int, int, bytes]]:
    """Return (place, kind, octets) of each event that stands under its place, in order.

    StoreError: the body is cut, or holds an unknown kind.
    """

def renumbered(body: bytes, n: int, carriers: dict[int, int] | None = None) -> bytes:
    """Return events, all of one message, under another number or place; `carriers`: their numbers here by
    theirs.

    What has no number here keeps its own. StoreError: the body is cut, or holds an unknown kind.
    """

def about_messages(body: bytes) -> tuple[int, bytes]:
    """Return (how many, their octets) of the events that are about a message: none of parked receipts."""
