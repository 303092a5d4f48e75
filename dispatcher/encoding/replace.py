"""Replacements that keep a text in the GSM 7-bit alphabet, each of them reported.

Law. Nothing here is silent and nothing is automatic: a changed text may no longer match the template that a
carrier has on file, so the caller asks for a replacement by name and gets every change with its position.
A character of the GSM default alphabet or of its extension table is never replaced: `é`, `ñ`, `Ç`, `€` stay.
Letters of other scripts are never replaced by their Latin look-alikes; `transliterate` is for that.

Plan. Four functions, each ``str -> Replaced``:

* `replace_smart`: typography only (quotes, dashes, spaces, invisible characters, full-width forms);
* `strip_accents`: Latin letters whose diacritic GSM lacks (``ê -> e``, ``ł -> l``);
* `remove_symbols`: emoji and other signs without a look-alike go;
* `normalize_nfc`: canonical composition, which saves a UCS-2 unit per letter and loses nothing.

Invisible characters. What has no effect is removed: zero-width space, word joiner, BOM, soft hyphen, control
characters. Three kinds carry meaning in some places and are kept exactly there:

* the zero-width joiner and non-joiner stay if the nearest visible character before or after them may need
  them: anything outside the scripts and signs of `_bare` (emoji, Arabic, Indic and other scripts stay);
* a variation selector stays if the character directly before it may have variants by the same rule, and in a
  keycap sequence (digit, selector, U+20E3);
* marks of writing direction stay if the text has a character written from right to left.

Left alone on purpose, because a replacement would have to guess: combining marks (they belong to a letter),
the division sign (also a range in Russian, a minus in Danish), superscript digits (``10²`` is not ``102``),
the C1 control codes (a text decoded wrongly: the reader should see it).
"""

import unicodedata
from typing import Final, NamedTuple

from dispatcher.encoding.tables import DEFAULT, LOCKING, SINGLE_SHIFT


class Change(NamedTuple):
    """One replacement: the run ``before``, at index ``position`` of the original text, became ``after``.

    ``position`` counts characters (code points) from 0. ``after`` is empty where the run was removed.
    """

    position: int
    before: str
    after: str

    def __repr__(self) -> str:
        return f"<Change at {self.position}: {len(self.before)} characters become {len(self.after)}>"


class Replaced(NamedTuple):
    """A text after replacement, and what was replaced: in order of position, never overlapping."""

    text: str
    changes: tuple[Change, ...]

    def __repr__(self) -> str:
        return f"<Replaced: {len(self.text)} characters, {len(self.changes)} changes>"


def check_text(text: object) -> None:
    """Raise TypeError for what is no str."""
    if not isinstance(text, str):
        raise TypeError(f"text is a str, not {type(text).__name__}")


GSM: Final = frozenset(LOCKING[DEFAULT].replace("\ufffd", "") + "".join(SINGLE_SHIFT[DEFAULT].values()))
"""The 137 characters that GSM 7-bit carries: the default alphabet and its extension table."""

_GREEK_CAPITALS: Final = "ΔΦΓΛΩΠΨΣΘΞ"
_LATIN: Final = frozenset(c for c in GSM if c.isalpha() and c not in _GREEK_CAPITALS)

_LOOK_ALIKES: Final[dict[str, str]] = {
    '"': "«»“”„‟″‶ʺˮ❝❞〝〞〟\u00a8\u02dd",
    "'": "‘’‚‛‹›′‵ʹʻʼʽˈˊˋ´`❛❜\uff40\ufe10\ufe11",
    "'''": "‴",
    "''''": "⁗",
    "-": "‐‑‒–—―−⁃•‣◦▪●○■\ufe58\ufe63⎼⎽\u00af\u02c9",
    "--": "⸺",
    "---": "⸻",
    "...": "…",
    "..": "‥",
    " ": "\t\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000",
    "\n": "\v\u0085\u2028\u2029",
    ".": "·‧∙․。\ufe52｡",
    ",": "、\ufe50\ufe51､¸",
    ":": "ːˑ˸∶⦂꞉\ufe13\ufe55",
    ";": "⁏\ufe14\ufe54",
    "!": "ǃ\ufe15\ufe57",
    "?": "\ufe16\ufe56",
    "!!": "‼",
    "??": "⁇",
    "?!": "⁈",
    "!?": "⁉",
    "/": "⁄∕⧸",
    "\\": "∖⧵⧹\ufe68",
    "|": "¦∣⎸⎹⏐⎜⎟",
    "_": "‗",
    "^": "ˆ‸",
    "~": "˜˷∼⁓〜",
    "*": "⁎∗⋅⊛✢✣✤✥✱✲✳✺✻✼✽❃❉❊❋⧆\ufe61",
    "+": "˖\ufe62",
    "=": "꞊\ufe66",
    "<": "\ufe64",
    ">": "\ufe65",
    "(": "❨❪⟮⦅\ufe59",
    ")": "❩❫⟯⦆\ufe5a",
    "{": "❴\ufe5b",
    "}": "❵\ufe5c",
    "[": "\ufe5d",
    "]": "\ufe5e",
    "#": "\ufe5f",
    "$": "\ufe69",
    "%": "\ufe6a",
    "&": "\ufe60",
    "@": "\ufe6b",
    "£": "￡",
    "¥": "￥",
    "x": "×",
    "+/-": "±",
    "<=": "≤⩽",
    ">=": "≥⩾",
    "->": "→",
    "<-": "←",
    "(C)": "©",
    "(R)": "®",
    "(TM)": "™",
    "(SM)": "℠",
    "No": "№",
    "c/o": "℅",
    "a": "ª",
    "o": "º",
    "ff": "ﬀ",
    "fi": "ﬁ",
    "fl": "ﬂ",
    "ffi": "ﬃ",
    "ffl": "ﬄ",
    "st": "ﬅﬆ",
}
"""What a typographic character becomes; a run of characters shares one look-alike."""

_SMALL_CAPITALS: Final = ("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ", "ABCDEFGHIJKLMNOPRSTUVWYZ")

_FRACTIONS: Final[dict[str, str]] = {
    "¼": "1/4", "½": "1/2", "¾": "3/4", "⅐": "1/7", "⅑": "1/9", "⅒": "1/10", "⅓": "1/3", "⅔": "2/3",
    "⅕": "1/5", "⅖": "2/5", "⅗": "3/5", "⅘": "4/5", "⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8",
    "⅝": "5/8", "⅞": "7/8", "↉": "0/3",
}  # fmt: skip
"""A space goes before these after a digit: ``1½`` is ``1 1/2``, not eleven halves."""

_REMOVED: Final = (
    "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e"
    "\x1f\x7f\u00ad\u200b\u2060\u2061\u2062\u2063\u2064\ufeff"
)
_JOINERS: Final = frozenset("\u200c\u200d")
_SELECTORS: Final = frozenset(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))
_DIRECTION: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_SMART: Final[dict[str, str]] = {c: after for after, run in _LOOK_ALIKES.items() for c in run}
_SMART.update(zip(*_SMALL_CAPITALS, strict=True))
_SMART.update((chr(c), chr(c - 0xFEE0)) for c in range(0xFF01, 0xFF5F) if c != 0xFF40)
_SMART.update(_FRACTIONS)
_SMART.update(dict.fromkeys(_REMOVED, ""))
_SUSPECTS: Final = _SMART.keys() | _SELECTORS | _JOINERS | _DIRECTION
"""Every character that `replace_smart` may replace."""

_LETTER_RUNS: Final[dict[str, str]] = {
    "b": "ƀɓ", "B": "ɃƁ", "d": "đðɖɗ", "D": "ĐÐƉƊ", "e": "əɛǝ", "E": "ƏƐƎ", "f": "ƒ", "F": "Ƒ", "g": "ǥɣ",
    "G": "ǤƔ", "h": "ħ", "H": "Ħ", "i": "ıɨɩ", "I": "ƗƖ", "j": "ȷ", "k": "ƙ", "K": "Ƙ", "l": "łŀƚ",
    "L": "ŁĿȽ", "n": "ɲ", "N": "Ɲ", "o": "ɵɔ", "O": "ƟƆ", "p": "ƥ", "P": "Ƥ", "q": "ĸ", "s": "ſ", "t": "ŧƭ",
    "T": "ŦƬ", "u": "ʉ", "U": "Ʉ", "v": "ʋ", "V": "Ʋ", "y": "ƴ", "Y": "Ƴ", "z": "ƶ", "Z": "Ƶ", "ng": "ŋ",
    "NG": "Ŋ", "th": "þ", "TH": "Þ", "oe": "œ", "OE": "Œ", "ij": "ĳ", "IJ": "Ĳ", "SS": "ẞ", "'n": "ŉ",
    "dz": "ǆǳ", "Dz": "ǅǲ", "DZ": "ǄǱ", "lj": "ǉ", "Lj": "ǈ", "LJ": "Ǉ", "nj": "ǌ", "Nj": "ǋ", "NJ": "Ǌ",
}  # fmt: skip
"""Latin letters that Unicode does not decompose; a run of them shares one replacement."""

_LETTERS: Final[dict[str, str]] = {c: after for after, run in _LETTER_RUNS.items() for c in run}

_ATTACHED: Final = frozenset("\u200d\ufe0e\ufe0f\u20e3") | {chr(code) for code in range(0xE0020, 0xE0080)}
"""What has no meaning without the symbol before it: joiner, selectors, keycap, the tags of flags."""


def replace_smart(text: str) -> Replaced:
    """Replace typographic characters that force UCS-2 by their GSM 7-bit look-alikes.

    A text with nothing to replace comes back as the same object. A second call changes nothing. The result
    may still need UCS-2 for its letters. The starting table is Twilio's SmartEncodingMap; the module's
    docstring says what is kept and what is left alone. Raises nothing, whatever the text.
    """
    check_text(text)
    if text.isascii() and text.isprintable() and "`" not in text:
        return Replaced(text, ())
    if _SUSPECTS.isdisjoint(text):
        return Replaced(text, ())
    joiners = frozenset() if _JOINERS.isdisjoint(text) else _needed_joiners(text)
    right_to_left = not _DIRECTION.isdisjoint(text) and any(map(_is_right_to_left, text))
    changes = []
    parts: list[str] = []
    last = ""  # the last character written: a fraction looks at it
    for position, c in enumerate(text):
        after = _SMART.get(c, c)
        if (
            (c in _JOINERS and position not in joiners)
            or (c in _SELECTORS and not _selects(text, position))
            or (c in _DIRECTION and not right_to_left)
        ):
            after = ""
        elif c in _FRACTIONS and last.isdecimal():
            after = " " + after
        if after != c:
            changes.append(Change(position, c, after))
        if after:
            last = after[-1]
            parts.append(after)
    return Replaced("".join(parts), tuple(changes)) if changes else Replaced(text, ())


def _bare(c: str) -> bool:
    """Whether a character has no use for a joiner or a variation selector.

    True for the edge of the text (``""``), for Latin, Greek, Cyrillic, Armenian, general punctuation and
    currency signs, and for whatever `replace_smart` replaces.
    """
    return c < "\u0590" or "\u1e00" <= c < "\u20d0" or c in _SMART


def _needed_joiners(text: str) -> frozenset[int]:
    """Return the positions of the joiners whose nearest visible neighbour, on either side, may need them."""
    needed: list[int] = []
    waiting: list[int] = []
    before = ""
    for position, c in enumerate(text):
        if c in _JOINERS:
            waiting.append(position)
        elif c not in _SELECTORS:
            if waiting and not (_bare(before) and _bare(c)):
                needed += waiting
            waiting.clear()
            before = c
    if not _bare(before):
        needed += waiting
    return frozenset(needed)


def _selects(text: str, position: int) -> bool:
    """Whether the variation selector at `position` follows a character that may have variants."""
    before = text[position - 1 : position]
    if text[position + 1 : position + 2] == "\u20e3" and before and before in "0123456789#*":
        return True
    return not _bare(before) and before not in _SELECTORS and before not in _JOINERS


def remove_symbols(text: str) -> Replaced:
    """Remove emoji and other symbols that GSM lacks, with the joiners and selectors that belong to them.

    Letters, marks, digits and punctuation of any script stay. A text with nothing to remove comes back as the
    same object. Raises nothing.
    """
    check_text(text)
    changes = tuple(
        Change(position, c, "")
        for position, c in enumerate(text)
        if c > "\x7f" and c not in GSM and (c in _ATTACHED or unicodedata.category(c)[0] == "S")
    )
    if not changes:
        return Replaced(text, ())
    gone = {change.position for change in changes}
    return Replaced("".join(c for position, c in enumerate(text) if position not in gone), changes)


def _is_right_to_left(c: str) -> bool:
    """Whether a character is strongly right-to-left; the marks of direction themselves do not count."""
    return c >= "\u0590" and c not in _DIRECTION and unicodedata.bidirectional(c) in ("R", "AL")


def strip_accents(text: str) -> Replaced:
    """Replace Latin letters that GSM lacks by their base letter: ``ê -> e``, ``č -> c``, ``Œ -> OE``.

    The first mark stays if GSM can carry it (``ǖ -> ü``). A letter written with combining marks counts as one
    letter: ``e`` + U+0301 becomes ``é``, which GSM has. Other scripts stay as they are, marks included. A
    text with nothing to replace comes back as the same object. Raises nothing.
    """
    check_text(text)
    if text.isascii():
        return Replaced(text, ())
    changes = []
    parts = []
    position = 0
    length = len(text)
    while position < length:
        end = position + 1
        while end < length and text[end] > "\u02ff" and unicodedata.combining(text[end]):
            end += 1
        run = text[position:end]
        after = run if run in GSM or run.isascii() else _base(run)
        if after != run:
            changes.append(Change(position, run, after))
        parts.append(after)
        position = end
    return Replaced("".join(parts), tuple(changes)) if changes else Replaced(text, ())


def _base(run: str) -> str:
    """Return the Latin letter of a run, with its first mark if GSM has that; another run as it is."""
    decomposed = unicodedata.normalize("NFD", run)
    letter = decomposed[0]
    if letter not in _LATIN:
        return _LETTERS.get(letter, run)
    composed = unicodedata.normalize("NFC", decomposed[:2])  # no letter of GSM has two marks
    return composed if composed in GSM else letter


def normalize_nfc(text: str) -> Replaced:
    """Compose letters and their marks canonically (NFC): ``и`` + U+0306 is ``й``, one unit instead of two.

    Each change is one run: a base character with the marks that compose or change order with it. Never NFKC,
    which would turn ``²`` into ``2``. A text that is NFC already comes back as the same object. Raises
    nothing.
    """
    check_text(text)
    if unicodedata.is_normalized("NFC", text):
        return Replaced(text, ())
    changes = []
    parts = []
    start = 0
    for end in range(1, len(text) + 1):
        if end < len(text) and not _starts_run(text[start:end], text[end]):
            continue
        run = text[start:end]
        after = unicodedata.normalize("NFC", run)
        if after != run:
            changes.append(Change(start, run, after))
        parts.append(after)
        start = end
    return Replaced("".join(parts), tuple(changes))


def _starts_run(run: str, c: str) -> bool:
    """Whether `c` neither composes nor changes order with the run before it."""
    if unicodedata.combining(unicodedata.normalize("NFD", c)[0]):
        return False
    nfc = unicodedata.normalize("NFC", run + c)
    return nfc == unicodedata.normalize("NFC", run) + unicodedata.normalize("NFC", c)
