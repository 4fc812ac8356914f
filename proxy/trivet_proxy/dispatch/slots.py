"""The proxy's side of the slots: tokens read, boards looked at, connections kept.

Owns the FIFO, the boards and the kept connections of one pool in this process. Trusts none of them: a token
is a hint, a board is bounds-checked, a kept connection with anything to read is thrown away. Knows no
request.
"""

import errno
import os
import random
import socket
from collections.abc import Iterator
from itertools import count

import trio

from trivet_common.pool.board import NUMBER, Board, BoardError
from trivet_common.pool.claims import is_inside
from trivet_common.pool.idle import IdleFifo, Token
from trivet_common.pool.places import PoolPlaces

from ..deadlines import Deadlines
from .link import Link
from .slot_wire import SlotWire, new_closer, slot_wire
from .standstill import Standstill

# A slot that answered is often idle, and claimed anew, before our task with its answer has run: that takes
# one more connection. With two kept, an eighth to a half of a busy pool's requests paid for a new one.
_KEPT = 4
# Of tokens in one look: a FIFO that a worker fills with names of nobody as fast as we read would hold up the
# requests of all other pools (0.2 s for a full pipe). Who waits looks again when others had their turn.
_MOST_TOKENS = 64
_LOOK_AGAIN = 0.25
_STARVING = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}


class SlotLink(Link):
    """A connection to one slot, with the claim in hand: `number` and `nonce` (see claims.py).

    `sent`: when the request was, in nanoseconds. `is_patient`: it is left with its slot, however long that
    does not read it.
    """

    __slots__ = ("is_patient", "nonce", "number", "sent", "slot")

    wire: SlotWire
    why_late = "deadline"

    def __init__(self, wire: SlotWire, deadlines: Deadlines, slot: "Slot") -> None:
        super().__init__(wire, deadlines, slot.title)
        self.slot = slot
        self.number = 0
        self.nonce = 0
        self.sent = 0
        self.is_patient = False

    @property
    def words(self) -> memoryview:
        """The claim words of the slot; readable after its worker's death too."""
        return self.slot.words

    @property
    def why_cut(self) -> str:  # type: ignore[override]
        """An application that raises after its answer has begun leaves its worker alive."""
        return "worker_died" if is_inside(self.words, self.number, self.nonce) else "app_error"

    def has_withdrawn(self) -> bool:
        """End our side; True: the slot has not begun with the request and will not (claims.is_unread)."""
        self.wire.end_sending()
        self.is_sending = True  # nothing can be sent on it any more: it is never kept
        return self.slot.words[NUMBER] == self.number

    def release(self) -> None:
        self._clock.stop()
        kept = self.slot.kept
        if len(kept) < _KEPT and not self.slot.is_gone:
            kept.append(self)
        else:
            self.wire.close("surplus")


class Slot:
    """One slot as this process knows it."""

    __slots__ = ("incarnation", "is_gone", "kept", "path", "title", "words")

    def __init__(self, board: Board, slot: int, path: str) -> None:
        self.words = board.words(slot)
        self.path = path
        self.incarnation = board.incarnation
        self.title = f"w{board.incarnation}.{slot}"
        self.kept: list[SlotLink] = []
        self.is_gone = False

    def __repr__(self) -> str:
        return f"<Slot {self.title} number={self.words[NUMBER]} kept={len(self.kept)}>"


class Slots:
    """`try_claim` gives a connection to an idle slot, ready to send on; None when there is no token."""

    def __init__(self, places: PoolPlaces, deadlines: Deadlines) -> None:
        self._places = places
        self._deadlines = deadlines
        self._fifo: IdleFifo | None = None
        self._inode = 0
        self._boards: dict[int, Board] = {}
        self._slots: dict[tuple[int, int], Slot] = {}
        # 64 random bits to begin with: no two processes ever name a claim alike.
        self._nonces: Iterator[int] = count(random.SystemRandom().randrange(1, 2**63))
        self._still = Standstill()
        self.closer = new_closer()  # of what workers of this pool send; a thread stuck is theirs alone
        self.is_starved = False  # no descriptor was left to connect with
        self._open_fifo()

    def __repr__(self) -> str:
        kept = sum(len(slot.kept) for slot in self._slots.values())
        return f"<Slots {self._places.directory.name} boards={len(self._boards)} kept={kept}>"

    @property
    def known(self) -> int:
        """How many slots have been heard of."""
        return len(self._slots)

    def try_claim(self) -> SlotLink | None:
        """The caller sends on it at once, before anything else may run: nobody has the slot meanwhile."""
        fifo = self._fifo
        if fifo is None:
            return None
        self.is_starved = False
        for _ in range(_MOST_TOKENS):
            token = fifo.try_read()
            if token is None:
                return None
            slot = self._slots.get((token.incarnation, token.slot)) or self._find(token)
            if slot is None and self.is_starved:
                fifo.try_write(token)
                return None
            if slot is None or slot.words[NUMBER] != token.number:
                continue  # its worker is gone, or the token stale or doubled
            if self._still.workers and self._still.has_put_aside(token):
                continue
            link = self._link_to(slot)
            if link is not None:
                link.number = token.number
                link.nonce = next(self._nonces)
                return link
            if self.is_starved:
                fifo.try_write(token)
                return None
        return None

    def has_token(self) -> bool:
        """Whether `try_claim` is worth while: reading an empty FIFO raises, which is four times as dear."""
        if self._fifo is None:
            return False
        self.is_starved = False
        return not self._fifo.is_empty()

    async def wait_for_token(self) -> None:
        """Until there may be one. Every process that waits here is woken by every token."""
        if self._fifo is None or self.is_starved:
            await trio.sleep(_LOOK_AGAIN)
            return
        try:
            await trio.lowlevel.wait_readable(self._fifo.fileno())
        except trio.ClosedResourceError:
            pass  # another FIFO lies there now
        except OSError:
            await trio.sleep(_LOOK_AGAIN)

    def shun(self, link: SlotLink) -> None:
        """Its slot lets requests lie; no others go there until it has moved."""
        self._still.note(link.slot.incarnation, link.words, link.number)

    def announce_again(self) -> None:
        """What was put aside of workers that go on."""
        for token in self._still.give_back():
            if self._fifo is not None:
                self._fifo.try_write(token)

    def refresh(self) -> None:
        """Forget what has gone from the pool's directory, and open the FIFO that lies there now."""
        self._open_fifo()
        for incarnation, board in list(self._boards.items()):
            if board.is_at(self._places.board(incarnation)):
                continue
            # The worker has left; or the directory was removed, and the numbers began anew.
            del self._boards[incarnation]
            for key in [key for key in self._slots if key[0] == incarnation]:
                self._forget(self._slots.pop(key))

    def close(self) -> None:
        for slot in self._slots.values():
            self._forget(slot)
        self._slots.clear()
        self._boards.clear()
        self._close_fifo()

    def _find(self, token: Token) -> Slot | None:
        """The slot of a token that names one of this pool's for the first time."""
        board = self._boards.get(token.incarnation)
        try:
            if board is None:
                board = Board.open(self._places.board(token.incarnation))
                if board.incarnation != token.incarnation:
                    return None
                self._boards[token.incarnation] = board
            path = self._places.slot_socket(token.incarnation, token.slot)
            slot = Slot(board, token.slot, os.fspath(path))
        except (OSError, BoardError, IndexError) as error:
            # Without a descriptor for its board it is as good a slot as any: its token goes back.
            self.is_starved = isinstance(error, OSError) and error.errno in _STARVING
            return None
        self._slots[token.incarnation, token.slot] = slot
        return slot

    def _link_to(self, slot: Slot) -> SlotLink | None:
        kept = slot.kept
        while kept:
            link = kept.pop()
            # Its end, or an answer nobody asked for: either would be taken for the answer to this request.
            if not link.wire.has_input():
                return link
            link.discard("idle")
        return self._connect(slot)

    def _connect(self, slot: Slot) -> SlotLink | None:
        """Never waits: on a Unix socket a connection is made at once or not at all (unix(7))."""
        if self.closer.is_full:
            self.is_starved = True
            return None
        try:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError:
            self.is_starved = True
            return None
        try:
            wire = slot_wire(sock, self.closer)
            sock.connect(slot.path)
            return SlotLink(wire, self._deadlines, slot)
        except OSError:
            sock.close()
            return None

    def _forget(self, slot: Slot) -> None:
        slot.is_gone = True
        while slot.kept:
            slot.kept.pop().discard("worker gone")

    def _open_fifo(self) -> None:
        """The pool may start after us, and its directory may be made anew while we live."""
        try:
            inode = os.stat(self._places.idle_fifo, follow_symlinks=False).st_ino
            if self._fifo is not None and inode == self._inode:
                return
            fifo = IdleFifo(self._places.idle_fifo)
        except OSError:
            return
        self._close_fifo()
        self._fifo, self._inode = fifo, inode

    def _close_fifo(self) -> None:
        if self._fifo is not None:
            trio.lowlevel.notify_closing(self._fifo.fileno())
            self._fifo.close()
            self._fifo = None
