"""Sockets that stood before us: which are ours, found by name or address, and taken in a bind."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from trivet_common import binding
from trivet_common.config import Listen
from trivet_common.inherited import Inherited
from trivet_common.listeners import bind


def tcp(host: str | None, port: int) -> Listen:
    return Listen(f"{host}:{port}", "tcp", host, port)


def listening(host: str = "127.0.0.1", port: int = 0, *, dual: bool = False, shared: bool = False) -> int:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    if ":" in host:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual)
    if shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((host, port))
    sock.listen()
    return sock.detach()


def port_of(number: int) -> int:
    with socket.socket(fileno=os.dup(number)) as sock:
        return int(sock.getsockname()[1])


@pytest.fixture
def one() -> Iterator[int]:
    number = listening()
    yield number
    try:
        os.close(number)
    except OSError:
        pass  # taken and closed by the test


def test_nothing_is_ours_that_was_passed_to_another() -> None:
    environ = {"LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "web:admin"}
    assert Inherited.read(environ, pid=8).names == []
    assert Inherited.read({}, pid=8).names == []
    found = Inherited.read(environ, pid=7)
    assert (found.names, found.named("admin"), found.names) == (["web", "admin"], [4], ["web"])
    assert not found.is_ours


def test_descriptors_without_names_have_systemds_word_for_them() -> None:
    assert Inherited.read({"LISTEN_PID": "7", "LISTEN_FDS": "2"}, pid=7).names == ["", "unknown"]


def test_what_a_version_passes_to_the_next(one: int) -> None:
    name = Inherited.name_of_path("/run/a:b")
    environ = Inherited.environment(7, ["trivet", name], 5, Path("/run/x")) | {"HOME": "/"}
    found = Inherited.read(environ, pid=7)
    assert (found.names, found.is_ours, found.predecessor) == (["trivet", name], True, 5)
    assert found.predecessor_dir == Path("/run/x")
    Inherited.forget(environ)
    assert environ == {"HOME": "/"}


def test_a_socket_is_found_by_its_address(one: int) -> None:
    port = port_of(one)
    inherited = Inherited({one: "web"})
    assert inherited.at(socket.AF_INET, ("127.0.0.1", port + 1)) == []
    listeners = bind([tcp("127.0.0.1", port)], 3, inherited=inherited)
    (bound,) = listeners
    assert bound.is_shared
    assert bound.is_borrowed
    assert bound.socket.fileno() == one
    assert not bound.socket.get_inheritable()
    listeners.close()


def test_a_bare_port_is_served_by_one_socket_for_both_families() -> None:
    number = listening("::", dual=True)
    listeners = bind([tcp(None, port_of(number))], 2, inherited=Inherited({number: "web"}))
    assert [bound.socket.fileno() for bound in listeners] == [number]
    listeners.close()


def test_a_bare_port_is_served_by_a_socket_for_each_family() -> None:
    first = listening("0.0.0.0")
    second = listening("::", port_of(first))
    listeners = bind([tcp(None, port_of(first))], 2, inherited=Inherited({first: "a", second: "b"}))
    assert [bound.socket.fileno() for bound in listeners] == [first, second]
    listeners.close()


def test_a_bare_port_is_served_for_both_families_where_a_unit_may_open_neither(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = listening("0.0.0.0")
    second = listening("::", port_of(first))
    monkeypatch.setattr(binding, "_has_ipv6", lambda: False)  # RestrictAddressFamilies=AF_UNIX
    listeners = bind([tcp(None, port_of(first))], 1, inherited=Inherited({first: "a", second: "b"}))
    assert [bound.socket.fileno() for bound in listeners] == [first, second]
    listeners.close()


def test_as_many_as_processes_are_one_for_each() -> None:
    first = listening(shared=True)
    second = listening("127.0.0.1", port_of(first), shared=True)
    inherited = Inherited({first: "trivet", second: "trivet"}, predecessor=5)
    listeners = bind([tcp("127.0.0.1", port_of(first))], 2, inherited=inherited)
    assert [listeners.for_process(index)[0].socket.fileno() for index in (0, 1)] == [first, second]
    bound = listeners.for_process(0)[0]
    assert bound.is_borrowed  # the version before ours accepts on it too
    listeners.lend(False)
    assert not bound.is_borrowed
    listeners.close()


def test_another_number_of_processes_serves_them_all() -> None:
    first = listening(shared=True)
    second = listening("127.0.0.1", port_of(first), shared=True)
    inherited = Inherited({first: "trivet", second: "trivet"}, predecessor=5)
    listeners = bind([tcp("127.0.0.1", port_of(first))], 3, inherited=inherited)
    assert [bound.socket.fileno() for bound in listeners.for_process(2)] == [first, second]
    assert all(bound.is_shared for bound in listeners)
    listeners.close()


def test_a_unix_socket_of_systemds_is_left_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        number = sock.detach()
    listeners = bind([Listen(f"unix:{path}", "unix", path=path)], 2, inherited=Inherited({number: "web"}))
    listeners.unlink()
    listeners.close()
    assert path.exists()


def test_what_systemd_keeps_open_and_nobody_wants_is_told(one: int, tmp_path: Path) -> None:
    six = listening("::")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
        sock.listen()
        names = {one: "own", six: "foreign", sock.fileno(): "foreign", 999: "gone"}
        assert Inherited(names).strangers() == [
            f"127.0.0.1:{port_of(one)}",
            f"[::]:{port_of(six)}",
            f"unix:{tmp_path}/s",
        ]
        # What the version before ours bound itself is shut when it leaves.
        assert Inherited(names, predecessor=5).strangers() == [f"[::]:{port_of(six)}", f"unix:{tmp_path}/s"]
    inherited = Inherited({six: "web"})
    inherited.named("web")
    assert inherited.strangers() == []
    os.close(six)


def test_what_nobody_wants_is_closed(one: int) -> None:
    inherited = Inherited({one: "web", 999: "gone"})
    assert inherited.at(socket.AF_INET, ("10.0.0.1", 1)) == []
    assert inherited.close_rest() == ["web", "gone"]
    with pytest.raises(OSError):
        os.fstat(one)
