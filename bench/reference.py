"""Segmentation the slow and obvious way, by the letter of the standard: what all sides are judged by.

TS 23.038, 6.2.1: the default alphabet and its extension, typed here once more on purpose, so that a slip in
the product's tables cannot hide. TS 23.040, 9.2.3.24.1: 160 septets or 140 octets alone, 153 septets or 67
UTF-16 units behind a header of six octets; neither an escape nor a surrogate pair is divided.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final, Literal, NamedTuple, TypeAlias

Alphabet: TypeAlias = Literal["gsm7", "ucs2"]

BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
ESC: Final = 0x1B
SEPTETS: Final[dict[str, bytes]] = {
    char: bytes([code]) for code, char in enumerate(BASIC) if code != ESC
} | {
    char: bytes([ESC, code])
    for char, code in zip("\f^{}\\[~]|€", b"\x0a\x14\x28\x29\x2f\x3c\x3d\x3e\x40\x65", strict=True)
}  # fmt: skip
OCTETS_MAX: Final[dict[Alphabet, tuple[int, int]]] = {"gsm7": (160, 153), "ucs2": (140, 134)}
"""Octets of text, septets unpacked: in a lone segment, and in each of several."""


class Cut(NamedTuple):
    """A text as segments: octets without headers."""

    alphabet: Alphabet
    bodies: tuple[bytes, ...]


class Faults(NamedTuple):
    """What is wrong with the cuts of many texts."""

    miscounted: int
    """Texts with more or fewer segments than there should be."""
    split_escapes: int
    """Segments that end in half an escape pair."""
    split_surrogates: int
    over_size: int
    """Segments with more than fits."""
    segments: int
    """All segments, right or wrong."""

    def __str__(self) -> str:
        """Name what there is, or say "none"."""
        counts = {
            "miscounted": self.miscounted,
            "split escapes": self.split_escapes,
            "split surrogates": self.split_surrogates,
            "over size": self.over_size,
        }
        return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count) or "none"


@cache
def reference(text: str, clusters: bool) -> Cut:
    """Cut a text; with `clusters`, not within what people see as one character."""
    alphabet: Alphabet = "gsm7" if all(char in SEPTETS for char in text) else "ucs2"
    alone, of_several = OCTETS_MAX[alphabet]
    octets = _encode(text, alphabet)
    if len(octets) <= alone:
        return Cut(alphabet, (octets,))
    pieces: list[bytes] = []
    for piece in clusters_of(text) if clusters else text:
        whole = len(_encode(piece, alphabet)) <= of_several  # a longer cluster is cut like text
        pieces += [_encode(part, alphabet) for part in ([piece] if whole else piece)]
    return Cut(alphabet, tuple(_fill(pieces, of_several)))


def judge(cuts: Sequence[Cut], texts: Sequence[str], clusters: bool) -> Faults:
    """Compare the cuts of texts with the reference, and look at their ends and sizes."""
    miscounted = escapes = surrogates = over = segments = 0
    for cut, text in zip(cuts, texts, strict=True):
        most = OCTETS_MAX[cut.alphabet][len(cut.bodies) > 1]
        segments += len(cut.bodies)
        miscounted += len(cut.bodies) != len(reference(text, clusters).bodies)
        over += sum(len(body) > most for body in cut.bodies)
        if cut.alphabet == "gsm7":
            escapes += sum(body[-1:] == bytes([ESC]) for body in cut.bodies)
        else:
            surrogates += sum(0xD8 <= body[-2] <= 0xDB for body in cut.bodies if body)
    return Faults(miscounted, escapes, surrogates, over, segments)


def _encode(piece: str, alphabet: Alphabet) -> bytes:
    if alphabet == "gsm7":
        return b"".join(map(SEPTETS.__getitem__, piece))
    return piece.encode("utf-16-be")


def _fill(pieces: Sequence[bytes], most: int) -> Iterator[bytes]:
    body = b""
    for piece in pieces:
        if len(body) + len(piece) > most:
            yield body
            body = b""
        body += piece
    yield body


def clusters_of(text: str) -> list[str]:
    """Return what people see as one character each."""
    import regex  # an implementation of UAX 29 that shares nothing with ours; a test dependency

    return regex.findall(r"\X", text)  # type: ignore[no-any-return]
