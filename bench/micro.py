"""The micro tier, by pytest-benchmark: encode, segment, count, PDUs, the bucket, receipts, journal records.

Each bench_*.py can be run alone: ``python -m pytest bench/bench_pdu.py``. Here they run in one process, one
after the other, each over the yardstick (bench_yardstick.py) of the same run. Of its rounds a bench keeps the
quartiles: what a change is told from noise by.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from bench.machine import ROOT, describe_run, sentence
from bench.results import Result, Row
from bench.tables import grid

YARDSTICK: Final = "yardstick"
TARGETS_NS: Final[dict[str, float]] = {
    "encoding segment[c1_otp_en]": 1_500_000,  # 10,000 texts
    "encoding count[c1_otp_en]": 700_000,
    "pdu encode_submit_sm_from_a_template": 400,
    "pdu read_a_hundred_submit_sm_resps": 8_000,
    "pdu read_deliver_sm": 1_000,
    "bucket take_from_python_in_a_loop": 50_000,
    "receipt scan_many[10 digits]": 250_000,  # 1,000 receipts
    "record pack_messages": 250_000,  # 1,000 messages
    "record unpack_messages": 450_000,
}
"""What we aim at, nanoseconds a call of the bench; its docstring says what a call is. For information."""
FULL: Final = ("--benchmark-min-rounds=20", "--benchmark-max-time=0.5")
QUICK: Final = ("--benchmark-min-rounds=5", "--benchmark-max-time=0.02")


def measure(quick: bool, progress: Callable[[str], object] = print) -> Result:
    """Run the tier."""
    files = sorted(path.name for path in (ROOT / "bench").glob("bench_*.py"))
    return run_tier(files, QUICK if quick else FULL, quick, progress)


def run_tier(
    files: Sequence[str], effort: Sequence[str], quick: bool, progress: Callable[[str], object]
) -> Result:
    """Run some of the files; the yardstick among them. CalledProcessError: a bench fails."""
    progress(f"{len(files)} files of benches")
    found = benchmarks(files, effort)
    (yardstick,) = [each["stats"]["median"] for each in found if YARDSTICK in each["name"]]
    rows = [_row(each, yardstick) for each in found]
    return Result(
        tier="micro",
        run=describe_run("bench.run"),
        quick=quick,
        rounds=min(each["stats"]["rounds"] for each in found),
        method="quartiles of pytest-benchmark's rounds over the yardstick's median; see bench/README.md",
        corpora=dict.fromkeys((row["corpus"] for row in rows), ""),
        rows=rows,
        absent={},
    )


def benchmarks(files: Sequence[str], effort: Sequence[str]) -> list[dict[str, Any]]:
    """Return what pytest-benchmark's JSON says of each bench."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.json"
        command = [sys.executable, "-m", "pytest", "-q", *(f"bench/{name}" for name in files), *effort]
        alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
        done = subprocess.run(
            [*command, f"--benchmark-json={path}"],
            cwd=ROOT,
            env=alone,  # a worker of pytest-xdist is timed by nobody
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"a bench fails:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        found: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["benchmarks"]
        return found


def _row(found: dict[str, Any], yardstick_s: float) -> Row:
    subject = Path(found["fullname"].partition("::")[0]).stem.removeprefix("bench_")
    name = found["name"].removeprefix("test_")
    stats = found["stats"]
    quartiles = [stats["q1"], stats["q1"], stats["median"], stats["q3"], stats["q3"]]
    relative = [each / yardstick_s for each in quartiles]
    row = Row(
        corpus=subject,
        side=name,
        version="",
        ours=subject != YARDSTICK and not name.startswith("peers_"),
        median=stats["median"] * 1e9,
        min=stats["min"] * 1e9,
        max=stats["max"] * 1e9,
        rounds=[each * 1e9 for each in quartiles],
        yardstick=relative,
        ratio=relative[2],
        ratio_min=relative[0],
        ratio_max=relative[4],
    )
    if target := TARGETS_NS.get(f"{subject} {name}"):
        row["target"] = target
    return row


def terminal(result: Result) -> str:
    """Return a row a bench."""
    return readme(result)


def readme(result: Result) -> str:
    """Return the same as Markdown; then where and how."""
    head = ("subject", "bench", "us a call, median [quartiles]", "aim", "of the yardstick")
    lines = [
        (
            row["corpus"],
            row["side"],
            f"{row['median'] / 1e3:,.2f} [{row['rounds'][0] / 1e3:,.2f}-{row['rounds'][4] / 1e3:,.2f}]",
            _aim(row),
            f"{row['ratio']:.4f}",
        )
        for row in result["rows"]
    ]
    notes = f"{sentence(result['run'])}. What one call is, is in the docstring of the bench."
    return f"{grid(head, lines)}\n\n{notes}"


def _aim(row: Row) -> str:
    if "target" not in row:
        return ""
    return f"{row['target'] / 1e3:,.2f} {'met' if row['median'] <= row['target'] else 'MISSED'}"
