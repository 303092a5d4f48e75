"""``dispatcher status`` and ``dispatcher events`` over real sockets."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from dispatcher.__main__ import main
from tests.fake_daemon import FakeDaemon

EVENT: dict[str, Any] = {
    "id": "4-1", "type": "message.submitted", "at": "2026-11-24T10:00:01.000Z", "message_id": "id-1",
    "traffic_class": "service", "segments": 1, "segment": 1, "carrier": "north", "smsc_message_id": "AB12",
}  # fmt: skip
MESSAGE: dict[str, Any] = {
    "message_id": "id-1", "state": "sent", "to": "7900***4567", "sender": "Bank", "traffic_class": "service",
    "client_ref": "r 1", "accepted_at": "2026-11-24T10:00:00.000Z",
    "segments": [{"segment": 1, "state": "sent", "carrier": "north", "smsc_message_id": "AB12"}],
    "events": [EVENT],
}  # fmt: skip
ENDED = {"id": "5-1", "type": "message.finished", "at": "2026-11-24T10:00:02.000Z", "outcome": "delivered"}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDaemon]:
    """Return a daemon's door that runs, and to which commands go by themselves."""
    with FakeDaemon().running() as running:
        monkeypatch.setenv("DISPATCHER_URL", running.url)
        yield running


def test_a_message_is_shown_to_a_person(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    """State, segments with carrier and id, events with times; exit code 0."""
    fake.status["/v1/messages/id-1"] = [MESSAGE]
    assert main(["status", "id-1"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "id-1: sent",
        "  service, to 7900***4567, from Bank, client_ref r 1",
        "  accepted 2026-11-24T10:00:00.000Z",
        "  segment 1: sent by north, smsc_message_id AB12",
        "  2026-11-24T10:00:01.000Z  submitted: segment 1, carrier north, smsc message id AB12",
    ]


def test_follow_ends_with_the_outcome(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    """--follow prints each event once, and ends when the message has."""
    ended = {**MESSAGE, "state": "delivered", "finished_at": ENDED["at"], "events": [EVENT, ENDED]}
    fake.status["/v1/messages/id-1"] = [MESSAGE, MESSAGE, ended]
    assert main(["status", "id-1", "--follow"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line for line in out if "Z  " in line] == [
        "  2026-11-24T10:00:01.000Z  submitted: segment 1, carrier north, smsc message id AB12",
        "  2026-11-24T10:00:02.000Z  finished: outcome delivered",
    ]


def test_json_and_searches(fake: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> None:
    """--json prints one object a line; what is not found is exit code 1."""
    fake.status["/v1/messages?client_ref=r+1&limit=100"] = [{"messages": [MESSAGE, MESSAGE], "before": None}]
    fake.status["/v1/messages?to=79001234567&limit=100"] = [{"messages": [], "before": None}]
    assert main(["status", "--client-ref", "r 1", "--json"]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [MESSAGE, MESSAGE]
    assert main(["status", "--to", "+79001234567"]) == 1
    assert main(["status", "nobody"]) == 1
    assert "there is no such message (not_found)" in capsys.readouterr().err


def test_events_are_printed_as_they_come(fake: FakeDaemon, capfd: pytest.CaptureFixture[str]) -> None:
    """One JSON object a line, from a cursor, of the types that were asked for."""
    fake.status["/v1/events?after=3-9&types=submitted%2Cfinished&follow=false"] = [EVENT]
    assert main(["events", "--after", "3-9", "--types", "submitted", "finished"]) == 0
    assert json.loads(capfd.readouterr().out) == EVENT


def test_a_key_is_not_sent_in_the_clear(
    fake: FakeDaemon, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """http:// to another host needs --allow-plain: it would carry the key and the texts."""
    monkeypatch.setenv("DISPATCHER_URL", "http://sms.example.com:8080")
    assert main(["status", "x"]) == 2
    assert "say https://, or --allow-plain" in capsys.readouterr().err
