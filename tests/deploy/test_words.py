"""Numbers, endings and time spans as people read them."""

import pytest

from trivet_deploy.words import age, count, ending


def test_counting() -> None:
    assert [count(1, "pool"), count(0, "pool"), count(2, "process", "processes")] == [
        "1 pool",
        "0 pools",
        "2 processes",
    ]


def test_endings() -> None:
    assert [ending(3), ending(-9)] == ["exit status 3", "signal 9"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (12.7, "12 s"),
        (184, "3 m 4 s"),
        (7800, "2 h 10 m"),
        (442800, "5 d 3 h"),
    ],
)
def test_ages(seconds: float, said: str) -> None:
    assert age(seconds) == said
