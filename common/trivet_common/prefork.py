"""A master process: forks children, hears of their deaths, obeys signals, its parent and the operator.

Signal handlers only queue; one loop acts. Knows nothing of what its children do: subclasses say that.
"""

import gc
import heapq
import os
import pickle
import select
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from enum import Enum, auto
from itertools import count
from typing import Any, NoReturn

import setproctitle

from trivet_common.channel import Channel, ChannelClosed
from trivet_common.control import ControlServer, Reply
from trivet_common.logs import ErrorLog

# How long children that were told to leave at once may take before SIGKILL, in seconds.
QUIT_GRACE = 1.0
# How long an orphan may finish what it has begun: all must be gone within 2 s (docs/architecture.md).
ORPHAN_GRACE = 1.5
# A child that lived for less than this died "at once".
AT_ONCE = 1.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_SIGNALS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGCHLD,
)


class Phase(Enum):
    """What the master is about; moves forward only."""

    RUNNING = auto()
    DRAINING = auto()
    QUITTING = auto()


class Child:
    """One forked child, by the pid we forked ourselves."""

    __slots__ = ("channel", "index", "kind", "pid", "started")

    def __init__(self, kind: str, index: int, pid: int, channel: Channel) -> None:
        self.kind = kind
        self.index = index
        self.pid = pid
        self.channel = channel
        self.started = time.monotonic()

    def __repr__(self) -> str:
        return f"<Child {self.kind} {self.index} pid={self.pid}>"

    def tell(self, message: bytes) -> None:
        """Send a message; a child that can no longer be told anything is dying, and its exit says so."""
        try:
            self.channel.send(message)
        except ChannelClosed:
            pass

    def kill(self, signum: int = signal.SIGKILL) -> None:
        # Not reaped yet (reaping removes the Child), so the pid is still ours and cannot be somebody else's.
        try:
            os.kill(self.pid, signum)
        except ProcessLookupError:
            pass


class Pause:
    """The pause before a child that died at once is started again: it grows while none comes to serve."""

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = 0.0

    def after(self, lived: float, has_served: bool = False) -> float:
        """The pause (s) after a child that lived so long (s): 0 if it was a while, else 0.1 doubling to 5.

        Of one that has served, what killed it came from outside and may come often: a pause that grew with
        it would empty the pool (30 s of kill -9 every 70 ms left no worker and no proxy process).
        """
        if lived >= AT_ONCE:
            self.seconds = 0.0
        elif has_served:
            self.seconds = _FIRST_PAUSE
        else:
            self.seconds = min(max(self.seconds * 2, _FIRST_PAUSE), _LONGEST_PAUSE)
        return self.seconds


class Master:
    """The loop. A subclass starts its children in `start` and overrides what it wants to hear.

    `parent` is the channel of the master above (None for the topmost); `reload_source` reads the
    configuration again and returns what `reload` takes, raising an exception whose text is the problem.
    """

    # A master of masters gives them time to kill their own children first.
    quit_grace = QUIT_GRACE

    def __init__(
        self,
        title: str,
        log: ErrorLog,
        *,
        parent: Channel | None = None,
        stop_timeout: float = 25.0,
        reload_source: Callable[[], Any] | None = None,
    ) -> None:
        # for the process
        self.title = title
        self.log = log
        self.parent = parent
        self.stop_timeout = stop_timeout
        self.children: dict[int, Child] = {}
        self.phase = Phase.RUNNING
        self.status_code = 0
        self._created = time.monotonic()
        self._reload_source = reload_source
        self._reloading = False
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._control: ControlServer | None = None
        self._stop_replies: list[Reply] = []

    # ------------------------------------------------------------------ what a subclass says

    def start(self) -> None:
        """Spawn the first children."""

    def child_exited(self, child: Child, status: int) -> None:
        """A child is gone; `status` as os.waitstatus_to_exitcode gives it (negative: the signal)."""

    def child_said(self, child: Child, message: bytes) -> None:
        """A message of a child."""

    def reload(self, settings: Any, done: Callable[[str | None], None]) -> None:
        """Take new settings and call `done` once: with None, or with the problem (and nothing changed)."""
        done(f"{self.title} cannot reload")

    def drain(self) -> None:
        """Begin to leave: children finish what they have begun."""
        self.tell_all(b"drain")

    def reopen(self) -> None:
        """Log files were moved away."""
        self.log.reopen()
        self.tell_all(b"reopen")

    def status(self) -> dict[str, Any]:
        """For `trivet status`."""
        return {}

    def cleanup(self) -> None:
        """The last child is gone; leave nothing behind."""

    # ------------------------------------------------------------------ what a subclass uses

    def spawn(self, kind: str, index: int, target: Callable[[Channel], int]) -> Child:
        """Fork a child that runs `target(channel)` and exits with what it returns."""
        ours, theirs = Channel.pair()
        sys.stdout.flush()
        sys.stderr.flush()
        # Signals wait while there are two of us: the child must not run the master's handlers.
        old = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            pid = os.fork()
            if pid == 0:
                ours.close()
                self._become_child(theirs, target, old)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, old)
        theirs.close()
        child = Child(kind, index, pid, ours)
        self.children[pid] = child
        self.watch(ours, lambda: self._hear(child))
        return child

    def tell_all(self, message: bytes) -> None:
        for child in list(self.children.values()):
            child.tell(message)

    def tell_parent(self, message: bytes) -> None:
        if self.parent is not None:
            try:
                self.parent.send(message)
            except ChannelClosed:
                pass  # its end of file is on the way

    def announce_ready(self) -> None:
        """All children serve: the master above is told, or, where there is none, the operator."""
        if self.parent is None:
            self.log.info(f"ready in {time.monotonic() - self._created:.1f} s")
        else:
            self.tell_parent(b"ready")

    def watch(self, source: Any, callback: Callable[[], None]) -> None:
        """Call back whenever `source` is readable."""
        self._selector.register(source, selectors.EVENT_READ, callback)

    def unwatch(self, source: Any) -> None:
        self._selector.unregister(source)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), callback))

    def open_control(self, server: ControlServer) -> None:
        """Answer an operator's requests on this control socket."""
        self._control = server
        server.attach(self.watch, self.unwatch, self._answer)

    def is_leaving(self) -> bool:
        return self.phase is not Phase.RUNNING

    # ------------------------------------------------------------------ the loop

    def run(self) -> int:
        """Run until told to leave and the last child is gone. Returns the exit status."""
        setproctitle.setproctitle(f"trivet: {self.title}")
        wakeup = self._queue_signals()
        if self.parent is not None:
            self.watch(self.parent, self._hear_parent)
        try:
            self.start()
            while not (self.is_leaving() and not self.children):
                for key, _ in self._selector.select(self._next_timer()):
                    key.data()
                self._run_timers()
        finally:
            signal.set_wakeup_fd(-1)
            wakeup.close()
            self.cleanup()
            for reply in self._stop_replies:
                reply.finish({"ok": True})
            if self._control is not None:
                self._control.close()
        return self.status_code

    def stop(self, status: int = 0) -> None:
        """Drain within stop_timeout, then leave at once."""
        if self.phase is not Phase.RUNNING:
            return
        self.phase = Phase.DRAINING
        self.status_code = status
        self.call_later(self.stop_timeout, self.quit)
        self.drain()

    def quit(self) -> None:
        """Leave at once: children are told, and killed if that takes longer than a second."""
        if self.phase is Phase.QUITTING:
            return
        self.phase = Phase.QUITTING
        self.tell_all(b"quit")
        self.call_later(self.quit_grace, self._kill_all)

    def request_reload(self, done: Callable[[str | None], None]) -> None:
        """Read the configuration again and reload; one at a time."""
        if self._reload_source is None or self.is_leaving() or self._reloading:
            done("a reload is already running" if self._reloading else "not reloadable now")
            return
        try:
            settings = self._reload_source()
        except Exception as error:  # the source is a boundary: whatever is wrong with the file, we stay
            done(str(error) or type(error).__name__)
            return
        self._begin_reload(settings, done)

    # ------------------------------------------------------------------ private

    def _begin_reload(self, settings: Any, done: Callable[[str | None], None]) -> None:
        self._reloading = True

        def finished(problem: str | None) -> None:
            self._reloading = False
            if problem is None:
                self.log.info("reloaded")
            else:
                self.log.error(f"reload failed, the old configuration goes on: {problem}")
            done(problem)

        self.reload(settings, finished)

    def _queue_signals(self) -> socket.socket:
        # signal(7) handlers in Python run between bytecodes of whatever the loop does; the numbers arrive
        # through the wake-up socket instead and are acted on in one place.
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        for signum in _SIGNALS:
            signal.signal(signum, lambda *_: None)
        self.watch(ours, lambda: self._drain_signals(ours))
        self._wakeup_end = theirs
        return ours

    def _drain_signals(self, wakeup: socket.socket) -> None:
        for signum in sorted(set(wakeup.recv(4096))):
            self._on_signal(signum)

    def _on_signal(self, signum: int) -> None:
        if signum == signal.SIGCHLD:
            self._reap()
        elif signum == signal.SIGTERM:
            self.stop() if self.phase is Phase.RUNNING else self.quit()
        elif signum in (signal.SIGINT, signal.SIGQUIT):
            self.quit()
        elif signum == signal.SIGHUP:
            self.request_reload(lambda problem: None)
        elif signum == signal.SIGUSR1:
            self.reopen()

    def _reap(self) -> None:
        # waitpid(-1): as process 1 of a container we inherit strangers, who are reaped silently
        # (gunicorn stopped on a stranger's exit status 3).
        while True:
            try:
                pid, raw = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self.children.pop(pid, None)
            if child is not None:
                self._hear(child)  # its last words first
                self._forget(child)
                self.child_exited(child, os.waitstatus_to_exitcode(raw))

    def _forget(self, child: Child) -> None:
        try:
            self.unwatch(child.channel)
        except (KeyError, ValueError):
            pass  # its end of file was seen before its death
        child.channel.close()

    def _hear(self, child: Child) -> None:
        while child.channel.fileno() >= 0:
            try:
                message = child.channel.receive()
            except ChannelClosed:
                try:
                    self.unwatch(child.channel)
                except (KeyError, ValueError):
                    pass
                return
            if message is None:
                return
            self.child_said(child, message)

    def _hear_parent(self) -> None:
        assert self.parent is not None
        try:
            message = self.parent.receive()
        except ChannelClosed:
            self.unwatch(self.parent)
            self._orphaned()
            return
        if message is not None:
            self._obey(message)

    def _obey(self, message: bytes) -> None:
        verb, _, carried = message.partition(b" ")
        if verb == b"reload":
            # From our own master over an inherited socket pair: as trusted as our own memory.
            self._begin_reload(pickle.loads(carried), self._report_reload)
        elif verb == b"drain":
            self.stop()
        elif verb == b"quit":
            self.quit()
        elif verb == b"reopen":
            self.reopen()

    def _report_reload(self, problem: str | None) -> None:
        self.tell_parent(b"reloaded" if problem is None else b"reloaded " + problem.encode())

    def _orphaned(self) -> None:
        self.log.warning("the master above is gone: leaving")
        self.stop_timeout = min(self.stop_timeout, ORPHAN_GRACE)
        if self.phase is Phase.RUNNING:
            self.stop()
        else:
            self.call_later(ORPHAN_GRACE, self.quit)
        self.call_later(ORPHAN_GRACE + QUIT_GRACE / 4, self._kill_all)

    def _kill_all(self) -> None:
        for child in self.children.values():
            child.kill()

    def _answer(self, request: dict[str, Any], reply: Reply) -> None:
        what = request.get("do")
        if what == "status":
            reply.finish({"ok": True, **self.status()})
        elif what == "reload":
            self.request_reload(
                lambda problem: reply.finish({"ok": problem is None, "problem": problem or ""})
            )
        elif what == "stop":
            self._stop_replies.append(reply)
            self.stop()
        elif what == "reopen":
            self.reopen()
            reply.finish({"ok": True})
        else:
            reply.finish({"ok": False, "problem": f"unknown request {what!r:.40}"})

    def _next_timer(self) -> float | None:
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _run_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()

    def _become_child(
        self, channel: Channel, target: Callable[[Channel], int], mask: set[int | signal.Signals]
    ) -> NoReturn:
        status = 70  # EX_SOFTWARE of sysexits.h: what a child returns that did not get to say anything else
        try:
            signal.set_wakeup_fd(-1)
            for signum in _SIGNALS:
                signal.signal(signum, signal.SIG_DFL)
            # A terminal's ^C goes to the whole group; the topmost master decides what it means.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            self._close_in_child()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            gc.freeze()
            status = target(channel)
        except SystemExit as leaving:
            status = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException:
            self.log.error(traceback.format_exc())
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(status)

    def _close_in_child(self) -> None:
        """Close what is the master's alone, or the end of file at its death would never be seen."""
        for child in self.children.values():
            child.channel.close()
        if self._control is not None:
            self._control.close_in_child()
        if self.parent is not None:
            self.parent.close()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._wakeup_end.close()
        self._selector.close()


def wait_readable(channel: Channel, seconds: float | None) -> bool:
    """Wait until a message (or the end) is there, for a child without a loop of its own."""
    poll = select.poll()
    poll.register(channel.fileno(), select.POLLIN)
    return bool(poll.poll(None if seconds is None else int(seconds * 1000)))
