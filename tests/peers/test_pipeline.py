"""The pipeline's bench: every flow runs, its ledgers agree, and its tables say what was found."""

from pathlib import Path

import pytest

from bench import pipeline, pipeline_tables
from bench.arena import FailedError
from bench.compare import compare
from bench.flows.house import Job, percentile
from bench.pipeline import SKETCH_NS, Effort, run_tier, stage_prices
from bench.results import read, save

BRIEF = Effort(((1, 100),), 0.1, 0.4, 0.2, 0.2, 20_000, 20_000)


def test_all_flows(tmp_path: Path) -> None:
    """None rots: nothing is lost (or the tier raises), every price is there, and a file of it compares."""
    said: list[str] = []
    save(run_tier(BRIEF, True, said.append), tmp_path / "pipeline.json")
    result = read(tmp_path / "pipeline.json")
    rows = {(row["corpus"], row["side"]): row for row in result["rows"]}
    assert all(row["median"] > 0 and min(row["yardstick"]) > 0 for row in rows.values())
    assert {("1 x 100", "CPU"), ("stages", "receipt"), ("backlog 0", "CPU"), ("restart", "accepting")} <= set(
        rows
    )
    assert list(result["flows"]) == [*said[:1], "stages", "backlog"]
    assert not [each for each in compare(result, result) if each.bad]
    prices = stage_prices(result["flows"])
    assert set(prices) == set(SKETCH_NS)
    assert sum(prices.values()) == pytest.approx(result["flows"]["1 x 100"]["cpu_ns"])
    table = pipeline_tables.terminal(result)
    assert all(word in table for word in ("1 x 100", "kill -9", *SKETCH_NS, "Not for quoting"))


def test_a_ledger_that_disagrees(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flow that sent one message twice, or lost one, has no figures."""

    class Ledger:
        def totals(self, account: str) -> dict[str, object]:
            return {"submits": 3, "responses": {"0": 3}, "acknowledged": {"0": 3}}

    monkeypatch.setattr(pipeline, "sleep", lambda seconds: None)
    for accepted, finished in ((3, 3), (2, 2), (3, 2)):
        told = {"accepted": accepted, "refused": 0, "proof": {"finished": finished}}
        if accepted == finished == 3:
            assert pipeline._agree(Ledger(), told)["submits"] == 3  # type: ignore[arg-type]
        else:
            with pytest.raises(FailedError, match=f"{accepted} accepted"):
                pipeline._agree(Ledger(), told)  # type: ignore[arg-type]


def test_sketch_is_what_we_aim_at() -> None:
    """The stages of the sketch add up to the price that gives 200,000 segments a second."""
    assert sum(sketch for _, sketch in SKETCH_NS.values()) == pipeline.AIM_NS == 1e9 / 200_000


def test_percentiles() -> None:
    """The value that such a share does not exceed; the last one is the greatest."""
    values = list(range(100, 0, -1))
    assert [percentile(values, share) for share in (0, 0.5, 0.99, 1)] == [1, 51, 100, 100]
    assert percentile([], 0.5) == 0


def test_a_job_travels() -> None:
    """A flow's process gets what it is to do as JSON."""
    command = pipeline._command("rate", Job(binds=3))
    assert command[-2] == "rate"
    assert '"binds":3' in command[-1]
