"""Texts that encoders disagree about, and texts that they should not disagree about."""

from collections.abc import Iterator
from functools import cache

from bench.corpora import CORPORA, Dice, corpus
from bench.reference import SEPTETS

OF_EACH_CORPUS = 400
RANDOM = 1500

FAMILY, FLAG, THUMB, KEYCAP = "👨‍👩‍👧‍👦", "🇷🇺", "👍🏽", "1️⃣"
ACCENTED, JAMO, CONJUNCT = "e\u0301", "\u1112\u1161\u11ab", "क्ष"
HANDSHAKE = "🫱🏻‍🫲🏿"  # of Unicode 14
TOO_MANY = "ы" * (255 * 67 + 1)

EDGES = (66, 67, 68, 69, 70, 71, 133, 134, 135, 152, 153, 154, 159, 160, 161, 305, 306, 307)
"""Around the ends of segments, in septets and in UTF-16 units."""

SINGLE_TEXTS = (
    "", "a", "\n", "\r\n", "a\r\nb", "façade", "Ça va", "a`b", "§ 5", "a\x1bb", "\x1b", "\f", "a\fb", "\x00",
    "\t", "\x7f", "№ 5", "“quoted”", "Ελλάδα", "ΔΦΓΛΩΠΨΣΘΞ", "[{~}]^|\\€", "a\ud800b", "ы\udc00", "\udfff",
    "💩", FAMILY, FLAG, THUMB, KEYCAP, HANDSHAKE, CONJUNCT, "e" + "\u0301" * 200, FAMILY * 20,
    "\f" * 80, "\f" * 81, "€" * 80, "€" * 153, "€" * 229 + "x", "`" * 161, "\x1b" * 161, TOO_MANY,
)  # fmt: skip


def lengths() -> Iterator[str]:
    """Yield texts around each length at which a segment is full, with a hard piece on its edge."""
    for edge in EDGES:
        for piece in ("", "€", "\f", "[", "\r\n", "`", "§", "ç", "\x1b"):
            for before in range(edge - 2, edge + 1):
                yield "a" * before + piece
                yield "a" * before + piece + "b" * 160
        for piece in ("", "😀", FAMILY, FLAG, THUMB, KEYCAP, ACCENTED, JAMO, CONJUNCT, HANDSHAKE, "\r\n"):
            for before in range(edge - 2, edge + 1):
                yield "ы" * before + piece
                yield "ы" * before + piece + "ъ" * 70
    for piece in ("€", "😀", "a€", "ы😀", FLAG, THUMB):
        for shift in ("", "x", "xx"):
            for times in range(1, 165, 3):
                yield shift + piece * times


def mixtures() -> Iterator[str]:
    """Yield random texts of few and hard pieces."""
    dice = Dice(338)
    septets = ("a", "b ", "€", "[", "\\", "\f", "\n", "\r\n", "é", "@", "_", "Ω")
    units = ("ы", "a", " ", "😀", FAMILY, FLAG, THUMB, HANDSHAKE, KEYCAP, ACCENTED, JAMO, "€", "\r\n", "ç")
    for number in range(RANDOM):
        pieces = septets if number % 2 else units
        yield "".join(dice.one(pieces) for _ in range(1 + dice.below(400 if number % 2 else 160)))


def single_characters() -> Iterator[str]:
    """Yield every character of the Basic Multilingual Plane alone: who takes it for GSM 7-bit?"""
    yield from map(chr, range(0x10000))


@cache
def texts() -> tuple[str, ...]:
    """Return all of them, once each."""
    hard = [*SINGLE_TEXTS, *SEPTETS, *lengths(), *mixtures(), *single_characters()]
    held = [text for name in CORPORA for text in corpus(name, OF_EACH_CORPUS)]
    return tuple(dict.fromkeys(held + hard))
