"""Control codes in texts: refused by position where that is asked for, by every alphabet alike."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.carrier.profile import Profile
from dispatcher.carrier.profiles import ProfileTable
from dispatcher.encoding import count, encoder, segment
from dispatcher.encoding.options import Alphabet
from dispatcher.errors import ConfigError, UnencodableError
from dispatcher.refusal import Code, Refusal

CARRIED = "\t\n\f\r"
CONTROLS = [chr(code) for code in range(0x20) if chr(code) not in CARRIED]
STRICT = encoder(controls="refuse")
TEXTS = st.text(st.sampled_from("aЯ🙂é\x7f\x85" + CARRIED + "\x00\x1b\x1f"), max_size=300)


@given(TEXTS)
def test_the_first_one_is_named(text: str) -> None:
    """With its position, wherever a segment ends; a text without one is encoded as without the option."""
    first = next((at for at, character in enumerate(text) if character in CONTROLS), None)
    if first is None:
        assert STRICT.segment(text).segments == encoder().segment(text).segments
        return
    with pytest.raises(UnencodableError, match=f"^position {first}: U\\+00") as caught:
        STRICT.segment(text)
    assert caught.value.position == first
    with pytest.raises(UnencodableError):
        STRICT.count(text)


@pytest.mark.parametrize("alphabet", ["ucs2", "latin1", "ascii", "gsm7"])
@pytest.mark.parametrize("control", CONTROLS)
def test_no_alphabet_carries_it(alphabet: Alphabet, control: str) -> None:
    """The GSM alphabet has none of them anyway; the others carry them where they are to be kept."""
    with pytest.raises(UnencodableError):
        count(f"ab{control}", alphabet=alphabet, controls="refuse")
    if alphabet != "gsm7":
        assert count(f"ab{control}", alphabet=alphabet).units == 3


def test_the_option_is_kept_and_checked() -> None:
    """An encoder that was pickled refuses the same; other words are no option."""
    with pytest.raises(UnencodableError):
        pickle.loads(pickle.dumps(STRICT)).count("\x00")
    with pytest.raises(ConfigError, match="controls"):
        segment("a", controls="drop")  # type: ignore[arg-type]


def test_a_profile_refuses_them_unless_it_is_told_to_keep_them() -> None:
    """What a carrier's profile says: position and reason, and nothing of the text."""
    refused = Profile(ProfileTable()).count("PIN 4711\x00")
    assert isinstance(refused, Refusal)
    assert refused.code == Code.TEXT_NOT_ENCODABLE
    assert refused.reason.startswith("position 8: U+0000 is a control code")
    assert "4711" not in refused.reason
    assert not isinstance(Profile(ProfileTable(controls="keep")).count("PIN 4711\x00"), Refusal)
