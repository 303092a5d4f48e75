"""``dispatcher send`` over real sockets: a file is sent once, whatever interrupts it."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dispatcher.__main__ import main
from tests.fake_daemon import FakeDaemon

ROOT = Path(__file__).parents[2]
ROWS = 2_300
"""Five slices."""


@pytest.fixture
def fake() -> Iterator[FakeDaemon]:
    """Return a daemon's door that runs."""
    with FakeDaemon().running() as running:
        yield running


def start(fake: FakeDaemon, *words: str, **environment: str) -> "subprocess.Popen[str]":
    """Start `dispatcher send`."""
    return subprocess.Popen(
        [sys.executable, "-m", "dispatcher", "send", "--url", fake.url, *words],
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DISPATCHER_KEY": "dsk_test", **environment},
    )  # fmt: skip


def send(fake: FakeDaemon, *words: str) -> tuple[int, str, str]:
    """Run `dispatcher send` to its end: exit code, output, errors."""
    process = start(fake, *words)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "never"
        time.sleep(0.005)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a CSV file of ROWS rows, as a bank's campaign tool writes it."""
    path = tmp_path / "campaign.csv"
    rows = "".join(f"+7900{number:07d};Text {number};x\n" for number in range(ROWS))
    path.write_text("phone;text;name\n" + rows)
    return path


WORDS = ("--map", "phone=to", "--sender", "Bank", "--class", "marketing")


def texts(fake: FakeDaemon) -> list[str]:
    """Return the texts that were taken, sorted."""
    return sorted(message["text"] for message in fake.taken.values())


ALL = sorted(f"Text {number}" for number in range(ROWS))


def test_a_file_is_sent_with_its_columns_mapped(fake: FakeDaemon, file: Path, tmp_path: Path) -> None:
    """Every row becomes one message; the results name each line; a second call sends nothing."""
    results = tmp_path / "results.ndjson"
    code, out, err = send(fake, "--file", str(file), *WORDS, "--results", str(results), "--json")
    assert (code, json.loads(out)["accepted"]) == (0, ROWS), err
    assert "columns not used: name" in err
    assert texts(fake) == ALL
    assert max(fake.asked) == 500
    assert set(fake.keys) == {"Bearer dsk_test"}
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert [each["line"] for each in lines] == list(range(2, ROWS + 2))
    assert {each["message_id"] for each in lines} == set(fake.ids.values())
    assert results.stat().st_mode & 0o077 == 0
    batches = len(fake.asked)
    code, _, err = send(fake, "--file", str(file), *WORDS)
    assert (code, len(fake.asked)) == (0, batches)
    assert "--restart sends it again" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_file_goes_on_without_doubling(
    fake: FakeDaemon, file: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C, SIGTERM, kill -9 while a slice is unanswered: the same command sends the rest, each once."""
    results = tmp_path / "results.ndjson"
    words = ("--file", str(file), *WORDS, "--results", str(results))
    fake.gate.clear()
    process = start(fake, *words)
    until(lambda: len(fake.taken) == 500)
    process.send_signal(number)
    if number == signal.SIGKILL:
        process.wait(30)
    fake.gate.set()
    _, err = process.communicate(timeout=30)
    expected = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[number]
    assert process.returncode == expected
    if number != signal.SIGKILL:
        assert "stopped behind line 501: the same command goes on there" in err
        assert "Traceback" not in err
    assert len(fake.taken) == 500
    code, out, err = send(fake, *words, "--json")
    assert code == 0, err
    assert texts(fake) == ALL
    done = json.loads(out)
    assert done["accepted"] == ROWS
    assert done["repeated"] == (500 if number == signal.SIGKILL else 0)
    lines = [json.loads(line)["line"] for line in results.read_text().splitlines()]
    assert lines == list(range(2, ROWS + 2))


def test_a_lost_state_doubles_nothing(fake: FakeDaemon, file: Path) -> None:
    """Without its note the same file is asked again, and is the same messages; --restart sends new ones."""
    assert send(fake, "--file", str(file), *WORDS)[0] == 0
    file.with_name(file.name + ".dispatcher-state").unlink()
    code, out, _ = send(fake, "--file", str(file), *WORDS, "--json")
    assert (code, json.loads(out)["repeated"], len(fake.taken)) == (0, ROWS, ROWS)
    code, out, _ = send(fake, "--file", str(file), *WORDS, "--json", "--restart")
    assert (code, json.loads(out)["repeated"], len(fake.taken)) == (0, 0, 2 * ROWS)


def test_a_changed_file_or_other_options_are_refused(fake: FakeDaemon, file: Path) -> None:
    """A half-sent file that changed would send some rows twice or never: it is not taken."""
    assert send(fake, "--file", str(file), *WORDS, "--limit", "100")[0] == 0
    code, _, err = send(fake, "--file", str(file), *WORDS, "--default", "ttl_ms=5000")
    assert (code, "other options" in err) == (2, True)
    with file.open("a") as more:
        more.write("+79001234567;more;x\n")
    code, _, err = send(fake, "--file", str(file), *WORDS)
    assert (code, "the file has changed" in err) == (65, True)
    assert len(fake.taken) == 100


def test_refused_rows_cost_only_themselves(fake: FakeDaemon, file: Path, tmp_path: Path) -> None:
    """Rows that cannot go stand in the rejects with line and reason; the others went; exit code 65."""
    fake.flaws["Text 7"] = {"code": "number_malformed", "detail": "no number", "path": "$.to"}
    with file.open("ab") as more:
        more.write(b"+79001;only two\n+79002;\xff\xfe;x\n")
    rejects = tmp_path / "rejects.csv"
    code, out, _ = send(fake, "--file", str(file), *WORDS, "--rejects", str(rejects), "--json")
    assert (code, json.loads(out)["refused"], len(fake.taken)) == (65, 3, ROWS - 1)
    rows = list(csv.DictReader(rejects.read_text("utf-8", "surrogateescape").splitlines()))
    assert [(row["line"], row["code"]) for row in rows] == [
        ("9", "number_malformed"), (str(ROWS + 2), "malformed"), (str(ROWS + 3), "malformed"),
    ]  # fmt: skip
    assert (rows[0]["phone"], rows[0]["path"]) == ("+79000000007", "$.to")


def test_refused_rows_say_why(fake: FakeDaemon, file: Path) -> None:
    """The first are named by line and reason, their numbers masked, and it is said that there are more."""
    for number in range(7, 14):
        fake.flaws[f"Text {number}"] = {"code": "number_malformed", "detail": "no number", "path": "$.to"}
    code, out, err = send(fake, "--file", str(file), *WORDS, "--quiet")
    assert (code, out) == (65, "2,300 messages, 2,293 accepted, 7 refused\n")
    assert err.splitlines() == [
        *(
            f"dispatcher send: line {n} (to 7900***{n - 2:04d}): no number (number_malformed)"
            for n in range(9, 14)
        ),
        "dispatcher send: and more; --rejects FILE lists them all",
    ]


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        *(("--wait", value, "a number above 0") for value in ("nan", "-2", "0", "inf", "soon")),
        *(("--rate", value, "a number above 0") for value in ("-3", "0", "nan")),
        *(("--patience", value, "0 or more") for value in ("nan", "-1")),
        ("--ttl-ms", "-5", "a whole number from 1 on"),
        ("--limit", "1.5", "a whole number from 1 on"),
    ],
)
@pytest.mark.parametrize("words", [["--to", "+79001234567", "Hello"], ["--file", "campaign.csv"]])
def test_numbers_that_make_no_sense(
    words: list[str], option: str, value: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are refused before anything is asked, for one message as for a file: what would do is said."""
    with pytest.raises(SystemExit, match="2"):
        main(["send", *words, option, value])
    said = capsys.readouterr().err
    assert f"argument {option}: expected {expected}" in said
    assert f"got '{value}'" in said


def test_what_is_temporary_is_asked_again(fake: FakeDaemon, file: Path) -> None:
    """503 for a batch, put-off rows, a connection that breaks after the batch was taken: all arrive once."""
    fake.refuse = [(503, {"code": "closing", "detail": "closing"})]
    fake.busy = {"Text 3": 2, "Text 1700": 1}
    fake.break_after = [False, False, True]
    code, out, err = send(fake, "--file", str(file), *WORDS, "--json")
    assert code == 0, err
    assert texts(fake) == ALL
    assert json.loads(out)["accepted"] == ROWS


@pytest.mark.parametrize(("status", "expected"), [(503, 75), (401, 77), (403, 77), (500, 69)])
def test_the_exit_code_says_why_it_stopped(fake: FakeDaemon, file: Path, status: int, expected: int) -> None:
    """75 when patience ends, 77 for a key that is not good, 69 for a daemon that does not work."""
    fake.refuse = [(status, {"code": "x", "detail": "some reason"})] * 100
    code, _, err = send(fake, "--file", str(file), *WORDS, "--patience", "0")
    assert (code, "some reason" in err) == (expected, True)
    assert "the same command goes on there" in err


def test_a_daemon_that_is_away_is_exit_code_69(fake: FakeDaemon, file: Path) -> None:
    """Nothing listens: one line, no traceback."""
    words = ["--file", str(file), *WORDS, "--patience", "0", "--url", "http://127.0.0.1:1"]
    code, _, err = send(fake, *words)
    assert (code, "is `dispatcher serve` running?" in err, "Traceback" in err) == (69, True, False)


def test_one_message_and_its_outcome(fake: FakeDaemon) -> None:
    """The message_id is printed; with --wait the exit code is the outcome's; a lost answer costs nothing."""
    words = ("--to", "+79001234567", "--sender", "Bank")
    fake.break_after = [True]
    code, out, _ = send(fake, *words, "Hello")
    (message_id,) = fake.ids.values()
    assert (code, out) == (0, f"{message_id}\n")
    assert list(fake.taken.values()) == [{"to": "+79001234567", "text": "Hello", "sender": "Bank"}]
    for state, expected in (("delivered", 0), ("undelivered", 1), ("unknown", 75)):
        reference = f"r-{state}"
        fake.ids[reference] = f"id-{state}"
        fake.status[f"/v1/messages/id-{state}"] = [
            {"state": "sending"}, {"state": state, "finished_at": "2026-11-24T10:00:00.000Z"},
        ]  # fmt: skip
        code, out, _ = send(fake, *words, "--client-ref", reference, "--wait", "30", "Hello")
        assert (code, out) == (expected, f"id-{state}\n{state}\n")


def test_a_dry_run_counts_and_sends_nothing(fake: FakeDaemon, file: Path) -> None:
    """--dry-run says segments, price and refusals of a file, and of one message; no message is taken."""
    fake.flaws["Text 7"] = {"code": "number_malformed", "detail": "no number"}
    code, out, err = send(fake, "--file", str(file), *WORDS, "--dry-run", "--json")
    assert code == 65
    assert json.loads(out) == {
        "messages": ROWS - 1, "segments": 2 * (ROWS - 1), "by_alphabet": {"ucs2": 2 * (ROWS - 1)},
        "by_carrier": {"north": 2 * (ROWS - 1)}, "price": f"{1.25 * (ROWS - 1):.2f}", "currency": "EUR",
        "without_price": 0, "refused": {"number_malformed": 1},
    }  # fmt: skip
    assert "line 9: no number (number_malformed)" in err
    code, out, _ = send(fake, "--to", "+79001234567", "--sender", "Bank", "--dry-run", "Hello")
    assert (code, out.splitlines()[0]) == (0, "ucs2: 2 segments, 100 units")
    assert not fake.taken
    assert not file.with_name(file.name + ".dispatcher-state").exists()


def test_a_key_comes_from_a_file(fake: FakeDaemon, tmp_path: Path) -> None:
    """--key-file wins over the environment; its first line is the key."""
    key = tmp_path / "key"
    key.write_text("dsk_other\n")
    words = ("--to", "+79001234567", "--sender", "Bank", "--key-file", str(key), "Hello")
    assert send(fake, *words)[0] == 0
    assert fake.keys == ["Bearer dsk_other"]


def test_an_old_interruption_is_warned_of(fake: FakeDaemon, file: Path) -> None:
    """Over a day after it was stopped, the daemon may not know the rows again that were not answered."""
    assert send(fake, "--file", str(file), *WORDS, "--limit", "100")[0] == 0
    note = file.with_name(file.name + ".dispatcher-state")
    assert "over a day ago" not in send(fake, "--file", str(file), *WORDS, "--limit", "200")[2]
    state = json.loads(note.read_text())
    note.write_text(json.dumps({**state, "at_s": state["at_s"] - 90_000}))
    code, _, err = send(fake, "--file", str(file), *WORDS)
    assert (code, "over a day ago" in err) == (0, True)
    assert texts(fake) == ALL
