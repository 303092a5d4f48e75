"""gosmpp: Go, linxGnu's. Fetched and built by an explicit step, into build/go:

python -m bench.clients.gosmpp --install
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from bench.clients.face import CODES, DESTINATIONS, Absent, Job
from bench.machine import ROOT

NAME: Final = "gosmpp (Go)"
PACKAGE: Final = "github.com/linxGnu/gosmpp"
PINNED: Final = "v0.3.1"
FOLDER: Final = ROOT / "build" / "go"
PROGRAM: Final = FOLDER / "flood"


def version() -> str:
    """Return the version that is built, with Go's; it stands beside the program."""
    built = FOLDER / "version"
    return built.read_text("utf-8") if PROGRAM.exists() and built.exists() else ""


def missing() -> Absent | None:
    """Say what is missing, if anything."""
    if not PROGRAM.exists():
        return Absent("gosmpp is not built: python -m bench.clients.gosmpp --install (needs Go)")
    return None


def command(job: Job) -> list[str]:
    """Return the command that floods; it is told the first code and destination, the same for all."""
    return [str(PROGRAM), *job.arguments, CODES[0], DESTINATIONS[0]]


def install() -> int:
    """Fetch and build; return Go's exit status."""
    if shutil.which("go") is None:
        print("go is not on the PATH: apt install golang", file=sys.stderr)
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(__file__).with_suffix(".go"), FOLDER / "main.go")
    (FOLDER / "go.mod").write_text("module flood\n\ngo 1.21\n", "utf-8")
    for words in (["get", f"{PACKAGE}@{PINNED}"], ["build", "-o", str(PROGRAM), "."]):
        done = subprocess.run(
            ["go", *words], cwd=FOLDER, env=os.environ | {"GOFLAGS": "-mod=mod"}, check=False
        )
        if done.returncode:
            return done.returncode
    go = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout.strip()
    (FOLDER / "version").write_text(f"{PINNED.removeprefix('v')}, {go}", "utf-8")
    return 0


if __name__ == "__main__":
    if sys.argv[1:] != ["--install"]:
        raise SystemExit(f"gosmpp {version() or 'is absent'} (--install fetches {PINNED})")
    raise SystemExit(install())
