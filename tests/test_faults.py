"""Every fault that the engine must stand is named by a test that shows it: coverage by number cannot rot."""

import ast
import re
from pathlib import Path

import pytest

from tests.test_architecture import ROOT

FAULTS: dict[int, str] = {
    6: "killed after a webhook's answer",
    7: "SIGTERM under load",
    8: "the process is stopped and goes on, as a VM's pause does",
    12: "the clock is put",
    13: "no more files may be opened",
    14: "the event loop stands",
    15: "two daemons on one store",
    18: "seed, locale, time zone, folders that are not there",
    20: "the disk runs low",
    21: "fsync fails",
    25: "the store is taken away",
    26: "a log that nobody reads",
    29: "reset in mid-PDU",
    30: "half-open TCP",
    31: "window stuck",
    32: "answers after the timeout",
    33: "an octet a second; a slow line",
    34: "the SMSC stops reading",
    35: "enquire_link unanswered",
    36: "enquire_link flood",
    37: "the SMSC unbinds",
    38: "connect refused, SYN dropped",
    39: "wrong credentials",
    40: "already bound",
    41: "bind unanswered, or answered with another number",
    42: "flapping",
    43: "binds die, the account's rate stays",
    44: "away for an hour, and back",
    45: "TLS refused, stalled, never plain text",
    46: "requests that have no business here",
    47: "another interface_version",
    48: "responses in any order",
    49: "duplicate responses",
    50: "responses to unknown numbers",
    51: "responses of the wrong type",
    52: "generic_nack with our number",
    53: "generic_nack with number 0",
    54: "a truncated PDU, then silence",
    55: "illegal and false command_length",
    56: "garbage, a banner, TLS on a plain port",
    57: "broken fields in a sound frame",
    58: "unknown TLV, command, status",
    59: "odd message ids",
    60: "an id given twice",
    61: "the sequence wraps",
    62: "random octets",
    63: "a throttling storm",
    64: "one full mailbox",
    65: "a carrier that slows down",
    67: "a retry storm",
    71: "more comes than the store takes",
    72: "a runaway client",
    79: "a flood of receipts while it sends",
    90: "slow headers, slow bodies, too many connections",
    91: "giant, deep and broken JSON",
    92: "a client leaves before its answer; parallel replays",
    93: "a webhook that is slow, broken, refused, hostile",
    94: "events are asked for again",
    95: "brokers away, topics that break the promise",
    96: "killed, or joined by another, with records polled and not committed",
    97: "poison records, an unknown schema",
    98: "the configuration changes while it runs",
}
"""The process, connection and session, PDUs, back pressure, HTTP."""

UNIT_IS_ENOUGH = {62}
"""Faults of pure code; all others are shown over real sockets."""


def named(folder: str) -> set[int]:
    """Return the numbers that the docstrings of a folder's tests name."""
    found: set[int] = set()
    for path in (ROOT / "tests" / folder).rglob("test_*.py"):
        for node in ast.walk(ast.parse(Path(path).read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
                found |= {int(number) for number in re.findall(r"\bF(\d\d)\b", ast.get_docstring(node) or "")}
    return found


@pytest.mark.parametrize("number", FAULTS)
def test_each_fault_has_its_test(number: int) -> None:
    """Its number stands in the docstring of a test, over sockets but for the few that need none."""
    over_sockets = named("integration") | named("kafka")
    assert number in (named(".") if number in UNIT_IS_ENOUGH else over_sockets), FAULTS[number]


def test_a_fault_without_a_test_is_seen() -> None:
    """A number that nobody named is not found: this check can fail."""
    assert 28 not in named("integration")
    assert set(FAULTS) >= set(range(29, 66))
