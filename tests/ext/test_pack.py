"""Records of messages against msgspec's encoder: the same octets, the same complaints."""

from random import Random
from typing import Any

import msgspec
import pytest

from dispatcher._ext.pack import KINDS, Packer
from dispatcher.model import Accepted, Callback, Message, TrafficClass

ENCODE = msgspec.msgpack.Encoder().encode
EDGES = (0, 31, 32, 127, 128, 255, 256, 65_535, 65_536, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63)
NUMBERS = (*EDGES, (1 << 64) - 1, -1, -32, -33, -129, -(1 << 63), TrafficClass.MARKETING)
LENGTHS = (0, 1, 31, 32, 127, 128, 255, 256, 65_535, 65_536)
LETTERS = ("a", "é", "я", "€", "😀", "\x00")


def value(dice: Random, kind: int) -> Any:
    """Any value of a field of that kind."""
    match kind:
        case 0:
            return dice.choice(NUMBERS)
        case 1:
            return dice.randbytes(dice.choice((0, 16, 255, 256)))
        case 2:
            text = "".join(dice.choices(LETTERS, k=3)) + dice.choice(LETTERS) * dice.choice(LENGTHS)
            return dice.choice((None, text, text[:9]))
        case 3:
            return tuple(dice.choice(EDGES) for _ in range(dice.choice((0, 1, 2, 15, 16, 300))))
    return dice.choice((None, Callback("https://a.example/б", 3)))


@pytest.mark.parametrize("seed", range(8))
def test_records_are_those_of_msgspec(seed: int) -> None:
    """Numbers and lengths on both sides of each form's edge, texts of all widths, what is rare."""
    dice, packer = Random(seed), Packer(Message, ENCODE)
    for _ in range(40):
        messages = [
            Message(*(value(dice, kind) for kind in KINDS.values())) for _ in range(dice.randrange(4))
        ]
        assert packer.pack(messages) == b"".join(map(ENCODE, messages))


def test_half_of_a_surrogate_pair_is_an_error_and_the_next_call_is_not_concerned() -> None:
    """No reader would take such a record; nothing of it stays behind."""
    good = Message(1, bytes(16), "7", "B", "t", 1, 1, 1, 0, 1, 1, (1,))
    packer = Packer(Message, ENCODE)
    with pytest.raises(UnicodeEncodeError):
        packer.pack([good, Message(1, bytes(16), "7", "B", "€\ud800", 1, 1, 1, 0, 1, 1, (1,))])
    assert packer.pack([good]) == ENCODE(good)


def test_strangers_are_errors() -> None:
    """Fields are not read where those of another type lie."""
    with pytest.raises(TypeError, match="Message"):
        Packer(Message, ENCODE).pack(["text"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="fields"):
        Packer(Accepted, ENCODE)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Packer(Message, ENCODE).pack([Message("1", b"", "", "", "", 0, 0, 0, 0, 0, 0, ())])  # type: ignore[arg-type]
