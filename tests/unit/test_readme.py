"""What the README and the docstrings show is what happens."""

import contextlib
import doctest
import io
import re
import shlex
from pathlib import Path

import dispatcher.encoding
from dispatcher.__main__ import main

ROOT = Path(__file__).parents[2]
ROOMS = ("encoding", "simulator", "smpp")
"""Rooms with a README of their own, beside the code."""
README = "\n".join(
    path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *(ROOT / "dispatcher" / room / "README.md" for room in ROOMS))
)


def blocks(language: str) -> list[str]:
    """Return the code blocks of a language, of all READMEs."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_library_example_prints_what_its_comments_say() -> None:
    """Every print of the README's Python is followed by its output, as a comment."""
    example = next(block for block in blocks("python") if "count_batch" in block)
    expected = [line.split("  # ", 1)[1] for line in example.splitlines() if line.startswith("print(")]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(example, "README.md", "exec"), {})
    assert out.getvalue().splitlines() == expected
    assert len([line for line in example.splitlines() if line]) <= 12


def test_the_first_text_prints_what_the_readme_shows() -> None:
    """The first command of the README, run here, gives the lines below it."""
    (session,) = [block for block in blocks("sh") if block.startswith("$ ")]
    command, *shown = session.split("\n$ ")[0].splitlines()
    arguments = shlex.split(command.removeprefix("$ "))
    assert arguments[0].endswith("/dispatcher")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(arguments[1:]) == 0
    assert out.getvalue().splitlines() == shown


def test_the_docstring_of_the_library_is_true() -> None:
    """Its example, run as a doctest."""
    assert doctest.testmod(dispatcher.encoding).failed == 0
