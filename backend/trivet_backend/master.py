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

from trivet_backend.prepare import run_prepare
from trivet_backend.roster import (
    PoolWorker,
    Seat,
    WorkerState,
    claim_rows,
    last_words,
    manner,
    worker_status,
)
from trivet_backend.worker import run_worker
from trivet_common.channel import Channel, ChannelClosed
from trivet_common.config import Listen, Pool, Settings
from trivet_common.control import ControlServer
from trivet_common.listeners import BoundListener, ListenError, bind
from trivet_common.logs import ErrorLog
from trivet_common.pool.claims import Repair
from trivet_common.pool.idle import IdleFifo
from trivet_common.pool.places import PlaceError, PoolPlaces
from trivet_common.prefork import Child, Master, Pause

# How often lost tokens are looked for (s); DESIGN section 3 gives the rule.
REPAIR_TICK = 0.2
_WORKER, _PREPARE = "worker", "prepare"


class Reload:
    """A release that is taking over: one new worker at a time, each before an old one leaves."""

    __slots__ = ("done", "leaving", "newcomer", "pool", "seats", "settings")

    def __init__(
        self, pool: Pool, settings: Settings, seats: list[Seat], done: Callable[[str | None], None]
    ) -> None:
        self.pool = pool
        self.settings = settings
        self.seats = seats  # those still to be replaced
        self.done = done
        self.newcomer: PoolWorker | None = None
        self.leaving: PoolWorker | None = None  # whom the last newcomer replaced

    def __repr__(self) -> str:
        return f"<Reload of {self.pool.name}, {len(self.seats)} to go>"


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
        # For the process.
        self._places = places
        self._bound = listeners
        self._uids = frozenset({os.geteuid()} | ({proxy_uid} if proxy_uid is not None else set()))
        self._fifo: IdleFifo | None = None
        self._shared: list[socket.socket] = []
        self._repair = Repair()
        self._restarts = 0
        self._was_ready = False
        self._last_reload_problem: str | None = None
        # For the release.
        self._pool = pool
        self._settings = settings
        self._seats = [Seat(index) for index in range(pool.workers)]
        self._workers: dict[int, PoolWorker] = {}  # by incarnation, those that leave too
        self._reload: Reload | None = None
        self._after_prepare: Callable[[str | None], None] | None = None
        self._prepare_problem = ""

    def __repr__(self) -> str:
        return f"<PoolMaster {self._pool.name} workers={len(self._workers)} restarts={self._restarts}>"

    # ------------------------------------------------------------ what prefork.Master asks

    def start(self) -> None:
        try:
            self._places.create()
            self._places.sweep()  # what a killed run left; its board and sockets name nobody any more
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
        self._places.remove_incarnation(worker.incarnation)
        if self._reload is not None and worker is self._reload.newcomer:
            self._end_reload(worker.problem or f"the new worker {manner(status)} before it was ready")
        elif worker.seat.worker is worker:
            worker.seat.worker = None
            self._fill_again(worker)
        elif self._reload is not None and worker is self._reload.leaving:
            self._replace_next()

    def reload(self, settings: Any, done: Callable[[str | None], None]) -> None:
        pool, site = settings
        if pool.listen != self._pool.listen:
            self.log.warning(f"{pool.where}: listen of a pool changes with the next start, not with a reload")

        def prepared(problem: str | None) -> None:
            if problem is not None:
                self._finished_reload(problem, done)
                return
            self._reload = Reload(pool, site, self._seats[: pool.workers], done)
            self._replace_next()

        self._prepare(pool, prepared)

    def drain(self) -> None:
        # No new connection finds pool.sock; what is in the kernel's hands already is still answered.
        self._places.pool_socket.unlink(missing_ok=True)
        self._end_reload("the pool is stopping")
        for worker in self._workers.values():
            worker.child.tell(b"retire")
            if worker.state is WorkerState.STARTING:
                worker.child.kill(
                    signal.SIGTERM
                )  # it may import for a minute, and nobody would ask it anything

    def status(self) -> dict[str, Any]:
        workers = [worker_status(worker, self._places) for _, worker in sorted(self._workers.items())]
        return {
            "pool": self._pool.name,
            "app": self._pool.app,
            "pid": os.getpid(),
            "phase": self.phase.name.lower(),
            "wanted": self._pool.workers,
            "threads": self._pool.threads,
            "ready": sum(w.state is WorkerState.READY for w in self._workers.values()),
            "restarts": self._restarts,
            "reloading": self._reload is not None,
            "last_reload_problem": self._last_reload_problem,
            "workers": workers,
        }

    def cleanup(self) -> None:
        for sock in self._shared:
            sock.close()
        if self._fifo is not None:
            self._fifo.close()
        # The FIFO and the number of the last incarnation stay: whoever comes next adopts them.
        self._places.sweep()

    # ------------------------------------------------------------ the start

    def _bind(self) -> None:
        place = self._places.pool_socket
        mode = 0o600 if self._places.group is None else 0o660
        fresh = place.with_name(f".{place.name}.new")
        fresh.unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._shared.append(sock)
        sock.setblocking(False)
        before = os.umask(0o777 & ~mode)
        try:
            sock.bind(os.fspath(fresh))
        finally:
            os.umask(before)
        if self._places.group is not None:
            os.chown(fresh, -1, self._places.group)
        sock.listen(max(self._pool.queue.limit, 1))
        os.rename(fresh, place)
        if self._bound is None:
            listens: tuple[Listen, ...] = self._pool.listen
            self._bound = bind(listens, 1).for_process(0)
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
        self._tell_parent(b"failed " + problem.encode("utf-8", "replace"))
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
        if then is None or self.is_leaving():
            return
        then(None if status == 0 else self._prepare_problem or f"prepare {manner(status)}")

    # ------------------------------------------------------------ workers

    def _fill(self, seat: Seat) -> None:
        if not self.is_leaving() and seat.worker is None and seat in self._seats:
            seat.worker = self._spawn_worker(seat, self._pool, self._settings)

    def _spawn_worker(self, seat: Seat, pool: Pool, settings: Settings) -> PoolWorker:
        incarnation = self._places.next_incarnation()

        def be_worker(channel: Channel) -> int:
            self._close_ours()
            return run_worker(
                pool,
                settings,
                self._places,
                incarnation,
                channel,
                shared=self._shared,
                uids=self._uids,
            )

        child = self.spawn(_WORKER, incarnation, be_worker)
        worker = self._workers[incarnation] = PoolWorker(child, incarnation, seat, pool.threads)
        return worker

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
            self._tell_parent(b"ready")
        if self._reload is not None and worker is self._reload.newcomer:
            self._take_over(worker)

    def _note_exit(self, worker: PoolWorker, status: int) -> None:
        name = f"worker {worker.incarnation} (pid {worker.child.pid})"
        if worker.problem:
            self.log.error(f"{name} could not start: {worker.problem}")
        elif status or not (worker.state is WorkerState.RETIRING or self.is_leaving()):
            self.log.error(f"{name} {manner(status)}{last_words(worker, self._places)}")

    def _fill_again(self, worker: PoolWorker) -> None:
        if self.is_leaving():
            return
        if worker.problem and not self._was_ready:
            # At the start a broken application is an error to be seen, not something to try for ever.
            self._fail_to_start(worker.problem)
            return
        seat = worker.seat
        pause = seat.pause.after(time.monotonic() - worker.started)
        self._restarts += 1
        if pause:
            self.call_later(pause, lambda: self._fill(seat))
        else:
            self._fill(seat)

    def _retire(self, worker: PoolWorker) -> None:
        worker.state = WorkerState.RETIRING
        worker.child.tell(b"retire")

        def insist() -> None:
            if worker.incarnation in self._workers:
                self.log.warning(
                    f"worker {worker.incarnation} did not leave in {self.stop_timeout:g} s: killed"
                )
                worker.child.kill()

        self.call_later(self.stop_timeout, insist)

    # ------------------------------------------------------------ reload

    def _replace_next(self) -> None:
        """Start a worker of the new release for the next seat, or end the reload."""
        reload = self._reload
        if reload is None or self.is_leaving():
            return
        if not reload.seats:
            self._resize()
            self._end_reload(None)
            return
        newcomer = self._spawn_worker(reload.seats[0], reload.pool, reload.settings)
        reload.newcomer = newcomer

        def insist() -> None:
            if reload.newcomer is newcomer and self._reload is reload:
                self._end_reload(f"a new worker was not ready within {reload.pool.reload.timeout:g} s")

        self.call_later(reload.pool.reload.timeout, insist)

    def _take_over(self, newcomer: PoolWorker) -> None:
        """The newcomer is ready: from here the release is the new one, and the seat's old worker may go."""
        reload = self._reload
        assert reload is not None
        self._pool, self._settings = reload.pool, reload.settings
        self.stop_timeout = reload.settings.stop_timeout
        seat = reload.seats.pop(0)
        old, seat.worker = seat.worker, newcomer
        seat.pause = Pause()
        reload.newcomer = None
        if old is None:
            self._replace_next()
        else:
            reload.leaving = old
            self._retire(old)  # its exit calls for the next: never more than one worker too many

    def _resize(self) -> None:
        while len(self._seats) > self._pool.workers:
            seat = self._seats.pop()
            if seat.worker is not None:
                self._retire(seat.worker)
                seat.worker = None
        while len(self._seats) < self._pool.workers:
            self._seats.append(Seat(len(self._seats)))
            self._fill(self._seats[-1])

    def _end_reload(self, problem: str | None) -> None:
        reload, self._reload = self._reload, None
        if reload is None:
            return
        newcomer = reload.newcomer
        if newcomer is not None and newcomer.incarnation in self._workers:
            newcomer.state = WorkerState.RETIRING
            newcomer.child.kill(signal.SIGKILL)  # it runs no request: it never announced a slot
        self._finished_reload(problem, reload.done)

    def _finished_reload(self, problem: str | None, done: Callable[[str | None], None]) -> None:
        self._last_reload_problem = problem
        done(problem)

    # ------------------------------------------------------------ repair and sight

    def _tick(self) -> None:
        if self.is_leaving() or self._fifo is None:
            return
        self.call_later(REPAIR_TICK, self._tick)
        rows = [row for worker in self._workers.values() for row in claim_rows(worker)]
        for token in self._repair.tick(self._fifo.is_empty(), rows):
            self._fifo.try_write(token)

    def _tell_parent(self, message: bytes) -> None:
        if self.parent is not None:
            try:
                self.parent.send(message)
            except ChannelClosed:
                pass  # its end of file is on the way
