"""One worker: a forked process that becomes the pool's user, loads the application and runs its slots.

Owns the order of those steps, signals, and the channel to the master. Knows no HTTP and no claim.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Sequence

import setproctitle

from trivet_backend import offspring
from trivet_backend.application import AppError, WsgiApplication, load_application
from trivet_backend.environ import EnvironBuilder
from trivet_backend.file_wrapper import FileWrapper
from trivet_backend.limits import SlotLimits, Trust
from trivet_backend.place import Place
from trivet_backend.privileges import DropError, become, find_identity
from trivet_backend.slot import Slot
from trivet_backend.streams import WorkerLog, WorkerStream
from trivet_common.channel import Channel, ChannelClosed
from trivet_common.config import Pool, Settings
from trivet_common.http1.collector import HeadLimits
from trivet_common.pool.places import PoolPlaces
from trivet_common.prefork import ORPHAN_GRACE

# Connections of proxies that hold our token at the same moment: few, but a restart of all at once is a burst.
_BACKLOG = 64
# Our proxy adds fields of its own (claim, forwarding) to a head that just fits its limits.
_ROOM_BYTES, _ROOM_FIELDS = 16 * 1024, 32


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
        self._log = WorkerLog(settings, f"{pool.name} w{incarnation}")
        self._slots: list[Slot] = []
        self._is_leaving = False
        self._is_told_to_quit = False

    def __repr__(self) -> str:
        return f"<Worker {self._pool.name} w{self._incarnation} slots={len(self._slots)}>"

    def run(self) -> int:
        setproctitle.setproctitle(f"trivet: worker {self._pool.name} {self._incarnation} ({self._pool.app})")
        self._quiet_signals()
        sys.stdout = WorkerStream(self._log.info)
        sys.stderr = WorkerStream(self._log.error)
        try:
            self._drop()
            threading.Thread(target=self._leave_with_master, name="life", daemon=True).start()
            os.environ.update(self._pool.env)
            application = load_application(self._pool)
        except (AppError, DropError, OSError) as error:
            self._tell(b"failed " + str(error).encode("utf-8", "replace"))
            return 1
        for listener in self._place.listeners:
            listener.listen(_BACKLOG)
        self._make_slots(application)
        # What is loaded stays: the collector need not look at it, nor dirty the pages shared with siblings.
        gc.collect()
        gc.freeze()
        offspring.watch(self._let_go)
        signal.signal(signal.SIGTERM, lambda *_: self._retire())
        self._tell(b"ready")
        if self._pool.threads == 1:
            self._run_here()
        else:
            self._run_threads()
        self._end_lines()
        return 0

    # ------------------------------------------------------------ before the first request

    def _quiet_signals(self) -> None:
        # Handlers that do nothing, not SIG_IGN: programs that an application starts would inherit that.
        for signum in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1):
            signal.signal(signum, lambda *_: None)

    def _drop(self) -> None:
        identity = find_identity(self._pool.user, self._pool.group)
        if identity is not None:
            become(identity)

    def _make_slots(self, application: WsgiApplication) -> None:
        environs = EnvironBuilder(
            errors=sys.stderr,
            threads=self._pool.threads,
            workers=self._pool.workers.max,
            file_wrapper=FileWrapper,
            is_proxy=self._settings.trusted_proxies.trusts,
            client_ip=self._settings.client_ip,
        )
        trust = Trust(self._uids | {os.geteuid()}, self._settings.trusted_proxies.trusts)
        for index, listener in enumerate(self._place.listeners):
            slot = Slot(
                index,
                self._incarnation,
                row=self._place.board.slot(index),
                fifo=self._place.fifo,
                listener=listener,
                shared=self._shared,
                application=application,
                environs=environs,
                limits=slot_limits(self._settings),
                trust=trust,
                log=self._log,
            )
            self._slots.append(slot)

    # ------------------------------------------------------------ serving

    def _run_here(self) -> None:
        """One thread: the channel is one more thing its slot looks at between requests."""
        slot = self._slots[0]
        slot.watch(self._channel.fileno(), self._hear)
        slot.run()

    def _run_threads(self) -> None:
        """The main thread runs no requests: it waits for the master, and for the slots to be gone."""
        threads = [
            threading.Thread(target=self._run_slot, args=(slot,), name=f"slot-{slot.index}", daemon=True)
            for slot in self._slots
        ]
        for thread in threads:
            thread.start()
        poll = select.poll()
        poll.register(self._channel.fileno(), select.POLLIN)
        while not self._is_told_to_quit and any(thread.is_alive() for thread in threads):
            # A second at most: SIGTERM and a slot that ended do not make the channel readable.
            for fd, _ in poll.poll(100 if self._is_leaving else 1000):
                self._hear()
                if self._channel.fileno() < 0:
                    poll.unregister(fd)

    def _run_slot(self, slot: Slot) -> None:
        try:
            slot.run()
        except BaseException:
            self._log.error(f"slot {slot.index} ended: {traceback.format_exc()}")
        self._retire()  # a worker with a slot less would be a pool that shrinks in silence

    def _hear(self) -> None:
        try:
            message = self._channel.receive()
        except ChannelClosed:
            # The master is gone: finish and leave, so that its successor finds the place free.
            self._log.warning("the pool master is gone: leaving")
            self._forget_channel()
            self._retire()
            return
        if message in (b"drain", b"retire"):
            self._retire()
        elif message == b"quit":
            self._is_told_to_quit = True
            for slot in self._slots:
                slot.leave()
        elif message == b"reopen":
            self._log.reopen()

    def _leave_with_master(self) -> None:
        """In a thread that works while the application blocks, or is still being imported."""
        poll = select.poll()
        # Not POLLIN: messages are for whoever hears them between requests.
        poll.register(self._channel.fileno(), select.POLLRDHUP)
        poll.poll()
        time.sleep(ORPHAN_GRACE)
        self._log.warning(f"the pool master has been gone for {ORPHAN_GRACE:g} s: what still runs ends here")
        os._exit(1)

    def _forget_channel(self) -> None:
        fd = self._channel.fileno()
        if self._pool.threads == 1:
            self._slots[0].unwatch(fd)
        self._channel.close()

    def _retire(self) -> None:
        self._is_leaving = True
        for slot in self._slots:
            slot.ask_to_retire()

    def _let_go(self) -> None:
        """In a process that the application forked."""
        for slot in self._slots:
            slot.let_go()
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

    def _end_lines(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, WorkerStream):
                stream.end_line()
        self._log.flush()


def run_worker(
    pool: Pool,
    settings: Settings,
    places: PoolPlaces,
    place: Place,
    channel: Channel,
    *,
    shared: Sequence[socket.socket] = (),
    uids: frozenset[int] = frozenset(),
) -> int:
    """Be a worker, in a process forked for it and for this place.

    `shared`: pool.sock and the pool's TCP listeners. `uids`: whose claims are believed besides our own.
    """
    return Worker(pool, settings, places, place, channel, shared=shared, uids=uids).run()


def slot_limits(settings: Settings) -> SlotLimits:
    limits = settings.limits
    return SlotLimits(
        head=HeadLimits(limits.header_bytes + _ROOM_BYTES, limits.headers + _ROOM_FIELDS),
        body=limits.body,
        header_timeout=limits.header_timeout,
        body_timeout=limits.body_timeout,
        body_rate=limits.body_rate,
        write_timeout=limits.write_timeout,
        spool_memory=settings.spool.memory,
        spool_directory=settings.spool.dir,
    )
