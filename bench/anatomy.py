"""Where the daemon's instructions go, segment by segment: the process under callgrind, thread by thread.

    python -m bench.anatomy [--batches N] [--keep FOLDER]     some minutes; needs valgrind

Counted is user space only: what the kernel does for it (a sync, a socket, a page) is not seen, and a miss of
the cache counts as a hit. But it is the same whatever else the machine does, so a change of it is a change of
the code. The daemon runs fifty times slower than life: a body of 400 messages of the day's mix goes in when
the one before is done, over HTTP, durably, with receipts. Nobody asks for its state; its clock ticks.
"""

import argparse
import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, cast

from bench.machine import ROOT, describe_run, sentence
from bench.tables import grid
from dispatcher.cli import rig
from dispatcher.cli.load import mix, stage
from dispatcher.cli.load.door import Door
from dispatcher.cli.load.stage import Options, Stage

BATCH: Final = 400
SETTLE_S: Final = 0.6
"""Between two bodies: all of one is done by then."""
REST_S: Final = 4.0
"""After the last one: a commit, and a slice of the projection."""
SLOWER: Final = 20
"""How much longer everything may take to start."""
STAGES: Final = {
    "read the body": r"JSONDecoder_decode_lines$|http_\d+Reader_\d+read$",
    "pace of numbers": r"NumberPace_\d+(take_all|settle)$",
    "admit: judge, encode, pack": r"Judge_\d+admit$",
    "segments": r"pw_\d+dispatcher_4_ext_4book_\d+submissions$",
    "say verdicts": r"http_\d+Writer_\d+write$",
    "claim": r"pw_.*Book_\d+claim$",
    "write submit_sm": r"Exchange_\d+(push|outgoing)$",
    "read PDUs": r"Exchange_\d+(read|feed)$",
    "answers": r"pw_.*Book_\d+submitted$",
    "receipts": r"pw_.*Book_\d+receipted$",
}
"""Of the loop's thread, functions with all that they call; the rest is event loop, Python and letting go."""
TOTAL: Final = "PROGRAM TOTALS"
_LINE: Final = re.compile(r"\s*([\d,]+) \([^)]*\)\s+(PROGRAM TOTALS|\S+)")


def main() -> int:
    """Print two tables, or why there are none."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.anatomy", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--batches", type=int, default=40, help="bodies of 400 messages (40)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep callgrind's dumps there")
    asked = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("skipped: valgrind is not on the PATH (apt install valgrind); no instructions were counted")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        dumps = measure(Path(folder), asked.batches)
        if asked.keep:
            shutil.copytree(folder, asked.keep, dirs_exist_ok=True)
        print(tables(dumps, mix.segments_of(asked.batches * BATCH)))
    print(f"\n{sentence(describe_run('bench.anatomy'))}.")
    return 0


def measure(folder: Path, batches: int) -> list[Path]:
    """Run the daemon under callgrind; return a dump a thread."""
    valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--separate-threads=yes"]
    plain = rig.pinned

    def pinned(command: list[str], core: int | None) -> list[str]:
        if "serve" in command:
            command = [*valgrind, f"--callgrind-out-file={folder}/out", *command]
        return plain(command, core)

    patient: dict[tuple[Any, str], float] = {
        (rig, "START_LIMIT_S"): SLOWER * rig.START_LIMIT_S,
        (stage, "WARM_LIMIT_S"): SLOWER * stage.WARM_LIMIT_S,
        (stage, "RAMP_LIMIT_S"): SLOWER * stage.RAMP_LIMIT_S,
    }
    for (module, name), limit_s in patient.items():
        setattr(module, name, limit_s)
    cast("Any", rig).pinned = pinned
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    with Stage(Options(folder=build)) as house:
        os.environ["DISPATCHER_KEY"] = house.key
        pid = str(house.daemon.process.pid)
        asyncio.run(_send(house.http_port, 0, 6))
        time.sleep(REST_S)
        for words in (["-i", "on"], ["-d"]):
            subprocess.run(["callgrind_control", *words, pid], check=True, stdout=subprocess.DEVNULL)
            if words[0] == "-i":
                asyncio.run(_send(house.http_port, 6 * BATCH, batches))
                time.sleep(REST_S)
    return sorted(folder.glob("out.1-*"))


async def _send(port: int, first: int, batches: int) -> None:
    door = Door(port, 1)
    await door.open()
    for start in range(first, first + batches * BATCH, BATCH):
        status, told = await door.post("/v1/messages:batch", "application/x-ndjson", mix.body(start, BATCH))
        if status != 200 or told.count(b'"message_id"') != BATCH:
            raise SystemExit(f"refused: {status} {told[:200]!r}")
        await asyncio.sleep(SETTLE_S)


def tables(dumps: Iterable[Path], segments: int) -> str:
    """Return instructions a segment, by thread, and the loop's by stage."""
    threads: dict[str, float] = {}
    stages: dict[str, float] = {}
    for path in dumps:
        functions = _inclusive(path)
        name = _thread_of(functions)
        threads[name] = threads.get(name, 0.0) + functions.get(TOTAL, 0) / segments
        if name == "loop":
            for what, pattern in STAGES.items():
                found = [count for function, count in functions.items() if re.search(pattern, function)]
                stages[what] = sum(found) / segments
            stages["loop, Python, letting go"] = threads[name] - sum(stages.values())
    lines = [(name, f"{count:,.0f}") for name, count in sorted(threads.items(), key=lambda each: -each[1])]
    lines.append(("all", f"{sum(threads.values()):,.0f}"))
    head = "instructions a segment, user space"
    first = grid(("thread", head), lines)
    second = grid(("of the loop", head), [(name, f"{count:,.0f}") for name, count in stages.items()])
    return f"{first}\n\n{second}"


def _inclusive(path: Path) -> dict[str, int]:
    """Return the instructions of each function of a thread, with all that it calls."""
    command = ["callgrind_annotate", "--inclusive=yes", "--threshold=100", str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, int] = {}
    for line in told.splitlines():
        if matched := _LINE.match(line):
            name = matched[2].rpartition(":")[2]
            found[name] = max(found.get(name, 0), int(matched[1].replace(",", "")))
    return found


def _thread_of(functions: dict[str, int]) -> str:
    """Say what a thread does by what it calls."""
    known = {
        "uv_run": "loop",
        "inserts": "projection",
        "zlib_crc32": "journal writer",
        "walCheckpoint": "checkpoint",
    }
    for mark, name in known.items():
        if any(re.search(rf"(^|_|\d){mark}$", function) for function in functions):
            return name
    return "others"


if __name__ == "__main__":
    sys.exit(main())
