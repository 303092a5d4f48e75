"""The search for personal data finds what it is to find: it can fail."""

from pathlib import Path

import pytest

from dispatcher.api import code_word
from tests import personal
from tests.personal import occurrences

NUMBER, TEXT = "+79001234567", "Ваш код 4821"


@pytest.mark.parametrize(
    "octets",
    [
        b"to=+79001234567 ",
        b"x79001234567x",
        TEXT.encode(),
        b'{"text":"\\u0412\\u0430\\u0448 \\u043a\\u043e\\u0434 4821"}',
        b"%D0%92%D0%B0%D1%88%20%D0%BA%D0%BE%D0%B4%204821",
        b"%d0%92%d0%b0%d1%88%20%d0%ba%d0%be%d0%b4%204821",
        b"text=%D0%92%D0%B0%D1%88+%D0%BA%D0%BE%D0%B4+4821",
        TEXT.encode("utf-16-be"),
        "79001234567".encode("utf-16-le"),
        TEXT.encode().hex().encode(),
    ],
)
def test_each_form_is_found(octets: bytes, tmp_path: Path) -> None:
    """Plain, escaped, percent-encoded, UTF-16: one occurrence, and its line names the file, not the value."""
    (tmp_path / "log").write_bytes(b"before " + octets + b" after")
    (found,) = occurrences([tmp_path], [NUMBER], [TEXT])
    assert found.path.name == "log"
    assert "4567" not in str(found)
    assert "4821" not in str(found)


def test_what_is_masked_or_in_the_store_is_not_found(tmp_path: Path) -> None:
    """A masked number is none; the journal may hold both."""
    (tmp_path / "log").write_text("7900***4567 and 4821 and Ваш")
    (tmp_path / "journal.db-wal").write_text(f"{NUMBER} {TEXT}")
    assert list(occurrences([tmp_path], [NUMBER], [TEXT])) == []


def test_slices_hide_and_double_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An occurrence over the border of two reads is found, and each only once."""
    monkeypatch.setattr(personal, "SLICE", 16)
    for before in range(40):
        (tmp_path / "log").write_bytes(b"." * before + b"79001234567" + b"." * 30)
        assert [each.offset for each in occurrences([tmp_path / "log"], [NUMBER], [])] == [before]
    with pytest.raises(ValueError, match="under 7 digits"):
        list(occurrences([tmp_path], ["900"], []))


@pytest.mark.parametrize("octets", [b"000", b"0x0B", b"1F", b"ab", b"REJECTD", b"undelivered", b"E:12"])
def test_codes_of_carriers_are_shown(octets: bytes) -> None:
    """What looks like an error or a state of a receipt."""
    assert code_word(octets) == octets.decode()


@pytest.mark.parametrize(
    "octets", [b"", b"Hello", b"9001234567", b"79001234567", b"Your code is 4711", TEXT.encode(), b"A" * 17]
)
def test_what_looks_like_no_code_stays_inside(octets: bytes) -> None:
    """Texts and numbers that a carrier puts where its codes belong."""
    assert code_word(octets) == ""
