"""What topics must be like so that an acknowledged record is kept: made by a command, checked at every start.

A record that was acknowledged is on as many brokers as ``min.insync.replicas`` says. With fewer than two, one
disk that dies takes with it what we, or the senders, were told is safe: the daemon does not start on such
topics unless `allow_unsafe` says that it is meant.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from dispatcher.faces_kafka import Kafka

HOUR_MS: Final = 3_600_000
DEAD_DAYS: Final = 30
"""That dead letters are kept at least: somebody has to look at them, and may be on holiday."""
CREATE_TIMEOUT_MS: Final = 30_000
INSYNC: Final = "min.insync.replicas"
RETENTION: Final = "retention.ms"
CLEANUP: Final = "cleanup.policy"


class Wanted(NamedTuple):
    """A topic as it should be."""

    name: str
    is_ours: bool
    """We produce to it; to the others, senders do."""
    partitions: int
    replication: int
    settings: Mapping[str, str]


class Found(NamedTuple):
    """A topic as it is."""

    partitions: int
    replication: int
    """The smallest of its partitions."""
    settings: Mapping[str, str]


def wanted(kafka: Kafka) -> list[Wanted]:
    """Return the topics that a configuration names, as `create` makes them."""
    topics = kafka.topics
    names = [(name, False) for name in topics.of_classes().values()]
    names += [(topics.outcomes, True)] if topics.outcomes else []
    names += [(topics.events, True), (topics.receipts, True)] if kafka.mode == "journal" else []
    names += [(topics.dead_letters, True)]
    return [
        Wanted(name, is_ours, kafka.partitions, kafka.replication, _settings(kafka, name))
        for name, is_ours in names
    ]


def _settings(kafka: Kafka, name: str) -> dict[str, str]:
    hours = kafka.retention_hours
    if name == kafka.topics.dead_letters:
        hours = max(hours, DEAD_DAYS * 24)
    return {
        INSYNC: str(min(kafka.min_replication, kafka.replication)),
        RETENTION: str(hours * HOUR_MS),
        CLEANUP: "delete",  # each record counts: compaction would drop all but the last of a key
        "message.timestamp.type": "CreateTime",
    }


async def create(admin: AIOKafkaAdminClient, topics: Sequence[Wanted]) -> dict[str, str]:
    """Make what is missing; return by name "made", "there" or why it could not be made."""
    new = [
        NewTopic(each.name, each.partitions, each.replication, topic_configs=dict(each.settings))
        for each in topics
    ]
    answer = await admin.create_topics(new, timeout_ms=CREATE_TIMEOUT_MS)
    return {name: _said(code, text) for name, code, text in answer.topic_errors}


def _said(code: int, text: str | None) -> str:
    if code == 0:
        return "made"
    error = for_code(code)
    return "there" if error is TopicAlreadyExistsError else text or error.__name__


async def look(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, Found]:
    """Return the topics that there are of these names, and how they are."""
    there = set(await admin.list_topics())  # to ask for a topic by name may make it
    names = [name for name in names if name in there]
    if not names:
        return {}
    described = {each["topic"]: each["partitions"] for each in await admin.describe_topics(names)}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    settings: dict[str, dict[str, str]] = {name: {} for name in names}
    for answer in await admin.describe_configs(resources):
        for code, _, _, name, entries in answer.resources:
            if not code:
                settings[name] = {key: value for key, value, *_ in entries}
    return {name: _found(described[name], settings[name]) for name in names}


def _found(partitions: Sequence[Mapping[str, Any]], settings: Mapping[str, str]) -> Found:
    return Found(len(partitions), min((len(each["replicas"]) for each in partitions), default=0), settings)


def missing(topics: Sequence[Wanted], found: Mapping[str, Found]) -> Iterator[str]:
    """Yield what cannot be done without."""
    for each in topics:
        if each.name not in found:
            yield f"topic {each.name} is not there: `dispatcher kafka init` makes it"


def unequal(kafka: Kafka, found: Mapping[str, Found]) -> Iterator[str]:
    """Yield topics of workers that have another number of partitions than their events."""
    events = found.get(kafka.topics.events)
    for name in (*kafka.topics.of_classes().values(), kafka.topics.receipts):
        if events is not None and name in found and found[name].partitions != events.partitions:
            yield (
                f"topic {name} has {found[name].partitions} partitions, {kafka.topics.events} has "
                f"{events.partitions}: a worker owns those of one number together"
            )


def unsafe(kafka: Kafka, topics: Sequence[Wanted], found: Mapping[str, Found]) -> Iterator[str]:
    """Yield what breaks "acknowledged is kept", a line each."""
    least = kafka.min_replication
    for each in topics:
        if (its := found.get(each.name)) is None:
            continue
        insync = int(its.settings.get(INSYNC, 1))
        if its.replication < least:
            yield f"topic {each.name} has {its.replication} replica(s), min_replication is {least}"
        elif insync < least:
            yield f"topic {each.name} has {INSYNC} = {insync}, min_replication is {least}"
        elif insync > its.replication:
            yield f"topic {each.name} has {INSYNC} = {insync} of {its.replication}: nothing can be written"
        if its.settings.get(CLEANUP, "delete") != "delete":
            yield f"topic {each.name} has {CLEANUP} = {its.settings[CLEANUP]}: records of one key vanish"


def odd(kafka: Kafka, topics: Sequence[Wanted], found: Mapping[str, Found]) -> Iterator[str]:
    """Yield what somebody should look at, though nothing acknowledged is lost by it."""
    for each in topics:
        if (its := found.get(each.name)) is None:
            continue
        kept_ms = int(its.settings.get(RETENTION, -1))
        if 0 <= kept_ms < int(each.settings[RETENTION]):
            hours = int(each.settings[RETENTION]) // HOUR_MS
            yield f"topic {each.name} keeps records for {kept_ms / HOUR_MS:g} h, {hours} h are wanted"
        if its.replication > 1 and int(its.settings.get(INSYNC, 1)) == its.replication:
            yield f"topic {each.name}: one broker that is away stops it ({INSYNC} = {its.replication} of all)"
