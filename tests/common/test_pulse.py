"""pulse.py: a sign of life, and what none means."""

import time
from pathlib import Path

import pytest

from trivet_common.pulse import LONGEST, beat, is_beating


def test_a_sign_is_good_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pulse"
    assert is_beating(path)  # nobody gives signs here
    beat(path)
    assert is_beating(path)
    assert path.stat().st_mode & 0o777 == 0o600
    now = time.monotonic_ns()
    monkeypatch.setattr(time, "monotonic_ns", lambda: now + int(LONGEST * 1e9))
    assert not is_beating(path)
    beat(path)
    assert is_beating(path)


@pytest.mark.parametrize("content", [b"", b"soon", b"-5", b"\xff" * 100])
def test_what_is_no_moment_is_no_sign(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pulse"
    path.write_bytes(content)
    assert is_beating(path)


def test_where_nothing_can_be_written_nothing_happens(tmp_path: Path) -> None:
    beat(tmp_path / "missing" / "pulse")
    (tmp_path / "pulse").mkdir()
    beat(tmp_path / "pulse")
    assert is_beating(tmp_path / "pulse")
