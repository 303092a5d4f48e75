"""The dashboard and the alert rules name only what /metrics shows, with labels that it has."""

import json
import re
from importlib.resources import files

import pytest

from dispatcher.metrics import HISTOGRAM, METRICS, OTHERS_COUNT

FILES = ("alerts.yaml", "dashboard.json")
NAMED = re.compile(r"\b(dispatcher_[a-z_]+)(?:\{([^}]*)\})?")
BY = re.compile(r"by \(([a-z_, ]+)\)\s*\(+(?:rate|increase)?\(?(dispatcher_[a-z_]+)")


def expressions(name: str) -> list[str]:
    """Return the expressions of a file."""
    text = files("dispatcher.ingest").joinpath(name).read_text("utf-8")
    if name.endswith(".json"):
        return [target["expr"] for panel in json.loads(text)["panels"] for target in panel["targets"]]
    return re.findall(r"expr: (?:>-\n)?((?:.+\n(?: {10}.+\n)*))", text)


def table_name(name: str) -> str:
    """Return the name in the table of a name in an expression."""
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    return base if base in METRICS and METRICS[base].kind == HISTOGRAM else name


def wrong(expression: str) -> list[str]:
    """Return what an expression names that there is not."""
    found = []
    for name, matchers in NAMED.findall(expression):
        if (metric := METRICS.get(table_name(name))) is None:
            found.append(name)
            continue
        labels = re.findall(r"(\w+)\s*(?:=~|!=|=)", matchers)
        found += [f"{name}: {label}" for label in labels if label not in metric.labels]
    for labels, name in BY.findall(expression):
        metric = METRICS.get(table_name(name))
        known = {*(metric.labels if metric else ()), "le"}
        found += [f"{name} by {label}" for label in re.findall(r"\w+", labels) if label not in known]
    return found


@pytest.mark.parametrize("name", FILES)
def test_every_name_is_in_the_table(name: str) -> None:
    """Metrics and labels of each expression exist."""
    some = expressions(name)
    assert len(some) > 10
    assert {each: wrong(each) for each in some if wrong(each)} == {}


def test_a_wrong_name_is_seen() -> None:
    """This check can fail: on a metric, a matcher and a grouping."""
    assert wrong("rate(dispatcher_submitted_total[5m])") == ["dispatcher_submitted_total"]
    assert wrong('dispatcher_queue_messages{account="x"}') == ["dispatcher_queue_messages: account"]
    assert wrong("sum by (le, kind) (rate(dispatcher_queue_seconds_bucket[5m]))") == [
        "dispatcher_queue_seconds_bucket by kind"
    ]


def test_alerts_name_every_kind_of_trouble() -> None:
    """Carriers, codes, store, disk and the process itself have an alert each."""
    text = " ".join(expressions("alerts.yaml"))
    for name in ("dispatcher_bind_up", "dispatcher_ready", "dispatcher_store_up", "dispatcher_queue_seconds"):
        assert name in text
    assert set(OTHERS_COUNT) <= set(METRICS)
