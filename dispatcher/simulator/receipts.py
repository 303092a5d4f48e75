"""Making receipts: message ids in their notations, and receipts in a carrier's dialect.

Law: a dialect is data and the generator is given. What is the same for many receipts (state, dates to the
second) is made once, as a `ReceiptForm`; the compiled form then writes each receipt in one go.
"""

import random
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from dispatcher._ext.pdu import Pdu, decode, encode
from dispatcher._ext.smsc import ID, TEXT, Receipt, ReceiptForm, message_ids
from dispatcher.simulator.behaviour import Dialect, MessageId, Receipts
from dispatcher.smpp.constants import Command, EsmClass, Tlv
from dispatcher.smpp.dialect import STATE_WORDS

FORMS_MAX: Final = 4096
"""Forms kept: states times the seconds over which receipts are spread; then all are made anew."""

_BASES: Final = {"decimal": (10, False), "hex": (16, False), "HEX": (16, True)}
_WORDS: Final = {state: word for word, state in STATE_WORDS.items()}
_DATE: Final = re.compile("YYYY|YY|MM|DD|hh|mm|ss")
_STRFTIME: Final = {"YYYY": "%Y", "YY": "%y", "MM": "%m", "DD": "%d", "hh": "%H", "mm": "%M", "ss": "%S"}


class Ids(NamedTuple):
    """The ids of a batch: in the responses, in the text of receipts, in their TLV."""

    response: list[bytes]
    text: list[bytes]
    tlv: list[bytes]


class Numbering:
    """Numbers the messages of an account."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._taken = 0

    def take(self, how: MessageId, count: int) -> Ids:
        """Return the next ids."""
        ids: list[bytes] = []
        receipt_ids: list[bytes] = []
        while len(ids) < count:  # in pieces where the numbering begins again
            offset = self._taken % how.repeat_every if how.repeat_every else self._taken
            some = count - len(ids)
            if how.repeat_every:
                some = min(some, how.repeat_every - offset)
            response, text = self._some(how, how.first + offset, some)
            ids += response
            receipt_ids += text
            self._taken += some
        return Ids(ids, receipt_ids, ids if how.tlv_notation == "response" else receipt_ids)

    def _some(self, how: MessageId, first: int, count: int) -> tuple[list[bytes], list[bytes]]:
        match how.notation:
            case "uuid":
                ids = [
                    str(uuid.UUID(int=self._rng.getrandbits(128), version=4)).encode() for _ in range(count)
                ]
                return ids, ids
            case "empty" | "missing":
                ids = [b""] * count
            case "long":
                ids = [each.rjust(80, b"9") for each in message_ids(first, count)]
            case _:
                base, upper = _BASES[how.notation]
                ids = message_ids(first, count, base, how.width, upper)
        if how.receipt_notation == "same":
            return ids, ids
        base, upper = _BASES[how.receipt_notation]
        return ids, message_ids(first, count, base, how.width, upper)


class Writer:
    """Writes the receipts of an account, whose settings it is made of."""

    def __init__(self, settings: Receipts, tlvs: bool, rng: random.Random) -> None:
        self._settings = settings
        self._dialect = settings.dialect
        self._tlvs = tlvs
        self._rng = rng
        self._forms: dict[tuple[int, int, int, bool], ReceiptForm] = {}
        words = [(STATE_WORDS[word], weight) for word, weight in settings.states.items() if weight > 0]
        self._states = [state for state, _ in words]
        self._weights = [weight for _, weight in words]
        self._pieces = [piece for piece in re.split(r"(\{\w+\})", self._dialect.text) if piece]

    @property
    def only_state(self) -> int | None:
        """The state that all receipts have, if that is so."""
        return self._states[0] if len(self._states) == 1 else None

    def draw_state(self) -> int:
        """Return a final state."""
        if len(self._states) == 1:
            return self._states[0]
        return self._rng.choices(self._states, self._weights)[0]

    def other_state(self, state: int) -> int:
        """Return a final state that contradicts."""
        return STATE_WORDS["UNDELIV"] if state == STATE_WORDS["DELIVRD"] else STATE_WORDS["DELIVRD"]

    def form(self, state: int, submitted_s: int, done_s: int, intermediate: bool = False) -> ReceiptForm:
        """Return the form of receipts with this state and these dates (seconds from 1970)."""
        key = (state, submitted_s, done_s, intermediate)
        form = self._forms.get(key)
        if form is None:
            if len(self._forms) >= FORMS_MAX:
                self._forms.clear()
            form = self._forms[key] = self._make(state, submitted_s, done_s, intermediate)
        return form

    def _make(self, state: int, submitted_s: int, done_s: int, intermediate: bool) -> ReceiptForm:
        dialect = self._dialect
        word = _WORDS[state]
        values = {
            "{sub}": "001",
            "{dlvrd}": "001" if word == "DELIVRD" else "000",
            "{submit}": written_date(dialect, dialect.submit_format, submitted_s),
            "{done}": written_date(dialect, dialect.done_format, done_s),
            "{stat}": dialect.states.get(word, word),
            "{err}": dialect.errors.get(word, dialect.errors.get("*", "000")),
        }
        places = {"{id}": ID, "{text}": TEXT}
        pieces: list[bytes | int] = [
            places[piece] if piece in places else values.get(piece, piece).encode("ascii")
            for piece in self._pieces
        ]
        tlvs = b""
        if self._tlvs and dialect.network_error_tlv:
            error = bytes.fromhex(dialect.network_error_tlv)
            tlvs += _tlv(Tlv.NETWORK_ERROR_CODE, error)
        if self._tlvs and dialect.state_tlv:
            tlvs += _tlv(Tlv.MESSAGE_STATE, bytes([state]))
        esm_class = dialect.esm_class
        if intermediate:
            esm_class = (esm_class & ~EsmClass.TYPE_MASK) | EsmClass.INTERMEDIATE_NOTIFICATION
        return ReceiptForm(
            tuple(pieces),
            state=state,
            tlvs=tlvs,
            esm_class=esm_class,
            id_tlv=self._tlvs and dialect.id_tlv,
            swap=dialect.swap_addresses,
            payload=dialect.message_payload,
            text_octets=dialect.text_octets,
        )


def parties(receipt: Receipt, dialect: Dialect) -> tuple[bytes, bytes]:
    """Return the addresses of the message that a receipt is about: from whom, to whom."""
    pdu = decode(receipt.frame)
    found = (pdu.source_addr, pdu.destination_addr)
    return found[::-1] if dialect.swap_addresses else found


def restated(receipt: Receipt, dialect: Dialect, state: int) -> Receipt:
    """Return a receipt that tells another state."""
    pdu = decode(receipt.frame)
    words = [_WORDS[receipt.state], _WORDS[state]]
    old, new = [dialect.states.get(word, word).encode("ascii") for word in words]
    tlvs: list[tuple[int, int | bytes]] = []
    for tag, value in pdu.tlvs:
        if tag == Tlv.MESSAGE_PAYLOAD and isinstance(value, bytes):
            value = value.replace(old, new, 1)
        tlvs.append((tag, state if tag == Tlv.MESSAGE_STATE else value))
    fields = {**pdu.fields, "short_message": pdu.short_message.replace(old, new, 1)}
    return Receipt(encode(Pdu(Command.DELIVER_SM, 1, 0, tlvs, **fields)), receipt.record, state)


def written_date(dialect: Dialect, form: str, seconds: int) -> str:
    """Return seconds from 1970 in a form like YYMMDDhhmm and the dialect's zone."""
    when = datetime.fromtimestamp(seconds, UTC) + timedelta(minutes=dialect.zone_minutes)
    return _DATE.sub(lambda found: when.strftime(_STRFTIME[found[0]]), form)


def _tlv(tag: int, value: bytes) -> bytes:
    return tag.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value


def message(
    source: str,
    destination: str,
    text: bytes,
    *,
    esm_class: int = 0,
    data_coding: int = 0,
    payload: bool = False,
) -> Receipt:
    """Return a deliver_sm that some subscriber sent (MO); LocalProtocolError."""
    tlvs = [(Tlv.MESSAGE_PAYLOAD, text)] if payload or len(text) > 254 else []
    pdu = Pdu(
        Command.DELIVER_SM,
        1,
        0,
        tlvs,
        source_addr_ton=1,
        source_addr_npi=1,
        source_addr=source.encode("ascii"),
        dest_addr_ton=1,
        dest_addr_npi=1,
        destination_addr=destination.encode("ascii"),
        esm_class=esm_class,
        data_coding=data_coding,
        short_message=b"" if tlvs else text,
    )
    return Receipt(encode(pdu))
