"""sms-segments-calculator (npm), Twilio's: the encoder that most people compare bills with.

It runs in one node process for the whole run and times itself in there. It is fetched by an explicit step,
into build/node, and looked for there or in $DISPATCHER_NODE_MODULES:

    python -m bench.peers.calculator --install
"""

import atexit
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any, Final, cast

from bench.machine import ROOT
from bench.peers.face import Absent
from bench.reference import Cut
from bench.timing import Pass, sample

NAME: Final = "sms-segments-calculator (node)"
SEGMENTS: Final = True
KEEPS_CLUSTERS: Final = True
PACKAGE: Final = "sms-segments-calculator"
PINNED: Final = "1.3.0"
PREFIX: Final = ROOT / "build" / "node"
TEXTS_A_REQUEST: Final = 2000  # keeps a line of JSON below a few megabytes


def folder() -> Path:
    """Return where the package is, or would be."""
    return Path(os.environ.get("DISPATCHER_NODE_MODULES") or PREFIX / "node_modules") / PACKAGE


def version() -> str:
    """Return the installed version."""
    manifest = folder() / "package.json"
    return str(json.loads(manifest.read_text("utf-8"))["version"]) if manifest.exists() else ""


def missing() -> Absent | None:
    """Say what is missing, if anything."""
    if shutil.which("node") is None:
        return Absent("node is not on the PATH: apt install nodejs npm")
    if not version():
        return Absent(f"{PACKAGE} is not installed: python -m bench.peers.calculator --install")
    return None


def prepare() -> Callable[[str], object] | Absent:
    """Return what segments one text, over the pipe: for looking at results. `timer` is for time."""
    return missing() or (lambda text: segments([text])[0])


def cut(text: str, result: Any) -> Cut:
    """Its code units, without the six objects of the header, as octets."""
    if result["encoding"] == "GSM-7":
        return Cut("gsm7", tuple(map(bytes, result["segments"])))
    return Cut(
        "ucs2",
        tuple(b"".join(unit.to_bytes(2, "big") for unit in units) for units in result["segments"]),
    )


def segments(texts: Sequence[str]) -> list[Any]:
    """Return the results for many texts."""
    found: list[Any] = []
    for at in range(0, len(texts), TEXTS_A_REQUEST):
        found += cast(list[Any], _node().ask("segment", texts=texts[at : at + TEXTS_A_REQUEST]))
    return found


def timer(texts: Sequence[str], budget_ns: int) -> Pass:
    """Return a pass over the texts, timed by node; the trial lets its compiler warm up.

    Texts are sent anew before each pass, outside the time: the corpora take turns in one process.
    """

    def elapsed(some: Sequence[str], times: int = 1) -> int:
        _node().ask("hold", texts=some)
        return int(_node().ask("time", count=len(some), times=times)["ns"])

    some, times = sample(texts, budget_ns, elapsed)
    return lambda: elapsed(some, times) / (times * len(some))


class _Node:
    """The process and its pipe."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            ["node", str(Path(__file__).with_suffix(".js")), str(folder())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="ascii",
        )
        self.requests = cast(IO[str], self.process.stdin)
        self.answers = cast(IO[str], self.process.stdout)
        atexit.register(self.close)

    def ask(self, operation: str, **fields: object) -> Any:
        """Send one request and wait for its answer."""
        self.requests.write(json.dumps({"operation": operation, **fields}) + "\n")
        self.requests.flush()
        answer = self.answers.readline()
        if not answer:
            raise RuntimeError(f"node ended, with status {self.process.wait()}")
        return json.loads(answer)

    def close(self) -> None:
        """End the process: it stops at the end of its input."""
        self.requests.close()
        self.process.wait(timeout=10)
        self.answers.close()


@cache
def _node() -> _Node:
    return _Node()


def fetch(package: str, pinned: str) -> int:
    """Fetch a package from npm into build/node; return npm's exit status."""
    if shutil.which("npm") is None:
        print("npm is not on the PATH: apt install npm", file=sys.stderr)
        return 1
    PREFIX.mkdir(parents=True, exist_ok=True)
    quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    command = ["npm", "install", "--prefix", str(PREFIX), *quiet, "--save-exact", f"{package}@{pinned}"]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    if sys.argv[1:] != ["--install"]:
        raise SystemExit(f"{PACKAGE} {version() or 'is absent'} (--install fetches {PINNED})")
    raise SystemExit(fetch(PACKAGE, PINNED))
