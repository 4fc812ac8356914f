"""How a worker comes to be: a number, a place, a process.

Knows no seats; whoever asks decides what a worker is for. What cannot be had is a worker that dies at once.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

from trivet_backend.place import Berth
from trivet_backend.release import Release
from trivet_backend.roster import PoolWorker
from trivet_backend.worker import run_worker
from trivet_common.channel import Channel
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

    def __repr__(self) -> str:
        return f"<Births unborn={self._unborn}>"

    def try_start(self, release: Release, ready: str | None = None) -> PoolWorker | None:
        """A worker that begins; with `ready`, it asks its application for that path before it is ready."""
        try:
            incarnation = self._places.next_incarnation()
            berth = Berth.make(self._places, incarnation, release.pool.threads)
        except OSError as error:  # no descriptor left, a full disk
            self._unborn -= 1
            return PoolWorker(self._children.not_forked(WORKER, self._unborn, error), self._unborn, release)
        try:
            child = self._fork(release, berth, ready)
        finally:
            berth.close()
        return PoolWorker(child, incarnation, release)

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
            )

        return self._spawn(WORKER, berth.incarnation, be_worker)
