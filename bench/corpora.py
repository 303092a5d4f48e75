"""The four corpora that every figure is about: made from a seed, the same on every machine and Python.

Only `random.Random(int)` and its `random()` are used: those two keep their sequence across Python versions by
promise; `choice`, `shuffle` and `randrange` do not. `describe` says what is in a corpus, with a checksum that
a test pins.

    python -m bench.corpora    prints the description
"""

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from random import Random
from typing import Final, NamedTuple

TEXTS: Final = 10_000
SEED: Final = 20_261_124


class Description(NamedTuple):
    """What a corpus holds."""

    texts: int
    chars_min: int
    chars_mean: float
    chars_max: int
    utf16_mean: float
    sha256: str


class Dice:
    """Choices made from `random()` alone."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed).random

    def below(self, n: int) -> int:
        """Return 0 to n - 1."""
        return int(self.random() * n)

    def one(self, items: Sequence[str]) -> str:
        """Return one of the items."""
        return items[self.below(len(items))]

    def digits(self, n: int) -> str:
        """Return n decimal digits."""
        return "".join("0123456789"[self.below(10)] for _ in range(n))

    def money(self) -> str:
        """Return an amount such as 1842.07."""
        return f"{self.below(5000)}.{self.digits(2)}"


# ---- c1_otp_en: one-time codes, 50 to 65 characters of plain ASCII ----

_OTP: Final = (
    "{code} is your {brand} verification code. Valid for {n} minutes.",
    "{brand}: your one-time code is {code}. Do not share it.",
    "{brand} code {code}. Valid {n} minutes. Keep it secret.",
    "Your {brand} login code is {code}. It expires in {n} min.",
    "Code {code} confirms payment of {money} USD at {brand}.",
    "{brand}: {code} to confirm your transfer. Never tell anyone.",
    "Use {code} to sign in to {brand}. Expires in {n} minutes.",
)
_BRANDS: Final = ("Northbank", "Fjord Pay", "Cityline", "Alpha Bank", "Mercato", "Bluewallet", "Trust24")


def _otp(dice: Dice) -> str:
    return dice.one(_OTP).format(
        code=dice.digits(6), brand=dice.one(_BRANDS), n=2 + dice.below(9), money=dice.money()
    )


# ---- c2_gsm_long_ext: 249 to 350 characters of GSM 7-bit with its extension ----

_LONG: Final = (
    "Your balance is €{money}. ",
    "Card [*{digits}] was charged €{money} at {brand}. ",
    "Transfer {{ref: {digits}}} has arrived: £{money}. ",
    "Rate ~{money} EUR^USD, fee {digits}|{digits}. ",
    "Path C:\\{brand}\\{digits} is archived. ",
    "Questions? Call our team between 9 and 17 on weekdays. ",
    "Für Fragen wählen Sie bitte die {digits}. ",
    "Café {brand} thanks you for your visit. ",
    "Please keep this message until the payment has been booked. ",
    "Terms [A|B] apply, see {{{digits}}}. ",
)


def _long(dice: Dice) -> str:
    length = 249 + dice.below(102)
    text = ""
    while len(text) < length:
        text += dice.one(_LONG).format(money=dice.money(), digits=dice.digits(4), brand=dice.one(_BRANDS))
    return text[:length]


# ---- c3_ru_ucs2: Russian, 79 to 120 characters ----

_RUSSIAN: Final = (
    "Покупка {money} р. в магазине «{place}». ",
    "Баланс карты *{digits}: {money} р. ",
    "Никому не сообщайте код {digits}. ",
    "Платёж по кредиту спишется {n} числа. ",
    "Вам перевели {money} р. от Ивана П. ",
    "Заявка № {digits} одобрена, ждём вас в отделении. ",
    "Подробности в приложении банка. ",
)
_PLACES: Final = ("Берёзка", "Продукты у дома", "Аптека", "Книжный мир", "Ромашка")


def _russian_text(dice: Dice, length: int) -> str:
    text = ""
    while len(text) < length:
        text += dice.one(_RUSSIAN).format(
            money=dice.money(), digits=dice.digits(4), n=1 + dice.below(28), place=dice.one(_PLACES)
        )
    return text[:length]


def _russian(dice: Dice) -> str:
    return _russian_text(dice, 79 + dice.below(42))


# ---- c4_mixed_emoji: Russian and English with emoji, 159 to 251 characters ----

_WORDS: Final = (
    "скидка", "подарок", "сегодня", "кешбэк", "ждём вас", "до конца недели", "баланс", "приложение",
    "sale", "only today", "cashback", "your order", "delivered", "up to 50%", "free", "weekend", "gift card",
)  # fmt: skip
_EMOJI: Final = (
    "😀", "🎁", "🔥", "💳", "🎉", "🚀", "💰", "✅", "❤️", "⭐",
    "👍🏽", "🙏🏻", "👋🏿",  # skin tones
    "🇷🇺", "🇩🇪", "🇯🇵",  # flags
    "👨‍👩‍👧", "👨‍👩‍👧‍👦", "👩‍💻", "🧑🏽‍🚀",  # joined by ZWJ
    "1️⃣",
)  # fmt: skip


def _mixed(dice: Dice) -> str:
    length = 162 + dice.below(90)
    text = ""
    while True:
        piece = dice.one(_EMOJI) if dice.random() < 0.19 else dice.one(_WORDS)
        if len(text) + len(piece) + 1 > length:
            return text + "!"
        text += piece + " "


CORPORA: Final[dict[str, tuple[Callable[[Dice], str], int, int]]] = {
    "c1_otp_en": (_otp, 50, 65),
    "c2_gsm_long_ext": (_long, 249, 350),
    "c3_ru_ucs2": (_russian, 79, 120),
    "c4_mixed_emoji": (_mixed, 159, 251),
}
"""How a text is made, and its fewest and most characters: another is made where it falls outside."""


@cache
def corpus(name: str, texts: int = TEXTS, seed: int = SEED) -> tuple[str, ...]:
    """Return the texts of a corpus; fewer texts are the first of many."""
    make, least, most = CORPORA[name]
    dice = Dice(seed + list(CORPORA).index(name))
    found: list[str] = []
    while len(found) < texts:
        text = make(dice)
        if least <= len(text) <= most:
            found.append(text)
    return tuple(found)


def describe(name: str, texts: int = TEXTS, seed: int = SEED) -> Description:
    """Return what is in a corpus; the checksum is of its texts in UTF-8, each ended by a NUL."""
    held = corpus(name, texts, seed)
    lengths = [len(text) for text in held]
    return Description(
        texts=len(held),
        chars_min=min(lengths),
        chars_mean=round(sum(lengths) / len(held), 4),
        chars_max=max(lengths),
        utf16_mean=round(sum(len(text.encode("utf-16-be")) // 2 for text in held) / len(held), 4),
        sha256=hashlib.sha256("".join(text + "\0" for text in held).encode()).hexdigest(),
    )


if __name__ == "__main__":
    for name in CORPORA:
        about = describe(name)
        print(
            f"{name}: {about.texts} texts, chars min/mean/max {about.chars_min} {about.chars_mean} "
            f"{about.chars_max}, utf16 mean {about.utf16_mean}, sha256 {about.sha256}"
        )
