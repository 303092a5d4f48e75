"""The audit counts what is there, and names what cannot be."""

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import apsw
import pytest

from dispatcher.__main__ import main
from dispatcher._ext.events import EventBuffer
from dispatcher.model import EventKind, Message, Outcome, Reason
from dispatcher.store.audit import Audit, audit
from dispatcher.store.journal import Journal, Row
from dispatcher.store.retention import trim
from dispatcher.store.schema import JOURNAL
from dispatcher.store.states import AWAITING, FINISHED, IN_FLIGHT, WAITING
from tests.store.conftest import NOW_MS, commit, message, row_of, running

DELIVERED = Outcome.DELIVERED << 16 | Reason.RECEIPT
REJECTED = Outcome.REJECTED << 16 | Reason.REFUSED
K = EventKind
NOBODY = 65534

Step = tuple[EventKind, int] | tuple[EventKind, int, int] | tuple[EventKind, int, int, int]
"""Kind, n, segment, code."""


def row(*steps: Step) -> Row:
    """A row of events of carrier 1."""
    buffer = EventBuffer()
    for kind, n, *rest in steps:
        segment, code = [*rest, 0, 0][:2]
        buffer.add(kind, n, NOW_MS, segment, 1, code)
    count, body = buffer.take()
    return Row(0, 0, 0, count, body)


def story(folder: Path, messages: list[Message], *steps: Step) -> Audit:
    """Accept messages, let things happen to them, and audit."""

    async def scene() -> Audit:
        async with running(folder) as journal:
            journal.carrier("north")
            await commit(journal, row_of(messages))
            if steps:
                await commit(journal, row(*steps))
            return audit(folder)  # while it runs

    running_result = asyncio.run(scene())
    result = audit(folder)
    assert result == running_result
    return result


def test_every_state_is_counted(tmp_path: Path) -> None:
    """Waiting, in flight, awaiting and finished, by class, carrier, outcome and reason; they add up."""
    result = story(
        tmp_path,
        [message(n, traffic_class=n % 2, segments=2 if n == 7 else 1) for n in range(1, 11)],
        (K.CLAIMED, 2, 0, 1),
        (K.CLAIMED, 3, 0, 1), (K.SUBMITTED, 3),
        (K.CLAIMED, 4, 0, 1), (K.SUBMITTED, 4), (K.RECEIPTED, 4), (K.FINISHED, 4, 255, DELIVERED),
        (K.CLAIMED, 5, 0, 1), (K.REFUSED, 5, 0, 8), (K.RETRY, 5),
        (K.CLAIMED, 6, 0, 1), (K.UNANSWERED, 6), (K.CLAIMED, 6, 0, 2), (K.SUBMITTED, 6, 0, 1 << 16),
        (K.SUBMITTED, 6), (K.RECEIPTED, 6, 0, 256 + 6),
        (K.CLAIMED, 7, 0, 1), (K.CLAIMED, 7, 1, 1), (K.SUBMITTED, 7, 0), (K.FAILED, 7, 1, REJECTED),
        (K.FINISHED, 8, 255, REJECTED), (K.CORRECTED, 8, 255, DELIVERED),
        (K.CLAIMED, 9, 0, 1), (K.RECEIPTED, 9), (K.SUBMITTED, 9), (K.REROUTED, 9, 255),
        (K.PARKED, 0), (K.ORPHANED, 0),
    )  # fmt: skip
    assert result.is_right, result.named
    assert (result.accepted, result.segments, result.events, result.rows, result.parked) == (10, 11, 28, 2, 1)
    assert result.states == {WAITING: 4, IN_FLIGHT: 1, AWAITING: 3, FINISHED: 2}  # 1 5 9 10, 2, 3 6 7, 4 8
    assert result.classes == {
        "authorization": {IN_FLIGHT: 1, FINISHED: 2, AWAITING: 1, WAITING: 1},
        "transactional": {WAITING: 3, AWAITING: 2},
    }
    assert result.carriers == {"north": result.states}
    assert result.outcomes == {"delivered": 2}
    assert result.reasons == {"receipt": 2}


FINISHED_1: list[Step] = [(K.CLAIMED, 1), (K.SUBMITTED, 1), (K.FINISHED, 1, 255, DELIVERED)]


@pytest.mark.parametrize(
    ("steps", "complaint"),
    [
        ([*FINISHED_1, (K.FINISHED, 1, 255, DELIVERED)], "FINISHED after it had finished"),
        ([*FINISHED_1, (K.CLAIMED, 1)], "CLAIMED after it had finished"),
        ([(K.CORRECTED, 1, 255, DELIVERED)], "CORRECTED before it had finished"),
        ([(K.SUBMITTED, 1)], "SUBMITTED after UNSENT"),
        ([(K.CLAIMED, 1), (K.CLAIMED, 1)], "CLAIMED after CLAIMED"),
        ([(K.CLAIMED, 1), (K.SUBMITTED, 1), (K.CLAIMED, 1)], "CLAIMED after SUBMITTED"),
        ([(K.UNANSWERED, 1)], "UNANSWERED after UNSENT"),
        ([(K.SUBMITTED, 9)], "SUBMITTED of an unknown message"),
        ([(K.CLAIMED, 1, 3)], "CLAIMED of a segment that it does not have"),
    ],
)
def test_what_cannot_be_is_named(steps: list[Step], complaint: str, tmp_path: Path) -> None:
    """One wrong event is one complaint, with the message and the row; the sum still holds."""
    result = story(tmp_path, [message(1), message(2)], *steps)
    assert result.wrong == {complaint: 1}
    assert f"message {steps[-1][1]}, " in result.named[0]
    assert "in row 2" in result.named[0]
    assert sum(result.states.values()) == result.accepted == 2
    assert not result.is_right


def test_a_message_that_was_accepted_twice_is_named(tmp_path: Path) -> None:
    """Numbers are given once."""

    async def scene() -> None:
        async with running(tmp_path) as journal:
            await commit(journal, row_of([message(1)]))
            await commit(journal, row_of([message(1)]))
            await commit(journal, Row(1, 5, 6, 1, row_of([message(7)]).body))
            await commit(journal, Row(0, 0, 0, 7, row((K.CLAIMED, 1)).body))

    asyncio.run(scene())
    result = audit(tmp_path)
    assert result.wrong == {"accepted twice": 1, "out of the bounds of its row": 1, "miscounted row": 1}
    assert result.accepted == 2


def test_damaged_rows_are_named_and_the_others_counted(tmp_path: Path) -> None:
    """F22: a row that is changed, and one that is gone, are each named by its seq."""

    async def scene() -> None:
        async with running(tmp_path) as journal:
            for n in range(1, 7):
                await commit(journal, row_of([message(n)]))

    asyncio.run(scene())
    connection = apsw.Connection(str(tmp_path / JOURNAL))
    connection.execute("UPDATE journal SET body = zeroblob(length(body)) WHERE seq = 3")
    connection.execute("DELETE FROM journal WHERE seq IN (5, 6)")
    connection.execute("INSERT INTO journal SELECT 7, at_ms, 1, 7, 7, 1, 0, x'' FROM journal WHERE seq = 1")
    connection.close()
    result = audit(tmp_path)
    assert result.wrong == {"damaged row": 4}
    assert sorted(each.split()[2] for each in result.named) == ["3", "5", "6", "7"]
    assert result.accepted == 3


def test_what_is_trimmed_is_no_complaint(tmp_path: Path) -> None:
    """Events of messages that are gone from the journal are counted apart."""

    async def finished(numbers: list[int]) -> set[int]:
        return set(numbers)

    async def scene() -> None:
        async with running(tmp_path) as journal:
            await commit(journal, row_of([message(1)]), row(*FINISHED_1))
            await journal.save_snapshot([b"state"], 2, {})
            await commit(journal, row_of([message(2)]))
            assert await trim(journal, finished, NOW_MS + 1, 2) == 2
            await commit(journal, row((K.CORRECTED, 1, 255, DELIVERED)))

    asyncio.run(scene())
    result = audit(tmp_path)
    assert result.is_right, result.named
    assert (result.accepted, result.of_the_past) == (1, 1)


async def two_and_one_finished(journal: Journal) -> None:
    """A small store."""
    journal.carrier("north")
    await commit(journal, row_of([message(1), message(2)]), row(*FINISHED_1))


async def one_too_much(journal: Journal) -> None:
    """A store with a fault."""
    await commit(journal, row_of([message(1)]), row((K.SUBMITTED, 1)))


@pytest.mark.parametrize(
    ("write", "code", "says"),
    [
        (
            two_and_one_finished,
            0,
            "2 accepted = 1 waiting + 0 in flight + 0 in doubt + 0 awaiting receipt + 1 finished",
        ),
        (one_too_much, 1, "WRONG: 1 SUBMITTED after UNSENT"),
    ],
)
def test_the_command_says_it_to_people_and_to_programs(
    write: Callable[[Journal], Awaitable[None]],
    code: int,
    says: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Text, JSON, and an exit code; no text and no number of anybody in any of them."""

    async def scene() -> None:
        async with running(tmp_path) as journal:
            await write(journal)

    asyncio.run(scene())
    assert main(["audit", str(tmp_path)]) == code
    text = capsys.readouterr().out
    assert says in text
    assert main(["audit", "--json", str(tmp_path)]) == code
    out = capsys.readouterr().out
    found = json.loads(out)
    assert found["is_right"] is (code == 0)
    assert found["accepted"] == sum(found["states"].values())
    assert "7900000000" not in text + out
    assert "Code 1" not in text + out


def test_the_commands_name_what_is_no_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without a journal, and a store that is in use, are said in a line."""
    assert main(["audit", str(tmp_path)]) == 66
    assert "holds no journal.db" in capsys.readouterr().err
    assert main(["rebuild", str(tmp_path / "absent")]) == 69
    assert "is no folder" in capsys.readouterr().err

    async def scene() -> None:
        async with running(tmp_path) as journal:
            await two_and_one_finished(journal)
            assert main(["rebuild", str(tmp_path)]) == 69
            assert "is in use by another process" in capsys.readouterr().err

    asyncio.run(scene())
    assert main(["rebuild", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "2 messages from 2 rows\n"
    assert main(["rebuild", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "2 messages from 2 rows\n"


def test_a_store_where_nothing_can_be_written_is_audited(capsys: pytest.CaptureFixture[str]) -> None:
    """A snapshot on a read-only disk: what was closed is read; of what was not, it says what to do."""
    folder = Path(tempfile.mkdtemp())
    is_root = os.geteuid() == 0
    try:

        async def scene() -> None:
            async with running(folder / "closed") as journal:
                await commit(journal, row_of([message(1)]))
                shutil.copytree(folder / "closed", folder / "killed")

        asyncio.run(scene())
        (folder / "killed" / "journal.db-shm").unlink()
        for name in ("closed", "killed"):
            (folder / name).chmod(0o555)
            for each in (folder, folder / name, *(folder / name).iterdir()) if is_root else ():
                os.chown(each, NOBODY, NOBODY)
        if is_root:
            os.seteuid(NOBODY)
        assert main(["audit", str(folder / "closed")]) == 0
        assert "1 accepted = 1 waiting" in capsys.readouterr().out
        assert main(["audit", str(folder / "killed")]) == 66
        assert "journal.db-wal, which cannot be read where nothing can be written: copy both" in (
            capsys.readouterr().err
        )
    finally:
        if is_root:
            os.seteuid(0)
        for name in ("closed", "killed"):
            (folder / name).chmod(0o700)
        shutil.rmtree(folder)
