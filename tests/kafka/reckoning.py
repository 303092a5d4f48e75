"""What several workers did, judged by the ledgers of others: the producer, the carrier, the topics.

Pure: values in, a verdict out; test_reckoning.py has seen each of its complaints.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from dispatcher.cli.demo import traffic

SECOND_US: Final = 1_000_000
ON_ITS_WAY_US: Final = 25_000
"""From the token in a worker to the socket of the carrier: a turn of a loop, on two cores that have six
processes to run. What the carrier itself is late by is measured: dispatcher/simulator/lateness.py."""
EXAMPLES_MAX: Final = 12
_THROTTLED: Final = (0x58,)
_NOT_FINAL: Final = (1, 6)
"""message_state: ENROUTE, ACCEPTED."""


class Copy(msgspec.Struct):
    """One submit_sm in the ledger of the carriers."""

    account: str
    bind: int
    segment: str | None
    statuses: tuple[int, ...]
    """Of the responses that went out."""
    receipts: tuple[int, ...]
    """message_state of those that went out."""
    acknowledged: tuple[int, ...]
    """command_status of every deliver_sm_resp."""
    came_us: int = 0


class Token(msgspec.Struct):
    """One message there."""

    copies: list[Copy]


class Seen(msgspec.Struct):
    """The ledger of the carriers."""

    tokens: dict[str, Token]
    late_us: list[tuple[int, int]] = []
    """When a delay of its reading had ended, and how long it was."""
    complete: bool = True


class Told(msgspec.Struct, gc=False):
    """A record in the topic of outcomes."""

    id: str
    type: str
    message_id: str
    client_ref: str
    traffic_class: str
    outcome: str
    reason: str
    at: str = ""


class Rate(msgspec.Struct):
    """How fast one account was written to, by all workers."""

    account: str
    tps: float
    most: int
    """Segments that the carrier read in any second: those it read late stand where they were read."""
    over_us: int
    """By how much a second too short held one segment more than the TPS; 0: none did."""

    @property
    def complaint(self) -> str:
        """What is wrong, or nothing."""
        text = f"{self.account}: TPS exceeded, {self.tps:.0f} + 1 segments in a second less {self.over_us} us"
        return text if self.over_us else ""


class Reckoning(msgspec.Struct):
    """The figures. `holds`: nothing lost, one outcome each, doubled within the bound, TPS never exceeded."""

    produced: int
    poison: int
    doubled_most: int
    told: int = 0
    """Messages with an outcome."""
    lost: int = 0
    """Messages without one, or with one that says they were sent, and the carrier never saw them."""
    forgotten: int = 0
    """Messages of which each segment has a receipt that we acknowledged, and no outcome says so: their
    answers, and so their ids, were lost with the worker that sent them. No more than those in flight then."""
    ended_twice: int = 0
    repetitions: int = 0
    """Of outcomes, with the same id: told again after a crash."""
    strange: int = 0
    """Outcomes of messages that nobody produced; copies of such."""
    sent: int = 0
    """Segments that the carrier has read, throttled ones apart."""
    doubled: int = 0
    doubled_marketing: int = 0
    receipts: int = 0
    dead: int = 0
    """Poison records among the dead letters, each once."""
    dead_strange: int = 0
    """Dead letters that are no poison."""
    throttled: int = 0
    """Segments that the carrier refused, for they came too fast for it: they came again."""
    rates: list[Rate] = []
    complete: bool = True
    examples: list[str] = []
    """Of messages that are lost, doubled or forgotten, the first ones: what their ledgers say."""
    outcomes: dict[str, dict[str, int]] = {}
    wire_ms: list[float] = []
    """Of each code: from when it was due to be produced until the carrier had read it."""

    @property
    def holds(self) -> bool:
        """Whether it is as promised."""
        return not self.complaints()

    def complaints(self) -> list[str]:
        """Return what is wrong, a line each."""
        found = [
            (self.lost, f"{self.lost} messages are lost"),
            (
                self.forgotten > self.doubled_most,
                f"{self.forgotten} have acknowledged receipts, and no outcome by them",
            ),
            (self.ended_twice, f"{self.ended_twice} messages ended twice"),
            (self.strange, f"{self.strange} that nobody produced"),
            (self.doubled > self.doubled_most, f"{self.doubled} doubled, bound {self.doubled_most}"),
            (self.doubled_marketing, f"{self.doubled_marketing} of marketing doubled"),
            (self.dead != self.poison, f"{self.dead} of {self.poison} poison records are dead letters"),
            (self.dead_strange, f"{self.dead_strange} good records are dead letters"),
            *((each.complaint, each.complaint) for each in self.rates),
            (not self.complete, "the ledger of the carriers is not complete"),
            (self.told != self.produced, f"{self.told} of {self.produced} have an outcome"),
        ]
        return [text for is_wrong, text in found if is_wrong]


def reckon(
    seen: Seen,
    told: Sequence[Told],
    dead: Iterable[bytes],
    sent_ms: Sequence[float],
    poison: Sequence[bytes],
    *,
    doubled_most: int,
    tps: Mapping[str, float],
) -> Reckoning:
    """Compare all ledgers. `sent_ms`: of each message that was produced; `doubled_most`: what may be; `tps`:
    by account."""
    found = Reckoning(len(sent_ms), len(poison), doubled_most, complete=seen.complete)
    _judge_outcomes(found, told)
    ends = {each.client_ref: each for each in told if each.type == "message.finished"}
    ends |= {each.client_ref: each for each in told if each.type == "message.corrected"}
    torn = {name.split(":")[1] for name in seen.tokens if name.startswith("unfinished:")}
    for number in range(found.produced):
        token = f"m{number}"
        copies = seen.tokens[token].copies if token in seen.tokens else []
        is_torn = traffic.number_of(token) in torn
        _judge_message(found, number, copies, ends.get(token), is_torn)
        if copies and traffic.PATTERN[number % len(traffic.PATTERN)] == "authorization":
            found.wire_ms.append(max(0.0, min(each.came_us for each in copies) / 1000 - sent_ms[number]))
    known = {f"m{number}" for number in range(found.produced)}
    found.strange += sum(name not in known and not name.startswith("unfinished:") for name in seen.tokens)
    letters = Counter(dead)
    found.dead = sum(letters[each] > 0 for each in poison)
    found.dead_strange = sum(count for value, count in letters.items() if value not in set(poison))
    came_us: dict[str, list[int]] = {account: [] for account in tps}
    for its in seen.tokens.values():
        for copy in its.copies:
            came_us[copy.account].append(copy.came_us)
    for account, times in came_us.items():
        times.sort()
        too_short_us = over_us(times, seen.late_us, int(tps[account]))
        found.rates.append(Rate(account, tps[account], most_in_second(times), too_short_us))
    return found


def _judge_outcomes(found: Reckoning, told: Sequence[Told]) -> None:
    by_id = {each.id: each for each in told}
    found.repetitions = len(told) - len(by_id)
    finished = Counter(each.client_ref for each in by_id.values() if each.type == "message.finished")
    known = {f"m{number}" for number in range(found.produced)}
    found.told = sum(name in known for name in finished)
    found.strange += sum(name not in known for name in finished)
    found.ended_twice = sum(count > 1 for count in finished.values())
    for each in by_id.values():
        if each.type == "message.finished":
            of_class = found.outcomes.setdefault(each.traffic_class, {})
            word = each.outcome if each.outcome == "delivered" else f"{each.outcome} ({each.reason})"
            of_class[word] = of_class.get(word, 0) + 1


def _judge_message(
    found: Reckoning, number: int, copies: Sequence[Copy], end: Told | None, is_torn: bool
) -> None:
    """Judge one. `is_torn`: a worker died between its segments, and only some of them came: the carrier could
    not join them, and knows the number alone. It cannot be delivered, then."""
    outcome = None if end is None else end.outcome
    taken = Counter(_place(copy) for copy in copies if copy.statuses != _THROTTLED)
    is_there = bool(taken) or (is_torn and outcome != "delivered")
    is_lost = outcome is None or (not is_there and outcome != "unknown")
    found.lost += is_lost
    is_known = {_place(copy) for copy in copies if _is_acknowledged(copy)} == set(taken)
    is_forgotten = bool(taken) and is_known and end is not None and end.reason != "receipt"
    found.forgotten += is_forgotten
    extra = sum(count - 1 for count in taken.values())
    found.doubled += extra
    if traffic.PATTERN[number % len(traffic.PATTERN)] == "marketing":
        found.doubled_marketing += extra
    if (is_lost or is_forgotten or extra) and len(found.examples) < EXAMPLES_MAX:
        told = "no outcome" if end is None else f"{end.outcome} ({end.reason}) at {end.at}"
        seen = "; ".join(f"{c.account} {c.bind} {c.segment or ''} at {_clock(c.came_us)}" for c in copies)
        found.examples.append(f"m{number}: {told}; {seen or 'never came'}")
    found.sent += taken.total()
    found.throttled += len(copies) - taken.total()
    found.receipts += sum(len(copy.receipts) for copy in copies)


def _clock(at_us: int) -> str:
    """Return a time as logs say it."""
    return datetime.fromtimestamp(at_us / 1e6, UTC).strftime("%H:%M:%S.%f")[:-3]


def _is_acknowledged(copy: Copy) -> bool:
    """Whether a final receipt for it was answered with ESME_ROK."""
    return any(state not in _NOT_FINAL for state in copy.receipts) and 0 in copy.acknowledged


def _place(copy: Copy) -> str:
    """Return which segment of its message it is: its number of so many, the reference left out."""
    return "" if copy.segment is None else copy.segment.partition(":")[2]


def most_in_second(came_us: Sequence[int]) -> int:
    """Return the most arrivals in any span of a second, as they were read. `came_us`: in order."""
    most, first = 0, 0
    for last, at_us in enumerate(came_us):
        while came_us[first] <= at_us - SECOND_US:
            first += 1
        most = max(most, last - first + 1)
    return most


def over_us(came_us: Sequence[int], late_us: Sequence[tuple[int, int]], tps: int) -> int:
    """Return by how much the second was too short in which one more than the TPS was sent; 0: there is none.

    Of `tps` + 1 arrivals in a row the first was sent, at the earliest, when it would have been read had the
    carrier not been late; the last one when it was read. Were they less than a second apart even so, and less
    than what takes its time on the way, the TPS was exceeded: nothing else explains it.
    """
    ends = [at for at, _ in late_us]
    worst = 0
    for first in range(len(came_us) - tps):
        spread_us = came_us[first + tps] - came_us[first] + _late_at(came_us[first], ends, late_us)
        worst = max(worst, SECOND_US - ON_ITS_WAY_US - spread_us)
    return worst


def _late_at(at_us: int, ends: Sequence[int], late_us: Sequence[tuple[int, int]]) -> int:
    """Return how late what was read at a time may have been: the delay that ended then, or soon after."""
    place = bisect_left(ends, at_us)
    found = [
        late
        for end, late in late_us[max(0, place - 1) : place + 1]
        if end - late - 2 * SECOND_US // 100 <= at_us <= end + 2 * SECOND_US // 100
    ]
    return max(found, default=0)


def bound(breaks: Mapping[str, int], window: int) -> int:
    """Return what may be doubled: `breaks`, binds that broke with what they had in flight, by what befell."""
    return sum(breaks.values()) * window


def shown(found: Reckoning) -> list[str]:
    """Return the figures for people, a line each."""
    lines: list[tuple[str, int, str]] = [
        (
            "produced",
            found.produced,
            f"messages that brokers acknowledged, and {found.poison} poison records",
        ),
        (
            "submitted",
            found.sent,
            f"segments reached the carriers; {found.throttled:,} throttled, came again",
        ),
        ("told", found.told, f"messages have an outcome; {found.repetitions} told again, with the same id"),
        ("lost", found.lost, ""),
        ("forgotten", found.forgotten, "messages whose receipts were acknowledged, and not told"),
        ("ended twice", found.ended_twice, ""),
        (
            "doubled",
            found.doubled,
            f"segments, {found.doubled_marketing} of marketing; bound {found.doubled_most}",
        ),
        ("dead letters", found.dead, f"of {found.poison} poison records, and {found.dead_strange} others"),
    ]
    for each in found.rates:
        never = "never more were sent" if not each.over_us else "MORE WERE SENT"
        text = f"segments at most were read in a second by {each.account}, of {each.tps:,.0f}; {never}"
        lines.append(("TPS", each.most, text))
    told = [f"  {name:<13}{figure:>9,} {text}".rstrip() for name, figure, text in lines]
    for name, outcomes in sorted(found.outcomes.items()):
        told.append(f"    {name:<14}" + "  ".join(f"{word} {count:,}" for word, count in outcomes.items()))
    if codes := sorted(found.wire_ms):
        half, most = codes[len(codes) // 2], codes[min(len(codes) - 1, int(len(codes) * 0.99))]
        told.append(f"  codes        p50 {half:.0f} ms, p99 {most:.0f} ms to the carrier, breaks included")
    return told
