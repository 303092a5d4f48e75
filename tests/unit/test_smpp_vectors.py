"""Statuses, times and fields of SMPP against outside vectors."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dispatcher._ext.pdu import Pdu, decode, encode
from dispatcher.errors import LocalProtocolError, Recoverable, RemoteProtocolError
from dispatcher.smpp import address, flags
from dispatcher.smpp.constants import Ton, is_request, next_sequence_number
from dispatcher.smpp.data_coding import data_coding_parts
from dispatcher.smpp.status import STATUSES, Disposition, disposition, status
from dispatcher.smpp.time import (
    Relative,
    format_absolute,
    format_relative,
    parse,
    parse_receipt_date,
    resolve,
)
from tests.vectors import Vector, load

STATUS = load("status_codes")
TIME = load("smpp_time")
FIELDS = load("fields")
NOW = datetime(2020, 6, 1, tzinfo=UTC)

POLICY = {
    "smpp_time-015": "a month to 1 March is 28 days, written as days: the same as the peer's",
    "smpp_time-016": "31 days, not one month: nobody agrees on a month's length",
    "smpp_time-020": "28 days, written as days: the same as the peer's",
    "smpp_time-036": "received years and months count 365 and 30 days",
    "smpp_time-056": "year 99, read in 2020, is 1999: the nearest century",
    "smpp_time-058": "relative parts out of range are read as they are",
    "fields-100": "reserved type bits of esm_class read as reserved: masked, never refused",
    "fields-102": "registered_delivery 3 is 5.0's receipt on success only",
    "fields-103": "priority_flag is the vendor's: any octet is passed on",
    "fields-104": "dest_flag 0 is refused with RINVDESTFLAG, not RUNKNOWNERR",
    "fields-105": "message_state 0 is 5.0's SCHEDULED",
    "fields-157": "a name of 13 characters is refused",
    "fields-158": "neither a number nor a name of 12: classified as a name, which it may be",
    "fields-159": "11 digits are an international number",
    "fields-160": "so are 15 after a plus",
    "fields-161": "5 digits are a short code",
    "fields-162": "16 digits are refused, not sent with TON 0",
    "fields-163": "one digit is refused",
    "fields-164": "22 digits are refused",
    "fields-171": "a reserved NPI passes as its number",
    "fields-177": "21 digits are refused, not sent as an empty address",
}
"""Where the standard leaves it open, or one carrier's way is shown: what we chose."""

RULED = {
    "fields-093": "0x1c: bits 3-2 are 11, a reserved alphabet, says fields-028; this peer says default",
    "fields-178": "seven septets are 13 useful semi-octets (fields-183), this peer counts whole octets: 14",
    "fields-179": "nothing is cut: 20 characters are refused; the first 11 give the peer's octets",
}
"""Vectors that agree with the standard, but not with each other or with a law of ours."""


def only(vectors: list[Vector], *kinds: str) -> list[Vector]:
    """Return the vectors of some kinds."""
    found = [vector for vector in vectors if vector.kind in kinds]
    assert found
    return found


def test_every_vector_is_looked_at() -> None:
    """The kinds below are all there are, and the tables above name exactly what the standard leaves open."""
    tested = {kind for mark in ALL_KINDS for kind in mark}
    assert {vector.kind for vector in [*TIME, *FIELDS]} == tested
    assert set(POLICY) == {vector.id for vector in [*TIME, *FIELDS] if vector.std == "policy"}


# ---- command_status


@pytest.mark.parametrize("vector", STATUS, ids=str)
def test_the_status_table(vector: Vector) -> None:
    """Names are the standard's, dispositions the proposal's; names that only old vendors use are unknown."""
    code = int(vector.input["code"], 16)
    if vector.std == "vendor":
        assert code not in STATUSES
        assert disposition(code) is Disposition.UNKNOWN
        assert "one other carrier" in status(code).action
        return
    row = STATUSES[code]
    proposal = vector.more["proposal_not_from_peer"]
    assert row.name == vector.expect["name"]
    assert row.disposition == proposal["class"].replace("-", "_").replace("n/a", "not_applicable")
    assert row.scope == proposal["scope"]


# ---- times


def zone_of(name: str) -> Any:
    """Return a time zone of the vectors."""
    if name.startswith("UTC"):
        return timezone(timedelta(hours=int(name[3:6])))
    return ZoneInfo("Europe/Berlin" if name == "CET/CEST" else name)


@pytest.mark.parametrize("vector", only(TIME, "smpp-time", "smpp-time-part"), ids=str)
def test_a_time_is_read(vector: Vector) -> None:
    """Absolute ones are instants, quarter hours included; relative ones parts; the rest an error."""
    text = vector.input["string"].encode()
    expect = vector.expect
    if vector.kind == "smpp-time-part":
        text = b"070927233429" + b"8" + text + b"+"
    if "error" in expect:
        with pytest.raises(RemoteProtocolError):
            parse(text, NOW)
        return
    parsed = parse(text, NOW)
    if "utc" in expect:
        expected = datetime.fromisoformat(expect["utc"])
        if vector.id == "smpp_time-056":
            expected = expected.replace(year=1999)
        assert parsed == expected
    elif "relative" in expect:
        assert list(parsed) == expect["relative"]  # type: ignore[arg-type]
    elif "seconds" in expect:
        assert isinstance(parsed, Relative)
        assert parsed.total_seconds() == expect["seconds"]
    else:
        start = datetime.fromisoformat(expect["from"])
        assert resolve(text, start) == datetime.fromisoformat(expect["to"])


def seconds_of(given: dict[str, Any]) -> int:
    """Return the length of an interval of the vectors."""
    if "seconds" in given:
        return int(given["seconds"])
    if "hhmmss" in given:
        text = given["hhmmss"]
        return int(text[:2]) * 3600 + int(text[2:4]) * 60 + int(text[4:])
    words = given["interval"].split()
    if words[0] in ("same", "negative"):
        return -1 if words[0] == "negative" else 0
    if words[-1] == "years":
        return 101 * 365 * 86_400
    if words[-1] == "month":
        start, end = (datetime.fromisoformat(text) for text in (words[0], given["to"]))
        return int((end - start).total_seconds())
    return int(words[-2]) * {"s": 1, "h": 3600, "d": 86_400}[words[-1]]


@pytest.mark.parametrize("vector", only(TIME, "smpp-time-format"), ids=str)
def test_a_time_is_written(vector: Vector) -> None:
    """Absolute in the offset of its zone then and there, relative in days and less; else refused."""
    given, expect = vector.input, vector.expect
    if "zone" in given or "utc" in given:
        zone = zone_of(given.get("zone", "UTC+00"))
        if "local" in given:
            when = datetime.fromisoformat(given["local"]).replace(tzinfo=zone)
        else:
            when = datetime.fromisoformat(given["utc"]).astimezone(zone)
        assert format_absolute(when, NOW).decode() == expect["string"]
        if "utc" in expect:
            assert parse(format_absolute(when, NOW), NOW) == datetime.fromisoformat(expect["utc"])
    elif "error" in expect:
        with pytest.raises(LocalProtocolError):
            format_relative(seconds_of(given))
    elif vector.id == "smpp_time-016":
        assert format_relative(seconds_of(given)) == b"000031000000000R"
    else:
        assert format_relative(seconds_of(given)).decode() == expect["string"]
        if "seconds" in expect:
            assert seconds_of(given) == expect["seconds"]


@pytest.mark.parametrize("vector", only(TIME, "receipt-date"), ids=str)
def test_a_receipt_date_is_read(vector: Vector) -> None:
    """With seconds and without."""
    expected = datetime.fromisoformat(vector.expect["local"])
    assert parse_receipt_date(vector.input["string"].encode(), NOW) == expected


# ---- bits


@pytest.mark.parametrize("vector", only(FIELDS, "data_coding"), ids=str)
def test_a_data_coding_is_taken_apart(vector: Vector) -> None:
    """Alphabet, class, compression, message waiting: as TS 23.038 and SMPP 3.4 have them."""
    parts = data_coding_parts(int(vector.input["dcs"], 16))
    expect = dict(vector.expect)
    if vector.id == "fields-093":
        expect |= {"alphabet": "reserved_12", "group": "general", "class": 0}
    found: dict[str, Any] = {
        "alphabet": parts.alphabet,
        "class": parts.message_class,
        "compressed": parts.compressed,
        "group": parts.group,
        "mwi": parts.waiting is not None,
        "sense": "active" if parts.waiting_active else "inactive",
        "type": f"{parts.waiting}_message_waiting",
        "store": parts.store,
    }
    assert {name: found[name] for name in expect} == expect


@pytest.mark.parametrize("vector", only(FIELDS, "data_coding_range"), ids=str)
def test_a_range_of_data_codings(vector: Vector) -> None:
    """Every value of the range has the alphabet."""
    first, last = int(vector.input["from"], 16), int(vector.input["to"], 16)
    alphabets = {data_coding_parts(value).alphabet for value in range(first, last + 1)}
    assert alphabets == {vector.expect["alphabet"]}


BITS: dict[str, Callable[[int], bool]] = {
    "isUserDataHeaderIndicatorEnabled": flags.has_udh,
    "isReplyPathEnabled": flags.has_reply_path,
    "isMessageTypeSmscDeliveryReceipt": flags.is_delivery_receipt,
    "isMessageTypeIntermediateDeliveryReceipt": flags.is_intermediate,
    "isMessageTypeEsmeDeliveryReceipt": flags.is_delivery_acknowledgement,
    "isMessageTypeAnyDeliveryReceipt": lambda value: (
        flags.is_delivery_receipt(value)
        or flags.is_intermediate(value)
        or flags.is_delivery_acknowledgement(value)
    ),
    "isSmscDeliveryReceiptRequested": lambda value: flags.registered_parts(value).receipt == "final",
    "isSmscDeliveryReceiptOnFailureRequested": lambda value: (
        flags.registered_parts(value).receipt == "failure"
    ),
    "isIntermediateReceiptRequested": lambda value: flags.registered_parts(value).intermediate,
}


@pytest.mark.parametrize("vector", only(FIELDS, "esm_class-bit", "registered_delivery-bit"), ids=str)
def test_a_bit_is_read(vector: Vector) -> None:
    """Bits are masked: others beside them change nothing."""
    assert BITS[vector.input["test"]](int(vector.input["value"], 16)) is vector.expect["result"]


def test_the_parts_of_bit_fields() -> None:
    """A mode, a type, features; a kind of receipt, acknowledgements, intermediate notification."""
    esm, reserved = (v for v in FIELDS if v.kind == "esm_class")
    parts = flags.esm_parts(int(esm.input["esm_class"], 16))
    assert (parts.mode, parts.type) == (esm.expect["mode"], esm.expect["type"])
    assert (parts.udhi, parts.reply_path) == (False, "reply_path" in esm.expect["features"])
    assert flags.esm_parts(int(reserved.input["esm_class"], 16)).type == "reserved"
    both, success = (v for v in FIELDS if v.kind == "registered_delivery")
    wanted = flags.registered_parts(int(both.input["value"], 16))
    assert (wanted.receipt, wanted.intermediate) == (both.expect["receipt"], both.expect["intermediate"])
    acknowledgements = {"delivery": wanted.delivery_acknowledgement, "manual": wanted.user_acknowledgement}
    assert [name for name, asked in acknowledgements.items() if asked] == both.expect["sme_acks"]
    assert flags.registered_parts(int(success.input["value"], 16)).receipt == "success"


@pytest.mark.parametrize("vector", only(FIELDS, "network_error_code"), ids=str)
def test_a_network_error_code_is_read(vector: Vector) -> None:
    """A type and a code; ASCII digits, as one vendor sends them, stay raw."""
    found = flags.network_error(bytes.fromhex(vector.input["hex"]))
    if vector.std == "vendor":
        assert found == (None, None, vector.expect["raw"].encode())
    else:
        assert found[:2] == (vector.expect["network_type"], vector.expect["error_code"])


# ---- numbers


@pytest.mark.parametrize("vector", only(FIELDS, "is_request"), ids=str)
def test_requests_are_known_by_a_bit(vector: Vector) -> None:
    """Bit 31 marks a response; generic_nack is one."""
    assert is_request(int(vector.input["command_id"], 16)) is vector.expect["request"]


@pytest.mark.parametrize("vector", only(FIELDS, "sequence"), ids=str)
def test_sequence_numbers_wrap_to_one(vector: Vector) -> None:
    """After the last comes 1, never 0."""
    numbers = [int(vector.input.get("start", "1"), 16)]
    last = vector.input.get("rollover_at", 0x7FFFFFFF)
    while len(numbers) < len(vector.expect["sequence"]):
        numbers.append(next_sequence_number(numbers[-1], last))
    assert numbers == vector.expect["sequence"]


@pytest.mark.parametrize("vector", only(FIELDS, "status-text"), ids=str)
def test_a_status_says_what_it_means(vector: Vector) -> None:
    """In the words of the standard; of an unknown one the number is kept."""
    code = int(vector.input["status"], 16)
    meaning = vector.expect["meaning"]
    assert status(code).meaning == (meaning if code in STATUSES else f"unknown status 0x{code:08x}")


@pytest.mark.parametrize("vector", only(FIELDS, "field-invalid"), ids=str)
def test_odd_values_are_passed_on(vector: Vector) -> None:
    """A priority or a state out of range is no error of the codec; a dest_flag is, see test_pdu."""
    ((name, value),) = vector.input.items()
    if name == "dest_flag":
        octets = encode(Pdu(0x21, 1, dest_address=[(1, 1, b"7")]))
        with pytest.raises(Recoverable):
            decode(octets[:21] + bytes([int(value, 16)]) + octets[22:])
        return
    fields: dict[str, Any] = {name: int(value, 16)}
    pdu = Pdu(0x80000003 if name == "message_state" else 4, 1, **fields)
    assert decode(encode(pdu)) == pdu


# ---- addresses


@pytest.mark.parametrize("vector", only(FIELDS, "ton_npi"), ids=str)
def test_an_address_is_classified(vector: Vector) -> None:
    """Numbers, short codes and names get their TON and NPI; what cannot be sent is refused."""
    text = vector.input["address"]
    if "refused" in POLICY[vector.id]:
        with pytest.raises(LocalProtocolError):
            address.classify(text)
    elif vector.id == "fields-158":
        assert address.classify(text)[:2] == (5, 0)
    else:
        assert address.classify(text)[:2] == (vector.expect["ton"], vector.expect["npi"])


TONS = {"unknown": 0, "international": 1, "national": 2, "alphanumeric": 5}


@pytest.mark.parametrize("vector", only(FIELDS, "toa"), ids=str)
def test_a_type_of_address(vector: Vector) -> None:
    """Three bits of TON above four of NPI; the peer that swaps them is overruled."""
    if "ton" in vector.input:
        assert address.format_toa(0, 0) == int(vector.expect["toa"], 16)
        return
    octet = int(vector.input["toa"], 16)
    if octet == 0x00:
        with pytest.raises(RemoteProtocolError):
            address.parse_toa(octet)
        return
    standard = {0x91: (1, 1), 0x81: (0, 1), 0xA1: (2, 1), 0x80: (0, 0), 0x82: (0, 2)}
    assert address.parse_toa(octet) == standard[octet]
    assert address.format_toa(*standard[octet]) == octet


@pytest.mark.parametrize("vector", only(FIELDS, "tp-address"), ids=str)
def test_an_address_of_a_tpdu(vector: Vector) -> None:
    """Semi-octets and packed names, both ways."""
    given, expect = vector.input, vector.expect
    if "hex" in given:
        text, ton, _ = address.parse_tp_address(bytes.fromhex(given["hex"]))
        assert (text, ton) == (expect["number"], TONS[expect["ton"]])
        return
    ton, npi = TONS.get(given.get("ton"), 0), 1
    if "toa" in given:
        ton, npi = address.parse_toa(int(given["toa"], 16))
    elif ton == Ton.ALPHANUMERIC:
        npi = 0
    number, octets = given["number"], bytes.fromhex(expect["hex"])
    if vector.id in ("fields-177", "fields-179"):
        with pytest.raises(LocalProtocolError):
            address.format_tp_address(number, ton, npi)
        if vector.id == "fields-179":
            assert address.format_tp_address(number[:11], ton, npi) == octets
        return
    written = address.format_tp_address(number, ton, npi)
    if vector.id == "fields-178":
        written = b"\x0e" + written[1:]
    assert written == octets
    if vector.id != "fields-178":
        assert address.parse_tp_address(octets) == (number, ton, npi)


@pytest.mark.parametrize("vector", only(FIELDS, "tp-address-reject"), ids=str)
def test_a_name_with_other_characters_is_refused(vector: Vector) -> None:
    """Neither the extension table nor anything outside the alphabet."""
    with pytest.raises(LocalProtocolError, match="GSM default alphabet"):
        address.alphanumeric(vector.input["sender"])


ALL_KINDS = (
    ("smpp-time", "smpp-time-part", "smpp-time-format", "receipt-date"),
    ("data_coding", "data_coding_range", "esm_class-bit", "registered_delivery-bit", "esm_class"),
    ("registered_delivery", "network_error_code", "is_request", "sequence", "status-text", "field-invalid"),
    ("ton_npi", "toa", "tp-address", "tp-address-reject"),
)
