"""The command line as a whole: one table, imports when called, exit codes that scripts can trust."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from dispatcher.__main__ import main
from dispatcher.cli import commands, exits
from dispatcher.cli.commands import COMMANDS, names, parser_of
from dispatcher.cli.exits import Exit

ROOT = Path(__file__).parents[2]


def python(program: str, *, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=timeout
    )


def test_every_command_is_listed_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help`, `-h` and `help` print each command of the table under its group."""
    for word in ("--help", "-h", "help"):
        assert main([word]) == 0
        out = capsys.readouterr().out
        for title, group in COMMANDS.items():
            assert f"\n{title}:\n" in out
            assert all(f"  {each.name:<14}{each.help}\n" in out for each in group)


def test_every_command_of_the_table_is_there_and_no_other() -> None:
    """Each name has a module with a parser; each module that adds a parser has a line in the table."""
    parser_of(*names())
    modules = (path for path in (ROOT / "dispatcher/cli").glob("*.py") if "\ndef add_to(" in path.read_text())
    assert sorted(path.stem for path in modules) == sorted(names())
    assert len(set(names())) == len(names())


def test_help_imports_no_command() -> None:
    """The help and the version cost no import of a command, of msgspec, of asyncio."""
    done = python(
        "import sys; from dispatcher.__main__ import main; main(['--help']); main(['--version'])\n"
        "heavy = [name for name in sys.modules if name.startswith('dispatcher.cli.')]\n"
        "heavy += set(sys.modules) & {'asyncio', 'msgspec', 'aiohttp', 'apsw', 'numpy'}\n"
        "print(heavy, file=sys.stderr)"
    )
    assert done.returncode == 0
    assert sorted(eval(done.stderr)) == ["dispatcher.cli.commands", "dispatcher.cli.exits"]


def test_one_command_imports_no_other() -> None:
    """`dispatcher audit --help` knows nothing of the other commands."""
    done = python(
        "import sys; from dispatcher.__main__ import main\n"
        "try: main(['help', 'audit'])\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "print([name for name in sys.modules if name.startswith('dispatcher.cli.')], file=sys.stderr)"
    )
    assert "usage: dispatcher audit" in done.stdout
    assert "dispatcher.cli.audit" in done.stderr
    assert "dispatcher.cli.plan" not in done.stderr


def test_a_misspelt_command_is_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    """Usage errors are exit code 2 and one line on standard error."""
    assert main(["segmnts", "x"]) == 2
    assert capsys.readouterr().err == "dispatcher: there is no command 'segmnts'; did you mean 'segments'?\n"
    assert main(["help", "zzz"]) == 2
    assert "`dispatcher --help` lists them" in capsys.readouterr().err
    assert main([]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (["audit", "x", "--jsno"], "usage: dispatcher audit"),
        (["config", "check", "x"], "usage: dispatcher config check"),
        (["send", "--to", "+491701234567", "hi", "more"], "usage: dispatcher send"),
    ],
)
def test_what_is_too_much_is_told_with_the_usage_of_its_command(
    words: list[str], usage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not with that of `dispatcher`, from which nothing can be learned."""
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(usage)
    assert said.rstrip().endswith(f"unrecognized arguments: {words[-1]}")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("words", [["audit", "{}"], ["keys", "list", "--store", "{}"], ["rebuild", "{}"]])
def test_a_store_that_may_not_be_read_is_77(
    words: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The rights of a file are told as such, by every command of a store."""
    for name in ("journal.db", "keys.json", "lock"):
        (tmp_path / name).touch(mode=0)
    assert main([word.format(tmp_path) for word in words]) == 77
    assert "Permission denied; run it as the user that owns it" in capfd.readouterr().err


def test_exit_codes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """`dispatcher help exits` says what each of them means."""
    assert main(["help", "exits"]) == 0
    out = capsys.readouterr().out
    assert set(exits.MEANINGS) == set(Exit)
    assert [int(line.split()[0]) for line in out.splitlines()] == list(Exit)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (errno.EACCES, 77, "run it as the user that owns it"),
        (errno.ENOENT, 66, "is the path right?"),
        (errno.EIO, 74, "Input/output error"),
        (errno.EADDRINUSE, 69, "another process has the port"),
    ],
)
def test_an_error_of_the_system_is_one_line_with_advice(
    error: int,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """An OSError that a command does not expect says which file, what is wrong and what to do."""

    def refuse(*arguments: str) -> None:
        raise OSError(error, os.strerror(error), "some/file")

    monkeypatch.setattr("dispatcher.__main__.parser_of", refuse)
    monkeypatch.setattr("dispatcher.__main__._close_output", lambda: None)
    assert main(["audit", "x"]) == code
    line = capfd.readouterr().err
    assert line.startswith("dispatcher: some/file: ")
    assert said in line
    assert line.count("\n") == 1


def test_ctrl_c_leaves_no_traceback() -> None:
    """SIGINT ends any command with 130 and nothing but an empty line."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs begin with it ignored
    process = subprocess.Popen(
        [sys.executable, "-m", "dispatcher", "segments", "--file", "-"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write("one text\n" * 100)
    process.stdin.flush()
    wait_until_read(process.stdin.fileno())
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.strip()) == (130, "", "")


def wait_until_read(pipe: int) -> None:
    """Wait until the other end of a pipe has read all that was written."""
    for _ in range(6_000):
        if fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4) == b"\0" * 4:
            return
        time.sleep(0.01)
    pytest.fail("nobody read")


def test_the_help_says_what_each_command_says() -> None:
    """A command's line in the table is the one in its own parser, where it gives one."""
    parser = parser_of(*names())
    action = next(each for each in parser._actions if hasattr(each, "_choices_actions"))
    shown = {each.dest: each.help for each in action._choices_actions}
    listed = {each.name: each.help for group in COMMANDS.values() for each in group}
    assert {name: help for name, help in shown.items() if help} == listed
    assert commands.unknown("rebild").endswith("did you mean 'rebuild'?")
