"""Carrier profiles: what is refused when one is loaded, senders, texts, receipts, times, ready profiles."""

from typing import Any

import pytest

from dispatcher._ext.pdu import Pdu, decode
from dispatcher._ext.segment import Count
from dispatcher.carrier.profile import Profile, load
from dispatcher.carrier.profiles import READY, ProfileTable, table
from dispatcher.config import Carrier
from dispatcher.errors import ConfigError
from dispatcher.refusal import Code, Refusal
from dispatcher.smpp.status import Disposition
from tests.ext.test_submit import NOW_MS, message


def first(profile: Profile, text: str = "x", **changes: Any) -> Pdu:
    """Return the first submit_sm of a message."""
    frame = profile.frames(message(text, **changes), NOW_MS)[0]
    return decode(frame[:12] + b"\0\0\0\1" + frame[16:])


MISTAKES: list[tuple[str | dict[str, Any], str]] = [
    ("smpp35", "profile: no ready profile is 'smpp35'; did you mean 'smpp34'?"),
    ({"base": "lat1n"}, "profile.base: no ready profile is 'lat1n'; did you mean 'latin1'?"),
    ({"metod": "sar"}, "profile.metod: unknown key; did you mean 'method'?"),
    ({"method": "tlv"}, "profile.method: 'tlv' is not one of udh8, udh16, sar, payload"),
    ({"alphabets": {}}, "profile.alphabets: expected object of length >= 1"),
    ({"alphabets": {"gsm8": 0}}, "profile.alphabets.gsm8: 'gsm8' is not one of gsm7"),
    ({"alphabets": {"gsm7": 256}}, "profile.alphabets.gsm7: expected int <= 255"),
    ({"languages": ["xx"]}, "profile: language 'xx': expected one of"),
    ({"languages": ["tr"], "method": "sar"}, "profile: languages and elements need a user data header"),
    ({"packing": "packed", "method": "payload"}, "profile: packing is per segment"),
    ({"name": {"ton": 8, "npi": 0}}, "profile.name.ton: expected int <= 7"),
    ({"name": {"ton": 5}}, "profile.name.npi: it is missing"),
    ({"senders": ["names"]}, "profile.senders[0]: 'names' is not one of name, short_code, number"),
    ({"service_type": "123456"}, "profile.service_type: expected str of length <= 5"),
    ({"protocol_id": 0x40}, "profile.protocol_id: expected int <= 63"),
    ({"validity_max_s": 0}, "profile.validity_max_s: expected int >= 1"),
    ({"receipts": {"id_notation": "hex"}}, "profile.receipts.id_notation: 'hex' is not one of as_is"),
    ({"receipts": {"submit_zone": "Moscow"}}, "profile.receipts.submit_zone: no zone is 'Moscow'"),
    ({"receipts": {"submit_zone": "../x"}}, "profile.receipts.submit_zone: no zone is '../x'"),
    ({"receipts": {"date_formats": ["x"]}}, "profile.receipts: date format 'x'"),
    ({"receipts": {"states": {"NO WORD": 5}}}, "profile.receipts: state word 'NO WORD'"),
    ({"receipts": {"states": {"FAILED": 10}}}, "profile.receipts.states.FAILED: expected int <= 9"),
    ({"status": {"ESME_RSUBMITFAIL": "final"}}, "profile.status: status override 'ESME_RSUBMITFAIL'"),
    ({"tlvs": {"sar_total_segments": 1}}, "profile.tlvs.sar_total_segments: it differs from message"),
    ({"tlvs": {"mesage_payload": "x"}}, "profile.tlvs.mesage_payload: neither a TLV of SMPP 3.4"),
    ({"tlvs": {"0x10000": "x"}}, "profile.tlvs.0x10000: neither a TLV"),
    ({"tlvs": {"0x1400": 1}}, "profile.tlvs.0x1400: expected text, or octets as 'hex:0a0b', got int"),
    ({"tlvs": {"0x1400": "hex:0g"}}, "profile.tlvs.0x1400: non-hexadecimal"),
    ({"tlvs": {"source_port": "80"}}, "profile.tlvs.source_port: expected a number, got str"),
    ({"tlvs": {"source_port": 65_536}}, "profile.tlvs.source_port: "),
]


@pytest.mark.parametrize(("given", "message"), MISTAKES, ids=[message[:40] for _, message in MISTAKES])
def test_a_mistake_is_named_by_its_path(given: str | dict[str, Any], message: str) -> None:
    """The whole path, what was expected, what comes close; when it is loaded and not later."""
    with pytest.raises(ConfigError) as caught:
        Profile(table(given))
    assert str(caught.value).startswith(message)


def test_a_carrier_must_lie_within_its_profile() -> None:
    """TPS, window and enquire_link are checked against what the operator allows; paths are the carrier's."""
    rows: list[tuple[dict[str, Any], dict[str, Any], str]] = [
        ({"tps": 101}, {"tps_max": 100}, "carriers.a.tps: 101, the profile allows 100"),
        ({"window": 11}, {"window_max": 10}, "carriers.a.window: 11, the profile allows 10"),
        ({}, {"enquire_link_min_ms": 60_000}, "carriers.a.timers.enquire_link_ms: 30000, the profile allows"),
        ({}, {"methd": "sar"}, "carriers.a.profile.methd: unknown key"),
    ]
    for keys, profile, expected in rows:
        with pytest.raises(ConfigError) as caught:
            load(Carrier(host="h", port=1, system_id="s", profile=profile, **keys), "carriers.a")
        assert str(caught.value).startswith(expected)
    carrier = Carrier(host="h", port=1, system_id="s", tps=100, profile={"tps_max": 100, "method": "sar"})
    assert load(carrier, "carriers.a").table.method == "sar"


def test_a_table_changes_its_base_key_by_key() -> None:
    """What a table does not name stays as in its base; alphabets are replaced, for their order counts."""
    mine = table({"base": "hex_ids", "receipts": {"submit_zone": "+03:00"}, "alphabets": {"ucs2": 8}})
    assert mine.receipts.id_notation == "response_hex"
    assert mine.receipts.submit_zone == "+03:00"
    assert list(mine.alphabets) == ["ucs2"]
    assert table("smpp34") == ProfileTable()


def test_ready_profiles_do_what_their_names_say() -> None:
    """Latin-1 as data_coding 0; a hexadecimal id and a decimal one with one key; SAR instead of a header."""
    assert set(READY) == {"smpp34", "latin1", "hex_ids", "sar"}
    latin1 = first(Profile(table("latin1")), "Grüße @ [ê]")
    assert (latin1.data_coding, latin1.short_message) == (0, "Grüße @ [ê]".encode("latin-1"))
    dialect = Profile(table("hex_ids")).dialect
    assert dialect.key_of_response(b"38601fa") == dialect.key_of_receipt(b"0059113978")
    sar = first(Profile(table("sar")), "x" * 161, reference=9)
    assert (sar.sar_msg_ref_num, sar.sar_total_segments, sar.sar_segment_seqnum) == (9, 2, 1)
    assert sar.esm_class == 0
    plain = first(Profile(table("smpp34")), "x" * 161, reference=9)
    assert (plain.esm_class, plain.short_message[:6]) == (0x40, b"\x05\x00\x03\x09\x02\x01")


def test_senders_have_their_rows() -> None:
    """A name, a short code and a number each get their TON and NPI; + is dropped."""
    profile = Profile(table({"short_code": {"ton": 6, "npi": 0}, "name": {"ton": 5, "npi": 1}}))
    for sender, expected in {
        "Bank": (5, 1, b"Bank"),
        "1234": (6, 0, b"1234"),
        "+79990000000": (1, 1, b"79990000000"),
        "79990000000": (1, 1, b"79990000000"),
        "Ünion": (5, 1, b"\xdcnion"),
    }.items():
        assert profile.check_sender(sender) is None
        pdu = first(profile, sender=sender)
        assert (pdu.source_addr_ton, pdu.source_addr_npi, pdu.source_addr) == expected


@pytest.mark.parametrize(
    ("keys", "sender"),
    [
        ({}, ""),
        ({}, "12"),
        ({}, "TwelveLetter"),
        ({}, "Банк"),
        ({}, "{bank}"),
        ({"senders": ["name"]}, "1234"),
        ({"senders": ["name"]}, "79990000000"),
        ({"senders": ["number"]}, "Bank"),
        ({"name_encoding": "ascii"}, "Ünion"),
        ({"name_encoding": "gsm7"}, "Bank@Home"),
    ],
)
def test_a_sender_that_is_not_possible_is_a_value(keys: dict[str, Any], sender: str) -> None:
    """It has a code and a reason without the sender in it, and no frame is made."""
    profile = Profile(table(keys))
    refusal = profile.check_sender(sender)
    assert refusal is not None
    assert (refusal.code, refusal.field) == (Code.SENDER_NOT_POSSIBLE, "sender")
    assert len(sender) < 3 or sender not in refusal.reason
    assert profile.frames(message("x", sender=sender), NOW_MS) == []
    assert profile.refusal(message("x", sender=sender)) == refusal
    assert profile.check_sender(sender) == refusal  # remembered


def test_names_in_the_gsm_alphabet() -> None:
    """A carrier that reads names as GSM codes gets those."""
    assert first(Profile(table({"name_encoding": "gsm7"})), sender="$ünion").source_addr == b"\x02\x7enion"


def test_texts_are_counted_or_refused_as_values() -> None:
    """Alphabet and segments; a code, a reason and a field where the text cannot go."""
    profile = Profile(table("smpp34"))
    counted = profile.count("Код 4821")
    assert isinstance(counted, Count)
    assert tuple(counted) == ("ucs2", 8, 1)
    too_long = profile.count("x" * 161, 1)
    assert isinstance(too_long, Refusal)
    assert (too_long.code, too_long.field) == (Code.TOO_MANY_SEGMENTS, "text")
    assert too_long.reason == "the text needs 2 segments, 1 are allowed"
    assert isinstance(profile.count("x" * 161, 2), Count)
    capped = Profile(table({"max_segments": 1})).count("x" * 161)
    assert isinstance(capped, Refusal)
    assert capped.code is Code.TOO_MANY_SEGMENTS
    strange = Profile(table({"alphabets": {"gsm7": 0}})).count("secret Ж")
    assert isinstance(strange, Refusal)
    assert strange.code is Code.TEXT_NOT_ENCODABLE
    assert "secret" not in strange.reason
    half = profile.count("\ud800")
    assert isinstance(half, Refusal)


def test_refusal_explains_an_empty_list_of_frames() -> None:
    """And is None where there are frames."""
    profile = Profile(table({"alphabets": {"gsm7": 0}}))
    assert profile.refusal(message("x")) is None
    refusal = profile.refusal(message("Ж"))
    assert refusal is not None
    assert refusal.code is Code.TEXT_NOT_ENCODABLE


def test_senders_remembered_are_bounded() -> None:
    """A client that invents senders does not fill the memory."""
    profile = Profile(table("smpp34"), senders_max=10)
    for number in range(100):
        assert profile.check_sender(f"Bank{number}") is None
        assert len(profile._senders) <= 10


def test_receipts_are_asked_for_as_the_carrier_bills_them() -> None:
    """For all segments, for the last alone, or for none."""
    rows: list[tuple[dict[str, Any], list[int], bool]] = [
        ({}, [1, 1, 1], True),
        ({"receipts_for": "last"}, [0, 0, 1], True),
        ({"registered_delivery": 0}, [0, 0, 0], False),
        ({"registered_delivery": 0x10}, [16, 16, 16], False),
    ]
    for keys, asked, asks in rows:
        profile = Profile(table(keys))
        frames = profile.frames(message("x" * 400), NOW_MS)
        assert [decode(f[:12] + b"\0\0\0\1" + f[16:]).registered_delivery for f in frames] == asked
        assert profile.asks_receipts is asks


def test_the_validity_is_what_remains() -> None:
    """Recomputed at every attempt, in whole seconds; never more than the carrier takes, never nothing."""
    profile = Profile(table({"validity_max_s": 86_400}))
    for left_ms, expected in {
        300_000: b"000000000500000R",
        299_999: b"000000000459000R",
        1_000: b"000000000001000R",
        1: b"000000000001000R",
        -5_000: b"000000000001000R",
        7 * 86_400_000: b"000001000000000R",
    }.items():
        assert first(profile, deadline_ms=NOW_MS + left_ms).validity_period == expected
    absolute = Profile(table({"validity": "absolute"}))
    assert first(absolute, deadline_ms=NOW_MS + 60_000).validity_period == b"261124100100000+"
    assert first(Profile(table({"validity": "none"}))).validity_period == b""


def test_a_carrier_has_its_own_statuses() -> None:
    """Overrides first, then the table."""
    profile = Profile(table({"status": {"ESME_RSUBMITFAIL": "permanent", "0x42e": "config"}}))
    assert profile.disposition(0x45) is Disposition.PERMANENT
    assert profile.disposition(0x42E) is Disposition.CONFIG
    assert profile.disposition(0x58) is Disposition.THROTTLE
    assert Profile(table("smpp34")).disposition(0x45) is Disposition.OTHER_ROUTE


def test_tlvs_of_the_carrier_are_in_every_segment() -> None:
    """Numbers, text and octets."""
    tlvs = {"source_port": 80, "0x1400": "1234", "0x1401": "hex:00ff"}
    frames = Profile(table({"tlvs": tlvs})).frames(message("x" * 161), NOW_MS)
    for frame in frames:
        assert decode(frame[:12] + b"\0\0\0\1" + frame[16:]).tlvs == (
            (0x020A, 80),
            (0x1400, b"1234"),
            (0x1401, b"\x00\xff"),
        )


def test_a_profile_says_what_it_is() -> None:
    """One line an operator can read."""
    assert repr(Profile(table("latin1"))) == "<Profile latin1: latin1, ucs2, udh8, receipts>"
