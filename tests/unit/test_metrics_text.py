"""/metrics as text: written in slices, read as one."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dispatcher.ingest.metrics import RECEIPT_ODD, SESSION_ODD, SLICE, exposition
from dispatcher.model import EventKind
from dispatcher.state import CLASSES, Check
from tests.unit.test_cli_screen import carrier, state, times


def test_slices_make_one_text() -> None:
    """A metric of more values than a slice has its help once, all its values, and each name stands once."""
    count = 30
    many = [
        carrier(
            f"carrier-{number}",
            waited=times(1, number),
            events=dict.fromkeys([kind.name.lower() for kind in EventKind], number),
            sessions=dict.fromkeys(["octets_in", "octets_out", *SESSION_ODD], 1),
        )
        for number in range(count)
    ]
    shown = state(2, 100, many, receipts=dict.fromkeys(["corrected", *RECEIPT_ODD], 4))
    text = asyncio.run(exposition(shown, [Check("stage", True, "running")])).decode()
    heads = [line.split(" ")[:3] for line in text.splitlines() if line.startswith("#")]
    assert len({tuple(head) for head in heads}) == len(heads)
    families = {family.name: family.samples for family in text_string_to_metric_families(text)}
    waited = families["dispatcher_queue_seconds"]
    assert len(waited) > 5 * SLICE
    counts = [sample for sample in waited if sample.name.endswith("_count")]
    assert len(counts) == count * len(CLASSES)
    assert sum(sample.value for sample in counts) == 2 * count
    totals = {sample.labels["carrier"]: sample.value for sample in families["dispatcher_retries"]}
    assert totals == {f"carrier-{number}": number for number in range(count)}


def test_an_unknown_metric_is_not_shown() -> None:
    """What others count has to stand in the table: a KeyError, not a metric that nobody knows."""
    shown = state(2, 100, [], receipts=dict.fromkeys(["corrected", *RECEIPT_ODD], 0), more={"made_up": []})
    with pytest.raises(KeyError, match="made_up"):
        asyncio.run(exposition(shown, []))
