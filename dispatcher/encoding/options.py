"""What a caller may ask of the encoder, checked and compiled into plans.

`encoder` is to texts what `re.compile` is to patterns: it checks the options once and returns an Encoder
whose `segment` and `count` are as fast as the defaults. `Options` lists them with their meaning.

Capacities follow from one number, the octets of the header (TS 23.040, 9.2.3.24): 140 minus the header for
octets, half of that for UCS-2, and for septets eight sevenths of it, from the next septet boundary on.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypedDict

from dispatcher._ext.gsm7 import Gsm7Table
from dispatcher._ext.segment import Encoder, Plan
from dispatcher.encoding.tables import DEFAULT, LANGUAGE_ID, LOCKING, SINGLE_SHIFT
from dispatcher.encoding.udh import (
    CONCATENATION_8,
    CONCATENATION_16,
    parse_elements,
)
from dispatcher.encoding.udh import (
    LOCKING_SHIFT as LOCKING_SHIFT_IEI,
)
from dispatcher.encoding.udh import (
    SINGLE_SHIFT as SINGLE_SHIFT_IEI,
)
from dispatcher.errors import ConfigError
from dispatcher.limits import HEADER_OCTETS_MAX, SEGMENTS_DEFAULT, SEGMENTS_MAX, USER_DATA_OCTETS

Alphabet: TypeAlias = Literal["gsm7", "ucs2", "latin1", "ascii"]
Method: TypeAlias = Literal["udh", "sar", "payload"]
Packing: TypeAlias = Literal["unpacked", "packed", "packed-cr"]


class Options(TypedDict, total=False):
    """The options of `encoder`, `segment`, `count` and their batch forms."""

    max_segments: int
    """Refuse what needs more; never cut. 1 to 255, default 10."""
    alphabet: Alphabet
    """Force this one. Default: the cheapest of `allow`."""
    allow: Sequence[Alphabet]
    """Alphabets to choose from; of those with equally few segments the first wins. Default gsm7, ucs2."""
    languages: Sequence[str]
    """National language tables that gsm7 may use, e.g. ("tr",). Handsets and carriers must support them."""
    reference_bits: Literal[8, 16]
    """Size of the concatenation reference. 16 costs a septet or a UCS-2 unit per segment. Default 8."""
    method: Method
    """How a long text travels: "udh" (a header in each segment, the default), "sar" (TLVs) or "payload" (one
    message_payload, which the SMSC splits). All three are cut to the same capacities."""
    packing: Packing
    """Septets one per octet, as SMPP has them (the default), or packed; "packed-cr" fills seven spare bits
    with a CR, as USSD does, and leaves one septet of room for it."""
    message_class: int | None
    """0 (flash: shown at once) to 3, put into data_coding. Default: none."""
    data_codings: Mapping[Alphabet, int]
    """The carrier's own data_coding values, where they differ; message_class does not change these."""
    elements: bytes
    """More information elements for the header of every segment, e.g. port addresses."""
    clusters: bool
    """Keep what people see as one character (emoji families, flags, accents) in one segment. Default True."""
    controls: Literal["keep", "refuse"]
    """What becomes of NUL, ESC and the other C0 control codes but TAB, LF, FF and CR: kept (the default) they
    go out as UCS-2 or octets, where phones show nothing, a box, or end the text at a NUL; "refuse" names the
    first. `replace_smart` takes them out."""


class _Form(NamedTuple):
    """How an alphabet lays out its units, and the data_coding values of SMPP 3.4, 5.2.19."""

    number: int  # Form in segment.pxd: 0 septets, 1 octets, 2 UCS-2
    data_coding: int
    class_coding: int | None  # with a message class added (TS 23.038, 4), where the alphabet has one
    code_max: int


_FORMS: Final[dict[Alphabet, _Form]] = {
    "gsm7": _Form(0, 0x00, 0x10, 0),
    "ucs2": _Form(2, 0x08, 0x18, 0),
    "latin1": _Form(1, 0x03, None, 0xFF),
    "ascii": _Form(1, 0x01, None, 0x7F),
}
_METHODS: Final = ("udh", "sar", "payload")
_PACKINGS: Final = ("unpacked", "packed", "packed-cr")
_CONCATENATION: Final = {
    8: bytes([CONCATENATION_8, 3, 0, 0, 0]),
    16: bytes([CONCATENATION_16, 4, 0, 0, 0, 0]),
}
_LATEST: Final = 256  # encoders remembered: as many combinations as a process of many carriers uses


def encoder(
    *,
    max_segments: int = SEGMENTS_DEFAULT,
    alphabet: Alphabet | None = None,
    allow: Sequence[Alphabet] = ("gsm7", "ucs2"),
    languages: Sequence[str] = (),
    reference_bits: Literal[8, 16] = 8,
    method: Method = "udh",
    packing: Packing = "unpacked",
    message_class: int | None = None,
    data_codings: Mapping[Alphabet, int] | None = None,
    elements: bytes = b"",
    clusters: bool = True,
    controls: Literal["keep", "refuse"] = "keep",
) -> Encoder:
    """Return the Encoder for these options; `Options` says what each means.

    ConfigError: an option out of range, or two that exclude each other.
    """
    allowed = (alphabet,) if alphabet is not None else _names("allow", allow)
    languages = _names("languages", languages)
    data_codings = {} if data_codings is None else data_codings
    if not allowed:
        raise ConfigError("allow is empty: name at least one alphabet, e.g. ('gsm7', 'ucs2')")
    for name in allowed:
        _one_of("alphabet", name, tuple(_FORMS))
    for language in languages:
        _one_of("language", language, tuple(SINGLE_SHIFT)[1:])
    _one_of("method", method, _METHODS)
    _one_of("packing", packing, _PACKINGS)
    _one_of("reference_bits", reference_bits, tuple(_CONCATENATION))
    _whole("max_segments", max_segments, 1, SEGMENTS_MAX)
    if message_class is not None:
        _whole("message_class", message_class, 0, 3)
    if not isinstance(data_codings, Mapping):
        raise ConfigError(f"data_codings maps alphabets to numbers; it is no {type(data_codings).__name__}")
    for name, coding in data_codings.items():
        _one_of("alphabet in data_codings", name, tuple(_FORMS))
        _whole(f"data_codings[{name!r}]", coding, 0, 255)
    codings = tuple(sorted(data_codings.items()))
    _check_elements(elements)
    if not isinstance(clusters, bool):
        raise ConfigError(f"clusters is True or False, not {clusters!r}")
    _one_of("controls", controls, ("keep", "refuse"))
    if languages and "gsm7" not in allowed:
        raise ConfigError("languages are tables of gsm7: allow it too")
    if method != "udh" and (languages or elements):
        raise ConfigError(f"languages and elements need a user data header: use method 'udh', not {method!r}")
    if method == "payload" and packing != "unpacked":
        raise ConfigError("packing is per segment: use method 'udh' or 'sar', not 'payload'")
    return _compiled(
        max_segments,
        tuple(dict.fromkeys(allowed)),
        tuple(dict.fromkeys(languages)),
        reference_bits,
        method,
        packing,
        message_class,
        codings,
        elements,
        clusters,
        controls == "refuse",
    )


def _names(option: str, given: Any) -> tuple[Any, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ConfigError(
            f"{option} is a sequence of names, e.g. ('gsm7', 'ucs2'), not {type(given).__name__}"
        )
    return tuple(given)


def _one_of(option: str, value: object, known: tuple[object, ...]) -> None:
    if value not in known or type(value) is not type(known[0]):
        from difflib import get_close_matches

        close = get_close_matches(str(value), [str(name) for name in known], 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ConfigError(f"{option} {value!r}: expected one of {', '.join(map(str, known))}{hint}")


def _whole(option: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ConfigError(f"{option} is a whole number from {least} to {most}, not {value!r}")


def _check_elements(elements: object) -> None:
    if not isinstance(elements, bytes):
        raise ConfigError(f"elements is bytes, not {type(elements).__name__}")
    parsed, error = parse_elements(elements)
    if error:
        raise ConfigError(f"elements: {error}; each is an IEI, a length and so many octets")
    ours = {CONCATENATION_8, CONCATENATION_16, SINGLE_SHIFT_IEI, LOCKING_SHIFT_IEI}
    for iei, _ in parsed:
        if iei in ours:
            raise ConfigError(
                f"elements: 0x{iei:02X} is added where it is needed; receivers obey the last one"
            )


@functools.lru_cache(maxsize=_LATEST)
def _compiled(
    max_segments: int,
    allowed: tuple[Alphabet, ...],
    languages: tuple[str, ...],
    reference_bits: Literal[8, 16],
    method: Method,
    packing: Packing,
    message_class: int | None,
    data_codings: tuple[tuple[Alphabet, int], ...],
    elements: bytes,
    clusters: bool,
    strict: bool,
) -> Encoder:
    concatenation = _CONCATENATION[reference_bits]

    def plan(name: Alphabet, language: str, shifts: bytes, table: Gsm7Table | None, decisive: bool) -> Plan:
        form = _FORMS[name]
        own = shifts + elements
        header = _header(own)
        template = _header(concatenation + own)
        pad_cr = packing == "packed-cr" and form.number == 0
        return Plan(
            name,
            form=form.number,
            data_coding=_data_coding(name, form, message_class, dict(data_codings)),
            single_units=_capacity(form.number, len(header)) - pad_cr,
            segment_units=_capacity(form.number, len(template)) - pad_cr,
            header=header,
            template=template,
            reference_octets=reference_bits // 8,
            table=table,
            language=language,
            code_max=form.code_max,
            packed=packing != "unpacked" and form.number == 0,
            pad_cr=pad_cr,
            decisive=decisive,
            strict=strict,
        )

    plans: list[Plan] = []
    for index, name in enumerate(allowed):
        # UCS-2 never needs fewer segments than an alphabet whose every unit is smaller.
        decisive = not languages and set(allowed[index + 1 :]) <= {"ucs2"}
        if name == "gsm7":
            plans.append(plan(name, DEFAULT, b"", table(), decisive))
            plans += [
                plan(name, *national, False) for language in languages for national in _nationals(language)
            ]
        else:
            plans.append(plan(name, DEFAULT, b"", None, decisive))
    return Encoder(
        tuple(plans),
        max_segments=max_segments,
        method=method,
        clusters=clusters,
        reference_max=(1 << reference_bits) - 1,
    )


def _nationals(language: str) -> Iterator[tuple[str, bytes, Gsm7Table]]:
    """Yield the ways to use a language's tables, shortest header first: name, elements, table."""
    single = bytes([SINGLE_SHIFT_IEI, 1, LANGUAGE_ID[language]])
    locking = bytes([LOCKING_SHIFT_IEI, 1, LANGUAGE_ID[language]])
    yield f"{language}-single", single, table(DEFAULT, language)
    if language in LOCKING:
        yield f"{language}-locking", locking, table(language, DEFAULT)
        yield language, locking + single, table(language, language)


@functools.cache
def table(locking: str = DEFAULT, single_shift: str = DEFAULT) -> Gsm7Table:
    """Return the compiled table of a locking and a single shift language; "" is the default of either.

    ConfigError: a language without such a table.
    """
    _one_of("locking language", locking, tuple(LOCKING))
    _one_of("single shift language", single_shift, tuple(SINGLE_SHIFT))
    return Gsm7Table(
        LOCKING[locking], SINGLE_SHIFT[single_shift], LANGUAGE_ID[locking], LANGUAGE_ID[single_shift]
    )


def _header(elements: bytes) -> bytes:
    if len(elements) >= HEADER_OCTETS_MAX:
        raise ConfigError(
            f"elements: a header of {len(elements) + 1} octets leaves too little room for text; "
            f"{HEADER_OCTETS_MAX} octets are the most"
        )
    return bytes([len(elements)]) + elements if elements else b""


def _capacity(form: int, header: int) -> int:
    octets = USER_DATA_OCTETS - header
    return (octets * 8 // 7, octets, octets // 2)[form]


def _data_coding(name: Alphabet, form: _Form, message_class: int | None, own: Mapping[Alphabet, int]) -> int:
    if name in own:
        return own[name]
    if message_class is None:
        return form.data_coding
    if form.class_coding is None:
        raise ConfigError(f"message_class: {name} has no data_coding with a class; use gsm7 or ucs2")
    return form.class_coding | message_class
