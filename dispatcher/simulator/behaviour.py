"""How an account of the simulated SMSC behaves: frozen values, the defaults of which are a perfect SMSC.

Law: behaviour is data. Whatever can go wrong is a field here or a rule of `mischief`; nothing here acts.
Files and patches become these values in `settings.py`; `schema` there describes them to a machine.
"""

import random
from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct, field

from dispatcher.smpp.constants import CommandStatus
from dispatcher.smpp.dialect import STATE_WORDS

NANOSECONDS_PER_MS: Final = 1_000_000

Share: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Natural: TypeAlias = Annotated[int, Meta(ge=0)]
Milliseconds: TypeAlias = Annotated[float, Meta(ge=0, le=86_400_000)]
StatusWord: TypeAlias = int | str
"""A command_status: 88, "0x58", "ESME_RTHROTTLED" or "RTHROTTLED"."""

_STATUSES: Final = {name: value for name, value in vars(CommandStatus).items() if name.startswith("ESME_")}


def status_code(word: StatusWord) -> int:
    """Return the number of a command_status; ValueError."""
    if isinstance(word, str):
        number = _STATUSES.get(word, _STATUSES.get(f"ESME_{word}"))
        if number is None:
            try:
                number = int(word, 0)
            except ValueError:
                raise ValueError(
                    f"{word!r} is no command_status: a number or a name like RTHROTTLED"
                ) from None
    else:
        number = word
    if not 0 <= number <= 0xFFFFFFFF:
        raise ValueError(f"{word!r} is no command_status: it has 32 bits")
    return number


# ---- distributions ----


class Constant(Struct, frozen=True, forbid_unknown_fields=True, tag="constant", tag_field="kind"):
    """Always the same."""

    ms: Milliseconds


class Uniform(Struct, frozen=True, forbid_unknown_fields=True, tag="uniform", tag_field="kind"):
    """Anything from low to high."""

    low_ms: Milliseconds
    high_ms: Milliseconds

    def __post_init__(self) -> None:
        if self.high_ms < self.low_ms:
            raise ValueError("high_ms is at least low_ms")


class Normal(Struct, frozen=True, forbid_unknown_fields=True, tag="normal", tag_field="kind"):
    """The bell; never below 0."""

    mean_ms: Milliseconds
    deviation_ms: Milliseconds


class Lognormal(Struct, frozen=True, forbid_unknown_fields=True, tag="lognormal", tag_field="kind"):
    """A median with a long tail: how networks answer. `sigma` 0.5 puts the 99th percentile at 3.2 medians."""

    median_ms: Milliseconds
    sigma: Annotated[float, Meta(ge=0, le=5)] = 0.5


class Percentiles(Struct, frozen=True, forbid_unknown_fields=True, tag="percentiles", tag_field="kind"):
    """What was measured: {"50" = 20, "99" = 300, "100" = 2000}; straight lines between, and down to 0."""

    points: dict[str, Milliseconds]

    def __post_init__(self) -> None:
        values = [ms for _, ms in self.sorted()]
        if not values or self.sorted()[-1][0] != 100 or values != sorted(values):
            raise ValueError('points rise from percentile to percentile and end with "100"')

    def sorted(self) -> list[tuple[float, float]]:
        """Return (percentile, ms), the least first."""
        points = sorted((float(percentile), ms) for percentile, ms in self.points.items())
        if any(not 0 <= percentile <= 100 for percentile, _ in points):
            raise ValueError("a percentile is 0 to 100")
        return points


Distribution: TypeAlias = Constant | Uniform | Normal | Lognormal | Percentiles
Delay: TypeAlias = Milliseconds | Distribution
"""A bare number is a constant."""


def constant_ns(delay: Delay) -> int | None:
    """Return the delay where it is always the same, else None."""
    if isinstance(delay, Constant):
        return int(delay.ms * NANOSECONDS_PER_MS)
    return int(delay * NANOSECONDS_PER_MS) if isinstance(delay, int | float) else None


def sample_ns(delay: Delay, rng: random.Random) -> int:
    """Draw one delay. A constant takes nothing from the generator."""
    match delay:
        case Constant(ms=value):
            ms = value
        case Uniform(low_ms=low, high_ms=high):
            ms = rng.uniform(low, high)
        case Normal(mean_ms=mean, deviation_ms=deviation):
            ms = max(0.0, rng.gauss(mean, deviation))
        case Lognormal(median_ms=median, sigma=sigma):
            ms = median * rng.lognormvariate(0, sigma)
        case Percentiles():
            ms = _between(delay.sorted(), rng.random() * 100)
        case _:
            ms = delay
    return int(ms * NANOSECONDS_PER_MS)


def _between(points: list[tuple[float, float]], percentile: float) -> float:
    below = (0.0, 0.0)
    for point in points:
        if percentile <= point[0]:
            rise = (percentile - below[0]) / (point[0] - below[0]) if point[0] > below[0] else 1.0
            return below[1] + rise * (point[1] - below[1])
        below = point
    return points[-1][1]


# ---- the parts of a behaviour ----


class MessageId(Struct, frozen=True, forbid_unknown_fields=True):
    """How messages are numbered. The notations are decimal, hex (HEX: capitals), uuid; and the bad ones."""

    notation: Literal["decimal", "hex", "HEX", "uuid", "empty", "missing", "long"] = "decimal"
    """empty: one NUL; missing: no body; long: 80 digits, 64 are allowed."""
    receipt_notation: Literal["same", "decimal", "hex", "HEX"] = "same"
    """In a receipt's text: the carrier that answers in hex and reports in decimal."""
    tlv_notation: Literal["response", "receipt"] = "response"
    width: Annotated[int, Meta(ge=0, le=60)] = 10
    """Zeros in front up to so many digits, in both."""
    first: Annotated[int, Meta(ge=0, le=1 << 62)] = 1
    repeat_every: Natural = 0
    """Above 0: ids begin again after so many, as those of a small SMSC do."""


class Dialect(Struct, frozen=True, forbid_unknown_fields=True):
    """How receipts are written. The default is the letter of SMPP 3.4, appendix B, with its TLVs."""

    text: str = (
        "id:{id} sub:{sub} dlvrd:{dlvrd} submit date:{submit} done date:{done} "
        "stat:{stat} err:{err} text:{text}"
    )
    """Any order, case and words; "" for none. Braces stand around one of RECEIPT_FIELDS."""
    submit_format: str = "YYMMDDhhmm"
    done_format: str = "YYMMDDhhmm"
    zone_minutes: Annotated[int, Meta(ge=-1440, le=1440)] = 0
    """East of UTC, for both dates."""
    states: dict[str, str] = {}
    """Other words for the standard's: {"DELIVRD": "delivered"}."""
    errors: dict[str, str] = field(default_factory=lambda: {"DELIVRD": "000", "*": "001"})
    """`err` by state; "*" is any other."""
    id_tlv: bool = True
    state_tlv: bool = True
    network_error_tlv: str = ""
    """The octets of network_error_code in hexadecimal, "03002a" say; "": none."""
    message_payload: bool = False
    """The text goes into the TLV and short_message is empty."""
    esm_class: Annotated[int, Meta(ge=0, le=255)] = 0x04
    """0 leaves the mark of a receipt out."""
    swap_addresses: bool = True
    """By the standard a receipt comes from the number that the message went to; some carriers do not swap."""
    text_octets: Annotated[int, Meta(ge=0, le=255)] = 20

    def __post_init__(self) -> None:
        for name, value in (("text", self.text), ("states", "".join(self.states.values()))):
            if not value.isascii():
                raise ValueError(f"{name} is ASCII")
        try:
            self.text.format_map(dict.fromkeys(RECEIPT_FIELDS, ""))
            bytes.fromhex(self.network_error_tlv)
        except (KeyError, ValueError, IndexError, AttributeError, TypeError) as error:
            raise ValueError(f"braces stand around one of {', '.join(RECEIPT_FIELDS)}: {error}") from None
        _known_states(self.states)


RECEIPT_FIELDS: Final = ("id", "sub", "dlvrd", "submit", "done", "stat", "err", "text")


def _known_states(words: dict[str, str] | dict[str, float]) -> None:
    for word in words:
        if word not in STATE_WORDS:
            raise ValueError(f"{word!r} is no state: one of {', '.join(STATE_WORDS)}")


class Receipts(Struct, frozen=True, forbid_unknown_fields=True):
    """Which receipts come, when, where and how often."""

    share: Share = 1.0
    """Of the accepted messages that asked for one; the others are missing."""
    only_if_asked: bool = True
    """registered_delivery decides. False: all get one."""
    delay_ms: Delay = 0
    states: dict[str, Annotated[float, Meta(ge=0)]] = field(default_factory=lambda: {"DELIVRD": 1.0})
    """Weights of the final states."""
    before_response: Share = 0.0
    """These are on the wire before their response."""
    bind: Literal["same", "other", "any"] = "same"
    """other: never the bind that brought the message, if the account has a second one to receive."""
    duplicate: Share = 0.0
    copies: Annotated[int, Meta(ge=1, le=100)] = 1
    """How many more a duplicated one gets."""
    intermediate: Share = 0.0
    """These get an ENROUTE, esm_class 0x20, first."""
    intermediate_after: bool = False
    """...or behind the final one, which makes it worthless."""
    contradict: Share = 0.0
    """These get a second final state, another one, right behind."""
    unknown: Share = 0.0
    """These are preceded by a receipt for an id that nobody was given."""
    window: Annotated[int, Meta(ge=1, le=65_536)] = 1000
    """Unanswered deliver_sm of a bind; a greater one takes effect with the next connection."""
    resend_after_ms: Annotated[int, Meta(ge=10, le=86_400_000)] = 30_000
    """Unanswered or refused: sent again after so long."""
    resend_max: Natural = 10
    waiting_max: Annotated[int, Meta(ge=1)] = 1_000_000
    """Receipts not yet delivered, about 300 octets each; more are dropped and counted: carriers purge."""
    dialect: Dialect = Dialect()

    def __post_init__(self) -> None:
        _known_states(self.states)
        if not sum(self.states.values()) > 0:
            raise ValueError("states has a weight above 0")


class Binding(Struct, frozen=True, forbid_unknown_fields=True):
    """What happens to a bind."""

    refuse: StatusWord = 0
    """Refuse with this status, if not 0."""
    refuse_share: Share = 1.0
    refuse_first: Natural = 0
    """Above 0: refuse only so many, counted for the account, then accept."""
    silent: bool = False
    """Never answer it."""
    latency_ms: Milliseconds = 0
    binds_max: Natural = 0
    """More binds than this (0: any number) are refused as ESME_RALYBND."""
    close_after_ms: Annotated[float, Meta(ge=-1)] = -1
    """Close so long after the bind, again and again: flapping. -1: never."""
    close_abruptly: bool = False
    """...by RST."""

    def __post_init__(self) -> None:
        status_code(self.refuse)


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """One misbehaviour, and when. Kinds and what they do stand in `mischief.py`."""

    kind: str
    on: Literal["response", "receipt", "bind"] = "response"
    """What it happens to: submit_sm_resp, deliver_sm, or the bind response."""
    share: Share = 1.0
    after: Natural = 0
    """Leave so many alone first."""
    times: Natural = 0
    """Then happen so often; 0: for ever."""
    at_byte: Annotated[int, Meta(ge=-1)] = -1
    """Where a PDU is cut; -1: anywhere."""
    status: StatusWord = 0x08
    command: Annotated[int, Meta(ge=0, le=0xFFFFFFFF)] = 0
    length: str = "+1"
    """A command_length: "0x7FFFFFFF", or by how much it lies: "+3", "-1"."""
    octets: str = ""
    """Hexadecimal; "": random ones."""
    span: Annotated[int, Meta(ge=2, le=10_000)] = 10
    """How many are reordered together."""

    def __post_init__(self) -> None:
        status_code(self.status)
        int(self.length, 0)
        bytes.fromhex(self.octets)


class Behaviour(Struct, frozen=True, forbid_unknown_fields=True):
    """All about one account."""

    password: str = ""
    """"" accepts any."""
    interface_version: Literal[0x33, 0x34] = 0x34
    """0x33: no TLVs, neither in bind responses nor in receipts."""
    latency_ms: Delay = 0
    tps: Annotated[float, Meta(ge=0)] = 0
    """Above 0: no more in any span of a second, over all binds; the rest gets `throttle_status`."""
    throttle_status: StatusWord = 0x58
    window: Natural = 0
    """Above 0: unanswered submit_sm of a bind; more get `window_status`."""
    window_status: StatusWord = 0x58
    errors: dict[str, Share] = {}
    """command_status -> share of the answers."""
    errors_to: dict[str, dict[str, Share]] = {}
    """The same for destinations that begin so: {"7900" = {"RMSGQFUL" = 1.0}}. The longest match counts."""
    stall: bool = False
    """Take submit_sm, answer nothing and report nothing, until it ends: then answer late."""
    reading: bool = True
    """False: the TCP window closes."""
    half_open: bool = False
    """Neither read nor write, and never close."""
    answer_enquire_link: bool = True
    bytes_per_s: Natural = 0
    """Above 0: both ways."""
    enquire_per_s: Annotated[int, Meta(ge=0, le=100_000)] = 0
    inactivity_ms: Natural = 0
    """Above 0: silence for so long and the SMSC closes."""
    message_id: MessageId = MessageId()
    receipts: Receipts = Receipts()
    bind: Binding = Binding()
    mischief: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        for errors in (self.errors, *self.errors_to.values()):
            for word in errors:
                status_code(word)
            if sum(errors.values()) > 1.000001:
                raise ValueError("the shares of errors add up to at most 1")
        status_code(self.throttle_status)
        status_code(self.window_status)
