"""The one face that all peers wear: what bench/ and tests/peers/ see of them."""

from collections.abc import Callable
from importlib import metadata
from typing import NamedTuple, Protocol

from bench.reference import Cut


class Absent(NamedTuple):
    """A peer that cannot take part, and why."""

    reason: str


class Peer(Protocol):
    """A module of bench/peers."""

    NAME: str
    """As its makers call it, with the function that is timed."""
    SEGMENTS: bool
    """Whether it segments; else it only encodes, and a lone body holds it all."""
    KEEPS_CLUSTERS: bool
    """Whether it keeps grapheme clusters in one piece, as we do unless told otherwise."""

    def prepare(self) -> Callable[[str], object] | Absent:
        """Return what segments one text: the peer's own function, wrapped only where it must be."""

    def version(self) -> str:
        """Return the installed version, "" where absent."""

    def cut(self, text: str, result: object) -> Cut:
        """Return what `prepare()(text)` gave as octets without headers. Outside the time taken."""


def installed(package: str) -> str:
    """Return the version of a Python package, "" where absent."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def absent(package: str) -> Absent:
    """Say that a Python package is missing."""
    return Absent(f"{package} is not installed: pip install '{package}' (pyproject.toml, extra: test)")
