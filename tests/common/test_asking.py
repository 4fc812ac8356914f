"""Asking on control sockets where nobody answers, or rubbish comes back, or one listens who is no master."""

import os
import socket
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from trivet_common.asking import ControlError, ask, is_listening


def test_what_the_asker_is_told_when_nobody_answers(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with pytest.raises(ControlError, match="No such file"):
        ask(path, {}, 1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        with pytest.raises(ControlError, match="refused"):
            ask(path, {}, 1)
        listener.listen(1)
        with pytest.raises(ControlError, match=r"no answer within 0\.05 s"):
            ask(path, {}, 0.05)


@pytest.mark.parametrize(
    ("said", "told"), [(b"", "ended early"), (b'{"ok":', "ended early"), (b"[1]\n", "not an answer")]
)
def test_a_bad_answer_is_named(tmp_path: Path, said: bytes, told: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen(1)

        def serve() -> None:
            client, _ = listener.accept()
            client.recv(100)
            client.sendall(said)
            client.close()

        server = threading.Thread(target=serve)
        server.start()
        with pytest.raises(ControlError, match=told):
            ask(tmp_path / "s", {}, 5)
        server.join(5)


def test_whether_a_master_listens(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    assert not is_listening(path)
    with socket.socket(socket.AF_UNIX) as listener, ExitStack() as waiting:
        listener.bind(os.fspath(path))
        assert not is_listening(path)  # what a killed process left
        listener.listen(0)
        for _ in range(2):
            client = waiting.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            client.connect_ex(os.fspath(path))
        assert is_listening(path)  # its backlog is full, which is no reason to take its place
    assert not is_listening(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_who_merely_may_write_into_the_folder_is_neither_believed_nor_asked() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name, socket.socket(socket.AF_UNIX) as listener:
        folder = Path(name)
        folder.chmod(0o1777)
        path = folder / "control.sock"
        os.seteuid(65534)
        try:
            listener.bind(os.fspath(path))
            listener.listen()
        finally:
            os.seteuid(0)
        assert not is_listening(path)
        with pytest.raises(ControlError, match="uid 65534 listens there, who is none of the site's masters"):
            ask(path, {"do": "status"}, 1.0)
        os.chown(folder, 65534, -1)  # but a pool's folder is its user's
        assert is_listening(path)
