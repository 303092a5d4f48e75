"""Files for those who deploy: as far as they can be checked without an engine."""

import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from dispatcher.cli.init import unit
from dispatcher.config import from_dict
from dispatcher.kafka.topics import wanted
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


@pytest.mark.parametrize(("name", "mode"), [("daemon", "source"), ("worker", "journal")])
def test_its_configurations_load(name: str, mode: str) -> None:
    """The dispatcher takes each, its brokers are the services, and its carrier is one, too; who serves it is
    in the profile of that mode, and finds it where its command says."""
    compose = composed()
    config = from_dict(tomllib.loads(compose["configs"][name]["content"]))
    assert config.kafka is not None
    assert config.kafka.mode == mode
    hosts = {address.partition(":")[0] for address in config.kafka.brokers} | {config.carriers["first"].host}
    assert hosts <= set(compose["services"])
    assert not config.kafka.allow_unsafe
    path = f"/etc/dispatcher/{name}.toml"
    users = [each for each in compose["services"].values() if {"serve", path} <= set(each.get("command", ()))]
    assert len(users) == (2 if mode == "journal" else 1)
    for each in users:
        assert each["profiles"] == ["workers" if mode == "journal" else "source"]
        assert each["configs"] == [{"source": name, "target": path}]
        folders = [*each.get("tmpfs", ()), *(of.partition(":")[2] for of in each.get("volumes", ()))]
        assert any(config.store.startswith(folder.partition(":")[0]) for folder in folders)


def test_topics_of_both_are_made_once() -> None:
    """Those of workers are more than those of a daemon: who makes them has the workers' configuration."""
    compose = composed()
    kafka = {
        name: from_dict(tomllib.loads(each["content"])).kafka for name, each in compose["configs"].items()
    }
    names = {name: {topic.name for topic in wanted(its)} for name, its in kafka.items() if its is not None}
    assert names["daemon"] < names["worker"]
    assert "/etc/dispatcher/worker.toml" in compose["services"]["topics"]["command"]


def test_a_worker_of_the_template_finds_its_scratch_folder() -> None:
    """The folder that systemd makes for an instance, the only one that it may write to, is its `store`."""
    lines = unit(is_template=True).splitlines()
    store = {line.partition("=")[2] for line in lines if line.startswith("StateDirectory=")}
    assert store == {"dispatcher/%i"}
    config = from_dict({
        "store": "/var/lib/dispatcher/one",
        "carriers": {"first": {"host": "carrier", "port": 2775, "system_id": "demo"}},
        "routes": [{"carriers": ["first"]}],
        "kafka": {"mode": "journal", "brokers": ["127.0.0.1:9092"]},
    })  # fmt: skip
    assert config.store == f"/var/lib/{store.pop().replace('%i', 'one')}"
    assert "ProtectSystem=strict" in lines


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
