"""Which process gets which socket, what an address is called, and that all or nothing is bound."""

import os
import socket
from pathlib import Path

import pytest

from trivet_common import listeners as room
from trivet_common.binding import ListenError
from trivet_common.config import Listen
from trivet_common.listeners import bind

has_ipv6 = socket.has_ipv6 and Path("/proc/net/if_inet6").exists()


def tcp(host: str | None = "127.0.0.1", port: int = 0, scheme: str = "http") -> Listen:
    return Listen(f"{host}:{port}", "tcp", host, port, scheme=scheme)


def unix(path: Path) -> Listen:
    return Listen(f"unix:{path}", "unix", path=path)


def test_each_process_has_its_own_socket_on_one_port() -> None:
    listeners = bind([tcp()], 3)
    own = [listeners.for_process(index)[0] for index in range(3)]
    assert len({each.socket.fileno() for each in own}) == 3
    assert len({each.text for each in own}) == 1
    assert listeners.for_process(1)[0] is own[1]
    assert not any(each.is_shared for each in own)
    assert len(list(listeners)) == 1
    listeners.close()


@pytest.mark.skipif(not has_ipv6, reason="no IPv6 here")
def test_port_0_is_one_port_for_both_families() -> None:
    listeners = bind([tcp(None)], 2)
    names = [each.socket.getsockname() for each in listeners]
    assert [name[0] for name in names] == ["0.0.0.0", "::"]
    assert names[0][1] == names[1][1] != 0
    for host in ("127.0.0.1", "::1"):
        socket.create_connection((host, names[0][1]), timeout=5).close()
    listeners.close()


@pytest.mark.skipif(not has_ipv6, reason="no IPv6 here")
def test_a_port_taken_in_the_second_family_is_chosen_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    bind_tcp = room.bind_tcp

    def unlucky(listen: Listen, family: socket.AddressFamily, *rest: object) -> list[socket.socket]:
        tried.append(family)
        if len(tried) == 2:
            raise ListenError("taken")
        return bind_tcp(listen, family, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(room, "bind_tcp", unlucky)
    before = len(os.listdir("/proc/self/fd"))
    bind([tcp(None)], 1).close()
    assert len(tried) == 4
    assert len(os.listdir("/proc/self/fd")) == before


def test_all_or_nothing(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(ListenError):
        bind([unix(tmp_path / "s"), tcp(), tcp(port=other.getsockname()[1])], 2)
    assert os.listdir(tmp_path) == []
    assert len(os.listdir("/proc/self/fd")) == before


def called(listen: Listen) -> tuple[str, str]:
    """Text and URL, with P for the port the kernel chose."""
    listeners = bind([listen], 1)
    (bound,) = listeners
    texts = bound.text, bound.url
    if listen.kind == "tcp":
        port = f":{bound.socket.getsockname()[1]}"
        texts = bound.text.replace(port, ":P"), bound.url.replace(port, ":P")
    listeners.close()
    return texts


def test_what_an_address_is_called(tmp_path: Path) -> None:
    assert called(tcp()) == ("127.0.0.1:P", "http://127.0.0.1:P/")
    assert called(tcp("0.0.0.0")) == ("0.0.0.0:P", "http://localhost:P/")
    assert called(tcp(scheme="https"))[1] == "https://127.0.0.1:P/"
    assert called(unix(tmp_path / "s"))[0].startswith("unix:")
    if has_ipv6:
        assert called(tcp("::1")) == ("[::1]:P", "http://[::1]:P/")


def test_a_name_is_every_address_it_stands_for() -> None:
    listeners = bind([tcp("localhost")], 1)
    assert {each.socket.getsockname()[0] for each in listeners} <= {"127.0.0.1", "::1"}
    listeners.close()


def test_sockets_are_closed_when_a_program_is_started_and_ready_for_a_loop() -> None:
    listeners = bind([tcp()], 1)
    (bound,) = listeners
    assert not bound.socket.get_inheritable()
    assert not bound.socket.getblocking()
    assert bound.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    listeners.close()


def test_a_path_is_removed_by_its_maker_only_and_only_its_own(tmp_path: Path) -> None:
    listeners = bind([unix(tmp_path / "s")], 2)
    assert listeners.for_process(0) == listeners.for_process(1)
    pid = os.fork()
    if pid == 0:
        listeners.unlink()
        os._exit(0)
    os.waitpid(pid, 0)
    assert (tmp_path / "s").exists()
    (tmp_path / "s").unlink()
    (tmp_path / "s").write_text("somebody else's")
    listeners.unlink()
    assert (tmp_path / "s").exists()
    listeners.close()
