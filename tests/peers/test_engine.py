"""The engine's bench: every side floods, drains and agrees with the ledger; its tables say what was found."""

import pytest

from bench import engine_tables
from bench.arena import Gauge, smsc_of
from bench.clients import encoded, floor, pool, raw
from bench.clients.face import CODES
from bench.engine import C_PAIR, FULL, PEERS, Effort, Race, aimed
from bench.machine import describe_run
from bench.results import Result

BRIEF = Effort(1, 0.02, 0.05, ((4, 100),))


def test_codes_have_60_characters() -> None:
    """As promised, and in the GSM alphabet."""
    assert {len(code) for code in CODES} == {60}
    assert all(code.isascii() for code in CODES)


@pytest.mark.parametrize("receipts", [0, 1])
def test_a_race(receipts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is installed runs, the ledger agrees (or the race raises), and both tables can be made."""
    monkeypatch.setenv("DISPATCHER_BENCH_PATIENCE_S", "0")
    if lacking := floor.missing():
        pytest.skip(lacking.reason)
    with smsc_of(floor.smsc(0)) as smsc:
        race = Race(4, 100, receipts, BRIEF, Gauge(smsc))
        peers = [peer for peer in PEERS if peer.missing() is None]
        rows = race.run(peers)
    sides = [row["side"] for row in rows]
    assert {floor.NAME, pool.NAME, encoded.NAME, raw.NAME, C_PAIR} <= set(sides)
    lost = {peer.NAME for peer in peers} - set(sides)  # some of them, with receipts, on a busy machine
    assert lost <= {failed.partition(" in a run of")[0] for failed in race.failed}
    assert all(row["median"] > 0 and row["cpu_us"] > 0 for row in rows)
    result = Result(
        tier="engine",
        run=describe_run("bench.run"),
        quick=True,
        rounds=1,
        corpora={race.name: ""},
        rows=rows,
        absent={"somebody": "not installed"},
    )
    for table in (engine_tables.terminal(result), engine_tables.readme(result)):
        assert all(side in table for side in sides)
        assert "Absent: somebody: not installed." in table


def test_what_we_aim_at() -> None:
    """Twice the best peer, or three quarters of the floor where that is nearer; and what was promised."""
    assert aimed(1, 10, 0) == 0.75 * 122_290
    assert aimed(1, 100, 0) == 2 * 113_478
    assert (aimed(4, 100, 0), aimed(4, 100, 1), aimed(1, 10, 1)) == (1_500_000, 700_000, 0)
    assert all(aimed(*pair, 0) > 0 for pair in FULL.pairs)
