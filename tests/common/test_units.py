"""Durations, sizes and rates."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trivet_common.config.problems import Mistake
from trivet_common.config.units import duration_text, parse_duration, parse_rate, parse_size, size_text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("500ms", 0.5),
        ("5m", 300),
        ("1h", 3600),
        ("1d", 86400),
        ("1.5s", 1.5),
        ("2 s", 2),
        ("0s", 0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0B", 0),
        ("100B", 100),
        ("64KiB", 65536),
        ("10MB", 10_000_000),
        ("1GiB", 2**30),
        ("1.5KiB", 1536),
        ("2TiB", 2**41),
        ("3 kB", 3000),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


def test_rates() -> None:
    assert parse_rate("1KiB/s") == 1024


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("30", "write 30s"),
        (30, "write 30s"),
        ("30sec", "write 30s"),
        ("5min", "write 5m"),
        ("2H", "write 2h"),
        ("1w", "write 30s, 500ms"),
        ("", "for example"),
        ("-1s", "for example"),
        ("s", "for example"),
        ("1e3s", "for example"),
        ("400d", "or less"),
        ("9" * 40 + "s", "for example"),
        (True, "for example"),
    ],
)
def test_what_is_no_duration_says_what_to_write(text: object, cure: str) -> None:
    with pytest.raises(Mistake) as caught:
        parse_duration(text)
    assert cure in caught.value.hint


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("10", "write 10MiB"),
        (10, "write 10MiB"),
        ("10m", "write 10MiB"),
        ("8k", "write 8KiB"),
        ("1g", "write 1GiB"),
        ("5mb", "write 5MB"),
        ("5mib", "write 5MiB"),
        ("7b", "write 7B"),
        ("1X", "for example"),
        ("MiB", "for example"),
        ("9999999TiB", "smaller"),
        ([], "for example"),
    ],
)
def test_what_is_no_size_says_what_to_write(text: object, cure: str) -> None:
    with pytest.raises(Mistake) as caught:
        parse_size(text)
    assert cure in caught.value.hint


@pytest.mark.parametrize("text", ["1KiB", "1024", "1KiB/m", "/s", "off/s"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(Mistake):
        parse_rate(text)


@settings(deadline=None)
@given(st.integers(0, 366 * 86400 * 1000))
def test_durations_are_written_as_they_are_read(milliseconds: int) -> None:
    assert parse_duration(duration_text(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)


@settings(deadline=None)
@given(st.integers(0, 2**60))
def test_sizes_are_written_as_they_are_read(size: int) -> None:
    assert parse_size(size_text(size)) == size


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_value_or_a_mistake(text: str) -> None:
    for parse in (parse_duration, parse_size, parse_rate):
        try:
            assert parse(text) >= 0
        except Mistake as mistake:
            assert mistake.hint  # noqa: PT017 (both outcomes are right)
