"""What is sent in the demo: who, what, how fast. Every message has a token, by which all ledgers name it.

The first client sends a campaign's day, m0, m1 ...: NDJSON batches, so many segments a second whether or not
they are answered (open loop). The second one asks for one-time codes, c0, c1 ..., one request each.
"""

import os
from typing import Any, Final

import msgspec

SEGMENTS: Final = int(os.environ.get("DEMO_SEGMENTS", "400000"))
RATE: Final = 20_000
"""Segments a second."""
PATTERN: Final = ("authorization",) * 4 + ("transactional",) * 7 + ("service",) * 4 + ("marketing",) * 5
"""Of every twenty messages; those of marketing have two segments, so that twenty have 25."""
MESSAGES: Final = SEGMENTS * len(PATTERN) // 25
BATCH: Final = 400
"""Messages of one request: 500 segments, every 25 ms."""
BATCH_S: Final = BATCH * 25 / len(PATTERN) / RATE
CODE_S: Final = 0.02
"""Between two codes of the second client."""
BINDS: Final = 2
WINDOW: Final = 100
_TEXTS: Final = {
    "authorization": "Your one-time code is 482913. Do not tell it to anyone.",
    "transactional": "Card *4821: 1,249.90 paid. Available: 18,503.17.",
    "service": "Your card is ready. The branch is open from 9 to 20.",
    "marketing": "Gold cards are free for the first year, with 5% cashback on everything that you buy, and "
    "50 for every friend who joins. Tell them the code FRIDAY before 30.11, terms at example.com/bf",
}

SIMULATOR: Final = """\
ledger = "tokens"
times = true
[accounts.north]  # throttles what is above its limit
tps = 6000
latency_ms = 2
receipts = { delay_ms = 300 }
[accounts.south]  # answers in hexadecimal, reports in decimal, late
latency_ms = 5
receipts = { delay_ms = 2500, states = { DELIVRD = 0.98, UNDELIV = 0.02 } }
message_id = { notation = "HEX", receipt_notation = "decimal" }
[accounts.east]  # cuts the line now and then
latency_ms = 3
receipts = { delay_ms = 500 }
mischief = [{ kind = "reset", share = 0.00002 }]
"""
CARRIERS: Final = ("north", "south", "east")
_DAEMON: Final = """\
store = "store"
currency = "EUR"
[http]
port = {http_port}
[admin]
port = {admin_port}
[process]
drain_ms = 20000
[classes]  # seconds instead of the half minute that a late receipt is waited for
transactional = {{ grace_ms = 2000 }}
service = {{ grace_ms = 2000 }}
{carriers}
[[routes]]
carriers = ["north", "south", "east"]
weights = [3, 4, 3]
"""
_CARRIER: Final = """\
[carriers.{name}]
host = "127.0.0.1"
port = {port}
system_id = "{name}"
transceivers = {binds}
window = {window}
tps = {tps}
profile = "{profile}"
receipt_timer_ms = 15000
price = {price}
"""


def daemon_config(smsc_port: int, http_port: int, admin_port: int) -> str:
    """Return the daemon's configuration file."""
    rows = (
        ("north", 7_000, "smpp34", "0.011"),  # the contract said 7,000 once
        ("south", 20_000, "hex_ids", "0.012"),
        ("east", 20_000, "smpp34", "0.010"),
    )
    carriers = "".join(
        _CARRIER.format(
            name=name, port=smsc_port, binds=BINDS, window=WINDOW, tps=tps, profile=profile, price=price
        )
        for name, tps, profile, price in rows
    )
    return _DAEMON.format(carriers=carriers, http_port=http_port, admin_port=admin_port)


def message(number: int) -> dict[str, Any]:
    """Return a message of the first client; its client_ref makes a repetition the same message."""
    name = PATTERN[number % len(PATTERN)]
    token = f"m{number}"
    return {
        "to": f"+49170{number:07d}",
        "text": f"{_TEXTS[name]} {token}",
        "sender": "Bank",
        "traffic_class": name,
        "client_ref": token,
    }


def code(number: int) -> dict[str, Any]:
    """Return a message of the second client."""
    return {
        "to": f"+49171{number:07d}",
        "text": f"{_TEXTS['authorization']} c{number}",
        "sender": "Bank",
        "traffic_class": "authorization",
        "client_ref": f"c{number}",
    }


def number_of(token: str) -> str:
    """Return the digits of the number that a token's message goes to."""
    return f"4917{'0' if token[0] == 'm' else '1'}{int(token[1:]):07d}"


class Answers(msgspec.Struct):
    """What one client knows in the end."""

    answered: int = 0
    """Messages that were accepted: their answer came."""
    repeated: int = 0
    """Of these, such as had been accepted before, their answer lost."""
    asked_ms: list[int] = []
    """Of each code: when it was meant to be sent, in milliseconds from 1970."""
    answer_ms: list[float] = []
    """Of each code: from that time to its answer."""
    outage: list[tuple[int, int]] = []
    """From the first failed request to the next answer."""
