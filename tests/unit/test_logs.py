"""What the process says: the line's form, masks, a blocked reader, a full disk, files that are renamed."""

import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dispatcher.errors import ConfigError
from dispatcher.faces import Log
from dispatcher.logs import JsonFormatter, Logs, TextFormatter, event_of, mask

log = logging.getLogger("dispatcher.test")


def record(message: str, *arguments: object, **extra: Any) -> logging.LogRecord:
    """Return a record as a call would make it, at a known moment."""
    made = logging.getLogger("dispatcher.carrier").makeRecord(
        "dispatcher.carrier", logging.WARNING, "lane.py", 1, message, arguments, None, extra=extra or None
    )
    made.created = 1_700_000_000.5
    return made


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Leave logging as it was."""
    root = logging.getLogger()
    level, former = root.level, logging.getLogger("aiohttp.access").disabled
    yield
    root.setLevel(level)
    logging.captureWarnings(False)
    logging.getLogger("aiohttp.access").disabled = former


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition."""
    pause = threading.Event()
    for _ in range(2_000):
        if condition():
            return
        pause.wait(0.005)
    raise AssertionError(f"never: {what}")


def test_a_line_is_one_object() -> None:
    """Time in UTC, level, event, message, logger, and what the call gave beside it."""
    made = json.loads(JsonFormatter().format(record("sending to %s is paused", "mts", carrier="mts", ms=5)))
    assert made == {
        "ts": "2023-11-14T22:13:20.500Z",
        "level": "warning",
        "event": "sending_to_is_paused",
        "msg": "sending to mts is paused",
        "logger": "dispatcher.carrier",
        "carrier": "mts",
        "ms": 5,
    }


def test_text_is_for_a_person_and_keeps_to_its_line() -> None:
    """What a peer sent cannot begin a line of its own, nor colour the terminal."""
    line = TextFormatter().format(record("a receipt in unknown words", stat="x\n2023 ERROR \x1b[31m"))
    assert line == (
        "2023-11-14 22:13:20.500 WARNING a receipt in unknown words stat=x\\x0a2023 ERROR \\x1b[31m"
    )


def test_an_exception_is_one_line_with_its_traceback() -> None:
    """As a field; numbers in its message are masked, too."""
    try:
        raise OSError("79161234567 is odd")
    except OSError as error:
        made = record("it failed")
        made.exc_info = (type(error), error, error.__traceback__)
    line = JsonFormatter().format(made)
    assert "\n" not in line
    assert "OSError: 7916***4567 is odd" in json.loads(line)["traceback"]
    assert "OSError: 7916***4567 is odd" in TextFormatter().format(made)


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_an_exception_does_not_say_what_was_sent(formatter: logging.Formatter) -> None:
    """Law 11: not by its own words, nor by those of what led to it, nor of what it is a group of."""
    secret = "Your code is 4711"
    try:
        try:
            secret.encode("ascii") + "\u20ac".join([secret, ""]).encode("ascii")
        except UnicodeError:
            try:
                raise KeyError(secret)
            except KeyError as error:
                raise ExceptionGroup(
                    "two", [ValueError(secret), ConfigError("store: it is missing")]
                ) from error
    except ExceptionGroup as group:
        made = record("it failed")
        made.exc_info = (type(group), group, group.__traceback__)
    said = formatter.format(made)
    assert "4711" not in said
    for told in (
        "UnicodeEncodeError: (its",
        "KeyError: (its",
        "two (2 sub-exceptions)",
        "store: it is missing",
    ):
        assert told in said
    assert "test_logs.py" in said


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("to 79161234567", "to 7916***4567"),
        ("+491701234567,9161234567", "+4917***4567,9161***4567"),
        ("tel:79161234567x", "tel:7916***4567x"),
        ("after 123456789 octets", "after 123456789 octets"),
        ("0192f1aa-7c1e-7abc-8def-123456789012 and 79161234567", None),
    ],
)
def test_numbers_are_masked(text: str, masked: str | None) -> None:
    """Ten digits and more; the ids of messages, which may end in digits, stay what they are."""
    if masked is None:
        masked = "0192f1aa-7c1e-7abc-8def-123456789012 and 7916***4567"
    assert mask(text) == masked


def test_numbers_are_masked_wherever_they_come_in() -> None:
    """As arguments, as fields, as integers, inside of values; times and sizes stay."""
    number = 79161234567
    made = record(
        "%d %s",
        number,
        str(number),
        a=number,
        b=[str(number)],
        at_ms=1_700_000_000_000,
        n=12,
        c={"x": number},
    )
    for formatter in (JsonFormatter(), TextFormatter()):
        line = formatter.format(made)
        assert str(number) not in line
        assert line.count("7916***4567") == 5
        assert "1700000000000" in line


def test_events_have_constant_names() -> None:
    """The call's own, or the words without what is filled in; of what others say, no digit."""
    assert event_of(record("x %s", 1, event="bind_lost")) == "bind_lost"
    assert event_of(record("%d of %5.1f%% in %s: over", 1, 2.0, "x")) == "of_in_over"
    assert event_of(record("Task 79161234567 was\ndestroyed")) == "task_was"
    assert event_of(record("%s", "x")) == "log"


def test_a_call_with_wrong_arguments_is_still_told() -> None:
    """A slip in a log call costs neither the line nor the caller."""
    assert "do not fit" in JsonFormatter().format(record("%d", "x"))


# ---- the thread ----


def test_lines_come_in_order(tmp_path: Path) -> None:
    """What was said before the end is written by the end; the level holds."""
    logs = Logs(Log(file="log", level="warning"), tmp_path)
    logs.start()
    for number in range(500):
        log.warning("line %d", number)
        log.info("not this")
    logs.stop()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["msg"] for line in lines] == [f"line {number}" for number in range(500)]
    assert logs.dropped == 0


def test_a_blocked_pipe_blocks_nobody() -> None:
    """F26: lines are dropped and counted, and that is told once the reader reads again."""
    read_end, write_end = os.pipe()
    logs = Logs(Log(), descriptor=write_end, queue_max=100)
    logs.start()
    try:
        for _ in range(2_000):
            log.warning("x" * 1_000)  # 2 MB; a pipe takes 64 KB
        assert logs.dropped >= 1_000
        with os.fdopen(read_end) as reader:
            told = 0
            while told < logs.dropped:
                line = json.loads(reader.readline())
                if line["event"] == "log_lines_dropped":
                    assert line["level"] == "error"
                    told += line["lines"]
            assert told == logs.dropped
    finally:
        logs.stop()
        os.close(write_end)


def test_stopping_does_not_wait_for_a_blocked_pipe() -> None:
    """F26: the process can always end."""
    read_end, write_end = os.pipe()
    logs = Logs(Log(), descriptor=write_end, queue_max=100)
    logs.start()
    for _ in range(200):
        log.warning("x" * 1_000)
    logs.stop(0.01)
    os.set_blocking(read_end, False)
    assert not logging.getLogger().handlers or logs._handler not in logging.getLogger().handlers
    os.read(read_end, 1 << 20)
    os.close(read_end)


def test_a_full_disk_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    """F26: what cannot be written is counted, and told when there is room again."""
    if not os.access("/dev/full", os.W_OK):
        pytest.skip("no /dev/full")
    (tmp_path / "log").symlink_to("/dev/full")
    logs = Logs(Log(file="log"), tmp_path)
    logs.start()
    log.warning("one")
    log.warning("two")
    until(lambda: logs.dropped == 2, "two dropped")
    (tmp_path / "log").unlink()
    logs.reopen()
    log.warning("three")
    logs.stop()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["msg"] for line in lines] == ["three", "2 lines were dropped: nobody took them"]


def test_a_renamed_file_is_opened_anew(tmp_path: Path) -> None:
    """As logrotate does it: rename, then SIGUSR2."""
    logs = Logs(Log(file="log"), tmp_path)
    logs.start()
    log.warning("before")
    until(lambda: "before" in (tmp_path / "log").read_text(), "before")
    (tmp_path / "log").rename(tmp_path / "log.1")
    logs.reopen()
    log.warning("after")
    logs.stop()
    assert re.findall("before|after", (tmp_path / "log.1").read_text()) == ["before", "before"]
    assert "after" in (tmp_path / "log").read_text()


def test_settings_change_while_it_runs(tmp_path: Path) -> None:
    """Another file, level and form from the next line on; a file that cannot be opened changes nothing."""
    logs = Logs(Log(file="a"), tmp_path)
    logs.start()
    log.warning("one")
    until(lambda: "one" in (tmp_path / "a").read_text(), "one")
    logs.change(Log(file="b", format="text", level="error"))
    log.warning("two")
    log.error("three")
    with pytest.raises(OSError, match="No such file"):
        logs.change(Log(file="none/c"))
    log.error("four")
    logs.stop()
    assert "three" not in (tmp_path / "a").read_text()
    lines = (tmp_path / "b").read_text().splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == ["three", "four"]


def test_a_thread_that_dies_says_so(tmp_path: Path) -> None:
    """Not on standard error as it comes, but as a line like any other."""
    logs = Logs(Log(file="log"), tmp_path)
    logs.start()
    thread = threading.Thread(target=lambda: 1 / 0, name="worker")
    thread.start()
    thread.join()
    logs.stop()
    line = json.loads((tmp_path / "log").read_text())
    assert line["event"] == "thread_died"
    assert "ZeroDivisionError" in line["traceback"]
