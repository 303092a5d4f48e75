"""What is quoted is what was measured: tables in READMEs equal the committed files."""

from pathlib import Path

import pytest

from bench.machine import ROOT
from bench.publish import HISTORY, PUBLISHED, READMES, Makers, filled, places, publish, put, tables
from bench.results import read
from bench.run import TIERS

MAKERS: Makers = {name: tier.readme for name, tier in TIERS.items()}
RESULTS = {path.stem: read(path) for path in sorted((ROOT / PUBLISHED).glob("*.json"))}


@pytest.mark.parametrize("readme", READMES)
def test_tables_are_of_the_committed_files(readme: str) -> None:
    """Made anew they are the same; each place has something to show."""
    text = (ROOT / readme).read_text("utf-8")
    made = tables(MAKERS)
    assert places(text)
    assert set(places(text)) <= set(made)
    assert filled(text, made) == text


def test_nothing_is_committed_that_nobody_sees() -> None:
    """Each committed result has a place, is a whole run, and says of what commit."""
    seen = [name for readme in READMES for name in places((ROOT / readme).read_text("utf-8"))]
    assert sorted(seen) == sorted([*RESULTS, HISTORY])
    assert not [tier for tier, result in RESULTS.items() if result["quick"]]
    assert all(result["run"].get("commit") for result in RESULTS.values())


def test_publishing(tmp_path: Path) -> None:
    """A table goes to its place and nowhere else; a quick run goes nowhere."""
    text = "a\n<!-- table: {0}, made -->\n<!-- end of {0} -->\nb\n"
    for name in READMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text.format("engine") + text.format("soak"), "utf-8")
    tier, result = next(iter(RESULTS.items()))
    result["tier"] = tier
    makers: Makers = {tier: lambda result: "| table |"}
    assert "quick" in publish({**result, "quick": True}, makers, tmp_path)
    assert not (tmp_path / PUBLISHED).exists()
    assert f"{tier} was published" in publish(result, makers, tmp_path)
    assert read(tmp_path / PUBLISHED / f"{tier}.json") == result
    put({"engine": "| table |"}, tmp_path)
    assert put({"engine": "| table |"}, tmp_path) == "no README has changed"
    made = (tmp_path / READMES[0]).read_text("utf-8")
    assert made == text.format("engine").replace(" -->\n<!-- e", " -->\n| table |\n<!-- e") + text.format(
        "soak"
    )
    with pytest.raises(ValueError, match="ends as"):
        filled("<!-- table: engine, x -->\n<!-- end of soak -->", {})
