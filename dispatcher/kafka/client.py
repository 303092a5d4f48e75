"""How a Kafka is reached: aiokafka's clients with what the configuration says, made in one place.

No transactions: an SMS cannot be taken back with one. What is produced is acknowledged by all copies that are
in step; what is read of others' transactions is what they committed.
"""

import logging
import ssl
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from msgspec import Struct

from dispatcher.credentials import path_of, secret_of_env, secret_of_file
from dispatcher.errors import ConfigError
from dispatcher.faces_kafka import Kafka, KafkaSasl, KafkaTls

FETCH_OCTETS: Final = 4 << 20
"""Of one partition in one fetch: some 10,000 records, read ahead of who takes them."""
FETCH_WAIT_MS: Final = 100
"""That a broker may wait for a record before it answers with none: a fetch is there again at once."""
BATCH_OCTETS: Final = 512 << 10
"""Of one batch that is produced; brokers take 1 MiB unless told otherwise."""
POLL_MAX_MS: Final = 86_400_000
"""That a consumer may go without a poll: back-pressure lasts for hours, and is no reason to leave a group. A
loop that hangs is the watchdog's business, and the session's."""
HEARTBEATS: Final = 4
"""In one session: three may be lost."""


class Access(Struct, frozen=True):
    """What is known of one Kafka; secrets are read by now."""

    kafka: Kafka
    context: ssl.SSLContext | None
    password: str | None

    def __repr__(self) -> str:
        return f"<Access to {', '.join(self.kafka.brokers)}>"

    def options(self) -> dict[str, Any]:
        """Return what every client is made with."""
        kafka = self.kafka
        found: dict[str, Any] = {
            "bootstrap_servers": list(kafka.brokers),
            "client_id": kafka.client_id,
            "request_timeout_ms": kafka.request_timeout_ms,
            "security_protocol": "SSL" if self.context else "PLAINTEXT",
            "ssl_context": self.context,
        }
        if kafka.sasl is not None:
            found |= {
                "security_protocol": "SASL_SSL" if self.context else "SASL_PLAINTEXT",
                "sasl_mechanism": kafka.sasl.mechanism,
                "sasl_plain_username": kafka.sasl.username,
                "sasl_plain_password": self.password,
            }
        return found

    def admin(self) -> AIOKafkaAdminClient:
        """Return a client for topics, not started."""
        return AIOKafkaAdminClient(**self.options())

    def producer(self) -> AIOKafkaProducer:
        """Return a producer, not started: acknowledged is what all copies in step have."""
        kafka = self.kafka
        return AIOKafkaProducer(
            **self.options(),
            acks="all",
            enable_idempotence=kafka.idempotent,
            compression_type=None if kafka.compression == "none" else kafka.compression,
            max_batch_size=BATCH_OCTETS,
        )

    def consumer(
        self,
        group: str | None,
        *,
        begin: str = "earliest",
        assignors: tuple[type[AbstractPartitionAssignor], ...] = (RangePartitionAssignor,),
    ) -> AIOKafkaConsumer:
        """Return a consumer, not started and not subscribed, that commits nothing by itself."""
        session_ms = self.kafka.session_ms
        return AIOKafkaConsumer(
            **self.options(),
            group_id=group,
            auto_offset_reset=begin,
            enable_auto_commit=False,
            isolation_level="read_committed",
            max_partition_fetch_bytes=FETCH_OCTETS,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            max_poll_interval_ms=POLL_MAX_MS,
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=session_ms // HEARTBEATS,
            partition_assignment_strategy=assignors,
        )


def access_of(kafka: Kafka, folder: Path) -> Access:
    """Return how a Kafka is reached. ConfigError: a secret or a certificate cannot be read.

    Reads files: not for the loop.
    """
    logging.getLogger("aiokafka").setLevel(logging.WARNING)  # its debug logs show texts and numbers (law 11)
    context = None if kafka.tls is None else _context(kafka.tls, folder)
    return Access(kafka, context, None if kafka.sasl is None else _password(kafka.sasl, folder))


def _password(sasl: KafkaSasl, folder: Path) -> str:
    if sasl.password_env is not None:
        return secret_of_env("kafka.sasl.password_env", sasl.password_env)
    return secret_of_file("kafka.sasl.password_file", sasl.password_file or "", folder)


def _context(tls: KafkaTls, folder: Path) -> ssl.SSLContext:
    at = "ca_file"
    try:
        context = ssl.create_default_context(
            cafile=None if tls.ca_file is None else path_of(tls.ca_file, folder)
        )
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if not tls.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if tls.certificate_file is not None:
            at = "certificate_file"
            key = None if tls.key_file is None else path_of(tls.key_file, folder)
            context.load_cert_chain(path_of(tls.certificate_file, folder), key, password="")
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"kafka.tls.{at}: {error}") from None
    return context
