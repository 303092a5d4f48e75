"""The README's program with a pool is run as it stands, against a simulator where it expects an SMSC."""

import re
import subprocess
import sys

from dispatcher.smpp.pool import Alarm
from tests.unit.test_readme import README, blocks

from .test_races import elsewhere


def test_the_example_prints_what_its_comment_says() -> None:
    """It binds, submits, prints the answer, unbinds."""
    (example,) = [block for block in blocks("python") if "Pool(" in block]
    expected = re.findall(r"#\s+(on_answers \[.*)", example)
    with elsewhere() as smsc:
        assert "port=2775" in example
        program = example.replace("port=2775", f"port={smsc.port}")
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        assert [line for line in done.stdout.splitlines() if line.startswith("on_answers")] == expected
        assert smsc.ask("GET", "/ledger?token=4821")["tokens"]["4821"]["accepted"] == 1


def test_the_table_names_every_alarm() -> None:
    """No more, no less."""
    assert re.findall(r"^\| `(\w+)` \| ", README, re.MULTILINE)[-len(Alarm) :] == [
        kind.value for kind in Alarm
    ]
