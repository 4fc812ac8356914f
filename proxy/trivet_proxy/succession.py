"""The second site of a process: built beside the one that serves, then switched to, or dropped.

Answers each question of the master once, also the one that was overtaken. Knows no socket.
"""

import pickle
from collections.abc import Callable

from trivet_common.config import Settings

from .access_logs import AccessLogs, open_access_logs
from .doors import Doors, Prepared
from .resources import Resources
from .site import Site, build_site


class Succession:
    """`say` answers the master. Between `begin` and `switch` nothing has changed."""

    def __init__(self, resources: Resources, doors: Doors, say: Callable[[bytes], None]) -> None:
        self._resources = resources
        self._doors = doors
        self._say = say
        self._asked: object = None  # the question that counts: none, or the last
        self._next: tuple[Site, AccessLogs, Prepared] | None = None

    def __repr__(self) -> str:
        return f"<Succession {self._next[0] if self._next else 'none'!r}>"

    def begin(self, pickled: bytes) -> None:
        """First half of a reload, in a task of its own: build, change nothing."""
        self.drop()
        self._asked = question = object()
        self._resources.nursery.start_soon(self._prepare, question, pickled)

    def switch(self) -> Site | None:
        """Second half: every process has built it. The site that serves from now on, if it is another one."""
        if self._next is None:
            return None
        (site, logs, doors), self._next = self._next, None
        site.begin()
        self._doors.take(doors)
        self._resources.log_with(logs)
        return site

    def drop(self) -> None:
        self._asked = None
        if self._next is not None:
            (site, logs, _), self._next = self._next, None
            site.drop()
            logs.close()

    async def _prepare(self, question: object, pickled: bytes) -> None:
        logs = AccessLogs()
        try:
            # From our own master over an inherited socket pair: as trusted as our own memory.
            settings: Settings = pickle.loads(pickled)
            logs = open_access_logs(settings)
            doors = await self._doors.prepare_aside(settings.listen)
            if self._asked is not question:
                raise InterruptedError("it was given up meanwhile")
            self._next = build_site(settings, self._resources), logs, doors
        except Exception as error:  # a boundary: whatever is wrong with it, the old site goes on
            logs.close()
            self._say(b"no " + (str(error) or type(error).__name__).encode("utf-8", "replace"))
        else:
            self._say(b"ok")
