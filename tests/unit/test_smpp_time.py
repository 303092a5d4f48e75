"""SMPP times: what is written is read back, centuries, and what is refused."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.errors import LocalProtocolError, RemoteProtocolError
from dispatcher.smpp.time import (
    Relative,
    format_absolute,
    format_relative,
    parse,
    parse_receipt_date,
    resolve,
)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ZONES = st.integers(-56, 56).map(lambda quarters: timezone(timedelta(minutes=15 * quarters)))
TIMES = st.datetimes(datetime(1977, 1, 2), datetime(2075, 12, 30), timezones=ZONES)


@given(TIMES)
def test_an_absolute_time_is_read_back(when: datetime) -> None:
    """To the tenth of a second, in any zone of quarter hours, within 49 years of now."""
    text = format_absolute(when, NOW)
    assert len(text) == 16
    assert parse(text, NOW) == when.replace(microsecond=when.microsecond // 100_000 * 100_000)


@given(st.integers(0, 32 * 86_400 - 1))
def test_a_relative_time_is_read_back(seconds: int) -> None:
    """Every second up to 31 days 23:59:59; neither years nor months are written."""
    text = format_relative(seconds)
    assert (len(text), text[:4], text[12:]) == (16, b"0000", b"000R")
    parsed = parse(text, NOW)
    assert isinstance(parsed, Relative)
    assert parsed.total_seconds() == seconds
    assert resolve(text, NOW) == NOW + timedelta(seconds=seconds)


@given(st.binary(max_size=20) | st.from_regex(rb"\A[0-9]{15}[+R-]\Z"))
def test_any_octets_are_a_time_or_an_error(octets: bytes) -> None:
    """A peer cannot make the parsers raise anything else."""
    for read in (resolve, parse_receipt_date):
        with suppress(RemoteProtocolError):
            assert isinstance(read(octets, NOW), datetime)


@pytest.mark.parametrize(
    ("now", "year", "full"),
    [(2026, "26", 2026), (2026, "76", 2076), (2026, "77", 1977), (2026, "99", 1999), (1999, "00", 2000),
     (1999, "49", 2049), (1999, "50", 1950), (2099, "00", 2100)],
)  # fmt: skip
def test_two_digits_are_the_nearest_century(now: int, year: str, full: int) -> None:
    """The window slides with now; of two years as near, the later."""
    text = f"{year}0101000000000+".encode()
    assert resolve(text, datetime(now, 6, 1, tzinfo=UTC)).year == full


@pytest.mark.parametrize(
    ("when", "message"),
    [
        (datetime(2026, 1, 1), "no zone"),
        (datetime(2080, 1, 1, tzinfo=UTC), "another century"),
        (datetime(1970, 1, 1, tzinfo=UTC), "another century"),
    ],
)
def test_a_time_that_would_be_misread_is_refused(when: datetime, message: str) -> None:
    """A naive time, and a year that two digits cannot carry."""
    with pytest.raises(LocalProtocolError, match=message):
        format_absolute(when, NOW)


def test_an_offset_that_smpp_lacks_is_written_as_utc() -> None:
    """Beyond 12 hours (Auckland in summer), or not in quarter hours (old local times): the same instant."""
    for offset in (timedelta(hours=13), timedelta(minutes=17)):
        when = datetime(2026, 1, 1, 12, tzinfo=timezone(offset))
        assert format_absolute(when, NOW).endswith(b"00+")
        assert parse(format_absolute(when, NOW), NOW) == when


@pytest.mark.parametrize("seconds", [-1, 32 * 86_400])
def test_a_relative_time_out_of_range_is_refused(seconds: int) -> None:
    """The past, and more days than a month has."""
    with pytest.raises(LocalProtocolError):
        format_relative(seconds)


def test_dates_of_receipts() -> None:
    """10, 12 and 14 digits; 12 are YYYYMMDDhhmm only where the profile says so; a bad date is an error."""
    expected = datetime(2026, 11, 24, 9, 5)
    assert parse_receipt_date(b"2611240905", NOW) == expected
    assert parse_receipt_date(b"261124090507", NOW) == expected.replace(second=7)
    assert parse_receipt_date(b"20261124090507", NOW) == expected.replace(second=7)
    assert parse_receipt_date(b"202611240905", NOW, year_digits=4) == expected
    for bad in (b"", b"2613240905", b"26112409", b"26112409xx"):
        with pytest.raises(RemoteProtocolError):
            parse_receipt_date(bad, NOW)


def test_a_relative_time_beyond_the_calendar_is_an_error() -> None:
    """99 years from the last century that datetime knows."""
    with pytest.raises(RemoteProtocolError, match="beyond the calendar"):
        resolve(b"990000000000000R", datetime(9950, 1, 1, tzinfo=UTC))
