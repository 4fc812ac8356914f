"""What both sides of a handover agree on."""

import pytest

from trivet_common.pool.handover import MARK, SMALLEST, TAKES_FILES, parse_offset


@pytest.mark.parametrize(
    ("value", "offset"),
    [(b"0", 0), (b"4096", 4096), (b"", None), (b"-1", None), (b"1 2", None), (b"9" * 20, None), (b"x", None)],
)
def test_offsets(value: bytes, offset: int | None) -> None:
    assert parse_offset(value) == offset


def test_the_marks() -> None:
    assert len(MARK) == 1
    assert not MARK.isalpha(), "a mark must not look like the beginning of a request"
    assert TAKES_FILES.startswith(b"\r\n")
    assert SMALLEST >= 4096
