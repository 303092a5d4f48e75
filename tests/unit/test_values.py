"""What the library hands out: values that can be copied, compared and logged."""

import copy
import pickle
from typing import Any

import pytest

from dispatcher.encoding import (
    Part,
    TextBuffer,
    count,
    count_batch,
    encoder,
    explain,
    normalize_nfc,
    reassemble,
    remove_symbols,
    replace_smart,
    segment,
    segment_batch,
    strip_accents,
    table,
    transliterate,
)

SECRET = "Код “4821” 🎉"
MESSAGE = segment(SECRET * 9, languages=("tr",))
VALUES: dict[str, Any] = {
    "Segmented": MESSAGE,
    "Segment": MESSAGE.segments[0],
    "Count": count(SECRET),
    "Encoder": encoder(languages=("tr",), method="udh"),
    "Plan": MESSAGE.plan,
    "Explanation": explain(SECRET * 9),
    "Cost": explain(SECRET).costs[0],
    "Suggestion": explain(SECRET * 9).cheapest,
    "Replaced": replace_smart(SECRET),
    "Change": replace_smart(SECRET).changes[0],
    "Reassembled": reassemble(MESSAGE),
    "Part": Part(SECRET.encode()),
}


@pytest.mark.parametrize("name", VALUES)
def test_values_travel_between_processes(name: str) -> None:
    """Pickled and copied they are equal, or work the same."""
    value = VALUES[name]
    for twin in (pickle.loads(pickle.dumps(value)), copy.deepcopy(value)):
        if name == "Encoder":
            assert twin.segment("şifre") == value.segment("şifre")
        elif name == "Plan":
            assert repr(twin) == repr(value)
        else:
            assert twin == value


def test_batches_and_tables_travel_too() -> None:
    """Arrays, plans and tables included."""
    counts = pickle.loads(pickle.dumps(count_batch([SECRET])))
    assert counts.alphabet.tolist() == ["ucs2"]
    batch = pickle.loads(pickle.dumps(segment_batch([SECRET])))
    assert batch.user_data_of(0) == [part.user_data for part in segment(SECRET).segments]
    assert pickle.loads(pickle.dumps(table("tr", "tr"))).decode(b"\x1c") == "Ş"


@pytest.mark.parametrize("value", [*VALUES.values(), TextBuffer(b"", SECRET.encode())])
def test_no_repr_shows_a_text(value: object) -> None:
    """What is sent to people stays out of logs, whole or in part."""
    shown = repr(value)
    assert not any(part in shown for part in ("4821", "Код", "xd0", "041a", "🎉"))


def test_equal_texts_make_equal_messages() -> None:
    """By value: text, segments and PDU fields."""
    assert segment("x") == segment("x")
    assert hash(segment("x")) == hash(segment("x"))
    assert segment("x") != segment("y")
    assert segment("x") != segment("x", data_codings={"gsm7": 0xF1})


@pytest.mark.parametrize(
    "function", [replace_smart, remove_symbols, strip_accents, normalize_nfc, transliterate]
)
@pytest.mark.parametrize("wrong", [None, b"x", []])
def test_what_is_no_text_is_a_type_error(function: Any, wrong: object) -> None:
    """Not an attribute error from within, nor a list handed back."""
    with pytest.raises(TypeError, match="text is a str, not"):
        function(wrong)


def test_any_iterable_of_languages_counts() -> None:
    """A generator is not used up by the check."""
    assert segment("ş 4", languages=iter(["tr"])).alphabet == "gsm7"  # type: ignore[arg-type]


def test_a_subclass_of_str_is_its_characters() -> None:
    """What it overrides does not reach the encoder."""

    class Loud(str):
        def __iter__(self) -> Any:
            return iter("LOUD")

        def __getitem__(self, index: Any) -> str:
            raise RuntimeError("no")

    assert "".join(cost.character for cost in explain(Loud("quiet")).costs) == "quiet"
    assert type(segment(Loud("quiet")).text) is str
