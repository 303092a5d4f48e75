"""Outside test vectors: what other people's test suites expect, judged against the standards.

They lie beside the clone, in ``../shared/vectors``, or where ``$DISPATCHER_VECTORS`` says. A module that
loads them at its top is skipped where they are absent, and the skip says so: keep such tests in modules of
their own.
"""

import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest

FOLDER = Path(os.environ.get("DISPATCHER_VECTORS") or Path(__file__).parents[2] / "shared" / "vectors")

COMMON = {"id", "kind", "input", "expect", "std", "note", "derived", "source"}


@dataclass(frozen=True)
class Vector:
    """One case of a peer's test suite; ``std`` says how far its expectation can be trusted.

    ``agrees``: with the standard, a hard test. ``policy``: the standard leaves it open. ``vendor``: true for
    one carrier. ``differs``: the peer contradicts the standard, whose value is in ``note`` or ``derived``.
    """

    id: str
    kind: str
    input: Any
    expect: Any
    std: Literal["agrees", "policy", "vendor", "differs"]
    note: str
    derived: Any
    source: dict[str, str]
    more: dict[str, Any]  # fields that only this file has, such as "direction" or "fill_bits"

    def __str__(self) -> str:
        """Name the case in a test's id: ``parametrize("vector", load("udh"), ids=str)``."""
        return self.id


def present() -> bool:
    """Tell whether there are vectors at all."""
    return (FOLDER / "INDEX.json").is_file()


def load(name: str) -> list[Vector]:
    """Return the vectors of ``NAME.json``, in file order; without any, skip the calling test or module."""
    if not present():
        pytest.skip(
            f"no vectors: {FOLDER / 'INDEX.json'} is absent (DISPATCHER_VECTORS names another folder)",
            allow_module_level=True,
        )
    return list(_parse(FOLDER / f"{name}.json"))


@cache
def _parse(path: Path) -> tuple[Vector, ...]:
    return tuple(
        Vector(
            id=case["id"],
            kind=case["kind"],
            input=case["input"],
            expect=case["expect"],
            std=case["std"],
            note=case.get("note") or "",
            derived=case.get("derived"),
            source=case["source"],
            more={key: value for key, value in case.items() if key not in COMMON},
        )
        for case in json.loads(path.read_text(encoding="utf-8"))["vectors"]
    )
