"""Where frames go to the wire alone, with all that is to happen to them; and what the ledger is told of it.

Law: the ledger is told what the written octets say, not what was meant.
"""

import random
import struct
import time
from collections.abc import Callable
from typing import Final, TypeAlias

from dispatcher._ext.smsc import Receipt
from dispatcher.simulator.account import Account
from dispatcher.simulator.agenda import Agenda
from dispatcher.simulator.behaviour import NANOSECONDS_PER_MS, Rule
from dispatcher.simulator.ledger import Copy
from dispatcher.simulator.mischief import Act, apply
from dispatcher.simulator.wire import Wire
from dispatcher.smpp.constants import Command

Told: TypeAlias = Callable[[bytes], None]
"""Called with each octet string that was written in the place of a frame."""

HELD_MS: Final = 50
"""Frames that wait to be reordered go out after so long, whether or not enough came together."""


class Stage:
    """One connection's place for misbehaviour."""

    def __init__(self, wire: Wire, agenda: Agenda, act: Callable[[Act], None]) -> None:
        self._wire = wire
        self._agenda = agenda
        self._act = act
        self._held: list[tuple[bytes, Told]] = []
        self.rng = random.Random(0)

    def put(self, frame: bytes, rules: tuple[Rule, ...], told: Told) -> None:
        """Write one frame, with all that the rules do to it."""
        for step in apply(frame, rules, self.rng):
            if isinstance(step, bytes):
                self._wire.write(step, [lambda octets=step: told(octets)])  # type: ignore[misc]
            elif step is Act.HOLD:
                self._hold(frame, max(rule.span for rule in rules if rule.kind == "reorder"), told)
            else:
                self._act(step)

    def _hold(self, frame: bytes, span: int, told: Told) -> None:
        if not self._held:
            self._agenda.at(time.monotonic_ns() + HELD_MS * NANOSECONDS_PER_MS, self._release)
        self._held.append((frame, told))
        if len(self._held) >= span:
            self._release()

    def _release(self) -> None:
        held, self._held = self._held, []
        self.rng.shuffle(held)
        for frame, told in held:
            self.put(frame, (), told)


def told_response(account: Account, sequence_number: int, copy: Copy | None, octets: bytes) -> None:
    """Read back what was written: only a whole response to that request is one."""
    ledger = account.ledger
    if len(octets) >= 16:
        length, command, status, sequence = struct.unpack_from(">IIII", octets)
        answers = command in (Command.SUBMIT_SM_RESP, Command.DATA_SM_RESP, Command.GENERIC_NACK)
        if length == len(octets) and answers and sequence == sequence_number:
            ledger.responded(account.name, status, 1, None if copy is None else [copy])
            return
    ledger.of(account.name).mangled += 1


def told_receipts(account: Account, receipts: list[Receipt]) -> None:
    """Take a batch that was written as it was made."""
    account.ledger.delivered(account.name, receipts)


def told_receipt(account: Account, receipt: Receipt, octets: bytes) -> None:
    """Read back what was written: all of it but the sequence_number is as it was made, or it is mangled."""
    if octets[:12] == receipt.frame[:12] and octets[16:] == receipt.frame[16:]:
        told_receipts(account, [receipt])
    else:
        account.ledger.of(account.name).mangled += 1


def without(octets: bytes, command_id: int) -> bytes:
    """Return whole PDUs without those of one kind."""
    kept, at = [], 0
    while at < len(octets):
        length, command = struct.unpack_from(">II", octets, at)
        if command != command_id:
            kept.append(octets[at : at + length])
        at += length
    return b"".join(kept)


def enquiries(number: int) -> bytes:
    """Return so many enquire_link, numbered as nothing else is."""
    first = 0x6000_0000
    frames = [struct.pack(">IIII", 16, Command.ENQUIRE_LINK, 0, first + each) for each in range(number)]
    return b"".join(frames)
