"""Many texts in one call: counts in numpy arrays, segments in one buffer with offsets.

Texts come as a sequence of str, or as `TextBuffer`: UTF-8 in one buffer with offsets, the layout of an Apache
Arrow string column. No Python object is made per segment. A text that cannot be sent costs only itself: its
`status` says why, its neighbours go on; `segment(text)` on that one raises the error in words.

numpy is imported by the first call, not by importing this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Unpack

from dispatcher._ext.batch import STATUS, Source, StrSource, Utf8Source, count_into, segment_into
from dispatcher.encoding.options import Options, encoder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Buffer

    from dispatcher._ext.segment import Encoder, Plan

OK = STATUS.index("ok")
TOO_MANY_SEGMENTS = STATUS.index("too_many_segments")
UNENCODABLE = STATUS.index("unencodable")
NOT_TEXT = STATUS.index("not_text")


class TextBuffer(NamedTuple):
    """Text i is `data[offsets[i]:offsets[i + 1]]`, in UTF-8.

    `offsets` holds int32 or int64 (a numpy array, an array.array, a memoryview), one more than there are
    texts. Of a pyarrow string array without nulls, `_, offsets, data = column.buffers()` gives both: pass
    ``np.frombuffer(offsets, np.int32)`` and ``data``.
    """

    offsets: Buffer | NDArray[np.int32] | NDArray[np.int64]
    data: Buffer | NDArray[np.uint8]

    def __repr__(self) -> str:
        return "<TextBuffer>"


class CountBatch(NamedTuple):
    """One item a text; 0 segments where it was refused."""

    plan: NDArray[np.uint8]
    """Index into `plans`; 255 where refused."""
    units: NDArray[np.int32]
    segments: NDArray[np.int16]
    status: NDArray[np.uint8]
    """OK, TOO_MANY_SEGMENTS, UNENCODABLE or NOT_TEXT (no str, no valid UTF-8); `STATUS` has their names."""
    detail: NDArray[np.int32]
    """Where refused: the segments it would need, or the position of the character that does not fit."""
    plans: tuple[Plan, ...]
    """What `plan` points at: alphabet, language and data_coding."""

    @property
    def alphabet(self) -> NDArray[np.str_]:
        """The alphabet of each text, "" where it was refused."""
        import numpy as np

        names = np.array([plan.alphabet for plan in self.plans] + [""])
        return names[np.minimum(self.plan, len(self.plans))]

    @property
    def data_coding(self) -> NDArray[np.uint8]:
        """The PDU field of each text, 0 where it was refused."""
        import numpy as np

        codings = np.array([plan.data_coding for plan in self.plans] + [0], np.uint8)
        return codings[np.minimum(self.plan, len(self.plans))]


class SegmentBatch(NamedTuple):
    """The segments of all texts, one behind the other; those of text i are firsts[i] to firsts[i + 1]."""

    counts: CountBatch
    user_data: NDArray[np.uint8]
    """Finished user data of all segments, headers included."""
    offsets: NDArray[np.int64]
    """Segment s is user_data[offsets[s]:offsets[s + 1]]; one more than there are segments."""
    text_ends: NDArray[np.int32]
    """Where the segment's slice of its text ends, in characters; it begins where the one before ended."""
    units: NDArray[np.int16]
    """Units of each segment."""
    firsts: NDArray[np.int64]
    """The first segment of each text; one more than there are texts. A refused text has no segments."""
    header_octets: NDArray[np.uint8]
    """Octets of the user data header in each segment of a text."""
    esm_class: NDArray[np.uint8]
    """The PDU field of each text."""

    def user_data_of(self, text: int) -> list[bytes]:
        """Return the segments of one text as bytes: for looking at, not for speed."""
        first, last = int(self.firsts[text]), int(self.firsts[text + 1])
        octets = self.user_data.data
        return [bytes(octets[self.offsets[at] : self.offsets[at + 1]]) for at in range(first, last)]


def count_batch(texts: Sequence[str] | TextBuffer, **options: Unpack[Options]) -> CountBatch:
    """Return alphabet, units and segments of every text, as `count` would.

    TypeError: `texts` is one str, or no sequence. ValueError: offsets that do not ascend or point outside the
    data. ConfigError: an option (see `encoder`).
    """
    source = _source(texts)
    compiled = encoder(**options)
    counts = _counts(source, compiled)
    count_into(compiled, source, counts[:5])
    return counts


def segment_batch(
    texts: Sequence[str] | TextBuffer,
    *,
    references: Sequence[int] | NDArray[np.uint16] | None = None,
    **options: Unpack[Options],
) -> SegmentBatch:
    """Return the finished segments of every text, as `segment` would.

    `references` are the concatenation references, one a text; without them all are 0. With the method
    "payload" the segments' user data joined is the message_payload. Slices of some 10,000 texts are fastest:
    what they become still fits the processor's cache.

    TypeError, ValueError, ConfigError: as `count_batch`; ValueError also for a reference out of range.
    """
    import numpy as np

    source = _source(texts)
    compiled = encoder(**options)
    counts = _counts(source, compiled)
    numbers = None if references is None else _references(references, len(source), compiled)
    stores = segment_into(compiled, source, counts[:5], numbers)
    types = (np.uint8, np.int64, np.int32, np.int16, np.int64, np.uint8, np.uint8)
    return SegmentBatch(counts, *map(np.frombuffer, stores, types))


def _source(texts: Sequence[str] | TextBuffer) -> Source:
    if isinstance(texts, TextBuffer):
        return Utf8Source(texts.offsets, texts.data)
    return StrSource(texts)


def _counts(source: Source, compiled: Encoder) -> CountBatch:
    import numpy as np

    n = len(source)
    return CountBatch(
        np.empty(n, np.uint8),
        np.empty(n, np.int32),
        np.empty(n, np.int16),
        np.empty(n, np.uint8),
        np.empty(n, np.int32),
        compiled.plans,
    )


def _references(
    references: Sequence[int] | NDArray[np.uint16], n: int, compiled: Encoder
) -> NDArray[np.uint16]:
    import numpy as np

    given = np.asarray(references)
    if given.shape != (n,):
        raise ValueError(f"references are one a text: {n}, not {given.shape}")
    if n and given.dtype.kind not in "iuO":  # O: whole numbers too large for any column, or no numbers
        raise TypeError(f"references are whole numbers, not {given.dtype}")
    if n and not 0 <= given.min() <= given.max() <= compiled.reference_max:
        raise ValueError(f"references are 0 to {compiled.reference_max}, not {given.min()} to {given.max()}")
    return given.astype(np.uint16)
