"""The floor: floor.c, compiled when it is needed. Its SMSC says what two such programs do between them."""

import os
import shutil
import subprocess
from typing import Final

from bench.clients.face import Absent, Job
from bench.machine import ROOT

NAME: Final = "C flood (floor)"
SOURCE: Final = ROOT / "bench" / "clients" / "floor.c"
PROGRAM: Final = ROOT / "build" / "bench" / "floor"


def missing() -> Absent | None:
    """Compile it; say so if that fails."""
    compiler = os.environ.get("CC", "cc")
    if shutil.which(compiler) is None:
        return Absent(f"{compiler} is not on the PATH: apt install gcc")
    PROGRAM.parent.mkdir(parents=True, exist_ok=True)
    command = [compiler, "-O2", "-o", str(PROGRAM), str(SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Absent(f"floor.c does not compile: {done.stderr[:200]}") if done.returncode else None


def version() -> str:
    """Return none: it is part of this bench."""
    return ""


def command(job: Job) -> list[str]:
    """Return the command that floods."""
    return [str(PROGRAM), "client", *job.arguments]


def smsc(receipts: int) -> list[str]:
    """Return the command that answers, and prints its port."""
    return [str(PROGRAM), "smsc", str(receipts)]
