"""What a carrier's receipts need to be read right: notation of ids, dates and zones, words of state.

Law: a dialect is data. It never decides whether a message was delivered; it says what the carrier's words
mean. Plan: one frozen value a carrier, checked when it is made, so that reading a receipt cannot fail.

Ids. The id of submit_sm_resp and the id in a receipt's text may be the same number in two notations
(38601fa and 0059113978). Both sides are brought to one *key*; ids themselves are kept as they came, and a
number is made only for the key: ids may be UUIDs or have 20 digits. The receipted_message_id TLV repeats the
id of the response (all recorded carriers), whatever the text says; ``tlv_id`` is for those that differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final

from dispatcher._ext.receipt import key, local_seconds
from dispatcher.errors import ConfigError

SCHEDULED, ENROUTE, DELIVERED, EXPIRED, DELETED, UNDELIVERABLE, ACCEPTED, UNKNOWN, REJECTED, SKIPPED = range(
    10
)
"""message_state, SMPP 3.4 5.2.28; SCHEDULED and SKIPPED are 5.0's."""

STATE_WORDS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "SCHEDULED": SCHEDULED,
        "ENROUTE": ENROUTE,
        "DELIVRD": DELIVERED,
        "EXPIRED": EXPIRED,
        "DELETED": DELETED,
        "UNDELIV": UNDELIVERABLE,
        "ACCEPTD": ACCEPTED,
        "UNKNOWN": UNKNOWN,
        "REJECTD": REJECTED,
        "SKIPPED": SKIPPED,
    }
)
"""The words of a receipt's ``stat`` by the standard; in this order they are also the names of the states."""

USUAL_WORDS: Final[Mapping[str, int]] = MappingProxyType(
    {
        # Buffered or acknowledged on the way (Kannel's list): nothing final.
        "BUFFRED": ENROUTE,
        "BUFFERD": ENROUTE,
        "BUFFERED": ENROUTE,
        "ACKED": ENROUTE,
        # Refused for want of credit: never sent on.
        "NOCRED": REJECTED,
        # The standard's states written out.
        "DELIVERED": DELIVERED,
        "UNDELIVERABLE": UNDELIVERABLE,
        "UNDELIVERED": UNDELIVERABLE,
        "ACCEPTED": ACCEPTED,
        "REJECTED": REJECTED,
    }
)
"""Words outside the standard whose meaning is beyond doubt. FAILED and SYSERR are not: one carrier tries on,
another does not. They read as UNKNOWN, marked unmapped, until the carrier's dialect says what they mean."""

DATE_FORMATS: Final = ("YYMMDDhhmm", "YYMMDDhhmmss", "YYYYMMDDhhmm", "YYYYMMDDhhmmss")
"""Tried in this order; the first that gives a real date counts. 12 digits can be a date in both of the middle
ones (200101010030): a carrier that means the other says so."""

_NOTATIONS: Final = {
    # name: (base of the response's id, base of the id in a receipt's text); 0: not a number
    "as_is": (0, 0),
    "response_hex": (16, 10),
    "receipt_hex": (10, 16),
    "both_hex": (16, 16),
}
_TLV_IDS: Final = ("response", "receipt")
_FINAL: Final = frozenset({DELIVERED, EXPIRED, DELETED, UNDELIVERABLE, REJECTED, SKIPPED})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one carrier writes its receipts. The default fits the letter of SMPP 3.4."""

    id_notation: str = "as_is"
    """as_is; response_hex: hexadecimal in submit_sm_resp, decimal in the receipt; receipt_hex; both_hex."""
    tlv_id: str = "response"
    """Whose notation the receipted_message_id TLV has: response or receipt (its text)."""
    strip_zeros: bool = False
    """Zeros in front of an id that is not read as a number mean nothing."""
    fold_case: bool = False
    """Capital and small letters of an id that is not read as a number mean the same."""
    date_formats: tuple[str, ...] = DATE_FORMATS
    """Y M D h m s for one digit each, anything else for itself."""
    submit_zone: tzinfo = UTC
    """Of ``submit date``; a fixed offset or a ``zoneinfo.ZoneInfo``."""
    done_zone: tzinfo = UTC
    """Of ``done date``; some carriers use two."""
    states: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Words of ``stat`` → message_state, on top of the standard's and the usual ones; may override them."""
    accepted_is_final: bool = False
    """ACCEPTD mostly means taken by the next carrier; by the letter of 5.0 it is final. Never delivered."""
    handset_receipts: bool = True
    """False: DELIVRD says only that the SMSC has the message, so it must not be reported as delivered."""

    _words: Mapping[bytes, int] = field(init=False, repr=False, compare=False)
    _patterns: tuple[bytes, ...] = field(init=False, repr=False, compare=False)
    _bases: tuple[int, int] = field(init=False, repr=False, compare=False)
    _flags: int = field(init=False, repr=False, compare=False)
    _offsets_s: tuple[int | None, int | None] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_choice("id_notation", self.id_notation, tuple(_NOTATIONS))
        _check_choice("tlv_id", self.tlv_id, _TLV_IDS)
        if not self.date_formats:
            raise ConfigError(f"date_formats is empty; expected one or more like {DATE_FORMATS[0]!r}")
        for date_format in self.date_formats:
            _check_date_format(date_format)
        for name, zone in (("submit_zone", self.submit_zone), ("done_zone", self.done_zone)):
            if not isinstance(zone, tzinfo):
                raise ConfigError(f"{name} is {zone!r}; expected a datetime.timezone or a zoneinfo.ZoneInfo")
        words = {word.encode(): state for word, state in {**STATE_WORDS, **USUAL_WORDS}.items()}
        for word, state in self.states.items():
            words[_check_word(word, state)] = state
        own = object.__setattr__
        own(self, "states", MappingProxyType(dict(self.states)))
        own(self, "_words", words)
        own(self, "_patterns", tuple(date_format.encode("ascii") for date_format in self.date_formats))
        own(
            self,
            "_offsets_s",
            (_fixed_offset_seconds(self.submit_zone), _fixed_offset_seconds(self.done_zone)),
        )
        own(self, "_bases", _NOTATIONS[self.id_notation])
        own(self, "_flags", self.fold_case * 1 + self.strip_zeros * 2)  # KEY_FOLD_CASE, KEY_STRIP_ZEROS

    def key_of_response(self, message_id: bytes) -> bytes:
        """Return the look-up key of a message_id from submit_sm_resp."""
        return key(message_id, self._bases[0], self._flags)

    def key_of_receipt(self, message_id: bytes, from_tlv: bool = False) -> bytes:
        """Return the look-up key of an id from a receipt: from its text, or from receipted_message_id."""
        return key(message_id, self._bases[0 if from_tlv and self.tlv_id == "response" else 1], self._flags)

    @property
    def notation(self) -> tuple[int, int, int, int]:
        """Bases of the ids in a response, in a receipt's text and in its TLV, and the flags of `key`."""
        response, receipt = self._bases
        return response, receipt, response if self.tlv_id == "response" else receipt, self._flags

    @property
    def words(self) -> Mapping[bytes, int]:
        """Every word of ``stat`` that is understood, in capitals, and its message_state."""
        return self._words

    def state_of(self, stat: bytes) -> int | None:
        """Return the message_state that a word of ``stat`` means, in any case; None: it is unmapped."""
        return self._words.get(stat.upper())

    def is_final(self, state: int | None, intermediate: bool = False) -> bool:
        """Whether nothing better will follow. UNKNOWN is not final: a later receipt or a timer decides."""
        if intermediate:
            return False
        return state in _FINAL or (state == ACCEPTED and self.accepted_is_final)

    def submit_seconds(self, date: bytes) -> int | None:
        """Return a ``submit date`` in seconds from 1970 UTC; None where it fits no format."""
        return self._seconds(date, self._offsets_s[0], self.submit_zone)

    def done_seconds(self, date: bytes) -> int | None:
        """Return a ``done date`` in seconds from 1970 UTC; None where it fits no format."""
        return self._seconds(date, self._offsets_s[1], self.done_zone)

    def _seconds(self, date: bytes, offset_s: int | None, zone: tzinfo) -> int | None:
        for pattern in self._patterns:
            local = local_seconds(date, pattern)
            if local is not None:
                return local - (_offset_seconds(local, zone) if offset_s is None else offset_s)
        return None


def _fixed_offset_seconds(zone: tzinfo) -> int | None:
    return int(zone.utcoffset(None).total_seconds()) if isinstance(zone, timezone) else None


def _offset_seconds(local: int, zone: tzinfo) -> int:
    naive = (_EPOCH + timedelta(seconds=local)).replace(tzinfo=None)
    offset = zone.utcoffset(naive)
    return 0 if offset is None else int(offset.total_seconds())


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        close = get_close_matches(str(value), choices, 1, 0.5)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ConfigError(f"{name} is {value!r}; expected one of {', '.join(choices)}{hint}")


def _check_date_format(date_format: str) -> None:
    counts = {letter: date_format.count(letter) for letter in "YMDhms"}
    whole = counts["Y"] in (2, 4) and counts["s"] in (0, 2) and all(counts[letter] == 2 for letter in "MDhm")
    if not whole or len(date_format) > 32 or not date_format.isascii():
        raise ConfigError(
            f"date format {date_format!r}: expected YY or YYYY, MM, DD, hh, mm and perhaps ss, "
            f"like {DATE_FORMATS[0]!r} or 'YYYY-MM-DD hh:mm:ss'"
        )


def _check_word(word: str, state: int) -> bytes:
    if not word.isascii() or word != word.strip() or not word or any(octet.isspace() for octet in word):
        raise ConfigError(f"state word {word!r}: expected ASCII letters without blanks, like 'FAILED'")
    if state not in range(10):
        raise ConfigError(f"state of {word!r} is {state!r}; expected a message_state from 0 to 9")
    return word.upper().encode("ascii")


DEFAULT: Final = Dialect()
