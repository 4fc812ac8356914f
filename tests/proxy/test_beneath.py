"""Opening beneath a directory: the kernel's way and ours lead to the same files, and neither outside."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

import pytest

from trivet_proxy import beneath
from trivet_proxy.beneath import Links

NAMES = [
    *(
        b"a.txt",
        b"css/up.txt",
        b"link-in/up.txt",
        b"css/../a.txt",
        b"../secret",
        b"loop",
        b"",
        b".",
        b"./a.txt",
    ),
    *(
        b"out",
        b"css/../css/../../x",
        b"dangling",
        b"a.txt/",
        b"css/",
        b"css/.",
        b"a.txt/b",
        b"none/x",
        b"sneaky",
    ),
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "css").mkdir(parents=True)
    (root / "a.txt").write_bytes(b"inside")
    (tmp_path / "secret").write_bytes(b"outside")
    (root / "css" / "up.txt").symlink_to("../a.txt")
    (root / "link-in").symlink_to("css")
    (root / "out").symlink_to("../secret")
    (root / "sneaky").symlink_to("css/../../root/a.txt")
    (root / "loop").symlink_to("loop")
    (root / "dangling").symlink_to("nowhere")
    (root / "absolute").symlink_to(root / "a.txt")
    (root / "absolute-out").symlink_to(tmp_path / "secret")
    (root / "cousin").symlink_to(tmp_path / "root-of-another" / "x")
    (tmp_path / "root-of-another").mkdir()
    (tmp_path / "root-of-another" / "x").write_bytes(b"outside")
    chain = root / "a.txt"
    for number in range(50):
        (root / f"chain{number}").symlink_to(chain.name)
        chain = root / f"chain{number}"
    return root


@pytest.fixture
def root(place):
    fd = os.open(place, beneath.ROOT)
    yield fd
    os.close(fd)


def outcome(opener, *arguments):
    """The inode that was opened, or the error's number."""
    try:
        fd = opener(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    try:
        return os.fstat(fd).st_ino
    finally:
        os.close(fd)


@pytest.mark.parametrize("name", NAMES)
def test_both_ways_agree(root, name):
    if not beneath._has_openat2:
        pytest.skip("this kernel has no openat2")
    assert outcome(beneath.open_beneath, root, name) == outcome(beneath.walk, root, name)


@pytest.mark.parametrize("opener", [beneath.open_beneath, beneath.walk])
def test_links(root, place, opener):
    inside = (os.fsencode(place),)
    inode = (place / "a.txt").stat().st_ino
    table = [
        (b"css/up.txt", inode),
        (b"absolute", inode),
        (b"chain5", inode),
        (b"chain49", "ELOOP"),
        (b"loop", "ELOOP"),
        (b"out", "EXDEV"),
        (b"sneaky", "EXDEV"),
        (b"absolute-out", "EXDEV"),
        (b"cousin", "EXDEV"),
    ]
    assert [(name, outcome(opener, root, name, inside)) for name, _ in table] == table
    assert outcome(opener, root, b"absolute") == "EXDEV"  # nobody said what the root is called


def test_names_without_an_end(root, place):
    assert outcome(beneath.open_beneath, root, b"a\0b") == "ENOENT"
    assert outcome(beneath.open_beneath, root, b"a/" * 3000) == "ENAMETOOLONG"
    assert outcome(beneath.walk, root, b"css/../" * 500 + b"a.txt") == (place / "a.txt").stat().st_ino
    # Forty links that each climb a hundred times are more steps than we take for anyone.
    for number in range(40):
        (place / f"climb{number}").symlink_to("css/../" * 100 + f"climb{number + 1}")
    (place / "climb40").symlink_to("a.txt")
    assert outcome(beneath.walk, root, b"climb1") == "ELOOP"


def test_a_kernel_that_sees_races_all_the_time(root, place, monkeypatch):
    """EAGAIN again and again: the walk has the last word."""
    calls = []

    def busy(*arguments):
        calls.append(arguments)
        return -1

    monkeypatch.setattr(beneath, "_has_openat2", True)
    monkeypatch.setattr(beneath, "_syscall", busy)
    monkeypatch.setattr(beneath.ctypes, "get_errno", lambda: errno.EAGAIN)
    assert outcome(beneath.open_beneath, root, b"a.txt") == (place / "a.txt").stat().st_ino
    assert len(calls) == 8


def test_descriptors_are_given_back(root, place):
    before = os.listdir("/proc/self/fd")
    for name in [*NAMES, b"absolute", b"chain49"]:
        outcome(beneath.walk, root, name, (os.fsencode(place),))
        outcome(beneath.open_beneath, root, name, (os.fsencode(place),))
    assert os.listdir("/proc/self/fd") == before


def test_without_the_disk_only_what_is_in_memory(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "out").symlink_to("/etc/hostname")
    root = os.open(tmp_path, beneath.ROOT)
    try:
        for name, links in ((b"a", Links.INSIDE), (b"a", Links.NEVER), (b"a", Links.ALWAYS)):
            os.close(beneath.open_beneath(root, name))
            os.close(beneath.open_if_known(root, name, links=links))
        os.close(beneath.open_path_if_known(os.fsencode(tmp_path / "a")))
        for name in (b"new", b"out", b"../x"):
            with pytest.raises(BlockingIOError):
                beneath.open_if_known(root, name)
        for name, links in ((b"a\0", Links.INSIDE), (b"a" * 5000, Links.NEVER), (b"x/../a", Links.ALWAYS)):
            with pytest.raises(OSError, match=r"No such|too long|cross-device"):
                beneath.open_if_known(root, name, links=links)
        with contextlib.suppress(OSError):
            os.close(beneath.open_beneath(root, b"link"))
        with pytest.raises(OSError, match=r"symbolic|unavailable"):
            beneath.open_if_known(root, b"link", links=Links.NEVER)
    finally:
        os.close(root)


@pytest.mark.parametrize("name", [b"out", b"../x"])
def test_an_old_kernel_asks_the_disk_and_lets_nothing_out(tmp_path, monkeypatch, name):
    monkeypatch.setattr(beneath, "_has_cached", False)
    (tmp_path / "out").symlink_to("/etc/hostname")
    (tmp_path / "a").write_bytes(b"1")
    root = os.open(tmp_path, beneath.ROOT)
    try:
        os.close(beneath.open_if_known(root, b"a"))
        os.close(beneath.open_path_if_known(os.fsencode(tmp_path / "a")))
        with pytest.raises(OSError, match="cross-device"):
            beneath.open_if_known(root, name)
    finally:
        os.close(root)


@pytest.mark.skipif(not (beneath._has_cached and os.path.ismount("/dev")), reason="Linux 5.12, a mount")
@pytest.mark.parametrize("links", [Links.INSIDE, Links.NEVER, Links.ALWAYS])
def test_what_is_mounted_below_the_root_is_not_opened_in_the_loop(links):
    """Opening asks its server, however well the kernel knows the name."""
    root = os.open("/", beneath.ROOT)
    try:
        for _ in range(2):
            os.close(beneath.open_beneath(root, b"dev/null", links=links))
            with pytest.raises(BlockingIOError):
                beneath.open_if_known(root, b"dev/null", links=links)
    finally:
        os.close(root)
    os.close(beneath.open_path_if_known(b"/dev/null"))
