"""F22: an octet is flipped, anywhere: it is seen, it costs what it is in, and nothing else; nothing garbled
is read."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import apsw
import pytest

from dispatcher.__main__ import main
from dispatcher.errors import StoreError
from dispatcher.store.audit import audit
from dispatcher.store.reader import Reader
from dispatcher.store.records import EVENTS_STREAM, StoredRow
from dispatcher.store.repair import DAMAGED, repair
from dispatcher.store.schema import JOURNAL, PAGE_OCTETS
from tests.store.conftest import commit, events, message, opened, row_of, running

FLIPS = int(os.environ.get("DISPATCHER_FLIPS", "300"))
"""How many octets are flipped, one at a time; 0: every one in turn, which is the long form."""
SEED = int(os.environ.get("DISPATCHER_SEED", "1"))

Rows = dict[int, StoredRow]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Rows]:
    """The octets of a store with small and large rows of three streams, and its rows."""
    folder = tmp_path_factory.mktemp("sample")

    async def scene() -> None:
        async with running(folder) as journal:
            other = journal.stream("2")
            journal.carrier("north")
            for n in range(1, 31, 2):
                await commit(journal, row_of([message(n)]), row_of([message(n + 1, text="y" * 300)], other))
                await commit(journal, events(n, n + 1))
            await commit(journal, row_of([message(100, text="z" * 9_000)]))
            await journal.save_snapshot([b"state"], 5, {})

    asyncio.run(scene())
    assert [path.name for path in folder.iterdir() if path.name.startswith("journal")] == [JOURNAL]
    return (folder / JOURNAL).read_bytes(), dict(rows_of(folder)[0])


def flips(octets: bytes) -> Iterator[bytes]:
    """Yield copies with one octet changed, each at another place."""
    random = Random(SEED)
    places = range(len(octets)) if not FLIPS else random.sample(range(len(octets)), FLIPS)
    for at in places:
        yield octets[:at] + bytes([octets[at] ^ (1 << random.randrange(8))]) + octets[at + 1 :]


def put(folder: Path, octets: bytes) -> None:
    """Make a store of these octets."""
    for path in folder.iterdir():
        path.unlink()
    (folder / JOURNAL).write_bytes(octets)


def rows_of(folder: Path) -> tuple[Rows, set[int]]:
    """Read all rows as the projection and the audit do; return them, and which were reported."""
    reported: set[int] = set()
    reader = Reader(folder, lambda seq, stream, first, last: reported.add(seq))
    rows: Rows = {}
    try:
        seq = 0
        while some := reader.rows(seq, 1):
            rows |= {row.seq: row for row in some}
            seq = some[-1].seq
    finally:
        reader.close()
    return rows, reported


def test_f22_what_is_read_is_what_was_written(sample: tuple[bytes, Rows], tmp_path: Path) -> None:
    """Whatever octet is flipped: every row that is read is right, and every other one is reported."""
    octets, expected = sample
    refused = lossless = 0
    for flipped in flips(octets):
        put(tmp_path, flipped)
        try:
            rows, reported = rows_of(tmp_path)
        except (StoreError, apsw.Error):
            refused += 1
            continue
        assert rows.items() <= expected.items()
        assert expected.keys() - rows.keys() <= reported
        lossless += rows == expected
    assert refused < 0.1 * (FLIPS or len(octets))
    assert lossless > 0


def test_f22_a_journal_that_opens_hides_nothing(sample: tuple[bytes, Rows], tmp_path: Path) -> None:
    """A journal that opens gives its streams and its names as they were, but for rows that are reported."""
    octets, expected = sample
    for flipped in flips(octets):
        put(tmp_path, flipped)
        reported: set[int] = set()
        try:
            journal = opened(tmp_path, on_corrupt=lambda seq, *row: reported.add(seq))  # noqa: B023
        except StoreError:
            continue
        reader = journal.reader()
        try:
            found: Rows = {}
            for stream in journal.stream("1"), journal.stream("2"):
                after_n = 0
                while rows := reader.stream(stream, after_n, 1):
                    found |= {row.seq: row for row in rows}
                    after_n = rows[-1].last
            found |= {row.seq: row for row in reader.event_rows(0)}
            assert found.items() <= expected.items()
            assert expected.keys() - found.keys() <= reported
            assert journal.carrier_name(1) == "north"
        except apsw.Error:
            pass
        finally:
            reader.close()
            asyncio.run(journal.close())


def test_f22_repair_loses_the_damaged_row_and_no_other(sample: tuple[bytes, Rows], tmp_path: Path) -> None:
    """Repaired, a store has all its rows and names but at most one row, and opens; the damage is kept beside
    it. In the place of the lost row may be one that says who is in doubt."""
    octets, expected = sample
    for flipped in list(flips(octets))[: FLIPS // 4 or None]:
        put(tmp_path, flipped)
        repaired = repair(tmp_path)
        rows, reported = rows_of(tmp_path)
        lost = {seq for seq in expected if rows.get(seq) != expected[seq]}
        assert len(lost) <= 1
        assert rows.keys() <= expected.keys()
        assert all(rows[seq].stream == EVENTS_STREAM for seq in rows.keys() & lost)
        unsaid = lost - rows.keys() - {len(expected)}  # nobody knows of a last one
        assert reported == set(repaired.lost) == unsaid
        assert (tmp_path / DAMAGED).read_bytes() == flipped
        journal = opened(tmp_path)
        assert (journal.stream("1"), journal.stream("2"), journal.carrier("north")) == (1, 2, 1)
        reader = journal.reader()
        assert reader.last_n() > 100
        reader.close()
        asyncio.run(journal.close())


def test_f22_the_audit_and_the_command_name_it(
    sample: tuple[bytes, Rows], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row that is damaged is named by the audit and by repair; after it, only its loss is."""
    octets, expected = sample
    seq = next(seq for seq, row in expected.items() if b"Code 5" in row.body)
    put(tmp_path, octets.replace(b"Code 5", b"Cude 5"))  # and what SQLite left of it on other pages
    assert audit(tmp_path).wrong["damaged row"] == 1
    assert main(["repair", str(tmp_path)]) == 65
    said = capsys.readouterr()
    assert f"1 rows are lost: {seq}\n" in said.err
    assert f"{len(expected) - 1} rows are whole" in said.out
    assert audit(tmp_path).wrong["damaged row"] == 1
    assert "damaged file" not in audit(tmp_path).wrong


def test_a_repair_brings_in_what_stands_in_the_wal(tmp_path: Path) -> None:
    """After kill -9 the newest commits stand in the WAL only; a damaged page in the file does not keep them
    out."""
    folder = tmp_path / "store"
    (tmp_path / "left").mkdir()

    async def scene() -> None:
        async with running(folder) as journal:
            for n in range(1, 21):
                await commit(journal, row_of([message(n)]))
            for name in (JOURNAL, f"{JOURNAL}-wal"):
                (tmp_path / "left" / name).write_bytes((folder / name).read_bytes())

    asyncio.run(scene())
    assert repair(tmp_path / "left").rows == 20
    assert {row.first for row in rows_of(tmp_path / "left")[0].values()} == set(range(1, 21))


def test_what_holds_nothing_cannot_be_repaired(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Zeros, an empty folder, a store in use: said in a line, and left as they are."""
    assert main(["repair", str(tmp_path)]) == 69
    (tmp_path / JOURNAL).write_bytes(bytes(10 * PAGE_OCTETS))
    assert main(["repair", str(tmp_path)]) == 69
    assert "holds nothing that can be read" in capsys.readouterr().err
    assert (tmp_path / JOURNAL).read_bytes() == bytes(10 * PAGE_OCTETS)
    journal = opened(tmp_path / "open")
    assert main(["repair", str(tmp_path / "open")]) == 69
    assert "is in use" in capsys.readouterr().err
    asyncio.run(journal.close())


def test_a_leaf_whose_header_is_gone_is_read_all_the_same(sample: tuple[bytes, Rows], tmp_path: Path) -> None:
    """F22: the header and the pointers of a page of rows are overwritten: its rows are found by trying."""
    octets, expected = sample
    body = next(row.body for row in expected.values() if b"yyy" in row.body)
    start = octets.index(body) // PAGE_OCTETS * PAGE_OCTETS
    put(tmp_path, octets[:start] + bytes(32) + octets[start + 32 :])
    assert len(rows_of(tmp_path)[0]) < len(expected)
    assert repair(tmp_path).lost == []
    assert rows_of(tmp_path) == (expected, set())


@pytest.mark.parametrize(
    ("damaged", "is_read"), [("AND copy = 0", True), ("AND copy = 1", True), ("", False)]
)
def test_a_damaged_name_is_never_taken_for_another(damaged: str, is_read: bool, tmp_path: Path) -> None:
    """F22: one copy of a name is enough; with none the journal does not open, and what waits is not
    forgotten."""

    async def scene() -> None:
        async with running(tmp_path) as journal:
            journal.carrier("north")
            journal.carrier("south")
            await commit(journal, events(1))

    asyncio.run(scene())
    connection = apsw.Connection(str(tmp_path / JOURNAL))
    connection.execute(f"UPDATE name SET name = 'nprth' WHERE name = 'north' {damaged}")
    connection.close()
    if not is_read:
        with pytest.raises(StoreError, match="a name of a carrier is damaged"):
            opened(tmp_path)
        return
    journal = opened(tmp_path)
    assert (journal.carrier("north"), journal.carrier("south"), journal.carrier("nprth")) == (1, 2, 3)
    asyncio.run(journal.close())
