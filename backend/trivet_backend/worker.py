"""One worker: a forked process that becomes the pool's user, loads the application and runs its slots.

Owns the order of those steps, signals, and what is said to the master and by it. Knows no HTTP and no claim.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from time import monotonic_ns

import setproctitle

from trivet_backend import offspring
from trivet_backend.application import AppError, WsgiApplication, load_application
from trivet_backend.broken_page import broken_page
from trivet_backend.environ import EnvironBuilder
from trivet_backend.file_wrapper import FileWrapper
from trivet_backend.hooks import HookError, call_hook
from trivet_backend.interrupt import Alarm
from trivet_backend.limits import Trust, slot_limits
from trivet_backend.place import Place
from trivet_backend.prctl import wake_with
from trivet_backend.privileges import DropError, become, find_identity
from trivet_backend.readiness import why_not_ready
from trivet_backend.slot import Slot
from trivet_backend.stacks import all_stacks
from trivet_backend.streams import WorkerLog, WorkerStream
from trivet_backend.watchdog import Duties, Watchdog
from trivet_backend.wear import wears
from trivet_common.channel import Channel, ChannelClosed
from trivet_common.config import Pool, Settings
from trivet_common.pool.board import SINCE
from trivet_common.pool.places import PoolPlaces
from trivet_common.prefork import ORPHAN_GRACE

# Connections of proxies that hold our token at the same moment: few, but a restart of all at once is a burst.
_BACKLOG = 64


class Worker:
    """The process. `run` returns its exit status."""

    def __init__(
        self,
        pool: Pool,
        settings: Settings,
        places: PoolPlaces,
        place: Place,
        channel: Channel,
        *,
        shared: Sequence[socket.socket],
        uids: frozenset[int],
        application: WsgiApplication | None,
        ready: str | None,
        log: WorkerLog | None,
    ) -> None:
        # For the process.
        self._pool = pool
        self._settings = settings
        self._places = places
        self._place = place
        self._incarnation = incarnation = place.incarnation
        self._channel = channel
        self._shared = shared
        self._uids = uids
        self._application = application
        self._ready = ready
        self._log = log or WorkerLog(settings, "")
        self._log.who = f"{pool.name} w{incarnation}"
        self._slots: list[Slot] = []
        self._is_leaving = False
        self._is_told_to_quit = False
        self._is_tired = False
        self._wears: list[Callable[[], bool]] = []
        self._moved = threading.Event()  # a slot ended, or will not
        self._watchdog = Watchdog(
            channel,
            self._log,
            Duties(self._hear, self._late, self._stuck, self._die),
            kill_grace=pool.kill_grace,
            orphan_grace=ORPHAN_GRACE,
        )

    def __repr__(self) -> str:
        return f"<Worker {self._pool.name} w{self._incarnation} slots={len(self._slots)}>"

    def run(self) -> int:
        setproctitle.setproctitle(f"trivet: worker {self._pool.name} {self._incarnation} ({self._pool.app})")
        self._quiet_signals()
        sys.stdout = WorkerStream(self._log.info)
        sys.stderr = WorkerStream(self._log.error)
        try:
            self._make_slots(self._begin())
        except (AppError, DropError, HookError, NotReady, OSError) as error:
            self._tell(b"failed " + str(error).encode("utf-8", "replace"))
            return 1
        # What is loaded stays: the collector need not look at it, nor dirty the pages shared with siblings.
        gc.collect()
        gc.freeze()
        offspring.watch(self._let_go)
        signal.signal(signal.SIGTERM, lambda *_: self._retire())
        self._watchdog.watch([slot.alarm for slot in self._slots])
        self._tell(b"ready")
        if self._is_leaving:
            self._retire()  # said while there were no slots
        if self._is_told_to_quit:
            return 0
        if self._pool.threads == 1:
            self._slots[0].run()
        else:
            self._run_threads()
        self._end()
        return 0

    # ------------------------------------------------------------ before the first request

    def _quiet_signals(self) -> None:
        # Handlers that do nothing, not SIG_IGN: programs that an application starts would inherit that.
        for signum in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1):
            signal.signal(signum, lambda *_: None)

    def _begin(self) -> WsgiApplication:
        """The application, loaded by the user who runs it. One from a template came with both."""
        application, pool = self._application, self._pool
        if application is None:
            identity = find_identity(pool.user, pool.group)
            if identity is not None:
                become(identity)
        wake_with(os.getppid())
        # From here on somebody hears the master, however long the application is being imported.
        self._watchdog.start()
        if application is None:
            os.environ.update(pool.env)
            application = self._load()
        call_hook("post_fork", pool.post_fork)
        return application

    def _load(self) -> WsgiApplication:
        try:
            return load_application(self._pool)
        except AppError as error:
            if not self._pool.is_development:
                raise
            self._log.error(str(error))
            return broken_page(error)

    def _make_slots(self, application: WsgiApplication) -> None:
        environs = EnvironBuilder(
            errors=sys.stderr,
            threads=self._pool.threads,
            workers=self._pool.workers.max,
            file_wrapper=FileWrapper,
            is_proxy=self._settings.trusted_proxies.trusts,
            client_ip=self._settings.client_ip,
        )
        if self._ready is not None and not self._pool.is_development:
            problem = why_not_ready(application, environs, self._ready)
            if problem is not None:
                raise NotReady(problem)
        trust = Trust(self._uids | {os.geteuid()}, self._settings.trusted_proxies.trusts)
        pool, limits = self._pool, slot_limits(self._settings, self._pool)
        # Now that it is ready to serve: what it holds from here on is growth.
        self._wears = wears(pool.max_requests, pool.max_memory, tire=self._tire, warn=self._log.warning)
        for index, listener in enumerate(self._place.listeners):
            listener.listen(_BACKLOG)
            row = self._place.board.slot(index)
            is_by_signal = self._pool.threads == 1  # it is the main thread, which signals wake
            slot = Slot(
                index,
                self._incarnation,
                row=row,
                alarm=Alarm(row, f"w{self._incarnation}.{index}", self._watchdog, is_by_signal=is_by_signal),
                fifo=self._place.fifo,
                listener=listener,
                shared=self._shared,
                application=application,
                environs=environs,
                limits=limits,
                trust=trust,
                log=self._log,
                wear=self._wear if self._wears else None,
            )
            self._slots.append(slot)

    # ------------------------------------------------------------ serving

    def _run_threads(self) -> None:
        """The main thread runs no requests: it waits for the slots to be gone, those that can be."""
        threads = {
            slot: threading.Thread(
                target=self._run_slot, args=(slot,), name=f"slot-{slot.index}", daemon=True
            )
            for slot in self._slots
        }
        for thread in threads.values():
            thread.start()
        while not self._is_told_to_quit and any(
            thread.is_alive() and not self._watchdog.is_stuck(slot.alarm) for slot, thread in threads.items()
        ):
            self._moved.wait(1)
            self._moved.clear()

    def _run_slot(self, slot: Slot) -> None:
        try:
            slot.run()
        except BaseException:
            self._log.error(f"slot {slot.index} ended: {traceback.format_exc()}")
        self._retire()  # a worker with a slot less would be a pool that shrinks in silence
        self._moved.set()

    def _end(self) -> None:
        try:
            call_hook("worker_exit", self._pool.worker_exit)
        except HookError as error:
            self._log.error(str(error))
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, WorkerStream):
                stream.end_line()
        self._log.flush()

    # ------------------------------------------------------------ in the watchdog's thread

    def _hear(self, message: bytes | None, fds: list[int]) -> None:
        if message is None:
            # Finish and leave, so that its successor finds the place free.
            self._log.warning("the pool master is gone: leaving")
            self._retire()
        elif message in (b"drain", b"retire"):
            self._retire()
        elif message == b"quit":
            self._is_told_to_quit = True
            for slot in self._slots:
                slot.leave()
            self._moved.set()
        elif message == b"reopen":
            self._log.reopen()
        elif message.startswith(b"reopen ") and fds:  # as another user we may not open it ourselves
            self._log.take(fds[0], os.fsdecode(message[7:]))
        elif message == b"dump":
            self._tell(b"dumped " + self._dump().encode("utf-8", "replace"))

    def _late(self, request: str) -> None:
        self._tell(b"late " + request.encode("latin-1", "replace"))
        if self._pool.after_timeout == "replace":
            self._tire(b"timeout")

    def _stuck(self, alarm: Alarm) -> None:
        """A thread that cannot be interrupted: the others finish, and then all leave. One alone is killed."""
        self._log.error(f"{alarm.row.shown()}: deadline: it has not ended in {self._pool.kill_grace:g} s")
        self._tire(b"timeout")
        if self._pool.threads > 1:
            self._retire()
            self._moved.set()

    def _die(self) -> None:
        self._log.warning(f"the pool master has been gone for {ORPHAN_GRACE:g} s: what still runs ends here")
        os._exit(1)

    def _dump(self) -> str:
        """Of whoever may have something to tell: not ourselves, nor a main thread that only waits."""
        now = monotonic_ns()
        alarms = [slot.alarm for slot in self._slots]
        names = {alarm.thread: f"{alarm.name} {alarm.row.doing(now)}" for alarm in alarms}
        idle = {alarm.thread for alarm in alarms if not alarm.row.words[SINCE]}
        hidden = {threading.get_ident()}
        if len(names) > 1:
            hidden.add(threading.main_thread().ident or 0)
        return all_stacks(names, idle=idle, hidden=hidden)

    # ------------------------------------------------------------ anywhere

    def _wear(self) -> None:
        """After a request of any slot."""
        for is_worn_out in self._wears:
            if is_worn_out():
                for slot in self._slots:
                    slot.spend()

    def _tire(self, why: bytes) -> None:
        """Ask for a successor, once; until the master says more, work goes on."""
        if not self._is_tired:
            self._is_tired = True
            self._tell(b"tired " + why)

    def _retire(self) -> None:
        self._is_leaving = True
        for slot in self._slots:
            slot.ask_to_retire()

    def _let_go(self) -> None:
        """In a process that the application forked."""
        for slot in self._slots:
            slot.let_go()
        self._watchdog.let_go()
        self._place.fifo.close()
        self._channel.close()
        self._log.begin_anew()
        # TERM would ask for slots that are not its own to retire; it means the process itself.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _tell(self, message: bytes) -> None:
        try:
            self._channel.send(message)
        except ChannelClosed:
            pass  # noticed by whoever reads it


class NotReady(Exception):
    """The ready check failed; the text says how."""


def run_worker(
    pool: Pool,
    settings: Settings,
    places: PoolPlaces,
    place: Place,
    channel: Channel,
    *,
    shared: Sequence[socket.socket] = (),
    uids: frozenset[int] = frozenset(),
    application: WsgiApplication | None = None,
    ready: str | None = None,
    log: WorkerLog | None = None,
) -> int:
    """Be a worker, in a process forked for it and for this place.

    `shared`: pool.sock and the pool's TCP listeners. `uids`: whose claims are believed besides our own.
    `application` and `log`: of a template, which has become the pool's user too, who may not open the log.
    `ready`: a path it must answer first.
    """
    return Worker(
        pool,
        settings,
        places,
        place,
        channel,
        shared=shared,
        uids=uids,
        application=application,
        ready=ready,
        log=log,
    ).run()
