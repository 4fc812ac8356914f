"""Numbers, endings and time spans as people read them."""

import pytest

from trivet_deploy.words import age, count, ending, memory, printable


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


@pytest.mark.parametrize(
    ("size", "said"),
    [(900, "0 KiB"), (740 * 1024, "740 KiB"), (87 * 2**20, "87 MiB"), (3 * 2**29, "1.5 GiB")],
)
def test_memory(size: int, said: str) -> None:
    assert memory(size) == said


def test_nothing_drives_a_terminal() -> None:
    assert printable("a\x1b[2Jé") == "a\\x1b[2Jé"
    assert printable("a\x1b[2Jé", ascii_only=True) == "a\\x1b[2J\\xe9"
