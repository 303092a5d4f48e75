"""Instructions an item of the hottest functions, counted by valgrind: figures that no other process disturbs.

    python -m bench.instructions            the table, beside what is expected
    python -m bench.instructions --write    expect what is found from now on

bench/hot.py runs under callgrind and turns counting on for each step, so that imports cost little and count
nothing. What is expected stands in instructions.json with the build that it was counted on: the same build
repeats it within a fraction of a per cent, another compiles otherwise. So a step may take TOLERANCE more than
expected on the same build, and OTHER_BUILD on another: that finds a copy too many or a Python call that crept
in. tests/bench/test_instructions.py checks it. Instructions are no nanoseconds
(memory and branches cost too), but a change of them is a change of the code.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from bench.machine import ROOT, describe_run, sentence
from bench.tables import grid

EXPECTED: Final = ROOT / "bench" / "instructions.json"
TOLERANCE: Final = 0.1
OTHER_BUILD: Final = 0.5
_PROBE: Final = ROOT / "bench" / "probe.c"
_DUMP: Final = re.compile(r"^desc: Trigger: Client Request: (.+)\|(\d+)$.*?^totals: (\d+)$", re.M | re.S)


class FailedError(Exception):
    """Nothing was counted."""


def missing() -> str:
    """Say what is missing for counting; "": nothing is."""
    compiler = os.environ.get("CC", "cc")
    for program, package in (("valgrind", "valgrind"), (compiler, "gcc")):
        if shutil.which(program) is None:
            return f"{program} is not on the PATH (apt install {package})"
    return ""


def measure() -> dict[str, float]:
    """Return instructions an item, by step; the least of its calls. FailedError, CalledProcessError."""
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder) / "probe.so"
        compiling = [os.environ.get("CC", "cc"), "-O2", "-shared", "-fPIC", "-o", str(probe), str(_PROBE)]
        subprocess.run(compiling, check=True, capture_output=True)
        command = [
            "valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/out",
            sys.executable, "-m", "bench.hot", str(probe),
        ]  # fmt: skip
        environment = os.environ | {"PYTHONHASHSEED": "0", "PYTHONMALLOC": "pymalloc"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise FailedError(done.stderr[-2000:])
        dumps = [path.read_text("utf-8", "replace") for path in Path(folder).glob("out.*")]
    found: dict[str, float] = {}
    for dump in dumps:
        for name, items, total in _DUMP.findall(dump):
            each = int(total) / int(items)
            found[name] = min(found.get(name, each), each)
    if not found:
        raise FailedError(f"valgrind dumped nothing: {done.stderr[-2000:]}")
    return found


def build() -> str:
    """Return what the counts depend on, beside the code."""
    compiler = platform.python_compiler()
    return f"{platform.machine()}, {compiler}, {platform.python_implementation()} {platform.python_version()}"


def expected() -> dict[str, Any]:
    """Return what is committed: a build, and instructions an item by step."""
    found: dict[str, Any] = json.loads(EXPECTED.read_text("utf-8"))
    return found


def wrong(found: dict[str, float], wanted: dict[str, Any], on: str) -> list[str]:
    """Say what takes more instructions than it may, and what is no longer counted."""
    tolerance = TOLERANCE if on == wanted["build"] else OTHER_BUILD
    said = []
    for name, count in wanted["instructions"].items():
        if name not in found:
            said.append(f"{name}: not counted any more")
        elif found[name] > count * (1 + tolerance):
            said.append(f"{name}: {found[name]:,.0f} instructions an item, {count:,.0f} are expected")
    return said + [
        f"{name}: nothing is expected of it" for name in found.keys() - wanted["instructions"].keys()
    ]


def main() -> int:
    """Print the table, or why there is none; exit status 1: something takes more than it may."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.instructions", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--write", action="store_true", help="expect what is found from now on")
    asked = parser.parse_args()
    if lacking := missing():
        print(f"skipped: {lacking}; no instructions were counted")
        return 0
    print(sentence(describe_run("bench.instructions")))
    found = measure()
    before: dict[str, Any] = expected() if EXPECTED.exists() else {"build": "", "instructions": {}}
    lines = []
    for name, count in sorted(found.items()):
        old = before["instructions"].get(name)
        lines.append(
            (name, f"{count:,.0f}", f"{old:,.0f}" if old else "", f"{count / old - 1:+.1%}" if old else "")
        )
    print(grid(("step", "instructions an item", "expected", ""), lines))
    if asked.write:
        told = {
            "build": build(),
            "instructions": {name: round(count, 1) for name, count in sorted(found.items())},
        }
        EXPECTED.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
        return 0
    said = wrong(found, before, build())
    print("\n".join(said))
    return 1 if said else 0


if __name__ == "__main__":
    raise SystemExit(main())
