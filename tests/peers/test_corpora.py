"""The corpora are what the published figures say they are."""

import pytest

from bench.corpora import CORPORA, TEXTS, corpus, describe
from bench.reference import SEPTETS

PINNED = {
    "c1_otp_en": "cf9c5ea30033ae61188e776674a1d0e2ecff35440caa3ffd6af390e78d22b143",
    "c2_gsm_long_ext": "83dce90d81f36bf3b85126c758025f03b406c6ce87470113a54e1e47917073dc",
    "c3_ru_ucs2": "e85566ea6bd11b936ccdc973f6cface1cbe9be15ad00ce78c625e9aa9018198e",
    "c4_mixed_emoji": "47fa82caa7cddabf87dacf9a82d1d984ea55145849b7f98f1a13e909bf7b7e20",
}
"""The same on Python 3.11, 3.12 and 3.13. Another checksum makes all earlier figures incomparable."""


@pytest.mark.parametrize("name", CORPORA)
def test_a_corpus_is_the_same_on_every_python(name: str) -> None:
    """Its checksum is pinned, and its lengths keep to their limits."""
    about = describe(name)
    _, least, most = CORPORA[name]
    assert about.sha256 == PINNED[name]
    assert about.texts == TEXTS
    assert least <= about.chars_min <= about.chars_mean <= about.chars_max <= most


@pytest.mark.parametrize("name", CORPORA)
def test_few_texts_are_the_first_of_many(name: str) -> None:
    """A quick run measures a part of the same corpus."""
    assert corpus(name, 7) == corpus(name)[:7]


def test_another_seed_makes_other_texts() -> None:
    """The checksum does depend on the texts."""
    assert corpus("c1_otp_en", 7, seed=1) != corpus("c1_otp_en", 7)


def test_each_corpus_is_of_its_alphabet() -> None:
    """Codes are ASCII, long texts GSM 7-bit with escapes, the others need UCS-2; emoji come in families."""
    assert all(text.isascii() for text in corpus("c1_otp_en"))
    assert all(set(text) <= set(SEPTETS) for text in corpus("c2_gsm_long_ext"))
    escapes = sum(len(SEPTETS[char]) == 2 for text in corpus("c2_gsm_long_ext") for char in text)
    assert escapes > 2 * TEXTS
    assert sum("€" in text for text in corpus("c2_gsm_long_ext")) > TEXTS / 2
    assert all(max(text) > "\xff" for text in corpus("c3_ru_ucs2"))
    for piece in ("👨‍👩‍👧‍👦", "🇷🇺", "👍🏽", "скидка", "cashback"):
        assert sum(piece in text for text in corpus("c4_mixed_emoji")) > TEXTS / 20
