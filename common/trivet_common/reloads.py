"""The reloads of a master: one at a time, asked for by a signal, an operator or the master above.

Owns who is told what: progress, and how it ended. Knows nothing of what is reloaded.
"""

import pickle
from collections.abc import Callable
from typing import Any, TypeVar

from trivet_common.control import Reply
from trivet_common.logs import ErrorLog, without_trace
from trivet_common.loop import Loop
from trivet_common.notify import Notifier

# How long (s) the `prepare` commands of a pool may take: they may migrate a large database.
PREPARE_DEADLINE = 3600.0
Read = TypeVar("Read")
Done = Callable[[str | None], None]
# Begins to read the configuration anew while the loop turns; it is given what takes the outcome: a function
# that returns it or raises what is wrong.
Source = Callable[[Loop, Callable[[Callable[[], Read]], None]], None]


class Reloads:
    """`reload` takes settings and calls back once; `source` reads them anew, if this master may.

    `why_not` says why there can be none now. `tell_parent` speaks to the master above, if there is one.
    """

    def __init__(
        self,
        reload: Callable[[Any, Done], None],
        source: Source[Any] | None,
        why_not: Callable[[], str | None],
        tell_parent: Callable[[bytes], None],
        log: ErrorLog,
        notifier: Notifier,
        loop: Loop,
    ) -> None:
        self._reload = reload
        self._source = source
        self._why_not = why_not
        self._tell_parent = tell_parent
        self._log = log
        self._notifier = notifier
        self._loop = loop
        self.is_running = False
        self._replies: list[Reply] = []

    def __repr__(self) -> str:
        return f"<Reloads running={self.is_running} asked={len(self._replies)}>"

    def request(self, done: Done) -> None:
        """Read the configuration again and reload. `done` hears None or the problem."""
        if self._source is None:
            done("it is reloaded by its master")
            return
        if self._is_refused(done):
            return  # before the file is read: that may take its time
        self.is_running = True

        def read(outcome: Callable[[], Any]) -> None:
            self.is_running = False
            try:
                settings = outcome()
            except Exception as error:  # the source is a boundary: whatever is wrong with the file, we stay
                problem = str(error) or type(error).__name__
                self._note(problem)
                done(problem)
                return
            self.begin(settings, done)

        try:
            self._source(self._loop, read)
        except OSError as error:  # no process is left, or no descriptor
            problem = error.strerror or str(error)
            read(lambda: _raise(problem))

    def begin(self, settings: Any, done: Done, *, is_above_told: bool = False) -> None:
        """Reload with these settings, whoever has read them. `done` hears None or the problem."""
        if self._is_refused(done):
            return
        self.is_running = True
        self._notifier.reloading()

        def finished(problem: str | None) -> None:
            self.is_running = False
            self._notifier.ready()
            if problem is None or not is_above_told:
                self._note(problem)  # else the topmost master's log has it, once
            done(problem)

        self._reload(settings, finished)

    def request_for(self, reply: Reply) -> None:
        """An operator asks, and is told."""
        self._replies.append(reply)

        def finished(problem: str | None) -> None:
            self._replies.remove(reply)
            reply.finish({"ok": problem is None, "problem": problem or ""})

        self.request(finished)

    def begin_for_parent(self, carried: bytes) -> None:
        """The master above asks: `NUMBER SETTINGS`. The answer has the number: it may come too late."""
        number, _, settings = carried.partition(b" ")

        def finished(problem: str | None) -> None:
            told = b"" if problem is None else b" " + problem.encode("utf-8", "replace")
            self._tell_parent(b"reloaded " + number + told)

        # From our own master over an inherited socket pair: as trusted as our own memory.
        self.begin(pickle.loads(settings), finished, is_above_told=True)

    def report(self, text: str) -> None:
        """Tell who waits for the end of the reload, here and above, how far it is."""
        for reply in self._replies:
            reply.progress(text)
        self._tell_parent(b"progress " + text.encode("utf-8", "replace"))

    def _is_refused(self, done: Done) -> bool:
        problem = "a reload is already running" if self.is_running else self._why_not()
        if problem is None:
            return False
        self._log.warning(f"not reloaded: {problem}")  # who sent a signal hears nothing else
        done(problem)
        return True

    def _note(self, problem: str | None) -> None:
        if problem is None:
            self._log.info("reloaded")
        else:
            self._log.error(f"reload failed, the old configuration goes on: {without_trace(problem)}")


def _raise(problem: str) -> Any:
    raise RuntimeError(problem)
