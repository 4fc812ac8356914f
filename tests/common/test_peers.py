"""Who is at the other end, and whom a run directory makes trustworthy."""

import os
import socket
from pathlib import Path

import pytest

from trivet_common.peers import is_trusted_in, peer_of


def test_the_other_end_is_told_by_the_kernel() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer_of(ours) == (os.getpid(), os.geteuid())


def test_ourselves_root_and_the_folders_owner(tmp_path: Path) -> None:
    assert is_trusted_in(tmp_path, os.geteuid())
    assert is_trusted_in(tmp_path, 0)
    assert not is_trusted_in(tmp_path, 65534)
    assert not is_trusted_in(tmp_path / "missing", 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_the_owner_may_have_anything_in_it(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, -1)
    assert is_trusted_in(tmp_path, 65534)
