"""Numbers as written to E.164, against a slow twin; ranges against a list that is walked."""

import re
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher._ext.numbers import Normaliser, RangeTable
from dispatcher.refusal import Code, Refusal
from dispatcher.routing.countries import NATIONAL, National
from dispatcher.routing.numbers import _REFUSALS, normaliser

NOT_DIGITS, LENGTH, LEADING_ZERO, NATIONAL_FORM, AMBIGUOUS = _REFUSALS


def twin(text: str, country: National | None) -> str | Refusal:
    """The rules once more, in the order in which a person would apply them."""
    if len(text) > 40 and text.isascii():
        return LENGTH
    if not re.fullmatch(r"[ .()-]*\+?[ .()-]*[0-9][0-9 .()-]*", text):
        return LENGTH if re.match(r"[ .()-]*\+?([ .()-]*[0-9]){16}", text) and text.isascii() else NOT_DIGITS
    digits = re.sub(r"[^0-9]", "", text)
    if len(digits) > 15:
        return LENGTH
    if country is None:
        if re.search(r"[ .()-]", text):
            return NATIONAL_FORM
    elif "+" not in text:
        rest = digits.removeprefix(country.code)
        if rest != digits and country.least <= len(rest) <= country.most:
            return digits if len(digits) >= 7 else LENGTH
        rest = digits.removeprefix(country.trunk)
        if country.trunk and rest != digits and country.least <= len(rest) <= country.most:
            mobile = not country.mobile or rest[0] in country.mobile
            return country.code + rest if mobile else AMBIGUOUS
        if country.bare and country.least <= len(digits) <= country.most and digits[0] != "0":
            return country.code + digits if not country.mobile or digits[0] in country.mobile else AMBIGUOUS
    if not 7 <= len(digits) <= 15:
        return LENGTH
    return LEADING_ZERO if digits[0] == "0" else digits


written = st.one_of(
    st.text("0123456789", max_size=18),
    st.from_regex(r"\+?[0-9]{5,16}", fullmatch=True),
    st.from_regex(r"\+?[78]?[ -]?\(?9[0-9]{2}\)?[ -]?[0-9]{3}-?[0-9]{2}-?[0-9]{2}", fullmatch=True),
    st.from_regex(r"(8|80|0|7|375|1)?[0-9]{8,11}", fullmatch=True),
    st.text("+0123456789 -().x", max_size=45),
    st.text(max_size=20),
)


@given(written, st.sampled_from([None, *NATIONAL]))
@settings(max_examples=3000, deadline=None)
def test_numbers_are_read_as_the_twin_reads_them(text: str, name: str | None) -> None:
    """Whatever a person wrote, in whichever country."""
    assert normaliser(name)(text) == twin(text, NATIONAL[name] if name else None)


@given(written, st.sampled_from([None, *NATIONAL]))
@settings(max_examples=1000, deadline=None)
def test_what_comes_out_is_e164_and_stays_so(text: str, name: str | None) -> None:
    """7 to 15 digits without a leading zero; written with + they are never rewritten."""
    number = normaliser(name)(text)
    if isinstance(number, str):
        assert re.fullmatch(r"[1-9][0-9]{6,14}", number)
        assert normaliser(name)(f"+{number}") == number
        if "+" in text:
            assert number == re.sub(r"[^0-9]", "", text)
    else:
        assert number.field == "to"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # The four forms of PITFALLS 97, and the international one.
        ("79036550550", "79036550550"),
        ("+79036550550", "79036550550"),
        ("89036550550", "79036550550"),
        ("8-903-655-05-50", "79036550550"),
        ("8 (903) 655 05 50", "79036550550"),
        ("9036550550", "79036550550"),
        # PITFALLS 98: Viet Nam or Ryazan.
        ("+84912345678", "84912345678"),
        ("84912345678", Code.NUMBER_AMBIGUOUS),
        ("4912345678", Code.NUMBER_AMBIGUOUS),
        ("+8 903 655 05 50", "89036550550"),
        # Other countries are not Russia's.
        ("77011234567", "77011234567"),
        ("4915112345678", "4915112345678"),
        ("375291234567", "375291234567"),
        ("0079036550550", Code.NUMBER_MALFORMED),
        ("+0079036550550", Code.NUMBER_MALFORMED),
        ("", Code.NUMBER_MALFORMED),
        ("+", Code.NUMBER_MALFORMED),
        ("++79036550550", Code.NUMBER_MALFORMED),
        ("7+9036550550", Code.NUMBER_MALFORMED),
        ("7903655055O", Code.NUMBER_MALFORMED),
        ("１２３４５６７８", Code.NUMBER_MALFORMED),
        ("112", Code.NUMBER_MALFORMED),
        ("1234567890123456", Code.NUMBER_MALFORMED),
    ],
)
def test_russian_forms(text: str, expected: str | Code) -> None:
    """Understood where Russia is the default country; ambiguous ones are refused, + is never rewritten."""
    number = normaliser("RU")(text)
    assert (number.code if isinstance(number, Refusal) else number) == expected


def test_without_a_country_national_forms_are_no_guess() -> None:
    """Digits are taken as international, what divides them is refused with the reason."""
    normalise = normaliser()
    assert normalise("89036550550") == "89036550550"
    assert normalise("8 903 655 05 50") == NATIONAL_FORM
    assert normalise("+7 903 655 05 50") == NATIONAL_FORM
    assert "default_country" in NATIONAL_FORM.reason


def test_clean_digits_are_the_argument_itself() -> None:
    """No copy is made of what needs no change."""
    number = "".join(["7903", "6550550"])
    assert normaliser()(number) is number
    assert normaliser("RU")(number) is number


def test_a_number_is_a_str() -> None:
    """Anything else is a broken contract; so is a country that cannot be."""
    with pytest.raises(TypeError):
        normaliser()(79036550550)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        RangeTable(array("Q"), array("Q"), array("H")).find(7)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="refusals"):
        Normaliser(_REFUSALS[:4])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="15"):
        Normaliser(_REFUSALS, code=b"375", least=9, most=13)
    with pytest.raises(ValueError, match="3 digits"):
        Normaliser(_REFUSALS, code=b"1234", least=1, most=1)


# ---- ranges ----

bounds = st.lists(st.integers(0, 2 * 10**15), unique=True, max_size=40).map(sorted)


@given(bounds, st.lists(st.integers(0, 10**15 - 1)), st.data())
@settings(max_examples=300, deadline=None)
def test_a_number_is_found_in_its_range(cuts: list[int], numbers: list[int], data: st.DataObject) -> None:
    """Against a walk over all ranges: inside, on the bounds, beside them."""
    pairs = list(zip(cuts[::2], cuts[1::2], strict=False))
    values = data.draw(st.lists(st.integers(0, 65_535), min_size=len(pairs), max_size=len(pairs)))
    table = RangeTable(
        array("Q", [a for a, _ in pairs]), array("Q", [b for _, b in pairs]), array("H", values)
    )
    assert len(table) == len(pairs)
    for number in [*numbers, *(cut + step for cut in cuts for step in (-1, 0, 1))]:
        if not 0 <= number < 10**15:
            continue
        expected = next((v for (a, b), v in zip(pairs, values, strict=True) if a <= number <= b), -1)
        assert table.find(f"{number:015d}") == expected
        assert table.find(f"{number:015d}".rstrip("0") or "0") == expected


def test_what_is_no_number_is_in_no_range() -> None:
    """Letters, nothing, too many digits."""
    table = RangeTable(array("Q", [0]), array("Q", [10**15 - 1]), array("H", [7]))
    assert table.find("7") == 7
    for text in ("", "7a", "+7", "1" * 16, "७"):
        assert table.find(text) == -1


@pytest.mark.parametrize(
    ("starts", "ends", "values"),
    [([5], [4], [0]), ([1, 3], [3, 4], [0, 0]), ([3, 1], [3, 1], [0, 0]), ([1], [1], []), ([1], [], [0])],
)
def test_a_table_checks_its_ranges(starts: list[int], ends: list[int], values: list[int]) -> None:
    """Empty, overlapping, unsorted, or not equally many."""
    with pytest.raises(ValueError, match=r"range|equally"):
        RangeTable(array("Q", starts), array("Q", ends), array("H", values))
