"""Four ledgers are laid side by side: client, carriers, store, and what each kill left behind.

After every kill, and at the end, these hold; each function returns complaints, none where all is well.

* law 1: what was answered is stored; what was acknowledged to a carrier is stored;
* law 2: every message has one outcome, and it is true;
* law 3: nothing is written without a durable claim; a segment has at most one copy, and one for each kill
  that left it written and unanswered; a kill leaves no more of these than the window of each carrier,
  and as many more for each break before it; marketing has one;
* the same key is the same message, whatever happened in between.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from dispatcher.model import Outcome, Reason, TrafficClass
from dispatcher.simulator import Copy, Ledger
from dispatcher.smpp.dialect import DELIVERED
from tests.crash.client import Client
from tests.crash.scene import ACCOUNTS, WINDOW, token_of_number
from tests.crash.store import Place, Stored


class Carriers:
    """What the simulated carriers have seen so far: copies by segment, those refused aside."""

    def __init__(self, ledger: Ledger) -> None:
        self.copies: dict[Place, list[Copy]] = {}
        self.submits: Counter[Place] = Counter()
        """With the refused ones."""
        for name in ledger.tokens:
            token = token_of_number(name.split(":")[1]) if name.startswith("unfinished:") else name
            for copy in ledger.copies(name):
                place = (token, copy.segment[1] - 1 if copy.segment else 0)
                self.submits[place] += 1
                if not any(copy.statuses):
                    self.copies.setdefault(place, []).append(copy)

    def count(self, place: Place) -> int:
        """Return how many copies of a segment came."""
        return len(self.copies.get(place, ()))

    def on(self, account: str, places: set[Place]) -> int:
        """Return how many of these segments had their last copy at a carrier."""
        return sum(self.copies[place][-1].account == account for place in places)


@dataclass
class Account:
    """What a run has shown, kill by kill."""

    before: Counter[Place] = field(default_factory=Counter)
    """Copies of each segment at the last kill."""
    breaks: int = 0
    """Connections that the carriers reset. With any, the store's own word for doubt counts: UNANSWERED."""
    breaks_before: int = 0
    """Of these, until the last kill."""
    doubts: Counter[Place] = field(default_factory=Counter)
    """How many kills left a segment written and unanswered."""
    claimed: set[Place] = field(default_factory=set)
    """Segments that some kill left claimed, written or not."""
    in_doubt: list[int] = field(default_factory=list)
    """Segments in doubt after each kill."""
    extra: int = 0
    """Copies beyond the first, of all segments."""
    outcomes: Counter[str] = field(default_factory=Counter)

    def after_kill(self, client: Client, carriers: Carriers, stored: Stored) -> list[str]:
        """Take up what a kill left behind; return complaints."""
        complaints = [*answered_is_stored(client, stored), *acknowledged_is_stored(carriers, stored)]
        complaints += written_is_claimed(carriers, stored)
        doubtful = stored.doubtful()
        written = {place for place in doubtful if carriers.count(place) > self.before[place]}
        for account in ACCOUNTS:
            most = WINDOW * (1 + self.breaks - self.breaks_before)
            if (left := carriers.on(account, written)) > most:
                complaints.append(f"{left} segments are in doubt at {account}, its window is {WINDOW}")
        self.breaks_before = self.breaks
        self.doubts.update(written)
        self.claimed |= doubtful
        self.in_doubt.append(len(written))
        self.before = Counter({place: len(copies) for place, copies in carriers.copies.items()})
        return complaints

    def at_end(self, client: Client, carriers: Carriers, stored: Stored) -> list[str]:
        """Return complaints about the end of a run."""
        complaints = [*answered_is_stored(client, stored), *acknowledged_is_stored(carriers, stored)]
        complaints += written_is_claimed(carriers, stored)
        complaints += [*same_key_same_message(client, stored), *self._copies(carriers, stored)]
        if silent := client.asked - client.accepted.keys():
            complaints.append(f"{len(silent)} requests were never accepted: {sorted(silent)[:5]}")
        for token in stored.ids:
            complaints += self._end(token, carriers, stored)
        self.extra = sum(max(0, len(copies) - 1) for copies in carriers.copies.values())
        if self.extra > (most := (len(self.in_doubt) * len(ACCOUNTS) + self.breaks) * WINDOW):
            complaints.append(f"{self.extra} copies too many in all, the windows allow {most}")
        return complaints

    def _copies(self, carriers: Carriers, stored: Stored) -> Iterator[str]:
        doubts = stored.unanswered if self.breaks else self.doubts
        for place, copies in carriers.copies.items():
            if len(copies) > 1 + doubts[place]:
                yield f"{place} came {len(copies)} times, in doubt {doubts[place]} times"
            if len(copies) > 1 and stored.classes[place[0]] == TrafficClass.MARKETING:
                yield f"{place} is marketing and came {len(copies)} times"

    def _end(self, token: str, carriers: Carriers, stored: Stored) -> Iterator[str]:
        ends = stored.ends[token]
        if len(ends) != 1:
            yield f"{token} has {len(ends)} outcomes: {ends}"
            return
        outcome, reason = stored.corrected.get(token, ends[0])
        if stored.projected.get(token) is not outcome:
            yield f"{token} ended as {outcome.name}, the projection says {stored.projected.get(token)}"
        places = [(token, segment) for segment in range(stored.segments[token])]
        self.outcomes[f"{TrafficClass(stored.classes[token]).name.lower()} {outcome.name.lower()}"] += 1
        delivered = [
            any(DELIVERED in copy.receipts for copy in carriers.copies.get(place, ())) for place in places
        ]
        if outcome is Outcome.DELIVERED and not all(delivered):
            yield f"{token} is said to be delivered, its carrier says so of {sum(delivered)}/{len(places)}"
        elif outcome is Outcome.UNKNOWN and reason is Reason.UNANSWERED:
            if not any(
                place in self.claimed or (self.breaks and stored.unanswered[place]) for place in places
            ):
                yield f"{token} is said to be unanswered, and was never in doubt"
            elif stored.classes[token] == TrafficClass.AUTHORIZATION:
                yield f"{token} is a code, was in doubt, and was not sent again"
        elif outcome is not Outcome.DELIVERED:
            yield f"{token} ended as {outcome.name} by {reason.name}"


def answered_is_stored(client: Client, stored: Stored) -> Iterator[str]:
    """Law 1, to the sender."""
    for token, ids in client.accepted.items():
        if not ids <= set(stored.ids.get(token, ())):
            yield f"{token} was accepted as {ids} and is not stored so: {stored.ids.get(token)}"


def same_key_same_message(client: Client, stored: Stored) -> Iterator[str]:
    """F02: a repetition finds its message, across a crash too."""
    if stored.duplicate_numbers:
        yield f"{stored.duplicate_numbers} messages share a number"
    for token, ids in stored.ids.items():
        if token not in client.asked:
            yield f"{token} is stored and was never asked for"
        if len(ids) > 1:
            yield f"{token} became {len(ids)} messages"


def acknowledged_is_stored(carriers: Carriers, stored: Stored) -> Iterator[str]:
    """Law 1, to the carrier: a deliver_sm_resp is a promise (F05)."""
    parked = {(account, number) for account, key in stored.parked for number in _readings(key)}
    for place, copies in carriers.copies.items():
        for copy in copies:
            if 0 not in copy.acknowledged or place in stored.receipted or copy.message_id is None:
                continue
            base = 16 if copy.account == "hex" else 10
            if (copy.account, int(copy.message_id, base)) not in parked:
                yield f"a receipt for {place} was acknowledged and is not stored"


def written_is_claimed(carriers: Carriers, stored: Stored) -> Iterator[str]:
    """Law 3: each submit_sm had a durable claim of its own."""
    for place, submits in carriers.submits.items():
        if submits > stored.claims[place]:
            yield f"{place} was written {submits} times and claimed {stored.claims[place]} times"


def _readings(key: bytes) -> Iterator[int]:
    """A key is a number, whichever way a profile writes it."""
    for base in (10, 16):
        try:
            yield int(key, base)
        except ValueError:
            continue
