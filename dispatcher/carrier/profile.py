"""What one carrier wants, compiled: texts to whole submit_sm, senders and texts checked, statuses judged.

Law: a profile is checked when it is made and never raises afterwards. What a carrier cannot carry is a
value: `count` and `check_sender` say why, `frames` gives nothing. The table is in carrier/profiles.py; the
hot part is ext/submit.pyx.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, timedelta, timezone, tzinfo
from functools import partial
from re import fullmatch
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from dispatcher._ext.pdu import SubmitTemplate
from dispatcher._ext.segment import Count, Encoder
from dispatcher._ext.submit import SubmitBuilder
from dispatcher.carrier.profiles import ProfileTable, Receipts, table
from dispatcher.config import Carrier
from dispatcher.convert import did_you_mean, join
from dispatcher.encoding import encoder
from dispatcher.errors import (
    ConfigError,
    DispatcherError,
    EncodingError,
    LocalProtocolError,
    UnencodableError,
)
from dispatcher.limits import SEGMENTS_MAX
from dispatcher.model import Message, SendRequest
from dispatcher.refusal import Code, Refusal
from dispatcher.smpp import status
from dispatcher.smpp.address import GSM_DEFAULT, Address, classify
from dispatcher.smpp.constants import RegisteredDelivery, Tlv, Ton
from dispatcher.smpp.dialect import DATE_FORMATS, Dialect
from dispatcher.smpp.spec import INTEGER, TLV_TAG, TLVS

Frames: TypeAlias = Callable[[Message, int], list[bytes]]

SENDERS_MAX: Final = 10_000
"""Different senders that are remembered, of some 100 octets: a bank has dozens."""

_VALIDITY: Final = {"none": 0, "relative": 1, "absolute": 2}
_METHODS: Final[Mapping[str, dict[str, Any]]] = {
    "udh8": {"method": "udh", "reference_bits": 8},
    "udh16": {"method": "udh", "reference_bits": 16},
    "sar": {"method": "sar"},
    "payload": {"method": "payload"},
}
_KINDS: Final = {Ton.ALPHANUMERIC: "name", Ton.NETWORK_SPECIFIC: "short_code", Ton.INTERNATIONAL: "number"}
_OURS: Final = frozenset(
    {Tlv.MESSAGE_PAYLOAD, Tlv.SAR_MSG_REF_NUM, Tlv.SAR_TOTAL_SEGMENTS, Tlv.SAR_SEGMENT_SEQNUM}
)
"""TLVs that the method sets."""


class Profile:
    """One carrier's profile. Immutable but for the senders it remembers; they are bounded."""

    __slots__ = ("_senders", "_senders_max", "builder", "dialect", "encoder", "frames", "overrides", "table")

    table: ProfileTable
    encoder: Encoder
    dialect: Dialect
    overrides: Mapping[int, status.Disposition]
    builder: SubmitBuilder
    frames: Frames
    """``frames(message, now_ms)``: the submit_sm of all segments in order, sequence_number 0; the validity
    period is what remains until the deadline. Empty: not possible at this carrier, `refusal` says why."""

    def __init__(self, table: ProfileTable, at: str = "profile", senders_max: int = SENDERS_MAX) -> None:
        """Compile a table; ConfigError names the key, `at` leads to it."""
        self.table = table
        self.encoder = _named(at, lambda: _encoder(table))
        self.dialect = _named(join(at, "receipts"), lambda: _dialect(table.receipts, join(at, "receipts")))
        self.overrides = _named(join(at, "status"), lambda: status.check_overrides({**table.status}))
        self._senders: dict[str, Refusal | None] = {}
        self._senders_max = senders_max
        before = table.registered_delivery if table.receipts_for == "all" else 0
        self.builder = SubmitBuilder(
            self.encoder,
            partial(_source, table),
            senders_max=senders_max,
            tlvs=_tlvs(table.tlvs, join(at, "tlvs")),
            validity=_VALIDITY[table.validity],
            validity_max_s=table.validity_max_s,
            dest_addr_ton=table.destination.ton,
            dest_addr_npi=table.destination.npi,
            esm_class=table.esm_class,
            protocol_id=table.protocol_id,
            priority_flag=table.priority_flag,
            registered_delivery=table.registered_delivery,
            registered_delivery_before=before,
        )
        self.frames = self.builder.frames

    def __repr__(self) -> str:
        """Say what long texts and receipts look like."""
        asks = "receipts" if self.asks_receipts else "no receipts"
        return f"<Profile {self.table.base}: {', '.join(self.table.alphabets)}, {self.table.method}, {asks}>"

    @property
    def asks_receipts(self) -> bool:
        """Whether the carrier is asked for receipts at all."""
        return bool(self.table.registered_delivery & RegisteredDelivery.RECEIPT_MASK)

    def count(self, text: str, max_segments: int = SEGMENTS_MAX) -> Count | Refusal:
        """Return alphabet, units and segments of a text; or why it cannot be sent in so many."""
        try:
            counted = self.encoder.count(text)
        except EncodingError as error:
            code = Code.TEXT_NOT_ENCODABLE if isinstance(error, UnencodableError) else Code.TOO_MANY_SEGMENTS
            return Refusal(code, str(error), "text")
        if counted.segments > max_segments:
            reason = f"the text needs {counted.segments} segments, {max_segments} are allowed"
            return Refusal(Code.TOO_MANY_SEGMENTS, reason, "text")
        return counted

    def check_sender(self, sender: str) -> Refusal | None:
        """Return why the carrier cannot send under this sender; None: it can."""
        try:
            return self._senders[sender]
        except KeyError:
            pass
        if len(self._senders) >= self._senders_max:
            self._senders.clear()
        found = _source_or_refusal(self.table, sender)
        self._senders[sender] = refusal = found if isinstance(found, Refusal) else None
        return refusal

    def refusal(self, message: Message | SendRequest) -> Refusal | None:
        """Return why `frames` gives nothing for a message; None: it does not."""
        if (refusal := self.check_sender(message.sender)) is not None:
            return refusal
        counted = self.count(message.text)
        return counted if isinstance(counted, Refusal) else None

    def disposition(self, command_status: int) -> status.Disposition:
        """Return what a command_status of this carrier means."""
        return status.disposition(command_status, self.overrides)


def load(carrier: Carrier, at: str, senders_max: int = SENDERS_MAX) -> Profile:
    """Return the profile of a configured carrier, `at` its path; ConfigError names the key.

    The carrier's TPS, window and timers must lie within what the profile says the operator allows.
    """
    written = table(carrier.profile, join(at, "profile"))
    for key, given, most in (
        ("tps", carrier.tps, written.tps_max),
        ("window", carrier.window, written.window_max),
    ):
        if most and given > most:
            raise ConfigError(f"{join(at, key)}: {given:g}, the profile allows {most:g}")
    asks_ms, least_ms = carrier.timers.enquire_link_ms, written.enquire_link_min_ms
    if 0 < asks_ms < least_ms:
        raise ConfigError(
            f"{join(at, 'timers.enquire_link_ms')}: {asks_ms}, the profile allows from {least_ms}"
        )
    return Profile(written, join(at, "profile"), senders_max)


# ---- what a table means ----


def _named(at: str, make: Callable[[], Any]) -> Any:
    """Return what `make` does, with the path in front of what it complains about."""
    try:
        return make()
    except ConfigError as error:
        message = str(error)
        raise (error if message.startswith(at) else ConfigError(f"{at}: {message}")) from None


def _encoder(table: ProfileTable) -> Encoder:
    return encoder(
        allow=tuple(table.alphabets),
        data_codings=table.alphabets,
        languages=table.languages,
        packing=table.packing,
        max_segments=table.max_segments,
        controls=table.controls,
        **_METHODS[table.method],
    )


def _dialect(receipts: Receipts, at: str) -> Dialect:
    return Dialect(
        id_notation=receipts.id_notation,
        tlv_id=receipts.tlv_id,
        strip_zeros=receipts.strip_zeros,
        fold_case=receipts.fold_case,
        date_formats=receipts.date_formats or DATE_FORMATS,
        submit_zone=_zone(receipts.submit_zone, join(at, "submit_zone")),
        done_zone=_zone(receipts.done_zone, join(at, "done_zone")),
        states=receipts.states,
        accepted_is_final=receipts.accepted_is_final,
        handset_receipts=receipts.handset_receipts,
    )


def _zone(name: str, at: str) -> tzinfo:
    if name == "UTC":
        return UTC
    if offset := fullmatch(r"([+-])(0[0-9]|1[0-4]):([0-5][0-9])", name):
        minutes = int(offset[2]) * 60 + int(offset[3])
        return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise ConfigError(f"{at}: no zone is {name!r}; expected Europe/Moscow, say, or +03:00") from None


def _tlvs(tlvs: Mapping[str, int | str], at: str) -> bytes:
    """Return the octets of all TLVs."""
    rows = [(_tag(key, join(at, key)), value, join(at, key)) for key, value in tlvs.items()]
    octets = b""
    for tag, value, path in rows:
        known = TLVS.get(tag)
        wants_number = known is not None and known.kind == INTEGER
        if wants_number != isinstance(value, int):
            expected = "a number" if wants_number else "text, or octets as 'hex:0a0b'"
            raise ConfigError(f"{path}: expected {expected}, got {type(value).__name__}")
        try:
            octets += SubmitTemplate(
                tlvs=[(tag, value if isinstance(value, int) else _octets(value))]
            ).tlv_octets
        except (DispatcherError, ValueError) as error:
            raise ConfigError(f"{path}: {error}") from None
    return octets


def _tag(key: str, at: str) -> int:
    if key in TLV_TAG:
        tag = TLV_TAG[key]
    elif fullmatch(r"0x[0-9a-fA-F]{1,4}", key):
        tag = int(key, 16)
    else:
        raise ConfigError(
            f"{at}: neither a TLV of SMPP 3.4 nor a number like 0x1400{did_you_mean(key, TLV_TAG)}"
        )
    if tag in _OURS:
        raise ConfigError(f"{at}: it differs from message to message: `method` decides about it")
    return tag


def _octets(value: str) -> bytes:
    return bytes.fromhex(value.removeprefix("hex:")) if value.startswith("hex:") else value.encode("utf-8")


# ---- senders ----


def _source(table: ProfileTable, sender: str) -> bytes:
    """Return the octets from service_type to source_addr; none where the sender is not possible."""
    found = _source_or_refusal(table, sender)
    if isinstance(found, Refusal):
        return b""
    return b"%s\0%c%c%s\0" % (table.service_type.encode("ascii"), found.ton, found.npi, found.octets)


def _source_or_refusal(table: ProfileTable, sender: str) -> Address | Refusal:
    try:
        address = classify(sender)
    except LocalProtocolError as error:
        return _no_sender(str(error))
    kind = _KINDS[address.ton]
    if kind not in table.senders:
        return _no_sender(f"this carrier takes no {kind.replace('_', ' ')} as sender")
    row = {"name": table.name, "short_code": table.short_code, "number": table.number}[kind]
    octets = address.octets
    if kind == "name":
        if table.name_encoding == "ascii" and not sender.isascii():
            return _no_sender("this carrier takes only ASCII in names")
        if table.name_encoding == "gsm7":
            octets = bytes(GSM_DEFAULT.index(character) for character in sender)
            if 0 in octets:
                return _no_sender("'@' is 0 in the names of this carrier, and would end them")
    return Address(row.ton, row.npi, octets)


def _no_sender(reason: str) -> Refusal:
    return Refusal(Code.SENDER_NOT_POSSIBLE, reason, "sender")
