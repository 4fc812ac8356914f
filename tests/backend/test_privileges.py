"""Becoming another user, in a forked child: as root only."""

import os
import pwd
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest

from trivet_backend.application import load_application, out_of_reach
from trivet_backend.privileges import DropError, Identity, become, find_identity

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
NOBODY = 65534


def in_child(identity: Identity, tell: Callable[[], str] | None = None) -> str:
    """What a child says that becomes `identity`: who it is, or what `tell` returns."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            become(identity)
            said = f"{os.getresuid()} {os.getresgid()} {sorted(os.getgroups())} {os.environ['USER']}"
            said = tell() if tell is not None else said
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return said


@needs_root
def test_user_group_and_groups_change_together() -> None:
    identity = find_identity(str(NOBODY), None)
    assert identity is not None
    gid = pwd.getpwuid(NOBODY).pw_gid
    account = pwd.getpwuid(NOBODY)
    assert in_child(identity) == f"{(NOBODY,) * 3} {(gid,) * 3} [{gid}] {account.pw_name}"


@needs_root
def test_without_the_right_nothing_goes_on() -> None:
    """A second identity after the drop: refused by the kernel, and then an error."""
    identity = find_identity(str(NOBODY), None)
    assert identity is not None
    pid = os.fork()
    if pid == 0:
        try:
            become(identity)
            become(identity._replace(uid=NOBODY - 1))
            os._exit(1)
        except DropError:
            os._exit(0)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@needs_root
def test_a_drop_that_the_kernel_pretends_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "setresuid", lambda *uids: None)
    identity = find_identity(str(NOBODY), None)
    assert identity is not None
    assert in_child(identity) == "DropError: became uid 0, not all of user nobody"


@needs_root
@pytest.mark.parametrize(
    ("user", "group"), [("no-such-user", None), (None, "no-such-group"), ("99887766", None)]
)
def test_unknown_names_are_said(user: str | None, group: str | None) -> None:
    with pytest.raises(DropError, match=r"there is no (user|group)"):
        find_identity(user, group)


def test_nothing_asked_for_is_nothing_done() -> None:
    assert find_identity(None, None) is None


def test_not_root_stays_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert find_identity("nobody", None) is None


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Like tmp_path, but others may enter it: pytest closes its own again whenever a run of it begins."""
    with TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)
        yield Path(folder)


@needs_root
def test_a_folder_the_user_may_not_enter_is_named(open_folder: Path) -> None:
    """Python or its packages below /root, and a pool with a user: `not installed` would mislead."""
    closed = open_folder / "closed"
    (closed / "lib").mkdir(parents=True)
    closed.chmod(0o700)
    identity = find_identity(str(NOBODY), None)
    assert identity is not None
    said = in_child(identity, lambda: out_of_reach(["/usr/lib", "/nonexistent", str(closed / "lib")]))
    assert f"may not enter {closed} (root:root drwx------), so {closed}/lib is out of reach" in said
    pool = SimpleNamespace(app="shop", directory=closed / "lib", python_path=[])
    said = in_child(identity, lambda: str(load_application(pool)))
    assert said.startswith(f"AppError: directory: {closed}/lib cannot be entered: uid {NOBODY} ")
    assert out_of_reach([str(closed), "/nonexistent/python311.zip"]) == ""
