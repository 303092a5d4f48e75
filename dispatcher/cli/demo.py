"""``make demo``: a sending process is killed half-way with -9 and started again; three ledgers are compared.

Three processes: two simulated carriers, the sender (demo_sender.py), and this one, which kills and counts.
The exit code is 1 where a message was lost, ended twice, or came more often than the windows allow.
"""

from __future__ import annotations

import io
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dispatcher.cli import demo_texts

if TYPE_CHECKING:
    from dispatcher.cli.demo_proof import Proof

CARRIERS: Final = """
ledger = "tokens"
[accounts.north]
latency_ms = 2
receipts = { delay_ms = 300 }
[accounts.south]
latency_ms = 5
receipts = { delay_ms = 500, states = { DELIVRD = 0.98, UNDELIV = 0.02 } }
message_id = { notation = "HEX", receipt_notation = "decimal" }
"""
KILL_AT: Final = 0.5
"""Of the segments, as the carriers have seen them."""
LIMIT_S: Final = 300.0
POLL_S: Final = 0.1


def main() -> int:
    """Show the encoder, then the crash; return the exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # each line as it happens, through a pipe too
    demo_texts.show()
    folder = Path(tempfile.mkdtemp(prefix="dispatcher-demo-"))
    try:
        return crash(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def crash(folder: Path) -> int:
    """Send, kill, start again, compare; return the exit code."""
    from dispatcher.cli import demo_proof, demo_sender

    print(
        f"Two simulated carriers run in a process of their own: north (plain SMPP 3.4) and south (ids in "
        f"hexadecimal),\neach with {demo_sender.BINDS} binds and a window of {demo_sender.WINDOW}. "
        f"A second process sends {demo_sender.MESSAGES:,} messages of four traffic classes,\n"
        f"{demo_sender.SEGMENTS:,} segments, through the library."
    )
    with Carriers(folder) as carriers:
        with Sender(folder, carriers.port) as sender:
            half = int(demo_sender.SEGMENTS * KILL_AT)
            before = watch(sender, carriers, lambda: carriers.submits >= half)
        print(
            f"  after {before.seconds:.1f} s it is killed with -9: {demo_sender.answered(folder):,} messages "
            f"are accepted, {before.submits:,} segments sent ({before.rate:,.0f} a second)"
        )
        with Sender(folder, carriers.port) as sender:
            after = watch(sender, carriers, lambda: False)
        if sender.process.returncode:
            print(f"  started again, it failed with exit code {sender.process.returncode}")
            return 1
        print(
            f"  started again, it sends the first segment after {after.first_s:.1f} s and the rest at "
            f"{after.rate:,.0f} a second;\n  the last outcome is there {after.seconds:.1f} s after the start"
        )
    proof = demo_proof.prove(folder, kills=1)
    report(proof)
    return 0 if proof.holds else 1


def report(proof: Proof) -> None:
    """Print what the ledgers say."""
    print("\nThe ledgers of the sender, of the store and of the carriers, side by side:")
    print(f"  accepted   {proof.accepted:>9,} messages, each answered only when it was on disk")
    print(
        f"  sent       {proof.sent:>9,} segments reached the carriers, {proof.receipts:,} receipts came back"
    )
    print(f"  delivered  {proof.delivered:>9,} messages; all outcomes, by class:")
    for name, outcomes in proof.outcomes.items():
        print(f"    {name:<14}" + "".join(f"{outcome} {count:,}   " for outcome, count in outcomes.items()))
    if held := proof.outcomes["marketing"]["unknown"]:
        print(
            f"    {held:,} of marketing were being sent when it was killed; advertising is never sent\n"
            "    twice, and what became of it is said to be unknown"
        )
    print(f"  lost        {proof.lost:>8,}")
    print(f"  ended twice {proof.ended_twice:>8,}")
    print(
        f"  complaints  {proof.audit_complaints:>8,} of `dispatcher audit`, which reads the store on its own"
    )
    print(
        f"  doubled     {proof.doubled:>8,} segments, written and not answered when it was killed: at most "
        f"{proof.doubled_most} (the windows), and\n{'':23}{proof.doubled_marketing} of marketing"
    )
    print("The proof holds." if proof.holds else "THE PROOF FAILS.")


# ---- the processes ----


class Carriers:
    """The simulated carriers: a process, its port, and what it has seen."""

    def __init__(self, folder: Path) -> None:
        settings = folder / "carriers.toml"
        settings.write_text(CARRIERS, "utf-8")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "dispatcher", "simulate", "--config", str(settings), "--quiet"),
                *("--port", "0", "--control-port", "0", "--ledger", str(folder / "carriers.json")),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        found = re.fullmatch(r"SMSC on 127\.0\.0\.1:(\d+), control on 127\.0\.0\.1:(\d+)\n", line)
        if found is None:
            raise SystemExit("the simulated carriers did not start")
        self.port, self._control = int(found[1]), int(found[2])

    @property
    def submits(self) -> int:
        """How many submit_sm have come."""
        accounts: dict[str, Any] = self._state()["accounts"]
        return sum(int(account["totals"]["submits"]) for account in accounts.values())

    def __enter__(self) -> Carriers:
        return self

    def __exit__(self, *error: object) -> None:
        """End them; their ledger is written then."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()

    def _state(self) -> dict[str, Any]:
        import json
        import urllib.request

        with urllib.request.urlopen(f"http://127.0.0.1:{self._control}/state", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
            return found


class Sender:
    """The process that embeds the library."""

    def __init__(self, folder: Path, port: int) -> None:
        from dispatcher.cli import demo_sender

        self.process = subprocess.Popen([sys.executable, "-m", demo_sender.__name__, str(folder), str(port)])

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *error: object) -> None:
        """Kill it as the machine would, without a word; where it has ended, that does nothing."""
        self.process.kill()
        self.process.wait()


class Watched:
    """What was seen of one run of the sender."""

    seconds = first_s = rate = 0.0
    submits = 0


def watch(sender: Sender, carriers: Carriers, enough: Callable[[], bool]) -> Watched:
    """Look at the carriers until it is enough, or the sender has ended."""
    started_s, seen = time.monotonic(), Watched()
    begun = last = carriers.submits
    last_s = started_s
    while sender.process.poll() is None and not enough():
        time.sleep(POLL_S)
        submits, now_s = carriers.submits, time.monotonic()
        if submits > begun and not seen.first_s:
            seen.first_s = now_s - started_s
        if submits > last:
            last, last_s = submits, now_s
        if sys.stdout.isatty():
            print(f"\r\x1b[K  {submits:,} segments sent", end="", flush=True)
        if now_s - started_s > LIMIT_S:
            sender.process.kill()
    if sys.stdout.isatty():
        print("\r\x1b[K", end="")
    seen.seconds, seen.submits = time.monotonic() - started_s, last
    seen.rate = (last - begun) / max(last_s - started_s - seen.first_s + POLL_S, POLL_S)
    return seen


if __name__ == "__main__":
    sys.exit(main())
