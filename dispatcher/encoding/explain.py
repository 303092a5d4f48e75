"""Why a text costs what it costs, and what would make it cheaper.

The same encoder that will send the text is asked, so that the explanation cannot disagree with the bill. A
suggestion is only ever that: nothing is replaced unless the caller takes it.
"""

from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple, TypeAlias, Unpack

from dispatcher._ext.segment import Count, Encoder, Segmented, cluster_start
from dispatcher.encoding.options import Alphabet, Options, encoder
from dispatcher.encoding.replace import (
    Change,
    Replaced,
    normalize_nfc,
    remove_symbols,
    replace_smart,
    strip_accents,
)
from dispatcher.encoding.transliterate import transliterate
from dispatcher.errors import EncodingError

Action: TypeAlias = Literal[
    "normalize_nfc", "replace_smart", "strip_accents", "remove_symbols", "transliterate", "shorten"
]


class Cost(NamedTuple):
    """One character of the text and what it costs, in units of the alphabet chosen."""

    position: int
    character: str
    units: int

    def __repr__(self) -> str:
        return f"<Cost at {self.position}: {self.units} units>"


class Suggestion(NamedTuple):
    """A change that saves at least one segment."""

    actions: tuple[Action, ...]
    """The functions of this library that make the change, or "shorten": take characters off the end."""
    text: str
    alphabet: Alphabet
    units: int
    segments: int
    changes: tuple[Change, ...]
    """What would change, by position in the text."""

    def __repr__(self) -> str:
        return f"<Suggestion {' + '.join(self.actions)}: {self.segments} segments of {self.alphabet}>"

    @property
    def edited(self) -> int:
        """Characters of the text that would change or go: the price of the suggestion."""
        return sum(len(change.before) for change in self.changes)


class Explanation(NamedTuple):
    """What a text costs, and why."""

    alphabet: Alphabet
    language: str
    """National language tables in use, "" for none."""
    units: int
    segments: int
    free: int
    """Units still free in this alphabet before the text needs one segment more."""
    costs: tuple[Cost, ...]
    """Every character in order; their units add up to `units`."""
    forced: tuple[Cost, ...]
    """Where GSM 7-bit was allowed but could not be: the characters that it lacks."""
    doubled: tuple[Cost, ...]
    """The characters that cost two units."""
    suggestions: tuple[Suggestion, ...]
    """Each saves a segment; the one that edits the fewest characters comes first."""

    def __repr__(self) -> str:
        return (
            f"<Explanation {self.alphabet}: {self.units} units, {self.segments} segments, {self.free} free, "
            f"{len(self.forced)} forced, {len(self.suggestions)} suggestions>"
        )

    @property
    def cheapest(self) -> Suggestion | None:
        """The suggestion that edits the fewest characters."""
        return self.suggestions[0] if self.suggestions else None


_FUNCTIONS: Final[dict[Action, Callable[[str], Replaced]]] = {
    "normalize_nfc": normalize_nfc,
    "replace_smart": replace_smart,
    "strip_accents": strip_accents,
    "remove_symbols": remove_symbols,
    "transliterate": transliterate,
}
_TRIED: Final[tuple[tuple[Action, ...], ...]] = (
    ("normalize_nfc",),
    ("replace_smart",),
    ("strip_accents",),
    ("replace_smart", "strip_accents"),
    ("replace_smart", "strip_accents", "remove_symbols"),
    ("transliterate",),
    ("replace_smart", "transliterate"),
    ("replace_smart", "transliterate", "remove_symbols"),
)
"""The gentlest first: of equally long edits the first wins."""


def explain(text: str, **options: Unpack[Options]) -> Explanation:
    """Return the Explanation of `text` under the options of `encoder`.

    TypeError, ConfigError, UnencodableError and TooManySegmentsError: as `segment`.
    """
    return explain_by(encoder(**options), text)


def explain_by(compiled: Encoder, text: str) -> Explanation:
    """The same by an encoder that is compiled already."""
    message = compiled.segment(text)
    plan = message.plan
    costs = tuple(
        Cost(position, character, plan.cost_of(character)) for position, character in enumerate(message.text)
    )
    lone = len(message) == 1
    room = plan.single_units if lone else plan.segment_units
    return Explanation(
        message.alphabet,
        message.language,
        message.units,
        len(message),
        room - message.segments[-1].units,
        costs,
        _forced(compiled, message, costs),
        tuple(cost for cost in costs if cost.units == 2),
        tuple(sorted(_suggestions(compiled, message), key=lambda suggestion: suggestion.edited)),
    )


def _forced(compiled: Encoder, message: Segmented, costs: tuple[Cost, ...]) -> tuple[Cost, ...]:
    """The characters that the GSM tables lack: of several allowed ones, those that come nearest."""
    if message.alphabet == "gsm7":
        return ()
    lacking = [
        tuple(cost for cost in costs if not plan.cost_of(cost.character))
        for plan in compiled.plans
        if plan.alphabet == "gsm7"
    ]
    return min(lacking, key=len, default=())


def _suggestions(compiled: Encoder, message: Segmented) -> Iterator[Suggestion]:
    """Yield what saves a segment: the replacements, alone and in pairs, then a cut."""
    if len(message) == 1:
        return
    seen = {message.text}
    replaced = {action: change(message.text).changes for action, change in _FUNCTIONS.items()}
    for actions in _TRIED:
        changes, text = _apply(message.text, [change for action in actions for change in replaced[action]])
        found = None if text in seen else _counted(compiled, text)
        if found is not None and found.segments < len(message):
            useful = tuple(action for action in actions if replaced[action])
            yield Suggestion(useful, text, found.alphabet, found.units, found.segments, changes)
        seen.add(text)
    yield _shortened(compiled, message)


def _apply(text: str, changes: list[Change]) -> tuple[tuple[Change, ...], str]:
    """Return the changes in order, of overlapping ones the first, and the text after them."""
    kept: list[Change] = []
    pieces: list[str] = []
    end = 0
    for change in sorted(changes, key=lambda change: change.position):
        if change.position >= end:
            kept.append(change)
            pieces += text[end : change.position], change.after
            end = change.position + len(change.before)
    return tuple(kept), "".join(pieces) + text[end:]


def _counted(compiled: Encoder, text: str) -> Count | None:
    try:
        return compiled.count(text)
    except EncodingError:  # a replacement need not be encodable where UCS-2 is not allowed
        return None


def _shortened(compiled: Encoder, message: Segmented) -> Suggestion:
    """Find the longest beginning of the text that needs a segment less, by bisection: it never needs more
    segments than the whole."""
    text, target = message.text, len(message) - 1
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if compiled.count(text[:middle]).segments <= target:
            fits = middle
        else:
            too_long = middle
    fits = cluster_start(text, fits) or fits  # half an emoji is no saving
    count = compiled.count(text[:fits])
    return Suggestion(
        ("shorten",),
        text[:fits],
        count.alphabet,
        count.units,
        count.segments,
        (Change(fits, text[fits:], ""),),
    )
