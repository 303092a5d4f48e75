"""Misbehaviour, one small function a kind, in a table.

Law: mischief happens to finished frames on their way to the wire. A function gets one frame and says what is
to be written instead: octets, and what is to become of the connection behind them. It knows nothing of the
ledger, which looks at the octets that were really written. Which frames are hit is decided when the frame is
made, from the account's seed, so that a run can be repeated.

=================  ==========================================================================================
cut                write the frame up to `at_byte`, then RST
close              the same, then FIN
truncate           the same, then silence: the rest never comes, nor does anything else
drop               never write it
stall              write it, and answer nothing more on this connection
stop_reading       write it, then let the TCP window close
half_open          write it, then neither read nor write, and never close
reset, unbind      write it, then RST; then unbind
duplicate          write it twice
contradict         write it, then the same sequence_number again with `status` (0: another message_id)
reorder            hold it until `span` are held, then write them all, shuffled
unknown_sequence   precede it with a copy whose sequence_number nobody used
wrong_sequence     write it with a sequence_number that nobody used: the real one goes unanswered
wrong_type         write it as deliver_sm_resp (or with `command`)
status             write it with another `status`
nack               write a generic_nack with its sequence_number and `status` instead
nack_zero          write a generic_nack with sequence_number 0 and `status` 0 instead
wrong_length       write it with command_length `length`: absolute or "+3"
body               replace its body by `octets`
garbage            precede it with `octets`, or with 64 random ones
banner             precede it with what a web server says
=================  ==========================================================================================
"""

import difflib
import random
import struct
from collections.abc import Callable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final, TypeAlias

from dispatcher.simulator.behaviour import Rule, status_code
from dispatcher.smpp.constants import Command


class Act(Enum):
    """What becomes of the connection, in its place between octets."""

    RESET = "reset"
    CLOSE = "close"
    FREEZE = "freeze"
    HALF_OPEN = "half_open"
    STOP_READING = "stop_reading"
    STALL = "stall"
    UNBIND = "unbind"
    HOLD = "hold"
    """Keep the frame back, to be reordered with `Rule.span` others."""


Steps: TypeAlias = list[bytes | Act]
Function: TypeAlias = Callable[[bytes, Rule, random.Random], Steps]

UNUSED_SEQUENCE: Final = 0x40000000
"""Added to a sequence_number, it is one that no test client comes to."""

BANNER: Final = b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nConnection: close\r\n\r\n"


def _cut_at(frame: bytes, rule: Rule, rng: random.Random) -> bytes:
    """Never the whole frame: at least its last octet is missing."""
    at = rng.randrange(len(frame)) if rule.at_byte < 0 else rule.at_byte
    return frame[: min(at, len(frame) - 1)]


def _header(
    frame: bytes, *, length: int = -1, command: int = -1, status: int = -1, sequence: int = -1
) -> bytes:
    old = struct.unpack_from(">IIII", frame)
    new = [
        now if now >= 0 else before
        for now, before in zip((length, command, status, sequence), old, strict=True)
    ]
    return struct.pack(">IIII", *new) + frame[16:]


def _sequence(frame: bytes) -> int:
    return int.from_bytes(frame[12:16], "big")


def _unused(frame: bytes) -> bytes:
    return _header(frame, sequence=(_sequence(frame) + UNUSED_SEQUENCE) & 0x7FFFFFFF)


def _nack(sequence: int, status: int) -> bytes:
    return struct.pack(">IIII", 16, Command.GENERIC_NACK, status, sequence)


def _contradict(frame: bytes, rule: Rule, _: random.Random) -> Steps:
    if status := status_code(rule.status):
        return [
            frame,
            struct.pack(">IIII", 16, *struct.unpack_from(">I", frame, 4), status, _sequence(frame)),
        ]
    return [frame, frame[:16] + frame[16:-1][::-1] + b"\0"]


def _wrong_length(frame: bytes, rule: Rule, _: random.Random) -> Steps:
    relative = rule.length.startswith(("+", "-"))
    length = int(rule.length, 0) + (len(frame) if relative else 0)
    return [_header(frame, length=length & 0xFFFFFFFF)]


def _body(frame: bytes, rule: Rule, _: random.Random) -> Steps:
    changed = frame[:16] + bytes.fromhex(rule.octets)
    return [_header(changed, length=len(changed))]


MISCHIEF: Final[Mapping[str, Function]] = MappingProxyType(
    {
        "cut": lambda frame, rule, rng: [_cut_at(frame, rule, rng), Act.RESET],
        "close": lambda frame, rule, rng: [_cut_at(frame, rule, rng), Act.CLOSE],
        "truncate": lambda frame, rule, rng: [_cut_at(frame, rule, rng), Act.FREEZE],
        "drop": lambda frame, rule, rng: [],
        "stall": lambda frame, rule, rng: [frame, Act.STALL],
        "stop_reading": lambda frame, rule, rng: [frame, Act.STOP_READING],
        "half_open": lambda frame, rule, rng: [frame, Act.HALF_OPEN],
        "reset": lambda frame, rule, rng: [frame, Act.RESET],
        "unbind": lambda frame, rule, rng: [frame, Act.UNBIND],
        "duplicate": lambda frame, rule, rng: [frame, frame],
        "contradict": _contradict,
        "reorder": lambda frame, rule, rng: [Act.HOLD],
        "unknown_sequence": lambda frame, rule, rng: [_unused(frame), frame],
        "wrong_sequence": lambda frame, rule, rng: [_unused(frame)],
        "wrong_type": lambda frame, rule, rng: [
            _header(frame, command=rule.command or Command.DELIVER_SM_RESP)
        ],
        "status": lambda frame, rule, rng: [_header(frame, status=status_code(rule.status))],
        "nack": lambda frame, rule, rng: [_nack(_sequence(frame), status_code(rule.status))],
        "nack_zero": lambda frame, rule, rng: [_nack(0, 0)],
        "wrong_length": _wrong_length,
        "body": _body,
        "garbage": lambda frame, rule, rng: [bytes.fromhex(rule.octets) or rng.randbytes(64), frame],
        "banner": lambda frame, rule, rng: [BANNER, frame],
    }
)


def check_rule(rule: Rule) -> None:
    """Raise ValueError for a kind that is not in the table."""
    if rule.kind not in MISCHIEF:
        close = difflib.get_close_matches(rule.kind, MISCHIEF, 1, 0.5)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(MISCHIEF)}"
        raise ValueError(f"unknown kind {rule.kind!r}; {hint}")


class Rules:
    """The rules of an account and how often each has happened."""

    def __init__(self, rules: tuple[Rule, ...], rng: random.Random) -> None:
        self._rng = rng
        self._left: dict[str, list[list[int]]] = {}
        self._rules: dict[str, list[Rule]] = {}
        for rule in rules:
            self._rules.setdefault(rule.on, []).append(rule)
            self._left.setdefault(rule.on, []).append([rule.after, rule.times or -1])

    def concern(self, what: str) -> bool:
        """Whether any rule is about responses (receipts, binds)."""
        return what in self._rules

    def draw(self, what: str) -> tuple[Rule, ...]:
        """Return the rules that hit the next response (receipt, bind), in the order of the file."""
        hit = []
        for rule, left in zip(self._rules.get(what, ()), self._left.get(what, ()), strict=True):
            if left[0] > 0:
                left[0] -= 1
            elif left[1] != 0 and (rule.share >= 1 or self._rng.random() < rule.share):
                left[1] -= 1
                hit.append(rule)
        return tuple(hit)


def apply(frame: bytes, rules: tuple[Rule, ...], rng: random.Random) -> Steps:
    """Let each rule have its way with every octet string that the ones before it left."""
    steps: Steps = [frame]
    for rule in rules:
        function = MISCHIEF[rule.kind]
        steps = [
            after
            for step in steps
            for after in (
                function(step, rule, rng) if isinstance(step, bytes) and len(step) >= 16 else [step]
            )
        ]
    return steps
