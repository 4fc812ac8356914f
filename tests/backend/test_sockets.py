"""Unix sockets of the run directory: rights, and no moment without a listener."""

import os
import socket
import stat
from pathlib import Path

import pytest

from trivet_backend.sockets import bind_unix, listen_unix


@pytest.mark.parametrize(("group", "mode"), [(None, 0o600), (os.getegid(), 0o660)])
def test_rights_are_right_from_the_first_moment(tmp_path: Path, group: int | None, mode: int) -> None:
    with bind_unix(tmp_path / "s", group):
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == mode


def test_the_umask_is_put_back(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        bind_unix(tmp_path / "s", None).close()
        with pytest.raises(OSError):
            bind_unix(tmp_path / "gone" / "s", None)
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


def test_a_path_is_taken_over_only_by_a_socket_that_listens(tmp_path: Path) -> None:
    path = tmp_path / "pool.sock"
    with (
        listen_unix(path, None, 1),
        listen_unix(path, None, 1) as second,
        socket.socket(socket.AF_UNIX) as client,
    ):
        client.connect(os.fspath(path))
        second.accept()[0].close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["pool.sock"]
