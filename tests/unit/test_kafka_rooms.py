"""Kafka without a broker: records to requests, dead letters, what topics must be like, the configuration."""

from typing import Any, NamedTuple

import msgspec
import pytest

from dispatcher.api import EventOut
from dispatcher.config import from_dict
from dispatcher.errors import ConfigError
from dispatcher.faces_kafka import Kafka, KafkaTopics
from dispatcher.ingest.bodies import MessageIn
from dispatcher.ingest.kafka_records import Reading, dead_letter, is_late, read, read_all
from dispatcher.kafka.schema import schema
from dispatcher.kafka.topics import Found, missing, odd, unsafe, wanted
from dispatcher.model import Refused, SendRequest, TrafficClass

CODES = Reading("codes", TrafficClass.AUTHORIZATION, "json", frozenset())
MIXED = Reading("all", None, "msgpack", frozenset({"cards"}))
MESSAGE = {"to": "+79001234567", "text": "Your code is 4711", "sender": "Bank"}


class Record(NamedTuple):
    """As aiokafka's."""

    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    topic: str = "codes"
    partition: int = 3
    offset: int = 42
    timestamp: int = 1_700_000_000_000
    key: bytes | None = b"k"


def asked(record: Record, reading: Reading = CODES) -> SendRequest:
    """Return the request that a good record asks for."""
    found = read(record, reading)
    assert isinstance(found, SendRequest), found
    return found


def test_a_record_is_known_again_by_its_place() -> None:
    """Without a name of its own, its key is partition, offset and time; a topic made anew has other times."""
    record = Record(msgspec.json.encode(MESSAGE))
    found = asked(record)
    assert found.idempotency_key == "3:42:1700000000000"
    assert found.source == "kafka:codes"
    assert found.traffic_class is TrafficClass.AUTHORIZATION
    assert asked(record) == found
    assert asked(record._replace(timestamp=1)).idempotency_key != found.idempotency_key


def test_the_senders_own_key_is_the_better_one() -> None:
    """A client_ref is the key; a header idempotency-key wins over it."""
    record = Record(msgspec.json.encode(MESSAGE | {"client_ref": "r1"}))
    found = asked(record)
    assert (found.client_ref, found.idempotency_key) == ("r1", None)
    assert asked(record._replace(headers=(("idempotency-key", b"i1"),))).idempotency_key == "i1"


def test_messagepack_is_read_as_json_is() -> None:
    """Both formats give the same request; what only MessagePack has, octets, is refused."""
    record = Record(msgspec.msgpack.encode(MESSAGE | {"traffic_class": "service", "ttl_ms": 5}))
    found = asked(record, MIXED)
    assert (found.traffic_class, found.ttl_ms, found.text) == (TrafficClass.SERVICE, 5, MESSAGE["text"])
    octets = read(Record(msgspec.msgpack.encode(MESSAGE | {"text": b"4711"})), MIXED)
    assert isinstance(octets, Refused)
    assert octets.code == "malformed"


def test_a_tenant_is_part_of_the_source() -> None:
    """Only tenants of the configuration are taken: the source is a label of metrics."""
    value = msgspec.msgpack.encode(MESSAGE)
    assert asked(Record(value, (("tenant", b"cards"),)), MIXED).source == "kafka:all:cards"
    found = read(Record(value, (("tenant", b"loans"),)), MIXED)
    assert isinstance(found, Refused)
    assert found.code == "tenant_unknown"
    assert asked(Record(msgspec.json.encode(MESSAGE), (("tenant", b"x"),))).source == "kafka:codes"


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(("given", "taken"), [
    (TRACE, TRACE),
    (f"01{TRACE[2:]}-more", f"01{TRACE[2:]}-more"),
    (f"ff{TRACE[2:]}", None),
    (TRACE.upper(), None),
    (TRACE[:-1], None),
    (f"{TRACE}-+79001234567\n", None),
    ("", None),
])  # fmt: skip
def test_a_trace_goes_along_and_a_bad_one_costs_no_message(given: str, taken: str | None) -> None:
    """W3C Trace Context of any version is kept; what is none is passed over, and never a reason to refuse."""
    record = Record(msgspec.json.encode(MESSAGE), (("traceparent", given.encode()),))
    found = asked(record)
    assert found.traceparent == taken
    assert msgspec.structs.replace(found, traceparent=None) == asked(record._replace(headers=()))


@pytest.mark.parametrize(("record", "code"), [
    (Record(None), "malformed"),
    (Record(b"{"), "malformed"),
    (Record(b'{"to":"1","to":"2","text":"t","sender":"s"}'), "duplicate_key"),
    (Record(b"[" * 100_000), "too_deep"),
    (Record(b'{"text":"' + b"x" * (256 << 10) + b'"}'), "too_large"),
    (Record(msgspec.json.encode(MESSAGE), (("schema", b"2"),)), "schema_unknown"),
    (Record(msgspec.json.encode(MESSAGE), (("content-type", b"text/csv"),)), "media_type"),
    (Record(msgspec.json.encode(MESSAGE | {"traffic_class": "marketing"})), "class_not_allowed"),
])  # fmt: skip
def test_f97_what_cannot_be_taken_says_why(record: Record, code: str) -> None:
    """F97: each poison has its code; nothing raises, whatever the octets."""
    found = read(record, CODES)
    assert isinstance(found, Refused)
    assert found.code in (code, "malformed" if code == "too_deep" else code)


def test_many_are_read_as_one_by_one() -> None:
    """Bulk or not, each record asks for the same: good ones, bad ones among them, lines inside of records."""
    values = [msgspec.json.encode(MESSAGE | {"client_ref": f"r{number}"}) for number in range(5)]
    values += [msgspec.json.encode(MESSAGE), b"{}\n{}", b"{", msgspec.json.encode(MESSAGE | {"to": 1}), b""]
    records = [Record(value, offset=offset) for offset, value in enumerate(values)]
    for some in (records, records[:6], records[:8], [*records[:2], Record(values[2], (("schema", b"3"),))]):
        assert read_all(some, CODES) == [read(record, CODES) for record in some]
    keys = [getattr(each, "idempotency_key", "") for each in read_all(records[:6], CODES)]
    assert keys == [None] * 5 + ["3:5:1700000000000"]


def test_a_dead_letter_says_why_and_where() -> None:
    """The record as it came, and in its headers the reason and the place; no number of the message."""
    record = Record(b'{"to": "+79001234567", "txt": ""}', (("traceparent", b"00-1-2-01"),))
    refused = read(record, CODES)
    assert isinstance(refused, Refused)
    letter = dead_letter(record, refused)
    said = {name: value.decode() for name, value in letter.headers}
    assert letter.value == record.value
    assert letter.key == b"k"
    assert (said["dead-topic"], said["dead-partition"], said["dead-offset"]) == ("codes", "3", "42")
    assert (said["dead-reason"], said["dead-path"]) == ("malformed", "$.txt")
    assert said["traceparent"] == "00-1-2-01"
    assert "79001234567" not in str({name: value for name, value in said.items() if name != "value"})


def test_a_record_that_waited_too_long_is_late() -> None:
    """Its own ttl counts from the record's time, else its class's; a clock of the future is not late."""
    record = Record(msgspec.json.encode(MESSAGE))
    request, then_ms = asked(record), record.timestamp
    assert not is_late(record, request, 300_000, then_ms + 300_000)
    assert is_late(record, request, 300_000, then_ms + 300_001)
    assert is_late(record, msgspec.structs.replace(request, ttl_ms=10), 300_000, then_ms + 11)
    assert not is_late(record, request, 300_000, then_ms - 1_000_000)
    later = msgspec.structs.replace(request, send_after_ms=then_ms + 10**9)
    assert not is_late(record, later, 300_000, then_ms + 300_001)


# ---- topics ----

KAFKA = Kafka(brokers=("127.0.0.1:9092",))
SETTINGS = {"min.insync.replicas": "2", "retention.ms": "604800000", "cleanup.policy": "delete"}


def test_topics_as_init_makes_them_are_safe() -> None:
    """What the command makes is what the check wants; of dead letters a month is kept."""
    topics = wanted(KAFKA)
    found = {each.name: Found(each.partitions, each.replication, each.settings) for each in topics}
    assert [*missing(topics, found), *unsafe(KAFKA, topics, found), *odd(KAFKA, topics, found)] == []
    assert [each.name for each in topics if each.is_ours] == ["sms.outcomes", "sms.dead"]
    assert topics[-1].settings["retention.ms"] == str(30 * 86_400_000)


@pytest.mark.parametrize(("replication", "settings", "said"), [
    (1, {}, "has 1 replica(s)"),
    (3, {"min.insync.replicas": "1"}, "min.insync.replicas = 1"),
    (2, {"min.insync.replicas": "3"}, "nothing can be written"),
    (3, {"cleanup.policy": "compact"}, "records of one key vanish"),
])  # fmt: skip
def test_f95_what_breaks_the_promise_is_named(replication: int, settings: dict[str, str], said: str) -> None:
    """F95: too few copies, too few in step, more than there are, compaction."""
    topics = wanted(KAFKA)[:1]
    found = {topics[0].name: Found(6, replication, SETTINGS | settings)}
    (problem,) = unsafe(KAFKA, topics, found)
    assert said in problem


def test_f95_retention_that_is_too_short_is_a_warning() -> None:
    """F95: a topic that keeps records for less than was asked loses a backlog: somebody should look."""
    topics = wanted(KAFKA)[:1]
    (warning,) = odd(KAFKA, topics, {topics[0].name: Found(6, 3, SETTINGS | {"retention.ms": "3600000"})})
    assert "keeps records for 1 h, 168 h are wanted" in warning
    assert [*odd(KAFKA, topics, {topics[0].name: Found(6, 3, SETTINGS | {"retention.ms": "-1"})})] == []


# ---- configuration, schema ----


def test_topics_have_names_of_their_own() -> None:
    """One topic for two things would feed us our own outcomes."""
    with pytest.raises(ConfigError, match="named twice"):
        KafkaTopics(outcomes="x", service="x")


@pytest.mark.parametrize(("more", "said"), [
    ({"brokers": ["kafka.example:9092"]}, "not all are on loopback"),
    ({"brokers": ["kafka.example"]}, "kafka.brokers[0]"),
    ({"sasl": {"username": "u", "mechanism": "PLAIN", "password_env": "P"}}, "shows the password"),
    ({"sasl": {"username": "u"}}, "give one of them"),
    ({"topics": {"codes": "x"}}, "kafka.topics.codes: unknown key"),
    ({"min_replication": 4}, "larger than replication"),
])  # fmt: skip
def test_a_wrong_section_is_refused(more: dict[str, Any], said: str) -> None:
    """What is wrong is found when it is loaded, with the path of its key."""
    carrier = {"host": "127.0.0.1", "port": 1, "system_id": "bank"}
    data = {"store": "s", "carriers": {"c": carrier}, "routes": [{"carriers": ["c"]}]}
    with pytest.raises(ConfigError, match=said.replace("[", r"\[")):
        from_dict({**data, "kafka": {"brokers": ["127.0.0.1:9092"], **more}})


def test_the_schema_is_that_of_the_types() -> None:
    """Every field of a message and of an event stands in it: readers may generate code."""
    made = schema(MessageIn, EventOut)
    assert set(made["$defs"]["MessageIn"]["properties"]) == set(MessageIn.__struct_fields__)
    assert set(made["$defs"]["EventOut"]["properties"]) == set(EventOut.__struct_fields__)
    assert made["message"]["$ref"] == "#/$defs/MessageIn"
    theirs = {"schema", "content-type", "tenant", "traceparent"}
    assert set(made["message"]["x-headers"]) == theirs | {"idempotency-key"}
    assert set(made["outcome"]["x-headers"]) == theirs
