"""Why a text costs what it costs, and whether the advice is good."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.encoding import EncodingError, count, explain, segment
from tests import fuzz

TEXTS = st.lists(
    st.sampled_from(fuzz.FILLERS + fuzz.CLUSTERS + fuzz.SINGLES) | st.text(max_size=40), max_size=12
).map("".join)


@settings(max_examples=300)
@given(TEXTS, st.sampled_from([{}, {"languages": ("tr", "pt")}, {"allow": ("gsm7", "latin1", "ucs2")}]))
def test_costs_add_up_and_advice_saves(text: str, options: dict[str, tuple[str, ...]]) -> None:
    """Costs sum to the units; every suggestion, taken, costs what it says and a segment less."""
    try:
        why = explain(text, **options)  # type: ignore[arg-type]
    except EncodingError:
        with pytest.raises(EncodingError):
            segment(text, **options)  # type: ignore[arg-type]
        return
    message = segment(text, **options)  # type: ignore[arg-type]
    assert (why.alphabet, why.language, why.units, why.segments) == (
        message.alphabet,
        message.language,
        message.units,
        len(message),
    )
    assert "".join(cost.character for cost in why.costs) == text
    assert sum(cost.units for cost in why.costs) == why.units
    assert [cost.position for cost in why.costs] == list(range(len(text)))
    assert all(cost.units == 2 for cost in why.doubled)
    for suggestion in why.suggestions:
        taken = count(suggestion.text, **options)  # type: ignore[arg-type]
        assert tuple(taken) == (suggestion.alphabet, suggestion.units, suggestion.segments)
        assert taken.segments < why.segments
        assert applied(text, suggestion.changes) == suggestion.text
        assert suggestion.edited > 0
    assert [each.edited for each in why.suggestions] == sorted(each.edited for each in why.suggestions)
    assert (why.cheapest is None) == (why.segments == 1)


def applied(text: str, changes: tuple[tuple[int, str, str], ...]) -> str:
    """Return the text with the changes made, from the last to the first."""
    for position, before, after in reversed(changes):
        assert text[position : position + len(before)] == before
        text = text[:position] + after + text[position + len(before) :]
    return text


@pytest.mark.parametrize(("unit", "alphabet"), [("a", "gsm7"), ("я", "ucs2")])
@pytest.mark.parametrize("n", [0, 1, 69, 70, 71, 134, 135, 152, 153, 160, 161, 306, 307])
def test_free_units_are_exactly_free(unit: str, alphabet: str, n: int) -> None:
    """As many units more leave the number of segments; one beyond them adds a segment."""
    text = unit * max(n, 1)
    why = explain(text)
    assert why.alphabet == alphabet
    assert count(text + unit * why.free).segments == why.segments
    assert count(text + unit * (why.free + 1)).segments == why.segments + 1


def test_what_forced_ucs2_is_named() -> None:
    """Every character that GSM lacks, with its position; none where GSM was not allowed or was used."""
    why = explain("Hi “you” — ok")
    assert [(cost.position, cost.character) for cost in why.forced] == [(3, "“"), (7, "”"), (9, "—")]
    assert explain("Hi “you”", alphabet="ucs2").forced == ()
    assert explain("Hi {you}").forced == ()
    assert [cost.character for cost in explain("Hi {you}").doubled] == ["{", "}"]


@pytest.mark.parametrize(
    ("text", "actions"),
    [
        ("Your “code” is ready, please come and get it at the counter number 5 of us.", ("replace_smart",)),
        ("Cher François, votre crédit est accordé, veuillez nous appeler dès demain ê", ("strip_accents",)),
        ("“Noël” " + "x" * 70, ("replace_smart", "strip_accents")),
        ("Congratulations 🎉 you have won something that is worth the walk to us today", ("remove_symbols",)),
        ("x" * 161, ("shorten",)),
    ],
)
def test_the_gentlest_change_comes_first(text: str, actions: tuple[str, ...]) -> None:
    """The cheapest edits the fewest characters, and names only the functions that change something."""
    cheapest = explain(text).cheapest
    assert cheapest is not None
    assert cheapest.actions == actions
    assert cheapest.segments == 1


def test_composing_letters_is_suggested() -> None:
    """Letters written with combining marks cost two units in UCS-2: composed, one."""
    actions = [each.actions for each in explain("и\u0306" * 36).suggestions]
    assert ("normalize_nfc",) in actions


def test_what_forced_ucs2_is_judged_by_the_tables_allowed() -> None:
    """A letter that an allowed table has is not to blame; nor is any where GSM lost by order alone."""
    why = explain("ş漢", languages=("tr",))
    assert [cost.character for cost in why.forced] == ["漢"]
    assert explain("ş", languages=("tr",), allow=("ucs2", "gsm7")).forced == ()


def test_shortening_leaves_no_half_of_an_emoji() -> None:
    """The cut moves before the cluster it would divide."""
    text = "я" * 60 + "a" * 70 + "👨\u200d👩\u200d👧\u200d👦" + "я" * 9
    shorter = next(each for each in explain(text).suggestions if each.actions == ("shorten",))
    assert shorter.text == "я" * 60 + "a" * 70
