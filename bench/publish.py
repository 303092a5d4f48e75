"""What is quoted: results that are committed, and the tables that are made of them.

    python -m bench.run --publish [TIER ...]    the last full runs: to bench/published/, into the READMEs
    python -m bench.run --history [TIER ...]    to history.jsonl, and its table into the README

A table stands in a README between two comments that name it; nobody writes there by hand, and
tests/bench/test_published.py checks that it says what the committed files say.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from bench import history
from bench.machine import ROOT
from bench.results import Result, read, save

PUBLISHED: Final = "bench/published"
READMES: Final = ("bench/README.md", "dispatcher/smpp/README.md")
"""Those that have tables."""
HISTORY: Final = "history"
"""The name of its table."""
_BLOCK: Final = re.compile(r"(<!-- table: (\w+), [^>]* -->\n)(.*?)(<!-- end of (\w+) -->)", re.DOTALL)

Makers = Mapping[str, Callable[[Result], str]]
"""What makes the README's table of a tier."""


def publish(result: Result, makers: Makers, root: Path = ROOT) -> str:
    """Keep a result, write its table into the READMEs that have a place for it; return what was done."""
    tier = result["tier"]
    if result["quick"]:
        return f"{tier}: a quick run is not for quoting"
    save(result, root / PUBLISHED / f"{tier}.json")
    return f"{tier} was published: {put({tier: makers[tier](result)}, root)}"


def put(tables: Mapping[str, str], root: Path = ROOT) -> str:
    """Write tables into their places; return which READMEs have changed."""
    changed = []
    for name in READMES:
        path = root / name
        before = path.read_text("utf-8")
        if (after := filled(before, tables)) != before:
            path.write_text(after, "utf-8")
            changed.append(name)
    return ", ".join(changed) or "no README has changed"


def tables(makers: Makers, root: Path = ROOT) -> dict[str, str]:
    """Return the tables of all that is committed, by name."""
    made = {HISTORY: history.table(root / history.FILE.relative_to(ROOT))}
    for path in sorted((root / PUBLISHED).glob("*.json")):
        made[path.stem] = makers[path.stem](read(path))
    return made


def filled(text: str, made: Mapping[str, str]) -> str:
    """Return a README with some tables in their places; the others stay. ValueError: a place has no end."""

    def one(block: "re.Match[str]") -> str:
        if block[2] != block[5]:
            raise ValueError(f"the place of {block[2]} ends as that of {block[5]}")
        return f"{block[1]}{made[block[2]]}\n{block[4]}" if block[2] in made else block[0]

    return _BLOCK.sub(one, text)


def places(text: str) -> list[str]:
    """Return the names of the tables that a README has a place for."""
    return [block[1] for block in _BLOCK.findall(text)]
