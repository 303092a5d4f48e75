"""``dispatcher send``: one message, or a file of messages, through a running daemon.

A file goes on where it stopped, when the same command is called again, and no message is doubled: a note
beside the file says which line was answered, and each row without a client_ref gets one of its own, made of
the file's content and its line.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from dispatcher.cli import remote as daemon
from dispatcher.cli.exits import CommandError, Exit, fail
from dispatcher.cli.numbers import above_0, count, not_below_0

if TYPE_CHECKING:
    from dispatcher.cli.remote import Remote
    from dispatcher.cli.send_rows import Rows, Shape
    from dispatcher.cli.send_state import State

CLASSES: Final = ("authorization", "transactional", "service", "marketing")
PATIENCE_S: Final = 60.0
"""A restart of the daemon takes seconds, its overload passes within some more."""
REMEMBERED_S: Final = 86_400
"""How long a daemon knows a client_ref again, see config.Retention.idempotency_hours."""
POLL_FIRST_S, POLL_MOST_S = 0.1, 2.0


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "send",
        help="send a message, or a file of messages",
        description="Send a message, or a file of messages, through a running daemon. A text on the command "
        "line is seen by who may list processes: codes and the like go through standard input. Exit codes: 0 "
        "all was accepted (with --wait: delivered); 1 --wait: it ended otherwise; 65 something was refused; "
        "69 the daemon cannot be reached; 75 it does not take all now, or --wait: no outcome in time; 77 the "
        "key is not good for it.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("text", nargs="?", metavar="TEXT", help="the text; '-' or none: standard input")
    parser.add_argument("--to", metavar="NUMBER", help="the recipient")
    parser.add_argument("--sender", metavar="NAME", help="a name, a short code or a number")
    parser.add_argument("--class", dest="traffic_class", choices=CLASSES, help="the traffic class")
    parser.add_argument("--client-ref", metavar="REF", help="your name for it; repeated, it is the same")
    parser.add_argument("--ttl-ms", type=count, metavar="MS", help="how long it is worth sending")
    parser.add_argument("--send-after", metavar="TIME", help="not before, e.g. 2026-11-24T10:00:00Z")
    parser.add_argument("--callback-url", metavar="URL", help="is told of its outcome")
    parser.add_argument(
        "--wait", nargs="?", type=above_0, const=300.0, metavar="SECONDS", help="wait for the outcome (300)"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what it would cost, send nothing")
    parser.add_argument("--json", action="store_true", help="JSON for programs")
    parser.add_argument(
        "--patience", type=not_below_0, default=PATIENCE_S, metavar="SECONDS",
        help=f"try so long while the daemon is away or takes nothing ({PATIENCE_S:.0f})",
    )  # fmt: skip
    file = parser.add_argument_group("a file of messages; --sender, --class and the like are its defaults")
    file.add_argument("--file", metavar="FILE", help="CSV with a header line, or NDJSON; '-': standard input")
    file.add_argument("--format", choices=("auto", "csv", "ndjson"), default="auto", help="of FILE (auto)")
    file.add_argument("--encoding", default="utf-8", metavar="NAME", help="of FILE, e.g. cp1251 (utf-8)")
    file.add_argument("--delimiter", default="", metavar="C", help="of CSV (the header line shows it)")
    file.add_argument(
        "--map", action="append", default=[], metavar="COLUMN=FIELD", help="a column is this field; repeat it"
    )
    file.add_argument(
        "--default",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="of rows without it; repeat it",
    )
    file.add_argument("--rate", type=above_0, default=0.0, metavar="N", help="messages a second at most")
    file.add_argument("--limit", type=count, metavar="N", help="only so many rows")
    file.add_argument("--results", type=Path, metavar="FILE", help="NDJSON: line, message_id or code")
    file.add_argument("--rejects", type=Path, metavar="FILE", help="CSV: refused rows, and why")
    file.add_argument("--state", type=Path, metavar="FILE", help="the note of how far it came (beside FILE)")
    file.add_argument("--restart", action="store_true", help="as new, from its start: all is sent again")
    file.add_argument("--quiet", action="store_true", help="no progress")
    daemon.add_options(parser)


def run(given: argparse.Namespace) -> int:
    """Run the command."""
    if given.file is not None:
        if given.text is not None or given.to is not None or given.client_ref is not None or given.wait:
            return fail("send", "TEXT, --to, --client-ref and --wait are for one message", Exit.USAGE)
    elif given.to is None:
        return fail("send", "give --to NUMBER, or --file FILE", Exit.USAGE)
    with closing(daemon.connect(given)) as remote:
        return _send_one(given, remote) if given.file is None else _send_file(given, remote)


def _fields(given: argparse.Namespace) -> dict[str, Any]:
    """Return the fields that options name."""
    names = ("sender", "traffic_class", "ttl_ms", "send_after", "callback_url")
    return {name: getattr(given, name) for name in names if getattr(given, name) is not None}


# ---- one message ----


def _send_one(given: argparse.Namespace, remote: Remote) -> int:
    import json
    import secrets

    body: dict[str, Any] = {"to": given.to, "text": _text(given.text), **_fields(given)}
    if given.dry_run:
        from dispatcher.cli.send_check import check_one

        return check_one(remote, body, given.json)
    if given.client_ref is not None:
        body["client_ref"] = given.client_ref
    # A key of its own: where an answer is lost, the repetition is the same message.
    key = {} if given.client_ref is not None else {"Idempotency-Key": secrets.token_hex(16)}
    answer = _posted(remote, json.dumps(body).encode(), key, given.patience)
    if not given.wait:
        print(json.dumps(answer) if given.json else answer["message_id"])
        return Exit.OK
    if not given.json:
        print(answer["message_id"], flush=True)
    found = _awaited(remote, answer["message_id"], given.wait)
    outcome = found["state"] if found.get("finished_at") else None
    print(json.dumps(found) if given.json else outcome or "no outcome yet")
    if outcome is None or outcome == "unknown":
        return Exit.TEMPORARY
    return Exit.OK if outcome == "delivered" else Exit.NO


def _text(given: str | None) -> str:
    if given is not None and given != "-":
        return given
    if sys.stdin.isatty():
        print("dispatcher send: the text, then Ctrl-D:", file=sys.stderr)
    try:
        return sys.stdin.buffer.read().decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise CommandError("the text is not UTF-8", Exit.DATA) from None


def _posted(remote: Remote, body: bytes, key: dict[str, str], patience_s: float) -> dict[str, Any]:
    """Return the answer to one message, asked for until it is there or patience ends."""
    headers = {"Content-Type": daemon.JSON, **key}
    until = time.monotonic() + patience_s
    while True:
        wait_ms = daemon.RETRY_MS
        try:
            answer = remote.ask("POST", "/v1/messages", body, headers)
            if answer.status == 202:
                found: dict[str, Any] = answer.json()
                return found
            trouble = daemon.refusal(answer)
            if not answer.is_temporary:
                raise trouble
            wait_ms = answer.retry_after_ms
        except daemon.UnreachableError as error:
            trouble = error
        if time.monotonic() + wait_ms / 1000 > until:
            raise trouble
        time.sleep(wait_ms / 1000)


def _awaited(remote: Remote, message_id: str, limit_s: float) -> dict[str, Any]:
    """Return a message's status when it has ended, or what it is when the time is over."""
    until, pause_s = time.monotonic() + limit_s, POLL_FIRST_S
    while True:
        answer = remote.ask("GET", f"/v1/messages/{message_id}")
        if answer.status != 200 and not answer.is_temporary:
            raise daemon.refusal(answer)
        found: dict[str, Any] = answer.json()
        if found.get("finished_at") or time.monotonic() + pause_s > until:
            return found
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, POLL_MOST_S)


# ---- a file ----


def _send_file(given: argparse.Namespace, remote: Remote) -> int:
    from dispatcher.cli.send_rows import FIELDS, Shape, pairs

    if len(given.delimiter) > 1:
        return fail("send", "--delimiter is one character", Exit.USAGE)
    names = dict(pairs(given.map, "--map"))
    defaults = {
        **{name: str(value) for name, value in _fields(given).items()},
        **pairs(given.default, "--default"),
    }
    for field in (*names.values(), *defaults):
        if field and field not in FIELDS:
            return fail("send", f"there is no field {field!r}: {', '.join(FIELDS)}", Exit.USAGE)
    shape = Shape(given.format, given.encoding, given.delimiter, names, defaults)
    if given.file == "-":
        return _send_open(given, remote, shape, sys.stdin.buffer, "")
    with Path(given.file).open("rb") as file:
        from dispatcher.cli import send_state

        send_state.lock(file, given.file)
        content = send_state.digest(file) if file.seekable() else ""
        return _send_open(given, remote, shape, file, content)


def _send_open(given: argparse.Namespace, remote: Remote, shape: Shape, file: BinaryIO, content: str) -> int:
    from dispatcher.cli.send_rows import Rows

    rows = Rows(file, given.file, shape)
    if rows.unused and not given.quiet:
        print(f"dispatcher send: columns not used: {', '.join(rows.unused)}", file=sys.stderr)
    if given.dry_run:
        from dispatcher.cli.send_check import check_file

        return check_file(remote, rows, given.limit, given.json)
    return _send_rows(given, remote, shape, rows, file, content)


def _send_rows(
    given: argparse.Namespace, remote: Remote, shape: Shape, rows: Rows, file: BinaryIO, content: str
) -> int:
    import hashlib
    import os

    import msgspec

    from dispatcher.cli import send_state
    from dispatcher.cli.interrupt import Interrupt
    from dispatcher.cli.send_file import Pace, Sending
    from dispatcher.cli.send_progress import Progress, described

    options = hashlib.sha256(msgspec.json.encode(shape)).hexdigest()
    path = given.state or (Path(given.file + send_state.SUFFIX) if content else None)
    state = send_state.begin(path, content, options, given.restart)
    if state.is_complete:
        print("dispatcher send: it was sent before, as a whole; --restart sends it again", file=sys.stderr)
        return _ended(state, given.json)
    interrupt = Interrupt()
    sending = Sending(remote, state, path, interrupt, pace=Pace(given.rate), patience_s=given.patience)
    if given.results is not None:
        sending.results = send_state.Output(given.results, state.results_octets)
    if given.rejects is not None:
        sending.rejects = send_state.Output(given.rejects, state.rejects_octets)
        if not state.rejects_octets:
            from dispatcher.cli.send_file import csv_line

            sending.rejects.write(csv_line(["line", "code", "detail", "path", *rows.columns]))
    size = os.fstat(file.fileno()).st_size if content else 0
    if not given.quiet:
        sending.progress = Progress(sys.stderr, state, file.tell if content else int, size, time.monotonic)
    noted_s = state.at_s
    if path is not None:
        send_state.note(path, state)  # its run has a name before anything is asked
    if state.is_begun and not given.quiet:
        print(f"dispatcher send: goes on behind line {state.line:,}", file=sys.stderr)
    if state.is_begun and time.time() - noted_s > REMEMBERED_S:
        said = "it stopped over a day ago: if it was killed, the daemon may have some rows behind that line"
        print(f"dispatcher send: {said} and know them no more; `dispatcher status` shows", file=sys.stderr)
    try:
        with interrupt.caught():
            sending.run(iter(rows), given.limit)
    except (CommandError, KeyboardInterrupt) as error:
        how = "the same command goes on there" if path else "without --state it cannot go on there"
        said = f"{described(state)}; stopped behind line {state.line:,}: {how}"
        if sending.progress is not None:
            sending.progress.clear()
        fail("send", said, Exit.TEMPORARY)
        if isinstance(error, CommandError):
            raise
        return interrupt.code or Exit.INTERRUPTED
    finally:
        for output in filter(None, (sending.results, sending.rejects)):
            output.close()
    if sending.progress is not None:
        sending.progress.clear()
    for reason in sending.reasons:
        print(f"dispatcher send: {reason}", file=sys.stderr)
    if state.refused + state.postponed > len(sending.reasons) > 0:
        print("dispatcher send: and more; --rejects FILE lists them all", file=sys.stderr)
    return _ended(state, given.json)


def _ended(state: State, as_json: bool) -> Exit:
    """Print what has come of a file, and return how the command ends."""
    import json

    from dispatcher.cli.send_progress import described

    names = ("accepted", "repeated", "refused", "postponed", "line")
    print(json.dumps({name: getattr(state, name) for name in names}) if as_json else described(state))
    return Exit.DATA if state.refused else Exit.TEMPORARY if state.postponed else Exit.OK
