"""Dates as HTTP writes and reads them (RFC 9110, 5.6.7). Knows no field and no clock but the system's."""

import re
import time
from calendar import timegm

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH_NUMBERS = {name.encode("ascii"): number for number, name in enumerate(_MONTHS, 1)}

_DAY, _MONTH = rb"(?P<day>[ \d]\d)", rb"(?P<month>[A-Z][a-z]{2})"
_TIME = rb"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_WEEKDAY = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_LONG_WEEKDAY = rb"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_FORMS = (  # as sent today, then RFC 850, then asctime()
    re.compile(_WEEKDAY + rb", " + _DAY + rb" " + _MONTH + rb" (?P<year>\d{4}) " + _TIME + rb" GMT"),
    re.compile(_LONG_WEEKDAY + rb", " + _DAY + rb"-" + _MONTH + rb"-(?P<year>\d\d) " + _TIME + rb" GMT"),
    re.compile(_WEEKDAY + rb" " + _MONTH + rb" " + _DAY + rb" " + _TIME + rb" (?P<year>\d{4})"),
)

_cached: tuple[int, bytes] = (-1, b"")


def format_date(seconds: float) -> bytes:
    """`Sun, 06 Nov 1994 08:49:37 GMT`; not strftime, which speaks the locale's language."""
    at = time.gmtime(seconds)
    return (
        f"{_DAYS[at.tm_wday]}, {at.tm_mday:02d} {_MONTHS[at.tm_mon - 1]} {at.tm_year:04d} "
        f"{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d} GMT"
    ).encode("ascii")


def date_now() -> bytes:
    """The value of a Date field, written anew once a second."""
    global _cached
    now = int(time.time())
    second, text = _cached  # one read of one tuple: threads may race for it, and both would be right
    if second != now:
        text = format_date(now)
        _cached = now, text
    return text


def parse_date(value: bytes) -> int | None:
    """Seconds since the epoch, or None when it is not one of HTTP's three forms (to be ignored then)."""
    if len(value) > 40:
        return None
    for form in _FORMS:
        found = form.fullmatch(value)
        if found is not None:
            return _seconds(found.groupdict())
    return None


def _seconds(parts: dict[str, bytes]) -> int | None:
    month = _MONTH_NUMBERS.get(parts["month"])
    year, day = int(parts["year"]), int(parts["day"])
    hour, minute, second = int(parts["hour"]), int(parts["minute"]), int(parts["second"])
    if len(parts["year"]) == 2:
        year = _full_year(year)
    if month is None or year < 1 or hour > 23 or minute > 59 or second > 60:
        return None
    if not 1 <= day <= _days_in(year, month):
        return None
    return timegm((year, month, day, hour, minute, second))


def _full_year(year: int) -> int:
    """RFC 9110, 5.6.7: a year of two digits that seems more than 50 years ahead means the past."""
    this_year = time.gmtime().tm_year
    full = this_year - this_year % 100 + year
    return full - 100 if full > this_year + 50 else full


def _days_in(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31
