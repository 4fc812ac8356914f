"""Where everything of a running site lies: the run directory and, below it, one folder a pool.

Owns the names, the rights and the numbers of incarnations. Knows nothing of what is written into the files.
"""

import errno
import fcntl
import mmap
import os
import stat
from pathlib import Path

from trivet_common.pool.queue_board import make_queue_board

# sun_path of a Unix socket address holds 108 bytes with the final NUL (unix(7)).
SOCKET_PATH_LIMIT = 107
PRIVATE = 0o700
# Two users of one group: setgid, so that what is made in it belongs to the group. The group may not write:
# root works by name in here, and whoever could rename would lead it elsewhere (CVE-2016-1247).
SHARED = 0o2750
# Where the group is our own, what we make belongs to it anyway; RestrictSUIDSGID= refuses the setgid bit.
SHARED_BY_OWN = 0o750


class PlaceError(Exception):
    """A run directory that cannot be used; the text is one sentence for the operator."""


class PoolPlaces:
    """The files of one pool. Made once by the pool's master and adopted, never re-created, while it lives."""

    def __init__(self, directory: Path, group: int | None = None) -> None:
        self.directory = directory
        self.group = group
        self.idle_fifo = directory / "idle.fifo"
        self.queue_board = directory / "queue.board"
        self.pool_socket = directory / "pool.sock"
        self.control = directory / "control.sock"
        self._last_incarnation = directory / "incarnation"
        # Longest name a slot socket can get: a 32 bit incarnation and a 16 bit slot (the token's fields).
        _check_length(directory, "w4294967295.65535.sock")

    def board(self, incarnation: int) -> Path:
        return self.directory / f"w{incarnation}.board"

    def slot_socket(self, incarnation: int, slot: int) -> Path:
        return self.directory / f"w{incarnation}.{slot}.sock"

    def create(self) -> None:
        """Make what is missing. Raises PlaceError with the reason, for instance a volume without FIFOs."""
        make_directory(self.directory, self.group)
        self._make_fifo()
        try:
            make_queue_board(self.queue_board, self.group)
        except OSError as error:
            raise PlaceError(f"{self.queue_board}: cannot be made ({error.strerror})") from error
        self._try_mapping()

    def _try_mapping(self) -> None:
        """What a worker will do with its board: some file systems cannot, and would say so late."""
        trial = self.directory / f".trial.{os.getpid()}"
        try:
            trial.unlink(missing_ok=True)  # of a killed process with our number, as in a container
            fd = os.open(trial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                trial.unlink()
                os.ftruncate(fd, mmap.PAGESIZE)
                mmap.mmap(fd, mmap.PAGESIZE, mmap.MAP_SHARED).close()
            finally:
                os.close(fd)
        except OSError as error:
            raise PlaceError(
                f"{self.directory}: no file can be mapped here ({error.strerror}); run_dir needs a file "
                "system with FIFOs and memory mapping, best a tmpfs"
            ) from error

    def _make_fifo(self) -> None:
        before = os.umask(0o177 if self.group is None else 0o117)
        try:
            os.mkfifo(self.idle_fifo)
        except FileExistsError:
            info = self.idle_fifo.lstat()
            if not stat.S_ISFIFO(info.st_mode):
                raise PlaceError(f"{self.idle_fifo} exists and is no FIFO; remove it") from None
            if info.st_uid == os.geteuid():  # made for another group, or for none, by a run that was killed
                _give(self.idle_fifo, self.group)
                os.chmod(self.idle_fifo, 0o600 if self.group is None else 0o660)
        except OSError as error:
            raise PlaceError(
                f"{self.directory}: no FIFO can be made here ({error.strerror}); run_dir needs a file system "
                "with FIFOs and memory mapping, best a tmpfs"
            ) from error
        else:
            _give(self.idle_fifo, self.group)
        finally:
            os.umask(before)

    def next_incarnation(self) -> int:
        """A number for one run of one worker, never used again in this directory (not even after kill -9)."""
        fd = os.open(self._last_incarnation, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX)
            text = os.pread(fd, 32, 0).strip()
            number = max([int(text) if text.isdigit() else 0, *self.incarnations()]) + 1
            os.pwrite(fd, b"%020d\n" % number, 0)
        finally:
            os.close(fd)
        return number

    def incarnations(self) -> list[int]:
        """The incarnations that have a board here, oldest first."""
        numbers = []
        for name in _names(self.directory):
            if name.startswith("w") and name.endswith(".board") and name[1:-6].isdigit():
                numbers.append(int(name[1:-6]))
        return sorted(numbers)

    def remove_incarnation(self, incarnation: int) -> None:
        """Unlink the board and the sockets of a worker that is gone; who has the board open reads on."""
        for name in _names(self.directory):
            if name.startswith((f"w{incarnation}.", f".w{incarnation}.")):
                _unlink(self.directory / name)

    def sweep(self) -> None:
        """Remove what workers of a killed master left. What all share stays: it is adopted."""
        for name in _names(self.directory):
            if name.lstrip(".").startswith("w") and name.endswith((".board", ".sock", ".new")):
                _unlink(self.directory / name)
        for path in (self.pool_socket, self.control):
            _unlink(path)
            _unlink(_unfinished(path))

    def remove(self) -> None:
        """Leave nothing behind: after the last worker and the last proxy have gone."""
        self.sweep()
        for path in (self.idle_fifo, self.queue_board, self._last_incarnation):
            _unlink(path)
        try:
            self.directory.rmdir()
        except OSError:
            pass  # somebody's own file is in it: not ours to remove


class RunDir:
    """The run directory of one site: lock, control sockets, the proxies' board, and a folder a pool."""

    def __init__(self, path: Path, group: int | None = None) -> None:
        self.path = path
        self.group = group
        self.lock = path / "lock"
        self.control = path / "control.sock"
        self.proxy_control = path / "proxy.sock"
        self.front_board = path / "front.board"
        self.buckets = path / "rate.buckets"
        self.pulse = path / "masters.pulse"  # no pool has a name with a dot

    def pool(self, name: str) -> PoolPlaces:
        return PoolPlaces(self.path / name, self.group)

    def create(self) -> None:
        """Make the directory. Raises PlaceError."""
        _check_length(self.path, ".control.sock.new")
        make_directory(self.path, self.group)

    def take_lock(self) -> int:
        """Take the site's lock and return its descriptor. Raises PlaceError naming the holder, or OSError.

        A POSIX record lock: children do not inherit it, so it is free the moment the topmost process is gone.
        """
        fd = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(fd, 32, 0).split(b"\n")[0].decode("ascii", "replace")
            os.close(fd)
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise  # no locks here: a network file system
            raise PlaceError(f"{self.path}: already in use by process {holder or '?'}") from error
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        except OSError:
            pass  # a full disk: the lock is what counts, the number is for show
        return fd

    @property
    def files(self) -> list[Path]:
        """What a site's masters and proxies make here, finished or not."""
        paths = (self.control, self.proxy_control, self.front_board, self.buckets, self.pulse, self.lock)
        return [each for path in paths for each in (path, _unfinished(path))]

    def remove(self) -> None:
        for path in self.files:
            _unlink(path)
        try:
            self.path.rmdir()
        except OSError:
            pass


def _check_length(directory: Path, longest_name: str) -> None:
    length = len(os.fsencode(directory / longest_name))
    if length > SOCKET_PATH_LIMIT:
        raise PlaceError(
            f"{directory}: the path is too long for Unix sockets ({length} bytes with a socket's name, "
            f"{SOCKET_PATH_LIMIT} are possible); set a shorter run_dir"
        )


def make_directory(path: Path, group: int | None = None) -> None:
    """Make a run directory only its user (or group) can enter; refuse one that others may have prepared."""
    try:
        path.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        info = path.lstat()
    except OSError as error:
        raise PlaceError(f"{path}: cannot make the run directory ({error.strerror})") from error
    if not stat.S_ISDIR(info.st_mode):
        raise PlaceError(f"{path} is not a directory (links are not followed here); set run_dir")
    if info.st_uid != os.geteuid() and group is None and os.geteuid() != 0:
        raise PlaceError(f"{path} belongs to uid {info.st_uid}, we are uid {os.geteuid()}; set run_dir")
    if (
        info.st_uid == os.geteuid()
        and group is None
        and stat.S_IMODE(info.st_mode) in (SHARED, SHARED_BY_OWN)
    ):
        os.chmod(path, PRIVATE)  # shared with a group in an earlier configuration, by us
        info = path.lstat()
    others = stat.S_IWOTH if group is not None else stat.S_IWOTH | stat.S_IWGRP
    if info.st_mode & others:
        # Who may rename in here could put a control socket or a board of its own in place of ours.
        raise PlaceError(f"{path}: others may write there; chmod it to 700, or set run_dir")
    if info.st_uid == os.geteuid():
        _give(path, group)
        if group is not None:
            os.chmod(path, SHARED_BY_OWN if group == os.getegid() else SHARED)


def _give(path: Path, group: int | None) -> None:
    if group is not None:
        os.chown(path, -1, group, follow_symlinks=False)


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []  # not there; or no descriptor left, and what is not removed now the next sweep removes


def _unfinished(path: Path) -> Path:
    """What a process that was killed between making and renaming it has left."""
    return path.with_name(f".{path.name}.new")


def _unlink(path: Path) -> None:
    try:
        path.unlink()
    except OSError:
        pass  # gone already, or not ours: both leave nothing to do
