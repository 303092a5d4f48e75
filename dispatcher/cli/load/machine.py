"""What a figure was measured on, when, and with which command. No names, no paths of a machine."""

import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NotRequired, TypedDict

import dispatcher
from dispatcher import __version__

ROOT: Final = Path(dispatcher.__file__).parents[1]
"""Of a checkout; where the package is installed, what holds it."""
UNKNOWN: Final = "unknown"


class Machine(TypedDict):
    """The part of a machine that figures depend on."""

    cpu: str
    cores: int
    python: str
    compiler: str
    kernel: str
    load: float


class Run(TypedDict):
    """When and how a result was made."""

    date: str
    command: str
    commit: NotRequired[str]
    """Short; with a + where the tree differs from it, empty outside a checkout."""
    version: NotRequired[str]
    """Of the dispatcher."""
    machine: Machine


def describe_run(program: str) -> Run:
    """Return date, command and machine; `program` is how it was called, without arguments."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": " ".join([program, *map(_without_folders, sys.argv[1:])]),
        "commit": _commit(),
        "version": __version__,
        "machine": {
            "cpu": _cpu(),
            "cores": _cores(),
            "python": f"{platform.python_implementation()} {platform.python_version()}",
            "compiler": _compiler(),
            "kernel": f"{platform.system()} {platform.release()}",
            "load": round(os.getloadavg()[0], 2),
        },
    }


def sentence(run: Run) -> str:
    """Return it all in one line."""
    machine = run["machine"]
    commit = f", commit {run['commit']}" if run.get("commit") else ""
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['kernel']}, {machine['python']}, "
        f"{machine['compiler']}, load {machine['load']}; {run['date']}{commit}; `{run['command']}`"
    )


def _without_folders(argument: str) -> str:
    """Return an argument as it may be shown to others: of a path, its last part."""
    return Path(argument).name if Path(argument).is_absolute() else argument


def _commit() -> str:
    if not (ROOT / ".git").exists():
        return ""
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    text = info.read_text("utf-8") if info.exists() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return " ".join(found[1].split()) if found else platform.processor() or UNKNOWN


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0


def _compiler() -> str:
    """The compiler of this environment: setup.py uses it for ext/."""
    try:
        done = subprocess.run(
            [os.environ.get("CC", "cc"), "--version"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN
    version = re.search(r"\b\d+\.\d+\.\d+\b", done.stdout)
    name = "clang" if "clang" in done.stdout else "gcc"
    return f"{name} {version[0]}" if version else UNKNOWN
