import os
from pathlib import Path

from trivet_proxy.vigil import FIRST_PAUSE, LONGEST_PAUSE, SETTLED, Vigil


def test_files_are_read_when_they_have_changed(tmp_path: Path) -> None:
    file = tmp_path / "a"
    vigil = Vigil(file, None)
    stamp = vigil.glance()
    assert vigil.is_due(stamp, 0.0)
    vigil.succeed(stamp)
    assert not vigil.is_due(vigil.glance(), 1e9)
    file.write_text("x")
    assert vigil.is_due(vigil.glance(), 0.0)
    assert repr(vigil) == f"<Vigil {file} good>"


def test_what_failed_is_tried_again_ever_more_seldom(tmp_path: Path) -> None:
    file = tmp_path / "a"
    vigil, now, pauses = Vigil(file), 0.0, []
    for _ in range(10):
        vigil.fail(vigil.glance(), "no descriptors left", now)
        step = FIRST_PAUSE / 2
        began = now
        while not vigil.is_due(vigil.glance(), now):
            now += step
        pauses.append(now - began)
    assert pauses[0] == FIRST_PAUSE
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE
    file.write_text("another try")
    stamp = vigil.glance()
    assert vigil.is_due(stamp, now)
    vigil.fail(stamp, "no descriptors left", now)
    assert vigil.is_due(vigil.glance(), now + FIRST_PAUSE)
    vigil.succeed(vigil.glance())
    os.unlink(file)
    assert vigil.is_due(vigil.glance(), now)


def test_it_complains_once_and_not_at_once(tmp_path: Path) -> None:
    vigil = Vigil(tmp_path / "a")
    vigil.fail(vigil.glance(), "broken", 10.0)
    assert vigil.try_complaint(10.0 + SETTLED / 2) is None
    vigil.fail(vigil.glance(), "broken", 10.5)
    assert vigil.try_complaint(10.0 + SETTLED) == "broken"
    assert vigil.try_complaint(100.0) is None
    vigil.fail(vigil.glance(), "worse", 101.0)
    assert vigil.try_complaint(102.0) == "worse"
