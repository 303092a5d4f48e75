"""Transliteration into the GSM default alphabet, each change reported.

Law. The caller asks for it: nothing here runs by itself, and a language is never switched by guess when one
is given. Characters that no scheme knows stay as they are (typography is `replace_smart`'s work), and so does
everything of the GSM default alphabet, with one exception: `el` also spells the ten Greek capitals of GSM in
Latin, so that a Greek word comes out in one script.

Schemes, by their names in `LANGUAGES`:

==========  =================================================================================================
be          Belarusian: ICAO Doc 9303 part 3, as in passports (г h, ё io, ў u); apostrophe dropped
bg          Bulgarian: Transliteration Act of 2009 (щ sht, ъ a, final ия ia, България Bulgaria)
el          Greek: ELOT 743 (ISO 843 type 2, as the United Nations adopted it): αυ av or af, initial and final
            μπ b, γγ ng, γξ nx, γχ nch, ου ou
el-upper    Greek as customary in SMS: capitals without accents, ten of them Greek in GSM, the others as the
            Latin capitals of the same shape (Αθήνα AΘHNA)
kk          Kazakh in Cyrillic: the practical spelling of place names and passports (қ k, ғ g, ә a, ү ұ u)
mk          Macedonian: as in passports (ѓ gj, ќ kj, џ dj, ж zh)
ru          Russian, practical: й y, ё yo, ю yu, я ya, х kh, щ shch; ъ and ь dropped
ru-icao     Russian, ICAO Doc 9303 part 3, as in passports and on bank cards: й i, ё e, ю iu, я ia, ъ ie
sr          Serbian: its Latin alphabet without the diacritics GSM lacks (ђ đ dj, ч ћ c, ш s, ж z, џ dz)
tr          Turkish: ş s, ğ g, ı i, İ I, ç c, circumflex dropped; ö ü Ö Ü Ç stay, GSM has them
uk          Ukrainian: resolution 55 of the Cabinet of Ministers of 2010-01-27 (initial є ye, ї yi, й y, ю yu,
            я ya; elsewhere ie, i, i, iu, ia; зг zgh; ь and apostrophe dropped)
==========  =================================================================================================

Every Cyrillic scheme also knows the letters of the others, so that a foreign name in a text does not force
UCS-2. Currency signs that GSM lacks become their ISO 4217 codes.

Plan. A `Scheme` is data: strings in lower case with their spelling, and which of them hold only at the start
or the end of a word or before certain letters. One engine reads it: longest match first, then the case of the
result from the case of the word (Щит Shchit, ЩИТ SHCHIT). Schemes are built on first use.
"""

import unicodedata
from functools import cache
from typing import Final, NamedTuple

from dispatcher.encoding.replace import GSM, Change, Replaced, check_text, normalize_nfc
from dispatcher.errors import ConfigError

_APOSTROPHES: Final = "'’ʼ‘`´"


class Scheme(NamedTuple):
    """The rules of one language as text: ``а=a б=b ь=``, strings in lower case, separated by blanks."""

    letters: str
    """Strings of one or more letters that hold anywhere; of equal strings the last counts."""
    initial: str = ""
    """Strings that hold at the start of a word, before `letters`."""
    final: str = ""
    """Strings that hold at the end of a word, before `initial` and `letters`."""
    before: str = ""
    """Strings that hold before one of `followers`, before all others."""
    followers: str = ""
    dropped_between: str = ""
    """Characters dropped between two letters of the scheme."""
    exact: str = ""
    """Strings with their case as written, for alphabets whose case does not pair in the usual way."""


_ICAO: Final = (
    "а=a б=b в=v г=g д=d е=e ё=e ж=zh з=z и=i й=i к=k л=l м=m н=n о=o п=p р=r с=s т=t у=u ф=f х=kh ц=ts ч=ch "
    "ш=sh щ=shch ъ=ie ы=y ь= э=e ю=iu я=ia і=i ї=i є=ie ґ=g ў=u ђ=d ј=j љ=lj њ=nj ћ=c џ=dz ѓ=g ќ=k ѕ=dz "
    "ә=a ғ=g қ=k ң=n ө=o ұ=u ү=u һ=h ѣ=e ѳ=f ѵ=y ѫ=u "
)
_RU: Final = _ICAO + "ё=yo й=y ъ= ю=yu я=ya є=ye ї=yi ђ=dj ѓ=gj ќ=kj ѣ=e ѵ=i "
_GREEK: Final = (
    "α=a ά=a β=v γ=g δ=d ε=e έ=e ζ=z η=i ή=i θ=th ι=i ί=i ϊ=i ΐ=i κ=k λ=l μ=m ν=n ξ=x ο=o ό=o π=p ρ=r σ=s "
    "ς=s τ=t υ=y ύ=y ϋ=y ΰ=y φ=f χ=ch ψ=ps ω=o ώ=o γγ=ng γξ=nx γχ=nch ου=ou ού=ou αυ=af αύ=af ευ=ef εύ=ef "
    "ηυ=if ηύ=if "
)
_GREEK_UPPER: Final = (
    "Α=A Ά=A Β=B Ε=E Έ=E Ζ=Z Η=H Ή=H Ι=I Ί=I Ϊ=I Κ=K Μ=M Ν=N Ο=O Ό=O Ρ=P Τ=T Υ=Y Ύ=Y Ϋ=Y Χ=X Ώ=Ω "
    "α=A ά=A β=B γ=Γ δ=Δ ε=E έ=E ζ=Z η=H ή=H θ=Θ ι=I ί=I ϊ=I ΐ=I κ=K λ=Λ μ=M ν=N ξ=Ξ ο=O ό=O π=Π ρ=P σ=Σ ς=Σ "
    "τ=T υ=Y ύ=Y ϋ=Y ΰ=Y φ=Φ χ=X ψ=Ψ ω=Ω ώ=Ω "
)
_SIGNS: Final = "№=No ₽=RUB ₴=UAH ₸=KZT ₺=TRY "

_SCHEMES: Final[dict[str, Scheme]] = {
    "be": Scheme(_ICAO + "г=h ё=io ", dropped_between=_APOSTROPHES),
    "bg": Scheme(_RU + "х=h щ=sht ъ=a ь=y ", final="ия=ia българия=bulgaria "),
    "el": Scheme(
        _GREEK,
        initial="μπ=b ",
        final="μπ=b ",
        before="αυ=av αύ=av ευ=ev εύ=ev ηυ=iv ηύ=iv ",
        followers="αάεέηήιίϊΐοόυύϋΰωώβγδζλμνρ",
    ),
    "el-upper": Scheme("", exact=_GREEK_UPPER),
    "kk": Scheme(_RU),
    "mk": Scheme(_RU + "х=h ц=c џ=dj "),
    "ru": Scheme(_RU),
    "ru-icao": Scheme(_ICAO),
    "sr": Scheme(_RU + "ж=z х=h ц=c ч=c ш=s đ=dj č=c ć=c š=s ž=z "),
    "tr": Scheme("", exact="ş=s Ş=S ğ=g Ğ=G ı=i İ=I ç=c â=a Â=A î=i Î=I û=u Û=U "),
    "uk": Scheme(
        _ICAO + "г=h и=y зг=zgh ",
        initial="є=ye ї=yi й=y ю=yu я=ya ",
        dropped_between=_APOSTROPHES,
    ),
}

LANGUAGES: Final[tuple[str, ...]] = tuple(_SCHEMES)
"""The names that `transliterate` takes, in alphabetical order."""

_PECULIAR: Final[tuple[tuple[str, str, str], ...]] = (
    ("kk", "әғқңөұүһ", ""),
    ("be", "ў", ""),
    ("mk", "ѓќѕ", ""),
    ("sr", "ђјљњћџ", ""),
    ("uk", "їєґ", ""),
    ("be", "і", "ыэё"),
    ("uk", "і", ""),
    ("ru", "абвгдежзийклмнопрстуфхцчшщъыьэюяё", ""),
)
"""The language of a Cyrillic text: the first whose letters occur, together with one of the second kind if
such are named. Belarusian without ў differs from Ukrainian by ы, э, ё."""

_GREEK_LETTERS: Final = frozenset("αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋΐΰ")
_TURKISH_LETTERS: Final = frozenset("ıİşŞğĞ")


class _Rules(NamedTuple):
    """One scheme, or several of different scripts together, ready for the engine."""

    before: dict[str, str]
    followers: frozenset[str]
    final: dict[str, str]
    initial: dict[str, str]
    letters: dict[str, str]
    dropped_between: str
    longest: dict[str, int]
    """The length of the longest string that starts with this character."""


def transliterate(text: str, language: str | None = None) -> Replaced:
    """Spell a text in Latin letters of the GSM default alphabet, or in GSM's capitals for ``el-upper``.

    With ``language=None`` a text that GSM can carry stays as it is (``5 Ω``), and in any other each script is
    treated by its own rules: Greek by `el`, Cyrillic by the language whose peculiar letters occur (`ru` where
    there are none, so name `bg` and `ru-icao` yourself), Latin by `tr` if it has ı, İ, ş or ğ.

    Letters written with combining marks count as one; other marks on a replaced letter, such as a stress, are
    dropped with it. ASCII, and a text with nothing to replace, come back as the same object. A second call
    changes nothing.

    Raises `ConfigError` for a language that is not in `LANGUAGES`.
    """
    check_text(text)
    if language is not None and language not in _SCHEMES:
        raise ConfigError(_unknown(language))
    if text.isascii():
        return Replaced(text, ())
    composed, changes = normalize_nfc(text)
    rules = _rules(_detect(composed) if language is None else (language,))
    if rules.longest.keys().isdisjoint(composed):
        return Replaced(text, ())
    return _apply(rules, text, composed, _origins(composed, changes) if changes else range(len(text) + 1))


def _unknown(language: str) -> str:
    """Return the message for a language that no scheme has."""
    from difflib import get_close_matches

    close = get_close_matches(str(language).lower(), LANGUAGES, 1, 0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"language: {language!r} is not one of {', '.join(LANGUAGES)}, or None to choose by script{hint}"


def _detect(text: str) -> tuple[str, ...]:
    """Return the languages whose letters force the text into UCS-2, at most one for each script."""
    letters = set("".join(set(text) - GSM).lower())
    found = []
    for language, first, second in _PECULIAR:
        if not letters.isdisjoint(first) and not (second and letters.isdisjoint(second)):
            found.append(language)
            break
    if not letters.isdisjoint(_GREEK_LETTERS):
        found.append("el")
    if not _TURKISH_LETTERS.isdisjoint(text):
        found.append("tr")
    return tuple(found)


@cache
def _rules(languages: tuple[str, ...]) -> _Rules:
    """Build the rules of schemes whose scripts do not overlap."""
    schemes = [_SCHEMES[language] for language in languages]
    before = _cased("".join(s.before for s in schemes))
    final = _cased("".join(s.final for s in schemes))
    initial = _cased("".join(s.initial for s in schemes))
    letters = _cased("".join(s.letters for s in schemes))
    letters.update(_pairs(_SIGNS + "".join(s.exact for s in schemes)))
    longest: dict[str, int] = {}
    for table in (before, final, initial, letters):
        for string in table:
            longest[string[0]] = max(len(string), longest.get(string[0], 0))
    return _Rules(
        before,
        frozenset("".join(s.followers for s in schemes)),
        final,
        initial,
        letters,
        "".join(s.dropped_between for s in schemes),
        longest,
    )


def _pairs(rules: str) -> dict[str, str]:
    """Read ``а=a б=b`` into a dict."""
    return dict(rule.split("=") for rule in rules.split())


def _cased(rules: str) -> dict[str, str]:
    """Read rules in lower case, adding the string in capitals and with a capital first letter."""
    table = {}
    for string, after in _pairs(rules).items():
        if len(string.upper()) == len(string):  # not so for ΐ and ΰ, which have no capitals
            table[string[0].upper() + string[1:]] = after[:1].upper() + after[1:]
            table[string.upper()] = after.upper()
        table[string] = after
    return table


def _origins(composed: str, changes: tuple[Change, ...]) -> list[int]:
    """Return for each index of the composed text, and for its end, the index in the original."""
    origins: list[int] = []
    position = 0
    for change in changes:
        origins.extend(range(position, change.position))
        position = change.position + len(change.before)
        origins.append(change.position)
        origins.extend([position] * (len(change.after) - 1))
    origins.extend(range(position, position + len(composed) - len(origins) + 1))
    return origins


def _apply(rules: _Rules, text: str, composed: str, origins: range | list[int]) -> Replaced:
    """Replace by longest match, left to right over the composed text; report positions of the original."""
    changes = []
    parts = []
    in_word = False  # a letter stands before, or a letter and an apostrophe
    matched = False  # the character before was replaced as a letter
    position = 0
    while position < len(composed):
        c = composed[position]
        end = position + 1
        after = None
        if c in rules.longest:
            end, after = _match(rules, composed, position, in_word)
        elif matched and c in rules.dropped_between and composed[end : end + 1] in rules.longest:
            after = ""
        run = text[origins[position] : origins[end]]
        if after is None or after == run:
            parts.append(run)
            in_word = c.isalpha() or (in_word and (c in _APOSTROPHES or unicodedata.combining(c) > 0))
        else:
            changes.append(Change(origins[position], run, after))
            parts.append(after)
            in_word = c.isalpha() or c in _APOSTROPHES
        matched = after is not None and c.isalpha()
        position = end
    return Replaced("".join(parts), tuple(changes)) if changes else Replaced(text, ())


def _match(rules: _Rules, text: str, position: int, in_word: bool) -> tuple[int, str | None]:
    """Return the end of the longest string that has a rule here, with its marks, and its replacement."""
    for length in range(rules.longest[text[position]], 0, -1):
        string = text[position : position + length]
        end = position + len(string)
        while end < len(text) and unicodedata.combining(text[end]):
            end += 1
        following = text[end : end + 1]
        if string in rules.before and following.lower() in rules.followers:
            return end, _case(rules.before[string], string, text, position, end)
        if string in rules.final and not following.isalpha():
            return end, _case(rules.final[string], string, text, position, end)
        if string in rules.initial and not in_word:
            return end, _case(rules.initial[string], string, text, position, end)
        if string in rules.letters:
            return end, _case(rules.letters[string], string, text, position, end)
    return position + 1, None


def _case(after: str, string: str, text: str, position: int, end: int) -> str:
    """Return the replacement of one capital as ``Shch`` or ``SHCH``, by the letter beside it."""
    if len(after) < 2 or len(string) > 1 or not string.isupper():
        return after
    following = text[end : end + 1]
    if following.isalpha():
        return after if following.isupper() else after[0] + after[1:].lower()
    start = position
    while start and (text[start - 1] in _APOSTROPHES or unicodedata.combining(text[start - 1])):
        start -= 1
    return after if start and text[start - 1].isupper() else after[0] + after[1:].lower()
