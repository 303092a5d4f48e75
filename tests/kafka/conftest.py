"""Brokers for the tests of Kafka: `bootstrap` is each in turn, `crashable` one that survives killed clients;
`tansu` and `noida` are a test's own, to be stopped.

With KAFKA_BOOTSTRAP=host:9092, `bootstrap` and `crashable` are that cluster, and tests that stop or need one
certain broker are skipped. Names of topics begin with a word of the test's own (`fresh`), so that one broker
serves a whole run.
"""

import os
from collections.abc import Iterator

import pytest

from tests.kafka.brokers import BOOTSTRAP, COMMANDS, Broker, absent


@pytest.fixture(scope="session")
def tansu_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Run one Tansu for the whole run."""
    yield from _running("tansu", tmp_path_factory)


@pytest.fixture(scope="session")
def noida_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Run one noida-db for the whole run."""
    yield from _running("noida", tmp_path_factory)


@pytest.fixture
def tansu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Run a Tansu of a test's own, which may be stopped or killed."""
    yield from _running("tansu", tmp_path_factory)


@pytest.fixture
def noida(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Run a noida-db of a test's own, which may be stopped or killed."""
    yield from _running("noida", tmp_path_factory)


@pytest.fixture(params=["cluster"] if BOOTSTRAP else list(COMMANDS))
def bootstrap(request: pytest.FixtureRequest) -> str:
    """Return the address of each broker in turn, or that of the cluster that KAFKA_BOOTSTRAP names."""
    if BOOTSTRAP:
        return BOOTSTRAP
    broker: Broker = request.getfixturevalue(f"{request.param}_session")
    return broker.address


@pytest.fixture
def crashable(request: pytest.FixtureRequest) -> str:
    """Return the address of Tansu, which expires members that were killed; or that of the cluster."""
    if BOOTSTRAP:
        return BOOTSTRAP
    broker: Broker = request.getfixturevalue("tansu_session")
    return broker.address


@pytest.fixture
def fresh() -> str:
    """Return a word that no other test and no other run has: for names of topics and groups."""
    return f"t{os.urandom(5).hex()}"


def _running(kind: str, folders: pytest.TempPathFactory) -> Iterator[Broker]:
    if BOOTSTRAP:
        pytest.skip(f"{kind} is not wanted: KAFKA_BOOTSTRAP names a cluster, which is not ours to stop")
    if why := absent(kind):
        pytest.skip(f"LOUD: {why}")
    broker = Broker(kind, folders.mktemp(kind))
    broker.start()
    yield broker
    broker.stop()
