"""Many texts at once: what `segment` and `count` say of each, from str and from UTF-8, and nothing unsafe."""

import array
import gc
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dispatcher._ext import batch as compiled
from dispatcher.encoding import (
    CountBatch,
    SegmentBatch,
    TextBuffer,
    TooManySegmentsError,
    UnencodableError,
    count,
    count_batch,
    encoder,
    segment,
    segment_batch,
)
from dispatcher.encoding.batch import NOT_TEXT, OK, TOO_MANY_SEGMENTS, UNENCODABLE
from tests.conftest import ROOT
from tests.ext.test_segment import options, texts

MANY: Final = settings(max_examples=300, deadline=None, print_blob=True)

not_texts = st.sampled_from([None, 5, b"abc", bytearray(b"x"), 1.5, ("a",)])
lists = st.lists(texts, max_size=6) | st.lists(texts | not_texts, max_size=6)


def utf8(items: Sequence[bytes], width: str = "i", gap: bytes = b"") -> TextBuffer:
    """Return octets as a TextBuffer with offsets of 4 (i) or 8 (q) octets, after a gap."""
    offsets = array.array(width, [len(gap)])
    for item in items:
        offsets.append(offsets[-1] + len(item))
    return TextBuffer(offsets, gap + b"".join(items))


def says(status: int, detail: int, text: Any, chosen: dict[str, Any]) -> None:
    """Assert that `segment` on the text alone says in words what the status says in a number."""
    if status == OK:
        assert detail == 0
        return
    with pytest.raises((TypeError, ValueError)) as caught:
        segment(text, **chosen)
    error = caught.value
    if isinstance(error, UnencodableError):
        assert (status, detail) == (UNENCODABLE, error.position)
    elif isinstance(error, TooManySegmentsError):
        assert (status, detail) == (TOO_MANY_SEGMENTS, error.segments)
    else:
        assert (status, detail) == (NOT_TEXT, 0)


def compare_counts(counts: CountBatch, items: Sequence[Any], chosen: dict[str, Any]) -> None:
    """Assert that every row is what `count` says."""
    for at, text in enumerate(items):
        says(int(counts.status[at]), int(counts.detail[at]), text, chosen)
        row = [str(counts.alphabet[at]), int(counts.units[at]), int(counts.segments[at])]
        if counts.status[at] == OK:
            assert row == list(count(text, **chosen))
            message = segment(text, **chosen)
            plan = counts.plans[int(counts.plan[at])]
            assert (plan.alphabet, plan.language) == (message.alphabet, message.language)
            assert counts.data_coding[at] == message.data_coding
        else:
            assert row == ["", 0, 0]
            assert counts.plan[at] == 255
            assert counts.data_coding[at] == 0


def compare_segments(
    batch: SegmentBatch, items: Sequence[Any], references: Sequence[int], chosen: dict[str, Any]
) -> None:
    """Assert that every segment is what `segment` makes."""
    assert batch.firsts[0] == 0
    assert batch.offsets[0] == 0
    assert len(batch.firsts) == len(items) + 1
    assert len(batch.offsets) == len(batch.units) + 1 == len(batch.text_ends) + 1 == batch.firsts[-1] + 1
    assert len(batch.user_data) == batch.offsets[-1]
    for at, text in enumerate(items):
        first, last = int(batch.firsts[at]), int(batch.firsts[at + 1])
        if batch.counts.status[at] != OK:
            assert first == last
            assert batch.user_data_of(at) == []
            assert (batch.header_octets[at], batch.esm_class[at]) == (0, 0)
            continue
        message = segment(text, reference=references[at], **chosen)
        assert batch.user_data_of(at) == [part.user_data for part in message.segments]
        assert batch.units[first:last].tolist() == [part.units for part in message.segments]
        assert batch.esm_class[at] == message.esm_class
        assert batch.header_octets[at] == len(message.segments[0].udh)
        begin = 0
        for end, part in zip(batch.text_ends[first:last].tolist(), message.segments, strict=True):
            assert text[begin:end] == part.text
            begin = end


@MANY
@given(items=lists, chosen=options)
@example(["a" * 200 + "Ω", "я", ""], {"allow": ("gsm7", "latin1")})
@example([], {})
@example([None, b"x"], {})
def test_counts_of_str(items: list[Any], chosen: dict[str, Any]) -> None:
    """Each row is what `count` says of that text; what is no str costs only itself."""
    compare_counts(count_batch(items, **chosen), items, chosen)
    compare_counts(count_batch(tuple(items), **chosen), items, chosen)


@MANY
@given(items=lists, chosen=options, seed=st.integers(0, 0xFFFF), numbered=st.booleans())
@example(["a" * 200 + "Ω", "я" * 90, ""], {"allow": ("gsm7", "latin1")}, 3, True)
@example([], {}, 0, True)
@example([None, b"x"], {}, 0, True)
def test_segments_of_str(items: list[Any], chosen: dict[str, Any], seed: int, numbered: bool) -> None:
    """Each segment is what `segment` makes of that text, with the text's own reference."""
    most = 1 << chosen.get("reference_bits", 8)
    references = [(seed + at) % most if numbered else 0 for at in range(len(items))]
    batch = segment_batch(items, references=references if numbered else None, **chosen)
    compare_segments(batch, items, references, chosen)
    compare_counts(batch.counts, items, chosen)


def is_utf8(octets: bytes) -> bool:
    """Whether octets are valid UTF-8."""
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


@MANY
@given(
    items=st.lists(texts | st.binary(max_size=30), max_size=6),
    chosen=options,
    width=st.sampled_from("iq"),
    gap=st.sampled_from([b"", b"\xff", b"abc"]),
)
@example(["я", b"\xc0\x80", "😀" * 50], {}, "q", b"")
def test_utf8_equals_str(items: list[Any], chosen: dict[str, Any], width: str, gap: bytes) -> None:
    """UTF-8 with offsets of either width gives the columns of the same texts as str; invalid is no text.

    But where a text is too long whatever it says: then nobody looks whether it is valid.
    """
    octets = [item if isinstance(item, bytes) else item.encode("utf-8", "surrogatepass") for item in items]
    plain: list[Any] = []
    for at, each in enumerate(octets):
        try:
            plain.append(each.decode("utf-8"))
        except UnicodeDecodeError:
            octets[at] = each[:60]  # short enough for any options
            plain.append(None if not is_utf8(each[:60]) else each[:60].decode("utf-8"))
    theirs = segment_batch(plain, **chosen)
    mine = segment_batch(utf8(octets, width, gap), **chosen)
    counts = count_batch(utf8(octets, width, gap), **chosen)
    assert all_columns(mine.counts[:5]) == all_columns(counts[:5]) == all_columns(theirs.counts[:5])
    assert all_columns(mine[1:]) == all_columns(theirs[1:])


def all_columns(arrays: Sequence[Any]) -> list[list[int]]:
    """Return the columns as lists."""
    return [each.tolist() for each in arrays]


# ---- UTF-8 ------------------------------------------------------------------------------------------------


def valid_utf8(octets: bytes) -> bool:
    """Tell whether Python decodes it."""
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize(
    "around", [(b"", b""), (b"a" * 9, b"a"), ("я".encode(), b""), ("😀".encode(), "я".encode())]
)
def test_invalid_utf8_is_what_python_calls_invalid(around: tuple[bytes, bytes]) -> None:
    """Every lead octet with followers at the edges: overlong, surrogates, beyond U+10FFFF, truncated."""
    edges = [b"", *(bytes([octet]) for octet in (0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF))]
    tails = {
        a + b + c
        for a in edges
        for b in (b"", b"\x80", b"\xbf", b"a")
        for c in (b"", b"\x80", b"\xbf", b"\xc0")
    }
    items = [around[0] + bytes([lead]) + tail + around[1] for lead in range(256) for tail in sorted(tails)]
    status = count_batch(utf8(items), alphabet="ucs2").status.tolist()
    assert [each == OK for each in status] == [valid_utf8(item) for item in items]


def test_every_character_survives_utf8() -> None:
    """Each code point but surrogates, as UCS-2, is that of the str."""
    codes = [*range(0xD800), *range(0xE000, 0x11000), *range(0x11000, 0x110000, 251), 0x10FFFF]
    rows = ["".join(map(chr, codes[at : at + 30])) for at in range(0, len(codes), 30)]
    batch = segment_batch(utf8([row.encode() for row in rows]), alphabet="ucs2", clusters=False)
    assert batch.user_data.tobytes() == "".join(rows).encode("utf-16-be")


def test_scratch_grows_and_shrinks() -> None:
    """Long and short texts of all widths in turn do not see each other's characters."""
    rows = ["я" * 5, "😀" * 600, "x", "я" * 1200, "é" * 3, "", "😀я", "a" * 900]
    batch = segment_batch(utf8([row.encode() for row in rows]), max_segments=255)
    compare_segments(batch, rows, [0] * len(rows), {"max_segments": 255})


# ---- wrong input ------------------------------------------------------------------------------------------

BAD_OFFSETS: Final[dict[str, Any]] = {
    "none": array.array("i"),
    "descending": array.array("i", [0, 3, 2]),
    "negative": array.array("i", [-1, 3]),
    "negative inside": array.array("q", [0, -5, 3]),
    "beyond the data": array.array("i", [0, 7]),
    "beyond any data": array.array("q", [0, 1 << 62]),
    "beyond inside": array.array("q", [0, 1 << 40, 3]),
    "int16": array.array("h", [0, 3]),
    "uint32": array.array("I", [0, 3]),
    "uint64": array.array("Q", [0, 3]),
    "float": array.array("d", [0, 3]),
    "float32": array.array("f", [0, 3]),
    "bytes": bytes(8),
    "big-endian": np.array([0, 3], ">i4"),
    "bool": np.array([False, True]),
}


@pytest.mark.parametrize("name", BAD_OFFSETS)
def test_bad_offsets_are_a_value_error(name: str) -> None:
    """They do not ascend, point outside, or are of another type."""
    for call in (count_batch, segment_batch):
        with pytest.raises(ValueError, match="offsets"):
            call(TextBuffer(BAD_OFFSETS[name], b"abcdef"))


@pytest.mark.parametrize("wrong", [None, 5, "abc", [0, 3]])
def test_a_buffer_is_needed(wrong: Any) -> None:
    """What has no buffer is a TypeError, for either part."""
    for buffer in (TextBuffer(wrong, b"abc"), TextBuffer(array.array("i", [0, 3]), wrong)):
        with pytest.raises(TypeError):
            count_batch(buffer)


def test_scattered_buffers_are_refused() -> None:
    """Memory that is not contiguous cannot be read in place."""
    with pytest.raises((ValueError, BufferError)):
        count_batch(TextBuffer(memoryview(array.array("i", range(8)))[::2], b"abcdefgh"))
    with pytest.raises((ValueError, BufferError)):
        count_batch(TextBuffer(array.array("i", [0, 3]), memoryview(b"abcdefgh")[::2]))


@pytest.mark.parametrize("wrong", ["abc", b"abc", 5, None])
def test_one_text_is_not_a_sequence_of_texts(wrong: Any) -> None:
    """A str would be taken for its characters: TypeError."""
    for call in (count_batch, segment_batch):
        with pytest.raises(TypeError, match="texts is a sequence of str"):
            call(wrong)


def test_any_iterable_will_do() -> None:
    """A generator, a set, a dict, an array of objects."""
    for source in ((text for text in ["я"]), {"я"}, {"я": 1}, np.array(["я"], object)):
        assert count_batch(source).units.tolist() == [1]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "references", [[256, 0], [-1, 0], [0, 1 << 16], [0], [0, 0, 0], [[0, 0]], 5, [1 << 70, 0]]
)
def test_references_out_of_range_are_a_value_error(references: Any) -> None:
    """One a text, 0 to 255: anything else is refused before anything is written."""
    with pytest.raises((ValueError, OverflowError), match=r"references|int too"):
        segment_batch(["a", "b"], references=references)
    with pytest.raises(ValueError, match="references"):
        segment_batch(["a"], references=[1 << 16], reference_bits=16)


def test_references_are_whole_numbers() -> None:
    """A float would lose its fraction unseen."""
    with pytest.raises((TypeError, ValueError)):
        segment_batch(["a" * 200], references=[1.7])  # type: ignore[list-item]


@pytest.mark.parametrize(
    "references", [[7, 250], (7, 250), np.array([7, 250], np.uint8), np.array([7, 250], np.int64)]
)
def test_references_of_any_integers(references: Any) -> None:
    """A list, a tuple, an array of any width."""
    batch = segment_batch(["a" * 200, "я" * 90], references=references)
    assert [batch.user_data_of(at)[0][3] for at in (0, 1)] == [7, 250]


def columns(n: int) -> tuple[Any, ...]:
    """Return five columns for n texts."""
    return tuple(np.zeros(n, kind) for kind in (np.uint8, np.int32, np.int16, np.uint8, np.int32))


@pytest.mark.parametrize("at", range(5))
def test_a_column_that_is_too_short_or_too_narrow_is_refused(at: int) -> None:
    """The compiled functions check what they write to."""
    source = compiled.StrSource(["a", "b", "c"])
    for wrong in (columns(2)[at], np.zeros(3, np.int64), b"abcabcabcabc", None):
        given_columns = list(columns(3))
        given_columns[at] = wrong
        for call in (compiled.count_into, compiled.segment_into):
            with pytest.raises((ValueError, BufferError, TypeError)):
                call(encoder(), source, tuple(given_columns))
    with pytest.raises(TypeError):
        compiled.count_into(encoder(), source, columns(3)[:4])
    with pytest.raises(ValueError):
        compiled.segment_into(encoder(), source, columns(3), np.zeros(2, np.uint16))
    with pytest.raises(ValueError, match=r"references\[1\]"):
        compiled.segment_into(encoder(), source, columns(3), np.array([0, 256, 0], np.uint16))


def test_a_source_is_one_of_two() -> None:
    """The base class has no texts."""
    assert len(compiled.Source()) == 0
    compiled.count_into(encoder(), compiled.Source(), columns(0))


CHANGED: Final = {
    "a list that shrank": (
        "texts = ['я' * 50 for _ in range(5000)]\n"
        "source = batch.StrSource(texts)\n"
        "texts.clear()\n"
        "junk = [object() for _ in range(5000)]\n"
    ),
    "offsets that grew": (
        "offsets = np.arange(5001, dtype=np.int64)\n"
        "source = batch.Utf8Source(offsets, bytes(5000))\n"
        "offsets[1:] += 1 << 44\n"
    ),
    "offsets below zero": (
        "offsets = np.arange(5001, dtype=np.int64)\n"
        "source = batch.Utf8Source(offsets, bytes(5000))\n"
        "offsets[:] = -(1 << 44)\n"
    ),
    "offsets that descend": (
        "offsets = np.arange(5001, dtype=np.int32)\n"
        "source = batch.Utf8Source(offsets, bytes(5000))\n"
        "offsets[1::2] = 0\n"
    ),
}


@pytest.mark.parametrize("what", CHANGED)
def test_a_source_that_changed_does_not_end_the_process(what: str) -> None:
    """Another thread may touch what was handed in: then it is no text, or an error, never a crash."""
    code = (
        "import numpy as np\n"
        "from dispatcher._ext import batch\n"
        "from dispatcher.encoding import encoder\n"
        f"{CHANGED[what]}"
        "kinds = np.uint8, np.int32, np.int16, np.uint8, np.int32\n"
        "for call in (batch.count_into, batch.segment_into):\n"
        "    try: call(encoder(), source, tuple(np.zeros(5000, kind) for kind in kinds))\n"
        "    except (ValueError, RuntimeError): pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False
    )
    assert done.returncode == 0


def test_many_language_names_do_not_overflow_the_plan_column() -> None:
    """The index of a plan has one octet: repeated names must not wrap it round."""
    counts = count_batch(["º" * 100], languages=("tr",) * 85 + ("pt",))
    assert counts.status[0] == OK
    assert (
        counts.plans[int(counts.plan[0])].language
        == segment("º" * 100, languages=("tr",) * 85 + ("pt",)).language
    )


def test_a_huge_utf8_text_is_refused_without_a_copy() -> None:
    """Its length alone says that it is too long: no scratch is taken for it, valid or not."""
    for tail in (b"", b"\xff"):
        data = "я".encode() * 4_000_000 + tail
        tracemalloc.start()
        try:
            counts = count_batch(utf8([b"hi", data], "q", b""))
            assert tracemalloc.get_traced_memory()[1] < 40_000_000  # the buffer of the test itself
        finally:
            tracemalloc.stop()
        assert counts.status.tolist() == [OK, TOO_MANY_SEGMENTS]
        assert counts.detail[1] > 10


# ---- size and memory --------------------------------------------------------------------------------------


def test_a_huge_text_costs_no_copy() -> None:
    """Ten million characters as str are refused unread, their neighbours go on."""
    texts_given = ["a", "я" * 10_000_000, "b"]
    segment_batch(texts_given)
    tracemalloc.start()
    try:
        batch = segment_batch(texts_given)
        assert batch.counts.status.tolist() == [OK, TOO_MANY_SEGMENTS, OK]
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


def test_the_largest_messages() -> None:
    """Several of 255 segments: the buffers grow as they must."""
    items = ["a" * (153 * 255), "я" * (67 * 255), "€" * (76 * 255), "a" * (153 * 255 + 1)] * 3
    batch = segment_batch(items, references=list(range(12)), max_segments=255)
    compare_segments(batch, items, list(range(12)), {"max_segments": 255})
    assert batch.counts.detail[3] == 256


def test_nothing_leaks() -> None:
    """No object, memory or reference is left over, whether a batch succeeds or is refused."""
    text = "".join(["я"] * 100)
    items = [text, None, "a" * 2000, "\ud800", text]
    octets = utf8([b"abc", "я".encode(), b"\xff", "😀".encode() * 300])
    references = sys.getrefcount(text)

    def use() -> None:
        segment_batch(items, references=[1, 2, 3, 4, 5])  # type: ignore[arg-type]
        count_batch(items)  # type: ignore[arg-type]
        segment_batch(octets, max_segments=255)
        for wrong, numbers in (
            (items, [1]),
            (items, [999] * 5),
            (TextBuffer(array.array("i", [5, 3]), b""), None),
        ):
            with pytest.raises(ValueError):
                segment_batch(wrong, references=numbers)  # type: ignore[arg-type]
        with pytest.raises(ValueError):
            compiled.segment_into(
                encoder(), compiled.StrSource(["a"]), columns(1), np.array([999], np.uint16)
            )

    for _ in range(10):
        use()
    gc.collect()
    objects = len(gc.get_objects())
    tracemalloc.start()
    try:
        use()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(100):
            use()
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 20_000
    finally:
        tracemalloc.stop()
    assert sys.getrefcount(text) == references
    assert abs(len(gc.get_objects()) - objects) < 50


def test_buffers_are_given_back() -> None:
    """After the call an array can be resized again, also after a refusal."""
    offsets, data = array.array("i", [0, 3]), bytearray(b"abc")
    count_batch(TextBuffer(offsets, data))
    segment_batch(TextBuffer(offsets, data))
    bad = array.array("i", [5, 3])
    with pytest.raises(ValueError):
        count_batch(TextBuffer(bad, data))
    bad.append(1)
    offsets.append(3)
    data += b"d"
    batch = segment_batch(TextBuffer(offsets, data))
    data += b"e"
    assert [batch.user_data_of(at) for at in (0, 1)] == [[b"abc"], [b""]]
