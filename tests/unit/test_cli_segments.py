"""``dispatcher segments`` as a user types it, run in this process."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dispatcher.__main__ import main
from dispatcher.cli.demo import texts as demo_texts

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> "Run":
    """Run the command with these arguments: exit code, output, errors."""
    return Run(capsys)


class Run:
    """A command's exit code, output and errors."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Run it."""
        try:
            code = main(["segments", *arguments])
        except SystemExit as stop:  # argparse
            code = int(stop.code or 0)
        out, err = self._capsys.readouterr()
        return code, out, err


def test_a_text_is_explained_in_lines_for_people(run: Run) -> None:
    """One text shows alphabet, units, segments and their headers, what costs more, what would be cheaper."""
    code, out, err = run("Hello “world”, this costs more than it should: " + "x" * 60, "--price", "2.50")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].startswith("ucs2: 2 segments, 107 UTF-16 units, 27 free")
    assert "cost 5.00" in out
    assert "UDH 050003000201" in out
    assert "'“' at 6" in out
    assert "cheaper: replace_smart (2 characters) -> 1 segment of gsm7" in out


def test_a_text_as_json_can_be_sent_from(run: Run) -> None:
    """--json holds the finished user data, the PDU fields and the slices of the text."""
    code, out, _ = run("Ваш код 4821", "--json", "--price", "1.1")
    answer = json.loads(out)
    assert code == 0
    assert answer["alphabet"] == "ucs2"
    assert answer["data_coding"] == 8
    assert answer["cost"] == "1.1"
    assert bytes.fromhex(answer["segments"][0]["user_data"]).decode("utf-16-be") == "Ваш код 4821"


def test_options_reach_the_encoder(run: Run) -> None:
    """National tables, a forced alphabet, a 16-bit reference and a limit do what they do in the library."""
    assert run("Şifre", "--languages", "tr")[1].startswith("gsm7 (tr-single): 1 segment")
    assert run("x" * 160, "--reference-bits", "16")[1].startswith("gsm7: 1 segment")
    assert "152 units  UDH 060804000003" in run("x" * 400, "--reference-bits", "16")[1]
    assert run("é", "--allow", "latin1,ucs2")[1].startswith("latin1: 1 segment")
    assert run("x" * 200, "--max-segments", "1")[0] == 65


def test_a_text_that_cannot_go_says_which_character_and_where(run: Run) -> None:
    """A refusal is one line on standard error and exit code 65; nothing is printed as a result."""
    code, out, err = run("ab`c", "--alphabet", "gsm7")
    assert (code, out) == (65, "")
    assert err.startswith("dispatcher segments: position 2: '`' (U+0060 GRAVE ACCENT) is not in gsm7")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("x", "--alphabet", "gsm8"), "did you mean 'gsm7'?"),
        (("x", "--max-segments", "300"), "max_segments is a whole number from 1 to 255, not 300"),
        (("x", "--price", "free"), "'free' is not a number"),
        (("x", "--price", "-1"), "'-1' is not a price"),
        (("x", "--column", "text"), "--column goes with --file"),
        ((), "one of the arguments TEXT --file is required"),
    ],
)
def test_wrong_usage_says_what_would_be_right(run: Run, arguments: tuple[str, ...], expected: str) -> None:
    """A wrong option is exit code 2 and one clear line."""
    code, _, err = run(*arguments)
    assert code == 2
    assert expected in err


def test_a_file_is_counted_line_by_line(run: Run, tmp_path: Path) -> None:
    """Bad lines are named and cost only themselves; totals and cost count the rest."""
    file = tmp_path / "texts.txt"
    file.write_bytes("hello\r\nПривет\n".encode() + b"bad \xff\n" + b"x" * 2000 + b"\n" + b"{}" * 90 + b"\n")
    code, out, err = run("--file", str(file), "--price", "0.10")
    assert code == 65
    assert err.splitlines() == [
        "dispatcher segments: line 3: not UTF-8",
        (
            "dispatcher segments: line 4: the text needs at least 14 segments, 10 are allowed; "
            "shorten it or raise max_segments (at most 255)"
        ),
    ]
    assert out == "5 texts, 5 segments, 4 of gsm7, 1 of ucs2, 2 refused, cost 0.50\n"


def test_a_file_as_json_has_a_line_for_every_line_and_the_totals(run: Run, tmp_path: Path) -> None:
    """Results come in the order of the file; the totals are the last line."""
    file = tmp_path / "texts.txt"
    file.write_text("hello\n\ud800\n".encode("utf-8", "surrogatepass").decode("utf-8", "replace") + "Код\n")
    code, out, _ = run("--file", str(file), "--json", "--alphabet", "gsm7")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 65
    assert [row.get("line") for row in rows] == [1, 2, 3, None]
    assert rows[0]["segments"] == 1
    assert "not in gsm7" in rows[2]["error"]
    assert rows[3]["totals"] == {"texts": 3, "segments": 1, "refused": 2, "by_alphabet": {"gsm7": 1}}


def test_csv_takes_the_named_column(run: Run, tmp_path: Path) -> None:
    """Quoted line breaks stay in their text; a byte order mark does no harm; a short row is refused."""
    file = tmp_path / "campaign.csv"
    file.write_text(
        '\ufeffto,text\n79160000001,"two\nlines"\n79160000002\n\n79160000003,Код\n', encoding="utf-8"
    )
    code, out, _ = run("--file", str(file), "--column", "text", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 65
    assert [row.get("units") for row in rows[:-1]] == [9, None, 3]
    assert rows[1] == {"line": 4, "error": "the row ends before the column"}


def test_an_unclosed_quote_is_not_one_long_text(run: Run, tmp_path: Path) -> None:
    """A file that is no CSV is refused as a whole: its rows would otherwise vanish in one."""
    file = tmp_path / "campaign.csv"
    file.write_text('text\n"abc\nsecond\nthird\n')
    code, _, err = run("--file", str(file), "--column", "text")
    assert code == 65
    assert "not CSV" in err


def test_output_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A full disk is exit code 74; a reader that stops early is no error; no encoding stops it."""
    file = tmp_path / "many.txt"
    file.write_text("Привет\n" * 50_000)
    command = [sys.executable, "-m", "dispatcher", "segments", "--file", str(file), "--json"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    assert done.returncode == 74
    assert done.stderr == "dispatcher: output: No space left on device\n"
    pipe = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert pipe.stdout is not None
    assert pipe.stderr is not None
    pipe.stdout.readline()
    pipe.stdout.close()
    assert pipe.stderr.read() == ""
    pipe.stderr.close()
    assert pipe.wait() == 0
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [*command[:4], "Код “1”"], capture_output=True, text=True, check=False, cwd=ROOT, env=ascii_only
    )
    assert done.returncode == 0


def test_an_unknown_column_names_those_that_there_are(run: Run, tmp_path: Path) -> None:
    """The header line is quoted in the error."""
    file = tmp_path / "campaign.csv"
    file.write_text("to,text\n1,x\n")
    code, _, err = run("--file", str(file), "--column", "txt")
    assert code == 65
    assert "no column 'txt'; the header line names to, text" in err


def test_a_missing_file_is_exit_code_66(run: Run, tmp_path: Path) -> None:
    """The file and the reason are named."""
    code, _, err = run("--file", str(tmp_path / "none.txt"))
    assert code == 66
    assert "none.txt: No such file or directory" in err


def test_texts_come_from_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """'-' is standard input, for one text or for a file of them."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("Привет\n".encode()), "latin1"))
    assert run("-")[1].startswith("ucs2: 1 segment, 6 UTF-16 units")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("Привет\nhi\n".encode()), "latin1"))
    assert run("--file", "-")[1] == "2 texts, 2 segments, 1 of gsm7, 1 of ucs2\n"


def test_the_demo_shows_texts_and_a_rate(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every text is explained down to its characters, and the batch forms report a rate."""
    monkeypatch.setattr(demo_texts, "MANY", 20_000)
    demo_texts.show()
    out = capsys.readouterr().out
    assert out.count("each character costs") == len(demo_texts.TEXTS)
    assert "🎉=2" in out
    assert "20,000 such codes made into segments" in out
