"""The peer of a conversation, what it says, and the handles of what we say: for streams.py."""

import struct
from collections.abc import Sequence
from random import Random
from typing import Final

from dispatcher.smpp.constants import RESPONSE_BIT, Command
from tests.fuzz.codec import seeds
from tests.fuzz.desk import need
from tests.fuzz.mangle import LIES, below, mangled, noise, random_seed

HEADER: Final = struct.Struct(">4I")
ASKED: Final = (Command.QUERY_SM, Command.ENQUIRE_LINK, Command.CANCEL_SM, Command.BIND_TRANSCEIVER)
"""What we ask, beside what we push."""
BIND_REQUEST: Final = HEADER.pack(23, Command.BIND_TRANSCEIVER, 0, 1) + b"\0\0\0\x34\0\0\0"


class Handle:
    """What is pushed with a frame: an object of its own, whose references can be counted."""

    __slots__ = ("end", "fate", "since_ns")

    def __init__(self, now_ns: int) -> None:
        self.fate = ""
        self.since_ns = now_ns
        self.end = -1
        """Where in the stream its PDU ends; -1: not yet written."""

    def meet(self, fate: str) -> None:
        """Come back: for the first time, or late after a giving up."""
        need(self.fate == ("given up" if fate == "late" else ""), "a handle comes back once", self.fate, fate)
        self.fate = fate


def frames_of(dice: Random, command_id: int) -> tuple[bytes, ...]:
    """Return frames to push."""
    return tuple(random_seed(dice, command_id).octets for _ in range(12))


FRAMES: Final = {
    command_id: frames_of(Random(command_id), command_id)
    for command_id in (Command.SUBMIT_SM, Command.DELIVER_SM)
}


def utterance(dice: Random, numbers: Sequence[int], pushed_id: int) -> bytes:
    """Return one PDU, or something in its place."""
    kind = dice.random()
    number = (
        numbers[below(dice, len(numbers))]
        if numbers and dice.random() < 0.9
        else below(dice, 1 << 32 if dice.random() < 0.2 else 40)
    )
    if kind < 0.45:
        body = (b"", b"\0", b"id\0", b"abc", b"x" * 70 + b"\0", b"\0\0", b"a\0\4\x27\0\1\2")[below(dice, 7)]
        status = 0 if dice.random() < 0.7 else below(dice, 256)
        return HEADER.pack(16 + len(body), pushed_id | RESPONSE_BIT, status, number) + body
    if kind < 0.52:
        return HEADER.pack(16, Command.GENERIC_NACK, below(dice, 4), number)
    if kind < 0.6:
        return HEADER.pack(16, dice.choice(ASKED) | RESPONSE_BIT, below(dice, 2), number)
    if kind < 0.65:
        return HEADER.pack(16, Command.ENQUIRE_LINK, 0, number)
    if kind < 0.68:
        return HEADER.pack(17, Command.BIND_TRANSCEIVER_RESP, 0, number) + b"\0"
    if kind < 0.69 and dice.random() < 0.2:
        return LIES[below(dice, len(LIES))].to_bytes(4, "big")
    if kind < 0.693:
        return HEADER.pack(16, Command.UNBIND, 0, number)
    if kind < 0.78:
        return noise(dice) if dice.random() < 0.05 else mangled(dice, seeds(), 1.0)
    incoming = Command.DELIVER_SM if pushed_id == Command.SUBMIT_SM else Command.SUBMIT_SM
    octets = bytearray(FRAMES[incoming][below(dice, 12)])
    if kind < 0.83:
        octets[16 + below(dice, len(octets) - 16)] = below(dice, 256)
    return bytes(octets)
