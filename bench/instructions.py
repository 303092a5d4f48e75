"""Instructions a call of `segment` and `count`, counted by valgrind: a figure that no other process disturbs.

    python -m bench.instructions            the table
    python -m bench.instructions --repeat   twice over, with the difference: repeatable within 1 %

One run calls the function N times over the texts of a corpus, another 2 N times; the difference is N calls
alone: the interpreter's start, the imports and the making of the texts cancel. What stays is the Python loop
around the call; the row "loop alone" says how much that is. Instructions are no nanoseconds (memory and
branches cost too), but a change of them is a change of the code.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.corpora import CORPORA, corpus
from bench.machine import ROOT, describe_run, sentence

TEXTS: Final = 100
PASSES: Final = 20  # N: so many passes over the texts, then twice as many
FUNCTIONS: Final = ("loop alone", "count", "segment")

PROGRAM: Final = """
import gc, json, sys
from dispatcher.encoding import count, segment

def loop_alone(texts, passes):
    for _ in range(passes):
        for text in texts:
            pass

def counts(texts, passes):
    for _ in range(passes):
        for text in texts:
            count(text)

def segments(texts, passes):
    for _ in range(passes):
        for text in texts:
            segment(text)

texts = json.load(open(sys.argv[1], encoding="utf-8"))
work = {"loop alone": loop_alone, "count": counts, "segment": segments}[sys.argv[2]]
gc.collect()
gc.freeze()
gc.disable()
work(texts, int(sys.argv[3]))
"""
"""What runs under valgrind. Nothing from bench/: it must start fast, fifty times slower than life."""


def instructions(texts: Path, call: str, passes: int) -> int:
    """Return the instructions of one process from start to end."""
    command = [
        "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
        sys.executable, "-c", PROGRAM, str(texts), call, str(passes),
    ]  # fmt: skip
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    if found is None:
        raise RuntimeError(f"valgrind said nothing of its count: {done.stderr[-400:]}")
    return int(found[1])


def per_call(name: str, call: str, texts: Sequence[str]) -> float:
    """Return the instructions of one call, its loop included."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.json"
        path.write_text(json.dumps(texts), "utf-8")
        once, twice = (instructions(path, call, passes) for passes in (PASSES, 2 * PASSES))
    return (twice - once) / (PASSES * len(texts))


def measure() -> dict[tuple[str, str], float]:
    """Count everything once."""
    return {(call, name): per_call(name, call, corpus(name, TEXTS)) for call in FUNCTIONS for name in CORPORA}


def main() -> int:
    """Print the table, or why there is none."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.instructions", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--repeat", action="store_true", help="count twice, and show the largest difference")
    asked = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("skipped: valgrind is not on the PATH (apt install valgrind); no instructions were counted")
        return 0
    print(sentence(describe_run("bench.instructions")))
    first = measure()
    print(f"{'instructions a call':20}" + "".join(f"{name:>18}" for name in CORPORA))
    for call in FUNCTIONS:
        print(f"{call:20}" + "".join(f"{first[call, name]:18,.0f}" for name in CORPORA))
    if asked.repeat:
        second = measure()
        worst = max(abs(second[key] / first[key] - 1) for key in first)
        print(f"counted twice: they differ by at most {worst:.2%}")
        return 1 if worst > 0.01 else 0
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
