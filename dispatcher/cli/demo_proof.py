"""The proof of ``make demo``: what the sender knows, the store holds and the carriers saw, compared."""

from collections import Counter, defaultdict
from pathlib import Path
from typing import Final

import msgspec

from dispatcher._ext.events import read_events
from dispatcher.cli import demo_sender
from dispatcher.model import Event, EventKind, Outcome, TrafficClass
from dispatcher.store.audit import audit
from dispatcher.store.reader import Reader
from dispatcher.store.records import unpack_messages

DOUBLED_MOST: Final = len(demo_sender.CARRIERS) * demo_sender.BINDS * demo_sender.WINDOW
"""One kill leaves no more than the windows in doubt."""


class Copy(msgspec.Struct):
    """One submit_sm in the ledger of the carriers."""

    segment: str | None
    receipts: list[int]


class Token(msgspec.Struct):
    """One message there."""

    copies: list[Copy]


class Seen(msgspec.Struct):
    """The ledger of the carriers."""

    tokens: dict[str, Token]


class Proof:
    """The figures. `holds`: nothing was lost, nothing ended twice, no more doubled than is allowed."""

    def __init__(self) -> None:
        self.accepted = self.sent = self.receipts = self.lost = self.ended_twice = 0
        self.audit_complaints = 0
        """Of `dispatcher audit`, which reads the journal on its own."""
        self.doubled = self.doubled_marketing = self.doubled_most = 0
        self.outcomes: dict[str, Counter[str]] = {each.name.lower(): Counter() for each in TrafficClass}

    @property
    def delivered(self) -> int:
        """Messages that all carriers' receipts call delivered."""
        return sum(outcomes["delivered"] for outcomes in self.outcomes.values())

    @property
    def holds(self) -> bool:
        """Whether it is as promised."""
        whole = self.accepted == demo_sender.MESSAGES and not self.lost and not self.ended_twice
        whole = whole and not self.audit_complaints
        return whole and self.doubled <= self.doubled_most and not self.doubled_marketing


def prove(folder: Path, kills: int) -> Proof:
    """Read the three ledgers of a demo that has ended."""
    proof = Proof()
    proof.doubled_most = kills * DOUBLED_MOST
    proof.accepted = demo_sender.answered(folder)
    classes, outcomes, corrected, doubles = _stored(folder)
    seen = msgspec.json.decode((folder / "carriers.json").read_bytes(), type=Seen)
    for number in range(proof.accepted):
        token = f"m{number}"
        ends, copies = outcomes.get(token, []), _copies(seen, token)
        proof.ended_twice += len(ends) > 1
        proof.lost += not ends or (not copies and ends[0] is not Outcome.UNKNOWN)
        for end in ends[:1]:
            proof.outcomes[classes[token].name.lower()][corrected.get(token, end).name.lower()] += 1
        extra = sum(count - 1 for count in copies.values())
        proof.doubled += extra
        if token in classes and classes[token] is TrafficClass.MARKETING:
            proof.doubled_marketing += extra
        proof.sent += copies.total()
    proof.ended_twice += doubles
    proof.audit_complaints = sum(audit(folder / "store").wrong.values())
    proof.receipts = sum(len(copy.receipts) for each in seen.tokens.values() for copy in each.copies)
    return proof


def _copies(seen: Seen, token: str) -> Counter[str]:
    """Return how often each segment of a message came to the carriers."""
    found = seen.tokens.get(token)
    return Counter(_place(copy) for copy in found.copies) if found is not None else Counter()


def _place(copy: Copy) -> str:
    return "1" if copy.segment is None else copy.segment.partition(":")[2]


def _stored(
    folder: Path,
) -> tuple[dict[str, TrafficClass], dict[str, list[Outcome]], dict[str, Outcome], int]:
    """Return class, outcomes and correction by token; and how many messages have the key of another."""
    corrupt: list[int] = []
    reader = Reader(folder / "store", lambda seq, *rest: corrupt.append(seq))
    keys: dict[int, str] = {}
    classes: dict[str, TrafficClass] = {}
    outcomes: dict[str, list[Outcome]] = defaultdict(list)
    corrected: dict[str, Outcome] = {}
    doubles = 0
    for row in reader.newest(1 << 60, 0):
        for message in unpack_messages(row.body, row.count):
            token = keys[message.n] = message.text.rpartition(" ")[2]
            doubles += token in classes
            classes[token] = TrafficClass(message.traffic_class)
    for row in reader.event_rows(0):
        for event in read_events(row.body, Event):
            if event.kind == EventKind.FINISHED:
                outcomes[keys[event.n]].append(Outcome(event.code >> 16))
            elif event.kind == EventKind.CORRECTED:
                corrected[keys[event.n]] = Outcome(event.code >> 16)
    reader.close()
    return classes, outcomes, corrected, doubles + len(corrupt)
