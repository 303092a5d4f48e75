"""Configuration on disk: files that merge, the environment over them, errors with file, line and key."""

import tomllib
from pathlib import Path

import pytest

from dispatcher.config import Config
from dispatcher.convert import fields_of
from dispatcher.credentials import secret_of_env, secret_of_file
from dispatcher.errors import ConfigError
from dispatcher.files import PLAIN_KEYS, default_path, lines_of_keys, load

SMALLEST = """\
store = "data"
[carriers.mts]
host = "smsc.example"
port = 2775
system_id = "bank"

[[routes]]
carriers = ["mts"]
"""


def written(folder: Path, text: str = SMALLEST, **more: str) -> Path:
    """Write dispatcher.toml, and files of conf.d by name; return the path of the first."""
    path = folder / "dispatcher.toml"
    path.write_text(text)
    for name, content in more.items():
        (folder / "conf.d").mkdir(exist_ok=True)
        (folder / "conf.d" / f"{name}.toml").write_text(content)
    return path


def wrong(path: Path, environ: dict[str, str] | None = None) -> list[str]:
    """Return what is wrong with a configuration, the folder taken off."""
    with pytest.raises(ConfigError) as caught:
        load(path, environ or {})
    return str(caught.value).replace(f"{path.parent}/", "").splitlines()


def test_a_file_is_loaded(tmp_path: Path) -> None:
    """The store lies beside the file; each given key knows its line."""
    loaded = load(written(tmp_path), {})
    assert loaded.config.store == str(tmp_path / "data")
    assert loaded.folder == tmp_path
    assert loaded.places["carriers.mts.port"] == f"{tmp_path}/dispatcher.toml:4"
    assert loaded.places["routes[0].carriers"] == f"{tmp_path}/dispatcher.toml:8"


def test_every_mistake_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    """An unknown key with what it may mean, a wrong type, a value out of range, a missing key."""
    text = SMALLEST.replace("port = 2775", 'tsp = 5\nport = "x"') + "[http]\nport = 70000\n[event_files.a]\n"
    assert wrong(written(tmp_path, text)) == [
        "dispatcher.toml:4: carriers.mts.tsp: unknown key; did you mean 'tps'?",
        "dispatcher.toml:5: carriers.mts.port: expected int, got str",
        "dispatcher.toml:11: http.port: expected int <= 65535",
        "dispatcher.toml:12: event_files.a.path: it is missing",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[http]\nhost = '0.0.0.0'\n", "dispatcher.toml:10: http: host: 0.0.0.0 is not loopback"),
        ("[[routes]]\ncarriers = ['mst']\n", "dispatcher.toml:9: routes[1]: never reached"),
        ("x = [\n", "dispatcher.toml: Invalid value (at end of document)"),
        ("[carriers.mts]\n", "dispatcher.toml:9: Cannot declare ('carriers', 'mts') twice"),
    ],
)
def test_where_it_stands(text: str, expected: str, tmp_path: Path) -> None:
    """What a table's keys say together, what routes say together, and what is no TOML have their lines."""
    assert any(line.startswith(expected) for line in wrong(written(tmp_path, SMALLEST + text)))


def test_conf_d_merges_in_name_order(tmp_path: Path) -> None:
    """Tables merge, lists of tables are joined, each with its own file and line."""
    head = SMALLEST.replace('carriers = ["mts"]', 'carriers = ["mts"]\nprefixes = ["7"]')
    more = "[carriers.mts]\ntps = 50\n[http]\nport = 1\n"
    last = '[[routes]]\ncarriers = ["mts"]\nprefixes = ["9"]\n[[routes]]\ncarriers = ["mts"]\nweights = [0]\n'
    path = written(tmp_path, head, b=more, c=last)
    (tmp_path / "conf.d" / ".hidden.toml").write_text("=")
    (tmp_path / "conf.d" / "README").write_text("=")
    assert wrong(path) == [
        "conf.d/c.toml:6: routes[2]: weights: all are 0, so that no carrier would be the first"
    ]
    (tmp_path / "conf.d" / "c.toml").write_text(last.replace("weights = [0]", ""))
    config = load(path, {}).config
    assert [rule.prefixes for rule in config.routes] == [("7",), ("9",), ()]
    assert config.carriers["mts"].tps == 50
    assert config.http.port == 1


def test_a_value_given_twice_names_both_files(tmp_path: Path) -> None:
    """Nobody has to guess which of two files wins."""
    path = written(tmp_path, SMALLEST, a="[carriers.mts]\nport = 1\n", b="carriers.mts.host = 'x'")
    assert wrong(path) == [
        "conf.d/a.toml:2: carriers.mts.port: dispatcher.toml:4 gives it already",
        "conf.d/b.toml:1: carriers.mts.host: dispatcher.toml:3 gives it already",
    ]


def test_the_environment_is_laid_over_the_files(tmp_path: Path) -> None:
    """Numbers, switches and lists are read by the key's type; a text of digits stays a text."""
    environ = {
        "DISPATCHER_HTTP__PORT": "9000",
        "DISPATCHER_HTTP__REQUIRE_KEY": "false",
        "DISPATCHER_CARRIERS__MTS__SYSTEM_ID": "4711",
        "DISPATCHER_CARRIERS__MTS__TLS__VERIFY": "false",
        "DISPATCHER_CLASSES__MARKETING__ATTEMPTS": "2",
        "DISPATCHER_EVENT_FILES__A__PATH": "1",
        "DISPATCHER_EVENT_FILES__A__EVENTS": '["finished"]',
        "DISPATCHER_STORE": "/elsewhere",
        "DISPATCHER_PORT": "tcp://10.0.0.1:80",  # Kubernetes, for a service of our name
        "DISPATCHER_DEBUG": "1",
    }
    loaded = load(written(tmp_path), environ)
    config = loaded.config
    assert (config.http.port, config.http.require_key, config.store) == (9000, False, "/elsewhere")
    carrier = config.carriers["mts"]
    assert (carrier.system_id, carrier.tls and carrier.tls.verify) == ("4711", False)
    assert config.classes.marketing.attempts == 2
    assert (config.event_files["a"].path, config.event_files["a"].events) == ("1", ("finished",))
    assert loaded.places["http.port"] == "DISPATCHER_HTTP__PORT"


def test_a_mistake_in_the_environment_names_the_variable(tmp_path: Path) -> None:
    """Also where the section is unknown, or no section at all."""
    environ = {
        "DISPATCHER_HTPP__PORT": "1",
        "DISPATCHER_HTTP__PORT": "many",
        "DISPATCHER_CARRIERS__MTS__TPS": "-1",
    }
    assert wrong(written(tmp_path), environ) == [
        "DISPATCHER_CARRIERS__MTS__TPS: carriers.mts.tps: expected float > 0.0",
        "DISPATCHER_HTPP__PORT: htpp: unknown key; did you mean 'http'?",
        "DISPATCHER_HTTP__PORT: http.port: expected int, got str",
    ]
    assert wrong(written(tmp_path), {"DISPATCHER_STORE__PORT": "1"}) == [
        "DISPATCHER_STORE__PORT: store is no table"
    ]


def test_plain_keys_are_those_of_the_top() -> None:
    """Every text at the top of the configuration can be given by a variable."""
    fields = fields_of(Config) or {}
    texts = {name for name, kind in fields.items() if "str" in str(kind) and "dict" not in str(kind)}
    assert texts - {"routes"} == PLAIN_KEYS


def test_systemd_says_where_things_are(tmp_path: Path) -> None:
    """$CONFIGURATION_DIRECTORY wins, $STATE_DIRECTORY is the store that nobody gave; else by user."""
    assert default_path({"CONFIGURATION_DIRECTORY": "/a:/b"}, is_root=True) == Path("/a/dispatcher.toml")
    assert default_path({}, is_root=True) == Path("/etc/dispatcher/dispatcher.toml")
    assert default_path({"XDG_CONFIG_HOME": "/x"}, is_root=False) == Path("/x/dispatcher/dispatcher.toml")
    home = {"HOME": "/h"}
    assert default_path(home, is_root=False) == Path("/h/.config/dispatcher/dispatcher.toml")
    storeless = SMALLEST.partition("\n")[2]
    assert load(written(tmp_path, storeless), {"STATE_DIRECTORY": "/s"}).config.store == "/s"
    assert load(written(tmp_path), {"STATE_DIRECTORY": "/s"}).config.store == str(tmp_path / "data")
    assert wrong(written(tmp_path, storeless)) == ["dispatcher.toml: store: it is missing"]


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    """It is named, with what the system says."""
    assert wrong(tmp_path / "none.toml") == ["none.toml: No such file or directory"]
    (tmp_path / "x.toml").write_bytes(b"store = '\xff'")
    assert wrong(tmp_path / "x.toml") == ["x.toml: octet 9 is not UTF-8"]


def test_lines_are_found_in_every_form_that_toml_has() -> None:
    """Dotted and quoted keys, lists of tables with tables in them, texts over lines that look like keys."""
    text = (
        'a = """\nb = 1\n[c]\n"""\nd.e = 1\n["f.g"] # h\n  "i" = [\n  [1],\n  2,\n]\n'
        "[[j]]\nk = 1\n[j.l]\nm = 1\n[[j]]\n[j.l]\n"
    )
    tomllib.loads(text)
    assert lines_of_keys(text, {"j": 1}) == {
        "a": 1, "d.e": 5, "f.g": 6, "f.g.i": 7,
        "j[1]": 11, "j[1].k": 12, "j[1].l": 13, "j[1].l.m": 14, "j[2]": 15, "j[2].l": 16,
    }  # fmt: skip


# ---- secrets ----


def test_secrets_come_from_files_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first line of a file, systemd's folder of credentials before that of the configuration."""
    credentials, folder = tmp_path / "credentials", tmp_path / "etc"
    credentials.mkdir()
    folder.mkdir()
    (folder / "mine").write_text("one\ntwo\n")
    (folder / "both").write_text("wrong")
    (credentials / "both").write_text("right")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    assert secret_of_file("a.b", "mine", folder) == "one"
    assert secret_of_file("a.b", "both", folder) == "right"
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    assert secret_of_file("a.b", "both", folder) == "wrong"
    with pytest.raises(ConfigError, match=r"^a\.b: .*No such file"):
        secret_of_file("a.b", "none", folder)
    monkeypatch.setenv("SOME_SECRET", "x")
    assert secret_of_env("a.b", "SOME_SECRET") == "x"
    with pytest.raises(ConfigError, match=r"^a\.b: NO_SECRET is not set"):
        secret_of_env("a.b", "NO_SECRET")


def test_a_secret_that_others_may_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the file in our folder; what systemd made is systemd's business."""
    file = tmp_path / "secret"
    file.write_text("x")
    file.chmod(0o600)
    secret_of_file("a.b", "secret", tmp_path)
    assert not caplog.records
    file.chmod(0o640)
    secret_of_file("a.b", "secret", tmp_path)
    assert [record.getMessage() for record in caplog.records] == [f"a.b: others may read {file}: chmod 600"]
    caplog.clear()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    secret_of_file("a.b", "secret", tmp_path / "etc")
    assert not caplog.records
