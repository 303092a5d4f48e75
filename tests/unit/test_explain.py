"""Why a text costs what it costs: the explanation agrees with the bill, and the suggestions hold."""

from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dispatcher.encoding import EncodingError, TooManySegmentsError, UnencodableError, count, explain, segment
from tests import oracle
from tests.ext.test_segment import options, texts

MANY: Final = settings(max_examples=200, deadline=None, print_blob=True)
MOST: Final = {"max_segments": 255}


@MANY
@given(text=texts, chosen=options)
@example("“Café” — naïve" * 20, {})
def test_the_explanation_agrees_with_the_bill(text: str, chosen: dict[str, Any]) -> None:
    """Alphabet, units and segments are those of `segment`; the characters' costs add up to the units."""
    try:
        message = segment(text, **chosen)
    except EncodingError as error:
        with pytest.raises(type(error)):
            explain(text, **chosen)
        return
    told = explain(text, **chosen)
    assert (told.alphabet, told.language, told.units, told.segments) == (
        message.alphabet,
        message.language,
        message.units,
        len(message),
    )
    assert "".join(cost.character for cost in told.costs) == text
    assert [cost.position for cost in told.costs] == list(range(len(text)))
    assert sum(cost.units for cost in told.costs) == told.units
    assert told.doubled == tuple(cost for cost in told.costs if cost.units == 2)
    assert {cost.units for cost in told.costs} <= {1, 2}
    lacking = {
        cost
        for cost in told.costs
        if cost.character not in oracle.codes() and told.alphabet != "gsm7" and "gsm7" in allowed(chosen)
    }
    assert set(told.forced) == lacking
    assert told.free >= 0


def allowed(chosen: dict[str, Any]) -> tuple[str, ...]:
    """Return the alphabets that the options allow."""
    return (chosen["alphabet"],) if chosen.get("alphabet") else chosen.get("allow", ("gsm7", "ucs2"))


@MANY
@given(text=texts, chosen=options)
@example("a" * 160, {})
@example("€" * 80, {})
@example("я" * 66 + "😀", {})
@example("a" * 152 + "€", {})
def test_free_units_are_free(text: str, chosen: dict[str, Any]) -> None:
    """So many characters of one unit change nothing; with one alphabet to choose from, one more does."""
    chosen = chosen | MOST
    try:
        told = explain(text, **chosen)
    except EncodingError:
        return
    assert count(text + "a" * told.free, **chosen).segments == told.segments
    if len(list(oracle.ways(**chosen))) > 1 and (told.alphabet, allowed(chosen)) != (
        "ucs2",
        ("gsm7", "ucs2"),
    ):
        return  # another alphabet may have room left
    try:
        assert count(text + "a" * (told.free + 1), **chosen).segments > told.segments
    except TooManySegmentsError as error:
        assert error.segments > told.segments


@pytest.mark.parametrize(
    ("text", "free"),
    [("", 160), ("a" * 160, 0), ("a" * 161, 145), ("a" * 306, 0), ("€" * 80, 0), ("€" * 153, 151), ("я", 69)],
)
def test_free_units_by_hand(text: str, free: int) -> None:
    """Of 160 alone, of 153 each in several; what an uncut pair leaves behind in earlier segments is lost."""
    assert explain(text).free == free


@MANY
@given(
    text=st.lists(
        st.sampled_from(
            ["“quoted” ", "Café ", "naïve ", "crème brûlée ", "Ваш код ", "—", "…", "e\u0301", "👍", "ş"]
        ),
        min_size=8,
        max_size=50,
    ).map("".join)
    | texts,
    chosen=options,
)
def test_suggestions_hold_when_taken(text: str, chosen: dict[str, Any]) -> None:
    """Each costs what it says, saves a segment, and is what its changes make of the text; fewest edits first."""
    chosen = chosen | MOST
    try:
        told = explain(text, **chosen)
    except EncodingError:
        return
    for suggestion in told.suggestions:
        taken = segment(suggestion.text, **chosen)
        assert (taken.alphabet, taken.units, len(taken)) == (
            suggestion.alphabet,
            suggestion.units,
            suggestion.segments,
        )
        assert len(taken) < told.segments
        assert suggestion.actions
        changed, at = "", 0
        for change in suggestion.changes:
            assert change.position >= at
            assert text[change.position : change.position + len(change.before)] == change.before
            changed += text[at : change.position] + change.after
            at = change.position + len(change.before)
        assert changed + text[at:] == suggestion.text
        assert suggestion.edited == sum(len(change.before) for change in suggestion.changes) > 0
    edits = [suggestion.edited for suggestion in told.suggestions]
    assert edits == sorted(edits)
    assert told.cheapest == (told.suggestions[0] if told.suggestions else None)
    assert bool(told.suggestions) == (told.segments > 1)


@MANY
@given(text=texts)
def test_to_shorten_is_to_keep_as_much_as_fits(text: str) -> None:
    """The beginning that is kept needs a segment less; one character more would need it again."""
    try:
        told = explain(text, **MOST)
    except EncodingError:
        return
    for suggestion in told.suggestions:
        if suggestion.actions == ("shorten",):
            kept = len(suggestion.text)
            assert text.startswith(suggestion.text)
            assert count(text[: kept + 1], **MOST).segments > suggestion.segments


def test_a_text_of_one_segment_needs_no_suggestion() -> None:
    """Even where UCS-2 was forced: the reasons are told all the same."""
    told = explain("“Hi”")
    assert told.suggestions == ()
    assert told.cheapest is None
    assert [cost.character for cost in told.forced] == ["“", "”"]


def test_smart_quotes_that_double_the_price() -> None:
    """The cheapest suggestion for a typical notice: two characters, one segment less."""
    text = "“" + "a" * 80 + "”"
    told = explain(text)
    assert told.segments == 2
    cheapest = told.cheapest
    assert cheapest is not None
    assert cheapest.actions == ("replace_smart",)
    assert (cheapest.segments, cheapest.edited, cheapest.alphabet) == (1, 2, "gsm7")


def test_refusals_are_those_of_segment() -> None:
    """TypeError, UnencodableError and TooManySegmentsError pass through."""
    with pytest.raises(TypeError):
        explain(b"x")  # type: ignore[arg-type]
    with pytest.raises(UnencodableError):
        explain("\ud800")
    with pytest.raises(TooManySegmentsError):
        explain("a" * 400, max_segments=2)
