"""The proof of the demo: what the clients know, the store holds and the carriers saw, compared.

Each ledger was written by another process, and none of them by the daemon alone.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from dispatcher._ext.events import read_events
from dispatcher.cli import rig
from dispatcher.cli.demo import traffic
from dispatcher.model import Event, EventKind, Outcome, TrafficClass
from dispatcher.store.audit import audit
from dispatcher.store.reader import Reader
from dispatcher.store.records import unpack_messages

WARM_MS: Final = 4_000
"""After a start: binds begin slowly, nothing for a second, then twice as much every quarter of one."""
_THROTTLED: Final = (0x58,)
_ANSWERS: Final = (EventKind.SUBMITTED, EventKind.REFUSED, EventKind.UNSENT)


class Copy(msgspec.Struct):
    """One submit_sm in the ledger of the carriers. `statuses`: of the responses that went out."""

    segment: str | None
    statuses: tuple[int, ...]
    receipts: list[int]
    came_us: int = 0


class Token(msgspec.Struct):
    """One message there."""

    copies: list[Copy]


class Seen(msgspec.Struct):
    """The ledger of the carriers."""

    tokens: dict[str, Token]


class Stored(msgspec.Struct):
    """What the journal says, by token."""

    classes: dict[str, TrafficClass] = {}
    outcomes: dict[str, list[Outcome]] = {}
    corrected: dict[str, Outcome] = {}
    doubtful: Counter[tuple[str, int]] = msgspec.field(default_factory=Counter)
    """Claims without an answer in time, by token and segment, from 0: so many copies more may be."""
    doubles: int = 0
    """Messages that were accepted twice, or rows that cannot be read."""


class Proof:
    """The figures. `holds`: nothing was lost, nothing ended twice, no more doubled than is allowed."""

    def __init__(self, expected: int = 0) -> None:
        self.expected = expected
        """Messages that the clients gave."""
        self.accepted = self.repeated = self.sent = self.receipts = self.lost = self.ended_twice = 0
        self.audit_complaints = 0
        """Of `dispatcher audit`, which reads the journal on its own."""
        self.doubled = self.doubled_marketing = self.doubled_most = 0
        self.unexplained = 0
        """Doubled without a submit that had gone unanswered before."""
        self.throttled = 0
        self.outcomes: dict[str, Counter[str]] = {each.name.lower(): Counter() for each in TrafficClass}
        self.wire_ms: list[float] = []
        """Of each code that was asked for while binds were warm: until the carrier had read it."""
        self.answer_ms: list[float] = []
        """The same, until it was accepted."""
        self.worst_ms = 0.0
        """Of all codes, those of the outage too: until the carrier had it."""

    @property
    def delivered(self) -> int:
        """Messages that all carriers' receipts call delivered."""
        return sum(outcomes["delivered"] for outcomes in self.outcomes.values())

    @property
    def holds(self) -> bool:
        """Whether it is as promised."""
        whole = self.accepted == self.expected and not self.lost and not self.ended_twice
        whole = whole and not self.audit_complaints and not self.unexplained
        return whole and self.doubled <= self.doubled_most and not self.doubled_marketing


def prove(folder: Path, doubled_most: int) -> Proof:
    """Read the ledgers of a demo that has ended; `doubled_most`: the windows that were cut."""
    campaign = msgspec.json.decode((folder / "campaign.json").read_bytes(), type=traffic.Answers)
    codes = msgspec.json.decode((folder / "codes.json").read_bytes(), type=traffic.Answers)
    seen = msgspec.json.decode((folder / rig.LEDGER).read_bytes(), type=Seen).tokens
    stored = read_store(folder / "store")
    proof = Proof(traffic.MESSAGES + len(codes.asked_ms))
    proof.doubled_most = doubled_most
    proof.accepted = campaign.answered + codes.answered
    proof.repeated = campaign.repeated + codes.repeated
    tokens = [f"m{number}" for number in range(traffic.MESSAGES)]
    tokens += [f"c{number}" for number in range(len(codes.asked_ms))]
    torn = {name.split(":")[1] for name in seen if name.startswith("unfinished:")}
    for token in tokens:
        copies = seen[token].copies if token in seen else []
        _prove(proof, token, stored, copies, traffic.number_of(token) in torn)
    proof.ended_twice += stored.doubles
    proof.audit_complaints = sum(audit(folder / "store").wrong.values())
    _time(proof, codes, seen)
    return proof


def _prove(proof: Proof, token: str, stored: Stored, copies: list[Copy], is_torn: bool) -> None:
    """Judge one message. `is_torn`: the line was cut between its segments, and only some of them came: the
    carriers could not join them, and know the number alone. It cannot be delivered, then."""
    ends = stored.outcomes.get(token, [])
    taken = Counter(_place(copy) for copy in copies if copy.statuses != _THROTTLED)
    proof.ended_twice += len(ends) > 1
    is_there = bool(taken) or (is_torn and Outcome.DELIVERED not in ends)
    proof.lost += not ends or (not is_there and ends[0] is not Outcome.UNKNOWN)
    for end in ends[:1]:
        name = stored.classes[token].name.lower()
        proof.outcomes[name][stored.corrected.get(token, end).name.lower()] += 1
    for place, count in taken.items():
        extra = count - 1
        proof.doubled += extra
        proof.unexplained += max(0, extra - stored.doubtful[token, place])
        if stored.classes.get(token) is TrafficClass.MARKETING:
            proof.doubled_marketing += extra
    proof.sent += taken.total()
    proof.throttled += len(copies) - taken.total()
    proof.receipts += sum(len(copy.receipts) for copy in copies)


def _time(proof: Proof, codes: traffic.Answers, seen: dict[str, Token]) -> None:
    """Take the latencies of codes; those that an outage met are told apart."""
    for number, (asked_ms, answer_ms) in enumerate(zip(codes.asked_ms, codes.answer_ms, strict=True)):
        copies = seen[f"c{number}"].copies if f"c{number}" in seen else []
        if not copies:
            continue
        wire_ms = max(0.0, min(copy.came_us for copy in copies) / 1000 - asked_ms)
        proof.worst_ms = max(proof.worst_ms, wire_ms)
        if not any(down_ms - 1000 <= asked_ms <= up_ms + WARM_MS for down_ms, up_ms in codes.outage):
            proof.wire_ms.append(wire_ms)
            proof.answer_ms.append(answer_ms)


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value below which so large a share lies; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def read_store(folder: Path) -> Stored:
    """Read a store that nobody has open."""
    corrupt: list[int] = []
    reader = Reader(folder, lambda seq, *rest: corrupt.append(seq))
    tokens: dict[int, str] = {}
    stored = Stored(outcomes=defaultdict(list))
    for row in reader.newest(1 << 60, 0):
        for message in unpack_messages(row.body, row.count):
            token = tokens[message.n] = message.text.rpartition(" ")[2]
            stored.doubles += token in stored.classes
            stored.classes[token] = TrafficClass(message.traffic_class)
    for row in reader.event_rows(0):
        for event in read_events(row.body, Event):
            if event.kind == EventKind.FINISHED:
                stored.outcomes[tokens[event.n]].append(Outcome(event.code >> 16))
            elif event.kind == EventKind.CORRECTED:
                stored.corrected[tokens[event.n]] = Outcome(event.code >> 16)
            elif event.kind == EventKind.CLAIMED:
                stored.doubtful[tokens[event.n], event.segment] += 1
            elif event.kind in _ANSWERS and not (event.kind == EventKind.SUBMITTED and event.code >> 16):
                stored.doubtful[tokens[event.n], event.segment] -= 1
    reader.close()
    stored.doubles += len(corrupt)
    return stored


def _place(copy: Copy) -> int:
    """Return which segment it is, from 0: "reference:number/total" in the ledger."""
    return 0 if copy.segment is None else int(copy.segment.partition(":")[2].partition("/")[0]) - 1
