"""All doors of a process, by the address they stand at, and when somebody looks at their files.

Made once by the master and inherited: the keys of session tickets are shared that way. Knows no connection.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import trio

from trivet_common.config import Listen
from trivet_common.config.tls import Tls

from . import openssl
from .door import Door, Found
from .showcase import News, Showcase
from .tls_groups import limit_groups

# A certificate that was put in place is shown within so many seconds, and a little.
EVERY = 0.5

_Result = TypeVar("_Result")
# Of a thousand names with one cause, some are enough.
_MOST_TOLD = 100

Prepared = list[tuple[Door, Showcase]]
# What is wrong: (address, certificate, sentence).
Problems = list[tuple[str, str, str]]


class Doors:
    """`at(address)` is the door of a listener that has `tls`."""

    def __init__(self, listens: Sequence[Listen] = ()) -> None:
        """What cannot be loaded is shut until it can."""
        with_tls = [(listen.address, listen.tls) for listen in listens if listen.tls is not None]
        # Of this interpreter's OpenSSL; asked before contexts are made.
        self.shortcomings = list(_shortcomings()) if with_tls else []
        self._doors = {address: Door(tls) for address, tls in with_tls}
        self._thread: trio.CapacityLimiter | None = None

    def __repr__(self) -> str:
        return f"<Doors {' '.join(self._doors) or 'none'}>"

    def __bool__(self) -> bool:
        return bool(self._doors)

    def at(self, address: str) -> Door:
        return self._doors[address]

    def prepare(self, listens: Sequence[Listen]) -> Prepared:
        """The first half of a reload: load everything, change nothing. Raises PairError, OSError."""
        return [(door, door.prepare(tls)) for door, tls in self._meant(listens)]

    def prepare_if_possible(self, listens: Sequence[Listen]) -> Prepared:
        """The same; what cannot be loaded stays as it is."""
        return [(door, door.prepare_if_possible(tls)) for door, tls in self._meant(listens)]

    async def prepare_aside(self, listens: Sequence[Listen]) -> Prepared:
        """As `prepare`, in a thread: keys take milliseconds each, and folders may lie on a slow network."""
        return await self._aside(lambda: self.prepare(listens)) if self._doors else []

    def take(self, prepared: Prepared) -> None:
        """The second half."""
        for door, case in prepared:
            door.take(case)

    def files(self, listens: Sequence[Listen] | None = None) -> list[Path]:
        """That hold what is shown; or what these would show."""
        doors = self._doors.values()
        return [
            path
            for tls in (
                [door.tls for door in doors] if listens is None else [tls for _, tls in self._meant(listens)]
            )
            for path in tls.files
        ]

    def have_news(self) -> bool:
        """Whether the files are worth reading."""
        return any(door.has_news() for door in self._doors.values())

    def look(self) -> list[News]:
        """What has changed on disk is taken up; what is worth saying of it."""
        return [news for door in self._doors.values() for news in door.look()]

    async def watch(self, tell: Callable[[Problems], None]) -> None:
        """The master says what there is to say, as many of us find the same; `tell` hears what is wrong."""
        told: Problems = []
        while self._doors:
            await trio.sleep(EVERY)
            for door, look in await self._aside(self._examine):
                door.take_up(look)
            if (problems := self.problems()) != told:
                tell(problems)
                told = problems

    def problems(self) -> Problems:
        return [
            (address, str(row["certificate"]), str(row["problem"]))
            for address, door in self._doors.items()
            for row in door.status()
            if row["problem"] is not None
        ]

    def status(self) -> list[dict[str, object]]:
        """A row a certificate, with the address it is shown at."""
        return [{"listen": address, **row} for address, door in self._doors.items() for row in door.status()]

    def _examine(self) -> list[tuple[Door, Found]]:
        return [(door, door.examine()) for door in self._doors.values()]

    def _meant(self, listens: Sequence[Listen]) -> list[tuple[Door, Tls]]:
        return [(self._doors[each.address], each.tls) for each in listens if each.tls is not None]

    async def _aside(self, work: Callable[[], _Result]) -> _Result:
        # Given up when the process leaves: a file on a network that is gone must not hold it.
        self._thread = self._thread or trio.CapacityLimiter(1)
        return await trio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._thread)


def _shortcomings() -> Iterator[str]:
    if not limit_groups():
        yield "this OpenSSL cannot be told which groups to use: its own are offered"
    if openssl.control() is None:
        yield (
            "this OpenSSL cannot be told to keep no sessions (up to 20 MiB in each process), nor to stop at "
            "each message: who sends many is cut off without a word"
        )


def tell_problems(problems: Problems) -> bytes:
    """As a process tells its master."""
    return json.dumps(problems[:_MOST_TOLD]).encode()


def read_problems(told: bytes) -> Problems:
    """What is no such message tells nothing: the sender has spoken with clients."""
    try:
        return [(str(one), str(two), str(three)) for one, two, three in json.loads(told)[:_MOST_TOLD]]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
