"""The encoder library: exact SMS encoding and segmentation, embeddable on its own.

    >>> from dispatcher.encoding import segment
    >>> message = segment("Ваш код 4821")
    >>> message.alphabet, message.units, message.data_coding
    ('ucs2', 12, 8)
    >>> message.segments[0].user_data[:6].hex(" ", 2)
    '0412 0430 0448'

Importing it loads no event loop, no HTTP, no Kafka, no store, and numpy only when a batch form is called.

The room, in reading order: tables (the standard's data), options (what may be asked, compiled into plans),
then ext/segment.pyx (cut and write); explain, replace and transliterate (why a text costs what it costs, and
what would make it cheaper); udh, decode, reassemble (the way back); batch (many texts at once).
"""

from dispatcher._ext import segment as _segment
from dispatcher._ext.gsm7 import Gsm7Table, pack, unpack
from dispatcher._ext.segment import Count, Encoder, Plan, Segment, Segmented, count, segment
from dispatcher.encoding.batch import CountBatch, SegmentBatch, TextBuffer, count_batch, segment_batch
from dispatcher.encoding.decode import alphabet_of, decode
from dispatcher.encoding.explain import Cost, Explanation, Suggestion, explain
from dispatcher.encoding.options import Alphabet, Method, Options, Packing, encoder, table
from dispatcher.encoding.reassemble import Part, Reassembled, reassemble
from dispatcher.encoding.replace import (
    Change,
    Replaced,
    normalize_nfc,
    remove_symbols,
    replace_smart,
    strip_accents,
)
from dispatcher.encoding.transliterate import transliterate
from dispatcher.encoding.udh import Concatenation, UserDataHeader, split_header
from dispatcher.errors import ConfigError, EncodingError, TooManySegmentsError, UnencodableError

__all__ = [
    "Alphabet",
    "Change",
    "Concatenation",
    "ConfigError",
    "Cost",
    "Count",
    "CountBatch",
    "Encoder",
    "EncodingError",
    "Explanation",
    "Gsm7Table",
    "Method",
    "Options",
    "Packing",
    "Part",
    "Plan",
    "Reassembled",
    "Replaced",
    "Segment",
    "SegmentBatch",
    "Segmented",
    "Suggestion",
    "TextBuffer",
    "TooManySegmentsError",
    "UnencodableError",
    "UserDataHeader",
    "alphabet_of",
    "count",
    "count_batch",
    "decode",
    "encoder",
    "explain",
    "normalize_nfc",
    "pack",
    "reassemble",
    "remove_symbols",
    "replace_smart",
    "segment",
    "segment_batch",
    "split_header",
    "strip_accents",
    "table",
    "transliterate",
    "unpack",
]

_segment.install(encoder(), encoder)
