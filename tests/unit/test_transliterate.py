"""Transliteration: examples of the standards, case, choice of language, and properties of every scheme."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.encoding.replace import GSM, Change, Replaced
from dispatcher.encoding.transliterate import LANGUAGES, transliterate
from dispatcher.errors import ConfigError

EXAMPLES: Final[dict[str, str]] = {
    # The examples of the Ukrainian resolution, letter by letter.
    "uk": (
        "Алушта=Alushta Борщагівка=Borshchahivka Вишгород=Vyshhorod Гадяч=Hadiach Згорани=Zghorany "
        "Ґалаґан=Galagan Донецьк=Donetsk Рівне=Rivne Єнакієве=Yenakiieve Гаєвич=Haievych Короп'є=Koropie "
        "Житомир=Zhytomyr Жежелів=Zhezheliv Закарпаття=Zakarpattia Медвин=Medvyn Іршава=Irshava "
        "Їжакевич=Yizhakevych Кадиївка=Kadyivka Мар'їне=Marine Йосипівка=Yosypivka Стрий=Stryi Київ=Kyiv "
        "Лебедин=Lebedyn Хмільник=Khmilnyk Біла=Bila Церква=Tserkva Чернівці=Chernivtsi Шостка=Shostka "
        "Гоща=Hoshcha Русь=Rus Феодосія=Feodosiia Юрій=Yurii Крюківка=Kriukivka Яготин=Yahotyn "
        "Знам’янка=Znamianka Розгон=Rozghon Сєвєродонецьк=Sievierodonetsk"
    ),
    "ru": (
        "Москва=Moskva Жуковский=Zhukovskiy Хабаровск=Khabarovsk Щёлково=Shchyolkovo Подъезд=Podezd "
        "Юрий=Yuriy Эльбрус=Elbrus Ярославль=Yaroslavl Цена=Tsena Чита=Chita Выборг=Vyborg"
    ),
    # Names as Russian passports spell them (ICAO Doc 9303).
    "ru-icao": (
        "Юлия=Iuliia Щербакова=Shcherbakova Артём=Artem Андрей=Andrei Дмитрий=Dmitrii Подъячев=Podieiachev "
        "Наталья=Natalia Цветкова=Tsvetkova Хабибуллин=Khabibullin Эдуард=Eduard Крылов=Krylov"
    ),
    "be": (
        "Мінск=Minsk Гомель=Homel Магілёў=Mahiliou Гродна=Hrodna Аляксандр=Aliaksandr Марыя=Maryia "
        "Ігар=Ihar Мікалай=Mikalai Бабрыковіч=Babrykovich Аб'ект=Abekt"
    ),
    "kk": (
        "Алматы=Almaty Астана=Astana Қостанай=Kostanay Қызылорда=Kyzylorda Өскемен=Oskemen Шымкент=Shymkent "
        "Ақтөбе=Aktobe Қарағанды=Karagandy Көкшетау=Kokshetau Үшарал=Usharal Маңғыстау=Mangystau"
    ),
    "bg": (
        "София=Sofia Пловдив=Plovdiv Бургас=Burgas Търново=Tarnovo Щъркел=Shtarkel Кърджали=Kardzhali "
        "България=Bulgaria Мария=Maria МАРИЯ=MARIA Жельо=Zhelyo Хасково=Haskovo Цар=Tsar Юлия=Yulia"
    ),
    "mk": ("Скопје=Skopje Ѓорѓи=Gjorgji Ќурчин=Kjurchin Џепчиште=Djepchishte Ѕвезда=Dzvezda Охрид=Ohrid"),
    "sr": (
        "Београд=Beograd Нови=Novi Сад=Sad Ниш=Nis Крагујевац=Kragujevac Чачак=Cacak Шабац=Sabac "
        "Ђаковица=Djakovica Ужице=Uzice Љиг=Ljig Џеп=Dzep Ћуприја=Cuprija Đorđe=Djordje Čačak=Cacak"
    ),
    # ELOT 743: place names as the Greek authorities and the United Nations spell them.
    "el": (
        "Αθήνα=Athina Θεσσαλονίκη=Thessaloniki Πειραιάς=Peiraias Εύβοια=Evvoia Ναύπλιο=Nafplio "
        "Ναύπακτος=Nafpaktos Αύγουστος=Avgoustos Λευκάδα=Lefkada Ευρώπη=Evropi Ηράκλειο=Irakleio "
        "Αγκίστρι=Agkistri Άγγελος=Angelos Σφίγξ=Sfinx Μελάγχολος=Melancholos Μπάμπης=Bampis Χανιά=Chania "
        "Ψυχικό=Psychiko Ξάνθη=Xanthi Ντίνος=Ntinos Λουτράκι=Loutraki Κέρκυρα=Kerkyra Σαΐνης=Sainis "
        "Άυλος=Aylos Αϋπνία=Aypnia Γκότσης=Gkotsis ΑΎΡΙΟ=AVRIO ΑΥΤΟΣ=AFTOS ΜΠΑΡ=BAR"
    ),
    "el-upper": ("Αθήνα=AΘHNA Καλημέρα=KAΛHMEPA σας=ΣAΣ Ώρα=ΩPA Χαΐρι=XAIPI ύψος=YΨOΣ ΦΩΣ=ΦΩΣ Euro=Euro"),
    "tr": (
        "İstanbul=Istanbul Şişli=Sisli ışık=isik Diyarbakır=Diyarbakir göğüs=gögüs çöp=cöp Çeşme=Çesme "
        "kâr=kar"
    ),
}
"""Word and spelling, by language."""

CASES: Final = {
    "Щит щит ЩИТ": "Shchit shchit SHCHIT",
    "БОРЩ Борщ": "BORSHCH Borshch",
    "Щ. Юдин и Ю": "Shch. Yudin i Yu",
    "МойЩит": "MoyShchit",
    "ЭЩЁ-Ёж": "ESHCHYO-Yozh",
    "ЗГОРАНИ Є": "ZGORANI Ye",
}
"""Case of Russian words with letters of several Latin letters; the last with foreign letters."""

ALPHABETS: Final[dict[str, str]] = {
    "be": "абвгдеёжзійклмнопрстуўфхцчшыьэюя",
    "bg": "абвгдежзийклмнопрстуфхцчшщъьюя",
    "el": "αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋΐΰ",
    "el-upper": "αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋΐΰ",
    "kk": "аәбвгғдеёжзийкқлмнңоөпрстуұүфхһцчшщъыіьэюя",
    "mk": "абвгдѓежзѕијклљмнњопрстќуфхцчџш",
    "ru": "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
    "ru-icao": "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
    "sr": "абвгдђежзијклљмнњопрстћуфхцчџшabcčćdđefghijklmnoprsštuvzž",
    "tr": "abcçdefgğhıijklmnoöprsştuüvyzâîû",
    "uk": "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя",
}
"""The letters of each language in lower case."""

CHOICE: Final = {
    "Привет, объект": "Privet, obekt",  # ru
    "Київ і Гоща": "Kyiv i Hoshcha",  # uk by ї, і
    "Сьогодні гра": "Sohodni hra",  # uk by і alone
    "Сёння і Гродна": "Sionnia i Hrodna",  # be by і with ё
    "Магілёў": "Mahiliou",  # be by ў
    "Қала хабары": "Kala khabary",  # kk
    "Ђоковић Жарко": "Djokovic Zarko",  # sr
    "Ѓорче Жарко": "Gjorche Zharko",  # mk
    "καλημέρα Ω": "kalimera O",  # el
    "Işık çok": "Isik cok",  # tr
    "garçon": "garçon",  # ç alone is not Turkish
    "5 Ω ± Δ": "5 Ω ± Δ",  # Greek capitals that GSM has are no reason
    "Привет Αθήνα ışık": "Privet Athina isik",  # each script by its own rules
}
"""What is chosen with language=None."""


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


def letters_of(language: str) -> st.SearchStrategy[str]:
    """Texts of a language: its letters in both cases, digits, blanks and the commonest signs."""
    lower = ALPHABETS[language]
    upper = "".join(c.upper() for c in lower if len(c.upper()) == 1) + ("İ" if language == "tr" else "")
    return st.text(st.sampled_from(lower + upper + " -.,!?'059\n€"))


languages = st.sampled_from(LANGUAGES)
mixed = st.one_of(
    st.text(),
    st.text(st.sampled_from("".join(ALPHABETS.values()) + "АЩЯЄЇЙÇŞİΩΣΆ'’₽№\u0301\u0306\u0308\u0327 é€“1")),
)


@pytest.mark.parametrize(
    ("language", "word", "spelling"),
    [(language, *pair.split("=")) for language, pairs in EXAMPLES.items() for pair in pairs.split()],
)
def test_words_are_spelt_as_the_standard_says(language: str, word: str, spelling: str) -> None:
    """Example words of the standards and well-known names come out as they are known."""
    assert transliterate(word, language).text == spelling


@pytest.mark.parametrize(("before", "after"), CASES.items())
def test_case_follows_the_word(before: str, after: str) -> None:
    """A capital becomes Shch in a capitalised word and SHCH in a word of capitals."""
    assert transliterate(before, "ru").text == after


@pytest.mark.parametrize(("before", "after"), CHOICE.items())
def test_language_is_chosen_by_script_and_letters(before: str, after: str) -> None:
    """With language=None the letters that force UCS-2 decide, for each script by itself."""
    assert transliterate(before).text == after


def test_all_capitals_with_apostrophe() -> None:
    """The apostrophe is dropped and hides neither the word's start nor its case."""
    assert transliterate("СІМ'Я П’ЯТЬ", "uk").text == "SIMIA PIAT"


def test_foreign_letter_belongs_to_the_word() -> None:
    """A letter or an apostrophe that has no rule before it does not make a letter initial."""
    assert transliterate("Vє V'є -є", "uk").text == "Vie V'ie -ye"


@pytest.mark.parametrize("text", ["it's 'so'", "'Київ'", "за' і", "Київ'"])
def test_apostrophe_stays_unless_between_letters(text: str) -> None:
    """Quotation marks of the same shape are no apostrophes."""
    assert transliterate(text, "uk").text.count("'") == text.count("'")


def test_change_says_where_and_what() -> None:
    """A change covers one letter or one digraph and names its index in the original text."""
    assert transliterate("1 згаь", "uk").changes == (
        Change(2, "зг", "zgh"),
        Change(4, "а", "a"),
        Change(5, "ь", ""),
    )


def test_combining_marks_count_with_their_letter() -> None:
    """NFD letters are known, a stress goes with its letter, and positions are those of the original."""
    replaced = transliterate("e\u0301 и\u0306 за\u0301м", "ru")
    assert replaced.text == "e\u0301 y zam"
    assert replaced.changes == (
        Change(3, "и\u0306", "y"),
        Change(6, "з", "z"),
        Change(7, "а\u0301", "a"),
        Change(9, "м", "m"),
    )


def test_signs_of_currency_become_their_codes() -> None:
    """Currency signs that GSM lacks become ISO 4217 codes; the euro stays."""
    assert transliterate("Списано 100 ₽, 5 ₴, 7 ₸, 2 ₺, 3 €, № 4").text == (
        "Spisano 100 RUB, 5 UAH, 7 KZT, 2 TRY, 3 €, No 4"
    )


@pytest.mark.parametrize("text", ["", "plain", "é ñ Ç €", "日本 “x”", "Ω = 5"])
def test_text_without_rules_comes_back_as_the_same_object(text: str) -> None:
    """Nothing to replace means the very same string and no changes."""
    replaced = transliterate(text)
    assert replaced.text is text
    assert replaced.changes == ()


@pytest.mark.parametrize(
    ("language", "hint"), [("UK", "uk"), ("el_upper", "el-upper"), ("ru_icao", "ru-icao")]
)
def test_unknown_language_is_refused_with_a_hint(language: str, hint: str) -> None:
    """The error says what was given, what is allowed, and what comes closest."""
    with pytest.raises(ConfigError) as caught:
        transliterate("x", language)
    message = str(caught.value)
    assert repr(language) in message
    assert all(known in message for known in LANGUAGES)
    assert f"did you mean {hint!r}?" in message


def test_unknown_language_without_a_near_one() -> None:
    """A name that resembles none is refused without a hint."""
    with pytest.raises(ConfigError, match=r"None to choose by script$"):
        transliterate("x", "japanese")


def test_every_language_is_exercised() -> None:
    """A language added to the schemes needs examples and an alphabet here."""
    assert tuple(sorted(EXAMPLES)) == tuple(sorted(ALPHABETS)) == LANGUAGES


@given(languages.flatmap(lambda language: st.tuples(st.just(language), letters_of(language))))
def test_own_alphabet_gives_gsm_only(case: tuple[str, str]) -> None:
    """A text of the language's own letters becomes characters of the GSM alphabet only."""
    language, text = case
    assert GSM.issuperset(transliterate(text, language).text)


def check(text: str, replaced: Replaced, language: str | None) -> None:
    """Check what holds for every result of `transliterate`."""
    assert apply_changes(text, replaced.changes) == replaced.text
    if not replaced.changes:
        assert replaced.text is text
    for change in replaced.changes:
        assert GSM.issuperset(change.after)
    assert transliterate(replaced.text, language).changes == ()


@given(mixed, st.one_of(st.none(), languages))
def test_result_is_explained_and_idempotent(text: str, language: str | None) -> None:
    """Changes reproduce the result, a second call changes nothing, replacements are GSM characters."""
    check(text, transliterate(text, language), language)


@given(mixed)
def test_gsm_characters_stay(text: str) -> None:
    """The Russian scheme replaces no character that GSM has."""
    for change in transliterate(text, "ru").changes:
        assert change.before[0] not in GSM
