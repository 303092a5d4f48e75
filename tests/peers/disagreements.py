"""Where peers disagree with us, and the table that explains each disagreement by name.

A row recognises a disagreement by what the peer's mistake must lead to, not by the text alone: a peer that is
wrong in another way is not excused. `unexplained` and `outdated` keep the table complete and true.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Final, Literal, NamedTuple, TypeAlias

from bench.reference import ESC, OCTETS_MAX, SEPTETS, Alphabet, Cut, clusters_of
from dispatcher.encoding import segment
from dispatcher.errors import EncodingError

Kind: TypeAlias = Literal["refusal", "alphabet", "segments", "octets"]
"""What differs first: whether there is an answer, its alphabet, the number of segments, their octets."""

SEGMENTS_MAX: Final = 255  # one octet of the concatenation element counts them (TS 23.040, 9.2.3.24.1)


class Case(NamedTuple):
    """One text, our answer and theirs; None is a refusal."""

    text: str
    ours: Cut | None
    theirs: Cut | None

    @property
    def kind(self) -> Kind | None:
        """What differs first, None where nothing does."""
        if self.ours is None or self.theirs is None:
            return None if self.ours is self.theirs else "refusal"
        if self.ours.alphabet != self.theirs.alphabet:
            return "alphabet"
        if len(self.ours.bodies) != len(self.theirs.bodies):
            return "segments"
        return None if self.ours == self.theirs else "octets"

    @property
    def octets(self) -> bytes:
        """All that we would send, joined."""
        return b"".join(self.ours.bodies) if self.ours else b""


class Known(NamedTuple):
    """A known disagreement."""

    peer: str
    name: str
    kinds: tuple[Kind, ...]
    recognise: Callable[[Case], bool]
    why: str


def our_cut(text: str, clusters: bool) -> Cut | None:
    """Return what we make of a text, None where we refuse it."""
    try:
        message = segment(text, clusters=clusters, max_segments=SEGMENTS_MAX)
    except EncodingError:
        return None
    assert message.alphabet in ("gsm7", "ucs2")
    return Cut(message.alphabet, tuple(part.body for part in message.segments))


def unexplained(peer: str, cases: Iterable[Case], known: Sequence[Known]) -> list[Case]:
    """Return the disagreements that no row of the table recognises."""
    rows = [row for row in known if row.peer == peer]
    return [
        case
        for case in cases
        if (kind := case.kind) is not None
        and not any(kind in row.kinds and row.recognise(case) for row in rows)
    ]


def outdated(peer: str, cases: Iterable[Case], known: Sequence[Known]) -> list[str]:
    """Return the rows without which as much is explained: mended by the peer, never true, or said twice."""
    differing = [case for case in cases if case.kind is not None]
    left = len(unexplained(peer, differing, known))
    return [
        row.name
        for row in known
        if row.peer == peer
        and len(unexplained(peer, differing, [other for other in known if other is not row])) == left
    ]


# ---- what a mistake leads to ----


def cut_blindly(octets: bytes, alphabet: Alphabet) -> Cut:
    """Cut every so many octets, whatever stands there."""
    alone, size = OCTETS_MAX[alphabet]
    step = alone if len(octets) <= alone else size
    return Cut(alphabet, tuple(octets[at : at + step] for at in range(0, len(octets), step)))


def blind_cut(case: Case) -> bool:
    """Encode first, and cut the octets."""
    return case.ours is not None and case.theirs == cut_blindly(case.octets, case.ours.alphabet)


def cut_by_characters(case: Case) -> bool:
    """Count an escaped character as one septet: cut the text, not its septets."""
    if case.theirs is None or case.ours is None or case.ours.alphabet != "gsm7":
        return False
    alone, size = OCTETS_MAX["gsm7"]
    step = len(case.text) if len(case.text) <= alone else size
    pieces = [case.text[at : at + step] for at in range(0, len(case.text), step)]
    return case.theirs.bodies == tuple(b"".join(map(SEPTETS.__getitem__, piece)) for piece in pieces)


def takes_for_gsm7(char: str, octet: int) -> Callable[[Case], bool]:
    """Send this character as that octet, and be right about all others; cut blindly, or not at all."""
    table = SEPTETS | {char: bytes([octet])}

    def recognise(case: Case) -> bool:
        if char not in case.text or not set(case.text) <= set(table):
            return False
        octets = b"".join(map(table.__getitem__, case.text))
        return case.theirs in (cut_blindly(octets, "gsm7"), Cut("gsm7", (octets,)))

    return recognise


def lacks(char: str) -> Callable[[Case], bool]:
    """Be without this character of the alphabet, and send the whole text as UCS-2, cut blindly."""

    def recognise(case: Case) -> bool:
        octets = case.text.encode("utf-16-be", "surrogatepass")
        return char in case.text and case.theirs == cut_blindly(octets, "ucs2")

    return recognise


def empty(case: Case) -> bool:
    """Take a text of nothing for UCS-2."""
    return case.text == ""


def sends_lone_surrogates(case: Case) -> bool:
    """Send half a surrogate pair as it is."""
    return (
        case.theirs is not None
        and any("\ud800" <= char <= "\udfff" for char in case.text)
        and b"".join(case.theirs.bodies) == case.text.encode("utf-16-be", "surrogatepass")
    )


def counts_beyond_255(case: Case) -> bool:
    """Cut into more segments than can be numbered."""
    return case.ours is None and case.theirs is not None and len(case.theirs.bodies) > SEGMENTS_MAX


def divides(mark: str) -> Callable[[Case], bool]:
    """Cut within clusters, once at least where `mark` (a regular expression) fits, and be right otherwise."""

    def recognise(case: Case) -> bool:
        return any(re.fullmatch(mark, pair, re.DOTALL) for pair in divided(case))

    return recognise


def divided(case: Case) -> list[str]:
    """Return the two characters around each cut within a cluster, if segments are filled with such pieces.

    Nothing is returned where a segment is over size, or could have held the rest of the cluster after it.
    """
    if case.theirs is None or case.ours is None or b"".join(case.theirs.bodies) != case.octets:
        return []
    _, size = OCTETS_MAX[case.ours.alphabet]
    boundaries = {0, *accumulate(map(len, clusters_of(case.text)))}
    at, pairs = 0, []
    for body in case.theirs.bodies[:-1]:
        at += characters_in(body, case.ours.alphabet)
        rest = min(boundary for boundary in boundaries if boundary > at)
        if at not in boundaries:
            pairs.append(case.text[at - 1 : at + 1])
        if not size - octets_of(case.text[at:rest], case.ours.alphabet) < len(body) <= size:
            return []
    return pairs


def characters_in(body: bytes, alphabet: Alphabet) -> int:
    """Return how many characters of text a segment holds."""
    if alphabet == "gsm7":
        return len(body) - body.count(ESC)
    return len(body.decode("utf-16-be", "surrogatepass"))


def octets_of(text: str, alphabet: Alphabet) -> int:
    """Return what a piece of text costs."""
    return sum(len(SEPTETS[char]) for char in text) if alphabet == "gsm7" else len(text.encode("utf-16-be"))


def never_cuts_a_cluster(case: Case) -> bool:
    """Leave a cluster that is longer than a segment in one piece: a segment over size."""
    if case.theirs is None or case.ours is None:
        return False
    _, size = OCTETS_MAX[case.ours.alphabet]
    return b"".join(case.theirs.bodies) == case.octets and any(
        len(body) > size for body in case.theirs.bodies
    )
