"""``dispatcher config`` and ``dispatcher init``: what they say, their exit codes, the systemd unit."""

import configparser
import json
import shutil
import stat
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from dispatcher.__main__ import main
from dispatcher.cli.config import HIDDEN, toml_lines
from dispatcher.cli.init import UNIT
from dispatcher.config import Config, from_dict
from dispatcher.files import load
from dispatcher.ingest.keys import load as load_keys

SECRET = "s3cret"
PASSWORD = "DISPATCHER_CARRIERS__MTS__PASSWORD"
CONFIG = """\
store = "data"
[carriers.mts]
host = "smsc.example"
port = 2775
system_id = "bank"
#PASSWORD
[[routes]]
carriers = ["mts"]
senders = ["Bank"]
[webhooks.crm]
url = "https://crm.example/hook"
secret_envs = ["CRM_SECRET"]
"""


def written(folder: Path, text: str = CONFIG) -> str:
    """Write it; return the path."""
    (folder / "dispatcher.toml").write_text(text)
    return str(folder / "dispatcher.toml")


# ---- check ----


def test_all_is_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 0, and a line that says so; with --json an object."""
    monkeypatch.setenv("CRM_SECRET", "whsec_" + "QUJD" * 8)
    path = written(tmp_path)
    assert main(["config", "check", "--config", path]) == 0
    assert capsys.readouterr().out == f"{path}: all is right\n"
    assert main(["config", "check", "--config", path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": path, "is_right": True, "problems": []}


def test_every_problem_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 78; one problem a line, with file, line and key."""
    text = CONFIG.replace("port", "prot").replace("crm.example", " ")
    path = written(tmp_path, text.replace('["mts"]', '["mst"]') + '[log]\nlevel = "verbose"\n')
    assert main(["config", "check", "--config", path]) == 78
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"{path}:4: carriers.mts.prot: unknown key; did you mean 'port'?"
    assert lines[1] == f"{path}:2: carriers.mts.port: it is missing"
    assert lines[2].startswith(f"{path}:11: webhooks.crm.url: ")
    assert lines[3] == f"{path}:14: log.level: 'verbose' is not one of debug, info, warning, error"
    unknown = "routes[0].carriers[0]: no carrier has the name 'mst'; did you mean 'mts'?"
    assert lines[4:] == [f"{path}:8: {unknown}"]
    assert main(["config", "check", "--config", path, "--json"]) == 78
    assert json.loads(capsys.readouterr().out)["problems"] == lines


@pytest.mark.parametrize(
    ("host", "is_right"),
    [
        *(
            (host, False)
            for host in ("10.1.2.3", "127.1", "2130706433", "localhost", "crm.localhost", "[::1]")
        ),
        *((host, True) for host in ("crm.example", "10.example", "9.9.9.9", "[2001:4860:4860::8888]")),
    ],
)
def test_an_address_inside_is_told(
    host: str,
    is_right: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A webhook that would never be called: the key and the setting are named; with it, all is right."""
    monkeypatch.setenv("CRM_SECRET", "whsec_" + "QUJD" * 8)
    text = CONFIG.replace("https://crm.example", f"http://{host}:8000")
    path = written(tmp_path, text)
    assert main(["config", "check", "--config", path]) == (0 if is_right else 78)
    said = capsys.readouterr().err
    if not is_right:
        assert said.startswith(f"{path}:11: webhooks.crm.url: the address is not public")
        assert "allow_private = true" in said
        written(tmp_path, text + "allow_private = true\n")
        assert main(["config", "check", "--config", path]) == 0


def test_files_that_it_names_are_checked_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Secrets, certificates, profiles and plans of numbers: what would be found only at the start."""
    text = 'numbering_plan = "plan.csv"\n' + CONFIG.replace(
        "#PASSWORD",
        'password_file = "none"\n[carriers.beeline]\nhost = "h"\nport = 1\nsystem_id = "b"\nprofile = "odd"\n'
        '[carriers.tele2]\nhost = "h"\nport = 1\nsystem_id = "t"\ntls = { ca_file = "ca.pem" }',
    )
    path = written(tmp_path, text)
    assert main(["config", "check", "--config", path]) == 78
    said = capsys.readouterr().err
    for line, key in (
        (1, "numbering_plan"),
        (7, "carriers.mts.password_file"),
        (12, "carriers.beeline.profile"),
        (17, "carriers.tele2.tls.ca_file"),
        (23, "webhooks.crm.secret_envs[0]"),
    ):
        assert f"{path}:{line}: {key}: " in said


# ---- show ----


def test_a_password_in_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is named with its line, whatever else is wrong, and its value is not said; so in an inline table."""
    path = written(tmp_path, CONFIG.replace("#PASSWORD", f'password = "{SECRET}"').replace("tps", "tsp"))
    assert main(["config", "check", "--config", path]) == 78
    said = capsys.readouterr().err
    assert f"{path}:6: carriers.mts.password: a secret does not stand in a file" in said
    inline = f'[carriers]\nmts = {{ host = "h", port = 1, system_id = "b", password = "{SECRET}" }}\n'
    written(tmp_path, f'store = "d"\n{inline}[[routes]]\ncarriers = ["mts"]\n')
    assert main(["config", "check", "--config", path]) == 78
    said += capsys.readouterr().err
    assert f"{path}:3: carriers.mts.password: a secret does not stand in a file" in said
    assert SECRET not in said


def test_show_prints_what_is_in_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """TOML that loads again, defaults included, with the place of what was given; never a password."""
    monkeypatch.setenv(PASSWORD, SECRET)
    path = written(tmp_path)
    assert main(["config", "show", "--config", path]) == 0
    said = capsys.readouterr().out
    assert f"port = 2775  # {path}:4\n" in said
    assert "drain_ms = 25000\n" in said
    assert SECRET not in said
    shown = from_dict(tomllib.loads(said.replace(HIDDEN, SECRET)))
    assert shown == load(Path(path), {PASSWORD: SECRET}).config


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_redact_hides_whom_a_bank_works_with(
    form: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Hosts, accounts, senders, addresses of webhooks: for a ticket to somebody outside."""
    monkeypatch.setenv(PASSWORD, SECRET)
    assert main(["config", "show", "--config", written(tmp_path), "--redact", *form]) == 0
    said = capsys.readouterr().out.replace(str(tmp_path), "")
    for word in ("smsc.example", '"bank"', '"Bank"', "crm.example", SECRET):
        assert word not in said
    assert "2775" in said


def test_show_of_a_wrong_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 78, with the problems."""
    assert main(["config", "show", "--config", written(tmp_path, "store = 5")]) == 78
    assert "store: expected str, got int" in capsys.readouterr().err


def test_toml_of_odd_keys_and_values() -> None:
    """Keys that need quotes, texts with quotes, lists in lists, tables in lists."""
    plain: dict[str, Any] = {
        "a": {"b.c": {"x": 'say "hi"\n'}, "d": None},
        "e": [[1, 2], ["x"]],
        "f": [{"g": 1.5, "h": {"i": True}}, {"g": 2.5}],
    }
    expected = {**plain, "a": {"b.c": plain["a"]["b.c"]}}
    assert tomllib.loads("\n".join(toml_lines(plain))) == expected


def test_the_schema_knows_every_section(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON Schema, for editors."""
    assert main(["config", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert set(schema["$defs"]["Config"]["properties"]) == set(Config.__struct_fields__)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


# ---- init ----


def test_init_writes_what_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of twenty lines that is right, a closed folder for the store, the commands to go on with."""
    folder = tmp_path / "new"
    assert main(["init", str(folder)]) == 0
    said = capsys.readouterr().out
    path = folder / "dispatcher.toml"
    assert all(f"  {word} " in said for word in ("dispatcher simulate", "dispatcher serve", "curl"))
    (key,) = load_keys(folder / "data" / "keys.json")
    token = (folder / "api.key").read_text().strip()
    assert token.startswith(f"dsk_{key.id}_")
    assert token not in said, "a terminal's history is no place for it"
    assert stat.S_IMODE((folder / "api.key").stat().st_mode) == 0o600
    assert f"dispatcher serve --config {path}" in said
    assert main(["config", "check", "--config", str(path)]) == 0
    assert stat.S_IMODE((folder / "data").stat().st_mode) == 0o700
    config = load(path, {}).config
    assert config.store == str(folder / "data")
    substance = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    assert len(substance) <= 20


def test_init_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 73, and the file is what it was."""
    path = written(tmp_path, "mine")
    assert main(["init", str(tmp_path)]) == 73
    assert "nothing is overwritten" in capsys.readouterr().err
    assert Path(path).read_text() == "mine"


# ---- the unit ----


def test_the_unit_is_printed_and_parsed(capsys: pytest.CaptureFixture[str]) -> None:
    """What the daemon needs: notify, reload by SIGHUP, a watchdog, no start again where it is of no use."""
    assert main(["init", "--systemd"]) == 0
    said = capsys.readouterr().out
    assert said == UNIT.read_text()
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(said)
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert service["RestartPreventExitStatus"] == "2 64 65 78"
    assert int(service["WatchdogSec"]) >= 10
    drain_s = from_dict(
        {
            "store": "x",
            "carriers": {"a": {"host": "h", "port": 1, "system_id": "b"}},
            "routes": [{"carriers": ["a"]}],
        }
    ).process.drain_ms
    assert int(service["TimeoutStopSec"]) * 1000 > drain_s
    for key in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "MemoryDenyWriteExecute"):
        assert service[key] == "yes"
    assert service["ProtectSystem"] == "strict"


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """Nothing to complain of, and little that the process could do beyond its work."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze")
    unit = tmp_path / "dispatcher.service"
    unit.write_text(UNIT.read_text())
    verified = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )
    assert [line for line in verified.stderr.splitlines() if "dispatcher.service" in line] == []
    assert verified.returncode == 0
    scored = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert scored.returncode == 0, scored.stdout[-500:]
