"""The sending of a file: slices of rows, each asked until it is answered, then written down, then noted.

A slice's answer is on disk before the next is asked. What is temporary is asked again; what stays so stops
the sending where it is, and the same command goes on there.
"""

import csv
import io
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from dispatcher.api import masked
from dispatcher.cli.exits import CommandError, Exit
from dispatcher.cli.interrupt import Interrupt
from dispatcher.cli.remote import NDJSON, RETRY_MS, Remote, UnreachableError, refusal
from dispatcher.cli.send_progress import Progress
from dispatcher.cli.send_rows import Row
from dispatcher.cli.send_state import Output, State, note

SLICE: Final = 500
"""Rows of one request: a few ms of the daemon, and what may be asked twice after an interruption."""
SLICES_OF_A_SECOND: Final = 10
"""With --rate: no bursts that are felt behind it."""
OF_ONE_NUMBER: Final = "number_limited"
"""Temporary, but of one recipient: hours may pass, and the other rows go on meanwhile."""
OF_THE_STREAM: Final = ("too_slow", "internal", "too_large")
"""Codes that say of no row why: the answer has ended before its time."""
_encode: Final = msgspec.json.Encoder().encode

REASONS_MAX: Final = 5
"""Refused rows that are named: a wrong column spoils every row."""


class Verdict(msgspec.Struct, frozen=True):
    """The daemon's answer to one row, or ours, where it was not worth asking."""

    message_id: str = ""
    client_ref: str = ""
    is_repeated: bool = False
    code: str = ""
    detail: str = ""
    path: str = ""
    retry_after_ms: int = 0


_decode: Final = msgspec.json.Decoder(Verdict).decode


class Pace:
    """So many messages a second, without catching up on a time when nothing went."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.slice = SLICE if not rate else max(1, min(SLICE, int(rate / SLICES_OF_A_SECOND)))
        self._rate = rate
        self._clock = clock
        self._due_s = 0.0

    def wait_s(self, messages: int) -> float:
        """Return how long to wait before so many go."""
        if not self._rate:
            return 0.0
        now = self._clock()
        at = max(self._due_s, now)
        self._due_s = at + messages / self._rate
        return at - now


class Sending:
    """One file on its way. `state` is noted at `state_path`, where one is given."""

    def __init__(
        self,
        remote: Remote,
        state: State,
        state_path: Path | None,
        interrupt: Interrupt,
        *,
        pace: Pace,
        patience_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state = state
        self.results: Output | None = None
        self.rejects: Output | None = None
        self.progress: Progress | None = None
        self.reasons: list[str] = []
        """Why the first rows were refused, for people."""
        self._remote = remote
        self._state_path = state_path
        self._interrupt = interrupt
        self._pace = pace
        self._patience_s = patience_s
        self._clock = clock

    def run(self, rows: Iterator[Row], limit: int | None = None) -> None:
        """Send the rows behind the state's line, of the first `limit`, in slices.

        CommandError: it cannot go on. KeyboardInterrupt: a signal has come.
        """
        behind = (row for row in islice(rows, limit) if row.line > self.state.line)
        while some := list(islice(behind, self._pace.slice)):
            self._interrupt.check()
            self._interrupt.sleep(self._pace.wait_s(len(some)))
            verdicts = self._settled(some)
            self._write(some, verdicts)
            if self.progress is not None:
                self.progress.look()
        self.state.is_complete = next(rows, None) is None
        self._note()

    # ---- asking ----

    def _settled(self, rows: Sequence[Row]) -> list[Verdict]:
        """Return a final verdict for each row, asking again as long as patience lasts."""
        verdicts = [Verdict(code="malformed", detail=row.flaw) for row in rows]
        waiting = [index for index, row in enumerate(rows) if not row.flaw]
        bodies = {index: self._body(rows[index]) for index in waiting}
        until = self._clock() + self._patience_s
        while waiting:
            trouble: CommandError | None = None
            wait_ms = RETRY_MS
            try:
                answers = self._ask(b"".join(bodies[index] for index in waiting), len(waiting))
            except UnreachableError as error:
                trouble = error
            except _LaterError as error:
                trouble, wait_ms = error.why, error.retry_after_ms
            else:
                again = []
                for index, verdict in zip(waiting, answers, strict=True):
                    verdicts[index] = verdict
                    if verdict.retry_after_ms and verdict.code != OF_ONE_NUMBER:
                        again.append(index)
                if len(again) < len(waiting):
                    until = self._clock() + self._patience_s
                if again:
                    verdict = verdicts[again[0]]
                    wait_ms = verdict.retry_after_ms
                    trouble = CommandError(f"{verdict.detail} ({verdict.code})", Exit.TEMPORARY)
                waiting = again
            if trouble is not None:
                if self._clock() + wait_ms / 1000 > until:
                    raise trouble
                self._interrupt.sleep(wait_ms / 1000)
        return verdicts

    def _body(self, row: Row) -> bytes:
        values = row.values
        if "client_ref" not in values:
            values = {**values, "client_ref": f"{self.state.run}-{row.line}"}
        return _encode(values) + b"\n"

    def _ask(self, body: bytes, rows: int) -> list[Verdict]:
        answer = self._remote.ask("POST", "/v1/messages:batch", body, {"Content-Type": NDJSON})
        if answer.is_temporary:
            raise _LaterError(refusal(answer), answer.retry_after_ms)
        if answer.status != 200:
            raise refusal(answer)
        with suppress(msgspec.DecodeError):
            verdicts = [_decode(line) for line in answer.body.splitlines()]
            if len(verdicts) == rows and verdicts[-1].code not in OF_THE_STREAM:
                return verdicts
        raise UnreachableError(f"{self._remote.url}: the answer broke off, or no dispatcher gave it")

    # ---- writing down ----

    def _write(self, rows: Sequence[Row], verdicts: Sequence[Verdict]) -> None:
        state = self.state
        for row, verdict in zip(rows, verdicts, strict=True):
            if verdict.code:
                if verdict.retry_after_ms:
                    state.postponed += 1
                else:
                    state.refused += 1
                if len(self.reasons) < REASONS_MAX:
                    self.reasons.append(_reason(row, verdict))
                if self.rejects is not None:
                    cells = [row.line, verdict.code, verdict.detail, verdict.path, *row.source]
                    self.rejects.write(csv_line(cells))
            else:
                state.accepted += 1
                state.repeated += verdict.is_repeated
            if self.results is not None:
                self.results.write(_encode(_said(row, verdict)) + b"\n")
        state.line = rows[-1].line
        self._note()

    def _note(self) -> None:
        if self.results is not None:
            self.state.results_octets = self.results.sync()
        if self.rejects is not None:
            self.state.rejects_octets = self.rejects.sync()
        if self._state_path is not None:
            note(self._state_path, self.state)


class _LaterError(Exception):
    """The daemon takes nothing now."""

    def __init__(self, why: CommandError, retry_after_ms: int) -> None:
        self.why = why
        self.retry_after_ms = retry_after_ms


def csv_line(cells: Sequence[object]) -> bytes:
    """Return a line of CSV; what was no text in the file goes back as the octets that it was."""
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().encode("utf-8", "surrogateescape")


def _reason(row: Row, verdict: Verdict) -> str:
    """Return why a row was refused, its number masked: errors are shown to others, and kept (law 11)."""
    to = masked(str(row.values.get("to", "")).lstrip("+"))
    return f"line {row.line:,} (to {to}): {verdict.detail} ({verdict.code})"


def _said(row: Row, verdict: Verdict) -> dict[str, Any]:
    plain = msgspec.to_builtins(verdict)
    return {"line": row.line, **{name: value for name, value in plain.items() if value}}
