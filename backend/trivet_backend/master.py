"""The master of one pool: keeps its workers alive, announces lost slots again, replaces releases.

Owns incarnations, the pool's sockets and its control socket. Never imports the application, and takes nothing
a worker wrote on its board for more than a hint about that worker.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from trivet_backend.place import Berth
from trivet_backend.prepare import run_prepare
from trivet_backend.roster import (
    PoolWorker,
    Seat,
    WorkerState,
    claim_rows,
    has_answered,
    is_removed,
    last_words,
    manner,
    pool_status,
)
from trivet_backend.sockets import listen_unix
from trivet_backend.takeover import Takeover
from trivet_backend.worker import run_worker
from trivet_common.binding import ListenError
from trivet_common.channel import Channel
from trivet_common.children import Child
from trivet_common.config import Pool, Settings
from trivet_common.control import ControlServer, is_listening
from trivet_common.listeners import BoundListener, bind
from trivet_common.logs import ErrorLog
from trivet_common.pool.claims import Repair
from trivet_common.pool.idle import IdleFifo
from trivet_common.pool.places import PlaceError, PoolPlaces
from trivet_common.prefork import Master

# How often lost tokens are looked for (s); the rule: docs/architecture.md, "How a request finds a slot".
REPAIR_TICK = 0.2
_WORKER, _PREPARE = "worker", "prepare"


class PoolMaster(Master):
    """See prefork.Master for the loop. `reload_source` returns the new (Pool, Settings)."""

    def __init__(
        self,
        pool: Pool,
        settings: Settings,
        places: PoolPlaces,
        *,
        log: ErrorLog,
        parent: Channel | None = None,
        listeners: list[BoundListener] | None = None,
        proxy_uid: int | None = None,
        reload_source: Callable[[], tuple[Pool, Settings]] | None = None,
    ) -> None:
        super().__init__(
            f"pool {pool.name}",
            log,
            parent=parent,
            stop_timeout=settings.stop_timeout,
            reload_source=reload_source,
        )
        self._places = places  # the first are for the process
        self._bound = listeners
        self._uids = frozenset({os.geteuid()} | ({proxy_uid} if proxy_uid is not None else set()))
        self._fifo: IdleFifo | None = None
        self._shared: list[socket.socket] = []
        self._repair = Repair()
        self._restarts = 0
        self._is_ours = False
        self._was_ready = False
        self._last_reload_problem: str | None = None
        # For the release.
        self._pool = pool
        self._settings = settings
        self._seats = [Seat(index) for index in range(pool.workers.min)]
        self._workers: dict[int, PoolWorker] = {}  # by incarnation, those that leave too
        self._takeover: Takeover | None = None
        self._after_prepare: Callable[[str | None], None] | None = None
        self._prepare_problem = ""

    def __repr__(self) -> str:
        return f"<PoolMaster {self._pool.name} workers={len(self._workers)} restarts={self._restarts}>"

    # ------------------------------------------------------------ what prefork.Master asks

    def start(self) -> None:
        try:
            self._places.create()
            if is_listening(self._places.control):
                # Two masters in one directory would sweep each other's sockets.
                raise PlaceError(f"{self._places.directory}: another master runs this pool already")
            self._is_ours = True
            self._places.sweep()  # what a killed run left; its boards and sockets name nobody any more
            self._fifo = IdleFifo(self._places.idle_fifo)
            self.open_control(ControlServer(self._places.control))
            self._bind()
        except (PlaceError, ListenError, OSError) as error:
            self._fail_to_start(str(error))
            return
        self._prepare(self._pool, self._begin)

    def child_said(self, child: Child, message: bytes) -> None:
        if child.kind == _PREPARE:
            self._prepare_problem = message.decode("utf-8", "replace")
            return
        worker = self._workers.get(child.index)
        if worker is None:
            return
        verb, _, text = message.partition(b" ")
        if verb == b"ready":
            self._became_ready(worker)
        elif verb == b"failed":
            worker.problem = text.decode("utf-8", "replace")

    def child_exited(self, child: Child, status: int) -> None:
        if child.kind == _PREPARE:
            self._prepared(status)
            return
        worker = self._workers.pop(child.index, None)
        if worker is None:
            return
        self._note_exit(worker, status)
        if worker.board >= 0:
            os.close(worker.board)
        has_served = has_answered(worker, self._places)
        self._places.remove_incarnation(worker.incarnation)
        if worker.seat.worker is worker:
            worker.seat.worker = None
            self._fill_again(worker, has_served)
        elif self._takeover is not None:
            self._takeover.worker_exited(worker, status)

    def reload(self, settings: Any, done: Callable[[str | None], None]) -> None:
        pool, site = settings
        if not self._was_ready:  # its own prepare may be running
            return done(f"pool {pool.name} is still starting")
        if pool.listen != self._pool.listen:
            self.log.warning(f"{pool.where}: listen of a pool changes with the next start, not with a reload")

        def finished(problem: str | None) -> None:
            self._takeover = None
            self._last_reload_problem = problem
            done(problem)

        def prepared(problem: str | None) -> None:
            if problem is not None:
                finished(problem)
                return
            self._takeover = Takeover(self, pool, site, self._seats[: pool.workers.min], finished)
            self._takeover.replace_next()

        self._prepare(pool, prepared)

    def drain(self) -> None:
        if self._is_ours:
            # No new connection finds pool.sock; what the kernel has accepted for us is still answered.
            self._places.pool_socket.unlink(missing_ok=True)
        if self._takeover is not None:
            self._takeover.end("the pool is stopping")
        for worker in list(self._workers.values()):
            self.retire_worker(worker)
        for child in self.children:
            if child.kind == _PREPARE:
                child.kill(signal.SIGTERM)

    def status(self) -> dict[str, Any]:
        return {
            **pool_status(self._pool, self._workers.values(), self._places),
            "pid": os.getpid(),
            "phase": self.phase.name.lower(),
            "restarts": self._restarts,
            "reloading": self._takeover is not None,
            "last_reload_problem": self._last_reload_problem,
        }

    def cleanup(self) -> None:
        for sock in self._shared:
            sock.close()
        if self._fifo is not None:
            self._fifo.close()
        if self._is_ours:
            # The FIFO and the number of the last incarnation stay: whoever comes next adopts them.
            self._places.sweep()

    # ------------------------------------------------------------ the start

    def _bind(self) -> None:
        places = self._places
        backlog = max(self._pool.queue.limit, 1)
        self._shared.append(listen_unix(places.pool_socket, places.group, backlog))
        if self._bound is None:
            self._bound = bind(self._pool.listen, 1).for_process(0)
        self._shared += [bound.socket for bound in self._bound]

    def _begin(self, problem: str | None) -> None:
        if problem is not None:
            self._fail_to_start(problem)
            return
        for seat in self._seats:
            self._fill(seat)
        self.call_later(REPAIR_TICK, self._tick)

    def _fail_to_start(self, problem: str) -> None:
        self.log.error(f"pool {self._pool.name} cannot start: {problem}")
        self.tell_parent(b"failed " + problem.encode("utf-8", "replace"))
        self.stop(1)

    def _prepare(self, pool: Pool, then: Callable[[str | None], None]) -> None:
        """Run the pool's `prepare` commands in a child, once a release; the loop goes on meanwhile."""
        if not pool.prepare:
            then(None)
            return
        self._after_prepare, self._prepare_problem = then, ""
        self.spawn(_PREPARE, 0, lambda channel: run_prepare(pool, channel, self.log))

    def _prepared(self, status: int) -> None:
        then, self._after_prepare = self._after_prepare, None
        if then is None:
            return
        if self.is_leaving():
            then("the pool is stopping")
            return
        then(None if status == 0 else self._prepare_problem or f"prepare {manner(status)}")

    # ------------------------------------------------------------ workers

    def _fill(self, seat: Seat) -> None:
        if not self.is_leaving() and seat.worker is None and seat in self._seats:
            seat.worker = self.spawn_worker(seat, self._pool, self._settings)

    def _close_ours(self) -> None:
        """In a child: what is the master's and would only be kept alive by it."""
        if self._fifo is not None:
            self._fifo.close()
        for worker in self._workers.values():
            if worker.board >= 0:
                os.close(worker.board)

    def _became_ready(self, worker: PoolWorker) -> None:
        if worker.state is not WorkerState.STARTING:
            return
        worker.state = WorkerState.READY
        try:
            worker.board = os.open(
                self._places.board(worker.incarnation), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
            )
        except OSError as error:
            self.log.error(f"worker {worker.incarnation}: its board cannot be read: {error.strerror}")
        if not self._was_ready:
            self._was_ready = True
            self.announce_ready()
        if self._takeover is not None:
            self._takeover.worker_ready(worker)

    def _note_exit(self, worker: PoolWorker, status: int) -> None:
        if not self._was_ready and (worker.problem or self.is_leaving()):
            return  # it is said once, for all of them, as the reason why the pool cannot start
        name = f"worker {worker.incarnation} (pid {worker.child.pid})"
        if worker.problem:
            self.log.error(f"{name} could not start: {worker.problem}")
        elif status or not (worker.state is WorkerState.RETIRING or self.is_leaving()):
            self.log.error(f"{name} {manner(status)}{last_words(worker, self._places)}")

    def _fill_again(self, worker: PoolWorker, has_served: bool) -> None:
        if self.is_leaving():
            return
        if worker.problem and not self._was_ready:
            # At the start a broken application is an error to be seen, not something to try for ever.
            self._fail_to_start(worker.problem)
            return
        seat = worker.seat
        # One that never became ready died at once, however long its import took.
        was_ready = worker.state is not WorkerState.STARTING
        pause = seat.pause.after(time.monotonic() - worker.started if was_ready else 0.0, has_served)
        self._restarts += 1
        if pause:
            self.call_later(pause, lambda: self._fill(seat))
        else:
            self._fill(seat)

    # ------------------------------------------------------------ what a reload uses (see takeover.Crew)

    def spawn_worker(self, seat: Seat, pool: Pool, settings: Settings) -> PoolWorker:
        def be_worker(channel: Channel) -> int:
            self._close_ours()
            given = (pool, settings, self._places, berth.take(), channel)
            return run_worker(*given, shared=self._shared, uids=self._uids)

        try:
            incarnation = self._places.next_incarnation()
            berth = Berth.make(self._places, incarnation, pool.threads)
            child = self.spawn(_WORKER, incarnation, be_worker)
            berth.close()
        except OSError as error:  # no descriptor left, a full disk
            incarnation = min([0, *self._workers]) - 1
            child = self.children.not_forked(_WORKER, incarnation, error)
        worker = self._workers[incarnation] = PoolWorker(child, incarnation, seat, pool.threads)
        return worker

    def retire_worker(self, worker: PoolWorker) -> None:
        """It finishes what it runs and leaves; within stop_timeout, or it is killed."""
        if worker.state is WorkerState.STARTING:
            worker.child.kill(signal.SIGTERM)  # it may import for a minute, and runs nothing yet
        worker.state = WorkerState.RETIRING
        worker.child.tell(b"retire")

        def insist() -> None:
            if worker.incarnation in self._workers:
                self.log.warning(f"worker {worker.incarnation} did not leave in time: killed")
                worker.child.kill()

        self.call_later(self.stop_timeout, insist)

    def adopt(self, pool: Pool, settings: Settings) -> None:
        """From here on every worker that is started is of this release."""
        self._pool, self._settings = pool, settings
        self.stop_timeout = settings.stop_timeout

    def resize(self) -> None:
        while len(self._seats) > self._pool.workers.min:
            seat = self._seats.pop()
            if seat.worker is not None:
                self.retire_worker(seat.worker)
                seat.worker = None
        while len(self._seats) < self._pool.workers.min:
            self._seats.append(Seat(len(self._seats)))
            self._fill(self._seats[-1])

    # ------------------------------------------------------------ repair and sight

    def _tick(self) -> None:
        if self.is_leaving() or self._fifo is None:
            return
        if is_removed(self._fifo.fileno()) or any(is_removed(one.board) for one in self._workers.values()):
            # No proxy finds us any more. Our successor makes everything again; what runs is finished.
            self.log.error(f"{self._places.directory}: somebody removed the pool's files; it starts anew")
            return self.stop(1)
        self.call_later(REPAIR_TICK, self._tick)
        rows = [row for worker in self._workers.values() for row in claim_rows(worker)]
        for token in self._repair.tick(self._fifo.is_empty(), rows):
            self._fifo.try_write(token)
