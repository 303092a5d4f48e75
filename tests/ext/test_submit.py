"""Frames of messages against the general encoder of PDUs: same fields, same octets, whatever the profile."""

from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher._ext.pdu import Pdu, decode, encode
from dispatcher._ext.submit import SubmitBuilder
from dispatcher.carrier.profile import Profile
from dispatcher.carrier.profiles import READY, Alphabet, table
from dispatcher.encoding import EncodingError, encoder
from dispatcher.model import Message
from dispatcher.smpp.address import classify
from dispatcher.smpp.constants import Command
from dispatcher.smpp.time import format_absolute, format_relative
from tests.fuzz import CLUSTERS, FILLERS

NOW_MS = 1_795_514_400_000  # 2026-11-24 in the morning
METHODS = {
    "udh8": {"reference_bits": 8},
    "udh16": {"reference_bits": 16},
    "sar": {"method": "sar"},
    "payload": {"method": "payload"},
}


def message(text: Any, **changes: Any) -> Message:
    """Return a message that differs in what is named."""
    fields: dict[str, Any] = {
        "n": 1,
        "message_id": bytes(16),
        "to": "79991234567",
        "sender": "Bank",
        "text": text,
        "traffic_class": 0,
        "accepted_ms": NOW_MS,
        "deadline_ms": NOW_MS + 300_000,
        "send_after_ms": 0,
        "segments": 1,
        "reference": 7,
        "carriers": (1,),
    }
    return Message(**fields | changes)


def expected(profile: Profile, sent: Message, now_ms: int) -> list[bytes]:
    """The slow, obvious twin: the encoder library, the times module and the general PDU encoder."""
    settings = profile.table
    maker = encoder(
        allow=tuple(settings.alphabets),
        data_codings=settings.alphabets,
        max_segments=settings.max_segments,
        packing=settings.packing,
        languages=settings.languages,
        **METHODS[settings.method],  # type: ignore[arg-type]
    )
    try:
        text = maker.segment(sent.text, reference=sent.reference & maker.reference_max)
    except EncodingError:
        return []
    source = classify(sent.sender)
    left_s = min(max((sent.deadline_ms - now_ms) // 1000, 1), settings.validity_max_s)
    now = datetime.fromtimestamp(now_ms // 1000, UTC)
    validity = {
        "none": b"",
        "relative": format_relative(left_s),
        "absolute": format_absolute(datetime.fromtimestamp(now_ms // 1000 + left_s, UTC), now),
    }[settings.validity]
    rows = {5: settings.name, 3: settings.short_code, 1: settings.number}
    fields: dict[str, Any] = {
        "service_type": settings.service_type.encode(),
        "source_addr_ton": rows[source.ton].ton,
        "source_addr_npi": rows[source.ton].npi,
        "source_addr": source.octets,
        "dest_addr_ton": settings.destination.ton,
        "dest_addr_npi": settings.destination.npi,
        "destination_addr": sent.to.encode(),
        "esm_class": settings.esm_class | text.esm_class,
        "protocol_id": settings.protocol_id,
        "priority_flag": settings.priority_flag,
        "validity_period": validity,
        "data_coding": text.data_coding,
    }
    fixed = [(0x1400, b"template")] if settings.tlvs else []
    if text.message_payload is not None:
        tlvs: list[tuple[int, int | bytes]] = [*fixed, (0x0424, text.message_payload)]
        asked = settings.registered_delivery
        return [octets(Pdu(Command.SUBMIT_SM, 1, tlvs=tlvs, registered_delivery=asked, **fields))]
    frames = []
    for part in text.segments:
        sar = part.sar
        tlvs = [*fixed, *(zip((0x020C, 0x020E, 0x020F), sar, strict=True) if sar else ())]
        asks = settings.receipts_for == "all" or part.number == part.total
        asked = settings.registered_delivery if asks else 0
        frames.append(
            octets(
                Pdu(
                    Command.SUBMIT_SM,
                    1,
                    tlvs=tlvs,
                    registered_delivery=asked,
                    short_message=part.user_data,
                    **fields,
                )
            )
        )
    return frames


def octets(pdu: Pdu) -> bytes:
    """Return a PDU with the sequence_number 0."""
    whole = encode(pdu)
    return whole[:12] + bytes(4) + whole[16:]


runs = st.tuples(
    st.sampled_from([*FILLERS, *CLUSTERS]), st.sampled_from([1, 2, 8, 39, 67, 70, 153, 160, 310])
)
long = st.tuples(st.sampled_from(["a", "€", "я", "😀"]), st.integers(60, 500)).map(
    lambda run: run[0] * run[1]
)
texts = st.one_of(
    st.text(max_size=400), st.lists(runs, max_size=4).map(lambda rows: "".join(a * n for a, n in rows)), long
)
tables = st.builds(
    table,
    st.fixed_dictionaries(
        {
            "alphabets": st.one_of(
                st.just({"gsm7": 0, "ucs2": 8}),
                st.dictionaries(
                    st.sampled_from(get_args(Alphabet)), st.integers(0, 255), min_size=1, max_size=3
                ),
            ),
            "controls": st.just("keep"),
            "method": st.sampled_from(list(METHODS)),
            "max_segments": st.sampled_from([255, 3, 1]),
            "name": st.fixed_dictionaries({"ton": st.integers(0, 7), "npi": st.integers(0, 18)}),
            "destination": st.fixed_dictionaries({"ton": st.integers(0, 7), "npi": st.integers(0, 18)}),
            "service_type": st.sampled_from(["", "CMT", "12345"]),
            "esm_class": st.sampled_from([0, 3]),
            "protocol_id": st.integers(0, 0x3F),
            "priority_flag": st.integers(0, 3),
            "registered_delivery": st.sampled_from([0, 1, 2, 0x11]),
            "receipts_for": st.sampled_from(["all", "last"]),
            "validity": st.sampled_from(["relative", "absolute", "none"]),
            "validity_max_s": st.sampled_from([1, 3600, 86_400, 32 * 86_400 - 1]),
            "tlvs": st.sampled_from([{}, {"0x1400": "template"}]),
        }
    ),
)


@given(
    tables,
    texts,
    st.sampled_from(["Bank", "1234", "+79990000000", "Ünion@Bank"]),
    st.sampled_from(["7", "79991234567", "123456789012345"]),
    st.integers(0, 0xFFFF),
    st.integers(-2000, 40 * 86_400_000),
)
@settings(max_examples=400, deadline=None)
def test_frames_are_those_of_the_general_encoder(
    settings: Any, text: str, sender: str, to: str, reference: int, left_ms: int
) -> None:
    """Any text, profile, sender, number, reference and time: octet for octet; each is a whole PDU."""
    profile = Profile(settings)
    sent = message(text, sender=sender, to=to, reference=reference, deadline_ms=NOW_MS + left_ms)
    frames = profile.frames(sent, NOW_MS)
    assert frames == expected(profile, sent, NOW_MS)
    for frame in frames:
        pdu = decode(frame[:12] + b"\0\0\0\1" + frame[16:])
        assert pdu.destination_addr == to.encode()
        assert not pdu.flaws


@pytest.mark.parametrize("name", READY)
def test_ready_profiles_and_packed_septets(name: str) -> None:
    """The same for the ready profiles with national tables and packed septets, where the method allows."""
    udh = table(name).method == "udh8" and "gsm7" in table(name).alphabets
    settings = table({"base": name, "languages": ["tr"], "packing": "packed"} if udh else name)
    profile = Profile(settings)
    for text in ("Code 4821", "Şifreniz 4821 " * 20, "x" * 161, "Код 4821", "{}[]" * 60, ""):
        assert profile.frames(message(text), NOW_MS) == expected(profile, message(text), NOW_MS)


@given(st.integers(0, 4_000_000_000))
def test_an_absolute_time_is_that_of_the_calendar(now_s: int) -> None:
    """Any second up to the year 2096, leap days among them."""
    profile = Profile(table({"validity": "absolute"}))
    [frame] = profile.frames(message("x", deadline_ms=now_s * 1000 + 60_000), now_s * 1000)
    assert f"{datetime.fromtimestamp(now_s + 60, UTC):%y%m%d%H%M%S}000+".encode() in frame


def test_what_cannot_be_sent_gives_no_frame() -> None:
    """A sender, a text or a number that does not fit; neighbours are not asked."""
    profile = Profile(table({"alphabets": {"gsm7": 0}}))
    assert profile.frames(message("Код"), NOW_MS) == []
    assert profile.frames(message("x", sender="Банк"), NOW_MS) == []
    for to in ("", "1" * 21, "७"):
        assert profile.frames(message("x", to=to), NOW_MS) == []
    assert len(profile.frames(message("x"), NOW_MS)) == 1


def builder(**changes: Any) -> SubmitBuilder:
    """Return a builder that counts how often it asks for a source."""
    asked: list[str] = changes.pop("asked", [])

    def source(sender: str) -> bytes:
        asked.append(sender)
        return b"\0\5\0" + sender.encode() + b"\0"

    fields: dict[str, Any] = {
        "senders_max": 3,
        "tlvs": b"",
        "validity": 1,
        "validity_max_s": 60,
        "dest_addr_ton": 1,
        "dest_addr_npi": 1,
        "esm_class": 0,
        "protocol_id": 0,
        "priority_flag": 0,
        "registered_delivery": 1,
        "registered_delivery_before": 1,
    }
    return SubmitBuilder(encoder(), source, **fields | changes)


def test_senders_are_remembered_up_to_a_bound() -> None:
    """A sender is made once; when there are too many, all are forgotten."""
    asked: list[str] = []
    made = builder(asked=asked)
    for sender in "abcabcabc":
        made.frames(message("x", sender=sender), NOW_MS)
    assert asked == list("abc")
    for sender in "defg":
        made.frames(message("x", sender=sender), NOW_MS)
        assert len(made) <= 3
    assert asked == list("abcdefg")


def test_a_builder_checks_what_it_is_made_of() -> None:
    """Values out of range are refused before the first message."""
    with pytest.raises(ValueError, match="validity"):
        builder(validity=3)
    with pytest.raises(ValueError, match="validity"):
        builder(validity_max_s=0)
    with pytest.raises(ValueError, match="senders_max"):
        builder(senders_max=0)
    with pytest.raises(ValueError, match="TLVs"):
        builder(tlvs=bytes(65_536))
    with pytest.raises(ValueError, match="USSD"):
        SubmitBuilder(
            encoder(packing="packed-cr"),
            lambda sender: b"",
            senders_max=1,
            tlvs=b"",
            validity=0,
            validity_max_s=1,
            dest_addr_ton=1,
            dest_addr_npi=1,
            esm_class=0,
            protocol_id=0,
            priority_flag=0,
            registered_delivery=0,
            registered_delivery_before=0,
        )


def test_no_message_is_a_type_error() -> None:
    """A broken contract is an exception, not a crash."""
    made = builder()
    for wrong in (message("x", to=7), message(b"x"), message("x", sender=7)):
        with pytest.raises(TypeError):
            made.frames(wrong, NOW_MS)
    with pytest.raises(AttributeError):
        made.frames(7, NOW_MS)  # type: ignore[arg-type]
