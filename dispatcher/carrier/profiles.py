"""A carrier's profile as a person writes it: one table, checked key by key, and ready ones to copy.

Law: everything in which carriers differ is a key here, and its default is the letter of SMPP 3.4; nothing
is detected at run time. ``profile = "latin1"`` takes a ready one, a table with ``base = "latin1"`` changes
it. In TOML, a carrier with ways of its own::

    [carriers.north.profile]
    base = "hex_ids"
    alphabets = { gsm7 = 0, ucs2 = 8 }
    name = { ton = 5, npi = 1 }
    status = { ESME_RSUBMITFAIL = "permanent" }
    tlvs = { "0x1400" = "1234567890" }
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import Meta, Struct, field

from dispatcher.convert import convert, did_you_mean, join
from dispatcher.errors import ConfigError
from dispatcher.limits import SEGMENTS_MAX

Alphabet: TypeAlias = Literal["gsm7", "ucs2", "latin1", "ascii"]
Octet: TypeAlias = Annotated[int, Meta(ge=0, le=255)]
SenderKind: TypeAlias = Literal["name", "short_code", "number"]


class TonNpi(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Type of number and numbering plan of an address."""

    ton: Annotated[int, Meta(ge=0, le=7)]
    npi: Annotated[int, Meta(ge=0, le=18)]


class Receipts(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the carrier writes ids and receipts; each key means what it does in `smpp.dialect.Dialect`."""

    id_notation: Literal["as_is", "response_hex", "receipt_hex", "both_hex"] = "as_is"
    tlv_id: Literal["response", "receipt"] = "response"
    strip_zeros: bool = False
    fold_case: bool = False
    date_formats: tuple[str, ...] = ()
    """Empty: every usual one."""
    submit_zone: str = "UTC"
    """A name like Europe/Moscow, or an offset like +03:00."""
    done_zone: str = "UTC"
    states: dict[str, Annotated[int, Meta(ge=0, le=9)]] = {}
    accepted_is_final: bool = False
    handset_receipts: bool = True


class ProfileTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every key of a profile."""

    base: str = "smpp34"
    """The ready profile that this one changes."""

    alphabets: Annotated[dict[Alphabet, Octet], Meta(min_length=1)] = field(
        default_factory=lambda: {"gsm7": 0x00, "ucs2": 0x08}
    )
    """The alphabets that may be used and the data_coding of each; of equally short ones the first. What 0
    means is the carrier's choice: here the GSM alphabet, an octet a septet."""
    languages: tuple[str, ...] = ()
    """National tables for gsm7, as ``tr``. None: few carriers pass them on."""
    controls: Literal["refuse", "keep"] = "refuse"
    """C0 control codes but TAB, LF, FF and CR: a NUL ends the text on some handsets, an ESC means nothing."""
    packing: Literal["unpacked", "packed"] = "unpacked"
    """Septets one an octet, as nearly every SMSC expects them."""
    method: Literal["udh8", "udh16", "sar", "payload"] = "udh8"
    """How a long text travels: a header in each segment, with a reference of 8 or 16 bits; sar_ TLVs; or one
    message_payload, which the SMSC cuts. 8 bits cost the least and every handset joins them."""
    max_segments: Annotated[int, Meta(ge=1, le=SEGMENTS_MAX)] = SEGMENTS_MAX
    """The most that the carrier takes; each class has its own limit besides."""

    name: TonNpi = TonNpi(ton=5, npi=0)
    """Of an alphanumeric sender."""
    short_code: TonNpi = TonNpi(ton=3, npi=0)
    """Of 3 to 8 digits; some want 0/0 or 6/0."""
    number: TonNpi = TonNpi(ton=1, npi=1)
    """Of an international number as sender."""
    destination: TonNpi = TonNpi(ton=1, npi=1)
    """Recipients are always international numbers."""
    senders: tuple[SenderKind, ...] = ("name", "short_code", "number")
    """The kinds that the carrier accepts."""
    name_encoding: Literal["latin1", "gsm7", "ascii"] = "latin1"
    """Octets of a name. In gsm7 an @ would be 0 and end the field: it is refused there."""

    service_type: Annotated[str, Meta(max_length=5, pattern=r"^[\x21-\x7e]*\Z")] = ""
    esm_class: Literal[0, 1, 2, 3] = 0
    """The messaging mode: 0 the SMSC's own, 3 store and forward. Other bits follow from the method."""
    protocol_id: Annotated[int, Meta(ge=0, le=0x3F)] = 0
    """0x40 and above are silent and replacing messages: never."""
    priority_flag: Annotated[int, Meta(ge=0, le=3)] = 0
    """What it means is the carrier's; our classes do not rest on it."""
    registered_delivery: Annotated[int, Meta(ge=0, le=0x13)] = 1
    """1: receipts of success and failure; 2: of failure alone; 0: none, outcomes are then unknown."""
    receipts_for: Literal["all", "last"] = "all"
    """Segments that ask for a receipt. ``last`` where the carrier bills them: the others then count as it."""
    validity: Literal["relative", "absolute", "none"] = "relative"
    """Form of validity_period. Relative does not depend on the SMSC's clock and zone."""
    validity_max_s: Annotated[int, Meta(ge=1, le=32 * 86_400 - 1)] = 3 * 86_400
    """The longest that is asked for: SMSCs that take more than three days are few, refusals are not."""
    tlvs: dict[str, int | str] = {}
    """TLVs of every submit_sm, by name or number: numbers, text, or octets as ``hex:0a0b``."""

    status: dict[int | str, str] = {}
    """Dispositions of command_status that differ, as ``ESME_RSUBMITFAIL = "permanent"``."""
    receipts: Receipts = Receipts()

    tps_max: Annotated[float, Meta(ge=0)] = 0.0
    """The most that this kind of account may have; 0: not known. A carrier's tps is checked against it."""
    window_max: Annotated[int, Meta(ge=0)] = 0
    """The same of its window."""
    enquire_link_min_ms: Annotated[int, Meta(ge=0)] = 0
    """The shortest enquire_link that the carrier bears."""


READY: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "smpp34": {},
        "latin1": {"alphabets": {"latin1": 0x00, "ucs2": 0x08}},
        "hex_ids": {"receipts": {"id_notation": "response_hex", "fold_case": True, "strip_zeros": True}},
        "sar": {"method": "sar"},
    }
)
"""The ready profiles: plain SMPP 3.4; Latin-1 as the SMSC's default alphabet; ids that are hexadecimal in
submit_sm_resp and decimal in receipts; long messages by sar_ TLVs."""

_REPLACED: Final = frozenset({"alphabets"})
"""Tables that are not merged with those of the base: their order counts."""


def table(given: str | Mapping[str, Any], at: str = "profile") -> ProfileTable:
    """Return the table that a name or a table with a base means; ConfigError names the key."""
    changes: Mapping[str, Any] = {"base": given} if isinstance(given, str) else given
    base = changes.get("base", "smpp34")
    if base not in READY:
        where = at if isinstance(given, str) else join(at, "base")
        raise ConfigError(f"{where}: no ready profile is {base!r}{did_you_mean(base, READY)}")
    merged = dict(READY[base])
    for key, value in changes.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping) and key not in _REPLACED
        merged[key] = {**old, **value} if both else value  # type: ignore[dict-item]
    return convert(merged, ProfileTable, at)
