"""The door: refusals, senders, numbers, idempotency and its window, references; time is an argument."""

from collections.abc import Callable
from typing import Any

import pytest

from dispatcher._ext.admit import Batch
from dispatcher._ext.keys import message_id
from dispatcher.admission import LATER, MARK_MS, Admission, number_of
from dispatcher.carrier.profile import load
from dispatcher.config import HOUR_MS, Carrier, Config, from_dict
from dispatcher.model import Accepted, Message, Refused, SendRequest, TrafficClass
from dispatcher.routing.numbers import normaliser
from dispatcher.store.records import pack_messages, unpack_messages

NOW_MS = 1_795_000_000_000
CARRIER: dict[str, Any] = {"host": "smsc", "port": 2775, "system_id": "bank"}


def config(**more: Any) -> Config:
    """A configuration with one carrier."""
    routes = [{"carriers": ["c0"]}]
    return from_dict({"store": "s", "carriers": {"c0": CARRIER}, "routes": routes, **more})


def admission(
    route: Callable[[str, str, int, int], tuple[int, ...]] = lambda *_: (1,),
    profile: Any = "smpp34",
    **more: Any,
) -> Admission:
    """A door whose entropy is all zeros, for a carrier with the number 1."""
    given = config(**more)
    profiles = {1: load(Carrier(host="smsc", port=2775, system_id="bank", profile=profile), "c0")}
    return Admission(given, normaliser(given.default_country), route, profiles, bytes)


def request(**more: Any) -> SendRequest:
    """A request that nothing is wrong with."""
    values: dict[str, Any] = {"to": "+79001234567", "text": "Code 4711", "sender": "Bank"}
    return SendRequest(**(values | more))


def verdict_on(door: Admission, now_ms: int = NOW_MS, **more: Any) -> Accepted | Refused | int:
    """The verdict on one request; the number of the message that it repeats."""
    batch = door.admit([request(**more)], now_ms)
    found = batch.verdicts[0]
    return batch.repeats[0][1] if found is None else found


def code(verdict: Accepted | Refused | int | None) -> str:
    """The code of a refusal."""
    assert isinstance(verdict, Refused), verdict
    return verdict.code


def message(verdict: Accepted | Refused | int | None) -> Message:
    """The message that was accepted."""
    assert isinstance(verdict, Accepted), verdict
    return verdict.message


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"to": "hello"}, "number_malformed", "to"),
    ({"to": ""}, "number_malformed", "to"),
    ({"to": "+712345678901234567"}, "number_malformed", "to"),
    ({"to": "+0123456789"}, "number_malformed", "to"),
    ({"sender": "A name far too long"}, "sender_not_possible", "sender"),
    ({"sender": "Банк"}, "sender_not_possible", "sender"),
    ({"sender": ""}, "sender_not_possible", "sender"),
    ({"text": "x" * 3000}, "too_many_segments", "text"),
    ({"text": ""}, "text_length", "text"),
    ({"text": "x" * 10_001}, "text_length", "text"),
    ({"text": "half \ud83d"}, "text_not_encodable", "text"),
    ({"send_after_ms": NOW_MS + 400 * 24 * HOUR_MS}, "send_after_too_late", "send_after_ms"),
    ({"ttl_ms": 1 << 40}, "ttl_out_of_range", "ttl_ms"),
    ({"ttl_ms": -1}, "ttl_out_of_range", "ttl_ms"),
    ({"client_ref": "k" * 65}, "key_malformed", "client_ref"),
    ({"idempotency_key": ""}, "key_malformed", "idempotency_key"),
]


@pytest.mark.parametrize(("wrong", "expected", "field"), WRONG)
def test_one_bad_request_costs_only_itself(wrong: dict[str, Any], expected: str, field: str) -> None:
    """Law 8: each has its code and field; the neighbours get the next numbers, without a gap."""
    batch = admission().admit([request(), request(**wrong), request()], NOW_MS)
    assert [message(batch.verdicts[0]).n, message(batch.verdicts[2]).n] == [1, 2]
    refused = batch.verdicts[1]
    assert isinstance(refused, Refused)
    assert (refused.code, refused.field, refused.retry_after_ms) == (expected, field, 0)
    assert batch.places == [0, 2]


def test_no_route_is_a_refusal() -> None:
    """Who fits no rule is refused at the door."""
    assert code(verdict_on(admission(route=lambda *_: ()))) == "no_route"


def test_a_refusal_holds_no_text_and_no_number() -> None:
    """Law 11: what was wrong is said without personal data, and with the sender's own reference."""
    for wrong, *_ in WRONG:
        if "client_ref" in wrong or "idempotency_key" in wrong:
            continue
        found = verdict_on(admission(), client_ref="mine", **wrong)
        assert isinstance(found, Refused)
        assert found.client_ref == "mine"
        assert all(str(value) not in found.detail for value in wrong.values() if str(value))


@pytest.mark.parametrize("written", ["89001234567", "9001234567", "8 (900) 123-45-67"])
def test_national_forms_need_a_default_country(written: str) -> None:
    """With the country they are understood; without one nothing is guessed: digits are taken as E.164."""
    assert message(verdict_on(admission(default_country="RU"), to=written)).to == "79001234567"
    found = verdict_on(admission(), to=written)
    assert found.message.to == written if isinstance(found, Accepted) else code(found) == "number_malformed"


def test_a_plus_is_never_rewritten() -> None:
    """+8 900... is in East Asia, whatever the default country."""
    assert message(verdict_on(admission(default_country="RU"), to="+89001234567")).to == "89001234567"


@pytest.mark.parametrize("sender", ["Bank", "My Bank", "1234", "+79001112233", "79001112233"])
def test_senders_of_all_kinds(sender: str) -> None:
    """Names, short codes and numbers are taken as they were given."""
    assert message(verdict_on(admission(), sender=sender)).sender == sender


def test_too_many_at_a_time() -> None:
    """Of a batch beyond its limit the rest is refused, nothing is discarded; a verdict for each."""
    batch = admission(limits={"batch_max": 2}).admit([request() for _ in range(5)], NOW_MS)
    assert [type(each) for each in batch.verdicts] == [Accepted, Accepted, Refused, Refused, Refused]
    assert {code(each) for each in batch.verdicts[2:]} == {"batch_too_large"}


def test_a_closed_class_says_when_to_come_again() -> None:
    """A closed class refuses with why and how long to wait; others and repetitions are not concerned."""
    door = admission()
    door.why_shut = lambda traffic_class: f"class {traffic_class} is full"
    first = message(verdict_on(door, traffic_class=TrafficClass.MARKETING, client_ref="a"))
    batch = door.admit(
        [
            request(traffic_class=TrafficClass.MARKETING),
            request(traffic_class=TrafficClass.AUTHORIZATION),
            request(traffic_class=TrafficClass.MARKETING, client_ref="a"),
        ],
        NOW_MS,
        (0, 0, 0, 1500, 0),
    )
    refused = batch.verdicts[0]
    assert isinstance(refused, Refused)
    assert (refused.code, refused.retry_after_ms) == ("overloaded", 1500)
    assert refused.detail == "class 3 is full; nothing is wrong with this message"
    assert isinstance(batch.verdicts[1], Accepted)
    assert batch.repeats == [(2, first.n)]


def test_what_is_to_be_sent_later_has_a_limit_of_its_own() -> None:
    """A full schedule refuses what would have to wait in it, and nothing else."""
    closed = [0, 0, 0, 0, 0]
    closed[LATER] = 700
    asked = [request(), request(send_after_ms=NOW_MS + 1), request(send_after_ms=NOW_MS)]
    found = admission().admit(asked, NOW_MS, closed).verdicts
    assert [type(each) for each in found] == [Accepted, Refused, Accepted]


def test_deadlines_count_from_when_it_is_sent() -> None:
    """ttl_ms counts from now, or from send_after; 0 means that of its class; a past send_after is now."""
    door = admission()
    assert message(verdict_on(door, ttl_ms=5000)).deadline_ms == NOW_MS + 5000
    later = message(verdict_on(door, ttl_ms=5000, send_after_ms=NOW_MS + 60_000))
    assert (later.send_after_ms, later.deadline_ms) == (NOW_MS + 60_000, NOW_MS + 65_000)
    own = message(verdict_on(door, traffic_class=TrafficClass.AUTHORIZATION, send_after_ms=NOW_MS - 1))
    assert (own.send_after_ms, own.deadline_ms) == (0, NOW_MS + 300_000)


# ---- idempotency ----


def test_the_same_key_and_body_is_the_same_message() -> None:
    """By idempotency_key or client_ref; also within one batch."""
    door = admission()
    batch = door.admit([request(client_ref="a"), request(client_ref="a")], NOW_MS)
    assert batch.repeats == [(1, message(batch.verdicts[0]).n)]
    assert verdict_on(door, idempotency_key="a") == 1
    assert message(verdict_on(door, idempotency_key="b", client_ref="a")).n == 2


BODIES: list[dict[str, Any]] = [
    {"to": "+79001234568"},
    {"text": "Code 4712"},
    {"sender": "Other"},
    {"traffic_class": TrafficClass.SERVICE},
    {"ttl_ms": 1000},
    {"send_after_ms": NOW_MS + 1000},
]


@pytest.mark.parametrize("changed", BODIES, ids=lambda changed: str(next(iter(changed))))
def test_the_same_key_and_another_body_is_a_conflict(changed: dict[str, Any]) -> None:
    """Every field of the body counts; nothing new is accepted."""
    door = admission()
    verdict_on(door, client_ref="a")
    assert code(verdict_on(door, client_ref="a", **changed)) == "idempotency_conflict"
    assert door.next_n == 2


def test_a_key_comes_back_when_its_message_was_refused_or_taken_back() -> None:
    """What was not accepted leaves no key behind."""
    door = admission()
    assert code(verdict_on(door, client_ref="a", text="")) == "text_length"
    batch = door.admit([request(client_ref="a")], NOW_MS)
    door.take_back(batch, "overloaded", "the disk is full", 5000)
    refused = batch.verdicts[0]
    assert isinstance(refused, Refused)
    assert (refused.code, refused.retry_after_ms) == ("overloaded", 5000)
    assert message(verdict_on(door, client_ref="a", text="other")).n == 2


@pytest.mark.parametrize("pause_ms", [1000, HOUR_MS, 100 * HOUR_MS])
def test_a_key_ends_with_the_window(pause_ms: int) -> None:
    """After idempotency_hours, and a mark at most, the same key is a new message; not before."""
    window_ms = 24 * HOUR_MS
    door = admission()
    verdict_on(door, client_ref="old")
    verdict_on(door, NOW_MS + window_ms - 1, client_ref="young")
    assert verdict_on(door, NOW_MS + window_ms - 1, client_ref="old") == 1
    late_ms = NOW_MS + window_ms + max(pause_ms, MARK_MS)
    assert message(verdict_on(door, late_ms, client_ref="old")).n == 3
    if pause_ms < window_ms:
        assert verdict_on(door, late_ms, client_ref="young") == 2


def test_keys_survive_a_restart() -> None:
    """What is remembered from records is known as before, conflicts included, and ends with its window."""
    before = admission()
    batch = before.admit([request(client_ref=f"r{number}") for number in range(5)], NOW_MS)
    records = unpack_messages(pack_messages(batch.messages), len(batch.messages))
    after = admission()
    after.next_n = 6
    after.remember(records)
    assert [verdict_on(after, client_ref=f"r{number}") for number in range(5)] == [1, 2, 3, 4, 5]
    assert code(verdict_on(after, client_ref="r0", text="other")) == "idempotency_conflict"
    assert message(verdict_on(after, NOW_MS + 25 * HOUR_MS, client_ref="r0")).n == 6


# ---- ids, references ----


def test_a_message_id_leads_to_its_number() -> None:
    """UUIDv7: version, variant and time are in their places, the number in the last 40 bits (RFC 9562)."""
    made = message_id(NOW_MS, 0xAB_CDEF_0123, 0x3_FFFF_FFFF)
    assert number_of(made) == 0xAB_CDEF_0123
    assert (made[6] >> 4, made[8] >> 6, int.from_bytes(made[:6], "big")) == (7, 2, NOW_MS)


def test_no_two_long_messages_to_one_number_share_a_reference() -> None:
    """F86: a counter per destination, over its whole range."""
    door = admission(classes={"marketing": {"max_segments": 10}})
    long = request(text="x" * 200)
    messages = door.admit([long] * 300, NOW_MS).messages
    assert {each.segments for each in messages} == {2}
    assert len({each.reference for each in messages}) == 300


def test_segments_are_counted_by_the_class() -> None:
    """max_segments of the class decides."""
    door = admission(classes={"authorization": {"max_segments": 1}})
    assert message(verdict_on(door, text="x" * 200)).segments == 2
    refused = verdict_on(door, text="x" * 200, traffic_class=TrafficClass.AUTHORIZATION)
    assert code(refused) == "too_many_segments"


def test_messages_are_divided_by_queue() -> None:
    """By first carrier and class, in order; what is to be sent later is in no queue."""
    door = admission(lambda to, *_: (1, 2), classes={})
    classes = [TrafficClass.MARKETING, TrafficClass.SERVICE, TrafficClass.MARKETING]
    asked = [request(traffic_class=each) for each in classes] + [request(send_after_ms=NOW_MS + 1)]
    batch: Batch = door.admit(asked, NOW_MS)
    by_queue = {key: [each.n for each in found.messages] for key, found in batch.groups.items()}
    assert by_queue == {(1, 3): [1, 3], (1, 2): [2]}


def test_a_bug_on_the_way_leaves_no_key_behind() -> None:
    """Numbers of a batch that came to nothing are given again: no key may lead to the message of another."""

    def route(to: str, *_: object) -> tuple[int, ...]:
        if to.endswith("9"):
            raise LookupError
        return (1,)

    door = admission(route=route)
    with pytest.raises(LookupError):
        door.admit([request(client_ref="a"), request(to="+79001234569")], NOW_MS)
    other = message(verdict_on(door, client_ref="b"))
    again = message(verdict_on(door, client_ref="a"))
    assert (other.n, again.n) == (1, 2)


def test_id_time_and_reference_may_be_given() -> None:
    """A record that is read again becomes the same message: id, time of acceptance, deadline, reference; a
    reference below 0 is chosen here."""
    door = admission()
    long = "long " * 60
    given = [(b"a" * 16, NOW_MS - 5_000, 77), (b"b" * 16, NOW_MS - 4_000, -1)]
    batch = door.admit([request(text=long), request(text=long, ttl_ms=60_000)], NOW_MS, given=given)
    first, second = batch.messages
    assert (first.message_id, first.accepted_ms, first.reference) == (b"a" * 16, NOW_MS - 5_000, 77)
    assert (second.message_id, second.deadline_ms) == (b"b" * 16, NOW_MS - 4_000 + 60_000)
    assert batch.groups[1, 1].frames[0][0].count(bytes([5, 0, 3, 77, 2, 1])) == 1
    with pytest.raises(ValueError):
        door.admit([request()], NOW_MS, given=[])
