"""The one face of everything that floods: a command that binds, floods, drains, and prints one line of JSON.

Each side runs in a process of its own, pinned by whoever starts it. It keeps every window full; counts what
is answered (with receipts: what is reported and acknowledged) between two moments; then submits no more and
waits until nothing is in flight, so that the SMSC's ledger can be compared with what it says it sent.
"""

import resource
from time import perf_counter
from typing import Final, NamedTuple, Protocol

from bench.peers.face import Absent, absent, installed

__all__ = [
    "CODES",
    "DESTINATIONS",
    "TEXTS",
    "Absent",
    "Client",
    "Job",
    "Outcome",
    "Span",
    "absent",
    "installed",
]

TEXTS: Final = 4096
CODES: Final = [
    f"Your one-time code is {at * 7919 % 1_000_000:06}. Do not tell it to anyone, ever" for at in range(TEXTS)
]
"""60 characters each."""
DESTINATIONS: Final = [f"79{at * 104_729 % 1_000_000_000:09}" for at in range(TEXTS)]


class Job(NamedTuple):
    """What to do; the fields in this order are the arguments of every side's command."""

    port: int
    system_id: str
    binds: int
    window: int
    receipts: int
    """1: ask for a receipt with each message; it counts when it is acknowledged."""
    warm_s: float
    span_s: float

    @property
    def arguments(self) -> list[str]:
        """The command line."""
        return [str(value) for value in self]

    @classmethod
    def parse(cls, arguments: list[str]) -> "Job":
        """Read the command line."""
        port, system_id, binds, window, receipts, warm_s, span_s = arguments
        return cls(int(port), system_id, int(binds), int(window), int(receipts), float(warm_s), float(span_s))


class Outcome(NamedTuple):
    """What a side says about itself."""

    messages: int
    """In the span."""
    seconds: float
    cpu_s: float
    sent: int
    """In the whole run, all of them answered."""


class Client(Protocol):
    """A module of bench/clients."""

    NAME: str

    def missing(self) -> Absent | None:
        """Say what is missing, if anything."""

    def version(self) -> str:
        """Return the version, "" where absent."""

    def command(self, job: Job) -> list[str]:
        """Return the command that floods."""


class Span:
    """Counts between two moments. A client calls `begin` and `end`, and adds to `count` and `sent`."""

    def __init__(self) -> None:
        self.count = self.sent = 0
        self.over = False
        """Submit no more."""
        self._begun = (0, 0.0, 0.0)
        self._ended = (0, 0.0, 0.0)

    def begin(self) -> None:
        """The warm-up is over."""
        self._begun = (self.count, perf_counter(), _cpu_s())

    def end(self) -> None:
        """The time is up."""
        self._ended = (self.count, perf_counter(), _cpu_s())
        self.over = True

    def outcome(self) -> Outcome:
        """Return the differences."""
        messages, seconds, cpu_s = (end - begin for begin, end in zip(self._begun, self._ended, strict=True))
        return Outcome(int(messages), seconds, cpu_s, self.sent)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
