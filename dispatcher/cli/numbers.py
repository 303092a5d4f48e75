"""Numbers on the command line: what makes no sense is refused by name, before anything is done."""

import argparse
import math


def above_0(text: str) -> float:
    """Return a number above 0, for argparse. ArgumentTypeError: it is none, nan, or infinite."""
    value = _number(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"expected a number above 0, such as 10; got {text!r}")
    return value


def not_below_0(text: str) -> float:
    """Return 0 or more, for argparse. ArgumentTypeError: it is something else."""
    value = _number(text)
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"expected 0 or more; got {text!r}")
    return value


def count(text: str) -> int:
    """Return a whole number from 1 on, for argparse. ArgumentTypeError: it is something else."""
    value = _number(text)
    if not (math.isfinite(value) and value >= 1 and value == int(value)):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on; got {text!r}")
    return int(value)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
