"""Which directory bars the way, and for whom."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from trivet_common.config import ConfigError, load
from trivet_common.config.reach import why_not_a_file, why_not_a_folder

NOBODY = 65534


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can enter; pytest's own cannot be."""
    folder = Path(tempfile.mkdtemp(prefix="trivet-reach-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def as_ordinary_user() -> Iterator[int]:
    """Root may enter everything: give the right up for a moment."""
    if os.geteuid() != 0:
        yield os.geteuid()
        return
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield NOBODY
    finally:
        os.seteuid(0)
        os.setegid(0)


def test_what_can_be_used_has_no_reason(open_folder: Path) -> None:
    (open_folder / "file").touch()
    assert why_not_a_folder(open_folder) is None
    assert why_not_a_file(open_folder / "file") is None


def test_what_is_missing_is_named_with_the_part_that_is(open_folder: Path) -> None:
    (open_folder / "file").touch()
    (open_folder / "link").symlink_to("nowhere")
    assert (
        why_not_a_file(open_folder / "a" / "b" / "c")
        == f"there is no {open_folder}/a (on the way to {open_folder}/a/b/c)"
    )
    assert why_not_a_file(open_folder / "a") == f"there is no {open_folder}/a"
    assert why_not_a_file(open_folder / "file" / "x") == f"{open_folder}/file is a file, not a folder"
    assert (
        why_not_a_file(open_folder / "link")
        == f"{open_folder}/link is a link to nowhere, which does not exist"
    )
    assert why_not_a_file(open_folder) == f"{open_folder} is a folder, not a file"
    assert why_not_a_folder(open_folder / "file") == f"{open_folder}/file is a file, not a folder"
    assert why_not_a_file(Path("a\0b")) == "a\\x00b is not a path"
    assert "too long" in str(why_not_a_file(open_folder / ("x" * 300)))


def test_the_directory_that_bars_the_way_is_named_with_our_uid(open_folder: Path) -> None:
    locked = open_folder / "locked"
    (locked / "deep").mkdir(parents=True)
    (locked / "deep" / "file").touch()
    locked.chmod(0o000)
    with as_ordinary_user() as uid:
        reason = why_not_a_file(locked / "deep" / "file")
        folder = why_not_a_folder(locked)
    locked.chmod(0o700)
    assert reason is not None
    assert reason.startswith(f"uid {uid}")
    assert f"may not enter {locked} (" in reason
    assert "d---------" in reason
    assert reason.endswith(f"so {locked}/deep/file is out of reach")
    assert folder is not None
    assert f"may not enter {locked}" in folder


def test_a_file_that_cannot_be_read(open_folder: Path) -> None:
    file = open_folder / "secret"
    file.touch()
    file.chmod(0o000)
    with as_ordinary_user() as uid:
        reason = why_not_a_file(file)
    assert reason is not None
    assert reason.startswith(f"uid {uid}")
    assert f"may not read {file} (" in reason


def test_it_is_said_at_the_line_of_the_configuration(open_folder: Path) -> None:
    private = open_folder / "private"
    private.mkdir(mode=0o700)
    (private / "static").mkdir()
    file = open_folder / "trivet.yaml"
    file.write_text("routes:\n  - path: /static/\n    files: private/static\n")
    private.chmod(0o000)
    with as_ordinary_user() as uid, pytest.raises(ConfigError) as caught:
        load(file, environ={})
    private.chmod(0o700)
    assert [problem.where for problem in caught.value.problems] == [f"{file}:3"]
    assert f"files: uid {uid}" in caught.value.problems[0].message
    assert f"may not enter {private}" in caught.value.problems[0].message


def test_a_configuration_file_that_cannot_be_read(open_folder: Path) -> None:
    file = open_folder / "trivet.yaml"
    file.touch(mode=0o600)
    file.chmod(0o000)
    with (
        as_ordinary_user() as uid,
        pytest.raises(ConfigError, match=f"trivet.yaml: uid {uid}.* may not read"),
    ):
        load(file, environ={})
