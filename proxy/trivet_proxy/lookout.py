"""The master's look at the files of its doors: a thread reads them, the loop takes up what it saw.

A mount that hangs holds a thread, never the loop. The thread only reads: a fork while it works with OpenSSL
could leave the child with a lock that nobody opens. Knows no process.
"""

import functools
import threading
import time
from collections.abc import Callable, Sequence

from trivet_common.config import Listen
from trivet_common.config.sighting import Sighting

from .doors import EVERY, Doors

# A disk that takes longer (s) hangs: it is said, and a reload goes no further.
PATIENCE = 5.0
# How often (s) the loop asks whether the thread is through: no descriptor need be inherited for that.
_AGAIN = 0.02

_LATE = f"the files of certificates have not come for {PATIENCE:g} s"

Then = Callable[[Sighting | None], None]  # None: it did not come in time


class Errand:
    """A thread that looks. `sighting` is there once it is through."""

    __slots__ = ("_look", "_thread", "sighting")

    def __init__(self, look: Callable[[], Sighting]) -> None:
        """Raises RuntimeError if no thread can be had."""
        self._look = look
        self.sighting: Sighting | None = None
        self._thread = threading.Thread(target=self._run, name="certificates", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<Errand {'under way' if self.is_under_way else self.sighting}>"

    @property
    def is_under_way(self) -> bool:
        return self.sighting is None and self._thread.is_alive()

    def _run(self) -> None:
        self.sighting = self._look()


class Lookout:
    """`watch` begins; `read` is for a reload. `tell` hears what is worth saying, and whether it is good."""

    def __init__(
        self,
        doors: Doors,
        call_later: Callable[[float, Callable[[], None]], None],
        tell: Callable[[bool, str], None],
    ) -> None:
        self._doors = doors
        self._call_later = call_later
        self._tell = tell
        self._looking: Errand | None = None
        self._reading: Errand | None = None  # for a reload
        self._is_late = False

    def __repr__(self) -> str:
        return f"<Lookout {'late' if self._is_late else 'in time'} {self._looking!r} {self._reading!r}>"

    def watch(self) -> None:
        """Each process does it for itself; we say what there is to say, and those forked later inherit it."""
        if self._looking is None or not self._looking.is_under_way:
            self._looking = _begun(functools.partial(_look, self._doors))
        self._wait(self._looking, functools.partial(self._take_up, self._looking))

    def read(
        self, listens: Sequence[Listen], then: Callable[[Sighting], None], fail: Callable[[str], None]
    ) -> None:
        """What the doors of these will show, for `take`; or why it cannot be read."""
        if not self._doors:
            then(Sighting(()))
            return
        if self._reading is not None and self._reading.is_under_way:
            fail(_LATE)  # of a reload before: one is enough for a disk that hangs
            return
        files = self._doors.files(listens)
        self._reading = _begun(lambda: Sighting(files).read())
        self._wait(self._reading, lambda sighting: then(sighting) if sighting is not None else fail(_LATE))

    def take(self, listens: Sequence[Listen], sighting: Sighting) -> None:
        """The end of a reload: what all processes have loaded a moment ago."""
        with sighting.in_place():
            self._doors.take(self._doors.prepare_if_possible(listens))
        self._looking = None  # what is seen now is of the files before

    def _wait(self, errand: Errand | None, then: Then, until: float | None = None) -> None:
        until = time.monotonic() + PATIENCE if until is None else until
        if errand is not None and errand.is_under_way and time.monotonic() < until:
            self._call_later(_AGAIN, lambda: self._wait(errand, then, until))
        else:
            then(errand.sighting if errand is not None else None)

    def _take_up(self, errand: Errand | None, sighting: Sighting | None) -> None:
        if sighting is not None and errand is self._looking:
            self._say_whether_late(False)
            with sighting.in_place():
                for is_good, text in self._doors.look():
                    self._tell(is_good, text)
        elif errand is not None and errand.is_under_way:
            self._say_whether_late(True)
        self._call_later(EVERY - _AGAIN, self.watch)  # no slower than the processes: each renewal is said

    def _say_whether_late(self, is_late: bool) -> None:
        if is_late and not self._is_late:
            self._tell(False, f"{_LATE}: what is shown stays")
        elif self._is_late and not is_late:
            self._tell(True, "the files of certificates come again")
        self._is_late = is_late


def _begun(look: Callable[[], Sighting]) -> Errand | None:
    try:
        return Errand(look)
    except RuntimeError:
        return None  # no thread can be had: the next look tries again


def _look(doors: Doors) -> Sighting:
    """All is read where anything has changed or is wrong, and nothing otherwise."""
    sighting = Sighting(doors.files())
    with sighting.in_place():
        return sighting.read() if doors.have_news() else sighting
