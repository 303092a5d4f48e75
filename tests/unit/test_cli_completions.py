"""Completions: each shell is told every command and option, and bash, zsh and fish understand it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dispatcher.__main__ import main
from dispatcher.cli.commands import names
from dispatcher.cli.completions import table

ROOT = Path(__file__).parents[2]


@pytest.fixture
def script(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Write the script of the shell that the test names."""
    shell = request.param
    done = subprocess.run(
        [sys.executable, "-m", "dispatcher", "completions", shell],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    path = tmp_path / ("_dispatcher" if shell == "zsh" else "dispatcher")
    path.write_text(done.stdout)
    return path


def complete(script: Path, *words: str) -> list[str]:
    """Return what bash offers for the last word."""
    program = (
        'source "$1"; shift; COMP_WORDS=(dispatcher "$@"); COMP_CWORD=$#; _dispatcher; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", program, "bash", str(script), *words],
        cwd=script.parent, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize("script", ["bash"], indirect=True)
def test_bash_offers_what_fits(script: Path) -> None:
    """Commands, sub-commands, options, choices, and files where a file is expected."""
    (script.parent / "some.csv").touch()
    assert set(names()) <= set(complete(script, ""))
    assert complete(script, "seg") == ["segments"]
    assert complete(script, "plan", "l") == ["lookup"]
    assert complete(script, "send", "--cl") == ["--class", "--client-ref"]
    assert complete(script, "send", "--class", "m") == ["marketing"]
    assert complete(script, "send", "--file", "some") == ["some.csv"]
    assert complete(script, "send", "--to", "") == []
    assert complete(script, "completions", "z") == ["zsh"]
    assert complete(script, "plan", "lookup", "--p") == ["--plan"]


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_every_word_is_in_the_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No command, sub-command, option or choice is left out."""
    assert main(["completions", shell]) == 0
    out = capsys.readouterr().out
    listed = [word for each in table() for word, _ in each.subcommands]
    assert set(names()) <= set(listed)
    for each in table():
        for option in each.options:
            long = option.name.startswith("--")
            told = f"-l {option.name[2:]}" if long else f"-s {option.name[1:]}"
            listed.append(told if shell == "fish" and option.name else option.name)
            listed += option.values
    assert [word for word in listed if word not in out] == []


@pytest.mark.parametrize(
    ("script", "shell"), [("bash", "bash"), ("zsh", "zsh"), ("fish", "fish")], indirect=["script"]
)
def test_a_shell_can_read_its_script(script: Path, shell: str) -> None:
    """The shell's own parser takes the whole script."""
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell}")
    done = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
