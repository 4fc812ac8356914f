"""All doors of a process, by the address they stand at, and when somebody looks at their files.

Made once by the master and inherited: the keys of session tickets are shared that way. Knows no connection.
"""

from collections.abc import Sequence

import trio

from trivet_common.config import Listen
from trivet_common.config.tls import Tls

from .door import Door, News, Shown
from .tls_groups import limit_groups

# A certificate that was put in place is shown within so many seconds, and a little.
EVERY = 0.5

Prepared = list[tuple[Door, Tls, list[Shown]]]


class Doors:
    """`at(address)` is the door of a listener that has `tls`."""

    def __init__(self, listens: Sequence[Listen] = ()) -> None:
        """Raises PairError."""
        with_tls = [(listen.address, listen.tls) for listen in listens if listen.tls is not None]
        self.has_right_groups = not with_tls or limit_groups()
        self._doors = {address: Door(tls) for address, tls in with_tls}

    def __repr__(self) -> str:
        return f"<Doors {' '.join(self._doors) or 'none'}>"

    def __bool__(self) -> bool:
        return bool(self._doors)

    def at(self, address: str) -> Door:
        return self._doors[address]

    def prepare(self, listens: Sequence[Listen]) -> Prepared:
        """The first half of a reload: load everything, change nothing. Raises PairError."""
        return [
            (self._doors[listen.address], listen.tls, self._doors[listen.address].prepare(listen.tls))
            for listen in listens
            if listen.tls is not None
        ]

    def take(self, prepared: Prepared) -> None:
        """The second half."""
        for door, tls, shown in prepared:
            door.take(tls, shown)

    def look(self) -> list[News]:
        """What has changed on disk is taken up; what is worth saying of it."""
        return [news for door in self._doors.values() for news in door.look()]

    async def watch(self) -> None:
        """The master says what there is to say: as many of us do the same."""
        while self._doors:
            await trio.sleep(EVERY)
            self.look()

    def status(self) -> list[dict[str, object]]:
        """A row a certificate, with the address it is shown at."""
        return [{"listen": address, **row} for address, door in self._doors.items() for row in door.status()]
