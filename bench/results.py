"""What a result file holds; run.py writes it, compare.py and the README's table read it."""

import json
from pathlib import Path
from typing import Any, Final, NotRequired, TypedDict

from bench.machine import ROOT, Run

RESULTS: Final = ROOT / "bench" / "results"
YARDSTICK: Final = "str.encode utf-16-be (yardstick)"


class Row(TypedDict):
    """One side on one corpus (or pair of binds and window). Times are nanoseconds a text (or message)."""

    corpus: str
    side: str
    version: str
    ours: bool
    median: float
    min: float
    max: float
    rounds: list[float]
    yardstick: list[float]
    """Round by round: this side over the yardstick of the same round. What two results are compared by."""
    ratio: float
    """Median over the median of what of ours does the same work."""
    ratio_min: float
    ratio_max: float
    faults: NotRequired[str]
    """What it cuts wrongly in the corpus; absent where it does not segment."""
    target: NotRequired[float]
    """What we aim at, for information."""
    cpu_us: NotRequired[float]
    """Of the engine's bench: CPU time of the flooding process, microseconds a message; the median."""
    smsc_cpu_us: NotRequired[float]
    """Of the engine's bench: the same of our simulator."""


class Result(TypedDict):
    """A whole run of one tier."""

    tier: str
    run: Run
    quick: bool
    rounds: int
    loop: NotRequired[float]
    """Nanoseconds of the Python loop around a call, part of every figure but the batches'; encoding only."""
    import_ms: NotRequired[float]
    method: NotRequired[str]
    """How, in a sentence, where it is not the encoders' way (timing.py)."""
    flows: NotRequired[dict[str, Any]]
    """Of the pipeline's bench: all that each flow said, by its name."""
    corpora: dict[str, str]
    rows: list[Row]
    absent: dict[str, str]


def save(result: Result, path: Path) -> None:
    """Write a result as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", "utf-8")


def read(path: Path) -> Result:
    """Read a result that `save` wrote."""
    result: Result = json.loads(path.read_text("utf-8"))
    return result
