"""For every test: the compiled modules are those of this tree, and absent vectors are announced."""

import importlib
import os
from pathlib import Path

import pytest

from tests import vectors

ROOT = Path(__file__).parents[1]
COMPILED = ROOT / "dispatcher" / "_ext"
MODULES = sorted(source.stem for source in (ROOT / "ext").glob("*.pyx"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a whole run be pinned: `make test ARGS='tests/integration --processors 1'`."""
    parser.addoption("--processors", type=int, metavar="N", help="pin the run to N processors")


def pytest_configure(config: pytest.Config) -> None:
    """Pin it; child processes inherit that."""
    wanted, there = config.getoption("--processors"), sorted(os.sched_getaffinity(0))
    if wanted is not None:
        if not 1 <= wanted <= len(there):
            raise pytest.UsageError(f"--processors {wanted}: this machine has {len(there)}")
        os.sched_setaffinity(0, there[:wanted])


def pytest_sessionstart() -> None:
    """Refuse to test modules that were built elsewhere, are not compiled, or are missing."""
    for name in MODULES:
        try:
            found = Path(importlib.import_module(f"dispatcher._ext.{name}").__file__ or "nowhere")
        except Exception as error:  # absent, or built against another version of a .pxd
            raise pytest.UsageError(f"ext/{name}.pyx is not built: {error}; run `make build`") from error
        if found.parent != COMPILED or found.suffix != ".so":
            raise pytest.UsageError(f"dispatcher._ext.{name} comes from {found}, not from {COMPILED}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was under test; a header would not show with -q."""
    terminalreporter.write_line(f"compiled modules: {', '.join(MODULES) or 'none'} in {COMPILED}")
    if not vectors.present():
        terminalreporter.write_line(
            f"vectors: ABSENT from {vectors.FOLDER}; tests that need them were skipped"
        )
