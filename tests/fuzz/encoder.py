"""Random texts, options and octets against the encoder library.

Every case is held against the rules of the standards, some against the slow twin as well.
"""

from array import array
from random import Random
from typing import Any, Final

from dispatcher._ext.gsm7 import pack, unpack
from dispatcher.encoding import (
    CountBatch,
    EncodingError,
    Part,
    TextBuffer,
    UnencodableError,
    count_batch,
    decode,
    encoder,
    reassemble,
    segment_batch,
    split_header,
)
from tests import fuzz, oracle
from tests.fuzz.desk import need

TWIN_EVERY: Final = 5
"""One turn in so many is held against the twin."""
BATCH: Final = 25


def random_text(dice: Random) -> str:
    """Return a text of a few pieces that end near where segments end."""
    pieces = []
    for _ in range(dice.randrange(1, 6)):
        kind = dice.random()
        if kind < 0.5:
            pieces.append(dice.choice(fuzz.FILLERS) * dice.choice(fuzz.LENGTHS))
        elif kind < 0.7:
            pieces.append(dice.choice(fuzz.CLUSTERS) * dice.randrange(1, 4))
        elif kind < 0.9:
            pieces.append("".join(dice.choices(fuzz.SINGLES, k=dice.randrange(1, 12))))
        elif kind < 0.97:
            pool = fuzz.NATIONAL[dice.choice(fuzz.LANGUAGES)]
            pieces.append("".join(dice.choices(pool, k=dice.randrange(1, 80))))
        elif kind < 0.99:
            pieces.append("".join(chr(dice.randrange(0x110000)) for _ in range(dice.randrange(1, 30))))
        else:
            pieces.append(dice.choice(fuzz.SURROGATES))
    return "".join(pieces)


def random_options(dice: Random) -> dict[str, Any]:
    """Return options that go together."""
    options: dict[str, Any] = {
        "max_segments": dice.choice(fuzz.MAX_SEGMENTS),
        "allow": dice.choice(fuzz.ALLOW),
        "reference_bits": dice.choice((8, 8, 16)),
        "method": dice.choice(("udh", "udh", "udh", "sar", "payload")),
        "packing": dice.choice(fuzz.PACKINGS),
        "clusters": dice.random() < 0.9,
        "elements": dice.choice(fuzz.ELEMENTS),
    }
    if dice.random() < 0.3:
        options["languages"] = tuple(dice.sample(fuzz.LANGUAGES, dice.randrange(1, 4)))
    if dice.random() < 0.2:
        options["message_class"] = dice.randrange(4)
    return fuzz.allowed_together(options)


def check_texts(dice: Random, twin: bool) -> object:
    """Segment, count and decode texts under one set of options; return what failed, with its case."""
    options = random_options(dice)
    compiled = encoder(**options)
    texts = [random_text(dice) for _ in range(BATCH)]
    reference = dice.randrange(compiled.reference_max + 1)
    counts = count_batch(texts, **options)
    made = segment_batch(texts, references=[reference] * BATCH, **options)
    clean = [
        text for text in texts if text.isascii() or not any("\ud800" <= char < "\ue000" for char in text)
    ]
    octets = [text.encode() for text in clean]
    ends = [0]
    for each in octets:
        ends.append(ends[-1] + len(each))
    from_utf8 = count_batch(TextBuffer(array("i", ends), b"".join(octets)), **options)
    of_clean = count_batch(clean, **options)
    if any(a != b for a, b in zip(columns(from_utf8), columns(of_clean), strict=True)):
        return "UTF-8 and str are counted differently", clean, options
    for index, text in enumerate(texts):
        case = (text, options, reference)
        outcome = oracle.carry(text, reference, **options) if twin and index == 0 else None
        try:
            message = compiled.segment(text, reference=reference)
        except EncodingError as error:
            str(error)
            if counts.segments[index] or made.user_data_of(index):
                return "refused alone, taken in a batch", *case
            if outcome is not None and not isinstance(outcome, oracle.Refused):
                return "the twin sends it", *case
            if isinstance(error, UnencodableError) and text[error.position] != error.character:
                return "the error names another character", *case
            continue
        if broken := oracle.broken_rules(text, message, reference, options):
            return *broken, *case
        if tuple(compiled.count(text)) != (message.alphabet, message.units, len(message)):
            return "count disagrees with segment", *case
        if (counts.units[index], counts.segments[index]) != (message.units, len(message)):
            return "the batch disagrees with segment", *case
        if made.user_data_of(index) != [part.user_data for part in message.segments]:
            return "the batch makes other segments", *case
        packed = options.get("packing", "unpacked") != "unpacked" and message.alphabet == "gsm7"
        if not packed and options.get("message_class") is None and decoded(dice, message, options) != text:
            return "decoded to another text", *case
        if outcome is not None and (
            not isinstance(outcome, oracle.Carried) or oracle.carried(message) != oracle.expected(outcome)
        ):
            return "the twin disagrees", *case
    return None


def columns(counts: CountBatch) -> list[list[int]]:
    """Return the five columns of a batch count as lists."""
    arrays = counts.plan, counts.units, counts.segments, counts.status, counts.detail
    return [array.tolist() for array in arrays]


def decoded(dice: Random, message: Any, options: dict[str, Any]) -> str | None:
    """Return the text of segments in random order, one of them twice."""
    parts = [
        Part(part.user_data, message.data_coding, message.esm_class, part.sar) for part in message.segments
    ]
    if options.get("method") == "payload" and len(parts) > 1:
        return decode(message.message_payload, data_coding=message.data_coding)
    parts.append(dice.choice(parts)) if len(parts) > 1 else None
    dice.shuffle(parts)
    return reassemble(parts).text


def check_octets(dice: Random, twin: bool) -> object:
    """Decode, unpack and reassemble random octets: nothing may raise; return what differs from the twin."""
    data = dice.randbytes(dice.choice((0, 1, 2, 6, 7, 8, 20, 140, 161)))
    if dice.random() < 0.5:
        data = bytes([dice.randrange(12)]) + data
    coding, esm_class = dice.randrange(256), dice.choice((0, 0x40))
    decode(data, data_coding=coding, esm_class=esm_class, packed=dice.random() < 0.5)
    split_header(data)
    reassemble([Part(data[at:], coding, esm_class) for at in range(min(len(data), 4))])
    fill = dice.randrange(7)
    septets = unpack(data, fill_bits=fill)
    packed = pack(septets, fill_bits=fill)
    if twin and (septets != oracle.unpack(data, fill_bits=fill) or packed != oracle.pack(septets, fill)):
        return "packing differs from a string of bits", data, fill
    if unpack(packed, len(septets), fill_bits=fill) != septets:
        return "packed and unpacked is another text", data, fill
    return None


def turn(dice: Random, number: int) -> int:
    """Check some texts under one set of options, and some octets; return how many inputs that were."""
    twin = number % TWIN_EVERY == 0
    for check in (check_texts, check_octets):
        broken = check(dice, twin)
        need(broken is None, "the encoder breaks its rules", broken)
    return BATCH + 1
