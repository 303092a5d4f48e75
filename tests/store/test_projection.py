"""The projection says what the journal says, however the journal is sliced, and can be made again."""

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest

from dispatcher._ext.events import EventBuffer
from dispatcher.errors import StoreError
from dispatcher.model import EventKind, Message, Outcome, Reason
from dispatcher.store import projection as module
from dispatcher.store.journal import Journal, Row
from dispatcher.store.known import KnownKeys
from dispatcher.store.projection import PAGE_OCTETS, PROJECTION, Projection, Status, delete
from tests.store.conftest import NOW_MS, commit, message, row_of, running

DELIVERED = Outcome.DELIVERED << 16 | Reason.RECEIPT
UNDELIVERED = Outcome.UNDELIVERED << 16 | Reason.RECEIPT


def nobody(*row: int) -> None:
    """No row is damaged here."""
    raise AssertionError(row)


class Story:
    """Messages and events, as they are appended, and what should be known of each."""

    def __init__(self) -> None:
        self.expected: dict[int, dict[str, Any]] = {}
        self.events = EventBuffer()

    def accept(self, *messages: Message) -> Row:
        """Messages are accepted."""
        for each in messages:
            names = (
                "n",
                "message_id",
                "to",
                "sender",
                "client_ref",
                "source",
                "traffic_class",
                "segments",
                "accepted_ms",
            )
            known = {name: getattr(each, name) for name in (*names, "key_hash", "body_hash")}
            known |= {"carrier": each.carriers[0], "outcome": 0, "reason": 0, "finished_ms": 0, "trail": b""}
            self.expected[each.n] = known
        return row_of(messages)

    def happens(
        self, kind: EventKind, n: int, at_ms: int, carrier: int = 0, code: int = 0, tail: bytes = b""
    ) -> None:
        """Something happens to one."""
        single = EventBuffer()
        for buffer in (single, self.events):
            buffer.add(kind, n, at_ms, 0, carrier, code, tail)
        if (known := self.expected.get(n)) is not None:
            known["trail"] += single.take()[1]
            if carrier:
                known["carrier"] = carrier
            if kind in (EventKind.FINISHED, EventKind.CORRECTED):
                known |= {"outcome": code >> 16, "reason": code & 0xFFFF, "finished_ms": at_ms}

    def row(self) -> Row:
        """What happened since the last row."""
        count, body = self.events.take()
        return Row(0, 0, 0, count, body)

    def known(self, n: int) -> Status:
        """What should be known."""
        return Status(**self.expected[n])


async def tell(journal: Journal, story: Story, count: int, sender: str = "Bank") -> None:
    """Many messages, some of which live in one commit, some over many, some for ever."""
    random = Random(7)
    living: list[int] = []
    for n in range(1, count + 1):
        rows = [
            story.accept(
                message(
                    n,
                    carriers=(1 + n % 3,),
                    sender=sender,
                    client_ref=None if n % 5 == 0 else f"ref-{n // 3}",
                    source="core" if n % 2 else "",
                )
            )
        ]
        living.append(n)
        for other in random.sample(living, min(3, len(living))):
            story.happens(EventKind.CLAIMED, other, NOW_MS + n, 2, 1, b"\1\1")
            story.happens(EventKind.SUBMITTED, other, NOW_MS + n, 2, 0, bytes(range(200, 216)) + b"\0")
            if random.random() < 0.7:
                story.happens(EventKind.FINISHED, other, NOW_MS + n, 3, DELIVERED)
                living.remove(other)
        story.happens(EventKind.PARKED, 0, NOW_MS, 1, 0, b"key")
        if n % 5 == 0:
            story.happens(EventKind.RECEIPTED, 2, NOW_MS + n, 0)  # whether or not it has ended
        if n % 7 == 0:
            story.happens(EventKind.CORRECTED, 1, NOW_MS + n, 1, UNDELIVERED)
        await commit(journal, *rows, story.row())


@pytest.mark.parametrize("most_rows", [1, 3, 1000])
def test_it_says_what_the_journal_says(most_rows: int, tmp_path: Path) -> None:
    """Row by row, in slices or at once: every message with its last carrier, its outcome and all its
    events."""
    story = Story()

    async def scene() -> None:
        async with running(tmp_path) as journal:
            await tell(journal, story, 60)

    asyncio.run(scene())
    projection = Projection(tmp_path, nobody)
    while projection.catch_up(most_rows):
        pass
    for n in range(1, 61):
        assert projection.lookup(n) == story.known(n), n
    assert projection.lookup(61) is None
    projection.close()


def test_a_lookup_is_truthful_while_the_journal_goes_on(tmp_path: Path) -> None:
    """What is committed is found, by number, reference and recipient, without anybody folding first."""
    story = Story()

    async def scene() -> None:
        async with running(tmp_path) as journal:
            projection = Projection(tmp_path, nobody)
            await commit(journal, story.accept(message(1), message(2, to="79000000001", client_ref="ref-1")))
            assert projection.lookup(1) == story.known(1)
            story.happens(EventKind.FINISHED, 2, NOW_MS, 1, DELIVERED)
            await commit(journal, story.row())
            assert projection.by_number("79000000001", 10) == [story.known(2), story.known(1)]
            await commit(journal, story.accept(message(3, client_ref="ref-1"), message(4, client_ref=None)))
            assert [each.n for each in projection.by_client_ref("ref-1", 10)] == [3, 2, 1]
            assert [each.n for each in projection.by_client_ref("ref-1", 1, before_n=3)] == [2]
            assert projection.by_client_ref("ref", 10) == []
            projection.close()

    asyncio.run(scene())


def test_what_lies_far_apart_is_found_newest_first(tmp_path: Path) -> None:
    """Look-ups go from part to part of the table, and end where enough is found."""
    numbers = [1, 2, 65_535, 65_536, 70_000, 200_000, 1 << 38]
    story = Story()

    async def scene() -> None:
        async with running(tmp_path) as journal:
            for n in numbers:
                to, source = "79000000001", "core" if n % 2 else ""
                one = message(n, to=to, client_ref="ref", source=source)
                await commit(journal, story.accept(one, message(n + 5, client_ref="else")))
            projection = Projection(tmp_path, nobody)
            by_ref, by_number = projection.by_client_ref, projection.by_number
            assert [each.n for each in by_ref("ref", 100)] == numbers[::-1]
            assert [each.n for each in by_number("79000000001", 100)] == numbers[::-1]
            assert [each.n for each in by_ref("ref", 3, 200_000)] == [70_000, 65_536, 65_535]
            assert [each.n for each in by_number("79000000001", 100, 65_536, "core")] == [65_535, 1]
            assert projection.by_number("79000000002", 5) == []
            assert projection.by_client_ref("else", 1) == [story.known((1 << 38) + 5)]
            projection.close()

    asyncio.run(scene())


def test_keys_are_found_by_their_hashes(tmp_path: Path) -> None:
    """All 64 bits count; of several messages the newest is told; 0 is no key."""
    keys = [2**64 - 1, 2**63, 2**63 - 1, 1]
    story = Story()

    async def scene() -> None:
        async with running(tmp_path) as journal:
            messages = [
                message(n, key_hash=key, body_hash=2**64 - n) for n, key in enumerate([*keys, 1, 0], 1)
            ]
            await commit(journal, story.accept(*messages))
            projection = Projection(tmp_path, nobody)
            known = KnownKeys(tmp_path)
            assert known.find(keys, 1) is None, "nothing is folded yet"
            projection.refresh()
            assert known.find(keys, 7) is None, "there is no message 7"
            found = known.find([*keys, 0, 5], 6)
            known.close()
            assert found == {
                2**64 - 1: (1, 2**64 - 1),
                2**63: (2, 2**64 - 2),
                2**63 - 1: (3, 2**64 - 3),
                1: (5, 2**64 - 5),
            }
            assert projection.lookup(1) == story.known(1)
            projection.close()

    asyncio.run(scene())


@pytest.mark.parametrize("damage", ["deleted", "garbage", "another journal's", "ahead", "another format"])
def test_one_that_does_not_fit_is_made_again(damage: str, tmp_path: Path) -> None:
    """Deleted, damaged, of another journal, of a journal that was restored: it begins anew and says the
    same."""
    story, other = Story(), Story()

    async def write(folder: Path, story: Story, count: int, sender: str = "Bank") -> None:
        async with running(folder) as journal:
            await tell(journal, story, count, sender)

    folder = tmp_path / "store"
    asyncio.run(write(folder, story, 10))
    path = folder / PROJECTION
    if damage == "garbage":
        path.write_bytes(b"garbage" * 10_000)
    else:
        source = tmp_path / "other" if damage == "another journal's" else folder
        if damage == "another journal's":
            asyncio.run(write(source, other, 4, "Other bank"))
        projection = Projection(source, nobody)
        projection.catch_up()
        projection.close()
        if source != folder:
            (source / PROJECTION).rename(path)
        change = {
            "ahead": "UPDATE meta SET value = 999 WHERE key = 'seq'",
            "another format": "PRAGMA user_version = 9",
        }
        if damage in change:
            connection = apsw.Connection(str(path))
            connection.execute(change[damage])
            connection.close()
    if damage == "deleted":
        delete(folder)
    projection = Projection(folder, nobody)
    assert [projection.lookup(n) for n in range(1, 11)] == [story.known(n) for n in range(1, 11)]
    projection.close()


def test_a_damaged_page_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    """What cannot be read is never told as if it were not there."""
    story = Story()

    async def scene() -> None:
        async with running(tmp_path) as journal:
            await tell(journal, story, 30)

    asyncio.run(scene())
    projection = Projection(tmp_path, nobody)
    projection.catch_up()
    projection.close()
    path = tmp_path / PROJECTION
    connection = apsw.Connection(str(path))
    page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'message'").get
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE_OCTETS)
        file.write(b"\xff" * PAGE_OCTETS)
    projection = Projection(tmp_path, nobody)
    with pytest.raises(StoreError, match="`dispatcher rebuild` makes it anew"):
        projection.lookup(1)
    projection.close()


def test_old_messages_go_when_they_have_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By age, a few at a time, and never one that has no outcome; what happens to one that is gone is passed
    over."""
    monkeypatch.setattr(module, "TRIM_ROWS", 3)
    story = Story()

    async def scene() -> None:
        async with running(tmp_path) as journal:
            await commit(journal, story.accept(*map(message, range(1, 11))))
            for n in (1, 2, 3, 5, 6, 7, 8):
                story.happens(EventKind.FINISHED, n, NOW_MS, 1, DELIVERED)
            await commit(journal, story.row())
            projection = Projection(tmp_path, nobody)
            projection.catch_up()
            assert projection.finished([1, 2, 3, 4, 99]) == {1, 2, 3, 99}
            before_ms = message(6).accepted_ms
            assert [projection.trim(before_ms) for _ in range(4)] == [3, 1, 0, 0]
            left = [n for n in range(1, 11) if projection.lookup(n)]
            assert left == [4, 6, 7, 8, 9, 10]
            assert projection.by_client_ref("ref-5", 10) == []
            assert projection.by_client_ref("ref-6", 10) == [story.known(6)]
            story.happens(EventKind.CORRECTED, 1, NOW_MS, 1, UNDELIVERED)
            await commit(journal, story.row())
            assert projection.lookup(1) is None
            projection.close()

    asyncio.run(scene())
