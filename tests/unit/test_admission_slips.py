"""Slips of a program at the door: values of types that cannot be are refused, and cost neighbours nothing."""

from typing import Any

import pytest

from dispatcher.model import Accepted, Refused, SendRequest, TrafficClass
from tests.unit.test_admission import NOW_MS, admission, request

SLIPS: list[tuple[str, Any]] = [
    *(("text", value) for value in (5, b"x", None)),
    *(("to", value) for value in (5, None, b"7")),
    *(("sender", value) for value in (None, 5)),
    *(("ttl_ms", value) for value in (3.5e6, "5", None, True)),
    *(("send_after_ms", value) for value in (NOW_MS + 0.5, None, "x")),
    *(("client_ref", value) for value in (7, b"r", "\ud83d cut")),
    *(("idempotency_key", value) for value in (7, "\ud83d cut")),
    *(("traffic_class", value) for value in (9, -1, "authorization", None, True)),
]


@pytest.mark.parametrize(("name", "value"), SLIPS)
def test_a_slip_costs_only_itself(name: str, value: Any) -> None:
    """It is refused by the name of its field; its neighbours are accepted, and their keys are good later."""
    door = admission()
    neighbours: list[Any] = [request(client_ref="one"), request(client_ref="two")]
    slip: Any = request(**{name: value})
    batch = door.admit([neighbours[0], slip, neighbours[1]], NOW_MS)
    first, found, last = batch.verdicts
    assert isinstance(first, Accepted)
    assert isinstance(last, Accepted)
    assert isinstance(found, Refused)
    assert (found.code, found.field) == ("malformed", name)
    again = door.admit(neighbours, NOW_MS)
    assert [n for _, n in again.repeats] == [first.message.n, last.message.n]


@pytest.mark.parametrize("stranger", [None, {}, "text"])
def test_what_is_no_request_is_refused(stranger: Any) -> None:
    """Whatever else is in the list has a verdict of its own."""
    found, good = admission().admit([stranger, request()], NOW_MS).verdicts
    assert isinstance(found, Refused)
    assert found.code == "malformed"
    assert isinstance(good, Accepted)


def test_a_class_as_a_plain_number_is_the_class() -> None:
    """1 is TrafficClass.TRANSACTIONAL, with a key and without."""
    plain: Any = 1
    for key in (None, "k"):
        (verdict,) = admission().admit([request(traffic_class=plain, client_ref=key)], NOW_MS).verdicts
        assert isinstance(verdict, Accepted)
        assert verdict.message.traffic_class == TrafficClass.TRANSACTIONAL


@pytest.mark.parametrize("seconds", [NOW_MS // 1000, -1])
def test_seconds_for_milliseconds_are_not_at_once(seconds: int) -> None:
    """send_after_ms that cannot be meant is refused, not sent at once."""
    wanted: SendRequest = request(send_after_ms=seconds)
    (verdict,) = admission().admit([wanted], NOW_MS).verdicts
    assert isinstance(verdict, Refused)
    assert verdict.code == "send_after_malformed"
