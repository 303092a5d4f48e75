"""kill -9 at every fail-point, and the ledgers of client, carriers and store agree afterwards.

Each scenario is one store and one pair of carriers that several processes in a row work on; all but the last
are killed. `make crash KILLS=200` does the same at random.
"""

import asyncio
from collections import Counter
from random import Random
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest

from dispatcher.model import EventKind, Outcome, Reason
from tests.crash.points import POINTS
from tests.crash.reconcile import Account
from tests.crash.run import Report, chosen, crash

JOBS: Final = 3
"""Scenarios at a time: most of each is waiting for graces and timers."""
THROTTLED: Final = 0.1
"""Of the submits in the scenario of this name."""
BREAK_MS: Final = 120
"""Between resets in the scenario "breaks"."""
DISK_MS: Final = 8
"""A slower commit in the scenarios that begin with "slow": what does not wait for it is caught."""

SCENARIOS: Final[dict[str, tuple[str, ...]]] = {
    "commits": ("commit-before", "commit-during", "commit-after"),
    "told": ("told-before", "told-after", "instant"),
    "accepted": ("accepted", "accepted", "accepted"),
    "writes": ("claimed", "write-before", "write-after"),
    "answers": ("answer-read", "answer-noted", "write-after"),
    "receipts": ("receipt-read", "receipt-noted", "receipt-stored", "receipt-acknowledged"),
    "recoveries": ("write-after", "replay", "restored", "doubt", "taken-up"),
    "beside": ("checkpoint", "snapshot-before", "snapshot-after"),
    "jobs": ("job-before", "job-during", "job-after", "projecting"),
    "closing": ("closing", "closed"),
    "slow writes": ("write-after", "claimed", "write-after"),
    "slow answers": ("answer-noted", "receipt-noted", "receipt-read"),
    "backlog": ("snapshot-after", "write-after", "instant"),
    "breaks": ("write-after", "answer-read", "instant"),
    "throttled": ("write-after", "answer-read", "instant"),
}
KILLS: Final = sum(map(len, SCENARIOS.values()))


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Report]:
    """Run all scenarios."""
    folder = tmp_path_factory.mktemp("crash")
    gate = asyncio.Semaphore(JOBS)

    async def one(number: int, name: str) -> Report:
        async with gate:
            disk_ms = DISK_MS if name.startswith("slow") else 0
            throttled = THROTTLED if name == "throttled" else 0.0
            kills = chosen(SCENARIOS[name], Random(number), disk_ms)
            return await crash(
                name,
                kills,
                number,
                folder / name,
                throttled=throttled,
                break_ms=BREAK_MS if name == "breaks" else 0,
                pause_ms=1 if name == "backlog" else 10,
                disk_ms=disk_ms,
            )

    async def every() -> list[Report]:
        return await asyncio.gather(*(one(number, name) for number, name in enumerate(SCENARIOS, 1)))

    return {report.name: report for report in asyncio.run(every())}


def well(reports: dict[str, Report], name: str) -> Report:
    """Return a report that has no complaints, or fail with them."""
    report = reports[name]
    assert not report.complaints, str(report)
    assert not report.missed, f"a point was not reached: {report}"
    return report


@pytest.mark.parametrize("name", ["commits", "told", "beside", "jobs", "backlog", "closing"])
def test_a_kill_around_a_commit_loses_nothing(reports: dict[str, Report], name: str) -> None:
    """F01: before, during, after a commit, a checkpoint, a piece of a snapshot; projecting; closing."""
    well(reports, name)


def test_a_repeated_key_finds_what_was_stored_unknown_to_its_sender(reports: dict[str, Report]) -> None:
    """F02: killed after the commit, before the sender was answered: the repetition is the same message."""
    well(reports, "accepted")


@pytest.mark.parametrize("name", ["writes", "slow writes"])
def test_what_was_written_and_not_answered_is_in_doubt(reports: dict[str, Report], name: str) -> None:
    """F03: and nothing else is: copies of it alone, at most a window; never of marketing."""
    report = well(reports, name)
    assert report.account.in_doubt[-1] > 0, "a kill after a write leaves something in doubt"


@pytest.mark.parametrize("name", ["answers", "slow answers", "breaks", "throttled"])
def test_an_answer_that_was_not_stored_is_in_doubt(reports: dict[str, Report], name: str) -> None:
    """F04: killed between a submit_sm_resp and its commit; as F03, and the receipt is still taken."""
    assert sum(well(reports, name).account.in_doubt) > 0


def test_a_receipt_is_acknowledged_when_it_is_stored(reports: dict[str, Report]) -> None:
    """F05: killed around the commit of a deliver_sm: the carrier repeats what was not stored."""
    well(reports, "receipts")


def test_a_kill_during_recovery_changes_nothing(reports: dict[str, Report]) -> None:
    """F01: killed while events are read again, and while doubts are judged, several times in a row."""
    well(reports, "recoveries")


def test_every_point_is_struck() -> None:
    """At least twenty kills; no fail-point is left out."""
    assert KILLS >= 20
    assert set(POINTS) <= {name for names in SCENARIOS.values() for name in names}


def whole() -> tuple[Any, Any, Any]:
    """Return the ledgers of client, carriers and store about one delivered transactional message."""
    place = ("t1", 0)
    copy = SimpleNamespace(account="plain", message_id=b"1", statuses=(0,), receipts=(2,), acknowledged=(0,))
    client = SimpleNamespace(asked={"t1"}, accepted={"t1": {"id"}})
    carriers = SimpleNamespace(copies={place: [copy]}, submits=Counter({place: 1}))
    stored = SimpleNamespace(
        ids={"t1": ["id"]},
        segments={"t1": 1},
        classes={"t1": 1},
        ends={"t1": [(Outcome.DELIVERED, Reason.RECEIPT)]},
        corrected={},
        last={place: EventKind.SUBMITTED},
        claims=Counter({place: 1}),
        receipted={place},
        parked=set(),
        duplicate_numbers=0,
        projected={"t1": Outcome.DELIVERED},
    )
    return client, carriers, stored


def complaints(ledgers: tuple[Any, Any, Any]) -> list[str]:
    """Reconcile."""
    return Account().at_end(*cast(Any, ledgers))


def test_ledgers_that_agree_have_no_complaint() -> None:
    """The oracle's own zero."""
    assert complaints(whole()) == []


@pytest.mark.parametrize(
    ("ledger", "change", "complaint"),
    [
        (0, {"accepted": {"t1": {"other"}}}, "is not stored so"),
        (0, {"accepted": {}}, "never accepted"),
        (1, {"submits": Counter({("t1", 0): 2})}, "written 2 times and claimed 1"),
        (1, {"copies": {}}, "said to be delivered"),
        (2, {"ends": {"t1": []}}, "0 outcomes"),
        (2, {"ends": {"t1": [(Outcome.DELIVERED, Reason.RECEIPT)] * 2}}, "2 outcomes"),
        (2, {"ends": {"t1": [(Outcome.UNKNOWN, Reason.UNANSWERED)]}}, "was never in doubt"),
        (2, {"ends": {"t1": [(Outcome.EXPIRED, Reason.DEADLINE)]}}, "ended as EXPIRED"),
        (2, {"ids": {"t1": ["id", "other"]}}, "became 2 messages"),
        (2, {"receipted": set()}, "acknowledged and is not stored"),
        (2, {"duplicate_numbers": 1}, "share a number"),
        (2, {"projected": {}}, "the projection says None"),
    ],
)
def test_a_ledger_that_disagrees_is_seen(ledger: int, change: dict[str, Any], complaint: str) -> None:
    """Each complaint has been seen to be made."""
    ledgers = whole()
    vars(ledgers[ledger]).update(change)
    assert complaint in "\n".join(complaints(ledgers))


def test_a_copy_too_many_is_seen() -> None:
    """Two copies without a kill in between; of marketing even with one."""
    client, carriers, stored = whole()
    carriers.copies["t1", 0] *= 2
    stored.claims["t1", 0] = 2
    assert "came 2 times, in doubt 0 times" in "\n".join(complaints((client, carriers, stored)))
    account = Account(doubts=Counter({("t1", 0): 1}), in_doubt=[1])
    assert account.at_end(client, carriers, stored) == []
    stored.classes["t1"] = 3
    assert "marketing and came 2 times" in "\n".join(account.at_end(client, carriers, stored))
