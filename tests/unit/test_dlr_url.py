"""What is told to an address of Kannel's kind: which events, and what the address becomes.

The oracle of types and escapes is Debian's Kannel 1.4.5: what it fetched, with a simulated SMSC.
"""

from typing import Any
from urllib.parse import parse_qsl

import pytest

from dispatcher.api import EventOut
from dispatcher.dlr_url import MASK_MAX, expand, values_of, wanted
from dispatcher.model import Message

AT = "2026-11-24T13:50:32.123Z"
MESSAGE = Message(
    1, bytes(16), "79001234567", "bank", "hello", 1, 1_795_528_232_000, 0, 0, 1, 0, (1,), source="kannel:test"
)


def event(kind: str, segments: int = 1, **more: Any) -> EventOut:
    """Return an event of one message."""
    values: dict[str, Any] = {"message_id": "id", "traffic_class": "service", "segments": segments, "at": AT}
    return EventOut(id="1-1", **values, type=f"message.{kind}", **more)


TYPES = [
    (8, event("submitted", segment=1)),
    (None, event("submitted", segments=3, segment=1)),
    (8, event("submitted", segments=3, segment=3)),
    (4, event("receipted", segment=1, message_state="enroute")),
    (4, event("receipted", segment=1, message_state="accepted")),
    (None, event("receipted", segments=2, segment=1, message_state="enroute")),
    (None, event("receipted", segment=1, message_state="delivered")),
    (1, event("finished", outcome="delivered", reason="receipt")),
    (1, event("corrected", outcome="delivered", reason="receipt")),
    (2, event("finished", outcome="undelivered", reason="receipt")),
    (34, event("finished", outcome="expired", reason="receipt")),
    (2, event("finished", outcome="expired", reason="deadline")),
    (2, event("finished", outcome="rejected", reason="receipt")),
    (2, event("finished", outcome="cancelled", reason="cancelled")),
    (2, event("finished", outcome="unknown", reason="receipt")),
    (None, event("finished", outcome="unknown", reason="no_receipt")),
    (16, event("finished", outcome="rejected", reason="refused")),
    (16, event("finished", outcome="rejected", reason="no_carrier")),
    (None, event("claimed", segment=1, attempt=1)),
    (None, event("failed", segment=1, segments=2, outcome="undelivered", reason="receipt")),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "told"), TYPES, ids=lambda each: str(getattr(each, "type", each)))
def test_types(kind: int | None, told: EventOut) -> None:
    """Each event is told as the type that Kannel gave it, where the mask asks for it, and else not at all."""
    assert wanted(MASK_MAX | 31, told) == kind
    assert wanted(0, told) is None
    if kind is not None:
        assert wanted(kind, told) == kind
        assert wanted(31 & ~kind, told) is None


def test_escapes() -> None:
    """An address becomes what Kannel fetched: %p is who got the message, %P its sender; unknown ones stay."""
    url = (
        "http://bank/dlr?d=%d&A=%A&p=%p&P=%P&q=%q&Q=%Q&t=%t&T=%T&i=%i&F=%F&n=%n&N=%N&x=%x&c=%c&C=%C&u=%u"
        "&O=%O&pc=%%&end=%"
    )
    told = event("submitted", segment=1, carrier="simulator", smsc_message_id="0000000046")
    assert expand(url, values_of(8, told, MESSAGE)) == (
        "http://bank/dlr?d=8&A=ACK%2F&p=79001234567&P=bank&q=79001234567&Q=bank&t=2026-11-24+13:50:32"
        "&T=1795528232&i=simulator&F=0000000046&n=test&N=%N&x=%x&c=-1&C=UTF-8&u=&O=00&pc=%&end=%"
    )


def test_the_address_in_itself() -> None:
    """%R is the address as it was given, encoded."""
    assert expand("http://b/?R=%R", {}) == "http://b/?R=http%3A%2F%2Fb%2F%3FR%3D%25R"


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://b/", "http://b/"),
        ("http://b/?%d%d", "http://b/?88"),
        ("http://b/?%%d", "http://b/?%d"),
        ("http://b/?%%%d", "http://b/?%8"),
        ("http://b/?%%%%", "http://b/?%%"),
        ("http://b/?a%", "http://b/?a%"),
        ("http://b/?%\u00e9", "http://b/?%\u00e9"),
        ("%d", "8"),
        ("", ""),
    ],
)
def test_percent_signs(url: str, found: str) -> None:
    """Two are one, and never the beginning of an escape; one at the end stays."""
    assert expand(url, {"d": "8"}) == found


def test_values_cannot_change_the_address() -> None:
    """What a carrier says ends in one value of the query, whatever octets it holds."""
    told = event("submitted", segment=1, smsc_message_id="x&d=1#%d \r\n\u00e9/?")
    url = expand("http://bank/dlr?d=%d&F=%F&i=%i", values_of(8, told, MESSAGE))
    assert url.isascii()
    assert parse_qsl(url.partition("?")[2]) == [("d", "8"), ("F", "x&d=1#%d \r\n\u00e9/?")]


def test_the_reply_of_a_receipt() -> None:
    """%A of a receipt has the words of a receipt, without the text."""
    told = event("finished", outcome="delivered", reason="receipt", carrier="simulator")
    values = values_of(1, told, MESSAGE, smsc_message_id="0000000046")
    assert values["A"] == (
        "id:0000000046 sub:001 dlvrd:001 submit date:2611241350 "
        "done date:2611241350 stat:DELIVRD err:000 text:"
    )
    told = event("receipted", segment=1, message_state="enroute", network_error="001")
    assert " dlvrd:000 " in (reply := values_of(4, told, MESSAGE)["A"])
    assert reply.endswith(" stat:ENROUTE err:001 text:")


def test_the_reply_of_a_refusal() -> None:
    """%A of a refusal is NACK/, the status and what it means; without one the reason; vendors' by number."""
    told = event("finished", outcome="rejected", reason="refused")
    given = {"command_status": "ESME_RINVDSTADR"}
    assert values_of(16, told, MESSAGE, **given)["A"] == "NACK/0x0000000b/invalid destination address"
    assert values_of(16, told, MESSAGE)["A"] == "NACK/refused"
    assert values_of(16, told, MESSAGE, command_status="0x00000401")["A"] == "NACK/0x00000401"


def test_a_leading_00() -> None:
    """%q and %Q are the numbers with a plus for a leading 00."""
    values = values_of(8, event("submitted", segment=1), MESSAGE)
    assert (values["q"], values["Q"]) == ("79001234567", "bank")
    abroad = Message(1, bytes(16), "79001234567", "0049123", "x", 1, 0, 0, 0, 1, 0, (1,))
    assert values_of(8, event("submitted", segment=1), abroad)["Q"] == "+49123"
