"""The compiled receipt scan, look-up keys and dates against their slow twins."""

import sys
from datetime import date, timedelta

import pytest
import receipt_twin as twin
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher._ext import receipt

TYPICAL = (
    b"id:0123456789 sub:002 dlvrd:001 submit date:1005232039 done date:1005242339 "
    b"stat:DELIVRD err:012 text:This is a sample mes"
)

names = (
    b"id ID sub dlvrd submit-date Submit_Date submitdate done---date stat Stat STAT err text Text "
    b"sat dfdfsub submit done date x"
)
keys = st.sampled_from([*names.split(), b"submit date", b"done \t date"])
colons = st.sampled_from([b":", b":", b":", b" :", b": ", b" : ", b":\t", b"", b"=", b"::"])
values = st.one_of(
    st.sampled_from(
        [b"", b"0059113978", b"DELIVRD", b"delivrd", b"Undeliv", b"FAILED", b"SCHEDULED", b"000"]
    ),
    st.sampled_from(
        [b"1005232039", b"2010-05-23 20:39", b"2010-05-23 20:39:11", b"a,b", b"a;", b"...", b"null"]
    ),
    st.sampled_from([b"id:1", b"stat:EXPIRED", b"\xff\x00", b"74e02ee1-4e2f-4a6e", b"ENROUTE", b"REJECTD"]),
    st.binary(max_size=8),
)
gaps = st.sampled_from([b" ", b" ", b" ", b"  ", b"\r\n", b"\0", b",", b", ", b";", b" | ", b"", b"-"])
texts = st.lists(st.tuples(keys, colons, values, gaps).map(b"".join), max_size=10).map(b"".join)


def compiled(data: bytes) -> tuple[twin.Fields, int]:
    """The compiled scan in the twin's shape."""
    message_id, state, stat, *others = receipt.scan(data)
    return (message_id, stat, *others), state


@given(texts)
@settings(max_examples=1500, deadline=None)
def test_the_scan_agrees_with_its_twin(data: bytes) -> None:
    """Whatever the order, case, blanks and rubbish, the compiled scan finds what the slow one finds."""
    assert compiled(data) == twin.scan(data)


@given(st.one_of(st.binary(max_size=300), st.text(max_size=100).map(str.encode)))
@settings(max_examples=500, deadline=None)
def test_any_bytes_can_be_scanned(data: bytes) -> None:
    """Any bytes at all give fields that are pieces of them, and never an exception."""
    fields, state = compiled(data)
    assert (fields, state) == twin.scan(data)
    assert all(field in data for field in fields if field is not None)
    assert -2 <= state <= 9


@given(st.lists(texts, max_size=8))
@settings(max_examples=100, deadline=None)
def test_many_at_once_are_the_same_as_one_by_one(batch: list[bytes]) -> None:
    """`scan_many` gives id, state, the word of an unknown state, and err of each text."""
    expected = []
    for data in batch:
        message_id, state, stat, err, *_ = receipt.scan(data)
        expected.append((message_id, state, stat if state == receipt.OTHER else None, err))
    assert receipt.scan_many(batch) == expected


def test_every_prefix_of_a_receipt_can_be_scanned() -> None:
    """A receipt cut at any octet gives what stands before the cut."""
    for cut in range(len(TYPICAL) + 1):
        assert compiled(TYPICAL[:cut]) == twin.scan(TYPICAL[:cut])


@pytest.mark.parametrize(
    "filler", [b",", b", ", b"id ", b"submit ", b"submit-", b"id:", b":", b" ", b"text:", b"-"]
)
def test_hostile_repetition_is_scanned_in_one_pass(filler: bytes) -> None:
    """64 KB of any repeated beginning of a field is scanned, and agrees with the twin on a shorter one."""
    receipt.scan(filler * (65_535 // len(filler)))
    assert compiled(filler * 50) == twin.scan(filler * 50)


def test_only_bytes_are_scanned() -> None:
    """Anything but bytes is a broken contract, also inside a batch."""
    with pytest.raises(TypeError):
        receipt.scan(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        receipt.scan_many([TYPICAL, None])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        receipt.scan_many(["id:1"])  # type: ignore[list-item]


ids = st.one_of(
    st.binary(max_size=64),
    st.from_regex(rb"\A[0-9]{1,64}\Z"),
    st.from_regex(rb"\A[0-9A-Fa-f]{1,64}\Z"),
    st.from_regex(rb"\A[ \t]?0{0,9}[0-9A-Za-z-]{0,40}[ \0]{0,3}\Z"),
)


@given(ids, st.sampled_from([0, 10, 16]), st.booleans(), st.booleans())
@settings(max_examples=1500, deadline=None)
def test_the_key_agrees_with_its_twin(
    message_id: bytes, base: int, fold_case: bool, strip_zeros: bool
) -> None:
    """A number of up to 64 digits becomes its exact digits; all else stays, but for the flags."""
    flags = fold_case * 1 + strip_zeros * 2
    assert receipt.key(message_id, base, flags) == twin.key(message_id, base, fold_case, strip_zeros)


def test_the_extremes_of_a_key() -> None:
    """64 hexadecimal digits are exact, and powers of the inner base; longer ids stay as they are."""
    assert receipt.key(b"f" * 64, 16, 0) == b"%d" % (16**64 - 1)
    for power in (9, 18, 27, 63):
        assert receipt.key(b"%d" % 10**power, 10, 0) == b"%d" % 10**power
    assert receipt.key(b"0" * 65, 10, 3) == b"0" * 65
    assert receipt.key(b"", 16, 3) == b""
    with pytest.raises(ValueError, match="base"):
        receipt.key(b"1", 8, 0)


@given(st.integers(0, 10**14 - 1), st.booleans())
@settings(max_examples=800, deadline=None)
def test_dates_agree_with_the_standard_library(number: int, real: bool) -> None:
    """Real and impossible dates of 10, 12 and 14 digits: the same seconds, or None, as strptime gives."""
    if real:  # push month and day into their ranges, or just past them
        number = number // 10**10 * 10**10 + number % 14 * 10**8 + number // 7 % 33 * 10**6 + number % 10**6
    for pattern, python_format, digits in (
        (b"YYYYMMDDhhmmss", "%Y%m%d%H%M%S", 14),
        (b"YYYYMMDDhhmm", "%Y%m%d%H%M", 12),
    ):
        value = (b"%014d" % number)[:digits]
        if value.endswith(b"60") and digits == 14:
            continue  # a leap second: ours counts it, strptime refuses or not by version
        assert receipt.local_seconds(value, pattern) == twin.local_seconds(value, python_format, digits)


def test_every_day_of_four_centuries() -> None:
    """Each day of 1970 to 2369 is 86,400 s after the one before; past a month's last day is none."""
    day = date(1970, 1, 1)
    for index in range(146_097):
        spelt = b"%04d%02d%02d" % (day.year, day.month, day.day)
        assert receipt.local_seconds(spelt, b"YYYYMMDD") == index * 86_400
        day += timedelta(days=1)
        if day.day == 1:
            assert receipt.local_seconds(b"%d" % (int(spelt) + 1), b"YYYYMMDD") is None


def test_dates_in_other_notations() -> None:
    """Separators stand for themselves, years of two digits turn at 70, a leap second is the next one."""
    assert receipt.local_seconds(b"2010-05-23 20:39", b"YYYY-MM-DD hh:mm") == 1274647140
    assert receipt.local_seconds(b"1005232039", b"YYMMDDhhmm") == 1274647140
    assert receipt.local_seconds(b"2010/05/23 20:39", b"YYYY-MM-DD hh:mm") is None
    assert receipt.local_seconds(b"6901010000", b"YYMMDDhhmm") == 3124224000
    assert receipt.local_seconds(b"7001010000", b"YYMMDDhhmm") == 0
    assert receipt.local_seconds(b"161231235960", b"YYMMDDhhmmss") == 1483228800
    assert receipt.local_seconds(b"1" * 40, b"Y" * 40) is None
    assert receipt.local_seconds(b"", b"") is None


def test_scanning_keeps_no_reference() -> None:
    """What a scan returns are copies; the text is released as soon as its owner lets go."""
    data = bytes(bytearray(TYPICAL))
    before = sys.getrefcount(data)
    kept = [receipt.scan(data) for _ in range(100)]
    assert sys.getrefcount(data) == before
    assert len(kept) == 100
