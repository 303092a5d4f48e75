"""The nouns as values: what is asked for, what was accepted, what happened to it.

Values have no behaviour and never change. Times are integers: `_ms` are milliseconds of UTC from 1970. A
message goes by its number `n` inside the house, from 1 upward in order of acceptance, and by its `message_id`
outside: a UUIDv7 whose last 40 bits are `n`, so that either finds the other.
"""

from enum import IntEnum
from typing import Final, NamedTuple

import msgspec


class TrafficClass(IntEnum):
    """What the carriers tariff, and what we schedule by: the lower the number, the sooner."""

    AUTHORIZATION = 0
    TRANSACTIONAL = 1
    SERVICE = 2
    MARKETING = 3


class Outcome(IntEnum):
    """The one final state of a message. Of several segments, the highest counts."""

    DELIVERED = 1
    UNKNOWN = 2
    EXPIRED = 3
    UNDELIVERED = 4
    REJECTED = 5
    CANCELLED = 6


class Reason(IntEnum):
    """Why an outcome is what it is; with a refusal, the command_status stands in the event before it."""

    RECEIPT = 1
    """The carrier's receipts say so."""
    DEADLINE = 2
    """Its deadline passed before it could be sent."""
    REFUSED = 3
    """The carrier refused it for good, or every carrier did."""
    NO_RECEIPT = 4
    """Sent, and no receipt came before the receipt timer."""
    NO_SMSC_MESSAGE_ID = 5
    """Sent, and answered without an id: no receipt can be matched."""
    UNANSWERED = 6
    """Written, never answered, and its class does not send twice, or did so already."""
    ATTEMPTS = 7
    """As many attempts as its class allows."""
    NO_CARRIER = 8
    """No carrier of its route is configured any more."""
    CANCELLED = 9
    """The sender took it back in time."""
    OUR_BUG = 10
    """The carrier says that our PDU is wrong; it is kept for a human."""
    NO_RECEIPT_ASKED = 11
    """Sent to a carrier whose profile asks for no receipts."""


class EventKind(IntEnum):
    """One fact about a message; of `Event` the fields that it uses beside n and at_ms."""

    CLAIMED = 1
    """A segment may be written from now on. segment, carrier, code = attempt, from 1; tail = two octets:
    segments of the message, traffic_class."""
    SUBMITTED = 2
    """submit_sm_resp said ESME_ROK. segment, carrier, tail = smsc_message_id as it came, code = late << 16 |
    segments of the message << 8 | traffic_class; late: it came after UNANSWERED."""
    REFUSED = 3
    """submit_sm_resp said no. segment, carrier, code = command_status."""
    UNANSWERED = 4
    """Nothing came back in time, or the connection broke. segment, carrier."""
    UNSENT = 5
    """It never left after all. segment, carrier, code = attempts that count."""
    RETRY = 6
    """It will be sent again, not before a time. segment, carrier, tail = that time, 8 octets as in Event."""
    RECEIPTED = 7
    """A receipt came. segment, carrier, code = message_state, + 256 for an intermediate notification, tail =
    the carrier's error as it came."""
    FINISHED = 8
    """The outcome. carrier = the last one, code = outcome << 16 | reason."""
    CORRECTED = 9
    """A later receipt says otherwise: the outcome is now this. As FINISHED."""
    PARKED = 10
    """A receipt that matches nothing yet. n = 0, carrier, code as RECEIPTED, tail = key of its id; if the
    carrier gave an error: NUL and that."""
    ORPHANED = 11
    """A parked receipt that nothing came for. As PARKED."""
    REROUTED = 12
    """All its segments go to another carrier from now on. carrier = that one, tail as CLAIMED."""
    FAILED = 13
    """One of several segments ended without a final receipt. segment, carrier, code as FINISHED, tail = one
    octet: segments of the message."""


WHOLE: Final = 255
"""As `segment` of an event: the whole message."""


class Event(NamedTuple):
    """One fact: never changed, only followed by others.

    In the journal: octets 0 kind, 1 segment, 2-3 carrier, 4-7 code, 8-15 n, 16-23 at_ms, 24 length of the
    tail, then the tail; little-endian.
    """

    kind: int
    segment: int
    carrier: int
    code: int
    n: int
    at_ms: int
    tail: bytes

    def __str__(self) -> str:
        """Say it to a person: no number, no text."""
        said = f"message {self.n} {EventKind(self.kind).name.lower()}"
        if self.kind in (EventKind.FINISHED, EventKind.CORRECTED, EventKind.FAILED):
            said += f": {Outcome(self.code >> 16).name.lower()} ({Reason(self.code & 0xFFFF).name.lower()})"
        if self.segment != WHOLE:
            said += f", segment {self.segment}"
        return said + (f", carrier {self.carrier}" if self.carrier else "")


class Callback(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An address that wants to hear of one message: `url`, and `mask`, bits as of Kannel's dlr-mask.

    1 delivered, 2 not delivered, 4 kept by the SMSC for later, 8 taken by the SMSC, 16 refused (dlr_url.py).
    """

    url: str
    mask: int

    def __repr__(self) -> str:
        """Say nothing personal (law 11): an address may hold a number."""
        return f"<Callback, mask {self.mask}>"


class SendRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a sender asks for: one text to one recipient.

    Parameters:
        to: E.164 with or without ``+``; national forms where the configuration names a default country.
        text: the text.
        sender: a name, a short code or a number.
        traffic_class: see TrafficClass.
        client_ref: the sender's own name for it, up to 64 characters; with no idempotency_key it is one.
        idempotency_key: the same key and body within the idempotency window is the same message.
        ttl_ms: how long from now (from send_after, where that is given) it is worth sending; 0: as its class.
        send_after_ms: not before this time; 0: at once.
        source: who asks, the name of an API key say; keys for idempotency are the source's own.
        callback: an address that is told of this message alone; None: those of the configuration only.
        traceparent: the sender's trace, as W3C Trace Context writes it; told with its events, else unread.
    """

    to: str
    text: str
    sender: str
    traffic_class: TrafficClass = TrafficClass.TRANSACTIONAL
    client_ref: str | None = None
    idempotency_key: str | None = None
    ttl_ms: int = 0
    send_after_ms: int = 0
    source: str = ""
    callback: "Callback | None" = None
    traceparent: str | None = None

    def __repr__(self) -> str:
        """Say nothing personal (law 11): it may end in a log."""
        return f"<SendRequest {TrafficClass(self.traffic_class).name.lower()}: {len(self.text)} characters>"


class Message(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What was accepted: a record of the journal, as a msgpack array in this order.

    `to` are the digits of E.164. `carriers` is the route: numbers of carriers, best first. `reference` is
    that of concatenation. `key_hash` is 0 without idempotency; `body_hash` tells repetition from conflict.
    """

    n: int
    message_id: bytes
    to: str
    sender: str
    text: str
    traffic_class: int
    accepted_ms: int
    deadline_ms: int
    send_after_ms: int
    segments: int
    reference: int
    carriers: tuple[int, ...]
    client_ref: str | None = None
    key_hash: int = 0
    body_hash: int = 0
    source: str = ""
    callback: Callback | None = None
    traceparent: str | None = None

    def __repr__(self) -> str:
        """Say nothing personal (law 11): it may end in a log."""
        return (
            f"<Message {self.n}: {TrafficClass(self.traffic_class).name.lower()}, {self.segments} segments>"
        )


def uuid_text(message_id: bytes) -> str:
    """Return a message_id in its usual form; a third of what uuid.UUID takes."""
    digits = message_id.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """A message is in the journal: it will reach exactly one outcome. `is_repeated`: it was there before."""

    message: Message
    is_repeated: bool = False

    @property
    def message_id(self) -> str:
        """The UUIDv7 in its usual form."""
        return uuid_text(self.message.message_id)


class Refused(msgspec.Struct, frozen=True, gc=False):
    """A request that cannot go; its neighbours are not concerned.

    `code` is stable and for programs, `detail` for humans, without numbers or texts of the request; `field`
    names the field at fault. `retry_after_ms` above 0: nothing is wrong with it, try again after that time.
    """

    code: str
    detail: str
    field: str = ""
    client_ref: str | None = None
    retry_after_ms: int = 0
