"""Text to segments: equal to a slow twin for every option, and true to the standards without one."""

import gc
import math
import random
import sys
import tracemalloc
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dispatcher.encoding import (
    Count,
    Encoder,
    Part,
    Plan,
    Segment,
    Segmented,
    TooManySegmentsError,
    UnencodableError,
    count,
    decode,
    encoder,
    reassemble,
    segment,
    table,
)
from dispatcher.encoding.tables import LANGUAGE_ID, LOCKING, SINGLE_SHIFT
from dispatcher.errors import ConfigError, EncodingError
from dispatcher.limits import SEGMENTS_MAX
from tests import fuzz, oracle

MANY: Final = settings(max_examples=600, deadline=None, print_blob=True)
FEWER: Final = settings(max_examples=200, deadline=None, print_blob=True)


# ---- strategies -------------------------------------------------------------------------------------------

singles = st.sampled_from([*fuzz.SINGLES, *fuzz.FILLERS])
lengths = st.sampled_from(fuzz.LENGTHS) | st.integers(0, 40)
runs = st.builds(lambda char, n: char * n, st.sampled_from(fuzz.FILLERS) | singles, lengths)
clusters = st.sampled_from(fuzz.CLUSTERS)
nationals = st.sampled_from(fuzz.LANGUAGES).flatmap(
    lambda language: st.text(st.sampled_from(fuzz.NATIONAL[language]), max_size=12)
)
pieces = st.one_of(
    runs,
    runs,
    clusters,
    st.builds(lambda cluster, n: cluster * n, clusters, st.integers(1, 30)),
    st.text(singles, max_size=12),
    nationals,
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
)
rare = st.sampled_from([*fuzz.SURROGATES, "\x00", "`", "Ж"])
texts = st.lists(pieces, max_size=7).map("".join) | st.builds(
    lambda head, char, tail: head + char + tail, pieces, rare, pieces
)
options = st.fixed_dictionaries(
    {},
    optional={
        "max_segments": st.sampled_from(fuzz.MAX_SEGMENTS),
        "alphabet": st.sampled_from(["gsm7", "ucs2", "latin1", "ascii"]),
        "allow": st.sampled_from(fuzz.ALLOW),
        "languages": st.lists(st.sampled_from(fuzz.LANGUAGES), max_size=2, unique=True).map(tuple)
        | st.just(fuzz.LANGUAGES),
        "reference_bits": st.sampled_from([8, 16]),
        "method": st.sampled_from(["udh", "sar", "payload"]),
        "packing": st.sampled_from(fuzz.PACKINGS),
        "message_class": st.sampled_from([None, 0, 1, 2, 3]),
        "data_codings": st.sampled_from([None, {}, {"gsm7": 0xF1}, {"latin1": 0, "ascii": 0, "ucs2": 0x19}]),
        "elements": st.sampled_from(fuzz.ELEMENTS),
        "clusters": st.booleans(),
    },
).map(fuzz.allowed_together)


def reference_for(chosen: Mapping[str, Any], seed: int) -> int:
    """Return a reference in the range that the options allow."""
    return seed % (1 << int(chosen.get("reference_bits", 8)))


# ---- against the twin -------------------------------------------------------------------------------------


@MANY
@given(text=texts, chosen=options, seed=st.integers(0, 0xFFFF))
@example(text="a" * 200 + "Ω" + "a" * 20, chosen={"allow": ("gsm7", "latin1")}, seed=7)
@example(text="a" * 300 + "è", chosen={"languages": ("tr",)}, seed=0)
@example(text="é" * 200 + "[", chosen={"allow": ("gsm7", "latin1")}, seed=1)  # two ways with other units
@example(text="a[" * 120, chosen={"allow": ("gsm7", "latin1", "ucs2"), "languages": ("pt",)}, seed=1)
@example(text="€" * 153, chosen={}, seed=255)
@example(text="a" * 152 + "€" + "a" * 152, chosen={}, seed=0)
@example(text="я" * 66 + "😀" + "я" * 66, chosen={"reference_bits": 16}, seed=0xABCD)
def test_segments_equal_the_twin(text: str, chosen: dict[str, Any], seed: int) -> None:
    """Alphabet, tables, cuts, octets, flags and refusals are the twin's; count agrees with segment."""
    reference = reference_for(chosen, seed)
    outcome = oracle.carry(text, reference, **chosen)
    if isinstance(outcome, oracle.Carried):
        message = segment(text, reference=reference, **chosen)
        assert oracle.carried(message) == oracle.expected(outcome)
        assert oracle.broken_rules(text, message, reference, chosen) == []
        assert list(count(text, **chosen)) == [message.alphabet, message.units, len(message)]
        assert len(message) == len(message.segments)
        sar = [each.sar for each in message.segments]
        by_tlv = chosen.get("method", "udh") != "udh" and len(message) > 1
        assert sar == [
            (reference, len(message), number) if by_tlv else None for number in range(1, len(message) + 1)
        ]
        return
    for refused in (lambda: segment(text, reference=reference, **chosen), lambda: count(text, **chosen)):
        with pytest.raises(EncodingError) as caught:
            refused()
        agree(caught.value, outcome, text, chosen)


def agree(error: EncodingError, outcome: oracle.Refused, text: str, chosen: Mapping[str, Any]) -> None:
    """Assert that an error says what the twin says."""
    assert not error.retryable
    if outcome.why == "unencodable":
        assert isinstance(error, UnencodableError)
        assert error.position in outcome.positions
        assert error.character == text[error.position]
        names = [chosen["alphabet"]] if chosen.get("alphabet") else chosen.get("allow", ("gsm7", "ucs2"))
        assert error.alphabets
        assert set(error.alphabets) <= set(names)
    else:
        assert isinstance(error, TooManySegmentsError)
        assert error.exact == outcome.exact
        assert error.max_segments == chosen.get("max_segments", 10)
        assert error.segments > error.max_segments
        if outcome.exact:
            assert error.segments == outcome.segments


@MANY
@given(text=texts, chosen=options, seed=st.integers(0, 0xFFFF))
def test_what_was_sent_is_read_again(text: str, chosen: dict[str, Any], seed: int) -> None:
    """Each segment decodes to its slice, and shuffled segments join to the text."""
    chosen = chosen | {"data_codings": None}  # the carrier's own values are not for a decoder to guess
    if chosen.get("message_class") is not None and "ucs2" not in chosen.get("allow", ("ucs2",)):
        chosen.pop("message_class")
    chosen = dict(fuzz.allowed_together(chosen))
    reference = reference_for(chosen, seed)
    try:
        message = segment(text, reference=reference, **chosen)
    except EncodingError:
        return
    packed = chosen.get("packing", "unpacked") != "unpacked" and message.alphabet == "gsm7"
    for each in message.segments:
        shown = decode(
            each.user_data,
            data_coding=message.data_coding,
            esm_class=message.esm_class,
            packed=packed,
            septets=each.units if packed else None,
        )
        assert shown == each.text
    if packed or len(message) > 40:
        return
    parts = [
        Part(each.user_data, message.data_coding, message.esm_class, each.sar) for each in message.segments
    ]
    random.Random(seed).shuffle(parts)
    joined = reassemble(parts)
    assert joined.text == text
    assert joined.total == len(parts)
    assert (joined.missing, joined.duplicates, joined.conflicts, joined.foreign) == ((), (), (), ())


@FEWER
@given(text=texts, chosen=options)
def test_every_segment_ends_where_a_cluster_ends(text: str, chosen: dict[str, Any]) -> None:
    """A cut inside a grapheme cluster is there only for a cluster that no segment holds."""
    chosen = chosen | {"clusters": True}
    try:
        message = segment(text, **chosen)
    except EncodingError:
        return
    way = next(
        way
        for way in oracle.ways(**chosen)
        if (way.alphabet, way.language) == (message.alphabet, message.language)
    )
    rest = text
    for each in message.segments[:-1]:
        end = len(each.text)
        begin = 0
        for cluster in oracle.clusters_of(rest[: end + 400]):
            if begin < end < begin + len(cluster):
                assert begin == 0 or way.cost(cluster) > way.each
            begin += len(cluster)
        rest = rest[end:]


@FEWER
@given(text=texts, chosen=options, less=st.integers(0, 3))
def test_what_needs_more_than_allowed_is_refused_never_cut(
    text: str, chosen: dict[str, Any], less: int
) -> None:
    """With room for exactly what it needs a text goes out unchanged; with less it is refused."""
    try:
        needs = count(text, **chosen | {"max_segments": 255}).segments
    except EncodingError:
        return
    assert len(segment(text, **chosen | {"max_segments": needs})) == needs
    if needs - 1 - less >= 1:
        allowed = needs - 1 - less
        for call in (count, segment):
            with pytest.raises(TooManySegmentsError) as caught:
                call(text, **chosen | {"max_segments": allowed})
            assert allowed < caught.value.segments <= needs
            assert caught.value.exact == (caught.value.segments == needs) or not caught.value.exact


# ---- boundaries, one by one -------------------------------------------------------------------------------

CAPACITIES: Final[list[tuple[str, dict[str, Any], int, int]]] = [
    ("a", {}, 160, 153),
    ("a", {"reference_bits": 16}, 160, 152),
    ("я", {}, 70, 67),
    ("я", {"reference_bits": 16}, 70, 66),
    ("ÿ", {"alphabet": "latin1"}, 140, 134),
    ("a", {"alphabet": "ascii", "reference_bits": 16}, 140, 133),
    ("ş", {"languages": ("tr",), "allow": ("gsm7",)}, 155, 149),
    ("a", {"method": "sar"}, 160, 153),
    ("a", {"method": "payload"}, 160, 153),
    ("a", {"packing": "packed"}, 160, 153),
    ("a", {"packing": "packed-cr"}, 159, 152),
    ("я", {"packing": "packed-cr"}, 70, 67),
    ("a", {"elements": b"\x05\x04\x0b\x84\x23\xf0"}, 152, 146),
    ("я", {"elements": b"\x05\x04\x0b\x84\x23\xf0"}, 66, 64),
]


@pytest.mark.parametrize(("char", "chosen", "lone", "each"), CAPACITIES)
def test_capacities_of_the_standard(char: str, chosen: dict[str, Any], lone: int, each: int) -> None:
    """One segment holds `lone` characters, several hold `each`, for every kind of header."""
    for n, segments in [(lone, 1), (lone + 1, 2), (2 * each, 2), (2 * each + 1, 3), (3 * each, 3)]:
        assert count(char * n, **chosen).segments == segments, n
        assert [len(part.text) for part in segment(char * n, **chosen).segments] == (
            [n] if segments == 1 else [each] * (segments - 1) + [n - each * (segments - 1)]
        )


def test_capacities_with_language_tables() -> None:
    """Both tables 152 and 146 septets; one of them 155 and 149 (TS 23.040: 4 octets an element and UDHL)."""
    plans = encoder(allow=("gsm7",), languages=("tr", "es")).plans
    assert {plan.language: (plan.single_units, plan.segment_units) for plan in plans} == {
        "": (160, 153),
        "tr-single": (155, 149),
        "tr-locking": (155, 149),
        "tr": (152, 146),
        "es-single": (155, 149),
    }


@pytest.mark.parametrize("at", range(150, 162))
@pytest.mark.parametrize("reference_bits", [8, 16])
def test_an_escape_pair_is_never_parted(at: int, reference_bits: int) -> None:
    """A character of two septets goes whole into the next segment, wherever it stands."""
    text = "a" * at + "€" + "b" * 200
    parts = segment(text, reference_bits=reference_bits).segments  # type: ignore[arg-type]
    assert all(not part.body.endswith(b"\x1b") for part in parts)
    assert "".join(part.text for part in parts) == text
    room = 153 if reference_bits == 8 else 152
    assert parts[0].units == (room - 1 if at == room - 1 else room)


@pytest.mark.parametrize("at", range(60, 72))
@pytest.mark.parametrize("reference_bits", [8, 16])
def test_a_surrogate_pair_is_never_parted(at: int, reference_bits: int) -> None:
    """A character of two UTF-16 units goes whole into the next segment, wherever it stands."""
    text = "я" * at + "😀" + "ж" * 80
    parts = segment(text, reference_bits=reference_bits).segments  # type: ignore[arg-type]
    assert [part.body.decode("utf-16-be") for part in parts] == [part.text for part in parts]
    room = 67 if reference_bits == 8 else 66
    assert parts[0].units == (room - 1 if at == room - 1 else room)


@pytest.mark.parametrize("n", range(201))
def test_ascii_eight_at_a_time(n: int) -> None:
    """Every ASCII character at every place of a word, in texts of every length: as the twin has it."""
    chosen: dict[str, Any] = {"alphabet": "gsm7"}
    for code in range(128):
        char = chr(code)
        for at in {n - 1, n // 2, *range(min(n, 8)), *range(max(n - 8, 0), n)} if n else ():
            if at < 0:
                continue
            text = "x" * at + char + "y" * (n - at - 1)
            known = oracle.codes().get(char)
            if known is None:
                with pytest.raises(UnencodableError) as caught:
                    segment(text, **chosen)
                assert caught.value.position == at
                continue
            message = segment(text, **chosen)
            body = b"".join(part.body for part in message.segments)
            assert body == b"x" * at + known + b"y" * (n - at - 1)
            assert message.units == len(body)
            assert [part.units for part in message.segments] == cut_units(at, len(known), n)


def cut_units(at: int, cost: int, n: int) -> list[int]:
    """Return the units of the segments of n characters, one of which, at `at`, costs `cost`."""
    total = n - 1 + cost
    if total <= 160:
        return [total]
    first = 152 if cost == 2 and at == 152 else 153
    return [first, total - first]


@pytest.mark.parametrize("language", ["", *fuzz.LANGUAGES])
@pytest.mark.parametrize("kind", ["locking", "single"])
def test_every_cell_of_every_table_goes_out_and_comes_back(language: str, kind: str) -> None:
    """Each character of the 27 tables has its code, and is read through the header that names its table."""
    plain = LOCKING.get(language if kind == "locking" else "", "")
    shifted = SINGLE_SHIFT[language if kind == "single" else ""]
    if not plain or (kind == "locking" and language == "es"):
        return
    cells = {bytes([code]): char for code, char in enumerate(plain) if char != "\ufffd"}
    cells |= {bytes([0x1B, code]): char for code, char in shifted.items()}
    own = table(*((language, "") if kind == "locking" else ("", language)))
    header = b""
    if language:
        header = bytes([3, 0x25 if kind == "locking" else 0x24, 1, LANGUAGE_ID[language]])
    for code, char in cells.items():
        assert own.decode(code) == char
        assert decode(header + code, esm_class=0x40 if header else 0) == char
        assert own.cost_of(char) == len(
            oracle.codes(own_language(language, kind), own_single(language, kind))[char]
        )
    carries = "".join(cells.values())
    message = segment(carries, allow=("gsm7",), languages=(language,) if language else ())
    parts = [Part(part.user_data, 0, message.esm_class) for part in message.segments]
    assert reassemble(parts).text == carries


def own_language(language: str, kind: str) -> str:
    """Return the locking table's language."""
    return language if kind == "locking" else ""


def own_single(language: str, kind: str) -> str:
    """Return the single shift table's language."""
    return language if kind == "single" else ""


# ---- refusals ---------------------------------------------------------------------------------------------

MIXED: Final[list[tuple[str, dict[str, Any], int]]] = [
    ("ªΩЖ", {"allow": ("gsm7", "latin1")}, 2),
    ("ΩªЖ", {"allow": ("gsm7", "latin1")}, 2),
    ("ЖªΩ", {"allow": ("gsm7", "latin1")}, 0),
    ("ab\ud800", {}, 2),
    ("я\ud800\ud83d\ude00", {}, 1),
    ("a" * 170 + "Ж", {"alphabet": "gsm7"}, 170),
    ("€" * 170 + "Ж", {"alphabet": "gsm7", "languages": ("tr",)}, 170),
    ("a\x00", {"alphabet": "gsm7"}, 1),
    ("a\x80", {"alphabet": "ascii"}, 1),
    ("a\u0100", {"alphabet": "latin1"}, 1),
    ("a\U00010041", {"alphabet": "gsm7"}, 1),
    ("\uffff", {"alphabet": "gsm7"}, 0),
    ("\U0010ffff", {"alphabet": "gsm7"}, 0),
    ("a\x1b", {"alphabet": "gsm7"}, 1),
    ("a\ufffd", {"alphabet": "gsm7", "languages": fuzz.LANGUAGES}, 1),
]


@pytest.mark.parametrize(("text", "chosen", "position"), MIXED)
def test_the_character_that_no_alphabet_has_is_named(
    text: str, chosen: dict[str, Any], position: int
) -> None:
    """The error names the first character that none of the allowed alphabets carries."""
    for call in (segment, count):
        with pytest.raises(UnencodableError) as caught:
            call(text, **chosen)
        error = caught.value
        assert (error.position, error.character) == (position, text[position])
        assert f"position {position}" in str(error)
        assert f"U+{ord(text[position]):04X}" in str(error)


def test_an_error_is_true_where_each_alphabet_lacks_another_character() -> None:
    """Where some alphabet has each single character, the message does not claim that none has it."""
    with pytest.raises(UnencodableError) as caught:
        segment("Ωª", allow=("gsm7", "latin1"))
    error = caught.value
    claimed = str(error).partition(" is not in ")[2]
    for name in ("gsm7", "latin1"):
        has_it = next(oracle.ways(alphabet=name)).octets_of(error.character) is not None
        assert not (has_it and name in claimed), f"{name} has it"


@pytest.mark.parametrize("n", [1_531, 39_016, 10_000_000])
@pytest.mark.parametrize("char", ["a", "\xff", "я", "😀"])
def test_a_huge_text_is_refused_unread(char: str, n: int) -> None:
    """A text longer than any segments hold is refused by its length: no memory, no exact number."""
    text = char * n
    tracemalloc.start()
    try:
        for call in (count, segment):
            with pytest.raises(TooManySegmentsError) as caught:
                call(text)
            assert not caught.value.exact
            assert 10 < caught.value.segments <= math.ceil(n / 66) * 2
            assert "at least" in str(caught.value)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_huge_text_is_not_searched() -> None:
    """The first character of a text that is too long may be unencodable: it is not looked at."""
    with pytest.raises(TooManySegmentsError):
        count("\ud800" * 10_000, alphabet="ucs2", max_segments=1)


def test_the_longest_texts() -> None:
    """255 segments are the most, of each alphabet, with the numbers in the header right to the end."""
    for char, room in (("a", 153), ("я", 67), ("€", 76), ("😀", 33)):
        message = segment(char * (room * 255), reference=255, max_segments=255)
        assert len(message) == SEGMENTS_MAX
        assert message.segments[-1].udh == b"\x05\x00\x03\xff\xff\xff"
        with pytest.raises(TooManySegmentsError) as caught:
            segment(char * (room * 255 + 1), max_segments=255)
        assert caught.value.segments == 256


@pytest.mark.parametrize("wrong", [None, 5, b"text", bytearray(b"x"), ["a"], object()])
def test_only_a_str_is_a_text(wrong: Any) -> None:
    """Anything else is a TypeError that names the type, and for bytes the remedy."""
    for call in (segment, count, encoder().segment, encoder().count):
        with pytest.raises(TypeError, match=type(wrong).__name__) as caught:
            call(wrong)
        assert ("decode" in str(caught.value)) == isinstance(wrong, bytes | bytearray)


@pytest.mark.parametrize("reference", [-1, 256, 65_536, 1 << 31, 1 << 40, -(1 << 70)])
def test_a_reference_out_of_range_is_a_value_error(reference: int) -> None:
    """However far out: what stands in the docstring is raised."""
    with pytest.raises(ValueError, match="reference"):
        segment("x", reference=reference)
    if not 0 <= reference <= 0xFFFF:
        with pytest.raises(ValueError, match="reference"):
            segment("x", reference=reference, reference_bits=16)


def test_a_reference_is_an_int() -> None:
    """A float or a str is a TypeError."""
    for wrong in (1.5, "1", None):
        with pytest.raises(TypeError):
            segment("x", reference=wrong)  # type: ignore[arg-type]


WRONG_OPTIONS: Final[list[dict[str, Any]]] = [
    {"max_segments": 0},
    {"max_segments": 256},
    {"max_segments": 2.0},
    {"max_segments": True},
    {"alphabet": "gsm"},
    {"allow": ()},
    {"allow": "gsm7"},
    {"allow": ("gsm7", "utf8")},
    {"languages": "tr"},
    {"languages": ("xx",)},
    {"languages": ("",)},
    {"languages": ("tr",), "allow": ("ucs2",)},
    {"reference_bits": 12},
    {"reference_bits": 8.0, "max_segments": 77},
    {"method": "tlv"},
    {"method": "sar", "elements": b"\x70\x00"},
    {"method": "payload", "languages": ("tr",)},
    {"method": "payload", "packing": "packed"},
    {"packing": "zip"},
    {"message_class": 4},
    {"message_class": -1},
    {"message_class": True},
    {"message_class": 1, "allow": ("latin1",)},
    {"data_codings": {"gsm7": 256}},
    {"data_codings": {"gsm": 0}},
    {"data_codings": {"gsm7": 0, 5: 0}},
    {"elements": "abc"},
    {"elements": bytes(100)},
    {"elements": b"\x70\x61" + bytes(97)},
]


def entrances() -> list[Callable[..., object]]:
    """Return what takes options."""
    return [encoder, lambda **chosen: count("x", **chosen), lambda **chosen: segment("x", **chosen)]


@pytest.mark.parametrize("wrong", WRONG_OPTIONS, ids=str)
def test_a_wrong_option_is_a_config_error(wrong: dict[str, Any]) -> None:
    """Out of range, unknown, of the wrong type or in contradiction: ConfigError, from every entrance."""
    for call in entrances():
        with pytest.raises(ConfigError):
            call(**wrong)


MALFORMED_ELEMENTS: Final = {
    "runs over the end": b"\x05\x04\x0b",
    "no length": b"\x70",
    "a second concatenation would count instead of ours": b"\x00\x03\x01\x02\x01",
    "a second concatenation of 16 bits": b"\x08\x04\x00\x01\x02\x01",
}


@pytest.mark.parametrize("reason", MALFORMED_ELEMENTS)
def test_elements_that_would_break_the_header_are_refused(reason: str) -> None:
    """Receivers take the last concatenation and drop what runs over: such elements are a ConfigError."""
    with pytest.raises(ConfigError, match="elements"):
        encoder(elements=MALFORMED_ELEMENTS[reason])


def test_an_unknown_option_is_a_type_error() -> None:
    """As for any Python function."""
    for call in entrances():
        with pytest.raises(TypeError):
            call(max_segment=3)


# ---- values -----------------------------------------------------------------------------------------------


class Text(str):
    """A str of somebody's own."""

    __slots__ = ()


@pytest.mark.parametrize(
    "text", ["", "abc", "я" * 100, "😀" * 50, "\x00" * 3, "é" * 161, "a\uffff", "\U0010ffff"]
)
def test_a_subclass_of_str_is_a_str(text: str) -> None:
    """The same segments as for the plain text, whose slices they show."""
    own = segment(Text(text))
    assert oracle.carried(own) == oracle.carried(segment(text))
    assert list(count(Text(text))) == list(count(text))


def test_the_empty_text_is_one_empty_segment() -> None:
    """In every alphabet, with and without a header."""
    for chosen in ({}, {"alphabet": "ucs2"}, {"alphabet": "latin1"}, {"method": "payload"}):
        message = segment("", **chosen)  # type: ignore[arg-type]
        assert [part.user_data for part in message.segments] == [b""]
        assert (message.units, message.esm_class, message.message_payload) == (0, 0, None)
    headed = segment("", elements=b"\x70\x00")
    assert [part.user_data for part in headed.segments] == [b"\x02\x70\x00"]
    assert headed.esm_class == 0x40


READ_ONLY: Final[list[tuple[Callable[[], object], str]]] = [
    (
        lambda: segment("x"),
        "text segments reference units alphabet language data_coding esm_class message_payload",
    ),
    (lambda: segment("x").segments[0], "user_data units number total reference udh body text sar"),
    (lambda: count("x"), "alphabet units segments"),
    (lambda: encoder(), "plans max_segments method clusters reference_max"),
    (
        lambda: encoder().plans[0],
        "alphabet language data_coding single_units segment_units header template table packed pad_cr",
    ),
    (lambda: table(), "locking single_shift"),
]


@pytest.mark.parametrize(("made", "names"), READ_ONLY)
def test_what_is_returned_cannot_be_changed(made: Callable[[], object], names: str) -> None:
    """No attribute can be set, deleted or added; the sequences are tuples."""
    value = made()
    for name in names.split():
        before = getattr(value, name)
        with pytest.raises(AttributeError):
            setattr(value, name, None)
        with pytest.raises(AttributeError):
            delattr(value, name)
        assert getattr(value, name) == before
    with pytest.raises(AttributeError):
        value.new = 1  # type: ignore[attr-defined]


def test_no_repr_shows_the_text() -> None:
    """Secrets that went through here stay out of logs: only numbers and names are shown."""
    secret = "4821 Пароль"
    message = segment(secret)
    for value in (
        message,
        message.segments[0],
        message.segments,
        count(secret),
        encoder(),
        encoder().plans[0],
    ):
        assert "4821" not in repr(value)
        assert "Пароль" not in repr(value)
        assert type(value).__name__ in repr(value) or isinstance(value, tuple)
    with pytest.raises(TooManySegmentsError) as caught:
        segment(secret * 100)
    assert "4821" not in f"{caught.value!r} {caught.value}"


def test_equal_segments_are_equal() -> None:
    """Segments and counts compare and hash by what they hold; other types are unequal, not an error."""
    one, same, other = (segment(text, reference=3) for text in ("я" * 80, "я" * 80, "я" * 81))
    assert one.segments == same.segments
    assert hash(one.segments) == hash(same.segments)
    assert one.segments[0] != one.segments[1]
    assert one.segments[1] != other.segments[1]
    assert one.segments[0] != segment("я" * 80, reference=4).segments[0]
    of_three: list[Any] = [count("abc"), count("abd"), ("gsm7", 3, 1)]
    assert of_three[0] == of_three[1] == of_three[2]
    others: list[Any] = [count("abcd"), ["gsm7", 3, 1], b"", None]
    assert all(of_three[0] != other and one.segments[0] != other for other in others)
    assert hash(count("abc")) == hash(("gsm7", 3, 1))
    alphabet, units, segments = count("яя")
    assert (alphabet, units, segments) == ("ucs2", 2, 1)


EMPTY: Final = {
    "Segment": "Segment.__new__(Segment)",
    "Segmented": "Segmented.__new__(Segmented)",
    "Count": "Count.__new__(Count)",
}


@pytest.mark.parametrize("name", EMPTY)
def test_an_object_made_by_hand_does_not_end_the_process(name: str) -> None:
    """The classes are public: whoever instantiates one gets an exception or a value, never a crash."""
    made = (
        "import contextlib\n"
        "from dispatcher.encoding import Count, Segment, Segmented\n"
        "with contextlib.suppress(TypeError, ValueError):\n"
        f"    made = {EMPTY[name]}\n"
        "    for name in [*dir(made)]:\n"
        "        if not name.startswith('__'):\n"
        "            with contextlib.suppress(TypeError, ValueError, AttributeError): getattr(made, name)\n"
        "    for call in (repr, hash, len, list, lambda x: x == x):\n"
        "        with contextlib.suppress(TypeError, ValueError, AttributeError): call(made)\n"
    )
    assert run_python(made) == 0


def test_an_encoder_made_by_hand_does_not_end_the_process() -> None:
    """Encoder and Plan take None for nothing: an exception, never a crash."""
    made = (
        "import contextlib\n"
        "from dispatcher.encoding import Encoder, Plan, encoder\n"
        "with contextlib.suppress(TypeError, ValueError, AttributeError):\n"
        "    Encoder((None,), max_segments=1, method='udh', clusters=True, reference_max=255).count('abc')\n"
        "with contextlib.suppress(TypeError, ValueError, AttributeError):\n"
        "    plan = Plan('ucs2', form=2, data_coding=8, single_units=70, segment_units=67, header=None,\n"
        "                template=None, reference_octets=1)\n"
        "    made = Encoder((plan,), max_segments=9, method='udh', clusters=True, reference_max=255)\n"
        "    made.segment('я' * 99)\n"
    )
    assert run_python(made) == 0


def run_python(code: str) -> int:
    """Return how a process of its own ends that runs the code."""
    import os
    import subprocess

    from tests.conftest import ROOT

    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False
    ).returncode


# ---- memory -----------------------------------------------------------------------------------------------


def calls() -> list[Callable[..., object]]:
    """Return the two functions, untyped."""
    return [segment, count]


def good() -> None:
    """Use everything that a message has."""
    message = segment("я" * 100, method="payload")
    _ = [(part.text, part.udh, part.body, part.sar, repr(part), hash(part)) for part in message.segments]
    _ = message.message_payload, repr(message), len(message)
    _ = segment("a" * 200, packing="packed-cr", elements=b"\x70\x00").segments
    _ = list(count("abc"))


def refused() -> None:
    """Take every way out that raises."""
    cases: list[tuple[Any, dict[str, Any]]] = [
        ("\ud800", {}),
        ("я" * 2000, {}),
        ("я" * 1000, {}),
        (b"x", {}),
        ("Ж", {"alphabet": "gsm7"}),
    ]
    for text, chosen in cases:
        for call in calls():
            with pytest.raises((EncodingError, TypeError)):
                call(text, **chosen)
    with pytest.raises(ValueError):
        segment("x", reference=999)


@pytest.mark.parametrize("use", [good, refused])
def test_nothing_leaks(use: Callable[[], None]) -> None:
    """After many calls no object and no memory is left over, whether they return or raise."""
    for _ in range(20):
        use()
    gc.collect()
    objects = len(gc.get_objects())
    tracemalloc.start()
    try:
        use()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(200):
            use()
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 20_000
    finally:
        tracemalloc.stop()
    assert abs(len(gc.get_objects()) - objects) < 50


def test_references_to_the_text_are_counted() -> None:
    """A message and its segments hold the text; nothing holds it when they are gone, nor after a refusal."""
    text = "".join(["я"] * 100)
    before = sys.getrefcount(text)
    message = segment(text)
    assert sys.getrefcount(text) == before + 1 + len(message)
    part = message.segments[0]
    del message
    assert sys.getrefcount(text) == before + 1
    assert part.text == "я" * 67
    del part
    assert sys.getrefcount(text) == before
    for call in (count, segment):
        with pytest.raises(TooManySegmentsError):
            call(text, max_segments=1)
    assert sys.getrefcount(text) == before


def test_the_classes_are_the_public_ones() -> None:
    """What comes back has the types that the package names."""
    message = segment("x")
    made: list[tuple[object, type]] = [
        (message, Segmented),
        (message.segments[0], Segment),
        (count("x"), Count),
        (encoder(), Encoder),
        (encoder().plans[0], Plan),
    ]
    assert all(type(value) is known for value, known in made)
