"""What hard texts and options are made of: shared by the fuzz run and the Hypothesis tests."""

from typing import Any, Final

from dispatcher.encoding.tables import LANGUAGE_ID, LOCKING, SINGLE_SHIFT

LENGTHS: Final = (
    *(0, 1, 2, 3, 7, 8, 9, 20, 39, 40, 41),
    *range(64, 72),  # UCS-2: 70 alone, 67 and 66 of several
    *(130, 131, 132, 133, 134, 135, 139, 140, 141),  # octets, and twice a UCS-2 segment
    *range(145, 162),  # septets: 160 alone, 155 to 146 with language tables, 153 and 152 of several
    *(200, 201, 268, 269),
    *range(303, 311),
)
"""Lengths of runs: those where something happens, and their neighbours."""

FILLERS: Final = ("a", "7", " ", "@", "\n", "[", "€", "é", "ÿ", "я", "ñ", "ş", "न", "中", "😀", "\r", "\f")
"""Characters that make long runs: of every str kind, of every alphabet and of both costs."""

CLUSTERS: Final = (
    "\r\n",
    "e\u0301",
    "e\u0301\u0323\u0302",
    "й".replace("й", "и\u0306"),
    "👍🏽",
    "👨\u200d👩\u200d👧\u200d👦",
    "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "❤\ufe0f",
    "❤\ufe0f\u200d🔥",
    "1\ufe0f\u20e3",
    "🇷🇺",
    "🇷🇺🇩🇪🇫🇷",
    "🇷",
    "क्षि",
    "स्त्री",
    "क\u094d\u200dष",
    "ക്ഷ",
    "నమస్తే",
    "ক্র",
    "각",
    "\u1100\u1161\u11a8",
    "\u1100\u1100\u1161",
    "가\u11a8",
    "\u0600123",
    "\u200d",
    "\u200d😀",
    "\ufe0f",
    "\u0e33",
    "ก\u0e33",
    "z" + "\u0300" * 30,
    "q" + "\u0301" * 66,
    "w" + "\u0302" * 67,
    "v" + "\u0303" * 140,
    "👩\u200d" * 20 + "👩",
    "👩\u200d" * 24 + "👩",
)
"""What people see as one character, pieces of it, and clusters about as long as a segment."""

SINGLES: Final = (
    *"@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ¤¡ÄÖÑÜ§¿äöñüà",
    *"\n\r\f^{}\\[~]|€`\x00\x1b\x7f\x0e\t\u00a0\u00ff\u0100",
    *"çêÁÍÓÚğıŞİ“”—…\u200b\ufeff\u2028",
    *"\ufffd\uffff\ufffe\U00010000\U0010ffff\ud7ff\ue000",
)
SURROGATES: Final = ("\ud800", "\udbff", "\udc00", "\udfff", "\ud83d\ude00")

LANGUAGES: Final = tuple(language for language in LANGUAGE_ID if language)
NATIONAL: Final = {
    language: tuple(
        sorted({*LOCKING.get(language, ""), *SINGLE_SHIFT[language].values()} - {"\ufffd"}),
    )
    for language in LANGUAGES
}
"""The characters that a language's tables have."""

ELEMENTS: Final = (
    b"",
    b"",
    b"",
    b"\x05\x04\x0b\x84\x23\xf0",
    b"\x04\x02\x15\xb3",
    b"\x70\x00",
    b"\x70\x01a",
    b"\x70\x03abc",
    b"\x70\x0a0123456789",
    b"\x70\x50" + bytes(80),
)
"""Information elements for every header, of lengths that give each number of fill bits."""

ALLOW: Final[tuple[tuple[str, ...], ...]] = (
    ("gsm7", "ucs2"),
    ("gsm7",),
    ("ucs2",),
    ("latin1",),
    ("ascii",),
    ("ucs2", "gsm7"),
    ("gsm7", "latin1", "ucs2"),
    ("latin1", "gsm7"),
    ("gsm7", "latin1"),
    ("ascii", "gsm7", "ucs2"),
    ("ascii", "latin1", "gsm7", "ucs2"),
    ("ucs2", "latin1", "ascii", "gsm7"),
)
MAX_SEGMENTS: Final = (1, 1, 2, 3, 4, 10, 10, 10, 254, 255, 255)
PACKINGS: Final = ("unpacked", "unpacked", "packed", "packed-cr")


def allowed_together(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options without those that exclude each other, as `encoder` would complain."""
    kept = dict(options)
    allowed = {kept["alphabet"]} if kept.get("alphabet") else {*kept.get("allow", ("gsm7", "ucs2"))}
    if "gsm7" not in allowed or kept.get("method", "udh") != "udh":
        kept.pop("languages", None)
    if kept.get("method", "udh") != "udh":
        kept.pop("elements", None)
    if kept.get("method") == "payload":
        kept.pop("packing", None)
    own = set(kept.get("data_codings") or ())
    if kept.get("message_class") is not None and not allowed <= {"gsm7", "ucs2"} | own:
        kept.pop("message_class")
    return kept
