"""The story of ``make demo``, from set-up to proof; the exit code is 1 where the proof does not hold.

Processes: the simulated carriers, the daemon (`dispatcher serve`), two clients over HTTP, and this one, which
watches, kills and counts.
"""

import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from dispatcher.cli import rig, screen
from dispatcher.cli.demo import texts, traffic
from dispatcher.cli.demo.proof import WARM_MS, Proof, percentile, prove

KILL_AT: Final = 0.5
"""Of the segments, as the carriers have seen them."""
LIMIT_S: Final = 300.0
WARM_S: Final = WARM_MS / 1000
SCREEN_S: Final = 0.5
LINE_S: Final = 2.0
"""Between two lines, where nobody watches a screen."""


def main() -> int:
    """Show the encoder, then the daemon's life; return the exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # each line as it happens, through a pipe too
    texts.show()
    folder = Path(tempfile.mkdtemp(prefix="dispatcher-demo-"))
    try:
        story = Story(folder)
        try:
            story.tell()
        finally:
            rig.kill_all(story.processes)
        proof = prove(folder, story.doubled_most)
        report(proof, story)
        return 0 if proof.holds else 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Story:
    """What happens, and what was seen of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[Any]] = []
        self.cpu_s = self.sending_s = 0.0
        """CPU time of both daemons; from the first request to the last answer."""
        self.doubled_most = 0
        self._carriers = rig.Carriers(folder, traffic.SIMULATOR)
        self.processes.append(self._carriers.process)
        self._ports = rig.free_ports(2)
        (folder / rig.CONFIG).write_text(traffic.daemon_config(self._carriers.port, *self._ports), "utf-8")

    def tell(self) -> None:
        """Start, send, kill, start again, drain, stop."""
        print(
            "Three simulated carriers: north throttles what is above its limit, south has hexadecimal ids "
            "and late receipts,\neast cuts its lines now and then. A daemon on a fresh store; one client "
            f"gives it {traffic.SEGMENTS:,} segments of four\nclasses over HTTP, {traffic.RATE:,} a second, "
            f"a second one asks for {1 / traffic.CODE_S:.0f} one-time codes a second."
        )
        key = rig.add_key(self.folder, "demo")
        daemon = self._daemon()
        self._wait_for_binds(daemon)
        began_s = time.monotonic()
        codes = self._client("codes", daemon.url, key)
        campaign = self._client("campaign", daemon.url, key)
        half = int(traffic.SEGMENTS * KILL_AT)
        self._watch(daemon, lambda: self._carriers.submits() >= half)
        self.cpu_s += daemon.cpu_s()
        submits = self._carriers.submits()
        rig.end(daemon.process, signal.SIGKILL)
        print(f"  kill -9 after {time.monotonic() - began_s:.1f} s and {submits:,} segments")
        daemon = self._daemon()
        print(f"  started again: it takes messages {daemon.start_s:.1f} s after the start of the process")
        self._watch(daemon, lambda: campaign.poll() is not None)
        self.sending_s = time.monotonic() - began_s
        rig.end(codes, signal.SIGTERM)
        print(f"  all is accepted after {self.sending_s:.1f} s; what is under way is waited for")
        self._watch(daemon, lambda: rig.is_quiet(daemon.state()))
        self.cpu_s += daemon.cpu_s()
        binds = self._carriers.binds()
        code = rig.end(daemon.process, signal.SIGTERM)
        if code or campaign.returncode or codes.returncode:
            raise SystemExit(f"the daemon ended with exit code {code}, see above for the clients")
        self._carriers.end()
        all_binds = len(traffic.CARRIERS) * traffic.BINDS
        cut = max(0, binds - 2 * all_binds)  # each line that was cut was bound again
        self.doubled_most = (all_binds + cut) * traffic.WINDOW

    def _wait_for_binds(self, daemon: rig.Daemon) -> None:
        """Wait for them, and until they are warm."""
        while not all(carrier.binds_up == len(carrier.binds) for carrier in daemon.state().carriers):
            time.sleep(0.1)
        time.sleep(WARM_S)

    def _daemon(self) -> rig.Daemon:
        daemon = rig.Daemon(self.folder, *self._ports)
        self.processes.append(daemon.process)
        return daemon

    def _client(self, what: str, url: str, key: str) -> "subprocess.Popen[Any]":
        client = subprocess.Popen(
            [sys.executable, "-m", "dispatcher.cli.demo.client", what, str(self.folder), url],
            env=os.environ | {"DISPATCHER_KEY": key},
        )
        self.processes.append(client)
        return client

    def _watch(self, daemon: rig.Daemon, enough: Callable[[], bool]) -> None:
        """Show what goes on, until it is enough."""
        is_screen = sys.stdout.isatty()
        end_s, before, height = time.monotonic() + LIMIT_S, None, 0
        while not enough():
            if daemon.process.poll() is not None:
                log = (self.folder / rig.LOG).read_text()[-2000:]
                raise SystemExit(f"the daemon ended by itself:\n{log}")
            if time.monotonic() > end_s:
                raise SystemExit(f"not done after {LIMIT_S:.0f} s")
            state = daemon.state()
            shown = screen.figures(before, state)
            if is_screen:
                size = shutil.get_terminal_size()
                lines = screen.lines(shown, size.columns, size.lines - 2)
                print(
                    (f"\x1b[{height}F" if height else "") + "".join(f"\x1b[K{each}\n" for each in lines),
                    end="",
                )
                height = len(lines)
            elif before is not None:
                print(f"  {summary(shown)}")
            before = state
            time.sleep(SCREEN_S if is_screen else LINE_S)


def summary(shown: screen.Figures) -> str:
    """Return one line of what a screen would show."""
    codes = shown.classes[0]
    p99 = "-" if codes.wire_p99_s is None else f"{codes.wire_p99_s * 1000:.0f} ms"
    waiting = sum(each.waiting for each in shown.classes)
    return (
        f"{shown.accepted_per_s:>7,.0f} accepted/s {shown.submitted_per_s:>7,.0f} submitted/s "
        f"{shown.ended_per_s:>7,.0f} ended/s {waiting:>7,} waiting, codes to the wire p99 {p99}"
    )


def report(proof: Proof, story: Story) -> None:
    """Print what the ledgers say."""
    print("\nThe ledgers of the clients, of the store and of the carriers, side by side:")
    print(
        f"  accepted    {proof.accepted:>9,} messages, each answered only when it was on disk; "
        f"{proof.repeated:,} were asked for again, and known"
    )
    print(
        f"  submitted   {proof.sent:>9,} segments reached the carriers; {proof.throttled:,} more were "
        f"throttled and came again"
    )
    print(f"  delivered   {proof.delivered:>9,} messages, by {proof.receipts:,} receipts; outcomes by class:")
    for name, outcomes in proof.outcomes.items():
        print(f"    {name:<14}" + "".join(f"{outcome} {count:,}   " for outcome, count in outcomes.items()))
    if held := proof.outcomes["marketing"]["unknown"]:
        print(
            f"    {held:,} of marketing may have been under way when a line was cut or the daemon killed;\n"
            "    advertising is never sent twice, and what became of it is said to be unknown"
        )
    print(f"  lost        {proof.lost:>9,}")
    print(f"  ended twice {proof.ended_twice:>9,}")
    print(
        f"  complaints  {proof.audit_complaints:>9,} of `dispatcher audit`, which reads the store on its own"
    )
    print(
        f"  doubled     {proof.doubled:>9,} segments, {proof.doubled_marketing} of marketing, "
        f"{proof.unexplained} without a submit that went unanswered;\n"
        f"{'':24}bound {proof.doubled_most:,}: the windows of the kill and of each line that was cut"
    )
    wire, answer = proof.wire_ms, proof.answer_ms
    print(
        f"  codes       p50 {percentile(wire, 0.5):.1f} ms, p99 {percentile(wire, 0.99):.1f} ms from asked "
        f"for to read by the carrier, with warm binds ({len(wire):,});\n"
        f"{'':14}p50 {percentile(answer, 0.5):.1f} ms, p99 {percentile(answer, 0.99):.1f} ms to the answer; "
        f"the worst of the outage {proof.worst_ms / 1000:.1f} s"
    )
    print(
        f"  CPU         {story.cpu_s / max(proof.sent, 1) * 1e6:>9.1f} us a segment, the daemon's, HTTP and "
        f"restart included; {proof.sent / max(story.sending_s, 1):,.0f} segments a second"
    )
    print("The proof holds." if proof.holds else "THE PROOF FAILS.")


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
