"""What the process says: one JSON object a line, or text on a terminal; nobody waits for whoever reads it.

Laws:

* the loop never waits for a disk or a pipe: lines go through a bounded queue to a thread of its own; what
  finds no room there, or cannot be written, is dropped, counted and told later (F26);
* a full number never stands in a line: ten digits and more are masked (law 11). Texts are not logged, nor are
  the words of an exception that may hold one.

Calls stay as everywhere: ``log.warning("sending to %s is paused", name, extra={"carrier": name})``. The name
of the event is ``extra={"event": ...}``, or made of the words that stand in the call.
"""

import logging
import os
import re
import select
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from queue import Full, Queue
from typing import Any, Final

import msgspec

from dispatcher.errors import DispatcherError
from dispatcher.faces import Log

QUEUE_MAX: Final = 10_000
"""Lines that wait to be written, some 3 MB: more than any second of ours has to say."""
SAFE_UNITS: Final = ("_ms", "_us", "_ns", "_bytes", "_octets")
"""Ends of names whose integers are no telephone numbers, however long."""
SPOKEN: Final = (
    *(DispatcherError, OSError, AttributeError, ImportError, NameError, TypeError),
    *(ArithmeticError, MemoryError, RecursionError, BaseExceptionGroup),
)
"""Exceptions whose words are ours, or name types and files. Others say what they stumbled over: a KeyError
its key, a UnicodeError its text, and that may be what was sent (law 11)."""
UNSPOKEN: Final = "(its words are not told: they may be of a message)"
CHAIN_MAX, GROUP_MAX = 5, 10
"""Exceptions behind an exception, and in a group, that are told of."""
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "event"}
_UUID_OR_NUMBER: Final = re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b|[0-9]{10,}")
_CONTROLS: Final = {code: f"\\x{code:02x}" for code in [*range(0x20), 0x7F]}


class Logs:
    """All logging of a process, from `start` until `stop`.

    Parameters:
        log: the settings; a relative file starts at `folder`.
        descriptor: where lines go that go to no file.
    """

    def __init__(
        self, log: Log, folder: Path = Path(), *, descriptor: int = 2, queue_max: int = QUEUE_MAX
    ) -> None:
        self.dropped = 0
        """Lines that nobody will read."""
        self._log = log
        self._folder = folder
        self._standard = descriptor
        self._file: int | None = None
        self._next: list[int | None] = []
        """At most one: what to write to from the next line on. Only the thread closes what it writes to."""
        self._is_old = False
        self._told = 0
        self._queue: Queue[bytes | None] = Queue(queue_max)
        self._is_stopping = False
        self._handler = _Handler(self)
        self._formatter: logging.Formatter
        self._thread = threading.Thread(target=self._run, name="log writer", daemon=True)
        self._former_hook = threading.excepthook

    def start(self) -> None:
        """Take over the root logger. OSError: its file cannot be opened."""
        self._open(self._log)
        root = logging.getLogger()
        root.addHandler(self._handler)
        logging.getLogger("aiohttp.access").disabled = True  # events say what happened to each message
        logging.captureWarnings(True)
        threading.excepthook = _thread_died
        self._thread.start()

    def change(self, log: Log) -> None:
        """Take up other settings. OSError: its file cannot be opened, and nothing is changed."""
        self._open(log)

    def reopen(self) -> None:
        """Open the file anew before the next line: the old one was renamed."""
        self._is_old = True

    def stop(self, limit_s: float = 2.0) -> None:
        """Write what waits, for so long at most, and let go of the root logger."""
        logging.getLogger().removeHandler(self._handler)
        threading.excepthook = self._former_hook
        self._is_stopping = True
        with suppress(Full):
            self._queue.put_nowait(None)
        if self._thread.ident is not None:
            self._thread.join(limit_s)

    def take(self, record: logging.LogRecord) -> None:
        """Make a line of a record and hand it to the thread."""
        line = self._formatter.format(record).encode("utf-8", "backslashreplace") + b"\n"
        try:
            self._queue.put_nowait(line)
        except Full:
            self.dropped += 1

    def _open(self, log: Log) -> None:
        self._next = [None if log.file is None else self._opened(log.file)]
        self._is_old = False
        self._log = log
        self._formatter = JsonFormatter() if not self._is_text(log) else TextFormatter()
        logging.getLogger().setLevel(log.level.upper())

    def _opened(self, name: str) -> int:
        return os.open(self._folder / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def _is_text(self, log: Log) -> bool:
        if log.format == "auto":
            return log.file is None and os.isatty(self._standard)
        return log.format == "text"

    # ---- in the thread ----

    def _run(self) -> None:
        while not (self._is_stopping and self._queue.empty()):
            line = self._queue.get()
            if line is None:
                return
            if self._is_old or self._next:
                self._renew()
            if not self._write(line):
                self.dropped += 1
            elif (missing := self.dropped - self._told) and self._write(self._apology(missing)):
                self._told += missing

    def _renew(self) -> None:
        if self._is_old and self._log.file is not None:
            with suppress(OSError):  # better into the old one than nowhere
                self._next = [self._opened(self._log.file)]
        self._is_old = False
        if self._next:
            former, self._file = self._file, self._next.pop()
            if former is not None:
                os.close(former)

    def _write(self, line: bytes) -> bool:
        rest = memoryview(line)
        while rest:
            descriptor = self._standard if self._file is None else self._file
            try:
                rest = rest[os.write(descriptor, rest) :]
            except BlockingIOError:
                select.select([], [descriptor], [])
            except OSError:
                return False
        return True

    def _apology(self, missing: int) -> bytes:
        record = logging.makeLogRecord(
            {
                "name": "dispatcher.logs",
                "levelno": logging.ERROR,
                "levelname": "ERROR",
                "msg": "%d lines were dropped: nobody took them",
                "args": (missing,),
                "event": "log_lines_dropped",
                "lines": missing,
            }
        )
        return self._formatter.format(record).encode() + b"\n"


class _Handler(logging.Handler):
    def __init__(self, logs: Logs) -> None:
        super().__init__()
        self._logs = logs

    def emit(self, record: logging.LogRecord) -> None:
        """Never raise into whoever logs."""
        try:
            self._logs.take(record)
        except Exception:
            self._logs.dropped += 1


def _thread_died(died: threading.ExceptHookArgs) -> None:
    if died.exc_value is not None:
        name = died.thread.name if died.thread is not None else "of no name"
        logging.getLogger("dispatcher.logs").error(
            "a thread has ended with an exception: %s",
            name,
            exc_info=(died.exc_type, died.exc_value, died.exc_traceback),
            extra={"event": "thread_died"},
        )


# ---- one record -------------------------------------------------------------------------------------------


class JsonFormatter(logging.Formatter):
    """Makes one JSON object: ts, level, event, msg, logger, what `extra` holds, and a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        line: dict[str, Any] = {
            "ts": _time(record, "T") + "Z",
            "level": record.levelname.lower(),
            "event": event_of(record),
            "msg": mask(_message(record)),
            "logger": record.name,
        }
        for name, value in _extra(record):
            line.setdefault(name, value)
        if trace := _traceback(record):
            line["traceback"] = trace
        return msgspec.json.encode(line).decode()


class TextFormatter(logging.Formatter):
    """Makes a line for a person; a traceback takes more lines."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        words = [_time(record, " "), f"{record.levelname:<7}", mask(_message(record)).translate(_CONTROLS)]
        words += [f"{name}={str(value).translate(_CONTROLS)}" for name, value in _extra(record)]
        return "\n".join([" ".join(words), *_traceback(record).splitlines()])


def mask(text: str) -> str:
    """Return the text with what may be a telephone number as 7916***4567; the ids of messages stay."""
    return _UUID_OR_NUMBER.sub(_masked, text)


def _masked(found: re.Match[str]) -> str:
    return found[0] if "-" in found[0] else f"{found[0][:4]}***{found[0][-4:]}"


def event_of(record: logging.LogRecord) -> str:
    """Return the name of what happened: the call's own, or the words of its message, nothing filled in."""
    named: str | None = getattr(record, "event", None)
    return named or _slug(record.msg if isinstance(record.msg, str) else record.name)


@lru_cache(1024)
def _slug(words: str) -> str:
    constant = re.sub(r"%[-#0 +]*\d*(?:\.\d+)?[a-z%]", " ", words.partition("\n")[0].lower())
    return re.sub(r"[^a-z]+", "_", constant).strip("_")[:48] or "log"


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):
        return f"{record.msg} (with arguments that do not fit)"


def _time(record: logging.LogRecord, between: str) -> str:
    moment = time.strftime(f"%Y-%m-%d{between}%H:%M:%S", time.gmtime(record.created))
    return f"{moment}.{int(record.created * 1000) % 1000:03d}"


def _extra(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    for name, value in vars(record).items():
        if name in _STANDARD:
            continue
        if (
            value is None
            or isinstance(value, bool | float)
            or (type(value) is int and name.endswith(SAFE_UNITS))
        ):
            yield name, value
        elif isinstance(value, int):
            yield name, value if abs(value) < 10**9 else mask(str(value))
        else:
            yield name, mask(str(value))


def _traceback(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    return "" if error is None else mask("".join(_told(error, CHAIN_MAX)).rstrip("\n"))


def _told(error: BaseException, most: int) -> Iterator[str]:
    """Yield where an exception comes from, and its words if they are of a kind that tells no values."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and most:
        yield from _told(before, most - 1)
        yield "\nand with that:\n\n"
    yield from traceback.format_tb(error.__traceback__)
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    yield f"{name}: {error if isinstance(error, SPOKEN) else UNSPOKEN}\n"
    for each in error.exceptions[:GROUP_MAX] if isinstance(error, BaseExceptionGroup) and most else ():
        yield from _told(each, most - 1)
