"""A master process: forks children, hears of their deaths, obeys signals, its parent and the operator.

Signal handlers only queue; one loop acts. Knows nothing of what its children do: subclasses say that.
"""

import signal
import time
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

import setproctitle

from trivet_common.channel import Channel, ChannelClosed
from trivet_common.children import Child, Children
from trivet_common.control import ControlServer, Reply
from trivet_common.forking import SIGNALS
from trivet_common.logs import ErrorLog
from trivet_common.loop import Loop
from trivet_common.notify import Notifier
from trivet_common.reloads import Reloads, Source

# How long children that were told to leave at once may take before SIGKILL, in seconds.
QUIT_GRACE = 0.5
# How long an orphan may finish what it has begun: all must be gone within 2 s (docs/architecture.md).
ORPHAN_GRACE = 1.5


class Phase(Enum):
    """What the master is about; moves forward only."""

    RUNNING = auto()
    DRAINING = auto()
    QUITTING = auto()


class Master:
    """The loop. A subclass starts its children in `start` and overrides what it wants to hear.

    `parent` is the channel of the master above (None for the topmost); `reload_source` reads the
    configuration again: what `reload` takes, or an exception whose text is the problem.
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
        reload_source: Source[Any] | None = None,
    ) -> None:
        # for the process
        self.title = title
        self.log = log
        self.parent = parent
        self.stop_timeout = stop_timeout
        self.phase = Phase.RUNNING
        self.status_code = 0
        self._created = time.monotonic()
        self._loop = Loop()
        self.children = Children(self._loop, log, self.child_said, self.child_exited)
        self._control: ControlServer | None = None
        # Only the topmost is the one that a service manager started.
        self.notifier = Notifier.take() if parent is None else Notifier()
        self._stop_replies: list[Reply] = []
        self._reloads = Reloads(
            self.reload, reload_source, self.why_no_reload, self.tell_parent, log, self.notifier, self._loop
        )  # fmt: skip

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

    def why_no_reload(self) -> str | None:
        """Why there can be no reload at this moment."""
        return f"{self.title} is stopping" if self.is_leaving() else None

    def drain(self) -> None:
        """Begin to leave: children finish what they have begun."""
        self.tell_all(b"drain")

    def reopen(self) -> None:
        """Log files were moved away."""
        self.log.reopen()
        self.tell_all(b"reopen")

    def more(self) -> None:
        """One worker more (TTIN)."""
        self.log.warning(f"{self.title} has no workers to add to")

    def less(self) -> None:
        """One worker fewer (TTOU)."""
        self.log.warning(f"{self.title} has no workers to take from")

    def upgrade(self) -> None:
        """Start the program as it is installed now beside us (USR2)."""
        self.log.warning(f"{self.title}: only `trivet serve` can be upgraded in place; restart it")

    def succeeded(self) -> None:
        """Another process goes on with our listening sockets; we are about to be told to leave."""

    def alone(self) -> None:
        """The process that our listening sockets came from accepts no more: they are ours."""

    def answer(self, request: dict[str, Any], reply: Reply) -> None:
        """An operator's request that not every master knows."""
        reply.finish({"ok": False, "problem": f"unknown request {request.get('do')!r:.40}"})

    def status(self) -> dict[str, Any]:
        """For `trivet status`."""
        return {}

    def summary(self) -> str:
        """One line of live figures for `systemctl status`."""
        return self.phase.name.lower()

    def is_turning(self) -> bool:
        """Whether the loops below turn too, since this was last asked."""
        return True

    def has_finished(self) -> bool:
        """Whether the loop may end."""
        return self.is_leaving() and not self.children

    def cleanup(self) -> None:
        """The last child is gone; leave nothing behind."""

    # ------------------------------------------------------------------ what a subclass uses

    def spawn(self, kind: str, index: int, target: Callable[[Channel], int]) -> Child:
        """Fork a child that runs `target(channel)` and exits with what it returns."""

        def body(channel: Channel) -> int:
            self._close_in_child()
            return target(channel)

        return self.children.spawn(kind, index, body)

    def tell_all(self, message: bytes) -> None:
        self.children.tell_all(message)

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
            self.notifier.ready()
        else:
            self.tell_parent(b"ready")

    def report_progress(self, text: str) -> None:
        """Tell who waits for the end of the reload, here and above, how far it is."""
        self._reloads.report(text)

    def watch(self, source: Any, callback: Callable[[], None]) -> None:
        """Call back whenever `source` is readable."""
        self._loop.watch(source, callback)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        self._loop.call_later(seconds, callback)

    def open_control(self, server: ControlServer) -> None:
        """Answer an operator's requests on this control socket."""
        self._control = server
        server.attach(self._loop, self._answer)

    def show_control(self, is_shown: bool) -> None:
        """Whether operators find us: of two versions beside each other one is the site."""
        if self._control is not None:
            self._control.show() if is_shown else self._control.hide()

    def is_reloading(self) -> bool:
        """From the reading of the file on."""
        return self._reloads.is_running

    def is_leaving(self) -> bool:
        return self.phase is not Phase.RUNNING

    # ------------------------------------------------------------------ the loop

    def run(self) -> int:
        """Run until told to leave and the last child is gone. Returns the exit status."""
        setproctitle.setproctitle(f"trivet: {self.title}")
        self._loop.queue_signals(SIGNALS, self._on_signal)
        if self.parent is not None:
            self.watch(self.parent, self._hear_parent)
        try:
            self.notifier.begin(self.call_later, self.summary, self.is_turning)
            self.start()
            while not self.has_finished():
                self._loop.turn()
        finally:
            self._clear_up()
        return self.status_code

    def stop(self, status: int = 0) -> None:
        """Drain within stop_timeout, then leave at once."""
        if self.phase is not Phase.RUNNING:
            return
        self.phase = Phase.DRAINING
        self.notifier.stopping()
        self.status_code = status
        self.call_later(self.stop_timeout, self.quit)
        self.drain()

    def quit(self) -> None:
        """Leave at once: children are told, and killed if that takes longer than quit_grace."""
        if self.phase is Phase.QUITTING:
            return
        self.phase = Phase.QUITTING
        self.notifier.stopping()
        self.tell_all(b"quit")
        self.call_later(self.quit_grace, self.children.kill_all)

    def request_reload(self, done: Callable[[str | None], None]) -> None:
        """Read the configuration again and reload; one at a time. `done` hears None or the problem."""
        self._reloads.request(done)

    def begin_reload(self, settings: Any, done: Callable[[str | None], None]) -> None:
        """Reload with these settings, whoever has read them. `done` hears None or the problem."""
        self._reloads.begin(settings, done)

    # ------------------------------------------------------------------ private

    def _clear_up(self) -> None:
        # Signals are still caught and mean nothing any more: none ends us before the last file is removed.
        try:
            self.cleanup()
        finally:
            for reply in self._stop_replies:
                reply.finish({"ok": True})
            if self._control is not None:
                self._control.close()
            self._loop.close()

    def _on_signal(self, signum: int) -> None:
        if signum == signal.SIGCHLD:
            self.children.reap()
        elif signum == signal.SIGTERM:
            self.stop() if self.phase is Phase.RUNNING else self.quit()
        elif signum in (signal.SIGINT, signal.SIGQUIT):
            self.quit()
        elif signum == signal.SIGHUP:
            self.request_reload(lambda problem: None)
        elif signum == signal.SIGUSR1:
            self.reopen()
        elif signum == signal.SIGTTIN:
            self.more()
        elif signum == signal.SIGTTOU:
            self.less()
        elif signum == signal.SIGUSR2:
            self.upgrade()

    def _hear_parent(self) -> None:
        assert self.parent is not None
        try:
            message = self.parent.receive()
        except ChannelClosed:
            self._loop.unwatch(self.parent)
            self._orphaned()
            return
        if message is not None:
            self._obey(message)

    def _obey(self, message: bytes) -> None:
        verb, _, carried = message.partition(b" ")
        if verb == b"reload":
            self._reloads.begin_for_parent(carried)
        elif verb == b"drain":
            self.stop()
        elif verb == b"turning":
            self.tell_parent(b"turning")
        elif verb in (b"quit", b"reopen", b"more", b"less", b"succeeded", b"alone"):
            getattr(self, verb.decode())()

    def _orphaned(self) -> None:
        self.log.warning("the master above is gone: leaving")
        self.stop_timeout = min(self.stop_timeout, ORPHAN_GRACE)
        if self.phase is Phase.RUNNING:
            self.stop()
        else:
            self.call_later(ORPHAN_GRACE, self.quit)
        self.call_later(ORPHAN_GRACE + QUIT_GRACE / 4, self.children.kill_all)

    def _answer(self, request: dict[str, Any], reply: Reply) -> None:
        what = request.get("do")
        if what == "status":
            reply.finish({"ok": True, **self.status()})
        elif what == "reload":
            self._reloads.request_for(reply)
        elif what == "stop":
            self._stop_replies.append(reply)
            self.stop()
        elif what == "reopen":
            self.reopen()
            reply.finish({"ok": True})
        else:
            self.answer(request, reply)

    def _close_in_child(self) -> None:
        """Close what is the master's alone, or the end of file at its death would never be seen."""
        if self._control is not None:
            self._control.close_in_child()
        if self.parent is not None:
            self.parent.close()
        self.notifier.close()
        self._loop.close_in_child()
        self.log.forget_waiting()
