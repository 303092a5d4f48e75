"""Rows of a file of messages: CSV and NDJSON as people have them; a bad row costs only itself."""

import io
from typing import Any

import pytest

from dispatcher.cli.exits import CommandError, Exit
from dispatcher.cli.send_file import Pace
from dispatcher.cli.send_rows import LINE_MAX, Row, Rows, Shape, pairs


def rows(octets: bytes, name: str = "f.csv", **shape: Any) -> list[Row]:
    """Return all rows of a file."""
    return list(Rows(io.BytesIO(octets), name, Shape(**shape)))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_header_shows_the_delimiter(delimiter: str) -> None:
    """Of four delimiters, the one that makes known names; a byte order mark is none of a name."""
    text = "\ufeffto,text,sender\r\n+7900,a b,Bank\r\n".replace(",", delimiter)
    assert [each.values for each in rows(text.encode())] == [{"to": "+7900", "text": "a b", "sender": "Bank"}]


def test_lines_are_those_where_rows_begin() -> None:
    """A text of several lines is one row; empty lines are none."""
    found = rows(b'to,text,sender\n1,"a\nb",B\n\n2,c,B\n')
    assert [(each.line, each.values["text"]) for each in found] == [(2, "a\nb"), (5, "c")]


@pytest.mark.parametrize(
    ("row", "flaw"),
    [
        (b"1,x", "2 columns, the header has 3"),
        (b'1,"x"y,B', "not CSV: "),
        (b"1,\xff,B", "not utf-8; --encoding names another"),
        (b"1," + b"x" * LINE_MAX + b",B", "longer than 262,144 characters"),
    ],
)
def test_a_bad_row_costs_only_itself(row: bytes, flaw: str) -> None:
    """It has a flaw; the rows before and behind it have none."""
    found = rows(b"to,text,sender\n0,x,B\n" + row + b"\n2,z,B\n")
    assert [each.line for each in found] == [2, 3, 4]
    assert found[1].flaw.startswith(flaw)
    assert [found[0].flaw, found[2].flaw] == ["", ""]


def test_defaults_and_names_make_fields() -> None:
    """Columns become fields, empty cells and absent ones the defaults; ttl_ms is a number or a flaw."""
    shape: dict[str, Any] = {
        "names": {"phone": "to"},
        "defaults": {"sender": "Bank", "traffic_class": "service"},
    }
    found = rows(b"phone,text,ttl_ms,sender\n1,x,5000,\n2,y,soon,Other\n", **shape)
    assert found[0].values == {
        "to": "1", "text": "x", "ttl_ms": 5000, "sender": "Bank", "traffic_class": "service",
    }  # fmt: skip
    assert found[1].values["sender"] == "Other"
    assert found[1].flaw == "ttl_ms: whole milliseconds are expected"


def test_an_encoding_of_old_is_read() -> None:
    """cp1251, as accounting systems still write it."""
    text = "to;text;sender\n1;Привет;Банк\n"
    assert rows(text.encode("cp1251"), encoding="cp1251")[0].values["text"] == "Привет"


def test_ndjson_is_known_by_its_name_or_first_line() -> None:
    """Objects are taken as they are, with names and defaults; other lines are flaws of their own."""
    octets = b'{"to": "1", "message": "x", "client_ref": "r"}\n[1]\n\nno\n{"to": "2", "text": "y"}'
    for name in ("f.ndjson", "-"):
        found = rows(octets, name, names={"message": "text"}, defaults={"sender": "B"})
        assert [each.line for each in found] == [1, 2, 4, 5]
        assert found[0].values == {"to": "1", "text": "x", "client_ref": "r", "sender": "B"}
        assert [each.flaw for each in found] == ["", "a JSON object is expected", "not JSON", ""]


@pytest.mark.parametrize(
    ("octets", "shape", "said"),
    [
        (b"to,text\n", {}, "no column is 'sender'"),
        (b"", {}, "the file is empty"),
        (b"to,text,sender,to\n", {}, "two columns are to"),
        (b"to,text,sender\n", {"names": {"phone": "to"}}, "no column 'phone'"),
        (b"to,text,sender\n", {"encoding": "klingon"}, "nobody knows 'klingon'"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(octets: bytes, shape: dict[str, Any], said: str) -> None:
    """What is wrong with every row is said once, before anything is sent."""
    with pytest.raises(CommandError, match=said) as caught:
        rows(octets, **shape)
    assert caught.value.code in (Exit.DATA, Exit.USAGE)


def test_pairs_are_name_and_value() -> None:
    """A value may hold '='; a word without one is a usage error."""
    assert pairs(["a=b=c", "d="], "--map") == {"a": "b=c", "d": ""}
    with pytest.raises(CommandError, match="--map: expected NAME=VALUE"):
        pairs(["x"], "--map")


def test_the_pace_keeps_the_rate_and_catches_nothing_up() -> None:
    """Slices are a tenth of a second's messages; after a pause the rate is the same, not more."""
    now = [0.0]
    pace = Pace(1_000, lambda: now[0])
    assert pace.slice == 100
    assert [pace.wait_s(100), pace.wait_s(100)] == [0.0, pytest.approx(0.1)]
    now[0] = 60.0
    assert [pace.wait_s(100), pace.wait_s(100)] == [0.0, pytest.approx(0.1)]
    assert Pace(0).wait_s(500) == 0
