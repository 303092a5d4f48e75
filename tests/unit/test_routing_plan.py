"""The numbering plan: both forms of a line, what is wrong with one, overlaps, ported numbers, the command."""

import os
from pathlib import Path

import pytest

from dispatcher.__main__ import main
from dispatcher.cli.plan import SAMPLE
from dispatcher.errors import ConfigError
from dispatcher.routing.countries import CALLING_CODES, NATIONAL, country_of
from dispatcher.routing.plan import Holder, NumberingPlan, overlaps, parse, written
from dispatcher.routing.ported import parse_ported

RUSSIAN = '''\
АВС/ DEF;От;До;Емкость;Оператор;Регион;Территория ГАР;ИНН
900;0000000;0061999;62000;"ООО ""Альфа""";Край Один;;0000000001
900;0062000;0062999;1000;"ООО ""Альфа""";Край Один;;0000000001
901;0000000;9999999;10000000;Бета;Край Два;;0000000002
'''
PLAIN = "prefix_from,prefix_to,operator\n790000,790005,Alpha\n7901,7901,Beta\n"


def plan_of(text: str) -> NumberingPlan:
    """Return the plan of a text without mistakes."""
    ranges, complaints = parse(text.splitlines(keepends=True))
    assert complaints == []
    return NumberingPlan(ranges)


def test_the_russian_register_is_read() -> None:
    """Quotes, a heading, neighbours joined; the country code is added; the bounds are inclusive."""
    plan = plan_of(RUSSIAN)
    alpha = Holder('ООО "Альфа"', "Край Один")
    assert plan.find("79000000000") == plan.find("79000062999") == alpha
    assert plan.find("79000063000") is None
    assert plan.find("79019999999") == Holder("Бета", "Край Два")
    assert plan.find("79020000000") is None
    assert len(plan) == 2
    assert plan.operators == {'ООО "Альфа"', "Бета"}
    assert repr(plan) == "<NumberingPlan 2 ranges, 2 operators>"


def test_prefixes_are_ranges_of_numbers_of_any_length() -> None:
    """Both bounds are inclusive."""
    plan = plan_of(PLAIN)
    for number in ("790000", "7900000", "79000599999", "790005999999999"):
        assert plan.find(number) == Holder("Alpha", "")
    for number in ("79000600000", "7899", "79020", ""):
        assert plan.find(number) is None
    assert plan.find("79010000000") == Holder("Beta", "")


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("900;0000000;0061999;62001;A;R;;1", "capacity is 62001, from and to hold 62000"),
        ("90;0000000;0061999;62000;A;R;;1", "code: expected 3 digits"),
        ("900;0061999;0000000;1;A;R;;1", "from is greater than to"),
        ("900;00000000;0061999;1;A;R;;1", "from has 12 digits, to has 11"),
        ("900;x;0061999;1;A;R;;1", "from: expected 1 to 15 digits"),
        ("900;0000000;0061999;62000;;R;;1", "operator: it is empty"),
        ("900;0000000;0061999;62000;A", "5 columns; expected code;from;to;capacity;operator;region"),
    ],
)
def test_a_bad_line_of_the_register_costs_only_itself(row: str, complaint: str) -> None:
    """It is named by its number, and its neighbours are read."""
    lines = RUSSIAN.splitlines(keepends=True)
    ranges, complaints = parse([*lines[:2], row + "\n", *lines[2:]])
    assert len(ranges) == 3
    assert [each.line for each in complaints] == [3]
    assert str(complaints[0]).startswith(f"line 3: {complaint}")


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("79,79", "2 columns; expected prefix_from,prefix_to,operator"),
        ("79,790,A", "from has 2 digits, to has 3"),
        ("079,079,A", "from: an international number does not begin with 0"),
        ("x,79,A", "from: expected 1 to 15 digits"),
        ("79,1234567890123456,A", "to: expected 1 to 15 digits"),
        ("٧,٧,A", "from: expected 1 to 15 digits"),
    ],
)
def test_a_bad_line_of_prefixes_costs_only_itself(row: str, complaint: str) -> None:
    """As of the register."""
    ranges, complaints = parse([*PLAIN.splitlines(keepends=True), "\n", row + "\n"])
    assert len(ranges) == 2
    assert [str(each).startswith(f"line 5: {complaint}") for each in complaints] == [True]


def test_a_file_without_a_heading_loses_no_line() -> None:
    """The first line is a heading only where it holds no number; an empty file is an empty plan."""
    assert len(parse(["7900,7900,Alpha\n"])[0]) == 1
    assert parse([]) == ([], [])
    assert NumberingPlan([]).find("79") is None


def test_overlaps_are_refused() -> None:
    """Both lines are named, also where one range lies inside another, and the next one too."""
    ranges, _ = parse(["79,79,A\n", "7901,7901,B\n", "7902,7903,C\n", "78,78,D\n"])
    assert [str(each) for each in overlaps(ranges)] == [
        "line 2: overlaps the range of line 1",
        "line 3: overlaps the range of line 1",
    ]
    ranges_of_one, _ = parse(["100000000000001,100000000000002,A\n", "100000000000002,100000000000003,B\n"])
    assert len(list(overlaps(ranges_of_one))) == 1
    with pytest.raises(ConfigError, match="line 2: overlaps the range of line 1"):
        NumberingPlan(ranges)


def test_a_plan_is_read_back_as_it_was_written() -> None:
    """Operators with commas and quotes too."""
    for text in (RUSSIAN, PLAIN, '7901,7902,"Al,pha ""One"""\n'):
        plan = plan_of(text)
        again = plan_of("".join(written(plan.ranges)))
        assert [each._replace(line=0) for each in again.ranges] == [
            each._replace(line=0) for each in plan.ranges
        ]


def test_the_sample_is_a_plan_and_says_that_it_is_made_up() -> None:
    """Every operator's name says so."""
    plan = plan_of(SAMPLE.read_text("utf-8"))
    assert all("made up" in operator for operator in plan.operators)


def test_ported_numbers() -> None:
    """With or without +, with a heading; of two lines the later counts; bad ones are named."""
    ported, complaints = parse_ported(
        [
            "number,operator",
            "+79000000001,Beta",
            "79000000002,Alpha",
            "79000000001,Gamma",
            "",
            "x,A",
            "79000000003",
        ]
    )
    assert len(ported) == 2
    assert ported.find("79000000001") == "Gamma"
    assert ported.find("79000000002") == "Alpha"
    assert ported.find("79000000003") is None
    assert [str(each) for each in complaints] == [
        "line 6: number: expected up to 15 digits",
        "line 7: operator: it is empty; expected number,operator",
    ]
    empty, _ = parse_ported([])
    assert empty.find("79000000001") is None


def test_countries() -> None:
    """The longest code counts; every default country has the code that the table gives it."""
    for number, expected in {
        "79001234567": "RU",
        "77001234567": "KZ",
        "12125551234": "NANP",
        "375291234567": "BY",
        "999": None,
        "": None,
    }.items():
        assert country_of(number) == expected
    for name, national in NATIONAL.items():
        assert CALLING_CODES[national.code] in {name, "RU", "NANP"}


# ---- the command ----


def run(*arguments: str) -> int:
    """Run ``dispatcher plan``."""
    return main(["plan", *arguments])


def test_import_and_lookup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A register in its own encoding becomes a plan, which answers."""
    register, plan = tmp_path / "DEF-9xx.csv", tmp_path / "plan.csv"
    register.write_text(RUSSIAN, "cp1251")
    assert run("import", str(register), "-o", str(plan), "--encoding", "cp1251") == 0
    assert "3 lines became 2 ranges of 2 operators" in capsys.readouterr().out
    assert run("lookup", "+7 901 000-00-00", "--plan", str(plan)) == 0
    assert capsys.readouterr().out == "RU, Бета, Край Два\n"
    assert run("lookup", "79020000000", "--plan", str(plan)) == 1
    assert capsys.readouterr().out == "RU, in no range of the plan\n"


def test_lookup_in_the_sample_says_that_it_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody takes it for a real plan."""
    assert run("lookup", "79000000000") == 0
    shown = capsys.readouterr()
    assert "made up" in shown.err
    assert "made up" in shown.out


def test_nothing_is_written_while_a_line_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every wrong line is named; an older plan stays as it was."""
    register, plan = tmp_path / "in.csv", tmp_path / "plan.csv"
    plan.write_text("old")
    register.write_text("79,79,A\n7901,7901,B\n7,78,C\n")
    assert run("import", str(register), "-o", str(plan)) == 65
    complaints = capsys.readouterr().err
    assert "line 3: from has 1 digits, to has 2" in complaints
    assert "line 2: overlaps the range of line 1" in complaints
    assert plan.read_text() == "old"


def test_only_a_plan_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An older plan is; what is none stays, unless that is asked for; a pipe or a device always stays, and so
    does a link, whose file is written. Nothing is left beside it."""
    register, plan, foreign = tmp_path / "in.csv", tmp_path / "plan.csv", tmp_path / "foreign"
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    register.write_text("79,79,A\n")
    foreign.write_text("somebody's work\n")
    link.symlink_to(plan)
    os.mkfifo(pipe)
    assert run("import", str(register), "-o", str(plan)) == 0
    assert run("import", str(register), "-o", str(link)) == 0
    assert link.is_symlink()
    assert plan.read_text() == "prefix_from,prefix_to,operator,region\n79,79,A,\n"
    capsys.readouterr()
    assert run("import", str(register), "-o", str(foreign)) == 73
    assert "is no plan; name another file, or give --force" in capsys.readouterr().err
    assert foreign.read_text() == "somebody's work\n"
    assert run("import", str(register), "-o", str(foreign), "--force") == 0
    assert foreign.read_text() == plan.read_text()
    assert run("import", str(register), "-o", str(pipe), "--force") == 73
    assert "no regular file" in capsys.readouterr().err
    assert pipe.is_fifo()
    assert set(tmp_path.iterdir()) == {register, plan, foreign, link, pipe}


@pytest.mark.parametrize(
    ("content", "arguments", "code", "message"),
    [
        (None, [], 66, "No such file"),
        (b"", [], 65, "it holds no range"),
        (RUSSIAN.encode("cp1251"), [], 65, "not utf-8-sig; --encoding names another"),
        (b"", ["--encoding", "utf-9"], 2, "nobody knows 'utf-9'"),
        (b"x;y;z\n" * 100, [], 65, "and more; nothing was written"),
    ],
)
def test_what_cannot_be_imported(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: bytes | None,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    """A clear message and an exit code."""
    register = tmp_path / "in.csv"
    if content is not None:
        register.write_bytes(content)
    assert run("import", str(register), "-o", str(tmp_path / "plan.csv"), *arguments) == code
    assert message in capsys.readouterr().err


def test_a_number_that_is_none_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """With the reason."""
    assert run("lookup", "Bank") == 2
    assert "a number is digits" in capsys.readouterr().err
