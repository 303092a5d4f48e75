"""The pure parts of the HTTP door: keys, lines, nesting, paces, the table of statuses, the command."""

import json
import os
from pathlib import Path

import pytest

from dispatcher.__main__ import main
from dispatcher._ext.http import shape
from dispatcher.errors import ConfigError
from dispatcher.ingest.bodies import NO_DEFAULTS, read_batch, read_defaults, read_message
from dispatcher.ingest.intake import slices
from dispatcher.ingest.keys import KeyRing, load, locked, make_key, save
from dispatcher.ingest.problems import STATUSES
from dispatcher.ingest.stream import Lines
from dispatcher.model import Refused, SendRequest
from dispatcher.policy.pace import Rate, number_pace
from dispatcher.refusal import Code
from tests.integration.house import run

MINUTE_MS, HOUR_MS = 60_000, 3_600_000


def test_every_refusal_has_a_status() -> None:
    """A code that is not in the table would be answered by a guess."""
    assert set(Code) <= set(STATUSES)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_lines_are_cut_the_same_however_they_come(size: int) -> None:
    """Whatever the reads, the lines are those of the whole; one too long is refused in its place."""
    octets = b'{"a":1}\n\n' + b"x" * 60 + b"\r\n{}\n" + b"y" * 50 + b"\nlast"
    lines = Lines(50)
    found = [piece for at in range(0, len(octets), size) for piece in lines.feed(octets[at : at + size])]
    found += lines.end()
    said: list[str | bytes] = []
    for piece in found:
        said += [piece.code] if isinstance(piece, Refused) else filter(None, piece.split(b"\n"))
    assert said == [b'{"a":1}', "line_too_long", b"{}", b"y" * 50, b"last"]


def test_a_short_rest_goes_with_the_slice_before() -> None:
    """Each slice has a commit: a body that is a little longer than a slice does not pay for two."""
    sizes = {
        count: [len(some) for some in slices(range(count))] for count in (0, 1, 499, 624, 625, 1124, 1125)
    }
    assert sizes == {
        0: [], 1: [1], 499: [499], 624: [624], 625: [500, 125], 1124: [500, 624], 1125: [500, 500, 125],
    }  # fmt: skip
    lines = b"x" * 1023 + b"\n"
    for count, pieces in ((64, 1), (80, 1), (81, 2), (144, 2), (145, 3)):
        assert len(Lines(256 << 10).feed(lines * count)) == pieces


@pytest.mark.parametrize("count", [1, 500, 501, 2_345])
def test_the_shortest_lines_come_in_slices_too(count: int) -> None:
    """Law 12: a piece is what one turn reads; of lines that are wrong it may not be as many as fit in it."""
    octets = b"{}\n" * count
    pieces = Lines(1_000_000).feed(octets)
    assert b"".join(each for each in pieces if isinstance(each, bytes)) == octets
    assert max(each.count(b"\n") for each in pieces if isinstance(each, bytes)) <= 500


def test_what_stands_twice_is_seen_wherever_it_stands() -> None:
    """In a message and around messages; quotes in a text, nulls and escapes are no reason to refuse."""
    fine = b'{"to":"1","text":"say \\"to\\":\\"2\\"","sender":"B","client_ref":null,"ttl_ms":5}'
    assert isinstance(read_message(fine, NO_DEFAULTS, ""), SendRequest)
    twice = b'{"to":"1","text":"a","sender":"B","t\\u006f":"2"}'
    found = read_message(twice, NO_DEFAULTS, "")
    assert isinstance(found, Refused)
    assert found.code == "duplicate_key"
    for body in (b'{"messages":[],"messages":[{}]}', b'{"messages":[],"m\\u0065ssages":[]}'):
        batch = read_batch(body, shape(body, 32, 100)[1])
        assert isinstance(batch, Refused)
        assert batch.code == "duplicate_key"
    fine = b'{"messages":[{"to":"messages","text":"\\"defaults\\":"}],"defaults":null}'
    assert not isinstance(read_batch(fine, shape(fine, 32, 100)[1]), Refused)
    said = read_defaults(b'{"sender":"A","sender":"Bank"}')
    assert isinstance(said, Refused)
    assert said.code == "duplicate_key"
    assert read_defaults(b"null") == NO_DEFAULTS


def test_one_number_has_its_pace() -> None:
    """Ten a minute, twelve an hour; other numbers and sources are not concerned; the table is bounded."""
    pace = number_pace(10, 12, numbers_max=3)
    start = HOUR_MS * 10
    assert [pace.take("a", "+79000000001", start) for _ in range(10)] == [0] * 10
    assert pace.take("a", "79000000001", start + 1) == MINUTE_MS - 1
    assert pace.take("b", "79000000001", start) == 0
    assert pace.take("a", "79000000002", start) == 0
    assert [pace.take("a", "8 (900) 000-00-01", start + MINUTE_MS) for _ in range(2)] == [0, 0]
    assert pace.take("a", "+79000000001", start + MINUTE_MS) == HOUR_MS - MINUTE_MS
    assert pace.take("a", "+79000000001", start + HOUR_MS) == 0
    pace.take("a", "79000000003", start)
    assert len(pace) == 3


def test_what_was_given_back_can_go() -> None:
    """A message that was refused later did not count."""
    pace = number_pace(1, 1)
    assert pace.take("a", "1", 0) == 0
    pace.give_back("a", "1")
    assert pace.take("a", "1", 0) == 0
    assert pace.take("a", "1", 0) > 0


def test_a_rate_fills_with_time() -> None:
    """Two a second: two at once, then one each half second, and never more than two."""
    rate = Rate(2.0, 0)
    assert rate.take(5, 0) == 2
    assert 0 < rate.wait_ms <= 501
    assert rate.take(5, 500) == 1
    assert rate.take(5, 100_000) == 2


def test_the_ring_follows_its_file(tmp_path: Path) -> None:
    """A token is right or wrong as a whole; a disabled or deleted key is gone at the next look; a broken
    file changes nothing."""

    async def scenario() -> None:
        path = tmp_path / "keys.json"
        key, token = make_key("core", "2026-11-24T00:00:00Z")
        save(path, (key,))
        assert path.stat().st_mode & 0o777 == 0o600
        assert token[13:] not in path.read_text()
        now = [0.0]
        ring = KeyRing(path, lambda: now[0])
        await ring.open()
        assert await ring.find(token) == key
        for wrong in ("", token[:-1], token[:-1] + ("A" if token[-1] != "A" else "B"), "dsk_" + "é" * 52):
            assert await ring.find(wrong) is None
        path.write_text("{")
        now[0] += 2
        assert await ring.find(token) == key
        save(path, ())
        now[0] += 2
        assert await ring.find(token) is None

    run(scenario())


def test_the_command_makes_keys_and_takes_them_away(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """create prints the token once; list never; disable, enable and delete by id; 1 for an unknown one."""
    store = ["--store", str(tmp_path / "store"), "--json"]
    assert main(["keys", "create", "core", "--sender", "Bank", "--class", "service", *store]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["token"].startswith(f"dsk_{made['id']}_")
    assert main(["keys", "disable", made["id"], *store]) == 0
    assert load(tmp_path / "store" / "keys.json")[0].is_disabled
    assert main(["keys", "enable", made["id"], *store]) == 0
    capsys.readouterr()
    assert main(["keys", "list", *store]) == 0
    listed = capsys.readouterr().out
    assert json.loads(listed)[0]["senders"] == ["Bank"]
    assert made["token"][13:] not in listed
    assert main(["keys", "delete", made["id"], *store]) == 0
    assert main(["keys", "delete", made["id"], *store]) == 1
    assert load(tmp_path / "store" / "keys.json") == ()
    capsys.readouterr()
    assert main(["keys", "create", "no good name", *store]) == 78
    said = "dispatcher keys: name: expected 1 to 32 letters (A-Z), digits, _ . or -, a letter or digit first"
    assert capsys.readouterr().err == said + "\n"


def test_a_second_key_of_a_name_is_made_on_purpose(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An active one is in the way, a disabled one is not; --beside makes both hold for a while."""
    store = ["--store", str(tmp_path)]
    assert main(["keys", "create", "core", *store]) == 0
    (first,) = load(tmp_path / "keys.json")
    capsys.readouterr()
    assert main(["keys", "create", "core", *store]) == 73
    said = capsys.readouterr().err
    assert first.id in said
    assert "--beside" in said
    assert main(["keys", "create", "core", "--beside", *store]) == 0
    second = load(tmp_path / "keys.json")[1]
    for key in (first, second):
        assert main(["keys", "disable", key.id, *store]) == 0
    assert main(["keys", "create", "core", *store]) == 0


@pytest.mark.parametrize(
    ("sender", "said"),
    [
        ("A" * 12, "1 to 11 characters"),
        ("1" * 16, "1 to 15 digits"),
        ("12", "3 to 8 digits"),
        ("Банк", "'Б' is not possible"),
        ("", "1 to 11 characters"),
    ],
)
def test_a_sender_that_nobody_could_send_is_refused(
    sender: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and why; no key is made."""
    assert main(["keys", "create", "core", "--sender", sender, "--store", str(tmp_path)]) == 2
    shown = capsys.readouterr().err
    assert "no carrier could send it" in shown
    assert said in shown
    assert load(tmp_path / "keys.json") == ()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "it is no file of keys, or is damaged"),
        (b'{"keys": [{"id": "a"}]}', "keys[0].name: it is missing"),
        (b'{"keys": {}}', "keys: expected"),
        (b'{"version": 2}', "version: expected int <= 1"),
    ],
)
def test_a_damaged_file_of_keys(content: bytes, said: str, tmp_path: Path) -> None:
    """What is wrong is said by its path, in no library's words."""
    (tmp_path / "keys.json").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "keys.json")
    assert said in str(caught.value)
    assert "$" not in str(caught.value)


def test_the_command_finds_the_keys_of_a_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the store, or where http.keys_file says, also when conf.d says it; 78 names file and key."""
    path = tmp_path / "dispatcher.toml"
    path.write_text(
        'store = "data"\n[carriers.c]\nhost = "h"\nport = 1\nsystem_id = "b"\n[[routes]]\ncarriers = ["c"]\n'
    )
    config = ["--config", str(path)]
    assert main(["keys", "create", "core", *config]) == 0
    assert load(tmp_path / "data" / "keys.json")[0].name == "core"
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "keys.toml").write_text('[http]\nkeys_file = "mine.json"\n')
    assert main(["keys", "create", "desk", *config]) == 0
    assert [key.name for key in load(tmp_path / "mine.json")] == ["desk"]
    capsys.readouterr()
    path.write_text('store = "data"\nstor = 1\n')
    assert main(["keys", "list", *config]) == 78
    assert "dispatcher.toml:2: stor: unknown key" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_keys_written_by_root_belong_to_the_folders_owner(tmp_path: Path) -> None:
    """Else a daemon that is not root could not read what `dispatcher keys` wrote."""
    os.chown(tmp_path, 65_534, 65_534)
    path = tmp_path / "keys.json"
    with locked(path):
        save(path, ())
    assert {file.stat().st_uid for file in tmp_path.iterdir()} == {65_534}
