"""Opens a file beneath an opened directory, with no way out: not by `..`, a link, or a swap in between.

openat2(RESOLVE_BENEATH) where the kernel has it (Linux 5.6), else component by component without following
links; links that stay inside are followed by hand. Knows no URL and no HTTP.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Sequence
from enum import Enum

# Never waits for a FIFO's writer, never takes over a terminal, never leaks into a child.
READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_STEP = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
ROOT = _STEP

_SYS_OPENAT2 = 437  # every architecture but alpha (asm-generic/unistd.h)
_RESOLVE_NO_XDEV, _RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH = 0x01, 0x02, 0x04, 0x08
_RACES = 8  # openat2 says EAGAIN when something was renamed meanwhile
_LINKS = 40  # as the kernel's own limit (path_resolution(7))
_STEPS = 2000
_LONGEST = 4096  # PATH_MAX


class Links(Enum):
    """Symbolic links to follow: those that stay below the root, none, or wherever they lead."""

    INSIDE = "inside"
    NEVER = "never"
    ALWAYS = "always"


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


# Linux 5.12: fail with EAGAIN rather than look anything up that is not in memory. What is mounted below the
# root may be a server's, and opening asks it, however well the kernel knows the name.
_RESOLVE_CACHED = 0x20
_AT_FDCWD = -100
_HOW = _OpenHow(READ, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
_HOW_LINKLESS = _OpenHow(READ, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS | _RESOLVE_NO_SYMLINKS)
_HOW_POINTER, _HOW_SIZE = ctypes.pointer(_HOW), ctypes.sizeof(_HOW)
_HOW_LINKLESS_POINTER = ctypes.pointer(_HOW_LINKLESS)
_KNOWN = _RESOLVE_CACHED | _RESOLVE_NO_XDEV
_CACHED = {
    Links.INSIDE: ctypes.pointer(_OpenHow(READ, 0, _HOW.resolve | _KNOWN)),
    Links.NEVER: ctypes.pointer(_OpenHow(READ, 0, _HOW_LINKLESS.resolve | _KNOWN)),
    Links.ALWAYS: ctypes.pointer(_OpenHow(READ, 0, _KNOWN)),
}
_HOW_NAMED = ctypes.pointer(_OpenHow(READ, 0, _RESOLVE_CACHED))
_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(_OpenHow), ctypes.c_size_t)
_syscall.restype = ctypes.c_long


def open_beneath(root: int, path: bytes, inside: Sequence[bytes] = (), links: Links = Links.INSIDE) -> int:
    """A descriptor of `path` below the directory `root`. Raises OSError; EXDEV: it leads outside.

    `inside` are absolute names of the root: an absolute link to below one of them stays inside.
    """
    if len(path) >= _LONGEST:
        raise _error(errno.ENAMETOOLONG)
    if b"\0" in path:
        raise _error(errno.ENOENT)
    if links is Links.ALWAYS:
        return _open_wherever(root, path)
    if _has_openat2:
        fd = _try_openat2(root, path, _HOW_POINTER if links is Links.INSIDE else _HOW_LINKLESS_POINTER)
        if fd >= 0:
            return fd
    # Also for what openat2 took for a way out: it does not know where an absolute link leads to.
    return walk(root, path, inside, links)


def open_if_known(root: int, path: bytes, inside: Sequence[bytes] = (), links: Links = Links.INSIDE) -> int:
    """The same without asking the disk; BlockingIOError: it would have to be. Kernels before 5.12 ask it."""
    if not (_has_cached and _has_openat2):
        return open_beneath(root, path, inside, links)
    if len(path) >= _LONGEST or b"\0" in path:
        raise _error(errno.ENAMETOOLONG if len(path) >= _LONGEST else errno.ENOENT)
    if links is Links.ALWAYS and (path.startswith(b"/") or b".." in path.split(b"/")):
        raise _error(errno.EXDEV)
    fd: int = _syscall(_SYS_OPENAT2, root, path or b".", _CACHED[links], _HOW_SIZE)
    if fd >= 0:
        return fd
    number = ctypes.get_errno()
    # What seems to lead out is walked, and that is a wait a step.
    raise _error(errno.EAGAIN if number in (errno.EXDEV, errno.EINTR) else number)


def open_path_if_known(path: bytes) -> int:
    """Any path of the system, likewise, but for what it lies on: its caller knows."""
    if not _has_cached or b"\0" in path:
        return os.open(path, READ)
    fd: int = _syscall(_SYS_OPENAT2, _AT_FDCWD, path, _HOW_NAMED, _HOW_SIZE)
    if fd < 0:
        raise _error(ctypes.get_errno())
    return fd


def walk(root: int, path: bytes, inside: Sequence[bytes] = (), links: Links = Links.INSIDE) -> int:
    """The same, one component at a time, for any kernel."""
    return _Walk(root, path, inside, _LINKS if links is Links.INSIDE else 0).run()


def _open_wherever(root: int, path: bytes) -> int:
    """Links may lead out; the path itself may not."""
    if path.startswith(b"/") or b".." in path.split(b"/"):
        raise _error(errno.EXDEV)
    return os.open(path or b".", READ, dir_fd=root)


def _try_openat2(root: int, path: bytes, how: object) -> int:
    """A descriptor, or -1 where the walk should have a look. Raises OSError for everything else."""
    for _ in range(_RACES):
        fd: int = _syscall(_SYS_OPENAT2, root, path or b".", how, _HOW_SIZE)
        if fd >= 0:
            return fd
        number = ctypes.get_errno()
        if number not in (errno.EAGAIN, errno.EINTR):
            break
    if number in (errno.EXDEV, errno.EAGAIN, errno.EINTR):
        return -1
    raise _error(number)


class _Walk:
    """What is done and what is left. Nothing is opened through a link: its target takes its place."""

    __slots__ = ("_done", "_here", "_inside", "_links", "_root", "_todo")

    def __init__(self, root: int, path: bytes, inside: Sequence[bytes], links: int) -> None:
        self._root = self._here = root
        self._inside = inside
        self._todo = path.split(b"/")
        self._done: list[bytes] = []
        self._links = links  # that may still be followed

    def run(self) -> int:
        try:
            for _ in range(_STEPS):
                fd = self._step(self._todo.pop(0) if self._todo else b".")
                if fd is not None:
                    return fd
            raise _error(errno.ELOOP)
        finally:
            self._return_to_root()

    def _step(self, name: bytes) -> int | None:
        is_last = not self._todo
        if name == b"" or (name == b"." and not is_last):
            return None
        if name == b"..":
            self._climb()
            return None
        try:
            fd = os.open(name, (READ if is_last else _STEP) | os.O_NOFOLLOW, dir_fd=self._here)
        except OSError as error:
            self._follow(name, error)
            return None
        if is_last:
            return fd
        self._return_to_root()
        self._here = fd
        self._done.append(name)
        return None

    def _climb(self) -> None:
        # Begin again without the last directory: what has been walked held no link, so this is where `..`
        # leads, and a swap on the way is caught again.
        if not self._done:
            raise _error(errno.EXDEV)
        self._todo = self._done[:-1] + self._todo
        self._return_to_root()

    def _follow(self, name: bytes, error: OSError) -> None:
        """Put the target of a link in the link's place; raise the error if it was none."""
        target = _link_target(name, self._here, error)
        self._links -= 1
        if self._links < 0:
            raise _error(errno.ELOOP)
        if target.startswith(b"/"):
            self._todo = _from_root(target, self._inside) + self._todo
            self._return_to_root()
        else:
            self._todo = target.split(b"/") + self._todo

    def _return_to_root(self) -> None:
        if self._here != self._root:
            os.close(self._here)
        self._here = self._root
        self._done = []


def _link_target(name: bytes, here: int, error: OSError) -> bytes:
    """What a component that was refused as a link points to; the error itself if it is none."""
    if error.errno not in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
        raise error
    try:
        return os.readlink(name, dir_fd=here)
    except OSError:
        raise error from None


def _from_root(target: bytes, inside: Sequence[bytes]) -> list[bytes]:
    for base in inside:
        if target == base or target.startswith(base.rstrip(b"/") + b"/"):
            return target[len(base) :].split(b"/")
    raise _error(errno.EXDEV)


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _probe(how: object) -> int:
    """What openat2 says here: an old kernel ENOSYS, or EINVAL of what it does not know, a container EPERM."""
    if not sys.platform.startswith("linux"):
        return errno.ENOSYS
    here = os.open("/", ROOT)
    try:
        fd: int = _syscall(_SYS_OPENAT2, here, b".", how, _HOW_SIZE)
    finally:
        os.close(here)
    if fd < 0:
        return ctypes.get_errno()
    os.close(fd)
    return 0


_has_openat2 = _probe(_HOW_POINTER) == 0
_has_cached = _has_openat2 and _probe(_CACHED[Links.INSIDE]) in (0, errno.EAGAIN)
