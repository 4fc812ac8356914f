"""One reload of a whole site: one part after the other, pools before the proxy, each within a deadline.

Decides who is told next and what the outcome is. Knows neither processes nor sockets.
"""

import pickle
from collections.abc import Callable, Sequence
from itertools import count

from trivet_common.config import Pool, Settings
from trivet_common.reloads import PREPARE_DEADLINE

# A proxy parses, builds its routes and switches; nothing in it may take long.
PROXY_DEADLINE = 15.0
# What a pool's master may need beyond the time its workers are given.
MARGIN = 10.0

_numbers = count(1)  # an answer of another rollout comes too late
Tell = Callable[[str, bytes], bool]
Later = Callable[[float, Callable[[], None]], None]


class Rollout:
    """For one reload. `done` is called once: with None, or with the problem."""

    def __init__(
        self,
        settings: Settings,
        parts: Sequence[str],
        tell: Tell,
        call_later: Later,
        done: Callable[[str | None], None],
    ) -> None:
        self._settings = settings
        self._left = list(parts)
        self._renewed: list[str] = []
        self._tell = tell
        self._call_later = call_later
        self._done = done
        self._number = next(_numbers)
        self._words = 0  # said by parts so far; each gives its part more time
        self._is_over = False

    def __repr__(self) -> str:
        return f"<Rollout renewed={self._renewed} left={self._left}>"

    def begin(self) -> None:
        """Tell the first part, or be done when there is none."""
        if not self._left:
            self._finish(None)
            return
        part = self._left[0]
        settings = pickle.dumps(what_it_takes(self._settings, part))
        if not self._tell(part, b"reload %d %s" % (self._number, settings)):
            self.heard(part, "its master is not running")
            return
        self._wait_for(part)

    def progressed(self, part: str) -> None:
        """A part is on its way: it has as much time again."""
        if not self._is_over and self._left[:1] == [part]:
            self._words += 1
            self._wait_for(part)

    def answered(self, part: str, text: str) -> None:
        """`NUMBER PROBLEM`: one with another number is to an earlier rollout, which did not wait for it."""
        number, _, problem = text.partition(" ")
        if number == str(self._number):
            self.heard(part, problem)

    def heard(self, part: str, problem: str) -> None:
        """A part answered: with an empty text if it runs the new version. Others' words are not for us."""
        if self._is_over or self._left[:1] != [part]:
            return
        if problem:
            already = f" (renewed already: {', '.join(self._renewed)})" if self._renewed else ""
            self._finish(f"{part}: {problem}{already}")
            return
        self._words += 1
        self._renewed.append(self._left.pop(0))
        self.begin()

    def _wait_for(self, part: str) -> None:
        seconds, words = deadline(self._settings, part), self._words

        def expire() -> None:
            if self._words == words:
                self.heard(part, f"no word within {seconds:g} s")

        self._call_later(seconds, expire)

    def _finish(self, problem: str | None) -> None:
        self._is_over = True
        self._done(problem)


def what_it_takes(settings: Settings, part: str) -> object:
    """What a part's master is sent: a pool's its own pool too."""
    pool = pool_of(settings, part)
    return settings if pool is None else (pool, settings)


def pool_of(settings: Settings, part: str) -> Pool | None:
    """The pool a part is, or None for the proxy."""
    return None if part == "proxy" else settings.pools[part.removeprefix("pool ")]


def deadline(settings: Settings, part: str) -> float:
    """How long (s) a part may be silent: a pool says a word for each of its workers that is renewed."""
    pool = pool_of(settings, part)
    if pool is None:
        return PROXY_DEADLINE
    prepare = PREPARE_DEADLINE if pool.prepare else 0.0
    return prepare + pool.reload.timeout * pool.workers.max + settings.patience_with(pool) + MARGIN


def needs_restart(old: Settings, new: Settings) -> str | None:
    """What a reload cannot change, in one sentence; None if there is nothing of the kind."""
    found = [f"{what} changed" for what, read in _FIXED.items() if read(old) != read(new)]
    found += [f"pool {name} is new" for name in new.pools if name not in old.pools]
    found += [f"pool {name} is gone" for name in old.pools if name not in new.pools]
    for name in old.pools.keys() & new.pools.keys():
        before, after = old.pools[name], new.pools[name]
        if (before.user, before.group, before.listen) != (after.user, after.group, after.listen):
            found.append(f"user, group or listen of pool {name} changed")
    return f"needs a restart: {', '.join(found)}" if found else None


_FIXED: dict[str, Callable[[Settings], object]] = {
    "listen": lambda settings: [listen.fixed for listen in settings.listen],
    "proxy.processes": lambda settings: settings.proxy.processes,
    "run_dir": lambda settings: settings.run_dir,
    "log.error": lambda settings: (settings.log.error, settings.log.level),
}
