"""What a run has found: the values in its JSON file, which report, page and compare read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from dispatcher.errors import DispatcherError

FORMAT = 1
"""Of the file; another number is not read."""


class ReportError(DispatcherError):
    """A file is no report of ours."""


class Latency(msgspec.Struct, frozen=True):
    """Percentiles, in milliseconds from when a request was meant to be sent."""

    count: int
    p50: float
    p99: float
    p999: float
    max: float


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One second of a trial. Rates are a second; shares are of one core."""

    at_s: float
    """Its end, from the first intended send."""
    due: float
    """Segments a second that were meant to be sent."""
    taken: float
    """Segments a second that the carrier answered."""
    reported: float
    """Segments a second whose receipt was matched and is on disk."""
    behind: int
    """Segments at its end that were due and are not reported: in the client, the door, queues, under way."""
    waiting: int
    """Messages in queues."""
    commits: float
    octets: float
    """Bytes a second that were committed."""
    memory_bytes: int
    daemon: float
    carrier: float
    client: float
    others: float
    """All that the cores we may use did beside these three."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A rate that was offered for a while, and what became of it. The warm-up is in none of the figures."""

    segments_per_s: float
    """Offered."""
    seconds: float
    messages: int
    """That the figures are of."""
    refused: int
    samples: list[Sample]
    accepted: Latency
    """Until the whole answer of the request was there: all of its messages are on disk."""
    carrier: dict[str, Latency]
    """Until the carrier had read the message's last segment, by traffic class."""
    over_time: dict[str, list[Latency]]
    """The same, second by second of the intended send; and "accepted"."""
    late: Latency
    """How late the client itself was; it is in all others."""
    growth: float
    """Segments a second by which `behind` grew, as a share of what was offered."""
    core: float
    """The daemon's share of one core, mean."""
    cpu_us: float
    """The daemon's CPU time a segment, microseconds, user and system."""
    commits_per_s: float
    octets_a_segment: float
    """Committed bytes."""
    drain_s: float
    """From the last intended send until everything was reported."""
    yardstick_ns: float
    """What a fixed piece of work took just before: CPU nanoseconds. Machines compare over it."""
    stopped: bool = False
    """Before its time: it was too far behind, be it after a single stall."""

    @property
    def held(self) -> bool:
        """Whether the rate was held to the end: nothing refused, and no queue anywhere that grew."""
        return not self.refused and not self.stopped and self.growth <= GROWTH_MAX


GROWTH_MAX = 0.01
"""Of the offered rate: less is the unsteadiness of single seconds."""


class Step(msgspec.Struct, frozen=True):
    """One rate that was tried on the way to the ceiling."""

    segments_per_s: float
    seconds: float
    held: bool
    growth: float
    core: float


class Ceiling(msgspec.Struct, frozen=True):
    """The highest rate that was held. `trial` is the long one; None: not even the lowest was held."""

    steps: list[Step]
    trial: Trial | None


class Proof(msgspec.Struct, frozen=True):
    """What the ledgers say in the end; all are the same number, or there are no figures."""

    segments: int
    """That the client was told are accepted."""
    submits: int
    """That the carrier read."""
    responses: int
    acknowledged: int
    complaints: int
    """Of `dispatcher audit`."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run."""

    format: int = FORMAT
    run: dict[str, Any]
    """Date, command, version, machine: see machine.py."""
    settings: dict[str, Any]
    """Binds, window, receipts, how processes share the cores, what the disk takes for a sync."""
    sustained: Trial | None
    ceiling: Ceiling | None
    proof: Proof


def save(report: Report, path: Path) -> None:
    """Write a report as JSON. OSError."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")


def read(path: Path) -> Report:
    """Read a report that `save` wrote. OSError, ReportError."""
    try:
        report = msgspec.json.decode(path.read_bytes(), type=Report)
    except msgspec.DecodeError as error:
        raise ReportError(f"{path.name} is no report of `dispatcher bench`: {error}") from None
    if report.format != FORMAT:
        raise ReportError(f"{path.name} has format {report.format}; {FORMAT} is expected")
    return report


def latency_of(values_ns: Sequence[int]) -> Latency:
    """Return the percentiles of durations in nanoseconds; zeros of none."""
    ordered = sorted(values_ns)
    if not ordered:
        return Latency(0, 0.0, 0.0, 0.0, 0.0)
    last = len(ordered) - 1
    shares = [ordered[min(last, int(share * len(ordered)))] / 1e6 for share in (0.5, 0.99, 0.999)]
    return Latency(len(ordered), *(round(each, 3) for each in [*shares, ordered[last] / 1e6]))
