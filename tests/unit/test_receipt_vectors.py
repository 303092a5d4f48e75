"""The outside receipt vectors: other people's recorded receipts, and what their code reads in them.

They are not part of this repository: $DISPATCHER_VECTORS, or ``shared/vectors`` beside it, holds them.
"""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dispatcher.smpp.dialect import DEFAULT, STATE_WORDS, UNKNOWN, Dialect
from dispatcher.smpp.receipt_text import Kind, ReceiptText, parse, recognise

FOLDER = Path(os.environ.get("DISPATCHER_VECTORS", Path(__file__).parents[3] / "shared" / "vectors"))
FILE = FOLDER / "receipts.json"

OUR_POLICY = {
    # Where the standard leaves it open: what the vector's peer does, and what we do instead or as well.
    **dict.fromkeys(
        [f"receipts-{number:03}" for number in range(3, 11)],
        "the peer refuses a receipt with a misspelt key; we read the others (appendix B is vendor specific)",
    ),
    "receipts-016": "same as the peer: no id and no state is a value, not an error",
    "receipts-024": "same as the peer: a state alone is kept, of use with a receipted_message_id TLV",
    "receipts-052": "same as the peer: the TLV pair makes a receipt without the esm_class bit",
    "receipts-056": "the peer refuses an unknown key; we skip it and keep id and state",
    "receipts-057": "the peer refuses a receipt without done date; we keep id and state",
    "receipts-058": "the peer refuses a bad date; we keep id and state, and the date as it came",
    "receipts-063": "not of this room: joining the receipts of segments is the work of receipts.py",
    "receipts-064": "not of this room: a segment refused among accepted ones is the work of receipts.py",
    # True for one vendor.
    "receipts-050": "FAILED is no SMPP state: UNKNOWN, marked unmapped, until the carrier's dialect maps it",
}
ELSEWHERE = {"receipts-063", "receipts-064"}

VECTORS: list[dict[str, Any]] = json.loads(FILE.read_text("utf-8"))["vectors"] if FILE.exists() else []
DIALECTS = {
    (1, "text"): Dialect(id_notation="response_hex"),
    (2, "text"): Dialect(id_notation="receipt_hex"),
}


def of_kind(*kinds: str) -> list[Any]:
    """The vectors of some kinds, as parameters named by their ids."""
    if not VECTORS:
        reason = "outside vectors not found: set DISPATCHER_VECTORS to their folder"
        return [pytest.param({}, marks=pytest.mark.skip(reason=reason))]
    return [pytest.param(vector, id=vector["id"]) for vector in VECTORS if vector["kind"] in kinds]


def read(given: dict[str, Any]) -> tuple[Kind, ReceiptText]:
    """Recognise and parse a vector's input."""
    tlvs = {}
    for tag, value in given.get("tlvs", {}).items():
        number = int(tag, 16)
        if isinstance(value, int):
            tlvs[number] = bytes([value])
        else:
            tlvs[number] = bytes.fromhex(value) if number == 0x0423 else value.encode() + b"\0"
    text = given["text"].encode("latin-1")
    return recognise(given.get("esm_class", 4), text, tlvs), parse(text, tlvs)


def seconds(iso: str) -> int:
    """A vector's date, which names no zone, in the default dialect's zone."""
    return int(datetime.fromisoformat(iso).replace(tzinfo=UTC).timestamp())


def check(expected: dict[str, Any], got: ReceiptText, has_tlv_id: bool) -> None:
    """Compare every field that the vector names."""
    names = list(STATE_WORDS)
    for field, value in expected.items():
        as_bytes = value.encode("latin-1") if isinstance(value, str) else value
        if field == "id":
            # With a TLV the id of the text is the other notation of the same number.
            same = got.message_id == as_bytes
            if has_tlv_id and not same:
                dialect = DIALECTS[1, "text"]
                assert got.message_id is not None
                same = dialect.key_of_receipt(got.message_id, True) == dialect.key_of_receipt(as_bytes)
            assert same, (field, got)
        elif field == "stat":
            if value is None or value not in names:
                assert got.stat == as_bytes
            else:
                assert got.state == names.index(value)
        elif field in ("sub", "dlvrd", "err", "text"):
            assert getattr(got, field) == as_bytes, (field, got)
        elif field in ("submit_date", "done_date"):
            at_s = got.submit_at_s if field == "submit_date" else got.done_at_s
            assert at_s == seconds(value), (field, got)
        elif field == "submit_date_raw":
            assert got.submit_date == as_bytes
        elif field == "receipted_message_id":
            assert got.message_id == as_bytes
            assert got.id_from_tlv
        elif field == "message_state":
            assert got.state == value
        elif field == "unparsable":
            assert got.message_id is None
            assert got.state is None
        else:
            assert field in ("is_receipt", "strict_error", "lenient"), field


@pytest.mark.parametrize("vector", of_kind("receipt"))
def test_a_recorded_receipt_is_read(vector: dict[str, Any]) -> None:
    """Each recorded receipt gives the fields that the vector names; nobody's strictness loses a state."""
    given, expected = vector["input"], vector["expect"]
    kind, got = read(given)
    if vector["std"] != "agrees":
        assert vector["id"] in OUR_POLICY
    check(expected, got, "0x001e" in given.get("tlvs", {}))
    check(expected.get("lenient", {}), got, False)
    if "strict_error" in expected:
        missing = expected["strict_error"].removeprefix("missing field ")
        assert (got.state is None) == (missing == "stat")
        assert (got.message_id is None) == (missing == "id")
    if "is_receipt" in expected:
        assert (kind is Kind.RECEIPT) == expected["is_receipt"]
    if expected.get("is_receipt") is False:
        assert kind is Kind.LOOKS_LIKE


@pytest.mark.parametrize("vector", of_kind("stat-vs-message_state"))
def test_a_word_of_state_has_its_number(vector: dict[str, Any]) -> None:
    """Each word of `stat` is read as the standard's message_state, in any case."""
    for word in (vector["input"]["stat"], vector["input"]["stat"].lower()):
        assert parse(b"id:1 stat:" + word.encode()).state == vector["expect"]["message_state"]


@pytest.mark.parametrize("vector", of_kind("message-id-base"))
def test_ids_match_in_both_notations(vector: dict[str, Any]) -> None:
    """The id of the response and that of the receipt have the same key in the carrier's dialect."""
    given, expected = vector["input"], vector["expect"]
    if "decimal" in given:
        dialect, response, receipt = DIALECTS[1, "text"], expected["hex"], given["decimal"]
    else:
        dialect = DIALECTS[given["msg_id_type"], "text"]
        response, receipt = given["submit_sm_resp_id"], given["receipt_id"]
    assert dialect.key_of_response(response.encode()) == dialect.key_of_receipt(receipt.encode())
    assert DEFAULT.key_of_response(response.encode()) != DEFAULT.key_of_receipt(receipt.encode())


@pytest.mark.skipif(not VECTORS, reason="outside vectors not found: set DISPATCHER_VECTORS to their folder")
def test_every_vector_is_used_or_has_its_reason() -> None:
    """All vectors are read by a test above or listed as another room's; each deviation has a reason."""
    ours = {"receipt", "stat-vs-message_state", "message-id-base"}
    assert {vector["id"] for vector in VECTORS if vector["kind"] not in ours} == ELSEWHERE
    assert {vector["id"] for vector in VECTORS if vector["std"] != "agrees"} == set(OUR_POLICY)
    assert len(VECTORS) == 66


@pytest.mark.skipif(not VECTORS, reason="outside vectors not found: set DISPATCHER_VECTORS to their folder")
def test_a_vendors_failed_is_unmapped_until_its_dialect_says() -> None:
    """The vendor's FAILED reads as UNKNOWN and raises an alarm; a dialect that maps it ends both."""
    text = next(vector for vector in VECTORS if vector["id"] == "receipts-050")["input"]["text"].encode()
    got = parse(text)
    assert (got.state, got.unmapped, got.stat) == (UNKNOWN, True, b"FAILED")
    mapped = parse(text, dialect=Dialect(states={"Failed": 5}))
    assert (mapped.state, mapped.unmapped) == (5, False)
