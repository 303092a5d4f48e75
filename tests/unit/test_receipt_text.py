"""Reading receipts: TLVs, recognition, dialects."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.errors import ConfigError
from dispatcher.smpp import dialect as states
from dispatcher.smpp.dialect import DEFAULT, Dialect
from dispatcher.smpp.receipt_text import Kind, parse, recognise

RECEIPT = (
    b"id:0059113978 sub:001 dlvrd:001 submit date:1002101730 done date:1002101731 stat:DELIVRD err:000 text:x"
)

# The id of submit_sm_resp, and the id in the text of its receipt: recorded pairs.
PAIRS = [
    (b"38601fa", b"0059113978"),
    (b"6aad5", b"0000436949"),
    (b"18d0e03a", b"0416342074"),
    (b"1d305b4c", b"0489708364"),
    (b"70BA8A69", b"1891273321"),
]

tlv_maps = st.dictionaries(
    st.sampled_from([0x001E, 0x0423, 0x0427, 0x0424]), st.binary(max_size=70), max_size=4
)
dialects = st.builds(
    Dialect,
    id_notation=st.sampled_from(["as_is", "response_hex", "receipt_hex", "both_hex"]),
    tlv_id=st.sampled_from(["response", "receipt"]),
    strip_zeros=st.booleans(),
    fold_case=st.booleans(),
    submit_zone=st.sampled_from([UTC, timezone(timedelta(hours=3)), ZoneInfo("Asia/Yekaterinburg")]),
    states=st.sampled_from([{}, {"FAILED": 5}, {"DELIVRD": 6}]),
)
pieces = st.sampled_from(
    [b"id:", b"stat:", b"err:", b"text:", b"submit date:", b"done date:", b" ", b"DELIVRD", b"\0"]
)
texts = st.one_of(
    st.binary(max_size=200),
    st.lists(st.one_of(pieces, st.binary(max_size=14), st.from_regex(rb"\A[0-9]{10,14}\Z")), max_size=15).map(
        b"".join
    ),
)


@given(st.integers(0, 255), texts, tlv_maps, dialects)
@settings(max_examples=800, deadline=None)
def test_nothing_a_peer_sends_raises(
    esm_class: int, text: bytes, tlvs: Mapping[int, bytes], dialect: Dialect
) -> None:
    """Any esm_class, text and TLVs give a kind and a receipt with a state from 0 to 9 or none, and a key."""
    assert recognise(esm_class, text, tlvs) in Kind
    got = parse(text, tlvs, dialect)
    assert got.state is None or 0 <= got.state <= 9
    assert isinstance(dialect.is_final(got.state), bool)
    if got.message_id is not None:
        dialect.key_of_receipt(got.message_id, got.id_from_tlv)
        dialect.key_of_response(got.message_id)


@pytest.mark.parametrize(("response", "receipt"), PAIRS)
def test_recorded_pairs_match(response: bytes, receipt: bytes) -> None:
    """Any esm_class, text and TLVs give a kind, a receipt with a state or none, and a key."""
    dialect = Dialect(id_notation="response_hex")
    assert dialect.key_of_response(response) == dialect.key_of_receipt(receipt)
    assert dialect.key_of_response(response) == dialect.key_of_receipt(response + b"\0", from_tlv=True)
    backward = Dialect(id_notation="receipt_hex")
    assert backward.key_of_response(receipt) == backward.key_of_receipt(response)
    other = Dialect(id_notation="response_hex", tlv_id="receipt")
    assert other.key_of_response(response) == other.key_of_receipt(receipt, from_tlv=True)


def test_ids_that_are_no_numbers_stay_as_they_are() -> None:
    """UUIDs and ids of 20 digits are never made numbers by default; flags fold case and strip zeros."""
    uuid = b"74E02EE1-4e2f-4a6e-a78b-4b247d756a22"
    assert DEFAULT.key_of_response(uuid) == DEFAULT.key_of_receipt(uuid) == uuid
    assert DEFAULT.key_of_receipt(b"00253092914522667372") == b"00253092914522667372"
    assert Dialect(fold_case=True).key_of_receipt(uuid) == uuid.lower()
    assert Dialect(strip_zeros=True).key_of_receipt(b"000") == b"0"
    assert Dialect(id_notation="response_hex").key_of_receipt(uuid) == uuid
    both = Dialect(id_notation="both_hex")
    assert both.key_of_response(b"00aB") == both.key_of_receipt(b"AB")


def test_tlvs_win_over_the_text() -> None:
    """receipted_message_id and message_state win; the word of the text is kept beside them."""
    got = parse(RECEIPT, {0x001E: b"6000\0", 0x0427: b"\x06", 0x0423: b"\x03\x00\x2a"})
    assert (got.message_id, got.id_from_tlv) == (b"6000", True)
    assert (got.state, got.stat, got.network_error) == (states.ACCEPTED, b"DELIVRD", (3, 42))
    assert (got.sub, got.dlvrd, got.err, got.text) == (1, 1, b"000", b"x")


def test_useless_tlvs_do_not_hide_the_text() -> None:
    """An empty id, or a state that is no state, leaves the text's; alone it is UNKNOWN and unmapped."""
    got = parse(RECEIPT, {0x001E: b"\0", 0x0427: b"\x63", 0x0423: b"\x01"})
    assert (got.message_id, got.id_from_tlv, got.state, got.unmapped) == (b"0059113978", False, 2, False)
    assert got.network_error is None
    alone = parse(b"", {0x001E: b"5", 0x0427: b"\x63"})
    assert (alone.state, alone.unmapped) == (states.UNKNOWN, True)


def test_a_network_error_in_ascii_is_a_code_without_a_type() -> None:
    """Some carriers send three digits as text where a type and two octets belong."""
    assert parse(b"", {0x0423: b"042"}).network_error == (0, 42)


def test_a_bad_date_never_loses_the_state() -> None:
    """An impossible date is kept as it came and gives no seconds; id and state are read."""
    got = parse(b"id:7 submit date:1013402561 done date:oops stat:EXPIRED err:1")
    assert (got.message_id, got.state, got.submit_at_s, got.done_at_s) == (b"7", states.EXPIRED, None, None)
    assert (got.submit_date, got.done_date) == (b"1013402561", b"oops")


def test_the_users_text_is_not_read() -> None:
    """What stands behind text: belongs to the user, even if it looks like fields."""
    got = parse(b"id:7 stat:UNDELIV err:001 text:id:8 stat:DELIVRD err:000")
    assert (got.message_id, got.state, got.text) == (b"7", 5, b"id:8 stat:DELIVRD err:000")


def test_a_whole_receipt_in_ucs2_is_read() -> None:
    """Some carriers send the receipt itself in UCS-2."""
    got = parse(RECEIPT.decode().encode("utf-16-be"))
    assert (got.message_id, got.state) == (b"0059113978", 2)


@pytest.mark.parametrize(
    ("esm_class", "text", "tlvs", "kind"),
    [
        (0x04, b"anything", {}, Kind.RECEIPT),
        (0x44, b"", {}, Kind.RECEIPT),
        (0x20, RECEIPT, {}, Kind.INTERMEDIATE),
        (0x24, RECEIPT, {}, Kind.INTERMEDIATE),
        (0x00, b"", {0x001E: b"1", 0x0427: b"\2"}, Kind.RECEIPT),
        (0x00, b"hello", {0x001E: b"1"}, Kind.MESSAGE),
        (0x00, RECEIPT, {}, Kind.LOOKS_LIKE),
        (0x08, RECEIPT, {}, Kind.LOOKS_LIKE),
        (0x00, b"id:5 is my answer", {}, Kind.MESSAGE),
        (0x00, b"stat:DELIVRD", {}, Kind.MESSAGE),
        (0x40, b"\x05\x00\x03\x01\x02\x01hello", {}, Kind.MESSAGE),
    ],
)
def test_receipts_are_recognised(esm_class: int, text: bytes, tlvs: dict[int, bytes], kind: Kind) -> None:
    """esm_class decides, then the TLV pair; on its looks alone a text needs a known id."""
    assert recognise(esm_class, text, tlvs) is kind


@pytest.mark.parametrize(
    ("word", "state"),
    [
        (b"BUFFRED", 1),
        (b"bufferd", 1),
        (b"ACKED", 1),
        (b"NOCRED", 8),
        (b"Delivered", 2),
        (b"UNDELIVERABLE", 5),
    ],
)
def test_usual_words_are_mapped(word: bytes, state: int) -> None:
    """Words outside the standard whose meaning is beyond doubt are mapped without an alarm."""
    got = parse(b"id:1 stat:" + word)
    assert (got.state, got.unmapped, got.stat) == (state, False, word)


def test_a_dialect_may_override_a_word_of_the_standard() -> None:
    """A carrier whose DELIVRD means accepted says so in its dialect."""
    assert parse(b"id:1 stat:DELIVRD", dialect=Dialect(states={"DELIVRD": states.ACCEPTED})).state == 6


def test_which_states_are_final() -> None:
    """By default ACCEPTD and UNKNOWN are not final, and nothing is in an intermediate notification."""
    final = {state for state in range(10) if DEFAULT.is_final(state)}
    assert final == {2, 3, 4, 5, 8, 9}
    assert Dialect(accepted_is_final=True).is_final(states.ACCEPTED)
    assert not Dialect(accepted_is_final=True).is_final(states.ACCEPTED, intermediate=True)
    assert not DEFAULT.is_final(None)
    assert DEFAULT.handset_receipts


def test_dates_are_read_in_the_carriers_zones() -> None:
    """Fixed offsets and named zones, one for each date; a zone's history counts."""
    dialect = Dialect(submit_zone=timezone(timedelta(hours=3)), done_zone=ZoneInfo("Asia/Yekaterinburg"))
    got = parse(b"id:1 submit date:1407011200 done date:1407011200", dialect=dialect)
    assert got.submit_at_s == int(datetime(2014, 7, 1, 9, tzinfo=UTC).timestamp())
    assert got.done_at_s == int(datetime(2014, 7, 1, 6, tzinfo=UTC).timestamp())
    assert dialect.done_seconds(b"1507011200") == int(datetime(2015, 7, 1, 7, tzinfo=UTC).timestamp())


def test_twelve_digits_are_read_in_the_dialects_order() -> None:
    """12 digits that are a date both ways are what the dialect tries first."""
    ambiguous = b"200101010030"
    assert DEFAULT.done_seconds(ambiguous) == int(datetime(2020, 1, 1, 1, 0, 30, tzinfo=UTC).timestamp())
    four = Dialect(date_formats=("YYYYMMDDhhmm",))
    assert four.done_seconds(ambiguous) == int(datetime(2001, 1, 1, 0, 30, tzinfo=UTC).timestamp())
    spelt = Dialect(date_formats=("DD.MM.YYYY hh:mm:ss",))
    got = parse(b"id:1 done date:23.05.2010 20:39:07 stat:DELIVRD", dialect=spelt)
    assert got.done_at_s == int(datetime(2010, 5, 23, 20, 39, 7, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"id_notation": "respons_hex"}, "did you mean 'response_hex'"),
        ({"tlv_id": "text"}, "one of response, receipt"),
        ({"date_formats": ()}, "date_formats is empty"),
        ({"date_formats": ("YYMMDD",)}, "expected YY or YYYY"),
        ({"date_formats": ("%y%m%d",)}, "expected YY or YYYY"),
        ({"submit_zone": "Europe/Moscow"}, "submit_zone"),
        ({"states": {"NO CREDIT": 8}}, "without blanks"),
        ({"states": {"FAILED": 10}}, "message_state from 0 to 9"),
        ({"states": {"FAILED": "UNDELIV"}}, "message_state from 0 to 9"),
    ],
)
def test_a_wrong_dialect_is_refused_when_it_is_made(wrong: dict[str, Any], says: str) -> None:
    """A mistake in a dialect is a ConfigError that says what was expected, before any receipt is read."""
    with pytest.raises(ConfigError, match=says):
        Dialect(**wrong)


def test_dialects_are_values() -> None:
    """Equal dialects are equal and can be keys; nothing in them can be changed."""
    mine: dict[str, int] = {"FAILED": 5}
    dialect = Dialect(states=mine)
    mine.clear()
    assert dialect == Dialect(states={"FAILED": 5})
    assert hash(dialect) == hash(Dialect(states={"FAILED": 5}))
    assert dialect.state_of(b"failed") == 5
    with pytest.raises(AttributeError):
        dialect.fold_case = True  # type: ignore[misc]
