"""A slow, obvious twin of the encoder, written from the standards: what the fast one must equal.

Nothing here comes from ext/ or from dispatcher.encoding but the data of its tables; those are compared with
outside vectors elsewhere. Grapheme clusters are those of the ``regex`` package.

Plan: characters to septets (3GPP TS 23.038), bits, the header (TS 23.040, 9.2.3.24), `Way` (one alphabet with
its capacities), `carry` (a text as segments, or why not), and the way back. `broken_rules` needs no twin: it
says what is wrong with finished segments whatever text they came from.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal, TypeAlias

import regex

from dispatcher.encoding import Segmented
from dispatcher.encoding.tables import LANGUAGE_ID, LOCKING, SINGLE_SHIFT

OCTETS: Final = 140
ESC: Final = 0x1B
CR: Final = 0x0D
SURROGATES: Final = range(0xD800, 0xE000)
FORMS: Final = {"gsm7": "septets", "latin1": "octets", "ascii": "octets", "ucs2": "ucs2"}
DATA_CODING: Final = {"gsm7": 0x00, "ucs2": 0x08, "latin1": 0x03, "ascii": 0x01}
CLASS_CODING: Final = {"gsm7": 0x10, "ucs2": 0x18}


# ---- TS 23.038: characters, septets, bits -----------------------------------------------------------------


@cache
def codes(locking: str = "", single_shift: str = "") -> Mapping[str, bytes]:
    """Return the septets of every character; the plain code before the escaped, of two alike the higher."""
    escaped = {char: bytes([ESC, code]) for code, char in sorted(SINGLE_SHIFT[single_shift].items())}
    plain = {char: bytes([code]) for code, char in enumerate(LOCKING[locking]) if char != "\ufffd"}
    return escaped | plain


def from_septets(septets: bytes, locking: str = "", single_shift: str = "") -> str:
    """Return what a handset shows for unpacked septets."""
    shown = []
    at = 0
    while at < len(septets):
        octet = septets[at]
        at += 1
        if octet == ESC:
            if at == len(septets):
                break
            octet = septets[at]
            at += 1
            if octet == ESC:
                shown.append(" ")
                continue
            if octet in SINGLE_SHIFT[single_shift]:
                shown.append(SINGLE_SHIFT[single_shift][octet])
                continue
        shown.append(LOCKING[locking][octet] if octet < 128 else "\ufffd")
    return "".join(shown)


def pack(septets: bytes, fill_bits: int = 0, pad_cr: bool = False) -> bytes:
    """Pack septets as a string of bits, the least significant first; no septets need no fill bits."""
    if not septets:
        return b""
    bits = "0" * fill_bits + "".join(f"{septet:07b}"[::-1] for septet in septets)
    spare = -len(bits) % 8
    if pad_cr and (spare == 7 or (spare == 0 and septets[-1:] == bytes([CR]))):
        bits += f"{CR:07b}"[::-1]
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[at : at + 8][::-1], 2) for at in range(0, len(bits), 8))


def unpack(data: bytes, septets: int | None = None, fill_bits: int = 0, strip_cr: bool = False) -> bytes:
    """Take as many septets as asked for, or as fit, out of a string of bits."""
    bits = "".join(f"{octet:08b}"[::-1] for octet in data)[fill_bits:]
    held = len(bits) // 7 if septets is None else septets
    found = bytes(int(bits[at * 7 : at * 7 + 7][::-1], 2) for at in range(held))
    at_octet = (fill_bits + held * 7) % 8 == 0
    return found[:-1] if strip_cr and at_octet and found[-1:] == bytes([CR]) else found


# ---- UAX #29 ----------------------------------------------------------------------------------------------

_LINKED = regex.compile(
    r"\p{InCB=Consonant}[\p{InCB=Extend}\p{InCB=Linker}]*\p{InCB=Linker}[\p{InCB=Extend}\p{InCB=Linker}]*"
)
_CONSONANT = regex.compile(r"(?<=[\p{InCB=Extend}\p{InCB=Linker}])\p{InCB=Consonant}")


def clusters_of(text: str) -> list[str]:
    """Return the extended grapheme clusters of a text.

    They are those of ``regex``, but for one rule: it joins a consonant to any linker (2026.11.15: a letter,
    U+094D and U+0915 are one cluster), where GB9c asks for a consonant before the linker, too.
    """
    found = []
    for cluster in regex.findall(r"\X", text):
        begin = 0
        for consonant in _CONSONANT.finditer(cluster):
            at = consonant.start()
            before = cluster[begin:at]
            if not any(_LINKED.fullmatch(before, place) for place in range(len(before))):
                found.append(before)
                begin = at
        found.append(cluster[begin:])
    return found


# ---- TS 23.040: capacity and header -----------------------------------------------------------------------


def fill_bits(header: int) -> int:
    """Return the zero bits that bring packed text behind so many octets to a septet boundary."""
    return next(bits for bits in range(7) if (header * 8 + bits) % 7 == 0)


def capacity(form: str, header: int) -> int:
    """Return the units that fit beside a header of so many octets."""
    octets = OCTETS - header
    return {"septets": (octets * 8 - fill_bits(header)) // 7, "octets": octets, "ucs2": octets // 2}[form]


def header_of(elements: bytes) -> bytes:
    """Put the length octet before the elements; no elements, no header."""
    return bytes([len(elements)]) + elements if elements else b""


def concatenation(bits: int, reference: int, total: int, number: int) -> bytes:
    """Return the element that joins segments, with a reference of 8 or 16 bits."""
    iei, length = (0x00, 3) if bits == 8 else (0x08, 4)
    return bytes([iei, length, *reference.to_bytes(bits // 8, "big"), total, number])


@dataclass(frozen=True)
class Way:
    """One alphabet to carry a text in, with what the options make of it."""

    alphabet: str
    language: str
    locking: str
    single_shift: str
    elements: bytes  # of every header, behind the concatenation
    data_coding: int
    packing: str
    reference_bits: int

    def octets_of(self, char: str) -> bytes | None:
        """Return the unpacked octets of one character; None where the alphabet lacks it."""
        if self.alphabet == "gsm7":
            return codes(self.locking, self.single_shift).get(char)
        if self.alphabet == "ucs2":
            return None if ord(char) in SURROGATES else char.encode("utf-16-be")
        return char.encode("latin1") if ord(char) < (0x80 if self.alphabet == "ascii" else 0x100) else None

    def cost(self, text: str) -> int:
        """Return the units of a text that the alphabet has."""
        octets = sum(len(self.octets_of(char) or b"") for char in text)
        return octets // 2 if self.alphabet == "ucs2" else octets

    def lacking(self, text: str) -> int | None:
        """Return the position of the first character that the alphabet lacks."""
        return next((at for at, char in enumerate(text) if self.octets_of(char) is None), None)

    @property
    def lone(self) -> int:
        """Units of a single segment."""
        return self._room(header_of(self.elements))

    @property
    def each(self) -> int:
        """Units of each of several segments."""
        return self._room(header_of(concatenation(self.reference_bits, 0, 0, 0) + self.elements))

    def _room(self, header: bytes) -> int:
        room = capacity(FORMS[self.alphabet], len(header))
        return room - 1 if self.pad_cr else room

    @property
    def packed(self) -> bool:
        """Whether septets go packed."""
        return self.alphabet == "gsm7" and self.packing != "unpacked"

    @property
    def pad_cr(self) -> bool:
        """Whether seven spare bits carry a CR."""
        return self.alphabet == "gsm7" and self.packing == "packed-cr"

    def user_data(self, text: str, header: bytes) -> bytes:
        """Return header and text as they go out."""
        body = b"".join(self.octets_of(char) or b"" for char in text)
        return header + (pack(body, fill_bits(len(header)), self.pad_cr) if self.packed else body)

    def cut(self, text: str, clusters: bool) -> list[str]:
        """Cut greedily, and before a grapheme cluster that can be kept whole."""
        if self.cost(text) <= self.lone:
            return [text]
        pieces = []
        start = 0
        while start < len(text):
            end = start
            units = 0
            while end < len(text) and (units := units + self.cost(text[end])) <= self.each:
                end += 1
            if clusters and end < len(text):
                end = self._whole_cluster(text, start, end)
            pieces.append(text[start:end])
            start = end
        return pieces

    def _whole_cluster(self, text: str, start: int, end: int) -> int:
        first = start
        for cluster in clusters_of(text[start : start + 2 * self.each + 2]):  # a longer one fits no segment
            last = first + len(cluster)
            if first < end < last:
                return end if first == start or self.cost(cluster) > self.each else first
            first = last
        return end


def ways(
    alphabet: str | None = None,
    allow: Sequence[str] = ("gsm7", "ucs2"),
    languages: Sequence[str] = (),
    reference_bits: int = 8,
    packing: str = "unpacked",
    message_class: int | None = None,
    data_codings: Mapping[str, int] | None = None,
    elements: bytes = b"",
    **_: object,
) -> Iterator[Way]:
    """Yield what the options allow, in the order in which ties are broken."""
    for name in [alphabet] if alphabet else allow:
        coding = (data_codings or {}).get(name)
        if coding is None:
            coding = DATA_CODING[name] if message_class is None else CLASS_CODING[name] | message_class
        tables = [("", "", "", b"")]
        for language in languages if name == "gsm7" else ():
            single = bytes([0x24, 1, LANGUAGE_ID[language]])
            locking = bytes([0x25, 1, LANGUAGE_ID[language]])
            tables.append((f"{language}-single", "", language, single))
            if language in LOCKING:
                tables.append((f"{language}-locking", language, "", locking))
                tables.append((language, language, language, locking + single))
        for label, base, shift, national in tables:
            yield Way(name, label, base, shift, national + elements, coding, packing, reference_bits)


# ---- a text as segments, or why not -----------------------------------------------------------------------


@dataclass(frozen=True)
class Carried:
    """What must come of a text."""

    way: Way
    units: int
    esm_class: int
    texts: tuple[str, ...]
    user_data: tuple[bytes, ...]
    segment_units: tuple[int, ...]
    payload: bytes | None


@dataclass(frozen=True)
class Refused:
    """Why a text cannot be sent: the segments it needs (at least, where not exact), or a character."""

    why: Literal["too_many_segments", "unencodable"]
    segments: int = 0
    exact: bool = True
    positions: frozenset[int] = frozenset()
    """Where several alphabets lack different characters, each of them may be named."""


Outcome: TypeAlias = Carried | Refused


def carry(
    text: str,
    reference: int = 0,
    max_segments: int = 10,
    method: str = "udh",
    clusters: bool = True,
    **options: Any,
) -> Outcome:
    """Return the segments of a text: of all ways the one with the fewest, the first of equals."""
    possible = list(ways(**options))
    most = max(way.lone if max_segments == 1 else max(way.lone, way.each * max_segments) for way in possible)
    if len(text) > most:  # every character costs a unit at least: refused without reading it
        return Refused("too_many_segments", max_segments + 1, exact=False)
    lacks = [way.lacking(text) for way in possible]
    plans = [
        (way, way.cut(text, clusters)) for way, lack in zip(possible, lacks, strict=True) if lack is None
    ]
    if not plans:
        nowhere = [at for at, char in enumerate(text) if all(way.octets_of(char) is None for way in possible)]
        candidates = {max(lack for lack in lacks if lack is not None), *nowhere[:1]}
        return Refused("unencodable", positions=frozenset(candidates))
    way, texts = min(plans, key=lambda plan: len(plan[1]))
    total = len(texts)
    if total > max_segments:
        return Refused("too_many_segments", total)
    headers = [header_of(way.elements)]
    if total > 1:
        headers = [
            header_of(concatenation(way.reference_bits, reference, total, number) + way.elements)
            if method == "udh"
            else b""
            for number in range(1, total + 1)
        ]
    return Carried(
        way=way,
        units=way.cost(text),
        esm_class=0x40 if headers[0] else 0,
        texts=tuple(texts),
        user_data=tuple(way.user_data(piece, header) for piece, header in zip(texts, headers, strict=True)),
        segment_units=tuple(way.cost(piece) for piece in texts),
        payload=way.user_data(text, b"") if method == "payload" and total > 1 else None,
    )


def carried(message: Segmented, method: str = "udh") -> dict[str, object]:
    """Return of finished segments what can be compared with `Carried`."""
    return {
        "alphabet": message.alphabet,
        "language": message.language,
        "data_coding": message.data_coding,
        "units": message.units,
        "esm_class": message.esm_class,
        "texts": tuple(segment.text for segment in message.segments),
        "user_data": tuple(segment.user_data for segment in message.segments),
        "segment_units": tuple(segment.units for segment in message.segments),
        "payload": message.message_payload,
    }


def expected(outcome: Carried) -> dict[str, object]:
    """Return the same of the twin's answer."""
    return {
        "alphabet": outcome.way.alphabet,
        "language": outcome.way.language,
        "data_coding": outcome.way.data_coding,
        "units": outcome.units,
        "esm_class": outcome.esm_class,
        "texts": outcome.texts,
        "user_data": outcome.user_data,
        "segment_units": outcome.segment_units,
        "payload": outcome.payload,
    }


# ---- what holds for any finished segments -----------------------------------------------------------------


def broken_rules(text: str, message: Segmented, reference: int, options: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the segments of a text, by the standards alone: no twin, no cutting."""
    wrong = []
    total = len(message.segments)
    packed = message.alphabet == "gsm7" and options.get("packing", "unpacked") != "unpacked"
    if "".join(segment.text for segment in message.segments) != text or message.text != text:
        wrong.append("the slices joined are not the text")
    if sum(segment.units for segment in message.segments) != message.units:
        wrong.append("the segments' units do not add up")
    if not 1 <= total <= options.get("max_segments", 10):
        wrong.append(f"{total} segments")
    for place, segment in enumerate(message.segments, 1):
        if (segment.number, segment.total, segment.reference) != (place, total, reference):
            wrong.append(f"segment {place} says {segment.number} of {segment.total}, {segment.reference}")
        if segment.udh + segment.body != segment.user_data:
            wrong.append("header and body are not the user data")
        if (message.esm_class == 0x40) != bool(segment.udh):
            wrong.append("a header without its flag in esm_class, or the flag without it")
        if segment.udh and segment.udh[0] + 1 != len(segment.udh):
            wrong.append("the header's length octet is wrong")
        if total > 1 and options.get("method", "udh") == "udh":
            element = concatenation(options.get("reference_bits", 8), reference, total, place)
            if segment.udh[1 : 1 + len(element)] != element:
                wrong.append("the header does not begin with its concatenation")
        bits = len(segment.user_data) * 8
        if message.alphabet == "gsm7" and not packed:
            bits = len(segment.udh) * 8 + fill_bits(len(segment.udh)) + 7 * len(segment.body)
        if bits > OCTETS * 8:
            wrong.append(f"{bits} bits do not fit {OCTETS} octets")
        if message.alphabet == "gsm7" and not packed:
            if len(segment.body) != segment.units or max(segment.body, default=0) > 127:
                wrong.append("not one septet an octet")
            if segment.body.endswith(b"\x1b"):
                wrong.append("an escape was parted from its septet")
        if message.alphabet == "ucs2":
            try:
                segment.body.decode("utf-16-be")
            except UnicodeDecodeError:
                wrong.append("a surrogate pair was parted")
    return wrong


# ---- the way back -----------------------------------------------------------------------------------------


def elements_of(user_data: bytes) -> tuple[list[tuple[int, bytes]], bytes] | None:
    """Return the elements of a header and the body; None where the length octet points outside."""
    if not user_data or user_data[0] >= len(user_data):
        return None
    header, body = user_data[1 : user_data[0] + 1], user_data[user_data[0] + 1 :]
    elements = []
    while len(header) >= 2 and len(header) >= 2 + header[1]:
        elements.append((header[0], header[2 : 2 + header[1]]))
        header = header[2 + header[1] :]
    return elements, body


def from_gsm7(user_data: bytes, packed: bool = False) -> str:
    """Return the text of GSM 7-bit user data with a header, whose last language elements count."""
    parts = elements_of(user_data)
    elements, body = parts or ([], user_data)
    names = {number: name for name, number in LANGUAGE_ID.items()}
    shifts = {iei: names.get(data[0], "") for iei, data in elements if iei in (0x24, 0x25) and len(data) == 1}
    if packed:
        fill = fill_bits(len(user_data) - len(body)) if parts else 0
        body = unpack(body, fill_bits=fill)
    locking = shifts.get(0x25, "")
    return from_septets(body, locking if locking in LOCKING else "", shifts.get(0x24, ""))
