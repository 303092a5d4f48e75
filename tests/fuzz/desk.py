"""What every target reports to: the law that broke, and the input that is under test right now.

The input is written into memory shared with the parent process before it is tried, so that it is known even
when the sanitizer ends the process, or a loop never does.
"""

import mmap
from typing import Any, Final

SIZE_MAX: Final = 70_000
"""Octets of an input that are kept: the longest PDU."""


class Broken(Exception):  # noqa: N818 - what happened to a law
    """A law was broken: which, and by what."""


class Desk:
    """The turn and the input at work, readable from outside."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 16 + SIZE_MAX)

    def begin(self, target: int, turn: int) -> None:
        """Say which turn begins."""
        self._shared[:16] = target.to_bytes(2, "big") + turn.to_bytes(10, "big") + bytes(4)

    def note(self, octets: bytes | bytearray) -> None:
        """Keep the input that comes next."""
        size = len(octets)
        if size <= SIZE_MAX:
            self._shared[12 : 16 + size] = size.to_bytes(4, "big") + octets

    def read(self) -> tuple[int, int, bytes]:
        """Return the target, the turn, and the input."""
        head = self._shared[:16]
        size = int.from_bytes(head[12:], "big")
        return (
            int.from_bytes(head[:2], "big"),
            int.from_bytes(head[2:12], "big"),
            self._shared[16 : 16 + size],
        )


DESK = Desk()
"""This process's; a worker puts its own in place."""


def need(holds: object, law: str, *case: Any) -> None:
    """Raise Broken unless the law holds."""
    if not holds:
        raise Broken(law, *case)
