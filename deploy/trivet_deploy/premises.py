"""What one run of a site holds while it lives: locks, run directory, pool folders, listening sockets.

Takes over what a killed run left, and leaves nothing behind. Knows nothing of processes.
"""

import contextlib
import grp
import os
import pwd
import signal
import socket
import time
from collections.abc import Iterable
from pathlib import Path

from trivet_common.asking import is_listening, listener_at
from trivet_common.binding import ListenError
from trivet_common.channel import Channel
from trivet_common.config import Pool, Settings
from trivet_common.inherited import LINE, Inherited
from trivet_common.listeners import Listeners, bind
from trivet_common.peers import is_trusted_in
from trivet_common.pool.places import PlaceError, PoolPlaces, RunDir

from . import running
from .refusal import Refusal
from .whereabouts import SECOND, forget_parent, prepare_parent

# How long the children of a killed run may take to leave: they promise 2 s (docs/architecture.md).
PATIENCE = 3.0
# Whoever connects to what systemd holds open, and nobody accepts on, would wait without an end.
_STRANGERS = (
    "systemd listens on {} for us, and the file does not: `listen` was changed. Write the socket unit anew "
    "(trivet init systemd), then: systemctl daemon-reload, and restart it together with the service"
)


class Premises:
    """For one run. `group`: the other half is run by another user of it, who shares the run directory."""

    def __init__(
        self,
        settings: Settings,
        path: Path,
        *,
        proxy: bool,
        pools: Iterable[str],
        group: int | None = None,
    ) -> None:
        self.settings = settings
        self.has_proxy = proxy
        self.groups = {name: group_of(settings.pools[name]) if group is None else group for name in pools}
        self.run = RunDir(path, _common_group(self.groups.values()) if group is None else group)
        self.places: dict[str, PoolPlaces] = {}
        self.listeners: Listeners | None = None
        self.pool_listeners: dict[str, Listeners] = {}
        # To the version that passed them, while it serves beside us.
        self.line: Channel | None = None
        self._locks: dict[Path, int] = {}
        self._inherited = Inherited.read(os.environ)

    def __repr__(self) -> str:
        return f"<Premises {self.run.path} locks={len(self._locks)}>"

    def take(self) -> None:
        """Take it all or nothing. Raises Refusal with one sentence."""
        try:
            for name in self.settings.pools:
                self.run.pool(name)  # also where the pools are run by another: too long a path is told here
            prepare_parent(self.run.path)
            self.run.create()
            if not self.predecessor and self.run.path.name != SECOND:
                _clear(self.run.path / SECOND)
            self._open_to_groups()
            self._evict()
            self._lock()
            os.register_at_fork(after_in_child=self._forget_locks)
            self._sweep()
            try:
                self._settle()
            except BaseException:
                self.leave()
                raise
        except (PlaceError, ListenError) as error:
            raise Refusal(str(error)) from None
        except OSError as error:
            raise Refusal(f"{self.run.path}: {error.strerror or error}") from None

    def leave(self) -> None:
        """Remove what is ours, once; only after the last child is gone."""
        if not self._locks:
            return
        for listeners in self.bound():
            listeners.unlink()
            listeners.close()
        for places in self.places.values():
            places.remove()
        for path in self._locks:
            path.unlink(missing_ok=True)
        if self._is_alone():
            is_second = self.run.path.name == SECOND
            with contextlib.suppress(PlaceError, OSError):  # another version lives there
                _clear(self.run.path.parent if is_second else self.run.path / SECOND)
            self.run.remove()
            forget_parent(self.run.path)
            if is_second:
                with contextlib.suppress(OSError):  # not empty: a successor has moved in
                    self.run.path.parent.rmdir()
        for descriptor in self._locks.values():
            os.close(descriptor)
        self._locks.clear()

    def keep_only(self, part: str) -> None:
        """In a forked child: close the listening sockets that are not for this part ("proxy", "pool NAME").

        A worker that held the site's port would keep it from a successor, and its application could accept.
        """
        for name, listeners in self.pool_listeners.items():
            if part != f"pool {name}":
                listeners.close()
        if self.listeners is not None and part != "proxy":
            self.listeners.close()

    def _open_to_groups(self) -> None:
        """Let workers of other users pass to their pool's folder, and do nothing else up here.

        Whoever may write into the run directory could put its own control socket there.
        """
        groups = set(self.groups.values()) - {None}
        if groups and self.run.path.stat().st_uid == os.geteuid():
            os.chmod(self.run.path, 0o710 if len(groups) == 1 else 0o711)

    def _evict(self) -> None:
        """Whoever shares the run directory can put files where ours belong, before we do."""
        for path in [*self._lock_files(), *(self.run.files if self.has_proxy else [])]:
            try:
                owner = path.lstat().st_uid
                if is_trusted_in(self.run.path, owner):
                    continue
                path.unlink()
            except FileNotFoundError:
                continue
            except OSError:
                who = running.user_name(owner)
                raise PlaceError(f"{path} is in our way and belongs to {who}; remove it, as root") from None

    def _settle(self) -> None:
        for number in self._inherited.named(LINE):
            os.set_inheritable(number, False)
            self.line = Channel(socket.socket(fileno=number))
        patience = PATIENCE if self._wait_for_predecessor() else 0.0
        for name, group in self.groups.items():
            self.places[name] = PoolPlaces(self.run.path / name, group)
            self.places[name].create()
        settings = self.settings
        if self.has_proxy:
            self.listeners = bind(settings.listen, settings.proxy.processes, patience, self._inherited)
        for name in self.groups:
            if settings.pools[name].listen:
                self.pool_listeners[name] = bind(settings.pools[name].listen, 1, patience, self._inherited)
        Inherited.forget(os.environ)
        if strangers := self._inherited.strangers():
            raise Refusal(_STRANGERS.format(" and ".join(strangers)))
        self._inherited.close_rest()

    def _wait_for_predecessor(self) -> bool:
        """Wait until the masters of a killed run have left. True if there are traces of such a run.

        Raises PlaceError if they do not.
        """
        had_traces = self.run.control.exists() or bool(running.halves(self.run.path))
        until = time.monotonic() + PATIENCE
        while left := self._still_there():
            if time.monotonic() >= until:
                what, pid = left[0]
                who = f"process {pid}, {what}" if pid else what
                raise PlaceError(
                    f"{who} of a run that was killed, does not leave; end it: kill -9 {pid or 'PID'}"
                )
            for _, pid in left:
                if pid > 1:
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGCONT)  # who is stopped does not notice that its master is gone
            time.sleep(0.05)
        return had_traces

    def _still_there(self) -> list[tuple[str, int]]:
        found = [(master.what, listener_at(master.control)) for master in self._ours()]
        return [(f"the master of {what}", pid) for what, pid in found if pid is not None]

    def _ours(self) -> list[running.MasterAt]:
        names = {f"pool {name}" for name in self.groups} | ({"proxy"} if self.has_proxy else set())
        return [master for master in running.halves(self.run.path) if master.what in names]

    def _lock(self) -> None:
        """One lock a part, so that `proxy` and `backend` share a run directory and nothing runs twice."""
        for path in self._lock_files():
            try:
                self._locks[path] = _take(path)
            except PlaceError:
                for descriptor in self._locks.values():
                    os.close(descriptor)
                what = path.stem.replace("-", " ", 1)
                raise Refusal(f"this site runs already: {what} by {_holder(path)}") from None

    def _lock_files(self) -> list[Path]:
        parts = [*(f"pool-{name}" for name in self.groups), *(["proxy"] if self.has_proxy else [])]
        return [self.run.path / f"{part}.lock" for part in parts]

    def _forget_locks(self) -> None:
        """In every forked child: the locks stay its parent's, and no worker shall write into their files."""
        for descriptor in self._locks.values():
            os.close(descriptor)
        self._locks.clear()

    def _sweep(self) -> None:
        """Remove what a killed run left of parts we do not start (a pool that was taken out of the file)."""
        if not is_listening(self.run.control):
            # Else the halves of a site would be looked for behind the dead socket of an earlier `serve`.
            self.run.control.unlink(missing_ok=True)
        for path in self.run.path.glob("*.lock"):
            if path in self._locks or (path.stat().st_uid != os.geteuid() and os.geteuid() != 0):
                continue  # ours, or the other half's user's
            try:
                descriptor = _take(path)
            except PlaceError:
                continue  # alive: the other half, in another container or unit
            if path.stem.startswith("pool-"):
                PoolPlaces(self.run.path / path.stem.removeprefix("pool-")).remove()
            path.unlink(missing_ok=True)
            os.close(descriptor)

    def _is_alone(self) -> bool:
        return not any(self.run.path.glob("*.lock"))

    @property
    def predecessor(self) -> int:
        """The process that passed its sockets on to us, 0 if there was none."""
        return self._inherited.predecessor

    def lend(self, is_lent: bool = True) -> None:
        """Our successor serves what we listen on; or, False, our predecessor does no more."""
        for listeners in self.bound():
            listeners.lend(is_lent)

    def bound(self) -> list[Listeners]:
        """Of the site and of pools that listen themselves."""
        return [*([self.listeners] if self.listeners else []), *self.pool_listeners.values()]


def group_of(pool: Pool) -> int | None:
    """The group a pool's folder is shared with: that of its workers, when they are another user than we."""
    if os.geteuid() != 0 or not (pool.user or pool.group):
        return None
    try:
        if pool.group:
            return int(pool.group) if pool.group.isdecimal() else grp.getgrnam(pool.group).gr_gid
        assert pool.user is not None
        user = pwd.getpwuid(int(pool.user)) if pool.user.isdecimal() else pwd.getpwnam(pool.user)
    except KeyError:
        raise Refusal(f"{pool.where}: pool {pool.name}: there is no such user or group") from None
    return user.pw_gid


def _common_group(groups: Iterable[int | None]) -> int | None:
    found = set(groups) - {None}
    return found.pop() if len(found) == 1 else None


def _take(path: Path) -> int:
    run = RunDir(path.parent)
    run.lock = path
    while True:
        descriptor = run.take_lock()
        try:
            if os.fstat(descriptor).st_ino == os.stat(path).st_ino:
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)  # the holder before us removed the file while we opened it: take the new one


def _clear(path: Path) -> None:
    """Remove what a killed version has left there. Raises PlaceError if one lives in it, or starts."""
    held: list[int] = []
    try:
        for lock in sorted(path.glob("*.lock")):
            try:
                held.append(_take(lock))
            except PlaceError:
                raise PlaceError(f"this site runs already: {_holder(lock)}") from None
        for places in running.pools(path):
            places.remove()
        for lock in path.glob("*.lock"):
            lock.unlink(missing_ok=True)
        RunDir(path).remove()
    finally:
        for descriptor in held:
            os.close(descriptor)


def _holder(path: Path) -> str:
    try:
        number = path.read_text().split("\n")[0]
    except OSError:
        number = "?"
    return f"process {number or '?'} in {path.parent}; stop it first, or give this one another `run_dir`"
