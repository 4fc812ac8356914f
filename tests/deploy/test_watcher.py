"""The process that watches: which files count, new folders, and its end."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from trivet_common.channel import Channel, wait_readable
from trivet_common.forking import fork
from trivet_deploy import watcher
from trivet_deploy.watcher import Watched, folders, is_source, run_watcher

DEADLINE = 10.0


class Watching:
    """A watcher in a child, and its master's end of the channel."""

    def __init__(self, watched: Watched) -> None:
        self.channel, theirs = Channel.pair()

        def be_watcher() -> int:
            self.channel.close()
            return run_watcher(watched, theirs)

        self.pid = fork(be_watcher, print)
        theirs.close()
        self.status: int | None = None

    def hear(self) -> list[str]:
        assert wait_readable(self.channel, DEADLINE)
        verb, _, text = (self.channel.receive() or b"").partition(b" ")
        assert verb == b"changed", text
        found: list[str] = json.loads(text)
        return found

    def hear_of(self, path: Path) -> None:
        """Until this file is told."""
        until = time.monotonic() + DEADLINE
        while str(path) not in self.hear():
            assert time.monotonic() < until

    def wait(self) -> int:
        until = time.monotonic() + DEADLINE
        while self.status is None:
            assert time.monotonic() < until
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if pid else None
            time.sleep(0.01)
        return self.status

    def wait_until_it_watches(self, file: Path) -> None:
        """Writes until one change is told; what was told of the others is taken too."""
        until = time.monotonic() + DEADLINE
        while not wait_readable(self.channel, 0.1):
            assert time.monotonic() < until
            file.write_text(str(time.monotonic()))
        while wait_readable(self.channel, 0.6):
            self.channel.receive()


@pytest.fixture
def watching(tmp_path: Path) -> Iterator[Watching]:
    (tmp_path / "first.py").write_text("")
    watching = Watching(Watched((tmp_path,), (tmp_path / ".env",)))
    watching.wait_until_it_watches(tmp_path / "first.py")
    yield watching
    watching.channel.close()
    if watching.status is None:
        watching.wait()


def test_a_changed_file_is_told_and_others_are_not(watching: Watching, tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text("{}")
    (tmp_path / "app.log").write_text("x")
    (tmp_path / "app.py").write_text("x = 1")
    assert watching.hear() == [str(tmp_path / "app.py")]
    (tmp_path / ".env").write_text("A=1")
    watching.hear_of(tmp_path / ".env")


def test_a_new_folder_is_watched_with_what_is_in_it(watching: Watching, tmp_path: Path) -> None:
    deep = tmp_path / "package" / "deep"
    deep.mkdir(parents=True)
    (deep / "one.py").write_text("x = 1")
    watching.hear_of(deep / "one.py")
    watching.wait_until_it_watches(deep / "one.py")
    (deep / "two.py").write_text("x = 1")
    watching.hear_of(deep / "two.py")


def test_too_many_folders_are_said_and_some_are_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    monkeypatch.setattr(watcher, "MOST_FOLDERS", 1)
    watching = Watching(Watched((tmp_path,), ()))
    assert wait_readable(watching.channel, DEADLINE)
    told = f"warning only the first 1 folders below {tmp_path} are watched"
    assert watching.channel.receive() == told.encode()
    watching.wait_until_it_watches(tmp_path / "app.py")
    watching.channel.close()
    assert watching.wait() == 0


def test_what_cannot_be_watched_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("OS file watch limit reached")

    monkeypatch.setattr("watchfiles.watch", refuse)
    watching = Watching(Watched((tmp_path,), ()))
    assert watching.wait() == watcher.CANNOT_WATCH
    assert (watching.channel.receive() or b"").startswith(b"warning files cannot be watched: OS file watch")
    watching.channel.close()


def test_it_leaves_with_its_master_or_when_told(tmp_path: Path) -> None:
    for end in ("quit", "close"):
        watching = Watching(Watched((tmp_path,), ()))
        if end == "quit":
            watching.channel.send(b"quit")
            assert watching.wait() == 0
        watching.channel.close()
        assert watching.wait() == 0


def test_which_folders_are_watched(tmp_path: Path) -> None:
    for name in (
        "shop/templates",
        ".git/objects",
        "node_modules/x",
        "shop/__pycache__",
        "env/lib",
        ".venv/lib",
    ):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "env" / "pyvenv.cfg").write_text("")
    assert folders([tmp_path, tmp_path / "shop"]) == [
        str(tmp_path),
        str(tmp_path / "shop"),
        str(tmp_path / "shop/templates"),
    ]
    assert folders([tmp_path / "missing"]) == []


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("views.py", True),
        ("a/b/base.html", True),
        ("shop.toml", True),
        (".env", True),
        ("conf/site.yaml", True),
        ("a/.env", False),
        ("views.pyc", False),
        ("views.py~", False),
        (".#views.py", False),
        (".views.py.swp", False),
        ("__pycache__/views.py", False),
        (".git/hooks/x.py", False),
        ("node_modules/x/y.py", False),
        ("db.sqlite3", False),
        ("static/app.js", False),
        ("../other.py", False),
    ],
)
def test_which_files_count(name: str, counts: bool) -> None:
    root = Path("/srv/shop")
    path = os.path.normpath(root / name)
    assert is_source(path, Watched((root,), (root / ".env",))) is counts
