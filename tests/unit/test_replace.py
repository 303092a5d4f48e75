"""Smart replacement, accents and NFC: examples, outside vectors, and properties of every `Replaced`."""

import json
import os
import unicodedata
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dispatcher.encoding.replace import GSM, Change, Replaced, normalize_nfc, replace_smart, strip_accents

VECTORS: Final = Path(
    os.environ.get("DISPATCHER_VECTORS") or Path(__file__).parents[2].parent / "shared" / "vectors"
)

ZWNJ, ZWJ, EMOJI_STYLE = "\u200c", "\u200d", "\ufe0f"

SMART: Final = {
    "“quoted” ‘single’ don’t": "\"quoted\" 'single' don't",
    "«Банк» „Bank‟ ‹x›": '"Банк" "Bank" \'x\'',
    "5′ 6″ `code` ´x´": "5' 6\" 'code' 'x'",
    "a – b — c − d ‑ e": "a - b - c - d - e",
    "wait…": "wait...",
    "1\u00a0000\u202f€ a\u2009b\u3000c\td": "1 000 € a b c d",
    "a\u2028b\u0085c": "a\nb\nc",
    "zero\u200bwidth \ufeffBOM soft\u00adhyphen w\u2060j": "zerowidth BOM softhyphen wj",
    "nul\x00 esc\x1b del\x7f": "nul esc del",
    "• one": "- one",
    "½ ¾ ⅓": "1/2 3/4 1/3",
    "1½ x": "1 1/2 x",
    "７½": "7 1/2",
    "Bank™ © ® № 5": "Bank(TM) (C) (R) No 5",
    "Ｈｅｌｌｏ！ １２３ ￥5": "Hello! 123 ¥5",
    "ﬁnal oﬃce": "final office",
}
"""Typography before and after."""

KEPT: Final = {
    "GSM letters": "é è ñ ò Ç Ä Ø ß € [ ] { } ~ ^ | \\ \n \r \f Δ Ω",
    "letters with accents outside GSM": "ê ë č ł ş ç",
    "Cyrillic and Greek look-alikes": "АВЕКМНОРСТХ асеорх ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "combining marks": "e\u0301 n\u0303 o\u0338",
    "family joined by ZWJ": f"👨{ZWJ}👩{ZWJ}👧",
    "joiner after a variation selector": f"👁{EMOJI_STYLE}{ZWJ}🗨{EMOJI_STYLE}",
    "emoji style of a heart": f"❤{EMOJI_STYLE}",
    "keycap": f"1{EMOJI_STYLE}\u20e3 #{EMOJI_STYLE}\u20e3",
    "Persian non-joiner": f"می{ZWNJ}خواهم",
    "Arabic joiner at the end of a word": f"ه{ZWJ} 1",
    "Devanagari half form": f"क्{ZWJ}ष",
    "direction mark in a right-to-left text": "שלום 5\u200f!",
    "C1 controls, division sign, superscripts": "\x80\x93 10÷15 10² m³",
}
"""What `replace_smart` leaves alone, by reason."""

REMOVED: Final = {
    "joiner between Latin letters": (f"pass{ZWJ}word{ZWNJ}", "password"),
    "joiner in Cyrillic": (f"ко{ZWNJ}д", "код"),
    "selector after a replaced sign": (f"Bank™{EMOJI_STYLE}", "Bank(TM)"),
    "selector after a digit without keycap": (f"1{EMOJI_STYLE}2", "12"),
    "selector at the start": (f"{EMOJI_STYLE}x", "x"),
    "second selector": (f"❤{EMOJI_STYLE}{EMOJI_STYLE}", f"❤{EMOJI_STYLE}"),
    "direction mark in a left-to-right text": ("code \u200e123\u202c", "code 123"),
}
"""Invisible characters without effect where they stand: before, after."""

ACCENTS: Final = {
    "êxtended Noël": "extended Noel",
    "Čeština, Łódź, Đorđe": "Cestina, Lodz, Dorde",
    "Crème brûlée à São Paulo": "Crème brulée à Sao Paulo",
    "façade Ça": "facade Ça",
    "Œuvre œ ŋ þ ẞ": "OEuvre oe ng th SS",
    "Tiếng Việt đường": "Tieng Viet duong",
    "ǖ ǻ ǿ": "ü å ø",
    "e\u0301 e\u0302 z\u0324\u0301": "é e z",
    "Ångström \u212b \u212a": "Ångström Å K",
}
"""Accents before and after."""

REASONS: Final = {
    "héllo": "é is in the default alphabet: stripping it loses a letter and saves nothing",
    "èéêëïñò": "è é ñ ò are in the default alphabet; ê ë ï are letters, so strip_accents does them",
    "êxtended": "ê is a letter, not typography: strip_accents does it",
}
"""Vectors of kind smart-replace where our policy differs, with the reason."""

TABLE_DIFFERENCES: Final = {
    "\u0302\u0303\u0313\u0314\u0326\u0330\u0332\u0334\u0337\u0338\u0347\u1dcd\u20d2\u20d3\u20e5": (
        "a combining mark belongs to its letter"
    ),
    "÷": "division, a range or a minus, by country: we do not guess",
    "\x80\x8d\x90\x9b\x9f": "a C1 control shows that the text was decoded wrongly; the reader should see it",
    "‚": "the opening quote of „‚…‘“, so an apostrophe like its partner",
    "‹›": "single quotation marks, so apostrophes; the map swaps < and > besides",
    "\u2028\u2029": "these separate lines, so a line feed",
    "\t\u00a0\u2000\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000": (
        "one space, not several"
    ),
}
"""Keys of the smart-replace-table where our policy differs, with the reason."""


def vectors(kind: str) -> list[dict[str, Any]]:
    """Read the outside vectors of one kind; skip the test where there are none."""
    path = VECTORS / "text_charset.json"
    if not path.exists():
        pytest.skip("no outside vectors here: set DISPATCHER_VECTORS to their directory")
    return [v for v in json.loads(path.read_text(encoding="utf-8"))["vectors"] if v["kind"] == kind]


def apply_changes(text: str, changes: tuple[Change, ...]) -> str:
    """Apply changes to the original text: the oracle of what `Replaced` promises."""
    result = ""
    position = 0
    for change in changes:
        assert change.position >= position, "changes are in order and do not overlap"
        assert text.startswith(change.before, change.position)
        assert change.before
        assert change.before != change.after
        result += text[position : change.position] + change.after
        position = change.position + len(change.before)
    return result + text[position:]


def check(text: str, replaced: Replaced) -> None:
    """Check what holds for every result: the changes explain it, and no change means the same object."""
    assert apply_changes(text, replaced.changes) == replaced.text
    if not replaced.changes:
        assert replaced.text is text


TRICKY: Final = "a1é€“”½™®\t`\u00ad\u200b\u200c\u200d\u200e\u200f\ufe0f\ufe0e\u20e3👨👩🏽❤☎1#क्षمیשイ　ｆ（êłŒ"
texts = st.one_of(
    st.text(), st.text(st.sampled_from(TRICKY + "eu\u0301\u0302\u0308\u0304\u0327\u0338\u0344\u0f73=가각"))
)
"""Any text, and texts crowded with characters that have rules."""


@pytest.mark.parametrize(("before", "after"), SMART.items())
def test_typography_becomes_its_look_alike(before: str, after: str) -> None:
    """Typographic characters become the GSM characters that look like them."""
    replaced = replace_smart(before)
    assert replaced.text == after
    check(before, replaced)


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT.keys())
def test_meaningful_characters_are_kept(text: str) -> None:
    """What carries meaning, or would need a guess, stays, and the same object comes back."""
    replaced = replace_smart(text)
    assert replaced.text is text
    assert replaced.changes == ()


@pytest.mark.parametrize(("before", "after"), REMOVED.values(), ids=REMOVED.keys())
def test_invisible_characters_without_effect_are_removed(before: str, after: str) -> None:
    """Joiners, selectors and direction marks go where they cannot have an effect."""
    assert replace_smart(before).text == after


def test_change_says_where_and_what() -> None:
    """A change names the index in the original text, the character and its replacement."""
    assert replace_smart("a…b“c\u200b").changes == (
        Change(1, "…", "..."),
        Change(3, "“", '"'),
        Change(5, "\u200b", ""),
    )


@pytest.mark.parametrize(("before", "after"), ACCENTS.items())
def test_accents_outside_gsm_are_stripped(before: str, after: str) -> None:
    """Latin letters that GSM lacks become their base letter; those of GSM stay."""
    replaced = strip_accents(before)
    assert replaced.text == after
    check(before, replaced)


@pytest.mark.parametrize("text", ["Ёлка й ї", "Αθήνα Ώρα Ω\u0301", "क्ष", "1\u0301", "“½”", "\u0301"])
def test_other_scripts_keep_their_marks(text: str) -> None:
    """Cyrillic, Greek, Indic letters and signs are not this function's work."""
    assert strip_accents(text) == (text, ())


def test_nfc_reports_each_run() -> None:
    """Only the runs that change are reported, with their position in the original."""
    assert normalize_nfc("и\u0306 ok e\u0301x") == (
        "й ok éx",
        (Change(0, "и\u0306", "й"), Change(6, "e\u0301", "é")),
    )


@pytest.mark.parametrize("text", ["plain", "é й", "10² ﬁ Ｈ ½", "👨\u200d👩"])
def test_nfc_leaves_composed_and_compatibility_characters(text: str) -> None:
    """NFC, never NFKC: superscripts, ligatures and full-width forms stay."""
    assert normalize_nfc(text).text is text


@given(texts)
@example("=\u0f73\u0338")
@example("\u1100\u1161\u11a8")
def test_nfc_agrees_with_unicodedata(text: str) -> None:
    """The runs joined are the NFC of the whole text, for any text."""
    replaced = normalize_nfc(text)
    assert replaced.text == unicodedata.normalize("NFC", text)
    check(text, replaced)


@given(texts)
def test_smart_replacement_is_explained_idempotent_and_spares_gsm(text: str) -> None:
    """Changes reproduce the result, a second call changes nothing, no character of GSM is touched."""
    replaced = replace_smart(text)
    check(text, replaced)
    assert replace_smart(replaced.text).changes == ()
    for change in replaced.changes:
        assert change.before not in GSM
        assert GSM.issuperset(change.after)


@given(texts)
def test_accent_stripping_is_explained_idempotent_and_spares_gsm(text: str) -> None:
    """Changes reproduce the result, a second call changes nothing, no run of GSM characters is touched."""
    replaced = strip_accents(text)
    check(text, replaced)
    assert strip_accents(replaced.text).changes == ()
    for change in replaced.changes:
        assert not GSM.issuperset(change.before)
        assert GSM.issuperset(change.after)


@given(st.text(st.sampled_from(sorted(GSM))))
def test_gsm_text_comes_back_as_the_same_object(text: str) -> None:
    """A text that GSM can carry is returned itself, by every function."""
    for function in (replace_smart, strip_accents, normalize_nfc):
        assert function(text).text is text


def test_smart_replace_vectors() -> None:
    """Outside vectors agree, but for those listed with a reason; and those really differ."""
    for vector in vectors("smart-replace"):
        text, expected = vector["input"]["text"], vector["expect"]["text"]
        assert (replace_smart(text).text != expected) == (text in REASONS), vector["id"]


def test_smart_replace_table() -> None:
    """Twilio's SmartEncodingMap is covered whole, but for the keys listed; and those really differ."""
    different = {c for run in TABLE_DIFFERENCES for c in run}
    for vector in vectors("smart-replace-table"):
        for text, expected in vector["expect"]["map"].items():
            differs = replace_smart(text).text != expected
            assert differs == (text in different), f"U+{ord(text):04X}"
