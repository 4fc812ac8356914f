"""What a run holds: taken whole or not at all, taken over from a killed run, left without a trace."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.whole.others import NOBODY, as_nobody, needs_root
from trivet_common.config import Pool, Settings, from_mapping
from trivet_deploy import premises as room
from trivet_deploy import running
from trivet_deploy.premises import Premises, group_of
from trivet_deploy.refusal import Refusal


def site(folder: Path, **changes: Any) -> Settings:
    mapping: dict[str, Any] = {
        "listen": ["127.0.0.1:0", f"unix:{folder}/http.sock"],
        "proxy": {"processes": 1},
        "pools": {"web": {"app": "x", "listen": "127.0.0.1:0"}, "shop": {"app": "y"}},
        "routes": [{"path": "/shop/", "pool": "shop"}, {"path": "/", "pool": "web"}],
    }
    return from_mapping(mapping | changes, base=folder, environ={})


def whole(folder: Path, **changes: Any) -> Premises:
    settings = site(folder, **changes)
    return Premises(settings, folder / "run", proxy=True, pools=settings.pools)


def half(folder: Path, *pools: str, proxy: bool = False) -> Premises:
    return Premises(site(folder), folder / "run", proxy=proxy, pools=pools)


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_everything_is_taken_and_nothing_left(tmp_path: Path) -> None:
    premises = whole(tmp_path)
    premises.take()
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700
    assert names(tmp_path / "run") == [
        "pool-shop.lock", "pool-web.lock", "proxy.lock", "shop", "shop/idle.fifo",
        "shop/queue.board", "web", "web/idle.fifo", "web/queue.board",
    ]  # fmt: skip
    assert premises.listeners is not None
    assert len(list(premises.listeners)) == 2
    assert list(premises.pool_listeners) == ["web"]
    premises.leave()
    assert names(tmp_path) == []
    premises.leave()  # a second time is nothing: the place may be another's by now


def test_a_second_run_is_refused_and_the_first_unharmed(tmp_path: Path) -> None:
    first = whole(tmp_path)
    first.take()
    try:
        before = names(tmp_path)
        # Record locks are the process's: a second instance is a second process.
        code = (
            "import sys; from pathlib import Path; from tests.deploy import test_premises as t\n"
            "try: t.whole(Path(sys.argv[1])).take()\n"
            "except t.Refusal as refusal: print(refusal)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)],
            cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        said = f"this site runs already: pool web by process {os.getpid()} in {tmp_path}/run; stop it first, "
        assert done.stdout.startswith(said)
        assert done.stderr == ""
        assert names(tmp_path) == before
    finally:
        first.leave()


def test_a_taken_port_leaves_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        premises = whole(tmp_path, listen=f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(Refusal, match="taken by another program"):
            premises.take()
    assert names(tmp_path) == []


def test_what_systemd_holds_open_and_the_file_does_not_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a warning alone, clients of the old address waited for nobody."""
    with socket.create_server(("127.0.0.1", 0)) as wanted, socket.create_server(("127.0.0.1", 0)) as old:
        ports = [sock.getsockname()[1] for sock in (wanted, old)]
        numbers = {os.dup(wanted.fileno()): "x", os.dup(old.fileno()): "x"}
        monkeypatch.setattr(room.Inherited, "read", lambda environ: room.Inherited(dict(numbers)))
        with pytest.raises(Refusal, match=f"systemd listens on 127.0.0.1:{ports[1]} for us, and the file"):
            whole(tmp_path, listen=[f"127.0.0.1:{ports[0]}"]).take()
        for number in numbers:
            with contextlib.suppress(OSError):
                os.close(number)
    assert names(tmp_path) == []


def test_halves_share_a_run_directory(tmp_path: Path) -> None:
    proxy, web, shop = half(tmp_path, proxy=True), half(tmp_path, "web"), half(tmp_path, "shop")
    for premises in (proxy, web, shop):
        premises.take()
    proxy.leave()
    assert "proxy.lock" not in names(tmp_path / "run")
    web.leave()
    assert names(tmp_path / "run") == ["pool-shop.lock", "shop", "shop/idle.fifo", "shop/queue.board"]
    shop.leave()
    assert names(tmp_path) == []


def test_what_a_killed_run_left_is_taken_over(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.deploy import test_premises as t\n"
        "changes = dict(pools={'old': {'app': 'x'}}, routes=[{'path': '/', 'pool': 'old'}])\n"
        "t.whole(Path(sys.argv[1]), **changes).take()\n"
        "print('taken', flush=True); input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as killed:  # fmt: skip
        assert killed.stdout is not None
        assert killed.stdout.readline() == b"taken\n"
        killed.send_signal(signal.SIGKILL)
    assert "old/idle.fifo" in names(tmp_path / "run")
    premises = whole(tmp_path)
    premises.take()
    assert not any(name.startswith(("old", "pool-old")) for name in names(tmp_path / "run"))
    premises.leave()
    assert names(tmp_path) == []


def test_a_killed_runs_masters_are_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run" / "web").mkdir(parents=True)
    (tmp_path / "run").chmod(0o700)
    os.mkfifo(tmp_path / "run" / "web" / "idle.fifo")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(tmp_path / "run" / "web" / "control.sock"))
        left.listen(8)
        slept: list[float] = []

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            left.close()

        monkeypatch.setattr(room.time, "sleep", sleep)
        began = time.monotonic()
        premises = whole(tmp_path)
        premises.take()
        assert len(slept) == 1
        assert time.monotonic() - began < room.PATIENCE
    premises.leave()


def test_a_child_keeps_only_the_sockets_of_its_part(tmp_path: Path) -> None:
    premises = whole(tmp_path)
    premises.take()
    try:
        assert premises.listeners is not None
        web = premises.pool_listeners["web"].for_process(0)[0].socket
        site_socket = premises.listeners.for_process(0)[0].socket
        premises.keep_only("pool web")
        assert (web.fileno() >= 0, site_socket.fileno() >= 0) == (True, False)
        premises.keep_only("proxy")
        assert web.fileno() < 0
    finally:
        premises.leave()


def test_a_child_holds_no_lock_file(tmp_path: Path) -> None:
    premises = whole(tmp_path)
    premises.take()
    locks = {path.stat().st_ino for path in (tmp_path / "run").glob("*.lock")}
    pid = os.fork()
    if pid == 0:
        try:
            held = locks & {
                os.fstat(int(fd)).st_ino for fd in os.listdir("/proc/self/fd") if is_open(int(fd))
            }
            premises.leave()  # not the child's to leave
            whole(tmp_path).take()
        except Refusal:  # it is taken all the same
            os._exit(len(held))
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    premises.leave()


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def pool_of(folder: Path, **keys: Any) -> Pool:
    settings = site(folder, pools={"web": {"app": "x", **keys}}, routes=[{"path": "/", "pool": "web"}])
    return settings.pools["web"]


def test_groups_are_shared_only_when_root_drops_to_a_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert group_of(pool_of(tmp_path)) is None
    monkeypatch.setattr(room.os, "geteuid", lambda: 0)
    assert group_of(pool_of(tmp_path)) is None
    assert group_of(pool_of(tmp_path, user="daemon")) == 1
    assert group_of(pool_of(tmp_path, user="1")) == 1
    assert group_of(pool_of(tmp_path, group="123456")) == 123456
    monkeypatch.setattr(room.os, "geteuid", lambda: 1000)
    assert group_of(pool_of(tmp_path, user="daemon")) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders to other groups")
@pytest.mark.parametrize(("groups", "mode"), [(["1"], 0o710), (["1", "2"], 0o711)])
def test_workers_of_other_users_may_pass_and_not_write(tmp_path: Path, groups: list[str], mode: int) -> None:
    pools = {f"p{group}": {"app": "x", "group": group} for group in groups}
    premises = whole(tmp_path, pools=pools, routes=[{"path": f"/{name}/", "pool": name} for name in pools])
    premises.take()
    assert (tmp_path / "run").stat().st_mode & 0o777 == mode
    assert [(tmp_path / "run" / name).stat().st_gid for name in pools] == [int(group) for group in groups]
    premises.leave()
    assert names(tmp_path) == []


def test_a_run_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(Refusal, match="run"):
        whole(tmp_path).take()


def test_a_proxy_alone_is_told_that_its_pools_sockets_would_not_fit(tmp_path: Path) -> None:
    room = 107 - len(str(tmp_path)) - len("/run/.control.sock.new") - 2
    folder = tmp_path / ("x" * room)
    folder.mkdir()
    premises = Premises(site(tmp_path), folder / "run", proxy=True, pools=())
    with pytest.raises(Refusal, match="the path is too long for Unix sockets"):
        premises.take()
    assert names(folder) == []


@needs_root
def test_what_another_user_of_the_run_directory_put_in_our_way_is_told(tmp_path: Path) -> None:
    """As the units have it: root's folder, sticky, of the group of the proxy's user and the pool's."""
    tmp_path.chmod(0o755)
    run = tmp_path / "run"
    run.mkdir()
    os.chown(run, 0, NOBODY)
    run.chmod(0o3770)

    def start() -> str:
        premises = Premises(site(tmp_path, listen="127.0.0.1:0"), run, proxy=True, pools=(), group=NOBODY)
        try:
            premises.take()
        except Refusal as refusal:
            return str(refusal)
        premises.leave()
        return "started"

    for name in ("proxy.lock", "proxy.sock", ".proxy.sock.new", "control.sock"):
        strange = run / name
        strange.write_text("")
        os.chown(strange, NOBODY - 1, NOBODY)
        who = running.user_name(NOBODY - 1)
        assert as_nobody(start) == f"{strange} is in our way and belongs to {who}; remove it, as root"
        strange.unlink()
    assert as_nobody(start) == "started"
    strange.write_text("")
    os.chown(strange, NOBODY - 1, NOBODY)
    assert running.topmost(run) == []  # nobody is asked there
    os.chown(run, NOBODY, NOBODY)
    assert as_nobody(start) == "started"  # in a folder of our own we can help ourselves


@pytest.mark.parametrize("leaves", [True, False])
def test_a_stopped_master_of_a_killed_run_is_woken_to_leave_or_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaves: bool
) -> None:
    killed = whole(tmp_path)
    killed.take()
    code = (
        "import os, signal, socket, sys, time\n"
        "sock = socket.socket(socket.AF_UNIX); sock.bind(sys.argv[1]); sock.listen()\n"
        "os.kill(os.getpid(), signal.SIGSTOP)\n"
        "time.sleep(float(sys.argv[2]))\n"
    )
    stuck = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "run/web/control.sock"), "0" if leaves else "60"]
    )
    try:
        os.waitid(os.P_PID, stuck.pid, os.WSTOPPED)
        for listeners in killed.bound():
            listeners.close()
        for descriptor in killed._locks.values():
            os.close(descriptor)
        killed._locks.clear()  # else every child forked later closes what has these numbers by then
        if leaves:
            whole(tmp_path).take()
            assert stuck.wait(10) == 0
        else:
            monkeypatch.setattr(room, "PATIENCE", 0.3)
            with pytest.raises(
                Refusal, match=f"process {stuck.pid}, the master of pool web .* kill -9 {stuck.pid}"
            ):
                whole(tmp_path).take()
    finally:
        stuck.kill()
        stuck.wait(10)
