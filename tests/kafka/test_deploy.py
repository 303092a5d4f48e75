"""Files for those who deploy: as far as they can be checked without an engine."""

import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from dispatcher.cli.init import unit
from dispatcher.config import from_dict
from tests.test_architecture import ROOT

COMPOSE = ROOT / "dispatcher" / "kafka" / "compose.yaml"


def composed() -> dict[str, Any]:
    """Return the compose file; its anchors are merged as an engine does."""
    yaml = pytest.importorskip("yaml")
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return found


def test_the_compose_file_holds_together() -> None:
    """Every volume, configuration and service that is named is there; each broker and store has its own."""
    compose = composed()
    services = compose["services"]
    volumes = [name.partition(":")[0] for each in services.values() for name in each.get("volumes", ())]
    assert sorted(volumes) == sorted(compose["volumes"])
    for name, service in services.items():
        assert set(service.get("depends_on", ())) <= set(services), name
        assert {each["source"] for each in service.get("configs", ())} <= set(compose["configs"]), name
        assert ("image" in service) != ("build" in service), name
    brokers = [services[f"kafka-{number}"]["environment"] for number in (1, 2, 3)]
    assert len({each["KAFKA_NODE_ID"] for each in brokers}) == 3
    assert {each["KAFKA_MIN_INSYNC_REPLICAS"] for each in brokers} == {"2"}


def test_its_configuration_loads() -> None:
    """The dispatcher takes it, its brokers are the services, and its carrier is one, too."""
    compose = composed()
    config = from_dict(tomllib.loads(compose["configs"]["dispatcher"]["content"]))
    assert config.kafka is not None
    hosts = {address.partition(":")[0] for address in config.kafka.brokers} | {config.carriers["first"].host}
    assert hosts <= set(compose["services"])
    assert not config.kafka.allow_unsafe


def test_systemd_takes_the_template_of_workers(tmp_path: Path) -> None:
    """Each instance has its own configuration and store; systemd has nothing to complain of."""
    text = unit(is_template=True)
    assert "--config /etc/dispatcher/%i.toml" in text
    assert "StateDirectory=dispatcher/%i" in text
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze")
    path = tmp_path / "dispatcher@.service"
    path.write_text(text)
    verified = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / "dispatcher@one.service")],
        capture_output=True, text=True, timeout=60, check=False, env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )  # fmt: skip
    assert [line for line in verified.stderr.splitlines() if "dispatcher@" in line] == []
