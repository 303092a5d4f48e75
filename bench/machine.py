"""What a figure was measured on, when, and with which command, in a checkout."""

from pathlib import Path
from typing import Final

from dispatcher.cli.load import machine
from dispatcher.cli.load.machine import Machine, Run, sentence

__all__ = ["ROOT", "Machine", "Run", "describe_run", "sentence"]

ROOT: Final = Path(__file__).parents[1]


def describe_run(module: str) -> Run:
    """Return date, command and machine; `module` is what stands behind ``python -m``."""
    return machine.describe_run(f"python -m {module}")
