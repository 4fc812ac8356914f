"""The master of one pool: hears its workers, its parent and the operator, and puts the rooms together.

Owns the pool's sockets and its control socket, and the order of a start, a reload and a stop. Never imports
the application, and takes nothing a worker says for more than a word about that worker.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

from trivet_backend.births import Births
from trivet_backend.boards import what_runs
from trivet_backend.changeover import Changeover
from trivet_backend.crew import Crew
from trivet_backend.dumps import Dumps
from trivet_backend.ending import LONGEST_REASON
from trivet_backend.prepare import PREPARE, Preparation
from trivet_backend.release import Release
from trivet_backend.report import crew_status, queue_status
from trivet_backend.roster import PoolWorker
from trivet_backend.sockets import listen_unix
from trivet_backend.templates import TEMPLATE, Templates
from trivet_backend.tick import TICK, Tick
from trivet_common.asking import is_listening
from trivet_common.binding import ListenError
from trivet_common.channel import Channel
from trivet_common.children import Child
from trivet_common.config import Pool, Settings
from trivet_common.control import ControlServer, Reply
from trivet_common.listeners import BoundListener, bind
from trivet_common.logs import ErrorLog
from trivet_common.pool.figures import figures
from trivet_common.pool.idle import IdleFifo
from trivet_common.pool.places import PlaceError, PoolPlaces
from trivet_common.pool.queue_board import read_queue_board
from trivet_common.prefork import Master
from trivet_common.reloads import Source


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
        reload_source: Source[tuple[Pool, Settings]] | None = None,
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
        self._fifo: IdleFifo | None = None
        self._tick: Tick | None = None
        self._shared: list[socket.socket] = []
        self._is_ours = False
        uids = {os.geteuid()} | ({proxy_uid} if proxy_uid is not None else set())
        self._births = Births(
            places,
            self.spawn,
            self.children,
            shared=self._shared,
            uids=frozenset(uids),
            let_go=self._close_ours,
        )
        self._crew = Crew(
            Release(1, pool, settings),
            self._births,
            places,
            log,
            self.call_later,
            is_leaving=self.is_leaving,
            began=self.announce_ready,
            hopeless=self._fail_to_start,
        )
        self._templates = self._births.templates = Templates(
            self._births.start_template,
            log,
            self.call_later,
            changed=self._crew.step,
            failed=lambda release, problem: self._changeover.template_failed(release, problem),
        )
        self._dumps = Dumps(self.call_later, lambda worker: what_runs(worker, places))
        self._preparation = Preparation(self.spawn, log, self.call_later)
        self._changeover = Changeover(
            self._crew,
            self._templates,
            self._preparation,
            is_leaving=self.is_leaving,
            report=self.report_progress,
            hopeless=self._fail_to_start,
        )

    def __repr__(self) -> str:
        return f"<PoolMaster {self.title} {self._crew!r}>"

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
            self._bind(self._crew.release.pool)
        except (PlaceError, ListenError, OSError) as error:
            self._fail_to_start(str(error))
            return
        self._preparation.begin(self._crew.release.pool, self._begin)

    def child_said(self, child: Child, message: bytes) -> None:
        if child.kind == PREPARE:
            return self._preparation.heard(message)
        if child.kind == TEMPLATE:
            return self._templates.heard(child, message)
        worker = self._crew.roster.workers.get(child.index)
        verb, _, carried = message.partition(b" ")
        heard = self._VERBS.get(verb)
        if worker is not None and heard is not None:
            heard(self, worker, carried.decode("utf-8", "replace"))

    def child_exited(self, child: Child, status: int) -> None:
        if child.kind == PREPARE:
            return self._preparation.exited(status)
        if child.kind == TEMPLATE:
            return self._templates.exited(child, status)
        worker = self._crew.roster.workers.get(child.index)
        if worker is not None:
            self._crew.worker_exited(worker, status)
            self._dumps.exited(worker)
            if self._tick is not None:
                self._tick.worker_exited(worker)

    def reload(self, settings: Any, done: Callable[[str | None], None]) -> None:
        pool, site = settings
        if self._tick is None:  # its own prepare may be running
            return done(f"{self.title} is still starting")
        if pool.listen != self._crew.release.pool.listen:
            self.log.warning(f"{pool.where}: listen of a pool changes with the next start, not with a reload")

        def finished(problem: str | None) -> None:
            self.stop_timeout = self._crew.release.settings.stop_timeout
            done(problem)

        self._changeover.begin(pool, site, finished)

    def drain(self) -> None:
        if self._is_ours:
            # No new connection finds pool.sock; what the kernel has accepted for us is still answered.
            self._places.pool_socket.unlink(missing_ok=True)
        if self._crew.takeover is not None:
            self._crew.takeover.end("the pool is stopping")
        for worker in self._crew.roster:
            self._crew.retire(worker)
        self._preparation.stop()
        self._templates.let_go_of_all()

    def status(self) -> dict[str, Any]:
        return {
            **crew_status(self._crew, self._places),
            **self._changeover.status(),
            "pid": os.getpid(),
            "phase": self.phase.name.lower(),
            "queue": queue_status(read_queue_board(self._places.queue_board)),
        }

    def summary(self) -> str:
        return f"{self.phase.name.lower()}; {figures(self._places)}"

    def answer(self, request: dict[str, Any], reply: Reply) -> None:
        if request.get("do") != "dump":
            return super().answer(request, reply)
        number = request.get("worker")
        workers = [worker for worker in self._crew.roster if number in (None, worker.incarnation)]
        if workers:
            self._dumps.ask(workers, reply.finish)
        elif number is None:
            reply.finish({"ok": True, "dumps": {}})
        else:
            reply.finish({"ok": False, "problem": f"there is no worker {number!r:.40}"})

    def reopen(self) -> None:
        """Workers of another user may not open the log again: they are given ours."""
        self.log.reopen()
        for child in self.children:
            if self.log.path and self.log.fileno() >= 0:
                child.hand(b"reopen " + os.fsencode(self.log.path), self.log.fileno())
            else:
                child.tell(b"reopen")

    def more(self) -> None:
        if self._tick is not None:
            self._tick.change_by_hand(1)

    def less(self) -> None:
        if self._tick is not None:
            self._tick.change_by_hand(-1)

    def cleanup(self) -> None:
        for sock in self._shared:
            sock.close()
        if self._fifo is not None:
            self._fifo.close()
        if self._is_ours:
            # The FIFO and the number of the last incarnation stay: whoever comes next adopts them.
            self._places.sweep()

    # ------------------------------------------------------------ the start

    def _bind(self, pool: Pool) -> None:
        places = self._places
        self._shared.append(listen_unix(places.pool_socket, places.group, max(pool.queue.limit, 1)))
        if self._bound is None:
            self._bound = bind(pool.listen, 1).for_process(0)
        self._shared += [bound.socket for bound in self._bound]

    def _begin(self, problem: str | None) -> None:
        if problem is not None and not self.is_leaving():
            self._fail_to_start(problem)
        if self.is_leaving():
            return
        assert self._fifo is not None
        self._tick = Tick(self._crew, self._fifo, self._places, self.log, self.call_later)
        self._crew.step()
        self.call_later(TICK, self._look)

    def _look(self) -> None:
        if self._tick is None or self.is_leaving():
            return
        if self._tick.are_files_gone():
            # Our successor makes everything again; what runs is finished.
            self.log.error(f"{self._places.directory}: somebody removed the pool's files; it starts anew")
            return self.stop(1)
        self.call_later(TICK, self._look)
        self._tick.look()
        self._changeover.keep_templates()

    def _fail_to_start(self, problem: str) -> None:
        self.log.error(f"{self.title} cannot start: {problem}")
        self.tell_parent(b"failed " + problem.encode("utf-8", "replace"))
        self.stop(1)

    def _close_ours(self) -> None:
        """In a child: what is the master's and would only be kept alive by it."""
        if self._fifo is not None:
            self._fifo.close()
        for worker in self._crew.roster:
            if worker.board >= 0:
                os.close(worker.board)

    # ------------------------------------------------------------ what workers say

    def _hear_ready(self, worker: PoolWorker, _text: str) -> None:
        self._crew.worker_ready(worker)

    def _hear_failed(self, worker: PoolWorker, text: str) -> None:
        worker.problem = text[:LONGEST_REASON]

    def _hear_tired(self, worker: PoolWorker, why: str) -> None:
        self._crew.worker_tired(worker, why)

    def _hear_late(self, worker: PoolWorker, text: str) -> None:
        self._crew.worker_late(worker, text.rpartition(" ")[2])

    def _hear_dumped(self, worker: PoolWorker, text: str) -> None:
        self._dumps.heard(worker, text)

    _VERBS = {
        b"ready": _hear_ready,
        b"failed": _hear_failed,
        b"tired": _hear_tired,
        b"late": _hear_late,
        b"dumped": _hear_dumped,
    }
