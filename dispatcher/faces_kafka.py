"""Kafka as the configuration names it: brokers, how we show ourselves to them, topics, what we insist on.

A section of `config.Config`; every default says why. Nothing is read here: secrets are names of files or of
environment variables (credentials.py), as everywhere.
"""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from dispatcher.errors import ConfigError

Address: TypeAlias = Annotated[str, Meta(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[^\s:/]+):[0-9]{1,5}\Z")]
Topic: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,249}\Z")]
"""What Kafka takes as the name of a topic or, with us, of a group."""
Group: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,200}\Z")]
Tenant: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}\Z")]
Milliseconds: TypeAlias = Annotated[int, Meta(ge=1, le=3_600_000)]
EventName: TypeAlias = Literal[
    "claimed", "submitted", "refused", "unanswered", "unsent", "retry", "receipted", "rerouted", "failed",
    "finished", "corrected",
]  # fmt: skip
"""`EventKind` in lower case, of those that are about a message."""


class KafkaTls(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """TLS to the brokers; PEM files, relative to the configuration or to $CREDENTIALS_DIRECTORY."""

    ca_file: str | None = None
    """None: the authorities of the system."""
    certificate_file: str | None = None
    """With its chain, where the brokers ask who we are (mTLS)."""
    key_file: str | None = None
    """None: the certificate's file holds it."""
    verify: bool = True
    """Whether the brokers' certificates and names are checked; without, anybody may be the broker."""


class KafkaSasl(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A name and a password for the brokers."""

    username: Annotated[str, Meta(min_length=1)]
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """PLAIN shows the password to the broker: with TLS only."""
    password_file: str | None = None
    password_env: str | None = None

    def __post_init__(self) -> None:
        if (self.password_file is None) == (self.password_env is None):
            raise ConfigError("password_file, password_env: give one of them")


class KafkaTopics(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where messages come from, by traffic class, and where what became of them goes."""

    authorization: Topic | None = "sms.authorization"
    transactional: Topic | None = "sms.transactional"
    service: Topic | None = "sms.service"
    marketing: Topic | None = "sms.marketing"
    mixed: Topic | None = None
    """One whose records name their own class, for senders who have only one: there, codes do wait behind
    what came before them."""
    outcomes: Topic | None = "sms.outcomes"
    """None: outcomes are not told here."""
    dead_letters: Topic = "sms.dead"
    """Records that cannot be taken, each with the reason: a partition goes on past them."""
    events: Topic = "sms.events"
    """Of `mode = "journal"`: all that happens, which several workers share."""
    receipts: Topic = "sms.receipts"
    """Of `mode = "journal"`: receipts that came to another worker than the one that asked for them."""

    def __post_init__(self) -> None:
        named = [each for each in (getattr(self, name) for name in self.__struct_fields__) if each]
        if len(set(named)) != len(named):
            raise ConfigError("one topic is named twice")

    def of_classes(self) -> dict[str, str]:
        """Return the topics that messages come from, by the class of their records; "mixed": any."""
        names = ("authorization", "transactional", "service", "marketing", "mixed")
        return {name: topic for name in names if (topic := getattr(self, name)) is not None}


class Kafka(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Kafka beside the embedded journal (`source`), or instead of it (`journal`)."""

    brokers: Annotated[tuple[Address, ...], Meta(min_length=1)]
    """host:port of some of them; the rest is asked for."""
    mode: Literal["source", "journal"] = "source"
    """source: messages come from topics, outcomes go to one, the truth is in the embedded journal.
    journal: the truth is in topics, which several workers share."""
    group: Group = "dispatcher"
    """Of consumers; each class has its own, GROUP.CLASS, so that none waits for another's rebalance."""
    client_id: Group = "dispatcher"
    topics: KafkaTopics = KafkaTopics()
    tls: KafkaTls | None = None
    sasl: KafkaSasl | None = None
    allow_plain: bool = False
    """Brokers that are not on loopback, without TLS: texts go over the network as they are."""
    format: Literal["json", "msgpack"] = "json"
    """Of what we write, and of records that do not say theirs by a header content-type."""
    tenants: tuple[Tenant, ...] = ()
    """Who may stand in the header `tenant`: it becomes part of the source. Empty: nobody looks at it."""
    events: tuple[EventName, ...] = ("finished", "corrected")
    """What goes to the topic of outcomes."""
    key: Literal["message_id", "client_ref"] = "message_id"
    """Of records in the topic of outcomes; a number is never the key (law 11)."""
    begin: Literal["earliest", "latest"] = "earliest"
    """Where a group that is new begins."""
    idempotent: bool = True
    """The producer numbers its batches, so that a repeated request is not written twice. Every Kafka can;
    some that only speak its protocol cannot, and refuse at the start."""
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "none"
    """Of what we write; all but gzip need the extra [kafka]."""
    partitions: Annotated[int, Meta(ge=1, le=10_000)] = 6
    """Of topics that `dispatcher kafka init` makes: six divide by two and by three workers."""
    replication: Annotated[int, Meta(ge=1, le=100)] = 3
    """Of the same; three brokers stand one loss and one repair."""
    min_replication: Annotated[int, Meta(ge=1, le=100)] = 2
    """Fewer copies of a topic, or fewer that must be in step (min.insync.replicas), break "acknowledged is
    kept" with the loss of one disk: it does not start on such topics."""
    allow_unsafe: bool = False
    """Start all the same, and say so in the log: for a laboratory."""
    retention_hours: Annotated[int, Meta(ge=1, le=24 * 366)] = 168
    """Of topics that `dispatcher kafka init` makes; longer than the longest outage: a week."""
    session_ms: Annotated[int, Meta(ge=6_000, le=300_000)] = 10_000
    """A worker that is not heard for so long has lost its partitions."""
    request_timeout_ms: Milliseconds = 10_000
    """Of one request to a broker; then it is made again."""
    poll_max: Annotated[int, Meta(ge=1, le=10_000)] = 500
    """Records of one accept: two milliseconds of a turn."""

    def __post_init__(self) -> None:
        if self.tls is None and not self.allow_plain and not all(map(_is_loopback, self.brokers)):
            raise ConfigError("brokers: not all are on loopback: give [kafka.tls], or say allow_plain = true")
        is_shown = self.sasl is not None and self.sasl.mechanism == "PLAIN" and self.tls is None
        if is_shown and not self.allow_plain:
            raise ConfigError("sasl.mechanism: PLAIN without TLS shows the password to the network")
        if self.mode == "source" and not self.topics.of_classes() and self.topics.outcomes is None:
            raise ConfigError("topics: without one there is nothing to do")
        if self.mode == "journal" and (self.topics.mixed or not self.topics.of_classes()):
            raise ConfigError("topics: workers take from topics of classes, one or more, and none is mixed")
        if self.min_replication > self.replication:
            raise ConfigError("min_replication is larger than replication")


def _is_loopback(address: str) -> bool:
    return address.rpartition(":")[0] in ("127.0.0.1", "[::1]", "localhost")
