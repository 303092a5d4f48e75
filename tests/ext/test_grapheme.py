"""Grapheme clusters: a cut falls where another implementation of UAX #29 lets it."""

import itertools
from collections.abc import Iterator
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dispatcher.encoding import segment, segment_batch
from tests import fuzz, oracle

MANY: Final = settings(max_examples=500, deadline=None, print_blob=True)
ROOM: Final = 67  # UCS-2 units of one of several segments

KINDS: Final = {
    "other": "a",
    "CR": "\r",
    "LF": "\n",
    "control": "\u200b",
    "extend": "\u0301",
    "extend, linker": "\u094d",
    "extend, of InCB none": "\u200c",
    "skin tone": "🏽",
    "variation": "\ufe0f",
    "ZWJ": "\u200d",
    "regional": "🇷",
    "prepend": "\u0600",
    "spacing": "\u0903",
    "L": "\u1100",
    "V": "\u1161",
    "T": "\u11a8",
    "LV": "가",
    "LVT": "각",
    "pictograph": "😀",
    "pictograph of plane 0": "❤",
    "consonant": "क",
    "another consonant": "ക",
}
"""One character of each class that the rules tell apart."""


def cuts(probe: str) -> Iterator[tuple[int, int]]:
    """Yield where the first segment ends, and where it should, for a cut at each place of the probe."""
    way = next(oracle.ways(alphabet="ucs2"))
    ends = list(itertools.accumulate(map(len, oracle.clusters_of("я" + probe + "я"))))
    for place in range(len(probe) + 1):
        before = ROOM - way.cost(probe[:place])
        parts = segment("я" * before + probe + "я" * 90, alphabet="ucs2").segments
        yield len(parts[0].text), before - 1 + max(end for end in [0, *ends] if end <= place + 1)


@pytest.mark.parametrize("left", KINDS)
def test_every_pair_of_classes(left: str) -> None:
    """A cut at each place of two or three characters is the other implementation's."""
    for first, right in itertools.product(["", *KINDS.values()], KINDS.values()):
        probe = first + KINDS[left] + right
        for got, wanted in cuts(probe):
            assert got == wanted, ascii(probe)


LONG_RULES: Final = [
    "🇷" * n + tail for n in range(1, 9) for tail in ("", "a", "\u0301", "\u200d")
] + [
    "क" + "".join(marks) + "ष"
    for n in range(5)
    for marks in itertools.product(("\u094d", "\u200d", "\u0301", "\u093c"), repeat=n)
] + [
    "👩" + "".join(marks) + tail
    for n in range(4)
    for marks in itertools.product(("\u200d", "\ufe0f", "🏽", "\u0301"), repeat=n)
    for tail in ("🔥", "a")
]  # fmt: skip


def test_rules_that_look_far_back() -> None:
    """Flags in rows, conjuncts with several marks, emoji joined over variation and tone."""
    for probe in LONG_RULES:
        for got, wanted in cuts(probe):
            assert got == wanted, ascii(probe)


@MANY
@given(
    probe=st.lists(st.sampled_from([*KINDS.values(), *fuzz.CLUSTERS]), min_size=1, max_size=12).map("".join),
    before=st.integers(0, ROOM),
    chosen=st.sampled_from(
        [{}, {"reference_bits": 16}, {"elements": b"\x70\x50" + bytes(80)}, {"clusters": False}]
    ),
)
@example("👨\u200d👩\u200d👧\u200d👦", 60, {})
@example("z" + "\u0300" * 66, 1, {})
@example("z" + "\u0300" * 67, 1, {})
@example("🇷🇺" * 40, 1, {})
def test_rows_of_clusters(probe: str, before: int, chosen: dict[str, Any]) -> None:
    """However clusters follow each other, and however long they are: every cut is the twin's."""
    text = "я" * before + probe + "a" * 30
    parts = segment(text, alphabet="ucs2", max_segments=255, **chosen).segments
    way = next(oracle.ways(alphabet="ucs2", **chosen))
    assert [part.text for part in parts] == way.cut(text, bool(chosen.get("clusters", True)))


def test_a_cluster_of_exactly_a_segment_is_kept_and_a_longer_one_is_cut() -> None:
    """67 units move whole into a segment of their own; of 68 the first as many as fit stay where they are."""
    kept, cut = ("z" + "\u0300" * n for n in (66, 67))
    assert [part.text for part in segment("я" * 10 + kept + "я").segments] == ["я" * 10, kept, "я"]
    assert [part.text for part in segment("я" * 10 + cut + "я").segments] == [
        "я" * 10 + cut[:57],
        cut[57:] + "я",
    ]


def test_crlf_is_kept_in_septets_and_octets() -> None:
    """Also where nothing but CR LF can be a cluster."""
    for alphabet, room in (("gsm7", 153), ("latin1", 134), ("ascii", 134)):
        text = "a" * (room - 1) + "\r\n" + "b" * 60
        chosen: dict[str, Any] = {"alphabet": alphabet}
        assert segment(text, **chosen).segments[0].text == "a" * (room - 1)
        assert segment(text, clusters=False, **chosen).segments[0].text == "a" * (room - 1) + "\r"


CODE_POINTS: Final = [
    code
    for code in itertools.chain(
        range(0x20000), range(0x20000, 0xE0000, 97), range(0xE0000, 0xE1000), [0x10FFFF]
    )
    if code not in oracle.SURROGATES
]
"""The planes with properties, and samples of the others."""


@pytest.mark.parametrize(
    "around", ["a?", "?a", "क\u094d?", "?\u094dक", "?\u200d😀", "❤?\u200d😀", "?\u1161", "\u1161?"]
)
def test_every_code_point(around: str) -> None:
    """Each class of each character is that of the other implementation: a cut before the last of a few."""
    way = next(oracle.ways(alphabet="ucs2"))
    tried = [around.replace("?", chr(code)) for code in CODE_POINTS]
    before = [ROOM - way.cost(probe[:-1]) for probe in tried]  # so that the last character does not fit
    batch = segment_batch(
        ["я" * n + probe + "я" * 9 for n, probe in zip(before, tried, strict=True)], alphabet="ucs2"
    )
    wanted = [
        n + len(probe) - len(oracle.clusters_of("я" + probe)[-1])
        for n, probe in zip(before, tried, strict=True)
    ]
    ends = batch.text_ends[batch.firsts[:-1]].tolist()
    wrong = [probe for probe, end, place in zip(tried, ends, wanted, strict=True) if end != place]
    assert not wrong, f"{len(wrong)}, for example {wrong[0]!a}"
