"""smpp (npm), farhadi's: one node process. Fetched by an explicit step, into build/node:

    python -m bench.clients.node_smpp --install

It is looked for there or in $DISPATCHER_NODE_MODULES.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Final

from bench.clients.face import CODES, DESTINATIONS, Absent, Job
from bench.peers import calculator

NAME: Final = "smpp (node)"
PACKAGE: Final = "smpp"
PINNED: Final = "0.5.1"


def folder() -> Path:
    """Return where the package is, or would be."""
    return Path(os.environ.get("DISPATCHER_NODE_MODULES") or calculator.PREFIX / "node_modules") / PACKAGE


def version() -> str:
    """Return the installed version."""
    manifest = folder() / "package.json"
    return str(json.loads(manifest.read_text("utf-8"))["version"]) if manifest.exists() else ""


def missing() -> Absent | None:
    """Say what is missing, if anything."""
    if shutil.which("node") is None:
        return Absent("node is not on the PATH: apt install nodejs npm")
    if not version():
        return Absent(f"{PACKAGE} is not installed: python -m bench.clients.node_smpp --install")
    return None


def command(job: Job) -> list[str]:
    """Return the command that floods; it is told the first code and destination, the same for all."""
    script = str(Path(__file__).with_suffix(".js"))
    return ["node", script, str(folder()), *job.arguments, CODES[0], DESTINATIONS[0]]


if __name__ == "__main__":
    if sys.argv[1:] != ["--install"]:
        raise SystemExit(f"{PACKAGE} {version() or 'is absent'} (--install fetches {PINNED})")
    raise SystemExit(calculator.fetch(PACKAGE, PINNED))
