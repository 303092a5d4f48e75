"""Segments back to one text, in whatever order and company they arrive.

A pure function over the parts at hand: who keeps parts, for how long and by which sender, is the caller's
business. Parts are joined before they are decoded, so that a pair that some other sender cut in two is whole
again.
"""

from collections.abc import Iterable
from typing import NamedTuple

from dispatcher._ext.segment import Segmented
from dispatcher.encoding.decode import UDHI, Received, alphabet_of, body_octets, text_of
from dispatcher.encoding.udh import UserDataHeader, split_header
from dispatcher.limits import SEGMENTS_MAX


class Part(NamedTuple):
    """One received short message. A header says where it belongs, or the three SAR values do."""

    user_data: bytes
    data_coding: int = 0
    esm_class: int = UDHI
    sar: tuple[int, int, int] | None = None
    """sar_msg_ref_num, sar_total_segments, sar_segment_seqnum."""

    def __repr__(self) -> str:
        return f"<Part of {len(self.user_data)} octets, data_coding 0x{self.data_coding:02x}>"


class Reassembled(NamedTuple):
    """What came of the parts; indexes count the parts as given, from 0."""

    text: str | None
    """The whole text; None while a segment is missing."""
    reference: int | None
    total: int
    """Segments of the message; 0 where there were no parts."""
    missing: tuple[int, ...]
    """Numbers of the segments that did not come, from 1."""
    duplicates: tuple[int, ...]
    """Indexes of parts that repeat an earlier one."""
    conflicts: tuple[int, ...]
    """Indexes of parts with the number of an earlier one but other content: the earlier one was used."""
    foreign: tuple[int, ...]
    """Indexes of parts of another message, or of none."""

    def __repr__(self) -> str:
        state = f"{len(self.missing)} missing" if self.text is None else f"{len(self.text)} characters"
        return f"<Reassembled of {self.total}: {state}>"


class _Piece(NamedTuple):
    key: tuple[int, int, int]  # reference, total, reference bits; SAR has a reference space of its own
    number: int
    header: UserDataHeader | None
    alphabet: Received
    body: bytes


def reassemble(
    parts: Iterable[Part | bytes] | Segmented,
    *,
    default: Received = "gsm7",
    packed: bool = False,
    strip_cr: bool = False,
) -> Reassembled:
    """Return the message that the first part belongs to, and what was wrong with the rest.

    bytes stand for ``Part(user_data)``: GSM 7-bit with a header; of others say the data_coding. What
    `segment` made can be given as it is. `default`, `packed` and `strip_cr` are as in `decode`.
    A part that says nothing of other segments is a message of its own. Nothing here raises on any content.
    """
    if isinstance(parts, Segmented):
        coding, esm_class = parts.data_coding, parts.esm_class
        parts = [Part(each.user_data, coding, esm_class, each.sar) for each in parts.segments]
    pieces = [
        _piece(Part(part) if isinstance(part, bytes) else part, default, packed, strip_cr) for part in parts
    ]
    if not pieces:
        return Reassembled(None, None, 0, (), (), (), ())
    key = pieces[0].key
    reference, total, _ = key
    kept: dict[int, _Piece] = {}
    duplicates, conflicts, foreign = [], [], []
    for index, piece in enumerate(pieces):
        if piece.key != key or (key == _ALONE and index):
            foreign.append(index)
        elif piece.number not in kept:
            kept[piece.number] = piece
        elif kept[piece.number][3:] == piece[3:]:
            duplicates.append(index)
        else:
            conflicts.append(index)
    missing = tuple(number for number in range(1, total + 1) if number not in kept)
    text = None if missing else _join([kept[number] for number in range(1, total + 1)])
    return Reassembled(
        text,
        None if key == _ALONE else reference,
        total,
        missing,
        tuple(duplicates),
        tuple(conflicts),
        tuple(foreign),
    )


_ALONE = (0, 1, 0)
_SAR_BITS = -16


def _piece(part: Part, default: Received, packed: bool, strip_cr: bool) -> _Piece:
    header, body = split_header(part.user_data) if part.esm_class & UDHI else (None, part.user_data)
    alphabet = alphabet_of(part.data_coding, default)
    octets = body_octets(header, body, packed and alphabet == "gsm7", strip_cr=strip_cr)
    concatenation = header.concatenation if header else None
    if concatenation is not None:
        key = (concatenation.reference, concatenation.total, concatenation.reference_bits)
        return _Piece(key, concatenation.number, header, alphabet, octets)
    if part.sar is not None and 1 <= part.sar[2] <= part.sar[1] <= SEGMENTS_MAX:
        return _Piece((part.sar[0], part.sar[1], _SAR_BITS), part.sar[2], header, alphabet, octets)
    return _Piece(_ALONE, 1, header, alphabet, octets)


def _join(pieces: list[_Piece]) -> str:
    """Decode runs of pieces in the same alphabet and tables as one."""
    texts: list[str] = []
    run: list[_Piece] = []
    for piece in pieces:
        if run and (piece.alphabet, _tables(piece)) != (run[0].alphabet, _tables(run[0])):
            texts.append(text_of(b"".join(each.body for each in run), run[0].alphabet, run[0].header))
            run = []
        run.append(piece)
    texts.append(text_of(b"".join(each.body for each in run), run[0].alphabet, run[0].header))
    return "".join(texts)


def _tables(piece: _Piece) -> tuple[int, int]:
    return (piece.header.locking_shift, piece.header.single_shift) if piece.header else (0, 0)
