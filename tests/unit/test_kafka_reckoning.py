"""The judge of several workers: each of its complaints, by ledgers in which one thing is wrong."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from dispatcher.cli.demo import traffic
from tests.kafka.reckoning import (
    ON_ITS_WAY_US,
    Copy,
    Reckoning,
    Seen,
    Token,
    Told,
    most_in_second,
    over_us,
    reckon,
)

COUNT = 40
TPS = 10
BEGIN_US = 1_000_000_000_000
STEP_US = 100_000
MARKETING, CODE = 15, 0
"""Numbers of messages of these classes."""


class Ledgers:
    """What all wrote in a good run, to be spoilt."""

    def __init__(self) -> None:
        self.tokens: dict[str, Token] = {}
        self.late_us: list[tuple[int, int]] = []
        self.told: list[Told] = []
        self.poison = [b"p0", b"p1"]
        self.dead = list(self.poison)
        self.most = 1
        at_us = BEGIN_US
        for number in range(COUNT):
            name = traffic.PATTERN[number % len(traffic.PATTERN)]
            places = ("7:1/2", "7:2/2") if name == "marketing" else (None,)
            copies = []
            for place in places:
                copies.append(copy(place, at_us))
                at_us += STEP_US
            self.tokens[f"m{number}"] = Token(copies)
            self.told.append(outcome(number, name))

    def copies(self, number: int) -> list[Copy]:
        """Return those of one message."""
        return self.tokens[f"m{number}"].copies

    def judged(self) -> Reckoning:
        """Return the verdict."""
        seen = Seen(self.tokens, self.late_us)
        sent_ms = [BEGIN_US / 1000] * COUNT
        return reckon(
            seen, self.told, self.dead, sent_ms, self.poison, doubled_most=self.most, tps={"bank": TPS}
        )


def copy(place: str | None, at_us: int) -> Copy:
    """Return a copy that was accepted, reported and acknowledged."""
    return Copy("bank", 1, place, (0,), (2,), (0,), at_us)


def outcome(number: int, name: str) -> Told:
    """Return the outcome of a delivered message."""
    return Told(f"e{number}", "message.finished", f"id{number}", f"m{number}", name, "delivered", "receipt")


def test_a_good_run_holds() -> None:
    """Every figure is what was put in."""
    found = Ledgers().judged()
    assert found.complaints() == []
    assert (found.told, found.sent, found.dead, found.receipts) == (COUNT, 50, 2, 50)
    assert found.outcomes["marketing"] == {"delivered": 10}
    assert len(found.wire_ms) == 8


def lose(its: Ledgers) -> None:
    """An outcome never comes."""
    del its.told[3]


def invent(its: Ledgers) -> None:
    """Told as delivered, and the carrier never saw it."""
    del its.tokens["m3"]


def end_twice(its: Ledgers) -> None:
    """Two outcomes with different ids."""
    its.told.append(replace(its.told[3], id="another"))


def double(its: Ledgers) -> None:
    """More copies than were in flight."""
    its.copies(CODE).extend(copy(None, BEGIN_US + 90 * STEP_US + each * STEP_US) for each in range(2))


def double_marketing(its: Ledgers) -> None:
    """One copy more of an advertisement, within the bound."""
    its.copies(MARKETING).append(copy("9:2/2", BEGIN_US + 90 * STEP_US))


def forget(its: Ledgers) -> None:
    """Receipts that were acknowledged, and outcomes that say there was none."""
    for each in (1, 2):
        its.told[each] = replace(its.told[each], outcome="unknown", reason="no_receipt")


def bury(its: Ledgers) -> None:
    """A good record among the dead letters."""
    its.dead.append(b"good")


def lose_poison(its: Ledgers) -> None:
    """A poison record that is nowhere."""
    its.dead.pop()


def produce_strangers(its: Ledgers) -> None:
    """A message that nobody produced."""
    its.tokens["m999"] = Token([copy(None, BEGIN_US + 90 * STEP_US)])


def hurry(its: Ledgers) -> None:
    """One segment more than the TPS in a second."""
    for number in range(20):
        for each in its.copies(number):
            each.came_us = BEGIN_US + (each.came_us - BEGIN_US) * 9 // 10


@pytest.mark.parametrize(("spoil", "complaint"), [
    (lose, "1 messages are lost"),
    (invent, "1 messages are lost"),
    (end_twice, "1 messages ended twice"),
    (double, "2 doubled, bound 1"),
    (double_marketing, "1 of marketing doubled"),
    (forget, "2 have acknowledged receipts"),
    (bury, "1 good records are dead letters"),
    (lose_poison, "1 of 2 poison records"),
    (produce_strangers, "1 that nobody produced"),
    (hurry, "TPS exceeded"),
])  # fmt: skip
def test_each_complaint(spoil: Callable[[Ledgers], Any], complaint: str) -> None:
    """One thing is wrong, and it is said."""
    its = Ledgers()
    spoil(its)
    assert any(complaint in each for each in its.judged().complaints())


def test_what_is_told_again_is_one_outcome() -> None:
    """The same id after a crash is a repetition."""
    its = Ledgers()
    its.told += its.told[:5]
    found = its.judged()
    assert found.complaints() == []
    assert found.repetitions == 5


def test_a_correction_counts_as_the_outcome() -> None:
    """Unknown at first, corrected by a late receipt: nothing is forgotten."""
    its = Ledgers()
    forget(its)
    its.told += [replace(outcome(each, "x"), id=f"c{each}", type="message.corrected") for each in (1, 2)]
    assert its.judged().complaints() == []


def test_a_message_torn_by_a_kill_may_be_unknown() -> None:
    """Only its first segment came: the carrier cannot name it; delivered it cannot be."""
    its = Ledgers()
    its.tokens[f"unfinished:{traffic.number_of(f'm{MARKETING}')}:7/2"] = Token(
        its.tokens.pop(f"m{MARKETING}").copies[:1]
    )
    assert its.judged().lost == 1
    its.told[MARKETING] = replace(its.told[MARKETING], outcome="unknown", reason="unanswered")
    assert its.judged().complaints() == []


def test_the_tps_is_judged_by_when_it_was_sent() -> None:
    """Ten a second, read in a burst after the carrier was late: nobody sent more. Without the delay: somebody
    did; and the tenth of a second is not hidden by a delay elsewhere."""
    even = [number * STEP_US for number in range(30)]
    assert over_us(even, [], TPS) == 0
    held_us, begin_us, until_us = 300_000, 1_000_000, 1_300_000
    burst = [until_us if begin_us <= each < until_us else each for each in even]
    assert over_us(burst, [], TPS) > 0
    assert over_us(burst, [(until_us, held_us)], TPS) == 0
    assert over_us(burst, [(500_000, held_us)], TPS) > 0
    assert most_in_second(burst) > most_in_second(even) == TPS
    quick = [number * (STEP_US - ON_ITS_WAY_US // 5) for number in range(30)]
    assert over_us(quick, [], TPS) > 0
