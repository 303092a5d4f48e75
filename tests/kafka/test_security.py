"""TLS and passwords, where a broker has them: `make test-kafka` starts one. The rest needs no broker."""

import os
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiokafka.errors import KafkaConnectionError

from dispatcher.errors import ConfigError
from dispatcher.kafka.client import access_of
from tests.integration.house import run
from tests.kafka.apache import PASSWORD, USER
from tests.kafka.house import kafka_table, settings

SECURE = os.environ.get("KAFKA_SECURE", "")
MUTUAL = os.environ.get("KAFKA_MUTUAL", "")


def secured(folder: Path, fresh: str, **sasl: Any) -> dict[str, Any]:
    """Return the section [kafka] for the listener that wants TLS and a password."""
    (folder / "password").write_text(f"{PASSWORD}\n")
    (folder / "password").chmod(0o600)
    return kafka_table(
        SECURE or "127.0.0.1:1",
        fresh,
        tls={"ca_file": os.environ.get("KAFKA_SECURE_CA", "ca.pem")},
        sasl={"username": USER, "password_file": "password", **sasl},
    )


async def topics_of(table: dict[str, Any], folder: Path) -> list[str]:
    """Ask for the topics."""
    admin = access_of(settings(table), folder).admin()
    try:
        await admin.start()
        found: list[str] = await admin.list_topics()
    finally:
        await admin.close()
    return found


@pytest.mark.skipif(not SECURE, reason="no broker with TLS: make test-kafka starts one")
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_it_is_let_in(fresh: str, tmp_path: Path, mechanism: str) -> None:
    """By TLS with our authority, and each way to show a password; a wrong one is not let in."""
    table = secured(tmp_path, fresh, mechanism=mechanism)
    assert isinstance(run(topics_of(table, tmp_path)), list)
    (tmp_path / "password").write_text("wrong\n")
    with pytest.raises(Exception, match=r"(?i)auth|credentials|connection"):
        run(topics_of(table, tmp_path))


@pytest.mark.skipif(not SECURE, reason="no broker with TLS: make test-kafka starts one")
def test_a_broker_that_nobody_vouches_for_is_not_spoken_to(fresh: str, tmp_path: Path) -> None:
    """Another authority than that of the system: no connection, so that no password is shown."""
    table = secured(tmp_path, fresh)
    table["tls"] = {}
    with pytest.raises(Exception, match=r"(?i)connection"):
        run(topics_of(table, tmp_path))


@pytest.mark.skipif(not MUTUAL, reason="no broker that asks for certificates: make test-kafka starts one")
def test_a_certificate_lets_in(fresh: str, tmp_path: Path) -> None:
    """mTLS: with a certificate of the brokers' authority we are let in, with none or a stranger's not."""
    ca_file, ours = os.environ["KAFKA_SECURE_CA"], os.environ["KAFKA_CLIENT"]
    stranger = trustme.CA().issue_cert("client@bank.example").private_key_and_cert_chain_pem
    stranger.write_to_path(tmp_path / "stranger.pem")
    table = kafka_table(MUTUAL, fresh, tls={"ca_file": ca_file, "certificate_file": ours})
    assert isinstance(run(topics_of(table, tmp_path)), list)
    for other in ({}, {"certificate_file": "stranger.pem"}):
        table["tls"] = {"ca_file": ca_file, **other}
        with pytest.raises(KafkaConnectionError):
            run(topics_of(table, tmp_path))


@pytest.mark.parametrize(("more", "said"), [
    ({"tls": {"ca_file": "nowhere.pem"}}, "kafka.tls.ca_file"),
    ({"tls": {"certificate_file": "nowhere.pem"}}, "kafka.tls.certificate_file"),
    ({"sasl": {"username": "u", "password_file": "nowhere"}}, "kafka.sasl.password_file"),
    ({"sasl": {"username": "u", "password_env": "NOBODY_SET_THIS"}}, "kafka.sasl.password_env"),
])  # fmt: skip
def test_what_cannot_be_read_is_named(fresh: str, tmp_path: Path, more: dict[str, Any], said: str) -> None:
    """A file or a variable that is not there is a ConfigError with its key."""
    with pytest.raises(ConfigError, match=said):
        access_of(settings(kafka_table("127.0.0.1:1", fresh, **more)), tmp_path)
