"""How a worker comes to be: a number, a place, a process.

Knows no seats; whoever asks decides what a worker is for. What cannot be had is a worker that dies at once.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence

from trivet_backend import procfs
from trivet_backend.place import Berth
from trivet_backend.prctl import adopt_orphans
from trivet_backend.release import Release
from trivet_backend.roster import PoolWorker
from trivet_backend.template import Template
from trivet_backend.templates import TEMPLATE, Templates
from trivet_backend.worker import run_worker
from trivet_common.channel import Channel, ChannelClosed
from trivet_common.children import Child, Children
from trivet_common.pool.places import PoolPlaces

WORKER = "worker"
Spawn = Callable[[str, int, Callable[[Channel], int]], Child]


class Births:
    """`spawn` forks a child that has let go of what is the master's alone, but for `let_go`."""

    def __init__(
        self,
        places: PoolPlaces,
        spawn: Spawn,
        children: Children,
        *,
        shared: Sequence[socket.socket],
        uids: frozenset[int],
        let_go: Callable[[], None],
    ) -> None:
        self._places = places
        self._spawn = spawn
        self._children = children
        self._shared = shared
        self._uids = uids
        self._let_go = let_go
        self._unborn = 0
        self.templates: Templates | None = None

    def __repr__(self) -> str:
        return f"<Births unborn={self._unborn} {self.templates!r}>"

    def try_start(self, release: Release, ready: str | None = None) -> PoolWorker | None:
        """A worker that begins; with `ready`, it asks its application for that path before it is ready.

        None: its template is not there yet, or busy.
        """
        line: Channel | None = None
        if release.has_template and self.templates is not None:
            line = self.templates.try_use(release)
            if line is None:
                return None
        try:
            incarnation = self._places.next_incarnation()
            berth = Berth.make(self._places, incarnation, release.pool.threads)
        except OSError as error:  # no descriptor left, a full disk
            return self._not_started(release, error)
        try:
            child = self._fork(release, berth, ready) if line is None else self._ask(line, berth, ready)
        except OSError as error:
            self._places.remove_incarnation(incarnation)
            return self._not_started(release, error)
        finally:
            berth.close()
        if child is None:
            self._places.remove_incarnation(incarnation)
            return None
        return PoolWorker(child, incarnation, release)

    def give_up(self, worker: PoolWorker) -> None:
        """It was not ready in time. One that was not even born waits for a template that stands still."""
        if worker.child.pid == 0 and self.templates is not None:
            self.templates.give_up(worker.release)

    def start_template(self, release: Release) -> Child:
        """The process itself; whoever asks says what follows from it."""
        adopt_orphans()

        def be_template(channel: Channel) -> int:
            self._let_go()
            return Template(release, self._places, channel, shared=self._shared, uids=self._uids).run()

        return self._spawn(TEMPLATE, release.number, be_template)

    # ------------------------------------------------------------ private

    def _fork(self, release: Release, berth: Berth, ready: str | None) -> Child:
        def be_worker(channel: Channel) -> int:
            self._let_go()
            return run_worker(
                release.pool,
                release.settings,
                self._places,
                berth.take(),
                channel,
                shared=self._shared,
                uids=self._uids,
                ready=ready,
            )

        return self._spawn(WORKER, berth.incarnation, be_worker)

    def _ask(self, line: Channel, berth: Berth, ready: str | None) -> Child | None:
        """Its template, which is sent all that the worker will own. Raises OSError.

        None where it is gone, or has as much on its way as the kernel allows (RLIMIT_NOFILE).
        """
        ours, theirs = Channel.pair()
        message = b"birth %d" % berth.incarnation
        if ready is not None:
            message += b" " + ready.encode("utf-8", "surrogateescape")
        try:
            line.send_fds(message, [theirs.fileno(), *berth.fds()])
        except ChannelClosed:
            ours.close()
            return None
        finally:
            theirs.close()
        return self._children.expect(WORKER, berth.incarnation, ours, _is_child)

    def _not_started(self, release: Release, error: OSError) -> PoolWorker:
        self._unborn -= 1
        return PoolWorker(self._children.not_forked(WORKER, self._unborn, error), self._unborn, release)


def _is_child(pid: int) -> bool:
    return procfs.parent_of(pid) == os.getpid()
