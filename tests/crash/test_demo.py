"""The demo, small: it really kills, and its proof can fail."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dispatcher.cli.demo.proof import Proof


def test_the_demo_proves_that_nothing_is_lost() -> None:
    """It sends over HTTP, kills with -9, starts again, drains, and says so in the end; exit code 0."""
    done = subprocess.run(
        [sys.executable, "-m", "dispatcher.cli.demo"],
        env=os.environ | {"DEMO_SEGMENTS": "20000"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kill -9 after" in done.stdout
    assert "lost                0\n" in done.stdout
    assert done.stdout.endswith("The proof holds.\n")


@pytest.mark.parametrize(
    "figure",
    ["lost", "ended_twice", "doubled_marketing", "doubled", "accepted", "audit_complaints", "unexplained"],
)
def test_the_proof_of_the_demo_can_fail(figure: str) -> None:
    """One more than is allowed, or one fewer accepted than were given, and it does not hold."""
    proof = Proof(expected=10)
    proof.accepted, proof.doubled_most, proof.doubled = 10, 3, 3
    assert proof.holds
    setattr(proof, figure, getattr(proof, figure) + (-1 if figure == "accepted" else 1))
    assert not proof.holds
