"""Dates as HTTP writes and reads them."""

import time
from email.utils import formatdate

import pytest

from trivet_common.http1.dates import date_now, format_date, parse_date

EXAMPLE = 784111777  # RFC 9110, 5.6.7


def test_dates_are_written_like_everybody_elses() -> None:
    assert format_date(EXAMPLE) == b"Sun, 06 Nov 1994 08:49:37 GMT"
    for seconds in range(0, 4 * 10**9, 86_399 * 1009):
        text = format_date(seconds)
        assert text == formatdate(seconds, usegmt=True).encode("ascii")
        assert parse_date(text) == seconds


def test_now_is_now() -> None:
    before = int(time.time())
    seconds = parse_date(date_now())
    assert seconds is not None
    assert before <= seconds <= time.time()


@pytest.mark.parametrize(
    "value",
    [b"Sun, 06 Nov 1994 08:49:37 GMT", b"Sunday, 06-Nov-94 08:49:37 GMT", b"Sun Nov  6 08:49:37 1994"],
)
def test_all_three_forms_are_read(value: bytes) -> None:
    assert parse_date(value) == EXAMPLE


def test_two_digits_of_a_year_are_at_most_fifty_years_ahead() -> None:
    year = time.gmtime().tm_year
    near, far = (year + 40) % 100, (year + 60) % 100
    assert parse_date(b"Monday, 01-Jan-%02d 00:00:00 GMT" % near) == parse_date(
        b"Mon, 01 Jan %d 00:00:00 GMT" % (year + 40)
    )
    assert parse_date(b"Monday, 01-Jan-%02d 00:00:00 GMT" % far) == parse_date(
        b"Mon, 01 Jan %d 00:00:00 GMT" % (year - 40)
    )


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"now",
        b"784111777",
        b"Sun, 06 Nov 1994 08:49:37",
        b"Sun, 06 Nov 1994 08:49:37 CET",
        b"Sun, 06 Nov 1994 08:49:37 GMT\n",
        b"Sun, 06 Nov 1994 24:00:00 GMT",
        b"Sun, 06 Nov 1994 08:60:37 GMT",
        b"Sun, 06 Nov 1994 08:49:61 GMT",
        b"Sun, 31 Nov 1994 08:49:37 GMT",
        b"Sun, 00 Nov 1994 08:49:37 GMT",
        b"Wed, 29 Feb 2023 08:49:37 GMT",
        b"Sun, 06 Foo 1994 08:49:37 GMT",
        b"Sun, 06 Nov 0000 08:49:37 GMT",
        b"Sun, \xb2\xb3 Nov 1994 08:49:37 GMT",
        b"S" * 100_000,
    ],
)
def test_what_is_no_date_is_nothing(value: bytes) -> None:
    assert parse_date(value) is None


def test_leap_days_are_days() -> None:
    assert parse_date(b"Thu, 29 Feb 2024 00:00:00 GMT") == 1709164800
    assert parse_date(b"Wed, 31 Dec 9999 23:59:59 GMT") == 253402300799
