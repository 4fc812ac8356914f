"""A template: the process that loads the application once, and from which a release's workers are forked.

A worker is forked twice: its parent ends at once, so that it becomes the master's own child. Knows no
request; hooks are called by the worker.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence

import setproctitle

from trivet_backend.application import AppError, WsgiApplication, load_application
from trivet_backend.inheritance import InheritanceError, describe_socket, open_sockets, refuse_threads
from trivet_backend.place import Berth
from trivet_backend.prctl import die_with
from trivet_backend.privileges import DropError, become, find_identity
from trivet_backend.release import Release
from trivet_backend.streams import WorkerLog, WorkerStream
from trivet_backend.worker import run_worker
from trivet_common.channel import Channel, ChannelClosed
from trivet_common.forking import fork
from trivet_common.pool.places import PoolPlaces

# How long (s) a worker may wait for its parent to end; it does at once.
_ORPHANED_WITHIN = 5.0


class Template:
    """The process. `run` returns its exit status."""

    def __init__(
        self,
        release: Release,
        places: PoolPlaces,
        channel: Channel,
        *,
        shared: Sequence[socket.socket],
        uids: frozenset[int],
    ) -> None:
        self._release = release
        self._places = places
        self._channel = channel
        self._shared = shared
        self._uids = uids
        self._fds_of_a_worker = 3 + release.pool.threads  # its channel, board, FIFO; its slots' sockets
        self._log = WorkerLog(release.settings, f"{release.pool.name} template")

    def __repr__(self) -> str:
        return f"<Template of {self._release.pool.name} release {self._release.number}>"

    def run(self) -> int:
        pool = self._release.pool
        setproctitle.setproctitle(f"trivet: template {pool.name} {self._release.number} ({pool.app})")
        sys.stdout = WorkerStream(self._log.info)
        sys.stderr = WorkerStream(self._log.error)
        try:
            application = self._load()
        except (AppError, DropError, InheritanceError, OSError) as error:
            self._tell(b"failed " + str(error).encode("utf-8", "replace"))
            return 1
        # Sent to the whole group: the master says when we leave. (Its workers begin with the default again.)
        signal.signal(signal.SIGTERM, lambda *_: None)
        # What is loaded stays: no collector dirties the pages that all workers share.
        gc.collect()
        gc.freeze()
        self._tell(b"ready")
        poll = select.poll()
        poll.register(self._channel.fileno(), select.POLLIN)
        while True:
            poll.poll()
            try:
                message, fds = self._channel.receive_fds()
            except ChannelClosed:
                return 0
            if message.startswith(b"birth "):
                self._bear(application, message, fds)
            elif message.startswith(b"reopen "):
                self._log.take(fds[0], os.fsdecode(message[7:]))
            elif message == b"reopen":
                self._log.reopen()
            else:
                return 0

    # ------------------------------------------------------------ loading

    def _load(self) -> WsgiApplication:
        pool, parent = self._release.pool, os.getppid()
        identity = find_identity(pool.user, pool.group)
        if identity is not None:
            become(identity)
        # No thread may watch the master here while the application is being imported.
        die_with(parent)
        os.environ.update(pool.env)
        before = set(open_sockets())
        application = load_application(pool)
        for fd in sorted(set(open_sockets()) - before):
            self._log.warning(
                f"preload: the application has opened {describe_socket(fd)}, and all workers would share it: "
                "open it in post_fork, or with the first request"
            )
        assert pool.preload is not None
        if not pool.preload.threads:
            refuse_threads()
        return application

    # ------------------------------------------------------------ births

    def _bear(self, application: WsgiApplication, message: bytes, fds: list[int]) -> None:
        """The worker's parent is a process that ends at once, so that the master inherits the worker."""
        _, number, *ready = message.split(b" ", 2)
        path = ready[0].decode("utf-8", "surrogateescape") if ready else None

        parent = 0

        def be_worker() -> int:
            self._channel.close()
            _wait_until_orphaned(parent)
            channel = Channel(socket.socket(fileno=fds[0]))
            channel.send(b"born %d" % os.getpid())
            self._log.begin_anew()
            place = Berth(int(number), fds[1:]).take()
            release = self._release
            return run_worker(
                release.pool,
                release.settings,
                self._places,
                place,
                channel,
                shared=self._shared,
                uids=self._uids,
                application=application,
                ready=path,
                log=self._log,
            )

        def be_parent() -> int:
            nonlocal parent
            parent = os.getpid()
            fork(be_worker, self._log.error)
            return 0

        try:
            if len(fds) != self._fds_of_a_worker:
                raise OSError("not all of its descriptors have arrived: the limit on open files is too low")
            os.waitpid(fork(be_parent, self._log.error), 0)
        except OSError as error:  # no process left: the master sees the worker's channel end
            self._log.error(f"worker {number.decode()} could not be forked: {error.strerror or error}")
        finally:
            for fd in fds:
                os.close(fd)

    def _tell(self, message: bytes) -> None:
        try:
            self._channel.send(message)
        except ChannelClosed:
            pass  # noticed by whoever reads it


def _wait_until_orphaned(parent: int) -> None:
    """The master believes in us only once we are its child."""
    until = time.monotonic() + _ORPHANED_WITHIN
    while os.getppid() == parent and time.monotonic() < until:
        time.sleep(0.0005)
