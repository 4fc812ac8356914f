"""What a worker is given to be one: its board, the bound sockets of its slots, the idle FIFO.

The master makes it before it forks, for the worker may be another user, who has no business in the run
directory. The master's descriptors are closed right after the fork: a dead worker's sockets die with it.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable
from typing import NamedTuple

from trivet_backend.sockets import bind_unix
from trivet_common.pool.board import Board
from trivet_common.pool.idle import IdleFifo
from trivet_common.pool.places import PoolPlaces


class Place(NamedTuple):
    """A worker's own. The listeners are bound and do not listen yet: that is said when it can answer."""

    incarnation: int
    board: Board
    listeners: list[socket.socket]
    fifo: IdleFifo


class Berth:
    """A place nobody has taken: descriptors. `close` it in whatever process does not `take` it."""

    __slots__ = ("_fds", "incarnation")

    def __init__(self, incarnation: int, fds: Iterable[int]) -> None:
        """`fds`, now ours: the board, the FIFO, then a socket a slot, as `fds` gives them."""
        self.incarnation = incarnation
        self._fds = list(fds)

    def __repr__(self) -> str:
        return f"<Berth w{self.incarnation} fds={self._fds}>"

    @classmethod
    def make(cls, places: PoolPlaces, incarnation: int, slots: int) -> Berth:
        """Make the files of this incarnation. Raises OSError, and then nothing is left open."""
        berth = cls(incarnation, [])
        try:
            berth._make(places, slots)
        except OSError:
            berth.close()
            places.remove_incarnation(incarnation)
            raise
        return berth

    def fds(self) -> list[int]:
        """For the process they are sent to; they stay ours as well."""
        return list(self._fds)

    def take(self) -> Place:
        """Be the worker of this place: its board is mapped and says so. Raises OSError."""
        board_fd, fifo_fd, *slot_fds = self._fds
        self._fds = []
        listeners = [socket.socket(fileno=fd) for fd in slot_fds]
        fifo = IdleFifo.adopt(fifo_fd)
        board = Board.adopt(board_fd)
        board.note_pid()
        return Place(self.incarnation, board, listeners, fifo)

    def close(self) -> None:
        fds, self._fds = self._fds, []
        for fd in fds:
            os.close(fd)

    def _make(self, places: PoolPlaces, slots: int) -> None:
        path = places.board(self.incarnation)
        # Others of the group read the board; only its worker writes it.
        mode = 0o600 if places.group is None else 0o640
        self._fds.append(Board.make(path, self.incarnation, slots, time.monotonic_ns(), mode))
        if places.group is not None:
            os.fchown(self._fds[-1], -1, places.group)
        self._fds.append(IdleFifo(places.idle_fifo).detach())
        for slot in range(slots):
            sock = bind_unix(places.slot_socket(self.incarnation, slot), places.group)
            self._fds.append(sock.detach())
