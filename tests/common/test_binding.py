"""How an address is bound, taken over or adopted, and the sentence for each reason why not."""

import os
import socket
from pathlib import Path

import pytest

from trivet_common.binding import ListenError
from trivet_common.config import Listen
from trivet_common.inherited import Inherited
from trivet_common.listeners import bind


def unix(path: Path, **more: object) -> Listen:
    return Listen(f"unix:{path}", "unix", path=path, **more)  # type: ignore[arg-type]


def tcp(host: str | None, port: int) -> Listen:
    return Listen(f"{host}:{port}", "tcp", host, port)


def why(listen: Listen) -> str:
    with pytest.raises(ListenError) as caught:
        bind([listen], 2)
    text = str(caught.value)
    assert text.startswith(f"listen: {listen.address}: ")
    assert "\n" not in text
    return text


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert "taken by another program" in why(tcp("127.0.0.1", other.getsockname()[1]))


def test_a_second_instance_of_ours_is_noticed_although_the_port_could_be_shared() -> None:
    first = bind([tcp("127.0.0.1", 0)], 2)
    port = first.for_process(0)[0].socket.getsockname()[1]
    assert "taken by another program" in why(tcp("127.0.0.1", port))
    first.close()
    bind([tcp("127.0.0.1", port)], 2).close()


def test_a_port_about_to_be_left_is_waited_for() -> None:
    other = socket.create_server(("127.0.0.1", 0))
    listen = tcp("127.0.0.1", other.getsockname()[1])
    pid = os.fork()
    if pid == 0:
        import time

        time.sleep(0.15)
        os._exit(0)
    other.close()
    bind([listen], 1, patience=5.0).close()
    os.waitpid(pid, 0)


def test_addresses_that_are_not_ours() -> None:
    assert "no interface of this machine has that address" in why(tcp("192.0.2.1", 0))
    assert "does not resolve" in why(tcp("x" * 64 + ".invalid", 0))


def test_a_low_port_without_the_right(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    class Socket(socket.socket):
        bind = refuse  # type: ignore[assignment]

    monkeypatch.setattr(socket, "socket", Socket)
    assert "ports below 1024 need root or CAP_NET_BIND_SERVICE" in why(tcp("127.0.0.1", 80))


def test_without_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(socket, "socket", fail)
    assert "Too many open files" in why(tcp("127.0.0.1", 0))


def test_a_unix_path_and_its_rights(tmp_path: Path) -> None:
    for listen, mode in (
        (unix(tmp_path / "a"), 0o600),
        (unix(tmp_path / "b", group=str(_own_group())), 0o660),
        (unix(tmp_path / "c", mode=0o666), 0o666),
    ):
        listeners = bind([listen], 2)
        assert listen.path is not None
        assert listen.path.stat().st_mode & 0o777 == mode
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(listen.path))
        listeners.unlink()
        listeners.close()
    assert os.listdir(tmp_path) == []


def test_a_unix_path_somebody_answers_on(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "s"))
        other.listen(1)
        assert "another program is listening there" in why(unix(tmp_path / "s"))
        clients = []
        for _ in range(3):  # one that is busy does not look dead
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            client.connect_ex(str(tmp_path / "s"))
            clients.append(client)
        assert "another program is listening there" in why(unix(tmp_path / "s"))
        for client in clients:
            client.close()
    bind([unix(tmp_path / "s")], 1).close()  # the path it left is taken over


def test_a_unix_path_that_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    (tmp_path / "link").symlink_to("file")
    for name in ("file", "link"):
        assert "exists and is no socket" in why(unix(tmp_path / name))
    assert (tmp_path / "file").read_text() == "precious"


def test_unix_paths_that_cannot_be(tmp_path: Path) -> None:
    assert f"there is no folder {tmp_path}/none" in why(unix(tmp_path / "none" / "s"))
    assert "too long" in why(unix(tmp_path / ("x" * 120)))
    assert "there is no group nobody-has-this" in why(unix(tmp_path / "s", group="nobody-has-this"))
    assert os.listdir(tmp_path) == []


def listening() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    return sock


def test_a_descriptor_by_its_number() -> None:
    with listening() as given:
        os.set_inheritable(given.fileno(), True)
        address = given.getsockname()
        listeners = bind([Listen("fd:n", "fd", fd_name=str(os.dup(given.fileno())))], 2)
        adopted = listeners.for_process(0)[0]
        assert adopted.socket.getsockname() == address
        assert adopted.is_shared
        assert listeners.for_process(1)[0] is adopted
        assert not adopted.socket.get_inheritable()
        listeners.close()


def test_descriptors_by_their_name() -> None:
    listen = Listen("fd:web", "fd", fd_name="web")
    assert "start the .socket unit" in why(listen)
    given = [listening(), listening(), listening()]
    expected = [given[0].getsockname(), given[2].getsockname()]
    numbers = [sock.detach() for sock in given]
    inherited = Inherited(dict(zip(numbers, ("web", "admin", "web"), strict=True)))
    with pytest.raises(ListenError, match=r"no such name among the passed sockets \(web, admin, web\)"):
        bind([Listen("fd:x", "fd", fd_name="x")], 1, inherited=inherited)
    listeners = bind([listen], 1, inherited=inherited)
    assert [each.socket.getsockname() for each in listeners] == expected
    assert inherited.close_rest() == ["admin"]
    listeners.close()


def test_a_descriptor_that_does_not_listen_is_left_open() -> None:
    reading, writing = os.pipe()
    with socket.socket() as idle, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        for number in (reading, idle.fileno(), datagrams.fileno()):
            why(Listen("fd:n", "fd", fd_name=str(number)))
            os.fstat(number)
    os.close(reading), os.close(writing)
    assert "Bad file descriptor" in why(Listen("fd:n", "fd", fd_name="999999"))


def _own_group() -> str:
    import grp

    return grp.getgrgid(os.getgid()).gr_name
