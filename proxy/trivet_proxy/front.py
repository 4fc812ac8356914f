"""One proxy process: accepts connections, obeys its master, and leaves when both have ended.

Owns the process's tasks. Knows no HTTP. Only the master's word, the master's death or TERM ends the process.
"""

import errno
import signal
import traceback
from collections.abc import Awaitable, Callable

import trio
from trio.lowlevel import wait_readable

from trivet_common.channel import Channel, ChannelClosed
from trivet_common.config import Settings
from trivet_common.listeners import BoundListener, Listeners
from trivet_common.log_target import LogError
from trivet_common.logs import ErrorLog
from trivet_common.pool.places import RunDir
from trivet_common.prefork import ORPHAN_GRACE

from . import garbage, unraisable
from .access_logs import open_access_logs
from .clients import Clients
from .complaints import Complaints
from .doors import Doors, tell_problems
from .front_board import FrontRow
from .reception import Reception
from .resources import Resources
from .site import SiteError, build_site
from .standings import Bulletin
from .succession import Succession

# Accepted from one wake-up of a socket that is ours alone: 0.6 ms (64 took 2.5), at no higher cost in all.
_BATCH = 16
_BACKLOG_AT_MOST = 4096  # what is taken from the backlog in one go when we leave
_SHOW = 0.25  # seconds between two looks at what the board should show
_FLUSH = 1.0
# Out of descriptors: seconds until the next try, and how many idle connections make room.
_PAUSE = 0.1
_MAKE_ROOM = 16
_NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


def run_front(
    index: int,
    count: int,
    settings: Settings,
    listeners: Listeners,
    channel: Channel,
    error_log: ErrorLog,
    doors: Doors | None = None,
) -> int:
    """Process `index` of `count`, from its fork to its exit status. `settings.run_dir` is set.

    Takes all listeners: a copy of another process's socket would keep it open after that one has left.
    """
    for signum in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(signum, signal.SIG_IGN)  # sent to a whole group: the master decides what they mean
    error_log.who = f"proxy {index}"
    unraisable.report_to(Complaints(error_log.warning))
    try:
        return trio.run(Front(index, count, settings, listeners, channel, error_log, doors).run)
    except (SiteError, LogError, OSError) as error:
        try:
            channel.send(b"failed " + str(error).encode())
        except ChannelClosed:
            error_log.error(str(error))
        return 1


class Front:
    """The process. `run()` returns its exit status."""

    def __init__(
        self,
        index: int,
        count: int,
        settings: Settings,
        listeners: Listeners,
        channel: Channel,
        error_log: ErrorLog,
        doors: Doors | None = None,
    ) -> None:
        """Raises LogError, OSError. `doors`: those the master has made for all processes."""
        # for the process
        self._index = index
        self._count = count
        self._listeners = listeners
        self._channel = channel
        self._error_log = error_log
        self._complaints = Complaints(error_log.warning)
        self._doors = Doors(settings.listen) if doors is None else doors
        assert settings.run_dir is not None, "the master says where the run directory is"
        self._lent: dict[int, trio.CancelScope] = {}  # a sibling's sockets, by its index
        self._row = FrontRow(RunDir(settings.run_dir).front_board, index)
        # for the settings
        self._settings = settings
        self._access_logs = open_access_logs(settings)

    def __repr__(self) -> str:
        return f"<Front {self._index} of {self._count}, {self._clients!r}>"

    async def run(self) -> int:
        """Raises SiteError."""
        try:
            async with trio.open_nursery() as self._nursery:
                self._resources = resources = self._gather()
                site = build_site(self._settings, resources, is_forgiving=True)
                site.begin()
                self._clients = Clients(site, resources.connections, resources.per_client)
                del site  # this frame outlives it: what it holds would be held after every reload
                self._reception = Reception(
                    self._nursery, resources, self._clients, self._complaints, self._doors
                )
                self._succession = Succession(resources, self._doors, self._say)
                self._accepting = trio.CancelScope()
                for task in (
                    resources.deadlines.run,
                    self._obey,
                    self._obey_signals,
                    self._show,
                    self._flush,
                    self._watch_doors,
                ):
                    self._nursery.start_soon(self._keep, task)
                garbage.begin()
                self._say(b"ready")
                await self._accept()
                await self._clients.wait_until_empty()
                self._nursery.cancel_scope.cancel()
        finally:
            self._row.clear()
            self._resources.access_logs.close()
        return 0

    def _gather(self) -> Resources:
        return Resources(
            self._settings, index=self._index, count=self._count, nursery=self._nursery,
            access_logs=self._access_logs, error_log=self._error_log, account=self._row,
        )  # fmt: skip

    # Clients.

    async def _accept(self) -> None:
        """Until we leave; then once more, since the kernel has accepted what waits in the backlog."""
        own = self._listeners.for_process(self._index)
        with self._accepting:
            async with trio.open_nursery() as nursery:
                for listener in own:
                    nursery.start_soon(self._keep, self._accept_on, listener)
        for listener in own:
            for _ in range(_BACKLOG_AT_MOST):
                if not await self._is_accepted(listener):
                    break
        self._listeners.close()
        self._say(b"closed")

    async def _accept_for(self, index: int, until: trio.CancelScope) -> None:
        """Serve what is a sibling's alone until it can do so itself."""
        lent = [one for one in self._listeners.for_process(index) if not one.is_shared]
        with until:
            async with trio.open_nursery() as nursery:
                for listener in lent:
                    nursery.start_soon(self._keep, self._accept_on, listener)

    def _adopt(self, index: int) -> None:
        if not self._resources.is_draining:
            self._return(index)
            self._lent[index] = trio.CancelScope()
            self._nursery.start_soon(self._accept_for, index, self._lent[index])

    def _return(self, index: int) -> None:
        scope = self._lent.pop(index, None)
        if scope is not None:
            scope.cancel()

    async def _accept_on(self, listener: BoundListener) -> None:
        batch = 1 if listener.is_shared else _BATCH
        while True:
            try:
                await wait_readable(listener.socket)
            except OSError as error:  # out of memory for it, or of fs.epoll.max_user_watches
                await self._make_room(error)
                continue
            for accepted in range(batch):
                if self._clients.is_full:
                    if accepted:
                        break  # whether one more waits is not known: no idle one is closed for nobody
                    await self._clients.wait_for_room()
                if not await self._is_accepted(listener):
                    break

    async def _is_accepted(self, listener: BoundListener) -> bool:
        """Take one connection from the backlog; False when that is enough for now."""
        try:
            sock, address = listener.socket.accept()
            self._reception.receive(sock, address, listener)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in _NO_DESCRIPTORS:
                await self._make_room(error)
                return False
            return True  # one that was over before it began (accept(2): as EAGAIN, try again)
        return True

    async def _make_room(self, error: OSError) -> None:
        closed = self._clients.close_idle(_MAKE_ROOM, "overloaded")
        self._complaints.say(
            "accept", f"no new connection can be accepted ({error.strerror}); {closed} idle ones closed"
        )
        await trio.sleep(_PAUSE)

    # The master.

    async def _obey(self) -> None:
        while True:
            await wait_readable(self._channel.fileno())
            try:
                while (message := self._channel.receive()) is not None:
                    self._act(message)
            except ChannelClosed:
                self._error_log.warning("the master is gone: leaving")
                self._leave(ORPHAN_GRACE)
                return

    def _act(self, message: bytes) -> None:
        verb, _, carried = message.partition(b" ")
        match verb:
            case b"reload":
                self._succession.begin(carried)
            case b"switch":
                self._switch()
            case b"drop":
                self._succession.drop()
            case b"drain":
                self._leave(self._settings.stop_timeout)
            case b"quit":
                self._nursery.cancel_scope.cancel()
            case b"reopen":
                self._reopen()
            case b"adopt":
                self._adopt(int(carried))
            case b"return":
                self._return(int(carried))

    async def _obey_signals(self) -> None:
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _ in signals:
                self._leave(self._settings.stop_timeout)

    def _leave(self, seconds: float) -> None:
        """Accept no more, finish what was begun, be gone in so many seconds; the shortest time holds."""
        self._resources.is_draining = True
        self._clients.close_idle(self._clients.connections, "draining")
        self._accepting.cancel()
        for index in list(self._lent):
            self._return(index)
        scope = self._nursery.cancel_scope
        scope.deadline = min(scope.deadline, trio.current_time() + seconds)

    def _switch(self) -> None:
        site = self._succession.switch()
        if site is not None:
            self._settings = site.settings
            self._clients.site = site
            self._clients.set_most(self._resources.connections, self._resources.per_client)

    def _reopen(self) -> None:
        self._error_log.reopen()
        self._resources.access_logs.reopen(self._error_log.error)

    def _say(self, message: bytes) -> None:
        try:
            self._channel.send(message)
        except ChannelClosed:
            pass  # the end of file is on its way

    # Housekeeping.

    async def _keep(self, task: Callable[..., Awaitable[None]], *args: object) -> None:
        """A task of the process goes on after whatever happens in it."""
        while True:
            try:
                return await task(*args)
            except Exception:
                self._complaints.say(repr(task), traceback.format_exc())
                await trio.sleep(1.0)

    async def _watch_doors(self) -> None:
        await self._doors.watch(lambda problems: self._say(b"doors " + tell_problems(problems)))

    async def _show(self) -> None:
        bulletin = Bulletin(lambda text: self._say(b"upstreams " + text))
        while True:
            bulletin.look(self._resources.upstreams.values())
            queues = [dispatch.queue for dispatch in self._resources.dispatches.values()]
            since = [queue.oldest_since for queue in queues if queue.waiting]
            oldest = min((at for at in since if at is not None), default=0.0)
            clients = self._clients
            self._row.show(
                sum(queue.waiting for queue in queues),
                int(oldest * 1e9),
                clients.connections,
                clients.idle,
                clients.requests,
            )
            await trio.sleep(_SHOW)

    async def _flush(self) -> None:
        while True:
            await trio.sleep(_FLUSH)
            garbage.look(self._clients.connections)
            self._error_log.flush()
            self._resources.access_logs.flush(self._error_log.warning)
