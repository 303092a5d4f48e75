"""The times of SMPP 3.4 (7.1.1): ``YYMMDDhhmmsstnnp``, absolute or relative.

The laws:

* the clock is an argument: ``now`` is an aware datetime, wherever a two-digit year must find its century
  (a sliding window: the century that brings it nearest to now);
* ``nn`` counts quarter hours and none is lost;
* what we send is exact: relative times are days, hours, minutes and seconds only, since nobody agrees on the
  length of a month. What we receive is taken as 365 and 30 days.

An empty string means "the SMSC's default" in a PDU and is no time here.
"""

from datetime import UTC, datetime, timedelta, timezone
from typing import Final, NamedTuple

from dispatcher.errors import LocalProtocolError, RemoteProtocolError

_QUARTER: Final = timedelta(minutes=15)
_QUARTERS_MAX: Final = 48
_DAYS_MAX: Final = 31  # DD is a day of the month; more is for an absolute time


class Relative(NamedTuple):
    """A relative time as received, part by part and unchecked."""

    years: int
    months: int
    days: int
    hours: int
    minutes: int
    seconds: int

    def total_seconds(self) -> int:
        """Return its length, a year taken as 365 days and a month as 30: the standard does not say."""
        days = self.years * 365 + self.months * 30 + self.days
        return ((days * 24 + self.hours) * 60 + self.minutes) * 60 + self.seconds


def format_relative(seconds: int) -> bytes:
    """Write a time from now, 0 seconds to 31 days 23:59:59: ``000000000500000R`` is five minutes."""
    if seconds < 0:
        raise LocalProtocolError("validity_period: it lies in the past", "validity_period")
    days, rest = divmod(seconds, 86_400)
    if days > _DAYS_MAX:
        raise LocalProtocolError(
            f"validity_period: {days} days do not fit a relative time, at most {_DAYS_MAX} do; "
            "months and years have no agreed length: send an absolute time",
            "validity_period",
        )
    return b"0000%02d%02d%02d%02d000R" % (days, rest // 3600, rest // 60 % 60, rest % 60)


def format_absolute(when: datetime, now: datetime) -> bytes:
    """Write an aware datetime, to the tenth of a second, in its own offset.

    Offsets that SMPP cannot write (over 12 hours, or no quarter hours) are written as UTC: the same instant.
    """
    offset = when.utcoffset()
    if offset is None:
        raise LocalProtocolError("the time has no zone: pass an aware datetime", "validity_period")
    quarters, remainder = divmod(abs(offset), _QUARTER)
    if remainder or quarters > _QUARTERS_MAX:
        return format_absolute(when.astimezone(UTC), now)
    if _full_year(when.year % 100, now) != when.year:
        raise LocalProtocolError(
            f"year {when.year}: two digits would be read as another century; stay within 49 years of now",
            "validity_period",
        )
    sign = "-" if offset < timedelta(0) else "+"
    return f"{when:%y%m%d%H%M%S}{when.microsecond // 100_000}{quarters:02d}{sign}".encode("ascii")


def parse(value: bytes, now: datetime) -> datetime | Relative:
    """Read an absolute time (as an aware datetime) or a relative one; raise RemoteProtocolError."""
    if len(value) != 16:
        raise _broken(f"{len(value)} octets, YYMMDDhhmmsstnnp has 16")
    digits, kind = value[:15], value[15:]
    if not digits.isdigit():
        raise _broken("other than digits among the first 15 octets")
    parts = [int(digits[i : i + 2]) for i in range(0, 12, 2)]
    if kind == b"R":
        return Relative(*parts)
    if kind not in (b"+", b"-"):
        raise _broken("the last octet is not +, - or R")
    quarters = int(digits[13:15])
    if quarters > _QUARTERS_MAX:
        raise _broken(f"{quarters} quarter hours from UTC, 00 to 48 are possible")
    zone = timezone(quarters * _QUARTER if kind == b"+" else -quarters * _QUARTER)
    return _datetime(parts, now).replace(microsecond=int(digits[12:13]) * 100_000, tzinfo=zone)


def resolve(value: bytes, now: datetime) -> datetime:
    """Read either kind as the instant it means if it was written ``now``."""
    parsed = parse(value, now)
    if isinstance(parsed, datetime):
        return parsed
    try:
        return now + timedelta(seconds=parsed.total_seconds())
    except OverflowError:
        raise _broken("beyond the calendar") from None


def parse_receipt_date(value: bytes, now: datetime, year_digits: int = 2) -> datetime:
    """Read a date of a receipt's text, as naive local time of the SMSC; raise RemoteProtocolError.

    ``YYMMDDhhmm`` or ``YYMMDDhhmmss``; 14 digits are ``YYYYMMDDhhmmss``; 12 are ``YYYYMMDDhhmm`` where the
    carrier's profile says ``year_digits=4``.
    """
    if not value.isdigit() or len(value) not in (10, 12, 14):
        raise _broken(f"{len(value)} octets, 10, 12 or 14 digits are expected")
    wide = len(value) == 14 or (len(value) == 12 and year_digits == 4)
    year, rest = (int(value[:4]), value[4:]) if wide else (int(value[:2]), value[2:])
    parts = [year, *(int(rest[i : i + 2]) for i in range(0, len(rest), 2))]
    return _datetime(parts, now, full_year=wide)


def _datetime(parts: list[int], now: datetime, full_year: bool = False) -> datetime:
    year = parts[0] if full_year else _full_year(parts[0], now)
    try:
        return datetime(year, *parts[1:])  # type: ignore[arg-type]  # at most six parts: no tzinfo among them
    except ValueError as error:
        raise _broken(str(error)) from None


def _full_year(two_digits: int, now: datetime) -> int:
    """Return the year nearest to now that ends so; of two as near, the later."""
    year = now.year - now.year % 100 + two_digits
    if year - now.year > 50:
        return year - 100
    if now.year - year >= 50:
        return year + 100
    return year


def _broken(what: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"not a time of SMPP: {what}")
